//! How far an initial snapshot is, in the offset: so that a restart goes on with it. The original has nothing of the kind; it
//! passes over the key, and makes the snapshot again.
//!
//! Where rows stand in a table's file (`ctid`) tells which of them have been sent. A row that is moved later is in the
//! stream, so the places hold for as long as the file is the same.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value as Json, json};

/// Of what stands under the key. One that is not known is passed over.
const VERSION: u64 = 2;

/// The place of a row in its table's file: page and item. Ordered as the file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowPlace {
    pub page: u32,
    pub item: u16,
}

impl RowPlace {
    pub const BEGIN: RowPlace = RowPlace { page: 0, item: 0 };
    /// Behind every row.
    pub const END: RowPlace = RowPlace { page: u32::MAX, item: 0 };

    pub const fn page(page: u32) -> RowPlace {
        RowPlace { page, item: 0 }
    }

    /// PostgreSQL's text, `(page,item)`.
    pub fn parse(text: &[u8]) -> Option<RowPlace> {
        let (page, item) = std::str::from_utf8(text).ok()?.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
        Some(RowPlace { page: page.parse().ok()?, item: item.parse().ok()? })
    }

    /// The place right behind this one.
    pub fn next(self) -> RowPlace {
        match self.item.checked_add(1) {
            Some(item) => RowPlace { item, ..self },
            None => RowPlace::page(self.page.saturating_add(1)),
        }
    }
}

/// From the first place up to, and without, the second.
pub type Stretch = (RowPlace, RowPlace);

/// A table of which a part has been sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablePart {
    pub table: u32,
    /// `pg_class.relfilenode`: places are of this file.
    pub file: u32,
    /// In order, and none touches another.
    pub read: Vec<Stretch>,
}

impl TablePart {
    pub fn new(table: u32, file: u32) -> TablePart {
        TablePart { table, file, read: Vec::new() }
    }

    /// Adds a stretch that has been sent.
    pub fn add(&mut self, (from, to): Stretch) {
        if from >= to {
            return;
        }
        let begin = self.read.partition_point(|(_, end)| *end < from);
        let end = self.read.partition_point(|(start, _)| *start <= to);
        let (mut joined_from, mut joined_to) = (from, to);
        for (start, end) in &self.read[begin..end] {
            (joined_from, joined_to) = (joined_from.min(*start), joined_to.max(*end));
        }
        self.read.splice(begin..end, [(joined_from, joined_to)]);
    }

    /// What has not been sent.
    pub fn left(&self) -> Vec<Stretch> {
        let mut left = Vec::new();
        let mut from = RowPlace::BEGIN;
        for (start, end) in &self.read {
            if from < *start {
                left.push((from, *start));
            }
            from = *end;
        }
        if from < RowPlace::END {
            left.push((from, RowPlace::END));
        }
        left
    }
}

/// Tables that have been read whole, by their oids, and how they are written: an offset tells all of them, and there is one
/// for each that ends, so that what is written only grows at its end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Done {
    tables: BTreeSet<u32>,
    /// In the order in which they ended, each as its distance from the one before: a few bytes a table.
    text: String,
    last: u32,
}

impl Done {
    pub fn insert(&mut self, table: u32) {
        if self.tables.insert(table) {
            let comma = if self.text.is_empty() { "" } else { "," };
            let distance = i64::from(table) - i64::from(std::mem::replace(&mut self.last, table));
            let _ = write!(self.text, "{comma}{distance}");
        }
    }

    pub fn contains(&self, table: u32) -> bool {
        self.tables.contains(&table)
    }

    pub fn len(&self) -> usize {
        self.tables.len()
    }

    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    fn parse(json: &Json) -> Option<Done> {
        let (mut done, mut table) = (Done::default(), 0i64);
        for distance in json.as_array()? {
            table = table.checked_add(distance.as_i64()?)?;
            done.insert(u32::try_from(table).ok()?);
        }
        Some(done)
    }
}

impl FromIterator<u32> for Done {
    fn from_iter<I: IntoIterator<Item = u32>>(tables: I) -> Done {
        let mut done = Done::default();
        tables.into_iter().for_each(|table| done.insert(table));
        done
    }
}

/// The state of an initial snapshot that has not come to its end. Tables go by their oids.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SnapshotProgress {
    /// The oldest transaction that the first of its readings did not see whole.
    pub xmin: u64,
    pub done: Done,
    pub parts: Vec<TablePart>,
}

