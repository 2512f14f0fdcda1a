//! Every name that the source writes to `/metrics`, with its type and help. docs/observability.md lists them.
//!
//! `debezium_metrics_…` are the original's attributes as the usual rules of the JMX exporter print them; numbers that only
//! grow are gauges there too, because a counter's name would have to end in `_total`.

use walspring_connect::{NumberFamily, NumberKind};

macro_rules! families {
    ($($id:ident $kind:ident $name:literal $help:literal;)*) => {
        $(pub const $id: NumberFamily = NumberFamily { name: $name, kind: NumberKind::$kind, help: $help };)*

        /// For the tests that hold names and pages against each other.
        #[cfg(test)]
        pub const ALL: &[NumberFamily] = &[$($id),*];
    };
}

families! {
    // Of both contexts.
    LAST_EVENT_AGE Gauge "debezium_metrics_MilliSecondsSinceLastEvent" "Milliseconds since the last event; -1 before the first.";
    EVENTS Gauge "debezium_metrics_TotalNumberOfEventsSeen" "Events read, and those that were left out.";
    CREATES Gauge "debezium_metrics_TotalNumberOfCreateEventsSeen" "Inserts read.";
    UPDATES Gauge "debezium_metrics_TotalNumberOfUpdateEventsSeen" "Updates read.";
    DELETES Gauge "debezium_metrics_TotalNumberOfDeleteEventsSeen" "Deletes read.";
    FILTERED Gauge "debezium_metrics_NumberOfEventsFiltered" "Changes of tables that are not captured.";
    ERRONEOUS Gauge "debezium_metrics_NumberOfErroneousEvents" "Records left out because errors.tolerance is all.";
    CAPTURED Gauge "debezium_metrics_CapturedTables" "1 for each captured table; other: how many more there are.";
    QUEUE_TOTAL Gauge "debezium_metrics_QueueTotalCapacity" "max.queue.size; what waits is bounded in bytes.";
    QUEUE_LEFT Gauge "debezium_metrics_QueueRemainingCapacity" "The free share of the bound in bytes, as a part of max.queue.size.";
    QUEUE_BYTES_MAX Gauge "debezium_metrics_MaxQueueSizeInBytes" "The most that may wait to become durable, in bytes; 0: not known.";
    QUEUE_BYTES Gauge "debezium_metrics_CurrentQueueSizeInBytes" "What waits to become durable, in bytes.";

    // Of the stream.
    CONNECTED Gauge "debezium_metrics_Connected" "1 while the slot is streamed from.";
    BEHIND Gauge "debezium_metrics_MilliSecondsBehindSource" "From the last event's commit until it was read here; stays when nothing comes; -1 before the first.";
    BEHIND_MIN Gauge "debezium_metrics_MilliSecondsBehindSourceMinValue" "The least of MilliSecondsBehindSource since the task began.";
    BEHIND_MAX Gauge "debezium_metrics_MilliSecondsBehindSourceMaxValue" "The most of MilliSecondsBehindSource since the task began.";
    BEHIND_AVERAGE Gauge "debezium_metrics_MilliSecondsBehindSourceAverageValue" "The mean of MilliSecondsBehindSource since the task began.";
    BEHIND_P50 Gauge "debezium_metrics_MilliSecondsBehindSourceP50" "The median of MilliSecondsBehindSource since the task began.";
    BEHIND_P95 Gauge "debezium_metrics_MilliSecondsBehindSourceP95" "The 95th percentile of MilliSecondsBehindSource since the task began.";
    BEHIND_P99 Gauge "debezium_metrics_MilliSecondsBehindSourceP99" "The 99th percentile of MilliSecondsBehindSource since the task began.";
    TRANSACTIONS Gauge "debezium_metrics_NumberOfCommittedTransactions" "Transactions with a captured event.";
    DISCONNECTS Gauge "debezium_metrics_NumberOfDisconnects" "Attempts at the task that a transient error ended.";
    SKIPPED Gauge "debezium_metrics_NumberOfSkippedEvents" "Changes left out by skipped.operations.";
    UNCHANGED Gauge "debezium_metrics_NumberOfUnchangedEventsSkipped" "Updates left out by skip.messages.without.change; -1: it is off.";
    POSITION Gauge "debezium_metrics_SourceEventPosition" "The last event's position in the log (key: lsn), as a number.";
    LAST_TRANSACTION Gauge "debezium_metrics_LastTransactionId" "The last event's transaction; -1 before the first.";

    // Of the snapshot.
    TABLES_TOTAL Gauge "debezium_metrics_TotalTableCount" "Tables of the snapshot.";
    TABLES_LEFT Gauge "debezium_metrics_RemainingTableCount" "Tables of the snapshot that are not read wholly yet.";
    RUNNING Gauge "debezium_metrics_SnapshotRunning" "1 while a snapshot is read.";
    PAUSED Gauge "debezium_metrics_SnapshotPaused" "1 while an incremental snapshot is paused; an initial one cannot be.";
    COMPLETED Gauge "debezium_metrics_SnapshotCompleted" "1 once the snapshot has been read.";
    ABORTED Gauge "debezium_metrics_SnapshotAborted" "1 if the snapshot ended early.";
    SNAPSHOT_SKIPPED Gauge "debezium_metrics_SnapshotSkipped" "1 if none was due when the task began.";
    DURATION Gauge "debezium_metrics_SnapshotDurationInSeconds" "How long the snapshot took, or has taken so far.";
    PAUSED_DURATION Gauge "debezium_metrics_SnapshotPausedDurationInSeconds" "How long the snapshot was paused.";
    SCANNED Gauge "debezium_metrics_RowsScanned" "Rows read of the table since the last snapshot began.";
    CHUNKS Gauge "debezium_metrics_TableChunkCounts" "Pieces in which the table is read.";
    CHUNKS_DONE Gauge "debezium_metrics_TableChunksCompletedCounts" "Pieces of the table that have been read.";

    // The names of Debezium's platform.
    PLATFORM_EVENTS Counter "debezium_event_count_total" "Events read from the stream.";
    PLATFORM_LAG Gauge "debezium_source_lag_seconds" "From the last event's commit until it was read here; -1 before the first.";
    PLATFORM_QUEUE Gauge "debezium_queue_size" "The used share of the bound in bytes, as a part of max.queue.size.";
    PLATFORM_TABLES_LEFT Gauge "debezium_snapshot_table_remaining_count" "Tables of the snapshot that are not read wholly yet.";
    PLATFORM_TRANSACTIONS Counter "debezium_transaction_committed_count_total" "Transactions with a captured event.";
    PLATFORM_CONNECTED Gauge "debezium_connection_status" "1 while the slot is streamed from.";

    // Our own.
    TABLE_EVENTS Counter "walspring_table_events_total" "Changes read, by table and op; tables beyond the limit count as other.";
    SNAPSHOT_PROGRESS Gauge "walspring_snapshot_progress_ratio" "The part of the snapshot's tables that has been read, by their number.";
    SNAPSHOT_ESTIMATED Gauge "walspring_snapshot_rows_estimated" "Rows of the running snapshot by the catalog's estimates; missing where a table was never analyzed.";
    SNAPSHOT_CHUNKS Gauge "walspring_snapshot_chunks" "Pieces in which the running snapshot reads its tables.";
    SNAPSHOT_CHUNKS_DONE Gauge "walspring_snapshot_chunks_done" "Of these, those that have been read.";
    SNAPSHOT_BEFORE Gauge "walspring_snapshot_tables_read_before" "Tables that the running snapshot had read before a restart and does not read again.";
    SNAPSHOT_RATE Gauge "walspring_snapshot_rows_per_second" "Rows a second of the running snapshot, since the task began.";
    SNAPSHOT_ETA Gauge "walspring_snapshot_eta_seconds" "Seconds until the running snapshot has been read, by estimate and rate; missing where either is.";
    END_TO_END Gauge "walspring_end_to_end_latency_seconds" "From the commit in the database until its event was durable and the offset stored; one value a stored offset.";
    CHECKPOINT_AGE Gauge "walspring_checkpoint_age_seconds" "Since an offset was last stored.";
    WATCH_UP Gauge "walspring_slot_watch_up" "1 if the slot could be looked at; without it the other walspring_slot_ numbers are missing.";
    SLOT_ACTIVE Gauge "walspring_slot_active" "1 while a session reads the slot.";
    SLOT_STATUS Gauge "walspring_slot_wal_status" "1 for the state of the log that the slot needs, as pg_replication_slots has it.";
    SLOT_LAG Gauge "walspring_slot_lag_bytes" "From the slot's confirmed position to the end of the server's log.";
    SLOT_RETAINED Gauge "walspring_slot_retained_wal_bytes" "Log that the server keeps for the slot.";
    SLOT_SAFE Gauge "walspring_slot_safe_wal_bytes" "Log that can still be written before the slot may be invalidated; missing without a limit.";
    SLOT_LIMIT Gauge "walspring_slot_wal_limit_bytes" "max_slot_wal_keep_size; missing without a limit.";
    SLOT_ETA Gauge "walspring_slot_invalidation_eta_seconds" "Until the slot is invalidated if what the server keeps for it grows on as in the last five minutes; +Inf: it does not grow, or has no limit.";
    SLOT_CONFIRMED_AGE Gauge "walspring_slot_confirmed_age_seconds" "Since when there has been log behind the slot's confirmed position.";
    SLOT_CONFIRMED Gauge "walspring_slot_confirmed_lsn" "The slot's confirmed_flush_lsn, as a number.";
    SLOT_RESTART Gauge "walspring_slot_restart_lsn" "The slot's restart_lsn, as a number.";
    SLOT_XMIN_AGE Gauge "walspring_slot_catalog_xmin_age" "Transactions since the slot's catalog_xmin, which VACUUM of catalogs must leave alone.";
    PREPARED Gauge "walspring_prepared_transactions" "Transactions of the server that are prepared and wait for COMMIT PREPARED or ROLLBACK PREPARED.";
    PREPARED_AGE Gauge "walspring_prepared_transaction_age_seconds" "Since when the oldest of them waits; 0: there is none.";
    TOO_LARGE Counter "walspring_values_too_large_total" "Values above walspring.value.max.bytes, by what became of them: truncated, replaced; skipped: their records were left out.";
    STREAMED Counter "walspring_streamed_transactions_total" "Transactions that began to come before their end.";
    STREAMED_ROLLED_BACK Counter "walspring_streamed_rollbacks_total" "Of these, those that were rolled back.";
    STREAMED_OPEN Gauge "walspring_streamed_transactions" "Of these, those that are open.";
    HELD Gauge "walspring_held_bytes" "Held of transactions in progress, and of one that has committed and is being sent, in memory and on disk.";
    SPILL Gauge "walspring_spill_bytes" "Of these, the bytes on disk.";
    SPILLED Counter "walspring_spilled_bytes_total" "Bytes of transactions in progress that were written to disk.";
    SLOT_SPILLED Counter "walspring_slot_spilled_transactions_total" "Transactions that the server wrote to disk while it decoded them.";
    SLOT_SPILLED_BYTES Counter "walspring_slot_spilled_bytes_total" "Bytes of them.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_as_prometheus_wants_them() {
        let mut names = BTreeSet::new();
        for family in ALL {
            let name = family.name;
            assert!(names.insert(name), "{name} stands there twice");
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{name}");
            assert_eq!(name.ends_with("_total"), family.kind == NumberKind::Counter, "{name}");
            assert!(family.help.ends_with('.') && !family.help.contains(['\n', '\\']), "{name}: {}", family.help);
        }
    }
}
