//! What the stream says of a table, completed from the catalog: columns, keys and types become plans.
//!
//! Runs on an ordinary connection, which is opened again when it is lost. Asked once per version of a relation.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use walspring_connect::TaskError;
use walspring_record::{Lsn, RecordPlan, Relation, ReplicaIdentity, Surprise};

use crate::catalog::{self, StreamColumn, Table, TableDetails, Types, WAL_END};
use crate::change_reader::Relations;
use crate::config::{SourceConfig, too_complex};
use crate::errors::{from_pg, heartbeat_failed};
use crate::events::Events;
use crate::incremental::Visible;
use crate::keeper::{Keeper, Kept};
use crate::kept_tables::{Choice, KeptTable, Moment, Shape, Today, Version, agrees, choose};
use crate::read_twice::ReadTwice;
use crate::resume::{self, Heaps, Work};
use crate::snapshot::SnapshotTable;
use crate::wire::{Connection, PgError, quote_identifier};
use crate::{publication, slot};

/// How long rows wait for a new version of their table to be written.
const KEEPING_WAIT: Duration = Duration::from_secs(2);

/// How long a server may be silent that tells no `wal_sender_timeout`.
pub const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Relations completed from the catalog, over an ordinary connection that is opened again when it is lost.
pub struct CatalogRelations {
    config: Arc<SourceConfig>,
    pub connection: Connection,
    pub events: Events,
    types: Types,
    /// Of the captured tables, as of the start; taken when the stream describes the table the same way, in a transaction
    /// that this reading has seen.
    preloaded: HashMap<u32, TableDetails>,
    /// When that was read.
    preloaded_at: Moment,
    /// When the details were read that were read last, be it of one table.
    read_at: Moment,
    /// Of captured tables, by oid, and of those that were captured before.
    kept: HashMap<u32, KeptTable>,
    /// Those that differ from what is written.
    kept_anew: BTreeSet<u32>,
    keeper: Arc<Keeper>,
    /// The server and the database that records are of.
    source: String,
    plans: HashMap<u32, Arc<RecordPlan>>,
    /// Of the captured tables.
    twice: ReadTwice,
    /// Zero: none.
    pub wal_sender_timeout: Duration,
}

impl CatalogRelations {
    pub fn new(
        config: Arc<SourceConfig>,
        mut connection: Connection,
        events: Events,
        captured: &[Table],
    ) -> Result<CatalogRelations, TaskError> {
        let rows = connection
            .query("SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'")
            .map_err(|e| from_pg("Reading wal_sender_timeout", e))?;
        let wal_sender_timeout = Duration::from_millis(rows.first().map_or(0, |r| catalog::number(r, 0)));
        connection.set_silence_max(Some(silence_max(wal_sender_timeout)));
        config.set_silence_max(silence_max(wal_sender_timeout));
        let mut relations = CatalogRelations {
            config,
            connection,
            events,
            types: Types::new(),
            preloaded: HashMap::new(),
            preloaded_at: Moment::default(),
            read_at: Moment::default(),
            kept: HashMap::new(),
            kept_anew: BTreeSet::new(),
            keeper: Arc::new(Keeper::start(None)),
            source: String::new(),
            plans: HashMap::new(),
            twice: ReadTwice::default(),
            wal_sender_timeout,
        };
        relations.preload(captured)?;
        Ok(relations)
    }

    /// Reads the details of all captured tables at once.
    pub fn preload(&mut self, captured: &[Table]) -> Result<(), TaskError> {
        let oids: Vec<u32> = captured.iter().map(|t| t.oid).collect();
        self.preloaded = self.read_details(&oids)?;
        self.preloaded_at = self.read_at.clone();
        let connection = &mut self.connection;
        let via_root = self.config.typed.publication.via_partition_root;
        self.twice = ReadTwice::find(connection, captured, via_root)
            .map_err(|e| from_pg("Reading which tables are parts of others", e))?;
        self.types.forget_user_types();
        let used = self.preloaded.values().flat_map(|d| d.columns.iter().map(|c| c.type_oid));
        self.types.load(connection, used).map_err(|e| from_pg("Reading the types", e))
    }

    /// What was read of the table before, unless the transaction may have altered it since: that does not show in columns
    /// and types alone.
    fn preloaded_for(&mut self, oid: u32, xid: Option<u32>) -> Option<TableDetails> {
        let seen = xid.is_some_and(|xid| precedes(xid, self.preloaded_at.oldest()));
        self.preloaded.remove(&oid).filter(|_| seen)
    }