impl SnapshotProgress {
    /// What [`SnapshotProgress::text`] wrote; `None`: another version did.
    pub fn parse(text: &str) -> Option<SnapshotProgress> {
        let stored: Json = serde_json::from_str(text).ok()?;
        if stored.get("version")?.as_u64()? != VERSION {
            return None;
        }
        Some(SnapshotProgress {
            xmin: stored.get("xmin")?.as_u64()?,
            done: Done::parse(stored.get("done")?)?,
            parts: stored.get("parts")?.as_array()?.iter().map(part).collect::<Option<_>>()?,
        })
    }

    /// For the offset.
    pub fn text(&self) -> String {
        let places = |(from, to): &Stretch| json!([from.page, from.item, to.page, to.item]);
        let part = |part: &TablePart| json!({ "table": part.table, "file": part.file, "read": part.read.iter().map(places).collect::<Vec<_>>() });
        let parts = Json::from_iter(self.parts.iter().map(part));
        let (xmin, done) = (self.xmin, &self.done.text);
        format!("{{\"version\":{VERSION},\"xmin\":{xmin},\"done\":[{done}],\"parts\":{parts}}}")
    }
}

fn part(json: &Json) -> Option<TablePart> {
    let number = |name: &str| u32::try_from(json.get(name)?.as_u64()?).ok();
    let mut part = TablePart::new(number("table")?, number("file")?);
    for stretch in json.get("read")?.as_array()? {
        let numbers: Vec<u64> = stretch.as_array()?.iter().map(Json::as_u64).collect::<Option<_>>()?;
        let [from_page, from_item, to_page, to_item] = numbers[..] else { return None };
        let place =
            |page: u64, item: u64| Some(RowPlace { page: u32::try_from(page).ok()?, item: u16::try_from(item).ok()? });
        part.add((place(from_page, from_item)?, place(to_page, to_item)?));
    }
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(page: u32, item: u16) -> RowPlace {
        RowPlace { page, item }
    }

    #[test]
    fn what_was_stored_is_found_again() {
        let mut part = TablePart::new(16_500, 16_777);
        part.add((RowPlace::BEGIN, at(7, 3)));
        part.add((at(100, 0), RowPlace::END));
        let progress = SnapshotProgress {
            xmin: 1 << 33,
            done: [16_384, 20_000, 16_390, 16_384].into_iter().collect(),
            parts: vec![part],
        };
        assert_eq!(
            progress.text(),
            "{\"version\":2,\"xmin\":8589934592,\"done\":[16384,3616,-3610],\
             \"parts\":[{\"table\":16500,\"file\":16777,\"read\":[[0,0,7,3],[100,0,4294967295,0]]}]}"
        );
        assert_eq!(SnapshotProgress::parse(&progress.text()), Some(progress));
    }

    #[test]
    fn what_another_version_stored_is_passed_over() {
        for text in [
            r#"{"version":1,"xmin":1,"done":[],"parts":[],"later":[]}"#,
            r#"{"version":2,"xmin":1,"done":[4294967295,4294967295],"parts":[]}"#,
            r#"{"version":2,"xmin":1,"done":[5,-6],"parts":[]}"#,
            r#"{"version":2,"xmin":1,"done":[9223372036854775807,1],"parts":[]}"#,
            r#"{"version":2,"xmin":1,"done":[],"parts":[{"table":1,"file":1,"read":[[0,0,1]]}]}"#,
            "[]",
            "",
        ] {
            assert_eq!(SnapshotProgress::parse(text), None, "{text}");
        }
    }

    #[test]
    fn places_are_read_as_postgresql_writes_them() {
        assert_eq!(RowPlace::parse(b"(12,3)"), Some(at(12, 3)));
        for wrong in ["", "(1)", "(1,2", "(-1,2)", "(1,70000)"] {
            assert_eq!(RowPlace::parse(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(at(1, u16::MAX).next(), at(2, 0));
    }

    proptest! {
        #[test]
        fn what_is_left_is_what_was_not_added(stretches in prop::collection::vec((0u32..40, 0u32..12), 0..12)) {
            let mut part = TablePart::new(1, 1);
            for (from, len) in &stretches {
                part.add((RowPlace::page(*from), RowPlace::page(from + len)));
            }
            let within = |list: &[Stretch], page: u32| list.iter().any(|(from, to)| (from.page..to.page).contains(&page));
            for page in 0..60 {
                let added = stretches.iter().any(|(from, len)| (*from..from + len).contains(&page));
                prop_assert_eq!(within(&part.read, page), added);
                prop_assert_eq!(within(&part.left(), page), !added);
            }
            prop_assert!(part.read.windows(2).all(|pair| pair[0].1 < pair[1].0), "{:?}", part.read);
        }
    }
}
