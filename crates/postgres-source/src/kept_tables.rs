//! What the catalog said of a table, kept over restarts: one record a table, with its newest versions.
//!
//! The stream tells names, types and identity as of each row; defaults, nullability, keys, labels and comments it does not,
//! and the catalog has only today's. So what the catalog said is kept with the snapshot that read it. When it says
//! something else later, the rows of the catalog tell which transactions wrote them: a transaction of the stream that is
//! older than the first of those goes by what was kept, a younger one by the catalog. DDL and rows of a table exclude each
//! other by its lock, so the ids' order is that of the two, but for transactions that ran side by side with the DDL's
//! before it took its lock.

use serde_json::{Map, Value, json};
use walspring_connect::StateKey;
use walspring_record::{Lsn, ReplicaIdentity};

use crate::catalog::{CatalogColumn, StreamColumn, TableDetails, TypeRow, WrittenBy};

/// Newest versions of a table that are kept.
const VERSIONS_MAX: usize = 4;
/// Of a record: topics take 1 MiB.
const RECORD_BYTES_MAX: usize = 700 << 10;
/// How many transactions may have begun between a snapshot and the reading that follows it.
const NEWER_THAN_SNAPSHOT: u64 = 1 << 20;
/// The form of the records.
const FORM: u64 = 1;
const KIND: &str = "table";

/// A moment of the catalog, with whole transaction ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moment {
    xmin: u64,
    xmax: u64,
    in_progress: Vec<u64>,
    /// The end of the server's log.
    pub lsn: Lsn,
}

impl Moment {
    /// `pg_current_snapshot()`: `xmin:xmax:xip,xip`
    pub fn parse(snapshot: &str, lsn: Lsn) -> Option<Moment> {
        let mut parts = snapshot.split(':');
        let (xmin, xmax, list) = (parts.next()?, parts.next()?, parts.next()?);
        let in_progress =
            list.split(',').filter(|id| !id.is_empty()).map(|id| id.parse().ok()).collect::<Option<_>>()?;
        Some(Moment { xmin: xmin.parse().ok()?, xmax: xmax.parse().ok()?, in_progress, lsn })
    }

    fn text(&self) -> String {
        let list: Vec<String> = self.in_progress.iter().map(u64::to_string).collect();
        format!("{}:{}:{}", self.xmin, self.xmax, list.join(","))
    }

    /// The oldest transaction that may not have been over, as the stream tells ids.
    pub fn oldest(&self) -> u32 {
        self.xmin as u32
    }

    /// The whole of an id of which the lower half is known: the one nearest to now.
    pub fn whole(&self, xid: u32) -> u64 {
        let distance = i64::from(xid.wrapping_sub(self.xmax as u32) as i32);
        self.xmax.saturating_add_signed(distance)
    }

    pub fn sees(&self, xid: u64) -> bool {
        xid < self.xmax && !self.in_progress.contains(&xid)
    }
}

/// What the catalog said at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    pub moment: Moment,
    /// The first transaction that it holds for; zero: all from the beginning.
    pub since: u64,
    /// Of the Relation message that it completed; `None`: it was read before there was any.
    pub shape: Option<u64>,
    pub details: TableDetails,
    /// Users' types of its columns.
    pub types: Vec<TypeRow>,
}

impl Version {
    fn fits(&self, message: &Shape<'_>) -> bool {
        match self.shape {
            Some(shape) => shape == message.fingerprint,
            None => agrees(&self.details, message.columns) && self.identifies(message),
        }
    }

    /// Whether the columns of the identity are the message's.
    fn identifies(&self, message: &Shape<'_>) -> bool {
        let identity: &[String] = match message.identity {
            ReplicaIdentity::Default if self.details.primary_identifies => &self.details.primary_key,
            ReplicaIdentity::Default => &[],
            ReplicaIdentity::Index => &self.details.identity_index,
            ReplicaIdentity::Full | ReplicaIdentity::Nothing => return true,
        };
        message.columns.iter().all(|column| column.is_key == identity.contains(&column.name))
    }
}

/// A Relation message.
pub struct Shape<'a> {
    pub identity: ReplicaIdentity,
    pub columns: &'a [StreamColumn],
    pub fingerprint: u64,
}

