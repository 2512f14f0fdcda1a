//! Surprises: where the original writes something else than what the database holds. Each has a short name that never
//! changes, for the counter and the log; `docs/strict.md` shows each with values.
//!
//! Without `walspring.strict` the original's bytes are kept, and each surprise is counted and told once per column. In
//! strict mode the value is written as it is, or refused with what mends it.

use std::sync::Arc;

use crate::leaf::{self, Leaf};
use crate::relation::Relation;

/// What surprised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Surprise {
    ArrayDimensions,
    ArrayNull,
    ArrayTimeCut,
    BeforeMadeUp,
    CatalogLater,
    DateInfinite,
    DateOld,
    DefaultMisread,
    GeneratedColumn,
    IntervalMonths,
    KeyExcluded,
    KeyIdentity,
    KeyIndex,
    MaskIgnored,
    MaskKey,
    MaskNull,
    MoneyRounded,
    NameNull,
    NullDefault,
    NumericNan,
    NumericRounded,
    NumericScale,
    RowsTwice,
    TimeMidnight,
    TimestampInfinite,
    TimestampRange,
    TimetzOffset,
    ToastUnknown,
    TopicShared,
    TruncateUnits,
    TypeLeftOut,
    Unconvertible,
}

use Surprise::*;

impl Surprise {
    pub const ALL: [Surprise; 32] = [
        ArrayDimensions,
        ArrayNull,
        ArrayTimeCut,
        BeforeMadeUp,
        CatalogLater,
        DateInfinite,
        DateOld,
        DefaultMisread,
        GeneratedColumn,
        IntervalMonths,
        KeyExcluded,
        KeyIdentity,
        KeyIndex,
        MaskIgnored,
        MaskKey,
        MaskNull,
        MoneyRounded,
        NameNull,
        NullDefault,
        NumericNan,
        NumericRounded,
        NumericScale,
        RowsTwice,
        TimeMidnight,
        TimestampInfinite,
        TimestampRange,
        TimetzOffset,
        ToastUnknown,
        TopicShared,
        TruncateUnits,
        TypeLeftOut,
        Unconvertible,
    ];

