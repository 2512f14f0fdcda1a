//! The captured tables: that there are any, that rows can be told apart, and that events hold what the tables do.

use std::collections::HashMap;

use walspring_config::java_regex::JavaRegex;
use walspring_config::postgres::{NameFilter, RESELECT_CLASS};
use walspring_doctor::{Finding, Group};
use walspring_record::{ReplicaIdentity, Surprise};

use super::subject::{HIDE_PATH, Subject};
use super::words::{self, counted, size, some};
use super::{PgCheck, check};
use crate::catalog::{Table, text};
use crate::errors::java_message;
use crate::publication::qualified;
use crate::wire::{PgError, quote_identifier};

pub const CHECKS: &[PgCheck] = &[
    check("pg.tables.captured", Group::Tables, "there are tables to capture", captured),
    check(
        "pg.tables.include_lists",
        Group::Tables,
        "every expression of the include lists matches something",
        include_lists,
    ),
    check("pg.tables.guardrail", Group::Tables, "no more tables are captured than allowed", guardrail),
    check("pg.tables.not_tables", Group::Tables, "no view or foreign table is meant to be captured", not_tables),
    check("pg.tables.unlogged", Group::Tables, "captured tables are in the log", unlogged),
    check("pg.tables.key", Group::Tables, "captured tables have a key", key),
    check(
        "pg.tables.identity",
        Group::Tables,
        "updates and deletes are not refused for want of a replica identity",
        identity,
    ),
    check("pg.tables.identity_index", Group::Tables, "identity indexes are there", identity_index),
    check(
        "pg.tables.identity_full",
        Group::Tables,
        "no large table logs its old rows whole without need",
        identity_full,
    ),
    check("pg.tables.toast", Group::Tables, "large values that do not change are in the events", toast),
    check("pg.tables.read_twice", Group::Tables, "no row is read under two names", read_twice),
    check("pg.tables.types", Group::Tables, "every column's type has a representation", types),
    check("pg.tables.masks", Group::Tables, "masks mask", masks),
    check("pg.tables.values", Group::Tables, "events hold values as the database does", values),
    check("pg.tables.plans", Group::Tables, "events can be made of every captured table", plans),
    check("pg.tables.topics", Group::Tables, "every table has a topic of its own", topics),
    check("pg.tables.topic_length", Group::Tables, "topics' names are not cut", topic_length),
    check("pg.tables.signals", Group::Tables, "the table of signals is fit for it", signals),
    check("pg.tables.heartbeat", Group::Tables, "the heartbeat's statement can be run", heartbeat),
];

fn names(tables: &[&Table]) -> Vec<String> {
    tables.iter().map(|table| table.qualified_name()).collect()
}

fn captured(s: &mut Subject) -> Result<Finding, PgError> {
    if !s.captured.is_empty() {
        let (count, all) = (s.captured.len(), s.tables.len());
        return Ok(Finding::pass(format!("{count} of the database's {} captured", counted(all, "table"))).seen(count));
    }
    if s.tables.is_empty() {
        return Ok(Finding::fail("there are no tables in this database").setting("database.dbname=…"));
    }
    let there: Vec<String> = s.tables.iter().map(Table::qualified_name).collect();
    Ok(Finding::fail(format!("the filters capture no table; there are {}", some(&there)))
        .seen(0)
        .setting("table.include.list=schema.table,… (expressions for the whole name)"))
}

/// Expressions that match nothing are misspelt, or the table has another schema.
fn include_lists(s: &mut Subject) -> Result<Finding, PgError> {
    let filters = &s.config.typed.filters;
    let tables: Vec<String> = s.tables.iter().map(Table::qualified_name).collect();
    let mut schemas: Vec<String> = s.tables.iter().map(|table| table.namespace.clone()).collect();
    schemas.dedup();
    let mut vain = Vec::new();
    for (option, filter, there) in
        [("schema.include.list", &filters.schemas, &schemas), ("table.include.list", &filters.tables, &tables)]
    {
        let NameFilter::Only(list) = filter else { continue };
        let matches = |expression: &&JavaRegex| !there.iter().any(|name| expression.matches(name).unwrap_or(true));
        vain.extend(list.iter().filter(matches).map(|expression| format!("{option}: {}", expression.as_str())));
    }
    if vain.is_empty() {
        return Ok(Finding::pass("every expression matches"));
    }
    Ok(Finding::warn(format!("without a match: {}", some(&vain)))
        .advice("names are schema.table, unquoted; dots and $ are escaped with a backslash; tables that come later are captured then"))
}

