//! What is examined: a session that changes nothing, and the facts that several checks share, read once.
//!
//! Only catalogs and statistics are read, and nothing that waits for a lock of a table: sizes are the last vacuum's.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use walspring_record::{RecordPlan, ReplicaIdentity};

use super::Thresholds;
use crate::catalog::{self, Table, TableDetails, WAL_END, number, text};
use crate::config::{SourceConfig, set_option};
use crate::events::Events;
use crate::relations::CatalogRelations;
use crate::wire::{ConnectConfig, Connection, PgError, Row, TargetSession, quote_literal};

/// A server that does not answer within this is told as one that could not be asked.
const ANSWER_MAX: Duration = Duration::from_secs(30);

pub struct Subject {
    pub config: Arc<SourceConfig>,
    /// Of nobody's configuration: a database alone is looked at.
    pub bare: bool,
    pub thresholds: Thresholds,
    pub connection: Connection,
    /// As `server_version_num`.
    pub version: u32,
    pub standby: bool,
    pub settings: HashMap<String, Setting>,
    pub role: Role,
    pub tables: Vec<Table>,
    pub more: HashMap<u32, TableFacts>,
    /// Of `tables`, those that pass the filters.
    pub captured: Vec<Table>,
    pub details: HashMap<u32, TableDetails>,
    /// The leaves of each partitioned table at the top.
    pub leaves: HashMap<u32, Vec<u32>>,
    pub publication: Option<Publication>,
    pub slot: Option<SlotFacts>,
    /// Of each captured table: its plan, or why there is none.
    pub plans: Vec<(String, Result<Arc<RecordPlan>, String>)>,
}

/// A row of `pg_settings`.
pub struct Setting {
    pub value: String,
    unit: String,
}

impl Setting {
    pub fn number(&self) -> Option<i64> {
        self.value.parse().ok()
    }

    /// Of a setting that is an amount of memory; negative: as it stands.
    pub fn bytes(&self) -> Option<i64> {
        let factor = match self.unit.as_str() {
            "B" | "" => 1,
            "kB" => 1 << 10,
            "8kB" => 8 << 10,
            "MB" => 1 << 20,
            "16MB" => 16 << 20,
            _ => return None,
        };
        self.number().map(|n| if n < 0 { n } else { n * factor })
    }

    pub fn seconds(&self) -> Option<f64> {
        let factor = match self.unit.as_str() {
            "ms" => 0.001,
            "min" => 60.0,
            _ => 1.0,
        };
        self.number().map(|n| n as f64 * factor)
    }
}

#[derive(Default)]
pub struct Role {
    pub name: String,
    pub login: bool,
    pub superuser: bool,
    pub replication: bool,
    /// A member of a managed service's role for replication.
    pub managed: bool,
    pub sees_statistics: bool,
    pub creates_in_database: bool,
    /// -1: no limit.
    pub connections_max: i64,
    pub connections: i64,
    /// None: for ever.
    pub valid_days: Option<f64>,
}

pub struct TableFacts {
    /// `pg_class.relpersistence` is `u`.
    pub unlogged: bool,
    pub row_security: bool,
    pub schema_usage: bool,
    pub select: bool,
    pub insert: bool,
    pub delete: bool,
    pub owned: bool,
    /// Pages of the TOAST table, as last counted.
    pub toast_pages: i64,
    /// A valid index is marked as the identity.
    pub identity_index: bool,
    /// The primary key can be the identity.
    pub primary_identifies: bool,
}

pub struct Publication {
    pub all_tables: bool,
    pub insert: bool,
    pub update: bool,
    pub delete: bool,
    pub truncate: bool,
    pub via_root: bool,
    pub owned: bool,
    /// 18 and later: stored generated columns are published.
    pub generated: bool,
    pub members: HashMap<u32, Member>,
}

pub struct Member {
    pub row_filter: Option<String>,
    /// Names of the published columns; none: all of them.
    pub columns: Option<HashSet<String>>,
}

#[derive(Default)]
pub struct SlotFacts {
    pub plugin: String,
    pub database: String,
    pub temporary: bool,
    pub two_phase: bool,
    pub active_pid: Option<i64>,
    /// What the active session calls itself, if we may know.
    pub active_name: Option<String>,
    pub wal_status: String,
    pub safe_bytes: Option<i64>,
    pub retained_bytes: Option<i64>,
    pub unconfirmed_bytes: Option<i64>,
    pub xmin_age: Option<i64>,
    pub failover: bool,
    pub synced: bool,
    pub invalidation: Option<String>,
    pub spilled_transactions: i64,
    pub spilled_bytes: i64,
}

