//! Signals, from where they come to what they do. `table`: changes of the signal table, as the stream brings them; `file`:
//! lines of a file; `kafka`: records of a topic; `in-process`: what REST hands over. What a signal asks for is done by [`Incremental`], or is a line in the log.
//!
//! Looked at once a frame of the stream, and only where signals are enabled.

mod acknowledged;
mod file;
mod kafka;
pub mod request;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use walspring_connect::{JoinGroup, Listening, SignalInbox, SourceSignal, TaskError, fault};
use walspring_debezium::{BlockingSnapshot, Signal, SignalAction, WINDOW_CLOSE, WINDOW_OPEN};
use walspring_record::{Change, ChangeBatch, ChangeKind, OldRow, RecordPlan, SourceOffset};

use crate::change_reader::ChangeReader;
use crate::config::SourceConfig;
use crate::events::StoredOffset;
use crate::feedback::SlotProgress;
use crate::incremental::{Incremental, Notice, StreamPlace, Visible};
use crate::relations::CatalogRelations;
pub use acknowledged::Acknowledged;
use file::SignalFile;
use kafka::SignalTopic;
pub use request::read as read_request;

/// What signals come through beside the stream.
pub struct Outside {
    /// The connector's name, of which that of the topic's reader is made.
    pub connector: String,
    pub join: JoinGroup,
    pub inbox: SignalInbox,
}

pub struct Signals {
    config: Arc<SourceConfig>,
    incremental: Incremental,
    /// Blocking snapshots, the next one first.
    blocking: VecDeque<BlockingSnapshot>,
    file: Option<SignalFile>,
    topic: Option<SignalTopic>,
    /// What the worker hands over.
    inbox: Option<Listening>,
    /// Of the file, what a process before this one has taken and not stored.
    left_behind: Vec<Signal>,
    due: Instant,
    /// The plan of the last change, and whether it is the signal table's.
    recent: (u64, bool),
    outside: Acknowledged,
    /// The offset has changed without an event.
    store: bool,
    warned_of_columns: bool,
}

impl Signals {
    /// `None`: nothing can signal, and no snapshot is in progress.
    pub fn new(
        config: &Arc<SourceConfig>,
        stored: Option<&StoredOffset>,
        outside: &Outside,
        progress: Arc<SlotProgress>,
    ) -> Result<Option<Signals>, TaskError> {
        let state = stored.and_then(StoredOffset::incremental);
        let blocking = stored.map(StoredOffset::blocking).unwrap_or_default();
        let typed = &config.typed.signals;
        if !typed.is_enabled() && state.is_none() && blocking.is_empty() {
            return Ok(None);
        }
        let topic = match &typed.kafka {
            Some(kafka) => Some(SignalTopic::start(&outside.connector, &config.typed, kafka, outside.join.clone())?),
            None => None,
        };
        let mut signals = Signals {
            outside: Acknowledged::new(progress, stored),
            left_behind: Vec::new(),
            topic,
            inbox: typed.in_process.then(|| outside.inbox.listen()),
            blocking: blocking.into(),
            config: config.clone(),
            file: typed.file.as_deref().map(SignalFile::new),
            due: Instant::now(),
            recent: (0, false),
            store: false,
            warned_of_columns: false,
            incremental: Incremental::new(config.clone(), state),
        };
        if let Some(file) = &mut signals.file {
            let (left_behind, number) = file.left_behind(signals.outside.last)?;
            signals.left_behind = left_behind;
            signals.outside.last = number;
        }
        signals.say();
        Ok(Some(signals))
    }

    /// Tells whoever asks which snapshots there are.
    fn say(&self) {
        let Some(inbox) = &self.inbox else { return };
        let blocking = |b: &BlockingSnapshot| json!({ "id": b.signal, "data-collections": b.tables });
        let blocking: Vec<Value> = self.blocking.iter().map(blocking).collect();
        inbox.say(json!({ "incremental_snapshot": self.incremental.describe(), "blocking_snapshots": blocking }));
    }

    pub fn take_notices(&mut self) -> Vec<(Option<String>, Notice)> {
        self.incremental.take_notices()
    }