    /// Its name in the counter, the log and the documents.
    pub fn name(self) -> &'static str {
        match self {
            ArrayDimensions => "array_dimensions",
            ArrayNull => "array_null",
            ArrayTimeCut => "array_time_cut",
            BeforeMadeUp => "before_made_up",
            CatalogLater => "catalog_later",
            DateInfinite => "date_infinite",
            DateOld => "date_old",
            DefaultMisread => "default_misread",
            GeneratedColumn => "generated_column",
            IntervalMonths => "interval_months",
            KeyExcluded => "key_excluded",
            KeyIdentity => "key_identity",
            KeyIndex => "key_index",
            MaskIgnored => "mask_ignored",
            MaskKey => "mask_key",
            MaskNull => "mask_null",
            MoneyRounded => "money_rounded",
            NameNull => "name_null",
            NullDefault => "null_default",
            NumericNan => "numeric_nan",
            NumericRounded => "numeric_rounded",
            NumericScale => "numeric_scale",
            RowsTwice => "rows_twice",
            TimeMidnight => "time_midnight",
            TimestampInfinite => "timestamp_infinite",
            TimestampRange => "timestamp_range",
            TimetzOffset => "timetz_offset",
            ToastUnknown => "toast_unknown",
            TopicShared => "topic_shared",
            TruncateUnits => "truncate_units",
            TypeLeftOut => "type_left_out",
            Unconvertible => "unconvertible",
        }
    }

    /// What the original does, to follow the column's name.
    pub fn what(self) -> &'static str {
        match self {
            ArrayDimensions => "rows of an array of more than one dimension become null",
            ArrayNull => "an array with a NULL element becomes null as a whole",
            ArrayTimeCut => "times in an array lose what is below a millisecond, and the end of the day",
            BeforeMadeUp => "`before` holds made-up zeros where the old row is not known",
            CatalogLater => "rows of before an ALTER have the key, default, nullability, labels or comment of after it",
            DateInfinite => "an infinite date becomes a number that differs between snapshot and stream",
            DateOld => "a date before 1582-10-15 loses its era or is moved",
            DefaultMisread => "the schema's default is not what the database would put in",
            GeneratedColumn => "a generated column is in the snapshot and not in the stream",
            IntervalMonths => "a month counts 30.4375 days",
            KeyExcluded => "a column of the key that is left out is zero in the snapshot's keys",
            KeyIdentity => "keys of deletes are made up: the key is not part of the replica identity",
            KeyIndex => {
                "the key is of a unique index that is partial or has nullable columns: several rows may have one"
            }
            MaskIgnored => "the column is NOT masked: masks and hashes act on text only",
            MaskKey => "the key shows what the mask should hide",
            MaskNull => "a NULL becomes the mask",
            MoneyRounded => "an amount is rounded to money.fraction.digits",
            NameNull => "values of type name are null in the stream",
            NullDefault => "a NULL is sent as the column's default by converters that replace nulls",
            NumericNan => "NaN and infinities become null",
            NumericRounded => "digits are lost in a double",
            NumericScale => "a negative scale is read as one of about 2,000 digits",
            RowsTwice => "the snapshot reads rows of partitions or of inheriting tables twice",
            TimeMidnight => "24:00:00 becomes 00:00:00, or null",
            TimestampInfinite => "an infinite timestamp becomes a day of the year 292278994",
            TimestampRange => "a timestamp outside of what the mode can hold becomes another one, or null",
            TimetzOffset => "a timetz whose offset has seconds becomes null",
            ToastUnknown => "a large value that a change did not touch cannot be told from a real one",
            TopicShared => "two tables share a topic, and their keys collide",
            TruncateUnits => "characters of two UTF-16 units count twice where text is cut",
            TypeLeftOut => "a column of this type is left out",
            Unconvertible => "a value that cannot be converted becomes null",
        }
    }

    /// What the operator can do.
    pub fn mend(self) -> &'static str {
        match self {
            ArrayDimensions => "keep the column as jsonb, or leave it out with column.exclude.list",
            ArrayNull | ArrayTimeCut | DateOld | TimeMidnight | TimetzOffset | TruncateUnits => {
                "set walspring.strict=true, which writes the value as it is"
            }
            BeforeMadeUp => "ALTER TABLE … REPLICA IDENTITY FULL, or set walspring.strict=true, which writes null",
            CatalogLater => "set walspring.strict=true, which goes by what the table was like at each row",
            DateInfinite | TimestampInfinite => {
                "set walspring.strict=true, which writes the ends of the type, or `infinity` in text"
            }
            DefaultMisread | NullDefault => {
                "set walspring.strict=true, which puts only defaults that are sure into schemas, and none of nullable columns"
            }
            GeneratedColumn => "leave it out with column.exclude.list, or set walspring.strict=true, which does",
            IntervalMonths => "set interval.handling.mode=string",
            KeyExcluded => "take the column out of column.exclude.list, or choose another key with message.key.columns",
            KeyIdentity => {
                "ALTER TABLE … REPLICA IDENTITY DEFAULT where the key is the primary key, or FULL; or name the \
                 identity's columns in message.key.columns"
            }
            KeyIndex => {
                "give the table a primary key, or set walspring.strict=true, which takes only an index that tells all rows apart"
            }
            MaskIgnored => "leave the column out with column.exclude.list, or mask it in a transform (MaskField)",
            MaskKey => "choose another key with message.key.columns",
            MaskNull => "set walspring.strict=true, which writes null",
            MoneyRounded => "set money.fraction.digits to what lc_monetary has, or decimal.handling.mode=string",
            NameNull | TypeLeftOut => {
                "set include.unknown.datatypes=true, or leave the column out with column.exclude.list"
            }
            NumericNan => "set decimal.handling.mode=string",
            NumericRounded => "set decimal.handling.mode=precise or string",
            NumericScale => "declare the column with scale 0, or set walspring.strict=true",
            RowsTwice => {
                "name either the root or the parts in table.include.list, or set walspring.strict=true, which reads them as the \
                 stream names them"
            }
            TimestampRange => "set time.precision.mode=isostring",
            ToastUnknown => "ALTER TABLE … REPLICA IDENTITY FULL",
            TopicShared => "rename one of the tables, or route one of them with a transform",
            Unconvertible => "leave the column out with column.exclude.list, or change its type",
        }
    }

    /// Why strict mode does not go on.
    pub fn refused(self) -> &'static str {
        match self {
            ArrayDimensions => "an array of more than one dimension does not fit the array of its elements",
            IntervalMonths => "years and months have no length in microseconds",
            MoneyRounded => "the amount has more digits than money.fraction.digits",
            NumericNan => "a decimal cannot hold NaN or an infinity",
            NumericRounded => "the number has more digits than a double",
            TimestampRange => "the timestamp is outside of what the mode can hold",
            ToastUnknown => {
                "the change does not carry a large value that it did not touch, and the type has no placeholder"
            }
            other => other.what(),
        }
    }

    /// What the operator can do in strict mode.
    pub fn mend_strict(self) -> &'static str {
        match self {
            BeforeMadeUp => "ALTER TABLE … REPLICA IDENTITY FULL",
            other => other.mend(),
        }
    }

    /// Of a value that a leaf has refused.
    pub fn of_failure(leaf: &Leaf, text: &[u8]) -> Surprise {
        match leaf {
            Leaf::Decimal { .. } | Leaf::VariableScaleDecimal => match text {
                b"NaN" | b"Infinity" | b"-Infinity" => NumericNan,
                _ => Unconvertible,
            },
            Leaf::Timestamp { .. } => TimestampRange,
            Leaf::Time { .. } => TimeMidnight,
            Leaf::TimeTz { .. } => TimetzOffset,
            Leaf::Truncated(truncated) => Surprise::of_failure(&truncated.leaf, text),
            Leaf::Array(array) => {
                let (mut found, mut inner) = (None, None);
                let _ = leaf::elements(text, |element| {
                    match element {
                        leaf::Element::Null if array.null_fails => found = found.or(Some(ArrayNull)),
                        leaf::Element::Nested => found = found.or(Some(ArrayDimensions)),
                        leaf::Element::Text(text) if inner.is_none() && array.element.value(text).is_err() => {
                            inner = Some(Surprise::of_failure(&array.element, text));
                        }
                        _ => {}
                    }
                    Ok(())
                });
                found.or(inner).unwrap_or(Unconvertible)
            }
            _ => Unconvertible,
        }
    }
}