impl<'a> Shape<'a> {
    pub fn new(namespace: &str, name: &str, identity: ReplicaIdentity, columns: &'a [StreamColumn]) -> Shape<'a> {
        // FNV-1a: the same in every version of ours.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut add = |bytes: &[u8]| {
            for byte in (bytes.len() as u32).to_le_bytes().iter().chain(bytes) {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
            }
        };
        add(namespace.as_bytes());
        add(name.as_bytes());
        add(match identity {
            ReplicaIdentity::Default => b"d",
            ReplicaIdentity::Nothing => b"n",
            ReplicaIdentity::Full => b"f",
            ReplicaIdentity::Index => b"i",
        });
        for column in columns {
            add(column.name.as_bytes());
            add(&column.type_oid.to_le_bytes());
            add(&column.modifier.to_le_bytes());
            add(&[u8::from(column.is_key)]);
        }
        Shape { identity, columns, fingerprint: hash }
    }
}

/// Whether what was read of the catalog is what the stream describes.
pub fn agrees(details: &TableDetails, columns: &[StreamColumn]) -> bool {
    has_all(details, columns) && columns.len() == details.columns.iter().filter(|c| !c.generated).count()
}

fn has_all(details: &TableDetails, columns: &[StreamColumn]) -> bool {
    let same = |c: &StreamColumn, k: &CatalogColumn| k.type_oid == c.type_oid && k.modifier == c.modifier;
    columns.iter().all(|c| details.column(&c.name).is_some_and(|k| same(c, k)))
}

/// Today's catalog of one table.
pub struct Today<'a> {
    pub moment: &'a Moment,
    pub details: &'a TableDetails,
    pub types: &'a [TypeRow],
}

impl Today<'_> {
    /// The first transaction that changed the catalog after `moment`, as far as its rows show.
    fn changed_after(&self, moment: &Moment) -> Option<u64> {
        let types = self.types.iter().flat_map(|ty| &ty.written_by.0);
        let all = self.details.written_by.0.iter().chain(types).map(|xid| self.moment.whole(*xid));
        // Ids of rows frozen long ago stay as they were; they may look like ids to come.
        all.filter(|xid| !moment.sees(*xid) && *xid < self.moment.xmax + NEWER_THAN_SNAPSHOT).min()
    }

    /// What follows a version, from the first transaction that changed it.
    pub fn follower(&self, version: &Version) -> Version {
        self.version(self.changed_after(&version.moment).unwrap_or(self.moment.xmin), version.shape)
    }

    pub fn version(&self, since: u64, shape: Option<u64>) -> Version {
        Version { moment: self.moment.clone(), since, shape, details: self.details.clone(), types: self.types.to_vec() }
    }
}

/// What a Relation message is completed from.
#[derive(Debug, PartialEq)]
pub enum Choice {
    /// The catalog of today is what is right, or all that there is; a version to note, if it is a new one.
    Today(Option<Version>),
    /// The catalog has changed after the transaction.
    Kept(Version),
}

/// What is right for a transaction that describes the table. `versions`: oldest first.
pub fn choose(versions: &[Version], xid: u32, message: &Shape<'_>, today: &Today<'_>) -> Choice {
    let xid = today.moment.whole(xid);
    let note = |since| Choice::Today(Some(today.version(since, Some(message.fingerprint))));
    let Some(place) = versions.iter().rposition(|version| version.since <= xid) else { return note(0) };
    let (version, newest) = (&versions[place], place + 1 == versions.len());
    if version.fits(message) {
        if version.details == *today.details && version.types == today.types {
            return Choice::Today(None);
        }
        if !newest || !has_all(today.details, message.columns) {
            return Choice::Kept(version.clone());
        }
        return match today.changed_after(&version.moment) {
            Some(change) if xid < change => Choice::Kept(version.clone()),
            Some(change) => note(change),
            // What was dropped leaves no row behind that says who did it.
            None => note(xid),
        };
    }
    if !newest {
        // Between two versions that are known there was another one: nobody has seen it.
        return Choice::Today(None);
    }
    note(today.changed_after(&version.moment).filter(|change| *change <= xid).unwrap_or(xid))
}

/// One table's versions, as text until they are asked for: thousands of tables are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptTable {
    versions: Box<str>,
    /// The end of the log when the table was first found to be gone: rows of before may still come.
    pub gone: Option<Lsn>,
}

impl KeptTable {
    pub fn new(versions: &[Version]) -> KeptTable {
        let all: Vec<Value> = versions.iter().map(write).collect();
        KeptTable { versions: Value::Array(all).to_string().into(), gone: None }
    }

