//! The geometric types of PostgreSQL and of PostGIS, with their shape as well-known binary (WKB).

use crate::leaf::binary::decode_hex;
use crate::leaf::scalar::str;
use crate::leaf::{LeafError, Scalar, Shape};
use crate::value::Value;

const WKB_POINT: u32 = 1;
const WKB_LINE_STRING: u32 = 2;
const WKB_POLYGON: u32 = 3;
/// Of the type's word in PostGIS' extended WKB: a SRID follows.
const EWKB_HAS_SRID: u32 = 0x2000_0000;

pub(super) fn point(text: &[u8]) -> Result<Scalar<'static>, LeafError> {
    match numbers(text)?[..] {
        [x, y] => Ok(Scalar::Tree(point_value(x, y))),
        _ => Err(LeafError::form("a point")),
    }
}

/// `{x, y, wkb, srid}`
pub fn point_value(x: f64, y: f64) -> Value {
    let mut wkb = header(WKB_POINT);
    push_points(&mut wkb, &[x, y]);
    Value::Struct(vec![Value::Float64(x), Value::Float64(y), Value::bytes(wkb), Value::Null])
}

/// `{center, radius}`
pub fn circle_value(x: f64, y: f64, radius: f64) -> Value {
    Value::Struct(vec![point_value(x, y), Value::Float64(radius)])
}

/// `{a, b, c}`
pub fn line_value(a: f64, b: f64, c: f64) -> Value {
    Value::Struct(vec![Value::Float64(a), Value::Float64(b), Value::Float64(c)])
}

/// `{wkb, srid, extensions}` of a shape by its points, given one coordinate after the other.
pub fn shape_value(shape: Shape, points: &[f64], closed: Option<bool>) -> Value {
    let (kind, name) = match shape {
        Shape::Box => (WKB_POLYGON, "box"),
        Shape::Polygon => (WKB_POLYGON, "polygon"),
        Shape::Path => (WKB_LINE_STRING, "path"),
        _ => (WKB_LINE_STRING, "lseg"),
    };
    let mut wkb = header(kind);
    if kind == WKB_POLYGON {
        wkb.extend(1u32.to_le_bytes());
    }
    wkb.extend((points.len() as u32 / 2).to_le_bytes());
    push_points(&mut wkb, points);
    let mut extensions = vec![(Value::string("type"), Value::string(name))];
    if let Some(closed) = closed {
        extensions.push((Value::string("closed"), Value::string(if closed { "true" } else { "false" })));
    }
    Value::Struct(vec![Value::bytes(wkb), Value::Null, Value::Map(extensions)])
}

pub(super) fn geometric(text: &[u8], shape: Shape) -> Result<Scalar<'static>, LeafError> {
    let mut numbers = numbers(text)?;
    let value = match (shape, &numbers[..]) {
        (Shape::Circle, [x, y, radius]) => circle_value(*x, *y, *radius),
        (Shape::Line, [a, b, c]) => line_value(*a, *b, *c),
        (Shape::Lseg, [_, _, _, _]) => shape_value(shape, &numbers, None),
        // Two opposite corners become a closed ring.
        (Shape::Box, [x1, y1, x2, y2]) => shape_value(shape, &[*x1, *y1, *x1, *y2, *x2, *y2, *x2, *y1, *x1, *y1], None),
        (Shape::Path, [_, _, ..]) if numbers.len().is_multiple_of(2) => {
            shape_value(shape, &numbers, Some(text.first() != Some(&b'[')))
        }
        (Shape::Polygon, [x, y, ..]) if numbers.len().is_multiple_of(2) => {
            let first = [*x, *y];
            if numbers.len() >= 4 && numbers[numbers.len() - 2..] != first {
                numbers.extend(first);
            }
            shape_value(shape, &numbers, None)
        }
        _ => return Err(LeafError::form("of its geometric type")),
    };
    Ok(Scalar::Tree(value))
}

/// Hexadecimal EWKB: the bytes as they are, and the SRID that stands in them.
pub(super) fn ewkb(text: &[u8], extensions: bool) -> Result<Scalar<'static>, LeafError> {
    let mut wkb = Vec::new();
    decode_hex(text, &mut wkb)?;
    let wrong = || LeafError::form("EWKB");
    let little = match wkb.first() {
        Some(0) => false,
        Some(1) => true,
        _ => return Err(wrong()),
    };
    let word = |at: usize| {
        let bytes: [u8; 4] = wkb.get(at..at + 4)?.try_into().ok()?;
        Some(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let kind = word(1).ok_or_else(wrong)?;
    let srid = match kind & EWKB_HAS_SRID {
        0 => Value::Null,
        _ => Value::Int32(word(5).ok_or_else(wrong)? as i32),
    };
    let mut fields = vec![Value::bytes(wkb), srid];
    fields.extend(extensions.then_some(Value::Null));
    Ok(Scalar::Tree(Value::Struct(fields)))
}

/// All numbers of `<(0,0),1>` and the like: brackets only say what the type says too.
fn numbers(text: &[u8]) -> Result<Vec<f64>, LeafError> {
    str(text)?
        .split(['(', ')', '[', ']', '{', '}', '<', '>', ','])
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().map_err(|_| LeafError::form("of its geometric type")))
        .collect()
}

fn header(kind: u32) -> Vec<u8> {
    let mut wkb = vec![1];
    wkb.extend(kind.to_le_bytes());
    wkb
}

fn push_points(wkb: &mut Vec<u8>, coordinates: &[f64]) {
    wkb.extend(coordinates.iter().flat_map(|c| c.to_le_bytes()));
}