/// Surprises of one column in one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surprised {
    /// `schema.table`; `None` until [`Surprises::locate`].
    pub table: Option<Arc<str>>,
    pub column: Arc<str>,
    pub surprise: Surprise,
    pub count: u64,
}

/// What surprised in a batch: as many entries as columns, whatever the rows.
#[derive(Debug, Default)]
pub struct Surprises {
    pub seen: Vec<Surprised>,
    unlocated: bool,
}

impl Surprises {
    #[cold]
    pub fn add(&mut self, column: &Arc<str>, surprise: Surprise) {
        self.unlocated = true;
        let same = |s: &&mut Surprised| s.table.is_none() && s.surprise == surprise && s.column == *column;
        match self.seen.iter_mut().find(same) {
            Some(seen) => seen.count += 1,
            None => self.seen.push(Surprised { table: None, column: column.clone(), surprise, count: 1 }),
        }
    }

    /// What has been added since the last call was of this relation.
    #[inline]
    pub fn locate(&mut self, relation: &Relation) {
        if self.unlocated {
            self.locate_seen(relation);
        }
    }

    #[cold]
    fn locate_seen(&mut self, relation: &Relation) {
        self.unlocated = false;
        let table: Arc<str> = relation.qualified_name().into();
        let (new, mut seen): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.seen).into_iter().partition(|s| s.table.is_none());
        for new in new {
            let same = |s: &&mut Surprised| {
                s.table.as_deref() == Some(&table) && s.surprise == new.surprise && s.column == new.column
            };
            match seen.iter_mut().find(same) {
                Some(seen) => seen.count += new.count,
                None => seen.push(Surprised { table: Some(table.clone()), ..new }),
            }
        }
        self.seen = seen;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_told_apart() {
        let names: HashSet<&str> = Surprise::ALL.iter().map(|s| s.name()).collect();
        assert_eq!(names.len(), Surprise::ALL.len());
        assert!(names.iter().all(|n| n.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')), "{names:?}");
    }

    #[test]
    fn surprises_of_many_rows_are_one_entry_a_column() {
        let relation = |name: &str| Relation {
            oid: 1,
            namespace: "public".into(),
            name: name.into(),
            identity: crate::ReplicaIdentity::Default,
            columns: Vec::new(),
            key: Vec::new(),
            identifying: Vec::new(),
            key_may_repeat: false,
        };
        let mut surprises = Surprises::default();
        let column: Arc<str> = "c".into();
        for table in ["t", "u", "t"] {
            for _ in 0..3 {
                surprises.add(&column, NumericNan);
            }
            surprises.add(&column, DateOld);
            surprises.locate(&relation(table));
        }
        let seen = surprises.seen.iter().map(|s| (s.table.as_deref().unwrap(), s.surprise, s.count));
        let expected = [
            ("public.t", NumericNan, 6),
            ("public.t", DateOld, 2),
            ("public.u", NumericNan, 3),
            ("public.u", DateOld, 1),
        ];
        assert_eq!(seen.collect::<Vec<_>>(), expected);
    }
}