/// How the doctor connects: as the connector does, but it writes nothing, waits for no lock and looks things up nowhere
/// but where it says.
pub fn session(connect: &ConnectConfig) -> ConnectConfig {
    let mut connect = connect.clone();
    connect.application_name = "walspring doctor".to_owned();
    connect.read_timeout = Some(ANSWER_MAX + Duration::from_secs(5));
    if connect.target_session == TargetSession::ReadWrite {
        // The session itself is read-only.
        connect.target_session = TargetSession::Primary;
    }
    for (name, value) in [
        ("default_transaction_read_only", "on"),
        ("statement_timeout", "30000"),
        ("lock_timeout", "2000"),
        ("idle_in_transaction_session_timeout", "60000"),
    ] {
        set_option(&mut connect, name, value);
    }
    connect
}

/// Connects, and hides what a role's `search_path` would put in the way.
pub fn open(connect: &ConnectConfig) -> Result<Connection, PgError> {
    let mut connection = Connection::connect(&session(connect))?;
    connection.query(HIDE_PATH)?;
    Ok(connection)
}

pub const HIDE_PATH: &str = "SELECT pg_catalog.set_config('search_path', '', false)";

impl Subject {
    pub fn read(
        mut connection: Connection,
        config: Arc<SourceConfig>,
        bare: bool,
        thresholds: Thresholds,
    ) -> Result<Subject, PgError> {
        let c = &mut connection;
        let version = c.server_version_num();
        let standby = c.query_one("SELECT pg_catalog.pg_is_in_recovery()")?.get(0) == Some("t");
        let tables = catalog::tables(c)?;
        // An expression that is too complex captures nothing, and is told by the plan's check.
        let is_captured = |table: &&Table| config.captures(&table.namespace, &table.name).unwrap_or(false);
        let captured: Vec<Table> = tables.iter().filter(is_captured).cloned().collect();
        let oids: Vec<u32> = captured.iter().map(|table| table.oid).collect();
        let mut subject = Subject {
            settings: settings(c)?,
            role: role(c)?,
            more: table_facts(c)?,
            details: catalog::details(c, &oids)?,
            leaves: leaves(c)?,
            publication: publication(c, version, &config.typed.publication.name)?,
            slot: slot(c, version, &config.typed.slot.name)?,
            plans: Vec::new(),
            config,
            bare,
            thresholds,
            version,
            standby,
            tables,
            captured,
            connection,
        };
        subject.plans = subject.read_plans();
        Ok(subject)
    }

    /// Plans are made as a snapshot makes them, on a connection of their own.
    fn read_plans(&self) -> Vec<(String, Result<Arc<RecordPlan>, String>)> {
        let all = |why: String| self.captured.iter().map(|t| (t.qualified_name(), Err(why.clone()))).collect();
        let connection = match open(&self.config.connect) {
            Ok(connection) => connection,
            Err(e) => return all(e.to_string()),
        };
        let relations = Events::new(&self.config, 0)
            .and_then(|events| CatalogRelations::new(self.config.clone(), connection, events, &self.captured));
        let mut relations = match relations {
            Ok(relations) => relations,
            Err(e) => return all(e.to_string()),
        };
        let plan = |table: &Table| {
            let plan = relations.snapshot_table(table).map(|table| table.plan).map_err(|e| e.to_string());
            (table.qualified_name(), plan)
        };
        self.captured.iter().map(plan).collect()
    }

    pub fn major(&self) -> u32 {
        self.version / 10_000
    }