    /// Looks at what a frame brought: the batch's changes from `from` on. True: rows are to be sent before what follows.
    pub fn after_frame(
        &mut self,
        reader: &mut ChangeReader<CatalogRelations>,
        batch: &ChangeBatch,
        from: usize,
    ) -> Result<bool, TaskError> {
        let mut stop = false;
        for change in &batch.changes[from..] {
            if change.kind == ChangeKind::Record {
                continue;
            }
            let plan = &batch.plans[change.plan as usize];
            if let Some(xid) = batch.transactions[change.transaction as usize].xid {
                self.incremental.streamed(xid);
            }
            if self.is_signal_table(plan) {
                stop |= self.table_changed(reader, batch, change, plan)?;
            } else if self.incremental.is_reading() {
                self.incremental.touch(batch, change, plan);
            }
        }
        Ok(stop)
    }

    #[inline]
    fn is_signal_table(&mut self, plan: &RecordPlan) -> bool {
        if self.recent.0 != plan.id {
            let name = plan.relation.qualified_name();
            self.recent = (plan.id, self.config.typed.signals.table.as_ref() == Some(&name));
        }
        self.recent.1
    }

    fn table_changed(
        &mut self,
        reader: &mut ChangeReader<CatalogRelations>,
        batch: &ChangeBatch,
        change: &Change,
        plan: &RecordPlan,
    ) -> Result<bool, TaskError> {
        let columns = plan.relation.columns.len();
        if columns != 3 {
            if !self.warned_of_columns {
                self.warned_of_columns = true;
                tracing::warn!(
                    columns,
                    "the signal table must have three columns (id, type, data): its rows are no signals"
                );
            }
            return Ok(false);
        }
        let text = |first: u32, column: usize| {
            let value = batch.row(first, columns).get(column)?;
            Some(String::from_utf8_lossy(value).into_owned())
        };
        match change.kind {
            ChangeKind::Insert => {
                let field = |column| text(change.new, column).unwrap_or_default();
                let (id, kind) = (field(0), field(1));
                match kind.as_str() {
                    WINDOW_OPEN => {
                        self.incremental.opened(&id);
                        Ok(false)
                    }
                    WINDOW_CLOSE => {
                        let closed = self.incremental.closed(&id)?;
                        self.note(reader);
                        Ok(closed)
                    }
                    _ if self.config.typed.signals.source => {
                        self.act(reader, &Signal { id, kind, data: field(2) })?;
                        Ok(!self.blocking.is_empty())
                    }
                    _ => Ok(false),
                }
            }
            ChangeKind::Delete if self.config.typed.signals.delete_watermarks && change.old_row != OldRow::None => {
                let id = text(change.old, 0).unwrap_or_default();
                let closed = id.ends_with("-open") && self.incremental.closed(&id)?;
                self.note(reader);
                Ok(closed)
            }
            _ => Ok(false),
        }
    }

    /// Does what a signal asks for. One that cannot be done is told in the log, and nothing more: it comes from outside.
    fn act(&mut self, reader: &mut ChangeReader<CatalogRelations>, signal: &Signal) -> Result<(), TaskError> {
        fault::point("signal.taken");
        let refused =
            |why: &str| tracing::warn!(id = %signal.id, kind = %signal.kind, "a signal was not followed: {why}");
        match signal.action() {
            Err(why) => refused(&why),
            Ok(SignalAction::Watermark) => {}
            Ok(SignalAction::Log(message)) => {
                let offset =
                    reader.offset().map_or_else(|| "<none>".to_owned(), |o| serde_json::Value::Object(o).to_string());
                tracing::info!("{}", message.replacen("{}", &offset, 1));
            }
            Ok(SignalAction::PauseSnapshot) => self.incremental.pause(),
            Ok(SignalAction::ResumeSnapshot) => self.incremental.resume(),
            Ok(SignalAction::StopSnapshot(tables)) => self.incremental.stop(tables),
            Ok(SignalAction::ExecuteSnapshot(request)) if request.blocking => {
                self.blocking.push_back(BlockingSnapshot::new(&signal.id, request));
            }
            Ok(SignalAction::ExecuteSnapshot(request)) => {
                let captured = reader.relations_mut().captured_tables()?;
                self.incremental.execute(&signal.id, &request, &captured)?;
            }
        }
        // At once, as in the original: a pause that comes next in the stream lets one chunk through.
        self.incremental.go_on(reader.events())?;
        self.note(reader);
        self.say();
        Ok(())
    }