fn guardrail(s: &mut Subject) -> Result<Finding, PgError> {
    Ok(words::guardrail(s.captured.len(), s.config.typed.guardrail))
}

fn not_tables(s: &mut Subject) -> Result<Finding, PgError> {
    let NameFilter::Only(_) = s.config.typed.filters.tables else {
        return Ok(Finding::not_applicable("table.include.list is not set"));
    };
    let rows = s.rows(
        "SELECT n.nspname, c.relname, c.relkind FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n \
         ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm', 'f') AND n.nspname <> 'information_schema' \
         AND n.nspname NOT LIKE 'pg\\_%' ORDER BY 1, 2",
    )?;
    let filters = &s.config.typed.filters;
    let met = rows.iter().filter(|row| filters.captures(&text(row, 0), &text(row, 1)).unwrap_or(false));
    let met: Vec<String> = met
        .map(|row| {
            let kind = match row.get(2) {
                Some("v") => "view",
                Some("m") => "materialized view",
                _ => "foreign table",
            };
            format!("{}.{} ({kind})", text(row, 0), text(row, 1))
        })
        .collect();
    if met.is_empty() {
        return Ok(Finding::pass("the include list means tables only"));
    }
    Ok(Finding::warn(format!("included, and without changes of their own: {}", some(&met)))
        .advice("capture the tables that they are made of; a foreign table is captured where it is"))
}

fn unlogged(s: &mut Subject) -> Result<Finding, PgError> {
    let unlogged: Vec<&Table> = s.captured.iter().filter(|t| s.more.get(&t.oid).is_some_and(|f| f.unlogged)).collect();
    if unlogged.is_empty() {
        return Ok(Finding::pass("no captured table is unlogged"));
    }
    Ok(Finding::fail(format!("no change comes of unlogged tables: {}", some(&names(&unlogged))))
        .sql_each(unlogged.iter().map(|table| format!("ALTER TABLE {} SET LOGGED;", qualified(table)))))
}

fn is_signal_table(s: &Subject, table: &Table) -> bool {
    s.config.typed.filters.signal_table.as_deref() == Some(&table.qualified_name())
}

fn key(s: &mut Subject) -> Result<Finding, PgError> {
    let keys = &s.config.typed.key_columns;
    let keyless: Vec<&Table> = s
        .captured
        .iter()
        .filter(|table| !is_signal_table(s, table))
        .filter(|table| {
            let Some(details) = s.details.get(&table.oid) else { return false };
            let columns: Vec<&str> = details.columns.iter().map(|c| c.name.as_str()).collect();
            let custom = keys.of_table(&table.namespace, &table.name, &columns).unwrap_or(None);
            details.primary_key.is_empty() && details.unique_key.is_empty() && custom.is_none()
        })
        .collect();
    if keyless.is_empty() {
        return Ok(Finding::pass("every captured table has a key"));
    }
    let list: Vec<String> = keyless.iter().map(|table| format!("{}:…", table.qualified_name())).collect();
    Ok(Finding::warn(format!("events without a key, in any order over partitions: {}", some(&names(&keyless))))
        .sql_each(keyless.iter().map(|table| format!("ALTER TABLE {} ADD PRIMARY KEY (…);", qualified(table))))
        .setting(format!("message.key.columns={}", list.join(";"))))
}

/// Of every published table, captured or not: it is the application that gets the error.
fn identity(s: &mut Subject) -> Result<Finding, PgError> {
    let rules = &s.config.typed.publication.replica_identities;
    let published = s.published();
    let count = published.len();
    let captured = |table: &Table| s.captured.iter().any(|other| other.oid == table.oid);
    let mended = |table: &Table| {
        captured(table) && rules.iter().any(|rule| rule.tables.matches(&table.qualified_name()).unwrap_or(false))
    };
    let without: Vec<&Table> = published
        .into_iter()
        .filter(|table| table.identity != ReplicaIdentity::Index && !s.identifies(table) && !mended(table))
        .collect();
    if without.is_empty() {
        return Ok(Finding::pass(format!("{} with an identity", counted(count, "published table"))));
    }
    let statements = without.iter().map(|table| {
        let primary = s.more.get(&table.oid).is_some_and(|facts| facts.primary_identifies);
        format!("ALTER TABLE {} REPLICA IDENTITY {};", qualified(table), if primary { "DEFAULT" } else { "FULL" })
    });
    let statements: Vec<String> = statements.collect();
    let others = without.iter().any(|table| !captured(table));
    let what = format!("{}: {}", counted(without.len(), "table"), some(&names(&without)));
    let finding = match (&s.publication, s.bare) {
        (None, true) => Finding::warn(format!("once published, PostgreSQL would refuse UPDATE and DELETE on {what}")),
        _ => Finding::fail(format!("PostgreSQL refuses UPDATE and DELETE to the application on {what}")),
    };
    let finding = finding.advice("a primary key is best; otherwise:").sql_each(statements);
    Ok(if others { finding.advice("those that are not captured need not be in the publication") } else { finding })
}

