//! Bugs in what a batch holds, for the rig that has to find them (`walspring_connect::fault`). In a release nothing is left.

use std::sync::atomic::{AtomicU64, Ordering};

use walspring_connect::fault::planted;
use walspring_record::{Cell, Change, ChangeBatch, ChangeKind};

/// A bug in every so many batches of more than one row: often enough for a short run, seldom enough to look like luck.
const EVERY: u64 = 4;

pub(crate) fn spoil(batch: &mut ChangeBatch) {
    if !cfg!(debug_assertions) {
        return;
    }
    spoil_offset(batch);
    // Messages and the like are not in the account.
    let is_row = |change: &Change| change.kind != ChangeKind::Record;
    let Some(head) = batch.changes.iter().position(is_row) else { return };
    let last = batch.changes.iter().rposition(is_row).unwrap_or(head);
    static BATCHES: AtomicU64 = AtomicU64::new(0);
    static STREAMED: AtomicU64 = AtomicU64::new(0);
    let due = last > head && BATCHES.fetch_add(1, Ordering::Relaxed).is_multiple_of(EVERY);
    let is_read = batch.changes[head].kind == ChangeKind::Read;
    let first = !is_read && STREAMED.fetch_add(1, Ordering::Relaxed) == 0;
    let find = |kind| batch.changes.iter().position(|change| change.kind == kind);
    if is_read && planted("lose_snapshot_row") || first && planted("lose_after_restart") {
        batch.changes.remove(head);
    } else if planted("lose_delete") {
        batch.changes.retain(|change| change.kind != ChangeKind::Delete);
    } else if is_read || !due {
    } else if planted("lose_row") {
        batch.changes.remove(last);
    } else if planted("repeat_row") {
        batch.changes.push(batch.changes[last]);
    } else if planted("swap_rows") {
        batch.changes.swap(head, last);
    } else if planted("mix_rows") {
        batch.changes[head].new = batch.changes[last].new;
    } else if planted("wrong_transaction") {
        batch.transactions.iter_mut().for_each(|t| t.xid = t.xid.map(|xid| xid + 1));
    } else if let Some(at) = find(ChangeKind::Insert).filter(|_| planted("wrong_kind")) {
        batch.changes[at].kind = ChangeKind::Update;
    } else if let Some(at) = find(ChangeKind::Insert).filter(|_| planted("spoil_value")) {
        let cell: Cell = batch.cells[batch.changes[at].new as usize + 2];
        if let Some(text) = cell.get(&batch.bytes).filter(|text| !text.is_empty()) {
            let place = text.as_ptr() as usize - batch.bytes.as_ptr() as usize;
            batch.bytes[place] ^= 1;
        }
    }
}

fn spoil_offset(batch: &mut ChangeBatch) {
    if planted("forget_offset") {
        batch.offset = None;
    } else if planted("offset_runs_ahead")
        && let Some(events) = batch.offset.as_mut().and_then(|offset| offset.get_mut("lsn_events_processed"))
    {
        *events = (events.as_u64().unwrap_or_default() + 1).into();
    }
}
