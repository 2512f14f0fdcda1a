//! Initial snapshots that go on after a restart.
//!
//! ```text
//! first start    |S  r(1) r(2) r(3) ✗                        pages are sent in their order, S is the slot's point
//! next start     |S  u(2) u(9) i(12) … |R  r(4) r(5) … |R  u(1) …   the stream up to a later point R, the rest as of R
//! ```
//! With each batch of rows the offset says how far the tables are: whole ones by their oid, others by where rows stand in
//! the table's file (`ctid`). A restart streams from where the offset stands, at first S. Once it has come to the end of
//! the log as it was, it makes a temporary slot, whose exported snapshot shows everything that was committed before a point
//! R; the stream goes on to the last transaction that commits before R and stands still, the rest is read as of R, and the
//! stream goes on. So a row's events come in the order of what happened to it:
//!
//! - A row that was sent as of S is followed by all that has happened to it since.
//! - A row that is sent as of R comes behind all that happened to it before R. What happened to one that had not been sent
//!   yet is in the stream too, as for a consumer that came later.
//! - A row that an UPDATE has moved from what is left to where all has been sent is in the stream, whole: but for large values
//!   that the UPDATE did not touch. So where there may be such values, rows that were written since S are looked for in the
//!   part that was sent, and sent as of R.
//! - In a table without a key a row of R cannot be told apart from its INSERT in the stream: such a table is read again whole,
//!   alone, and its changes are left out of the stream up to R ([`CatchUp`]).
//! - Places are of a file: a table that was rewritten since is read again, alone.
//!
//! On the way to R, and while the rest is read, an offset is the stream's place with the snapshot's account beside it, and
//! says that an initial snapshot is under way: another restart streams from there and goes on likewise, the original begins
//! its snapshot again.
//!
//! A commit that is in the log and not yet visible needs no thought: making the temporary slot waits for it.
//!
//! Invariant: what the offset says is sent stands in records before it, in the same transaction or frame.

mod catch_up;
mod heaps;
mod tracker;
mod work;

pub use catch_up::CatchUp;
pub use heaps::{Heap, Heaps, read as heaps};
pub use tracker::Tracker;
pub use work::{Left, Work, left_of};

use walspring_debezium::SnapshotProgress;

use crate::events::StoredOffset;
use crate::position::Resume;
use crate::slot::Slot;

/// A snapshot that was begun before.
#[derive(Debug, Clone)]
pub struct Begun {
    /// Where the stream goes on.
    pub resume: Resume,
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
        let resume = match (stored.place().is_of_stream(), stored.position.lsn) {
            (true, _) => Resume::after(&stored.position),
            (false, Some(lsn)) => Resume::at(lsn),
            (false, None) => return Err("the stored offset says no position".into()),
        };
        let lsn = resume.start;
        let Some(slot) = slot else {
            return Err(format!("the slot {name} is gone, and with it the changes since {lsn}"));
        };
        if let Some(at) = slot.confirmed_lsn.max(slot.restart_lsn).filter(|at| *at > lsn) {
            return Err(format!(
                "the slot {name} stands at {at}, beyond {lsn}, where the stream would go on: it was advanced, or dropped and \
                 made again"
            ));
        }
        Ok(Begun { resume, progress })
    }
}
