//! Spellings of earlier releases, from Debezium 1 on, put into today's words. Each is a warning. A name that is also
//! given in today's spelling wins over its older one.

use crate::config::Config;
use crate::option::OptionTable;
use crate::tables::postgres::POSTGRES;
use crate::values;
use crate::warning::{Warning, WarningKind};

/// Names that changed without an entry of their own in the table (`aliases` has the others).
const RENAMED: &[(&str, &str)] = &[
    ("slot.drop_on_stop", "slot.drop.on.stop"),
    ("toasted.value.placeholder", "unavailable.value.placeholder"),
    ("event.deserialization.failure.handling.mode", "event.processing.failure.handling.mode"),
    ("transaction.topic", "topic.transaction"),
    ("internal.legacy.snapshot.max.threads", "legacy.snapshot.max.threads"),
];

/// An option and value that today are another option and value. Both are kept where the second is the same name.
const REPLACED: &[(&str, &str, &str, &str)] = &[
    ("snapshot.mode", "never", "snapshot.mode", "no_data"),
    ("snapshot.mode", "schema_only", "snapshot.mode", "no_data"),
    ("snapshot.mode", "schema_only_recovery", "snapshot.mode", "no_data"),
    ("snapshot.mode", "initial_schema_only", "snapshot.mode", "no_data"),
    ("snapshot.mode", "exported", "snapshot.mode", "initial"),
    ("flush.lsn.source", "false", "lsn.flush.mode", "manual"),
    ("flush.lsn.source", "true", "lsn.flush.mode", "connector"),
    ("internal.slot.seek.to.known.offset.on.start", "true", "offset.mismatch.strategy", "trust_offset"),
    ("internal.slot.seek.to.known.offset.on.start", "false", "offset.mismatch.strategy", "no_validation"),
    ("sanitize.field.names", "true", "field.name.adjustment.mode", "avro"),
    ("sanitize.field.names", "false", "field.name.adjustment.mode", "none"),
    ("truncate.handling.mode", "skip", "skipped.operations", "t"),
    ("truncate.handling.mode", "include", "skipped.operations", "none"),
];

pub fn modernized(config: &Config) -> (Config, Vec<Warning>) {
    let mut modern = config.clone();
    let mut warnings = Vec::new();
    let mut warn = |name: &str, today: String| {
        warnings.push(Warning { name: name.to_owned(), kind: WarningKind::OldSpelling { today } });
    };
    for (name, value) in config.iter() {
        if let Some(today) = todays_name(name, POSTGRES) {
            if !config.contains(today) {
                modern.insert(today, value);
            }
            // A listed option stays, so that `validate` answers it.
            if !POSTGRES.get(name).is_some_and(|option| option.listed) {
                modern.remove(name);
            }
            warn(name, today.to_owned());
        }
    }
    for (name, value, today, todays_value) in REPLACED {
        // An older name of the option may just have been replaced.
        let given = config.get(name).or_else(|| modern.get(name)).is_some_and(|given| {
            given.trim().eq_ignore_ascii_case(value)
                || values::boolean(given).is_some_and(|given| given.to_string() == *value)
        });
        if !given {
            continue;
        }
        if name == today {
            modern.insert(*name, *todays_value);
        } else {
            if !POSTGRES.get(name).is_some_and(|option| option.listed) {
                modern.remove(name);
            }
            if !config.contains(today) {
                modern.insert(*today, *todays_value);
            }
        }
        warn(&format!("{name}={value}"), format!("{today}={todays_value}"));
    }
    (modern, warnings)
}

fn todays_name(name: &str, table: OptionTable) -> Option<&'static str> {
    if let Some((_, today)) = RENAMED.iter().find(|(old, _)| *old == name) {
        return Some(today);
    }
    if let Some(option) = table.get_by_alias(name) {
        return Some(option.name);
    }
    // Options once marked internal that became public under the rest of their name.
    let public = name.strip_prefix("internal.")?;
    if table.get(name).is_some() {
        return None;
    }
    table.iter().find(|option| option.pattern.is_none() && option.name == public).map(|option| option.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: &[(&str, &str)], expected: &[(&str, &str)], warnings: &[&str]) {
        let (modern, warned) = modernized(&given.iter().copied().collect());
        assert_eq!(modern.iter().collect::<Vec<_>>(), expected);
        assert_eq!(warned.iter().map(ToString::to_string).collect::<Vec<_>>(), warnings);
    }

    #[test]
    fn puts_old_spellings_into_todays_words() {
        check(
            &[("database.server.name", "shop"), ("snapshot.mode", "Never")],
            &[("snapshot.mode", "no_data"), ("topic.prefix", "shop")],
            &[
                "database.server.name is an older spelling; today it is topic.prefix",
                "snapshot.mode=never is an older spelling; today it is snapshot.mode=no_data",
            ],
        );
        check(
            &[("table.whitelist", "a.b"), ("table.include.list", "c.d")],
            &[("table.include.list", "c.d")],
            &["table.whitelist is an older spelling; today it is table.include.list"],
        );
        check(
            &[("flush.lsn.source", "false")],
            &[("flush.lsn.source", "false"), ("lsn.flush.mode", "manual")],
            &["flush.lsn.source=false is an older spelling; today it is lsn.flush.mode=manual"],
        );
        check(
            &[("internal.snapshot.max.threads", "4")],
            &[("snapshot.max.threads", "4")],
            &["internal.snapshot.max.threads is an older spelling; today it is snapshot.max.threads"],
        );
        // The original of today lists it and does not read it.
        check(&[("heartbeat.topics.prefix", "hb")], &[("heartbeat.topics.prefix", "hb")], &[]);
        check(&[("snapshot.mode", "initial")], &[("snapshot.mode", "initial")], &[]);
    }
}