    pub fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.get(name)
    }

    pub fn on(&self, name: &str) -> bool {
        self.setting(name).is_some_and(|setting| setting.value == "on")
    }

    pub fn rows(&mut self, sql: &str) -> Result<Vec<Row>, PgError> {
        self.connection.query(sql)
    }

    /// Tables whose updates and deletes PostgreSQL refuses when they have no identity: in the publication, or about to be.
    pub fn published(&self) -> Vec<&Table> {
        use walspring_config::postgres::PublicationAutocreate::{AllTables, Disabled, Filtered, NoTables};
        let oids: HashSet<u32> = match &self.publication {
            Some(publication) if !publication.update && !publication.delete => return Vec::new(),
            Some(publication) => {
                let members = publication.members.keys().copied();
                members.flat_map(|oid| self.leaves.get(&oid).cloned().unwrap_or_else(|| vec![oid])).collect()
            }
            None if self.bare => return self.captured.iter().filter(|table| table.kind == 'r').collect(),
            None => match self.config.typed.publication.autocreate {
                AllTables => self.tables.iter().map(|table| table.oid).collect(),
                Filtered => self.captured.iter().map(|table| table.oid).collect(),
                Disabled | NoTables => return Vec::new(),
            },
        };
        let logged = |table: &&Table| self.more.get(&table.oid).is_some_and(|facts| !facts.unlogged);
        self.tables.iter().filter(|table| table.kind == 'r' && oids.contains(&table.oid)).filter(logged).collect()
    }

    /// Whether an update of the table can say which row it was.
    pub fn identifies(&self, table: &Table) -> bool {
        let Some(facts) = self.more.get(&table.oid) else { return true };
        match table.identity {
            ReplicaIdentity::Full => true,
            ReplicaIdentity::Nothing => false,
            ReplicaIdentity::Index => facts.identity_index,
            ReplicaIdentity::Default => facts.primary_identifies,
        }
    }
}

fn truth(row: &Row, column: usize) -> bool {
    row.get(column) == Some("t")
}

fn settings(c: &mut Connection) -> Result<HashMap<String, Setting>, PgError> {
    let rows = c.query("SELECT name, setting, unit FROM pg_catalog.pg_settings WHERE setting IS NOT NULL")?;
    Ok(rows.iter().map(|row| (text(row, 0), Setting { value: text(row, 1), unit: text(row, 2) })).collect())
}

/// Roles by which managed services let others replicate.
const MANAGED_ROLES: &str = "'rds_replication', 'rds_superuser', 'rdsadmin', 'rdsrepladmin'";

pub fn role(c: &mut Connection) -> Result<Role, PgError> {
    let row = c.query_one(&format!(
        "SELECT r.rolname, r.rolcanlogin, r.rolsuper, r.rolreplication, \
         EXISTS (SELECT FROM pg_catalog.pg_roles m WHERE m.rolname IN ({MANAGED_ROLES}) \
         AND pg_catalog.pg_has_role(r.oid, m.oid, 'MEMBER')), \
         r.rolsuper OR pg_catalog.pg_has_role(r.oid, 'pg_read_all_stats', 'USAGE'), \
         pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'), r.rolconnlimit, \
         (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a WHERE a.usename = r.rolname), \
         CASE WHEN pg_catalog.isfinite(r.rolvaliduntil) \
         THEN EXTRACT(epoch FROM r.rolvaliduntil - pg_catalog.now()) / 86400 END \
         FROM pg_catalog.pg_roles r WHERE r.rolname = CURRENT_USER"
    ))?;
    Ok(Role {
        name: text(&row, 0),
        login: truth(&row, 1),
        superuser: truth(&row, 2),
        replication: truth(&row, 3),
        managed: truth(&row, 4),
        sees_statistics: truth(&row, 5),
        creates_in_database: truth(&row, 6),
        connections_max: number(&row, 7),
        connections: number(&row, 8),
        valid_days: row.get(9).and_then(|days| days.parse().ok()),
    })
}

fn table_facts(c: &mut Connection) -> Result<HashMap<u32, TableFacts>, PgError> {
    let rows = c.query(
        "SELECT c.oid, c.relpersistence = 'u', pg_catalog.row_security_active(c.oid), \
         pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE'), pg_catalog.has_table_privilege(c.oid, 'SELECT'), \
         pg_catalog.has_table_privilege(c.oid, 'INSERT'), pg_catalog.has_table_privilege(c.oid, 'DELETE'), \
         pg_catalog.pg_has_role(c.relowner, 'USAGE'), COALESCE(t.relpages, 0), \
         EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisreplident AND i.indisvalid), \
         EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indisvalid AND i.indimmediate) \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid \
         WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' \
         AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'",
    )?;
    let facts = |row: &Row| TableFacts {
        unlogged: truth(row, 1),
        row_security: truth(row, 2),
        schema_usage: truth(row, 3),
        select: truth(row, 4),
        insert: truth(row, 5),
        delete: truth(row, 6),
        owned: truth(row, 7),
        toast_pages: number(row, 8),
        identity_index: truth(row, 9),
        primary_identifies: truth(row, 10),
    };
    Ok(rows.iter().map(|row| (number(row, 0), facts(row))).collect())
}

