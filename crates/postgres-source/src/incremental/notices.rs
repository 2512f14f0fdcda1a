//! What is told of an incremental snapshot; fields as recorded in `conformance/cases/signal_notifications_incremental`.

/// Tables are `schema.table`; several are separated by commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    Started(String),
    Resolved(String),
    InProgress {
        tables: String,
        table: String,
        last_key: String,
        maximum_key: String,
        chunk: u64,
        chunks: u64,
        rows: u64,
    },
    Scanned {
        tables: String,
        table: String,
        status: ScanStatus,
        counts: Counts,
    },
    Paused(String),
    Resumed(String),
    /// The tables that were stopped.
    Aborted(String),
    Completed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub scanned: u64,
    /// `None`: nothing was counted, because there is nothing to read.
    pub total: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanStatus {
    Succeeded,
    Empty,
    NoPrimaryKey,
    UnknownSchema,
}

impl ScanStatus {
    fn as_str(self) -> &'static str {
        match self {
            ScanStatus::Succeeded => "SUCCEEDED",
            ScanStatus::Empty => "EMPTY",
            ScanStatus::NoPrimaryKey => "NO_PRIMARY_KEY",
            ScanStatus::UnknownSchema => "UNKNOWN_SCHEMA",
        }
    }
}

impl Notice {
    /// Kind and additional data.
    pub fn describe(self) -> (&'static str, Vec<(&'static str, String)>) {
        let tables = |tables: String| vec![("data_collections", tables)];
        match self {
            Notice::Started(of) => ("STARTED", tables(of)),
            Notice::Resolved(of) => ("DATA_COLLECTIONS_RESOLVED", tables(of)),
            Notice::Paused(of) => ("PAUSED", tables(of)),
            Notice::Resumed(of) => ("RESUMED", tables(of)),
            Notice::Aborted(of) => ("ABORTED", tables(of)),
            Notice::Completed => ("COMPLETED", Vec::new()),
            Notice::InProgress { tables: of, table, last_key, maximum_key, chunk, chunks, rows } => {
                let mut data = tables(of);
                data.extend([
                    ("current_collection_in_progress", table),
                    ("last_processed_key", last_key),
                    ("maximum_key", maximum_key),
                    ("chunk_index", chunk.to_string()),
                    ("total_chunks", chunks.to_string()),
                    ("total_rows", rows.to_string()),
                ]);
                ("IN_PROGRESS", data)
            }
            Notice::Scanned { tables: of, table, status, counts } => {
                let mut data = tables(of);
                data.extend([
                    ("scanned_collection", table),
                    ("total_rows_scanned", counts.scanned.to_string()),
                    ("status", status.as_str().to_owned()),
                ]);
                data.extend(counts.total.map(|total| ("total_rows", total.to_string())));
                ("TABLE_SCAN_COMPLETED", data)
            }
        }
    }
}
