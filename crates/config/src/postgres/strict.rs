//! `walspring.strict`: settings that lose data are refused, each with what to set in its place.

use crate::config::{Config, ConfigError};
use crate::postgres::{DecimalHandling, PostgresConnectorConfig, TimePrecision};
use crate::values;

impl PostgresConnectorConfig {
    /// What strict mode refuses; nothing without it.
    pub fn strict_conflicts(&self) -> Vec<ConfigError> {
        if !self.strict {
            return Vec::new();
        }
        let mut conflicts = Vec::new();
        let mut refuse = |option: &str, loses: &str, mend: &str| {
            let message = format!("walspring.strict=true refuses this value of {option}: it {loses}; {mend}");
            conflicts.push(ConfigError::new(option, message));
        };
        if self.representation.decimal == DecimalHandling::Double {
            refuse("decimal.handling.mode", "loses digits beyond the fifteenth", "set precise or string");
        }
        if self.representation.time_precision == TimePrecision::Connect {
            refuse("time.precision.mode", "loses microseconds", "set adaptive, microseconds or isostring");
        }
        if given(&self.raw, "event.converting.failure.handling.mode", &["warn", "skip"]) {
            let option = "event.converting.failure.handling.mode";
            refuse(option, "writes null for what cannot be converted", "set fail, or leave it out");
        }
        if given(&self.raw, "event.processing.failure.handling.mode", &["warn", "skip"]) {
            let option = "event.processing.failure.handling.mode";
            refuse(option, "leaves out events that cannot be made", "set fail, or leave it out");
        }
        if given(&self.raw, "errors.tolerance", &["all"]) {
            refuse("errors.tolerance", "leaves out records that cannot be converted or written", "set none");
        }
        if self.raw.get("include.unknown.datatypes").and_then(values::boolean) == Some(false) {
            let option = "include.unknown.datatypes";
            refuse(option, "leaves out columns", "set true, or name the columns in column.exclude.list");
        }
        if self.slot.drop_on_stop {
            refuse("slot.drop.on.stop", "loses what changes while the connector is stopped", "set false");
        }
        if self.connection.initial_statements.iter().any(|statement| sets_time_zone(statement)) {
            let option = "database.initial.statements";
            refuse(
                option,
                "makes ranges of timestamps differ between snapshot and stream",
                "leave the time zone as it is",
            );
        }
        conflicts
    }
}

fn given(config: &Config, option: &str, values: &[&str]) -> bool {
    let given = config.get(option).map(str::trim).unwrap_or_default();
    values.iter().any(|value| given.eq_ignore_ascii_case(value))
}

/// `SET TIME ZONE …`, `set timezone to …`, `set_config('TimeZone', …)`
fn sets_time_zone(statement: &str) -> bool {
    let words: String = statement.to_ascii_lowercase().split_whitespace().collect();
    words.starts_with("set") && words.contains("timezone") || words.contains("set_config('timezone'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(options: &[(&str, &str)], strict: bool) -> Vec<String> {
        let base = [
            ("database.hostname", "db"),
            ("database.user", "me"),
            ("database.dbname", "shop"),
            ("topic.prefix", "shop"),
            ("plugin.name", "pgoutput"),
            ("walspring.strict", if strict { "true" } else { "false" }),
        ];
        let config = PostgresConnectorConfig::parse(&base.iter().chain(options).copied().collect()).unwrap().0;
        let conflicts = config.strict_conflicts();
        assert!(conflicts.iter().all(|c| c.message.contains("walspring.strict=true")), "{conflicts:?}");
        conflicts.into_iter().map(|conflict| conflict.name).collect()
    }

    #[test]
    fn settings_that_lose_data_are_refused() {
        for (option, value) in [
            ("decimal.handling.mode", "double"),
            ("time.precision.mode", "connect"),
            ("event.converting.failure.handling.mode", "warn"),
            ("event.converting.failure.handling.mode", "SKIP"),
            ("event.processing.failure.handling.mode", "warn"),
            ("errors.tolerance", "all"),
            ("include.unknown.datatypes", "false"),
            ("slot.drop.on.stop", "true"),
            ("database.initial.statements", "select 1; SET  TIME ZONE 'Europe/Berlin'"),
            ("database.initial.statements", "select set_config('TimeZone', 'UTC+2', false)"),
        ] {
            assert_eq!(refused(&[(option, value)], true), [option], "{option}={value}");
            assert_eq!(refused(&[(option, value)], false), [] as [&str; 0]);
        }
    }

    #[test]
    fn defaults_and_settings_that_lose_nothing_are_taken() {
        assert_eq!(refused(&[], true), [] as [&str; 0]);
        for (option, value) in [
            ("decimal.handling.mode", "string"),
            ("time.precision.mode", "isostring"),
            ("event.converting.failure.handling.mode", "fail"),
            ("include.unknown.datatypes", "true"),
            ("errors.tolerance", "none"),
            ("database.initial.statements", "set work_mem = '64MB'"),
        ] {
            assert_eq!(refused(&[(option, value)], true), [] as [&str; 0], "{option}={value}");
        }
    }
}