    /// Oldest first.
    pub fn versions(&self) -> Vec<Version> {
        match serde_json::from_str(&self.versions) {
            Ok(Value::Array(all)) => all.iter().filter_map(read).collect(),
            _ => Vec::new(),
        }
    }

    /// With a newer one, which takes the place of what it follows in the same transaction.
    pub fn with(&self, version: Version) -> KeptTable {
        let mut versions = self.versions();
        versions.retain(|older| older.since < version.since);
        versions.push(version);
        bounded(versions)
    }

    /// Without what nothing that comes after `position` can need.
    pub fn without_older_than(&self, position: Lsn) -> KeptTable {
        let mut versions = self.versions();
        let needed = versions.iter().rposition(|version| version.moment.lsn <= position).unwrap_or(0);
        versions.drain(..needed);
        KeptTable { gone: self.gone, ..bounded(versions) }
    }

    /// The value of its record; `source` tells the server and database that it is of. `None`: there is no room for it.
    pub fn record(&self, source: &str) -> Option<Value> {
        let versions: Value = serde_json::from_str(&self.versions).ok()?;
        if self.versions.len() > RECORD_BYTES_MAX {
            return None;
        }
        let mut record = json!({"v": FORM, "source": source, "versions": versions});
        if let Some(lsn) = self.gone {
            record["gone"] = lsn.to_string().into();
        }
        Some(record)
    }

    /// The table that a record is of, and what it says; `None`: it is of something else, another source, or a form to come.
    pub fn read(key: &StateKey, value: &Value, source: &str) -> Option<(u32, KeptTable)> {
        let [kind, oid] = key.as_slice() else { return None };
        let ours = kind == KIND && value["v"] == FORM && value["source"] == source;
        let versions = value["versions"].to_string().into();
        let gone = value["gone"].as_str().and_then(|lsn| lsn.parse().ok());
        ours.then_some((oid.parse().ok()?, KeptTable { versions, gone }))
    }

    pub fn key(oid: u32) -> StateKey {
        vec![KIND.to_owned(), oid.to_string()]
    }
}

fn bounded(mut versions: Vec<Version>) -> KeptTable {
    loop {
        versions.drain(..versions.len().saturating_sub(VERSIONS_MAX));
        let kept = KeptTable::new(&versions);
        if versions.len() <= 1 || kept.versions.len() <= RECORD_BYTES_MAX {
            return kept;
        }
        versions.remove(0);
    }
}

fn write(version: &Version) -> Value {
    let Version { moment, since, shape, details, types } = version;
    let columns: Vec<Value> = details
        .columns
        .iter()
        .map(|c| json!([c.name, c.type_oid, c.modifier, c.nullable, c.default, c.generated, c.comment]))
        .collect();
    let types: Vec<Value> = types
        .iter()
        .map(|t| {
            let (kind, category) = (t.kind.to_string(), t.category.to_string());
            json!([t.oid, t.name, t.namespace, kind, category, t.base, t.modifier, t.element, t.not_null, t.labels])
        })
        .collect();
    let mut all = json!({
        "snapshot": moment.text(),
        "lsn": moment.lsn.to_string(),
        "since": since,
        "columns": columns,
        "primary": details.primary_key,
        "primary_identifies": details.primary_identifies,
        "unique": details.unique_key,
        "unique_may_repeat": details.unique_may_repeat,
        "unique_sure": details.unique_sure,
        "identity": details.identity_index,
    });
    if let Value::Object(all) = &mut all {
        if let Some(shape) = shape {
            all.insert("shape".into(), format!("{shape:016x}").into());
        }
        if !types.is_empty() {
            all.insert("types".into(), types.into());
        }
    }
    all
}