    /// The table as the catalog has it now. When the stream is behind what was read last, the other tables that have not
    /// been described are read with it: they are likely to come up, and would each be asked about.
    fn details_now(&mut self, oid: u32, xid: Option<u32>) -> Result<TableDetails, TaskError> {
        let is_behind = xid.is_some_and(|xid| precedes(xid, self.read_at.oldest()));
        let mut oids = vec![oid];
        if is_behind {
            oids.extend(self.preloaded.keys());
        }
        self.types.forget_user_types();
        let mut all = self.read_details(&oids)?;
        let details = all.remove(&oid).unwrap_or_default();
        if is_behind {
            self.preloaded_at = self.read_at.clone();
            self.preloaded = all;
        }
        Ok(details)
    }

    fn read_details(&mut self, oids: &[u32]) -> Result<HashMap<u32, TableDetails>, TaskError> {
        // The snapshot first: what the details have seen is that much at least.
        let (at, all) = self.with_connection("Reading the columns", |c| {
            let at = moment(c)?;
            Ok((at, catalog::details(c, oids)?))
        })?;
        self.read_at = at;
        Ok(all)
    }

    /// From now on what the catalog says of tables is kept over restarts; `kept` is what there is. `tables`: all that the
    /// database has. `position`: where the stream begins.
    pub fn keep(&mut self, keeper: Arc<Keeper>, kept: &Kept, source: String, tables: &[Table], position: Lsn) {
        self.kept = kept.iter().filter_map(|(key, value)| KeptTable::read(key, value, &source)).collect();
        (self.keeper, self.source) = (keeper, source);
        if !self.keeper.is_there() {
            return;
        }
        let there: HashSet<u32> = tables.iter().map(|table| table.oid).collect();
        let (mut gone, end) = (Vec::new(), self.read_at.lsn);
        for (oid, table) in &mut self.kept {
            let is_there = there.contains(oid);
            if !is_there && table.gone.is_some_and(|gone| gone <= position) {
                gone.push(*oid);
                continue;
            }
            let mut newer = table.without_older_than(position);
            newer.gone = if is_there { None } else { table.gone.or(Some(end)) };
            if newer != *table {
                *table = newer;
                self.kept_anew.insert(*oid);
            }
        }
        gone.iter().for_each(|oid| drop(self.kept.remove(oid)));
        self.keeper.keep(gone.into_iter().map(|oid| (KeptTable::key(oid), None)));
        for (oid, details) in &self.preloaded {
            if !self.kept.contains_key(oid) {
                let types = self.types.user_rows(details.columns.iter().map(|c| c.type_oid));
                let today = Today { moment: &self.preloaded_at, details, types: &types };
                self.kept.insert(*oid, KeptTable::new(&[today.version(0, None)]));
                self.kept_anew.insert(*oid);
            }
        }
        // Nobody has to wait for these: without them the catalog is asked again, as now.
        self.pass_kept();
    }

    fn pass_kept(&mut self) {
        let (kept, source) = (&self.kept, &self.source);
        let record = |oid: u32| (KeptTable::key(oid), kept.get(&oid).and_then(|table| table.record(source)));
        self.keeper.keep(std::mem::take(&mut self.kept_anew).into_iter().map(record));
    }

    /// Has new versions written before the records that go by them; what takes longer is written later.
    pub fn write_kept(&mut self) {
        if !self.kept_anew.is_empty() {
            self.pass_kept();
            self.keeper.settle(KEEPING_WAIT);
        }
    }

    fn note(&mut self, oid: u32, version: Version) {
        let older = self.kept.remove(&oid).unwrap_or_else(|| KeptTable::new(&[]));
        self.kept.insert(oid, older.with(version));
        self.kept_anew.insert(oid);
    }

    /// The version of the table that the transaction saw, where the catalog has a later one.
    fn former(
        &mut self,
        oid: u32,
        xid: Option<u32>,
        shape: &Shape<'_>,
        details: &TableDetails,
        at: &Moment,
    ) -> Option<Version> {
        let xid = xid.filter(|_| self.keeper.is_there())?;
        let versions = self.kept.get(&oid).map(KeptTable::versions).unwrap_or_default();
        let types = self.types.user_rows(shape.columns.iter().map(|c| c.type_oid));
        match choose(&versions, xid, shape, &Today { moment: at, details, types: &types }) {
            Choice::Today(version) => {
                version.into_iter().for_each(|version| self.note(oid, version));
                None
            }
            Choice::Kept(version) => Some(version),
        }
    }

