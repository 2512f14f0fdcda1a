//! PostgreSQL's geometric types and PostGIS', from Debezium's structs.

use std::io::Write as _;

use walspring_record::{Fields, Schema, Value};

use super::{ValueError, bytes_or_base64, integer, number};
use crate::target::Target;

/// Of the type's word in PostGIS' extended WKB: a SRID follows.
const EWKB_HAS_SRID: u32 = 0x2000_0000;
const WKB_POINT: u32 = 1;
const WKB_LINE_STRING: u32 = 2;
const WKB_POLYGON: u32 = 3;

pub fn write(target: &Target, schema: Option<&Schema>, value: &Value, out: &mut Vec<u8>) -> Result<(), ValueError> {
    if let Value::String(text) = value {
        out.extend_from_slice(text.as_bytes());
        return Ok(());
    }
    let wrong = || ValueError::new("a geometry of the column's type is expected");
    let fields = Fields::of(schema, value).ok_or_else(wrong)?;
    let coordinate = |fields: &Fields<'_>, name: &str| fields.get(name).and_then(|field| number(field.value));
    let wkb = || fields.get("wkb").and_then(|field| bytes_or_base64(field.value));
    // Writing to a `Vec` cannot fail.
    match target {
        Target::Point => {
            let (x, y) = coordinate(&fields, "x").zip(coordinate(&fields, "y")).ok_or_else(wrong)?;
            let _ = write!(out, "({x},{y})");
        }
        Target::Line => {
            let part = |name| coordinate(&fields, name).ok_or_else(wrong);
            let _ = write!(out, "{{{},{},{}}}", part("a")?, part("b")?, part("c")?);
        }
        Target::Circle => {
            let center = fields.below("center").ok_or_else(wrong)?;
            let (x, y) = coordinate(&center, "x").zip(coordinate(&center, "y")).ok_or_else(wrong)?;
            let _ = write!(out, "<({x},{y}),{}>", coordinate(&fields, "radius").ok_or_else(wrong)?);
        }
        Target::Geometry => {
            let srid = fields.get("srid").and_then(|field| integer(field.value));
            let ewkb = with_srid(wkb().ok_or_else(wrong)?, srid).ok_or_else(wrong)?;
            out.extend(ewkb.iter().flat_map(|b| [b >> 4, b & 15]).map(|n| b"0123456789ABCDEF"[usize::from(n)]));
        }
        _ => {
            let points = points(&wkb().ok_or_else(wrong)?).ok_or_else(wrong)?;
            let extension = |name: &str| {
                fields.below("extensions").and_then(|fields| fields.get(name)).map(|f| f.value).or_else(|| match fields
                    .get("extensions")?
                    .value
                {
                    Value::Map(pairs) => pairs.iter().find(|(k, _)| *k == Value::string(name)).map(|(_, v)| v),
                    _ => None,
                })
            };
            let closed = extension("closed") != Some(&Value::string("false"));
            shape(target, &points, closed, out).ok_or_else(wrong)?;
        }
    }
    Ok(())
}

fn shape(target: &Target, points: &[(f64, f64)], closed: bool, out: &mut Vec<u8>) -> Option<()> {
    let list = |points: &[(f64, f64)], out: &mut Vec<u8>| {
        for (at, (x, y)) in points.iter().enumerate() {
            let _ = write!(out, "{}({x},{y})", if at > 0 { "," } else { "" });
        }
    };
    match target {
        // A closed ring of its corners.
        Target::Box => list(&[*points.first()?, *points.get(2)?], out),
        Target::LineSegment => {
            out.push(b'[');
            list(points.get(..2)?, out);
            out.push(b']');
        }
        Target::Path => {
            out.push(if closed { b'(' } else { b'[' });
            list(points, out);
            out.push(if closed { b')' } else { b']' });
        }
        Target::Polygon => {
            // PostgreSQL's polygons are closed without saying so.
            let points = match points {
                [first, inner @ .., last] if first == last && !inner.is_empty() => &points[..points.len() - 1],
                _ => points,
            };
            out.push(b'(');
            list(points, out);
            out.push(b')');
        }
        _ => return None,
    }
    Some(())
}

struct Wkb<'a> {
    little: bool,
    rest: &'a [u8],
}

impl Wkb<'_> {
    fn word(&mut self) -> Option<u32> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(if self.little { u32::from_le_bytes(*bytes) } else { u32::from_be_bytes(*bytes) })
    }

    fn double(&mut self) -> Option<f64> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(if self.little { f64::from_le_bytes(*bytes) } else { f64::from_be_bytes(*bytes) })
    }
}

/// The points of a flat WKB geometry; of a polygon its first ring.
fn points(wkb: &[u8]) -> Option<Vec<(f64, f64)>> {
    let (order, rest) = wkb.split_first()?;
    let mut wkb = Wkb { little: *order == 1, rest };
    let count = match wkb.word()? {
        WKB_POINT => 1,
        WKB_LINE_STRING => wkb.word()?,
        WKB_POLYGON => {
            wkb.word()?;
            wkb.word()?
        }
        _ => return None,
    };
    // Each takes sixteen bytes: the count is not trusted.
    if count as usize > wkb.rest.len() / 16 {
        return None;
    }
    (0..count).map(|_| Some((wkb.double()?, wkb.double()?))).collect()
}

/// Puts the SRID into WKB that has none.
fn with_srid(wkb: Vec<u8>, srid: Option<i64>) -> Option<Vec<u8>> {
    let little = *wkb.first()? == 1;
    let word: [u8; 4] = wkb.get(1..5)?.try_into().ok()?;
    let kind = if little { u32::from_le_bytes(word) } else { u32::from_be_bytes(word) };
    let Some(srid) = srid.filter(|_| kind & EWKB_HAS_SRID == 0) else { return Some(wkb) };
    let bytes = |word: u32| if little { word.to_le_bytes() } else { word.to_be_bytes() };
    let mut made = vec![wkb[0]];
    made.extend(bytes(kind | EWKB_HAS_SRID));
    made.extend(bytes(srid as u32));
    made.extend_from_slice(&wkb[5..]);
    Some(made)
}