fn read(value: &Value) -> Option<Version> {
    let value = value.as_object()?;
    let columns = value.get("columns")?.as_array()?.iter().map(column).collect::<Option<_>>()?;
    let none = Vec::new();
    let types = value.get("types").and_then(Value::as_array).unwrap_or(&none);
    let lsn = value.get("lsn")?.as_str()?.parse().ok()?;
    Some(Version {
        moment: Moment::parse(value.get("snapshot")?.as_str()?, lsn)?,
        since: value.get("since")?.as_u64()?,
        shape: match value.get("shape") {
            Some(shape) => Some(u64::from_str_radix(shape.as_str()?, 16).ok()?),
            None => None,
        },
        details: TableDetails {
            columns,
            primary_key: names(value, "primary")?,
            primary_identifies: value.get("primary_identifies")?.as_bool()?,
            unique_key: names(value, "unique")?,
            unique_may_repeat: value.get("unique_may_repeat")?.as_bool()?,
            unique_sure: names(value, "unique_sure")?,
            identity_index: names(value, "identity")?,
            written_by: WrittenBy::default(),
        },
        types: types.iter().map(type_row).collect::<Option<_>>()?,
    })
}

fn names(of: &Map<String, Value>, name: &str) -> Option<Vec<String>> {
    texts(of.get(name)?)
}

fn texts(list: &Value) -> Option<Vec<String>> {
    list.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}