    /// Labels have changed: without a word in the stream.
    fn note_labels(&mut self, oid: u32, columns: impl Iterator<Item = u32>) {
        let Some(last) = self.kept.get(&oid).and_then(|table| table.versions().pop()) else { return };
        let types = self.types.user_rows(columns);
        if !self.keeper.is_there() || last.types == types {
            return;
        }
        let details = last.details.clone();
        let version = Today { moment: &self.read_at, details: &details, types: &types }.follower(&last);
        self.note(oid, version);
    }

    /// Asks for the tables' real sizes: the catalog's are estimates of the last vacuum.
    pub fn count_pages(&mut self, tables: &mut [Table]) -> Result<(), TaskError> {
        let oids: Vec<u32> = tables.iter().map(|t| t.oid).collect();
        let pages = catalog::pages(&mut self.connection, &oids).map_err(|e| from_pg("Reading the tables' sizes", e))?;
        for table in tables {
            table.pages = pages.get(&table.oid).copied().unwrap_or(table.pages);
        }
        Ok(())
    }

    /// The files of tables whose rows' places say where they are.
    pub fn heaps(&mut self, tables: &[Table]) -> Result<Heaps, TaskError> {
        let oids = tables.iter().map(|t| t.oid);
        resume::heaps(&mut self.connection, oids).map_err(|e| from_pg("Reading the tables' files", e))
    }

    pub fn current_lsn(&mut self) -> Result<Lsn, TaskError> {
        let rows =
            self.connection.query(&format!("SELECT {WAL_END}")).map_err(|e| from_pg("Reading the WAL position", e))?;
        Ok(rows.first().and_then(|r| r.get(0)).and_then(|l| l.parse().ok()).unwrap_or_default())
    }

    /// Exports a snapshot from the catalog's connection; [`CatalogRelations::end_export`] lets it go.
    pub fn export_snapshot(&mut self) -> Result<String, TaskError> {
        self.connection
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .and_then(|()| self.connection.query("SELECT pg_catalog.pg_export_snapshot()"))
            .map(|rows| rows.first().map(|r| catalog::text(r, 0)).unwrap_or_default())
            .map_err(|e| from_pg("Exporting the snapshot", e))
    }

    /// Exports a snapshot, and tells what it sees.
    pub fn export_visible(&mut self) -> Result<(String, Visible), TaskError> {
        // One that was lost while nobody asked it anything is opened again.
        self.with_connection("Exporting the snapshot", |c| c.batch_execute("SELECT"))?;
        let exported = self.export_snapshot()?;
        Ok((exported, self.visible()?))
    }

    /// Whether the server answers.
    pub fn is_answered(&mut self) -> bool {
        self.connection.query("SELECT").is_ok()
    }

    pub fn end_export(&mut self) {
        let _ = self.connection.batch_execute("COMMIT");
    }

    /// A transaction id that stands for the snapshot: the oldest that it does not see whole. None is used up.
    pub fn snapshot_xid(&mut self) -> Result<u32, TaskError> {
        snapshot_xmin(&mut self.connection).map_err(|e| from_pg("Reading the snapshot", e))
    }

    /// Whether strict mode reads the table's rows with other tables.
    pub fn is_read_elsewhere(&self, table: &Table) -> bool {
        self.config.typed.strict && self.twice.elsewhere.contains(&table.oid)
    }