fn identity_index(s: &mut Subject) -> Result<Finding, PgError> {
    let by_index = |table: &&Table| table.identity == ReplicaIdentity::Index;
    let published = s.published();
    let by_index: Vec<&Table> = published.into_iter().filter(by_index).collect();
    if by_index.is_empty() {
        return Ok(Finding::not_applicable("no published table is identified by an index"));
    }
    let gone: Vec<&Table> = by_index.iter().copied().filter(|table| !s.identifies(table)).collect();
    if gone.is_empty() {
        return Ok(Finding::pass(format!("the identity index of {} is valid", counted(by_index.len(), "table"))));
    }
    let statements = gone.iter().map(|table| {
        let primary = s.more.get(&table.oid).is_some_and(|facts| facts.primary_identifies);
        format!("ALTER TABLE {} REPLICA IDENTITY {};", qualified(table), if primary { "DEFAULT" } else { "FULL" })
    });
    Ok(Finding::fail(format!(
        "the identity index was dropped, or is invalid, of {}: updates and deletes are refused",
        some(&names(&gone))
    ))
    .sql_each(statements.collect::<Vec<_>>()))
}

fn identity_full(s: &mut Subject) -> Result<Finding, PgError> {
    const PAGE: i64 = 8192;
    let large = s.thresholds.full_table_bytes;
    let published = s.published();
    let full: Vec<&Table> = published
        .into_iter()
        .filter(|t| t.identity == ReplicaIdentity::Full && t.pages.saturating_mul(PAGE) >= large)
        .filter(|table| s.more.get(&table.oid).is_some_and(|facts| facts.primary_identifies))
        .collect();
    if full.is_empty() {
        return Ok(Finding::pass("no large table with a primary key has REPLICA IDENTITY FULL"));
    }
    let told: Vec<String> = full.iter().map(|t| format!("{} ({})", t.qualified_name(), size(t.pages * PAGE))).collect();
    Ok(Finding::warn(format!("each update and delete logs the whole old row: {}", some(&told)))
        .advice("keep it where `before` or unchanged large values are needed; else:")
        .sql_each(full.iter().map(|table| format!("ALTER TABLE {} REPLICA IDENTITY DEFAULT;", qualified(table)))))
}

fn toast(s: &mut Subject) -> Result<Finding, PgError> {
    let raw = &s.config.typed.raw;
    let reselects = raw.iter().any(|(name, value)| name.ends_with(".type") && value.trim() == RESELECT_CLASS);
    let least = s.thresholds.toast_pages;
    let large: Vec<&Table> = s
        .captured
        .iter()
        .filter(|t| t.identity != ReplicaIdentity::Full && s.more.get(&t.oid).is_some_and(|f| f.toast_pages >= least))
        .collect();
    if large.is_empty() {
        return Ok(Finding::pass("no captured table has large values outside of its rows (as of the last vacuum)"));
    }
    if reselects {
        return Ok(Finding::pass(format!("large values of {} are selected again", some(&names(&large)))));
    }
    Ok(Finding::warn(format!(
        "an update that leaves a large value alone has a placeholder for it: {}",
        some(&names(&large))
    ))
    .advice("consumers have to know unavailable.value.placeholder; or let the log have the old row:")
    .sql_each(large.iter().map(|table| format!("ALTER TABLE {} REPLICA IDENTITY FULL;", qualified(table))))
    .setting("post.processors=reselect")
    .setting(format!("post.processors.reselect.type={RESELECT_CLASS}")))
}

/// `schema.table.column`, of what surprises with one of these; with `*` the table.
fn surprising(s: &Subject, wanted: impl Fn(Surprise) -> bool) -> Vec<(String, Surprise)> {
    let plans = s.plans.iter().filter_map(|(table, plan)| Some((table, plan.as_ref().ok()?)));
    let found =
        plans.flat_map(|(table, plan)| plan.surprises.iter().map(move |(column, surprise)| (table, column, *surprise)));
    found
        .filter(|(_, _, surprise)| wanted(*surprise))
        .map(|(table, column, surprise)| {
            (if &**column == "*" { table.clone() } else { format!("{table}.{column}") }, surprise)
        })
        .collect()
}