fn optional(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn number<T: TryFrom<i64>>(value: &Value) -> Option<T> {
    T::try_from(value.as_i64()?).ok()
}

fn column(value: &Value) -> Option<CatalogColumn> {
    let [name, type_oid, modifier, nullable, default, generated, comment] = value.as_array()?.as_slice() else {
        return None;
    };
    Some(CatalogColumn {
        name: optional(name)?,
        type_oid: number(type_oid)?,
        modifier: number(modifier)?,
        nullable: nullable.as_bool()?,
        default: optional(default),
        generated: generated.as_bool()?,
        comment: optional(comment),
    })
}

fn type_row(value: &Value) -> Option<TypeRow> {
    let [oid, name, namespace, kind, category, base, modifier, element, not_null, labels] =
        value.as_array()?.as_slice()
    else {
        return None;
    };
    Some(TypeRow {
        oid: number(oid)?,
        name: optional(name)?,
        namespace: optional(namespace)?,
        kind: kind.as_str()?.chars().next()?,
        category: category.as_str()?.chars().next()?,
        base: number(base)?,
        modifier: number(modifier)?,
        element: number(element)?,
        not_null: not_null.as_bool()?,
        labels: texts(labels)?,
        written_by: WrittenBy::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of one column, `a`, with this default; `gone`: of another one.
    fn details(default: &str, written_by: &[u32]) -> TableDetails {
        TableDetails {
            columns: vec![CatalogColumn {
                name: if default == "gone" { "z" } else { "a" }.into(),
                type_oid: 23,
                modifier: -1,
                nullable: true,
                default: Some(default.into()),
                generated: false,
                comment: None,
            }],
            primary_key: vec!["a".into()],
            primary_identifies: true,
            written_by: WrittenBy(written_by.to_vec()),
            ..TableDetails::default()
        }
    }

    fn moment(xmax: u64) -> Moment {
        Moment { xmin: xmax, xmax, in_progress: Vec::new(), lsn: Lsn(xmax * 10) }
    }

    fn columns(name: &str) -> Vec<StreamColumn> {
        vec![StreamColumn { name: name.into(), type_oid: 23, modifier: -1, is_key: true }]
    }

    /// What is chosen, and what is noted of it: the default, and the first transaction.
    fn pick(versions: &[Version], xid: u32, name: &str, now: u64, default: &str, by: &[u32]) -> (String, Option<u64>) {
        let columns = columns(name);
        let shape = Shape::new("public", "t", ReplicaIdentity::Default, &columns);
        let (moment, details) = (moment(now), details(default, by));
        let today = Today { moment: &moment, details: &details, types: &[] };
        match choose(versions, xid, &shape, &today) {
            Choice::Today(version) => (default.to_owned(), version.map(|v| v.since)),
            Choice::Kept(version) => (version.details.columns[0].default.clone().unwrap(), None),
        }
    }

    fn version(default: &str, read_at: u64, since: u64) -> Version {
        Version { moment: moment(read_at), since, shape: None, details: details(default, &[]), types: Vec::new() }
    }

    #[test]
    fn a_transaction_before_the_change_goes_by_what_was_kept() {
        let kept = [version("1", 100, 0)];
        assert_eq!(pick(&[], 50, "a", 200, "1", &[10]), ("1".into(), Some(0)));
        assert_eq!(pick(&kept, 150, "a", 200, "1", &[10]), ("1".into(), None));
        assert_eq!(pick(&kept, 119, "a", 200, "2", &[10, 120]), ("1".into(), None));
        assert_eq!(pick(&kept, 120, "a", 200, "2", &[10, 120]), ("2".into(), Some(120)));
        assert_eq!(pick(&kept, 130, "a", 200, "2", &[10, 120]), ("2".into(), Some(120)));
        // Nothing says who changed it.
        assert_eq!(pick(&kept, 130, "a", 200, "2", &[10]), ("2".into(), Some(130)));
        // The catalog does not have the column any more: it has changed since, whoever did it.
        assert_eq!(pick(&[version("1", 100, 0)], 130, "a", 200, "gone", &[10]), ("1".into(), None));
        // Another shape than what was kept.
        assert_eq!(pick(&kept, 130, "b", 200, "2", &[10, 120]), ("2".into(), Some(120)));
    }

    #[test]
    fn between_two_versions_the_first_one_holds() {
        let kept = [version("1", 100, 0), version("2", 150, 120)];
        assert_eq!(pick(&kept, 110, "a", 200, "2", &[120]), ("1".into(), None));
        assert_eq!(pick(&kept, 140, "a", 200, "2", &[120]), ("2".into(), None));
        assert_eq!(pick(&kept, 140, "a", 200, "3", &[170]), ("2".into(), None));
        assert_eq!(pick(&kept, 180, "a", 200, "3", &[170]), ("3".into(), Some(170)));
    }

    #[test]
    fn ids_that_have_gone_round_are_told_apart() {
        let round = 1_u64 << 32;
        let kept = [version("1", round - 10, 0)];
        assert_eq!(pick(&kept, u32::MAX - 3, "a", round + 50, "2", &[7]), ("1".into(), None));
        assert_eq!(pick(&kept, 8, "a", round + 50, "2", &[7]), ("2".into(), Some(round + 7)));
        // A row frozen in the round before.
        assert_eq!(pick(&kept, 8, "a", round + 50, "2", &[7, 60]), ("2".into(), Some(round + 7)));
    }

    #[test]
    fn records_say_what_was_kept_and_are_bounded() {
        let ty = TypeRow {
            oid: 16400,
            name: "mood".into(),
            namespace: "public".into(),
            kind: 'e',
            category: 'E',
            base: 0,
            modifier: -1,
            element: 0,
            not_null: false,
            labels: vec!["sad".into(), "ok".into()],
            written_by: WrittenBy::default(),
        };
        let first = Version { types: vec![ty], shape: Some(u64::MAX), ..version("1", 100, 0) };
        let mut kept = KeptTable::new(std::slice::from_ref(&first));
        assert_eq!(kept.versions(), [first]);
        for n in 1..10 {
            kept = kept.with(version("2", 100 + n, 100 + n));
        }
        let since = |kept: &KeptTable| kept.versions().iter().map(|v| v.since).collect::<Vec<_>>();
        assert_eq!(since(&kept), [106, 107, 108, 109]);
        assert_eq!(since(&kept.with(version("3", 120, 108))), [106, 107, 108]);
        assert_eq!(since(&kept.without_older_than(Lsn(1070))), [107, 108, 109]);
        assert_eq!(since(&kept.without_older_than(Lsn(5))), [106, 107, 108, 109]);
        assert_eq!(since(&kept.without_older_than(Lsn(9999))), [109]);
        let record = kept.record("1/db").unwrap();
        let (oid, read) = KeptTable::read(&KeptTable::key(16384), &record, "1/db").unwrap();
        assert_eq!((oid, since(&read)), (16384, since(&kept)));
        assert!(KeptTable::read(&KeptTable::key(16384), &record, "2/db").is_none());
        assert!(KeptTable::read(&vec!["slot".into()], &record, "1/db").is_none());
        let huge: String = "x".repeat(400 << 10);
        let kept = KeptTable::new(&[version(&huge, 1, 1)]).with(version(&huge, 2, 2));
        assert_eq!(since(&kept), [2]);
        let huge: String = "x".repeat(800 << 10);
        assert!(KeptTable::new(&[version(&huge, 1, 1)]).record("1/db").is_none());
    }

    #[test]
    fn damaged_records_are_passed_over() {
        for text in ["[]", "{}", "[1]", "[{}]", r#"[{"snapshot":"1:1:","lsn":"x","since":1,"columns":[]}]"#, "x"] {
            assert_eq!(KeptTable { versions: text.into(), gone: None }.versions(), [], "{text}");
        }
    }
}
