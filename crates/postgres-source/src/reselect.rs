//! `ReselectColumnsPostProcessor`: columns that the stream left out, or gave as null, are read again from the tables.
//!
//! A stage behind the reader of changes, there only where `post.processors` asks for it. It looks at each change once,
//! remembers those that lack something, and reads them together: one query for the rows of a table that lack the same
//! columns, on a connection of its own. What was read takes the cell's place, so that nothing after this knows.
//!
//! What it gives is the row as it is now, not as it was at the change. A row that is gone stays as the stream gave it.

mod lookup;
mod query;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use walspring_config::postgres::{Reselect as Options, post_processors};
use walspring_connect::{CONNECT_EXCEPTION, DEBEZIUM_EXCEPTION, PRODUCER_FAILED, TaskError};
use walspring_debezium::{Unavailable, UnavailableValues};
use walspring_record::{ChangeBatch, ChangeKind};

use crate::change_reader::{ChangeReader, LastEvent, Relations};
use crate::config::SourceConfig;
use crate::errors::{PSQL_EXCEPTION, from_pg, java_message};
use crate::wire::Connection;

use lookup::Lookup;
use query::{Asked, Found};

/// So many rows are read together at most: a query's text stays some ten KiB, and what it answers is bounded by so many
/// values of the tables, as a batch without this is by one.
const ROWS_MAX: usize = 256;
/// What a query should bring: as much as a batch of the stream.
const BYTES_WANTED: usize = 256 * 1024;
/// Versions of tables whose look-ups are remembered.
const LOOKUPS_MAX: usize = 20_000;
/// A table that cannot be read is not named more often.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

pub struct Reselect {
    config: Arc<SourceConfig>,
    placeholder: UnavailableValues,
    /// One for each processor of the configuration.
    stages: Vec<Stage>,
    connection: Option<Connection>,
    /// Changes of the batch that were looked at.
    seen: usize,
    /// How many rows are read together: fewer where rows are large.
    rows: usize,
    warnings: Warnings,
}

struct Stage {
    options: Options,
    /// By the plan's id; `None`: nothing of the table is read again.
    lookups: HashMap<u64, Option<Arc<Lookup>>>,
    waiting: Vec<Waiting>,
}

/// A change that lacks something.
struct Waiting {
    change: usize,
    lookup: Arc<Lookup>,
    /// Places of the columns in the relation.
    columns: Vec<u32>,
    /// The event before this one, where a failure has to tell the offset.
    before: Option<LastEvent>,
}

/// A change could not be completed, and that fails the task: what comes before it is sent.
pub struct Failure {
    pub change: usize,
    pub before: Option<LastEvent>,
    pub error: TaskError,
}

impl Reselect {
    /// `None`: nothing asks for it.
    pub fn new(config: &Arc<SourceConfig>) -> Result<Option<Reselect>, TaskError> {
        let stages: Vec<Stage> = processors(config)?
            .into_iter()
            .map(|options| Stage { options, lookups: HashMap::new(), waiting: Vec::new() })
            .collect();
        let placeholder = Unavailable(config.typed.representation.unavailable_value.bytes.clone());
        Ok((!stages.is_empty()).then(|| Reselect {
            config: config.clone(),
            placeholder: UnavailableValues::new(&placeholder),
            stages,
            connection: None,
            seen: 0,
            rows: ROWS_MAX / 8,
            warnings: Warnings::default(),
        }))
    }

    /// Another batch begins.
    pub fn next_batch(&mut self) {
        self.seen = 0;
        self.stages.iter_mut().for_each(|stage| stage.waiting.clear());
    }

    /// The event before the next one, where [`Reselect::look`] has to know it.
    pub fn before<R: Relations>(&self, reader: &ChangeReader<R>) -> Option<LastEvent> {
        let may_fail = self.stages.iter().any(|stage| stage.options.fails);
        if may_fail { reader.last_event().cloned() } else { None }
    }

