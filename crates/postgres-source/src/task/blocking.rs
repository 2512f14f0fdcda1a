//! A blocking snapshot (`execute-snapshot` with the type `blocking`): the stream stands still, tables are read as in an
//! initial snapshot, then the stream goes on where it stood.
//!
//! ```text
//! stream   … u(7) signal |                      | u(8) i(9) …       what has changed meanwhile comes behind the rows
//! readers                | r(1) … r(7) r(8) r(9) |                  as of a moment after the signal
//! ```
//! The rows are newer than the place of the stream, so changes between the two come after rows that have them already, and
//! lead to the same. Older they must not be: see `incremental/visibility`, whose rule holds here too. Where the stream waits
//! for standbys that may be promoted, the rows do: none is sent that a promoted one would lack.
//!
//! Invariants: the offset of the rows is the stream's place, so that nothing of the stream is lost or comes twice whatever
//! happens. The offset of the signal says that the snapshot is to be read, until one says that it has been: a restart in
//! the midst begins it again, with the first table.

use std::time::Duration;

use walspring_config::java_regex::RegexList;
use walspring_connect::{CONNECT_EXCEPTION, Poll, TaskError, fault};
use walspring_debezium::{BlockingSnapshot, DebeziumOffset, SnapshotKind};
use walspring_record::{ChangeBatch, Lsn};

use super::snapshot::{Reading, Wanted};
use super::{PostgresTask, State, in_snapshot};
use crate::catalog::Table;
use crate::config::too_complex;
use crate::notifications::Notice;
use crate::relations::CatalogRelations;
use crate::snapshot::SnapshotPoint;
use crate::startup;
use crate::stream::Stream;

/// Between two looks whether a transaction that has been streamed can be seen.
const VISIBLE_WAIT: Duration = Duration::from_millis(20);

pub(super) struct Blocking {
    /// It stands still.
    stream: Box<Stream>,
    wanted: BlockingSnapshot,
    /// What is read, once it is known.
    tables: Option<Vec<Table>>,
    begun: Option<Begun>,
    told: bool,
    waits_logged: bool,
}

struct Begun {
    reading: Reading,
    /// The stream's.
    place: DebeziumOffset,
    /// Everything that the rows show stands before it. `None`: that is kept.
    read: Option<Lsn>,
}

impl Blocking {
    pub fn new(stream: Box<Stream>, wanted: BlockingSnapshot) -> Blocking {
        Blocking { stream, wanted, tables: None, begun: None, told: false, waits_logged: false }
    }

    pub fn into_stream(self) -> Box<Stream> {
        self.stream
    }
}

impl PostgresTask {
    pub(super) fn poll_blocking(&mut self, batch: &mut ChangeBatch, wait: Duration) -> Result<Poll, TaskError> {
        let State::Blocking(mut blocking) = std::mem::replace(&mut self.state, State::Closed) else {
            return Ok(Poll::Idle);
        };
        if !blocking.told {
            blocking.told = true;
            fault::point("blocking.begin");
            tracing::info!(
                signal = %blocking.wanted.signal, tables = blocking.wanted.tables.join(","),
                "the stream pauses for a blocking snapshot"
            );
            self.notifications.tell(Notice::Started);
            let paused = self.pause(self.config.typed.snapshot.delay);
            self.state = State::Blocking(blocking);
            return paused.map(|()| Poll::Idle);
        }
        let read = match blocking.begun {
            None => self.begin_reading(&mut blocking, wait).map(|()| Some(false)),
            Some(_) => self.read_on(&mut blocking, batch, wait),
        };
        match read {
            Ok(Some(got)) => {
                self.state = State::Blocking(blocking);
                Ok(if got { Poll::Batch } else { Poll::Idle })
            }
            Ok(None) => Ok(self.end(*blocking, batch, Notice::Completed)),
            // The task starts again, and the snapshot with it.
            Err(e) if is_server_gone(&mut blocking, &e) => Err(e),
            // As in the original: what was asked for cannot be done, and the stream goes on.
            Err(e) => {
                tracing::error!(
                    signal = %blocking.wanted.signal,
                    "a blocking snapshot is given up, and the stream goes on; send the signal again once this is mended: {e}"
                );
                Ok(self.end(*blocking, batch, Notice::Aborted))
            }
        }
    }