    pub fn snapshot_table(&mut self, table: &Table) -> Result<SnapshotTable, TaskError> {
        let details = self.preloaded.get(&table.oid).cloned().unwrap_or_default();
        let columns: Vec<StreamColumn> = details
            .columns
            .iter()
            .map(|c| StreamColumn {
                name: c.name.clone(),
                type_oid: c.type_oid,
                modifier: c.modifier,
                is_key: match table.identity {
                    ReplicaIdentity::Index => details.identity_index.contains(&c.name),
                    _ => details.primary_key.contains(&c.name),
                },
            })
            .collect();
        let (namespace, name) = (&table.namespace, &table.name);
        let relation = self.relation(table.oid, namespace, name, table.identity, &columns, &details, &self.types)?;
        let mut plan = self.events.snapshot_plan(Arc::new(relation))?;
        let parts = table.kind == 'r' && self.twice.with_children.contains(&table.oid);
        let strict = self.config.typed.strict;
        if !strict
            && (parts || self.twice.elsewhere.contains(&table.oid))
            && let Some(plan) = Arc::get_mut(&mut plan)
        {
            plan.surprises.push(("*".into(), Surprise::RowsTwice));
        }
        let captured = self.captured(&table.namespace, &table.name, &columns)?;
        // As the original: what is not captured is not read, be it of the key. Only where nothing would be left, all is.
        let none = !captured.contains(&true);
        let read: Vec<bool> = captured.iter().map(|captured| *captured || none).collect();
        let expression = |(column, read): (&StreamColumn, &bool)| match read {
            true => quote_identifier(&column.name),
            false => "NULL".to_owned(),
        };
        let list = columns.iter().zip(&read).map(expression).collect::<Vec<_>>().join(", ");
        let only = if strict && parts { "ONLY " } else { "" };
        let rows = (table.rows >= 0.0).then_some(table.rows as u64);
        let list_end = "SELECT ".len() + list.len();
        let select = format!("SELECT {list} FROM {only}{}", publication::qualified(table));
        // A parent's rows stand in several heaps: no range of one.
        let pages = (table.kind == 'r' && table.pages > 0).then_some(table.pages as u64);
        let name = table.qualified_name();
        let query = self.config.typed.snapshot.queries.get(&name).cloned();
        let (limit, pages) = (self.config.value_limit.clone(), pages.filter(|_| query.is_none()));
        Ok(SnapshotTable { name, plan, select, list_end, read, limit, pages, rows, query, heap: None, work: Work::All })
    }

    /// For each column, whether rows have it.
    fn captured(&self, namespace: &str, table: &str, columns: &[StreamColumn]) -> Result<Vec<bool>, TaskError> {
        let rules = &self.config.typed.columns;
        columns.iter().map(|c| rules.captures(namespace, table, &c.name).map_err(too_complex)).collect()
    }

    #[allow(clippy::too_many_arguments, reason = "what the stream says, then what the catalog says")]
    fn relation(
        &self,
        oid: u32,
        namespace: &str,
        name: &str,
        identity: walspring_record::ReplicaIdentity,
        columns: &[StreamColumn],
        details: &TableDetails,
        types: &Types,
    ) -> Result<Relation, TaskError> {
        let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        let custom = self.config.typed.key_columns.of_table(namespace, name, &names).map_err(too_complex)?;
        let sure = self.config.typed.strict.then(|| details.clone().with_sure_keys());
        let details = sure.as_ref().unwrap_or(details);
        Ok(catalog::relation(oid, namespace, name, identity, columns, details, custom, types))
    }

    /// After what silence of the server's a connection is looked after.
    pub fn silence_max(&self) -> Duration {
        silence_max(self.wal_sender_timeout)
    }

    /// Runs what needs the catalog, once more on a new connection when the old one turns out to be gone.
    fn with_connection<T>(
        &mut self,
        doing: &str,
        mut run: impl FnMut(&mut Connection) -> Result<T, PgError>,
    ) -> Result<T, TaskError> {
        match run(&mut self.connection) {
            Err(e) if e.is_transient() => {
                self.connection = self.config.open(doing)?;
                run(&mut self.connection).map_err(|e| from_pg(doing, e))
            }
            other => other.map_err(|e| from_pg(doing, e)),
        }
    }

    /// Runs `heartbeat.action.query`. As in the original the connector goes on without it, unless the table is not there or
    /// the server ends.
    pub fn heartbeat_action(&mut self, sql: &str) -> Result<(), TaskError> {
        let refused = self.with_connection("heartbeat.action.query", |c| match c.batch_execute(sql) {
            Ok(()) => Ok(None),
            Err(e) if e.code().is_none_or(|code| matches!(code, "57P01" | "57P02" | "57P03" | "57P05")) => Err(e),
            Err(e) => Ok(Some(e)),
        })?;
        if let Some(e) = refused.as_ref().filter(|e| e.code() == Some("42P01")) {
            return Err(heartbeat_failed(e));
        }
        if self.connection.in_transaction() {
            self.with_connection("Ending what heartbeat.action.query began", |c| c.batch_execute("ROLLBACK"))?;
        }
        // Without its details, which may tell of rows.
        if let Some(server) = refused.as_ref().and_then(|e| e.server()) {
            tracing::error!(
                "heartbeat.action.query failed, and the connector goes on: {} ({})",
                server.message,
                server.code
            );
        }
        Ok(())
    }