fn of_surprise(s: &Subject, surprise: Surprise, outcome: fn(String) -> Finding, well: &str) -> Finding {
    let found: Vec<String> = surprising(s, |other| other == surprise).into_iter().map(|(place, _)| place).collect();
    if found.is_empty() {
        return Finding::pass(well);
    }
    outcome(format!("{}: {}", some(&found), surprise.what())).advice(surprise.mend())
}

fn read_twice(s: &mut Subject) -> Result<Finding, PgError> {
    Ok(of_surprise(s, Surprise::RowsTwice, Finding::warn, "no captured table holds another's rows"))
}

fn types(s: &mut Subject) -> Result<Finding, PgError> {
    Ok(of_surprise(s, Surprise::TypeLeftOut, Finding::warn, "every captured column is in the events"))
}

fn masks(s: &mut Subject) -> Result<Finding, PgError> {
    let finding = of_surprise(s, Surprise::MaskIgnored, Finding::fail, "what is to be masked is masked");
    Ok(match finding.outcome {
        walspring_doctor::Outcome::Fail => finding,
        _ => of_surprise(s, Surprise::MaskKey, Finding::fail, "what is to be masked is masked"),
    })
}

fn values(s: &mut Subject) -> Result<Finding, PgError> {
    use Surprise::{GeneratedColumn, MaskIgnored, MaskKey, RowsTwice, ToastUnknown, TopicShared, TypeLeftOut};
    let elsewhere = [GeneratedColumn, MaskIgnored, MaskKey, RowsTwice, ToastUnknown, TopicShared, TypeLeftOut];
    let mut found: Vec<(Surprise, Vec<String>)> = Vec::new();
    for (place, surprise) in surprising(s, |surprise| !elsewhere.contains(&surprise)) {
        match found.iter_mut().find(|(other, _)| *other == surprise) {
            Some((_, places)) => places.push(place),
            None => found.push((surprise, vec![place])),
        }
    }
    if found.is_empty() {
        return Ok(Finding::pass("nothing in the tables' definitions that Debezium writes otherwise"));
    }
    let told: Vec<String> = found
        .iter()
        .map(|(surprise, places)| format!("{} ({}: {})", surprise.what(), surprise.name(), some(places)))
        .collect();
    let finding = Finding::warn(told.join("; "));
    let mends = found.iter().map(|(surprise, _)| format!("{}: {}", surprise.name(), surprise.mend()));
    Ok(mends.fold(finding, Finding::advice))
}

fn plans(s: &mut Subject) -> Result<Finding, PgError> {
    let mut failed = s.plans.iter().filter_map(|(table, plan)| plan.as_ref().err().map(|why| (table, why)));
    let Some((first, why)) = failed.next() else {
        return Ok(Finding::pass(format!("events can be made of {}", counted(s.plans.len(), "table"))));
    };
    let more = failed.count();
    let others = if more > 0 { format!(" (and {more} more)") } else { String::new() };
    Ok(Finding::fail(format!("no event can be made of {first}{others}: {why}"))
        .advice("the message says what mends it"))
}

fn topics(s: &mut Subject) -> Result<Finding, PgError> {
    let mut tables_of: HashMap<&str, Vec<&str>> = HashMap::new();
    for (table, plan) in &s.plans {
        let Ok(plan) = plan else { continue };
        tables_of.entry(&plan.topic).or_default().push(table);
    }
    let mut shared: Vec<String> = tables_of
        .iter()
        .filter(|(_, tables)| tables.len() > 1)
        .map(|(topic, tables)| format!("{topic} is of {}", some(tables)))
        .collect();
    shared.sort();
    if shared.is_empty() {
        return Ok(Finding::pass(format!("{} for as many tables", counted(tables_of.len(), "topic"))));
    }
    let by_regex = matches!(s.config.typed.topics.naming.form, walspring_config::postgres::TopicForm::Regex(_));
    if by_regex {
        return Ok(Finding::pass(format!("shared, as topic.regex asks: {}", some(&shared))));
    }
    Ok(Finding::warn(format!("rows of several tables in one topic, their keys mixed: {}", some(&shared)))
        .setting("topic.naming.strategy=io.debezium.schema.SchemaUnicodeTopicNamingStrategy")
        .advice(
            "or rename a table: Kafka allows letters, digits, dots, hyphens and underscores, and the rest becomes _",
        ))
}

