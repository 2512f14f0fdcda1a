//! The options of the connector that are one word of several.

/// An enum whose variants are the values of an option, under the names that the option table lists.
macro_rules! modes {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            pub const fn name(self) -> &'static str {
                match self {
                    $($name::$variant => $text,)+
                }
            }

            /// In any case, as the original reads it.
            pub fn from_name(name: &str) -> Option<$name> {
                let name = name.trim();
                $(if name.eq_ignore_ascii_case($text) {
                    return Some($name::$variant);
                })+
                None
            }

            #[cfg(test)]
            pub(crate) const ALL: &'static [&'static str] = &[$($text),+];
        }
    )+};
}

modes! {
    SslMode {
        Disable = "disable",
        Allow = "allow",
        Prefer = "prefer",
        Require = "require",
        VerifyCa = "verify-ca",
        VerifyFull = "verify-full",
    }
    /// What a server must be to be read, as libpq's `target_session_attrs`.
    TargetSession {
        Any = "any",
        /// Not a standby, and not read-only by default.
        ReadWrite = "read-write",
        ReadOnly = "read-only",
        /// Not a standby.
        Primary = "primary",
        Standby = "standby",
    }
    OutputPlugin {
        PgOutput = "pgoutput",
        DecoderBufs = "decoderbufs",
    }
    PublicationAutocreate {
        Disabled = "disabled",
        AllTables = "all_tables",
        Filtered = "filtered",
        NoTables = "no_tables",
    }
    LsnFlushMode {
        Connector = "connector",
        Manual = "manual",
        ConnectorAndDriver = "connector_and_driver",
    }
    LsnFlushTimeoutAction {
        Fail = "fail",
        Warn = "warn",
        Ignore = "ignore",
    }
    OffsetMismatchStrategy {
        NoValidation = "no_validation",
        TrustOffset = "trust_offset",
        TrustSlot = "trust_slot",
        TrustGreaterLsn = "trust_greater_lsn",
    }
    SnapshotMode {
        Always = "always",
        Initial = "initial",
        InitialOnly = "initial_only",
        NoData = "no_data",
        WhenNeeded = "when_needed",
        ConfigurationBased = "configuration_based",
        Custom = "custom",
    }
    SnapshotIsolation {
        Serializable = "serializable",
        RepeatableRead = "repeatable_read",
        ReadCommitted = "read_committed",
        ReadUncommitted = "read_uncommitted",
    }
    SnapshotLocking {
        None = "none",
        Shared = "shared",
        Custom = "custom",
    }
    SnapshotOrder {
        Disabled = "disabled",
        Ascending = "ascending",
        Descending = "descending",
    }
    TimePrecision {
        Adaptive = "adaptive",
        AdaptiveTimeMicroseconds = "adaptive_time_microseconds",
        Connect = "connect",
        IsoString = "isostring",
        Microseconds = "microseconds",
        Nanoseconds = "nanoseconds",
        Structured = "structured",
    }
    DecimalHandling {
        Precise = "precise",
        Double = "double",
        String = "string",
    }
    BinaryHandling {
        Bytes = "bytes",
        Base64 = "base64",
        Base64UrlSafe = "base64-url-safe",
        Hex = "hex",
    }
    HstoreHandling {
        Json = "json",
        Map = "map",
    }
    IntervalHandling {
        Numeric = "numeric",
        String = "string",
    }
    NameAdjustment {
        None = "none",
        Avro = "avro",
        AvroUnicode = "avro_unicode",
    }
    ConvertingFailure {
        Fail = "fail",
        Warn = "warn",
        Skip = "skip",
    }
    ProcessingFailure {
        Fail = "fail",
        Warn = "warn",
        Skip = "skip",
        Ignore = "ignore",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::tables::postgres::POSTGRES;
    use crate::tables::walspring::WALSPRING_CONNECTOR;

    #[test]
    fn have_the_values_of_the_table() {
        let table: &[(&str, &[&str])] = &[
            ("database.sslmode", SslMode::ALL),
            ("walspring.target.session.attrs", TargetSession::ALL),
            ("plugin.name", OutputPlugin::ALL),
            ("publication.autocreate.mode", PublicationAutocreate::ALL),
            ("lsn.flush.mode", LsnFlushMode::ALL),
            ("lsn.flush.timeout.action", LsnFlushTimeoutAction::ALL),
            ("offset.mismatch.strategy", OffsetMismatchStrategy::ALL),
            ("snapshot.mode", SnapshotMode::ALL),
            ("snapshot.isolation.mode", SnapshotIsolation::ALL),
            ("snapshot.locking.mode", SnapshotLocking::ALL),
            ("snapshot.tables.order.by.row.count", SnapshotOrder::ALL),
            ("time.precision.mode", TimePrecision::ALL),
            ("decimal.handling.mode", DecimalHandling::ALL),
            ("binary.handling.mode", BinaryHandling::ALL),
            ("hstore.handling.mode", HstoreHandling::ALL),
            ("interval.handling.mode", IntervalHandling::ALL),
            ("schema.name.adjustment.mode", NameAdjustment::ALL),
            ("field.name.adjustment.mode", NameAdjustment::ALL),
            ("event.converting.failure.handling.mode", ConvertingFailure::ALL),
            ("event.processing.failure.handling.mode", ProcessingFailure::ALL),
        ];
        for (option, values) in table {
            let option_def = POSTGRES.get(option).or(WALSPRING_CONNECTOR.get(option));
            let allowed: BTreeSet<_> = option_def.unwrap().allowed_values().unwrap().iter().collect();
            assert_eq!(allowed, values.iter().collect(), "{option}");
        }
    }
}