    /// Looks at the changes that were added; `true`: enough lack something for a query.
    pub fn look(&mut self, batch: &ChangeBatch, before: Option<&LastEvent>) -> Result<bool, TaskError> {
        let mut enough = false;
        for at in self.seen..batch.changes.len() {
            let change = &batch.changes[at];
            if !matches!(change.kind, ChangeKind::Insert | ChangeKind::Update) {
                continue;
            }
            let plan = &batch.plans[change.plan as usize];
            for stage in &mut self.stages {
                let known = stage.lookups.get(&plan.id).cloned();
                let lookup = match known {
                    Some(lookup) => lookup,
                    None => {
                        let made =
                            Lookup::new(plan, &stage.options, &self.config, &self.placeholder, &mut self.connection)?
                                .map(Arc::new);
                        if stage.lookups.len() >= LOOKUPS_MAX {
                            stage.lookups.clear();
                        }
                        stage.lookups.insert(plan.id, made.clone());
                        made
                    }
                };
                let Some(lookup) = lookup else { continue };
                let columns = lookup.lacking(&batch.row(change.new, plan.relation.columns.len()));
                if !columns.is_empty() {
                    let before = before.filter(|_| stage.options.fails).cloned();
                    stage.waiting.push(Waiting { change: at, lookup, columns, before });
                }
                enough |= stage.waiting.len() >= self.rows;
            }
        }
        self.seen = batch.changes.len();
        Ok(enough)
    }

    pub fn is_waiting(&self) -> bool {
        self.stages.iter().any(|stage| !stage.waiting.is_empty())
    }

    /// Reads what is lacking. The outer error: the database cannot be asked; the inner one: a change stays incomplete,
    /// and that is not accepted.
    pub fn read(&mut self, batch: &mut ChangeBatch) -> Result<Option<Failure>, TaskError> {
        let bytes = batch.bytes.len();
        let mut rows = 0;
        for stage in &mut self.stages {
            let waiting = std::mem::take(&mut stage.waiting);
            rows += waiting.len();
            let mut failure: Option<Failure> = None;
            for asked in together(&waiting, batch) {
                let (lookup, columns) = (asked.lookup.clone(), asked.columns);
                let answer = match &lookup.key {
                    Err(why) => Err(why.clone()),
                    Ok(_) => query::read(&asked, &self.config, &mut self.connection, batch)?,
                };
                let unfound: Vec<usize> = match &answer {
                    Ok(Found { without }) => without.clone(),
                    Err(_) => asked.changes().collect(),
                };
                let Some(first) = unfound.iter().copied().min() else { continue };
                let table = lookup.plan.relation.qualified_name();
                if !stage.options.fails {
                    self.warnings.warn(&table, unfound.len(), columns, &lookup, answer.as_ref().err());
                } else if failure.as_ref().is_none_or(|known| first < known.change) {
                    let key = lookup.printed_key(batch, first);
                    let before = waiting.iter().find(|w| w.change == first).and_then(|w| w.before.clone());
                    failure = Some(Failure { change: first, before, error: failed(&table, &key, answer.err()) });
                }
            }
            if failure.is_some() {
                return Ok(failure);
            }
        }
        if let Some(each) = (batch.bytes.len() - bytes).checked_div(rows) {
            self.rows = (BYTES_WANTED / each.max(1)).clamp(1, (self.rows * 2).min(ROWS_MAX));
        }
        Ok(None)
    }
}

/// The processors that `post.processors` names; an error is definite.
pub fn processors(config: &SourceConfig) -> Result<Vec<Options>, TaskError> {
    post_processors(&config.typed.raw).map_err(|e| {
        let message = "Unable to create service io.debezium.processors.PostProcessorRegistry";
        let hint = format!("set {}, or leave the name out of post.processors", e.option);
        TaskError::definite(DEBEZIUM_EXCEPTION, message).caused_by(DEBEZIUM_EXCEPTION, e.message).hint(hint)
    })
}