fn leaves(c: &mut Connection) -> Result<HashMap<u32, Vec<u32>>, PgError> {
    let rows = c.query(
        "WITH RECURSIVE tree(root, part) AS (SELECT c.oid, c.oid FROM pg_catalog.pg_class c \
         WHERE c.relkind = 'p' AND NOT c.relispartition \
         UNION ALL SELECT t.root, i.inhrelid FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.part) \
         SELECT t.root, t.part FROM tree t JOIN pg_catalog.pg_class c ON c.oid = t.part WHERE c.relkind = 'r'",
    )?;
    let mut leaves: HashMap<u32, Vec<u32>> = HashMap::new();
    for row in &rows {
        leaves.entry(number(row, 0)).or_default().push(number(row, 1));
    }
    Ok(leaves)
}

fn publication(c: &mut Connection, version: u32, name: &str) -> Result<Option<Publication>, PgError> {
    let generated = if version >= 180_000 { "p.pubgencols <> 'n'" } else { "false" };
    let row = c.query_opt(&format!(
        "SELECT p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, p.pubviaroot, \
         pg_catalog.pg_has_role(p.pubowner, 'USAGE'), {generated} FROM pg_catalog.pg_publication p WHERE p.pubname = {}",
        quote_literal(name)
    ))?;
    let Some(row) = row else { return Ok(None) };
    let filters = if version >= 150_000 {
        "pg_catalog.pg_get_expr(g.qual, g.relid), CASE WHEN g.attrs IS NOT NULL THEN (SELECT pg_catalog.json_agg(a.attname) \
         FROM pg_catalog.pg_attribute a WHERE a.attrelid = g.relid AND a.attnum = ANY (g.attrs::pg_catalog.int2[])) END"
    } else {
        "NULL, NULL"
    };
    let members = c.query(&format!(
        "SELECT g.relid, {filters} FROM pg_catalog.pg_get_publication_tables({}) g",
        quote_literal(name)
    ))?;
    let member = |row: &Row| Member {
        row_filter: row.get(1).map(str::to_owned),
        columns: row.get(2).and_then(|json| serde_json::from_str(json).ok()),
    };
    Ok(Some(Publication {
        all_tables: truth(&row, 0),
        insert: truth(&row, 1),
        update: truth(&row, 2),
        delete: truth(&row, 3),
        truncate: truth(&row, 4),
        via_root: truth(&row, 5),
        owned: truth(&row, 6),
        generated: truth(&row, 7),
        members: members.iter().map(|row| (number(row, 0), member(row))).collect(),
    }))
}

pub fn slot(c: &mut Connection, version: u32, name: &str) -> Result<Option<SlotFacts>, PgError> {
    let failover = if version >= 170_000 { "s.failover, s.synced" } else { "false, false" };
    let invalidation = match version {
        170_000.. => "s.invalidation_reason",
        160_000.. => "CASE WHEN s.conflicting THEN 'conflicting' END",
        _ => "NULL",
    };
    let row = c.query_opt(&format!(
        "SELECT s.plugin, s.database, s.temporary, s.two_phase, s.active_pid, a.application_name, s.wal_status, \
         s.safe_wal_size, pg_catalog.pg_wal_lsn_diff({WAL_END}, s.restart_lsn)::pg_catalog.int8, \
         pg_catalog.pg_wal_lsn_diff({WAL_END}, s.confirmed_flush_lsn)::pg_catalog.int8, \
         pg_catalog.age(s.catalog_xmin), {failover}, {invalidation}, t.spill_txns, t.spill_bytes \
         FROM pg_catalog.pg_replication_slots s \
         LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid \
         LEFT JOIN pg_catalog.pg_stat_replication_slots t ON t.slot_name = s.slot_name WHERE s.slot_name = {}",
        quote_literal(name)
    ))?;
    let whole = |row: &Row, column: usize| row.get(column).and_then(|n| n.parse::<i64>().ok());
    Ok(row.map(|row| SlotFacts {
        plugin: text(&row, 0),
        database: text(&row, 1),
        temporary: truth(&row, 2),
        two_phase: truth(&row, 3),
        active_pid: whole(&row, 4),
        active_name: row.get(5).filter(|name| !name.is_empty()).map(str::to_owned),
        wal_status: text(&row, 6),
        safe_bytes: whole(&row, 7),
        retained_bytes: whole(&row, 8),
        unconfirmed_bytes: whole(&row, 9),
        xmin_age: whole(&row, 10),
        failover: truth(&row, 11),
        synced: truth(&row, 12),
        invalidation: row.get(13).map(str::to_owned),
        spilled_transactions: number(&row, 14),
        spilled_bytes: number(&row, 15),
    }))
}