    /// Starts the readers, as soon as all that has been streamed can be seen.
    fn begin_reading(&mut self, blocking: &mut Blocking, wait: Duration) -> Result<(), TaskError> {
        let Blocking { stream, wanted, tables, waits_logged, .. } = blocking;
        let captured = match tables {
            Some(tables) => tables,
            None => tables.insert(self.tables_for(wanted, stream.relations_mut())?),
        };
        let (place, last_commit) = (stream.place(), stream.last_commit());
        let (exported, visible) = stream.relations_mut().export_visible()?;
        let of_place = place.xid.and_then(|xid| u32::try_from(xid).ok());
        if let Some(xid) = stream.missed(&visible).or(of_place.filter(|xid| !visible.sees(*xid))) {
            stream.relations_mut().end_export();
            if !std::mem::replace(waits_logged, true) {
                tracing::info!(xid, "a blocking snapshot waits until a transaction that has been streamed can be seen");
            }
            std::thread::sleep(wait.min(VISIBLE_WAIT));
            return Ok(());
        }
        let relations = stream.relations_mut();
        let point = SnapshotPoint {
            lsn: place.lsn.unwrap_or_default(),
            exported: Some(exported),
            xid: of_place.map_or_else(|| relations.snapshot_xid(), Ok)?,
            last_commit,
            xmin: place.xmin.and_then(|xmin| u64::try_from(xmin).ok()),
        };
        let snapshot = self.start_readers(relations, captured, &point, Wanted::Signalled(&wanted.queries))?;
        let read = relations.current_lsn()?;
        relations.end_export();
        fault::point("blocking.readers");
        blocking.begun = Some(Begun { reading: Reading::ahead(snapshot, read), place, read: Some(read) });
        Ok(())
    }

    /// The captured tables that the signal means, in the order of an initial snapshot.
    fn tables_for(&self, wanted: &BlockingSnapshot, relations: &mut CatalogRelations) -> Result<Vec<Table>, TaskError> {
        let captured = startup::captured(&relations.all_tables()?, &self.config)?;
        relations.preload(&captured)?;
        let mut lists = Vec::new();
        for list in &wanted.tables {
            lists.push(RegexList::parse(list).map_err(|e| {
                TaskError::definite(
                    CONNECT_EXCEPTION,
                    format!("\"data-collections\" has {list}, which is no expression: {e}"),
                )
            })?);
        }
        let mut tables = Vec::new();
        for table in captured {
            let name = table.qualified_name();
            let mut is_wanted = false;
            for list in &lists {
                is_wanted |= list.matches(&name).map_err(too_complex)?;
            }
            if is_wanted {
                tables.push(table);
            }
        }
        Ok(tables)
    }

    /// The next rows; false: none within the wait, `None`: there are no more.
    fn read_on(
        &mut self,
        blocking: &mut Blocking,
        batch: &mut ChangeBatch,
        wait: Duration,
    ) -> Result<Option<bool>, TaskError> {
        let Blocking { stream, begun: Some(Begun { reading, place, read }), .. } = blocking else { return Ok(None) };
        if !self.may_send(reading, stream.relations_mut(), "the blocking snapshot", wait)? {
            return Ok(Some(false));
        }
        // Where nobody waits for standbys, a server is told that lacks it.
        if let Some(read) = read.take() {
            self.keep_read(read);
        }
        let got = self.next_rows(reading, "the blocking snapshot", batch, wait)?;
        if got {
            fault::point("blocking.rows");
            batch.offset = Some(in_snapshot(place, SnapshotKind::Blocking, false));
        } else if reading.snapshot.is_finished() {
            let (rows, seconds) = (reading.rows(), reading.seconds());
            tracing::info!(signal = %blocking.wanted.signal, rows, seconds, "the blocking snapshot is complete");
            return Ok(None);
        }
        Ok(Some(got))
    }

    /// The stream goes on with the next poll; what comes now says so.
    fn end(&mut self, blocking: Blocking, batch: &mut ChangeBatch, notice: Notice) -> Poll {
        let Blocking { mut stream, begun, .. } = blocking;
        let completed = matches!(notice, Notice::Completed);
        drop(begun);
        fault::point("blocking.end");
        self.metrics.board().ends();
        stream.relations_mut().end_export();
        stream.blocking_ended();
        let place = stream.place();
        batch.offset = Some(if completed { in_snapshot(&place, SnapshotKind::Blocking, true) } else { place.to_map() });
        batch.store_offset = true;
        self.notifications.tell(notice);
        self.notifications.push_to(batch);
        batch.drained = true;
        self.state = State::Stream(stream);
        Poll::Batch
    }
}

/// Whether the snapshot failed because of what a new connection may mend, and not because of what was asked for.
fn is_server_gone(blocking: &mut Blocking, e: &TaskError) -> bool {
    let lost = blocking.begun.as_ref().is_some_and(|begun| begun.reading.snapshot.connection_lost);
    lost || (e.is_transient() && !blocking.stream.relations_mut().is_answered())
}