/// The changes by table and by what they lack, in their order.
fn together<'a>(waiting: &'a [Waiting], batch: &ChangeBatch) -> Vec<Asked<'a>> {
    let mut groups: BTreeMap<(u64, &[u32]), Asked<'a>> = BTreeMap::new();
    for one in waiting {
        let group =
            groups.entry((one.lookup.plan.id, &one.columns)).or_insert_with(|| Asked::new(&one.lookup, &one.columns));
        group.add(one.change, batch);
    }
    groups.into_values().collect()
}

fn failed(table: &str, key: &str, why: Option<String>) -> TaskError {
    let error = TaskError::definite(CONNECT_EXCEPTION, PRODUCER_FAILED).hint(
        "a column could not be read again, and reselect.error.handling.mode is fail; warn leaves such columns as they are",
    );
    match why {
        None => error.caused_by(DEBEZIUM_EXCEPTION, format!("Failed to find row in table {table} with key {key}")),
        Some(why) => error
            .caused_by(DEBEZIUM_EXCEPTION, format!("Failed to re-select columns for table {table} and key {key}"))
            .caused_by(PSQL_EXCEPTION, why),
    }
}

/// One line a table and minute, not one a row.
#[derive(Default)]
struct Warnings {
    told: HashMap<String, (Instant, usize)>,
}

impl Warnings {
    fn warn(&mut self, table: &str, rows: usize, columns: &[u32], lookup: &Lookup, why: Option<&String>) {
        if self.told.len() >= LOOKUPS_MAX {
            self.told.clear();
        }
        let now = Instant::now();
        let (at, kept) = self.told.entry(table.to_owned()).or_insert((now, 0));
        if *kept > 0 && at.elapsed() < WARNING_INTERVAL {
            *kept += rows;
            return;
        }
        let rows = rows + if *kept > 0 { *kept - 1 } else { 0 };
        (*at, *kept) = (now, 1);
        let names = columns.iter().map(|&c| &*lookup.plan.relation.columns[c as usize].name).collect::<Vec<_>>();
        let columns = names.join(", ");
        match why {
            None => {
                tracing::warn!(table, rows, columns, "rows to be read again are gone; the columns stay as they are")
            }
            Some(why) => tracing::warn!(table, rows, columns, "rows cannot be read again: {why}"),
        }
    }
}

/// The stage's connection; opened at the first use, and again when it was lost.
fn connection<'a>(config: &SourceConfig, kept: &'a mut Option<Connection>) -> Result<&'a mut Connection, TaskError> {
    const DOING: &str = "Connecting to read columns again";
    if kept.as_ref().is_none_or(|connection| !connection.is_usable()) {
        // database.query.timeout.ms: a lock that is held for long must not hold the stream for ever.
        *kept = Some(config.open(DOING)?);
    }
    kept.as_mut().ok_or_else(|| TaskError::transient(CONNECT_EXCEPTION, "The connection is gone"))
}

/// Asks again once where the connection turns out to be lost. The inner error is the server's answer.
fn asking<T>(
    config: &SourceConfig,
    kept: &mut Option<Connection>,
    mut run: impl FnMut(&mut Connection) -> Result<T, crate::wire::PgError>,
) -> Result<Result<T, String>, TaskError> {
    for again in [true, false] {
        match run(connection(config, kept)?) {
            Ok(answer) => return Ok(Ok(answer)),
            // 57014: it took longer than database.query.timeout.ms.
            Err(e) if !e.is_transient() || e.code() == Some("57014") => return Ok(Err(java_message(&e))),
            Err(e) if !again => return Err(from_pg("Reading columns again", e)),
            Err(_) => *kept = None,
        }
    }
    Err(TaskError::transient(CONNECT_EXCEPTION, "Reading columns again failed"))
}