fn topic_length(s: &mut Subject) -> Result<Finding, PgError> {
    const LENGTH_MAX: usize = 249;
    let names: Vec<&str> = s
        .plans
        .iter()
        .filter_map(|(table, plan)| (plan.as_ref().ok()?.topic.len() >= LENGTH_MAX).then_some(table.as_str()))
        .collect();
    if names.is_empty() {
        return Ok(Finding::pass("every topic's name is shorter than 249 characters"));
    }
    Ok(Finding::warn(format!("topic names are cut at {LENGTH_MAX} characters: {}", some(&names)))
        .setting("topic.prefix=… (a shorter one)"))
}

/// What a table of signals needs: id, type and data, as texts; and that its inserts come.
fn signals(s: &mut Subject) -> Result<Finding, PgError> {
    let signals = &s.config.typed.signals;
    let Some(name) = s.config.typed.filters.signal_table.clone() else {
        return Ok(Finding::not_applicable("signal.data.collection is not set"));
    };
    let (schema, table) = name.split_once('.').unwrap_or(("public", &name));
    let quoted = format!("{}.{}", quote_identifier(schema), quote_identifier(table));
    let role = quote_identifier(&s.role.name);
    let Some(found) = s.tables.iter().find(|other| other.qualified_name() == name) else {
        return Ok(Finding::fail(format!("there is no table {name} for signals")).sql(format!(
            "CREATE TABLE {quoted} (id varchar(42) PRIMARY KEY, type varchar(32) NOT NULL, data varchar(2048));"
        )));
    };
    let columns = s.details.get(&found.oid).map(|details| details.columns.len()).unwrap_or_default();
    if columns != 3 {
        return Ok(Finding::fail(format!("{name} has {columns} columns; signals are id, type and data"))
            .seen(columns)
            .wanted(3)
            .advice("drop it, and:")
            .sql(format!(
                "CREATE TABLE {quoted} (id varchar(42) PRIMARY KEY, type varchar(32) NOT NULL, data varchar(2048));"
            )));
    }
    let Some(facts) = s.more.get(&found.oid) else { return Ok(Finding::skip("its rights cannot be read")) };
    let writes = !s.config.typed.connection.read_only;
    let mut missing = Vec::new();
    if writes && !facts.insert {
        missing.push("INSERT");
    }
    if writes && signals.delete_watermarks && !facts.delete {
        missing.push("DELETE");
    }
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return Ok(Finding::fail(format!("no {missing} on {name}: an incremental snapshot cannot mark its chunks"))
            .sql(format!("GRANT {missing} ON {quoted} TO {role};")));
    }
    Ok(Finding::pass(format!("{name} takes signals")))
}

/// Planned, never run: `EXPLAIN` checks names and rights.
fn heartbeat(s: &mut Subject) -> Result<Finding, PgError> {
    let events = &s.config.typed.events;
    let Some(query) = events.heartbeat_query.clone() else {
        return Ok(Finding::not_applicable("heartbeat.action.query is not set"));
    };
    if events.heartbeat_interval.is_none() {
        return Ok(Finding::warn("heartbeat.action.query is set, and never run: there is no heartbeat.interval.ms")
            .setting("heartbeat.interval.ms=10000"));
    }
    let statement = query.trim().trim_end_matches(';');
    let first = statement.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    let plannable = ["INSERT", "UPDATE", "DELETE", "SELECT", "MERGE", "WITH"].contains(&first.as_str());
    // A second statement would be run; a semicolon in a literal is not worth the difference.
    if statement.contains(';') || !plannable {
        return Ok(Finding::skip("heartbeat.action.query is not one statement that can be planned without running it"));
    }
    s.rows("RESET search_path")?;
    let planned = s.rows(&format!("EXPLAIN {statement}"));
    s.rows(HIDE_PATH)?;
    Ok(match planned {
        Ok(_) => Finding::pass("heartbeat.action.query can be run"),
        Err(e) if e.server().is_some() => {
            let finding = Finding::fail(format!("heartbeat.action.query fails: {}", java_message(&e)));
            match e.code() {
                Some("42501") => finding
                    .sql(format!("GRANT INSERT, UPDATE, DELETE, SELECT ON … TO {};", quote_identifier(&s.role.name))),
                Some("42P01") => finding.sql("CREATE TABLE …;").advice("or name it with its schema"),
                _ => finding.setting("heartbeat.action.query=…"),
            }
        }
        Err(e) => return Err(e),
    })
}
