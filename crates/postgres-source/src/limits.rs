//! Sizes and times that are no options: tests make them small.

use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Log that a quiet table may hold back before its position is stored, in bytes and in time.
    pub quiet_bytes: u64,
    pub quiet_interval: Duration,
    /// A batch is closed when it holds this much of the stream: its events, encoded, stay well under a MiB, and the fixed
    /// cost of a batch is spread over some hundred rows. Rows without bytes (truncates) are bounded by their number.
    pub batch_bytes: usize,
    pub batch_changes: usize,
    /// Of transactions in progress, all of them together: what is beyond is written to disk.
    pub held_bytes: usize,
    /// A snapshot by several threads reads larger tables in ranges of at least so many pages: 64 MiB, so that starting
    /// a range costs nothing.
    pub range_pages: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            quiet_bytes: walspring_connect::fault::limit("quiet_bytes", 16 * 1024 * 1024) as u64,
            quiet_interval: Duration::from_secs(60),
            batch_bytes: 256 * 1024,
            batch_changes: walspring_connect::fault::limit("batch_changes", 16 * 1024),
            held_bytes: 8 * 1024 * 1024,
            range_pages: 8192,
        }
    }
}