    /// `catalog_xmin` of the slot: the oldest transaction that its decoding may need rows of the catalogs for.
    pub fn slot_xmin(&mut self, slot: &str) -> Result<Option<u64>, TaskError> {
        let sql = format!(
            "SELECT catalog_xmin FROM pg_catalog.pg_replication_slots WHERE slot_name = {}",
            crate::wire::quote_literal(slot)
        );
        let rows = self.with_connection("Reading the slot's xmin", |c| c.query(&sql))?;
        Ok(rows.first().and_then(|r| r.get(0)).and_then(|xmin| xmin.parse().ok()))
    }

    /// The tables there are.
    pub fn all_tables(&mut self) -> Result<Vec<Table>, TaskError> {
        self.with_connection("Reading the tables", catalog::tables)
    }

    /// The tables that pass the filters, as `schema.table`, by name.
    pub fn captured_tables(&mut self) -> Result<Vec<String>, TaskError> {
        let mut captured = Vec::new();
        for table in self.all_tables()? {
            if self.config.captures(&table.namespace, &table.name)? {
                captured.push(table.qualified_name());
            }
        }
        Ok(captured)
    }

    /// Which transactions are visible now.
    pub fn visible(&mut self) -> Result<Visible, TaskError> {
        let row = self.connection.query_one("SELECT pg_catalog.pg_current_snapshot()");
        let row = row.map_err(|e| from_pg("Reading the snapshot", e))?;
        let text = row.get(0).unwrap_or_default();
        Visible::parse(text).ok_or_else(|| {
            TaskError::transient(walspring_connect::DEBEZIUM_EXCEPTION, format!("The server gave no snapshot: {text}"))
        })
    }

    pub fn drop_slot(&mut self, slot: &str) -> Result<(), TaskError> {
        // The walsender lets go of the slot a moment after its connection ended.
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            match slot::drop(&mut self.connection, slot) {
                Err(e) if e.is_transient() && Instant::now() < end => std::thread::sleep(Duration::from_millis(20)),
                other => return other,
            }
        }
    }
}

impl Relations for CatalogRelations {
    fn describe(
        &mut self,
        m: &walspring_pgoutput::Relation<'_>,
        xid: Option<u32>,
    ) -> Result<Option<Arc<RecordPlan>>, TaskError> {
        let namespace = if m.namespace.is_empty() { "pg_catalog".into() } else { String::from_utf8_lossy(m.namespace) };
        let name = String::from_utf8_lossy(m.name);
        if !self.config.captures(&namespace, &name)? {
            return Ok(None);
        }
        let columns: Vec<StreamColumn> = m
            .columns()
            .map(|c| StreamColumn {
                name: String::from_utf8_lossy(c.name).into_owned(),
                type_oid: c.type_oid,
                modifier: c.type_modifier,
                is_key: c.is_key(),
            })
            .collect();
        let identity = match m.replica_identity {
            walspring_pgoutput::ReplicaIdentity::Default => walspring_record::ReplicaIdentity::Default,
            walspring_pgoutput::ReplicaIdentity::Nothing => walspring_record::ReplicaIdentity::Nothing,
            walspring_pgoutput::ReplicaIdentity::Full => walspring_record::ReplicaIdentity::Full,
            walspring_pgoutput::ReplicaIdentity::Index => walspring_record::ReplicaIdentity::Index,
        };
        let (details, at) = match self.preloaded_for(m.oid, xid).filter(|d| agrees(d, &columns)) {
            Some(details) => (details, self.preloaded_at.clone()),
            None => (self.details_now(m.oid, xid)?, self.read_at.clone()),
        };
        let oids: Vec<u32> = columns.iter().map(|c| c.type_oid).collect();
        let mut types = std::mem::take(&mut self.types);
        let loaded = self.with_connection("Reading the types", |c| types.load(c, oids.iter().copied()));
        self.types = types;
        loaded?;
        let captured = self.captured(&namespace, &name, &columns)?;
        let complete = |this: &CatalogRelations, details: &TableDetails, types: &Types| {
            let mut relation = this.relation(m.oid, &namespace, &name, identity, &columns, details, types)?;
            for (column, captured) in relation.columns.iter_mut().zip(&captured) {
                if !captured {
                    // The original looks up captured columns only; of others, which a key may have, it knows the type.
                    column.nullable = true;
                    column.default = None;
                }
            }
            Ok::<_, TaskError>(relation)
        };
        let mut relation = complete(self, &details, &self.types)?;
        let shape = Shape::new(&namespace, &name, identity, &columns);
        let mut later = Vec::new();
        if let Some(former) = self.former(m.oid, xid, &shape, &details, &at) {
            let former = complete(self, &former.details, &self.types.as_of(&former.types))?;
            if self.config.typed.strict {
                relation = former;
            } else {
                later = differing(&former, &relation);
            }
        }
        if let Some(plan) = self.plans.get(&m.oid).filter(|p| *p.relation == relation) {
            return Ok(Some(plan.clone()));
        }
        let mut plan = self.events.plan(Arc::new(relation))?;
        if let Some(plan) = Arc::get_mut(&mut plan) {
            plan.surprises.extend(later.into_iter().map(|column| (column, Surprise::CatalogLater)));
        }
        self.plans.insert(m.oid, plan.clone());
        Ok(Some(plan))
    }

