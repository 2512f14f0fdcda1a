//! Initial snapshots that go on after a restart.
//!
//! ```text
//! first start    |S  r(1) r(2) r(3) ✗                       pages are sent in their order, S is the slot's point
//! next start              |R  r(4) r(5) … |S  u(2) i(9) …   the rest as of a later point R, then the stream from S
//! ```
//! With each batch of rows the offset says how far the tables are: whole ones by their oid, others by where rows stand in
//! the table's file (`ctid`). A restart makes a temporary slot, whose exported snapshot shows everything that was committed
//! before a point R, reads what is left as of R, and streams from S. So rows are never older than the stream behind them:
//!
//! - A row that was sent as of S is followed by all that happened to it since.
//! - A row that is sent as of R is newer than some of what the stream brings next. What happened between S and R comes once
//!   more, and leads to the same.
//! - A row that an UPDATE has moved from what is left to where all has been sent is in the stream, whole: but for large values
//!   that the UPDATE did not touch. So where there may be such values, rows that were written since S are looked for in the
//!   part that was sent, and sent as of R.
//! - In a table without a key a row of R cannot be told apart from its INSERT in the stream: such a table is read again whole,
//!   alone, and its changes between S and R are left out of the stream (`ReadLater`).
//! - Places are of a file: a table that was rewritten since is read again, alone.
//!
//! Because nothing of the stream has been sent before the rows, a commit that is in the log and not yet visible needs no
//! thought: making the temporary slot waits for it.
//!
//! Invariant: what the offset says is sent stands in records before it, in the same transaction or frame.

mod heaps;
mod left_out;
mod tracker;
mod work;

pub use heaps::{Heap, Heaps, read as heaps};
pub use left_out::LeftOut;
pub use tracker::Tracker;
pub use work::{Left, Work, go_on, left_of};

use walspring_debezium::SnapshotProgress;
use walspring_record::Lsn;

use crate::events::StoredOffset;
use crate::slot::Slot;

/// A snapshot that was begun before.
#[derive(Debug, Clone)]
pub struct Begun {
    /// Where the stream will begin.
    pub lsn: Lsn,
    pub xid: u32,
    pub progress: SnapshotProgress,
}

impl Begun {
    /// What goes on; `Err`: why it begins again.
    pub fn find(stored: &StoredOffset, name: &str, slot: Option<&Slot>) -> Result<Begun, String> {
        let Some(text) = &stored.place().snapshot_progress else {
            return Err("the stored offset does not say how far it was".into());
        };
        let Some(progress) = SnapshotProgress::parse(text) else {
            return Err("another version of Walspring has stored how far it was".into());
        };
        let Some(lsn) = stored.position.lsn else { return Err("the stored offset says no position".into()) };
        let Some(slot) = slot else {
            return Err(format!("the slot {name} is gone, and with it the changes since {lsn}"));
        };
        if let Some(at) = slot.confirmed_lsn.max(slot.restart_lsn).filter(|at| *at > lsn) {
            return Err(format!(
                "the slot {name} stands at {at}, beyond the snapshot's point {lsn}: it was advanced, or dropped and made again"
            ));
        }
        Ok(Begun { lsn, xid: stored.position.xid.unwrap_or_default(), progress })
    }
}
