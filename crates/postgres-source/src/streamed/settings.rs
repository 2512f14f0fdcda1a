//! Whether transactions in progress are asked for, and where they are kept.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use walspring_config::config::Config;

const ENABLED: &str = "walspring.streaming";
const DISK_MAX: &str = "walspring.spill.max.bytes";

/// A 10-million-row transaction takes about 1 GiB.
const DISK_MAX_DEFAULT: u64 = 4 << 30;

/// Bounds of what is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spill {
    pub dir: PathBuf,
    /// Of all open transactions together. What is beyond is written to disk.
    pub memory_max: usize,
    pub disk_max: u64,
}

/// The connector's settings.
#[derive(Debug, Clone)]
pub struct Streaming {
    /// `walspring.streaming`
    enabled: bool,
    /// `walspring.spill.max.bytes`
    pub disk_max: u64,
    /// `walspring.spill.dir`, the worker's
    pub dir: PathBuf,
    pub refused: Refused,
}

/// Set once a stream could not keep what it was sent.
#[derive(Debug, Clone, Default)]
pub struct Refused(Arc<AtomicBool>);

/// Of each connector, as it is configured. Attempts at a task come and go; this stays.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<HashMap<String, (u64, Refused)>>);

impl Streaming {
    /// `params`: `slot.stream.params`. What they say of streaming is theirs, with the original's protocol version.
    pub fn parse(config: &Config, params: &[(String, String)]) -> Streaming {
        let theirs = params.iter().any(|(name, _)| name == "streaming");
        let off = config.get(ENABLED).is_some_and(|value| value.trim().eq_ignore_ascii_case("false"));
        let disk_max = config.get(DISK_MAX).and_then(|value| value.trim().parse().ok());
        Streaming {
            enabled: !off && !theirs,
            disk_max: disk_max.unwrap_or(DISK_MAX_DEFAULT),
            dir: default_dir(),
            refused: Refused::default(),
        }
    }

    /// Whether to ask a server of this version (`server_version_num`). Before 15 BEGIN stands where the transaction began,
    /// which a stream does not tell; only `transaction_metadata` shows it.
    pub fn wanted(&self, version: u32, transaction_metadata: bool) -> bool {
        let exact = version >= 150_000 || version >= 140_000 && !transaction_metadata;
        self.enabled && exact && !self.refused.is_set()
    }
}

impl Refused {
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Refusals {
    /// The connector's; a new one where its configuration is another.
    pub fn of(&self, connector: &str, config: &[(String, String)]) -> Refused {
        let mut hasher = DefaultHasher::new();
        config.hash(&mut hasher);
        let version = hasher.finish();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get(connector) {
            Some((of, refused)) if *of == version => refused.clone(),
            _ => {
                let refused = Refused::default();
                all.insert(connector.to_owned(), (version, refused.clone()));
                refused
            }
        }
    }
}

/// A directory for files that may be large: `/tmp` is memory on many systems, `/var/tmp` is not.
fn default_dir() -> PathBuf {
    let large = PathBuf::from("/var/tmp");
    match std::env::var_os("TMPDIR") {
        None if large.is_dir() => large,
        _ => std::env::temp_dir(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn streaming(pairs: &[(&str, &str)], params: &[(&str, &str)]) -> Streaming {
        Streaming::parse(&owned(pairs).into_iter().collect(), &owned(params))
    }

    #[test]
    fn it_is_asked_for_where_it_is_exact() {
        for (pairs, params, version, metadata, wanted) in [
            (&[][..], &[][..], 150_000, true, true),
            (&[], &[], 140_020, false, true),
            (&[], &[], 140_020, true, false),
            (&[], &[], 130_010, false, false),
            (&[(ENABLED, "false")], &[], 180_000, false, false),
            (&[(ENABLED, " True ")], &[], 180_000, false, true),
            (&[], &[("binary", "false"), ("streaming", "off")], 180_000, false, false),
            (&[], &[("binary", "false")], 180_000, false, true),
        ] {
            let streaming = streaming(pairs, params);
            assert_eq!(streaming.wanted(version, metadata), wanted, "{pairs:?} {params:?} {version} {metadata}");
        }
        let given = streaming(&[], &[]);
        given.refused.set();
        assert!(!given.wanted(180_000, false));
        assert_eq!(streaming(&[(DISK_MAX, "17")], &[]).disk_max, 17);
    }

    #[test]
    fn a_refusal_stays_until_the_configuration_changes() {
        let refusals = Refusals::default();
        let config = |value: &str| vec![("a".to_owned(), value.to_owned())];
        refusals.of("one", &config("1")).set();
        assert!(refusals.of("one", &config("1")).is_set());
        assert!(!refusals.of("two", &config("1")).is_set());
        assert!(!refusals.of("one", &config("2")).is_set());
    }
}
