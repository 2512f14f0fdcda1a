//! Sizes and times that are no options: tests make them small.

use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Log that a quiet table may hold back before its position is stored, in bytes and in time.
    pub quiet_bytes: u64,
    pub quiet_interval: Duration,
    /// A snapshot by several threads reads larger tables in ranges of at least so many pages: 64 MiB, so that starting
    /// a range costs nothing.
    pub range_pages: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { quiet_bytes: 16 * 1024 * 1024, quiet_interval: Duration::from_secs(60), range_pages: 8192 }
    }
}