    /// From here on offsets say how far the snapshot is.
    fn note(&mut self, reader: &mut ChangeReader<CatalogRelations>) {
        let offset = self.offset();
        let events = reader.events_mut();
        if events.signalled != offset {
            events.signalled = offset;
            self.store = true;
            self.say();
        }
    }

    /// The blocking snapshot to read now.
    pub fn blocking(&self) -> Option<&BlockingSnapshot> {
        self.blocking.front()
    }

    pub fn blocking_ended(&mut self, reader: &mut ChangeReader<CatalogRelations>) {
        self.blocking.pop_front();
        self.note(reader);
    }

    /// A transaction that has been streamed and is not visible.
    pub fn missed(&self, visible: &Visible) -> Option<u32> {
        self.incremental.missed(visible)
    }

    /// Before more is read of the stream: looks at the other channels, goes on with the snapshot, fills the batch with its
    /// rows. `caught_up`: the stream has brought all that was in the log when it was started.
    pub fn poll(
        &mut self,
        reader: &mut ChangeReader<CatalogRelations>,
        batch: &mut ChangeBatch,
        place: StreamPlace,
        caught_up: bool,
        bytes_max: usize,
    ) -> Result<(), TaskError> {
        self.acknowledge(reader);
        for signal in std::mem::take(&mut self.left_behind) {
            tracing::info!(id = %signal.id, "a signal of the file that was taken before is followed now");
            self.outside.waits = true;
            self.act(reader, &signal)?;
        }
        if let Some(file) = &mut self.file
            && Instant::now() >= self.due
        {
            self.due = Instant::now() + self.config.typed.signals.poll_interval;
            let signals = file.take(self.outside.last + 1)?;
            if !signals.is_empty() {
                self.outside.taken();
            }
            for signal in signals {
                self.act(reader, &signal)?;
            }
        }
        while self.blocking.is_empty()
            && let Some(signal) = self.topic.as_ref().map_or(Ok(None), SignalTopic::next)?
        {
            let number = self.outside.taken();
            self.outside.of_topic.push_back(number);
            self.act(reader, &signal)?;
        }
        while self.blocking.is_empty()
            && let Some(SourceSignal { id, kind, data }) = self.inbox.as_ref().and_then(Listening::next)
        {
            self.act(reader, &Signal { id, kind, data })?;
        }
        if self.incremental.wants_visible() {
            let visible = reader.relations_mut().visible()?;
            self.incremental.forget(&visible);
        }
        self.incremental.poll(place, caught_up, reader.events())?;
        self.note(reader);
        if self.incremental.is_sending() {
            self.incremental.send(batch, place, bytes_max);
            self.note(reader);
        }
        if !batch.changes.is_empty() || (self.store && place.passed.is_some()) {
            if let Some(offset) = reader.offset_now(place.passed) {
                batch.offset = Some(offset);
                batch.store_offset = true;
                self.store = false;
            }
            batch.drained |= !self.incremental.is_sending();
        }
        Ok(())
    }

    /// Lets go of signals that a stored offset knows of.
    fn acknowledge(&mut self, reader: &mut ChangeReader<CatalogRelations>) {
        let Some(number) = self.outside.stored() else { return };
        if let Some(file) = &mut self.file {
            file.stored(number);
        }
        while self.outside.of_topic.front().is_some_and(|of_topic| *of_topic <= number) {
            self.outside.of_topic.pop_front();
            if let Some(topic) = &self.topic {
                topic.followed();
            }
        }
        self.note(reader);
    }

    /// How far snapshots are, for the offset.
    pub fn offset(&self) -> Option<SourceOffset> {
        let mut offset = self.incremental.offset().unwrap_or_default();
        self.outside.store(&mut offset);
        BlockingSnapshot::store(self.blocking.iter(), &mut offset);
        (!offset.is_empty()).then_some(offset)
    }

    /// A position that is waited for, outside a transaction.
    pub fn waits_for(&self) -> Option<walspring_record::Lsn> {
        self.incremental.waits_for()
    }

    /// A chunk is under way that comes beside the stream, which must not be waited for long.
    pub fn comes_beside(&self) -> bool {
        self.incremental.comes_beside()
    }
}