    fn relabel(&mut self, plan: &Arc<RecordPlan>) -> Result<Arc<RecordPlan>, TaskError> {
        let mut relation = Relation::clone(&plan.relation);
        let oids: Vec<u32> = relation.columns.iter().map(|c| c.ty.oid).collect();
        let mut types = std::mem::take(&mut self.types);
        types.forget_user_types();
        let loaded = self.with_connection("Reading the types", |c| {
            let at = moment(c)?;
            types.load(c, oids.iter().copied()).map(|()| at)
        });
        self.types = types;
        self.read_at = loaded?;
        for column in &mut relation.columns {
            // One that has been dropped since stays as it was.
            column.ty = self.types.known(column.ty.oid).unwrap_or_else(|| column.ty.clone());
        }
        self.note_labels(relation.oid, oids.into_iter());
        if relation == *plan.relation {
            return Ok(plan.clone());
        }
        let plan = self.events.plan(Arc::new(relation))?;
        self.plans.insert(plan.relation.oid, plan.clone());
        Ok(plan)
    }
}

fn silence_max(wal_sender_timeout: Duration) -> Duration {
    if wal_sender_timeout.is_zero() { SILENCE_MAX } else { wal_sender_timeout }
}

/// The columns that the two have in different versions; `*`: the key.
fn differing(one: &Relation, other: &Relation) -> Vec<Arc<str>> {
    let pairs = one.columns.iter().zip(&other.columns);
    let mut names: Vec<Arc<str>> = pairs.filter(|(a, b)| a != b).map(|(a, _)| a.name.clone()).collect();
    if one.key != other.key || one.key_may_repeat != other.key_may_repeat {
        names.push("*".into());
    }
    names
}

/// Now, to the catalog.
fn moment(connection: &mut Connection) -> Result<Moment, PgError> {
    let with_end = format!("SELECT pg_catalog.pg_current_snapshot(), {WAL_END}");
    let row = match connection.query_one(&with_end) {
        // A role may lack the right to ask for the log's end: what is kept of this moment is then kept on.
        Err(e) if e.code() == Some("42501") => {
            connection.query_one("SELECT pg_catalog.pg_current_snapshot(), 'FFFFFFFF/FFFFFFFF'")?
        }
        row => row?,
    };
    let lsn = row.get(1).and_then(|lsn| lsn.parse().ok()).unwrap_or_default();
    Ok(row.get(0).and_then(|snapshot| Moment::parse(snapshot, lsn)).unwrap_or_default())
}

/// The oldest transaction that may not be over.
fn snapshot_xmin(connection: &mut Connection) -> Result<u32, PgError> {
    let rows = connection.query("SELECT pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())")?;
    Ok(rows.first().map_or(0, |r| catalog::number::<u64>(r, 0)) as u32)
}

/// Whether a transaction's id is the older one: ids go round.
fn precedes(xid: u32, other: u32) -> bool {
    (xid.wrapping_sub(other) as i32) < 0
}
