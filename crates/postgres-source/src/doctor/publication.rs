//! The publication: that it is there or can be made, and that what is captured is in it, whole.

use std::collections::HashSet;

use walspring_config::postgres::PublicationAutocreate::{AllTables, Disabled, Filtered, NoTables};
use walspring_doctor::{Finding, Group};
use walspring_record::ReplicaIdentity;

use super::subject::Subject;
use super::words::{self, counted, some};
use super::{PgCheck, check};
use crate::catalog::Table;
use crate::publication::qualified;
use crate::wire::{PgError, quote_identifier, quote_literal};

pub const CHECKS: &[PgCheck] = &[
    check("pg.publication.exists", Group::Publication, "the publication is there, or will be made", exists),
    check(
        "pg.publication.right",
        Group::Publication,
        "the role may make or change the publication, where it has to",
        right,
    ),
    check("pg.publication.tables", Group::Publication, "every captured table is in the publication", captured_in_it),
    check(
        "pg.publication.extra_tables",
        Group::Publication,
        "the publication has no tables that are not captured",
        extra_tables,
    ),
    check(
        "pg.publication.operations",
        Group::Publication,
        "the publication has every operation that is captured",
        operations,
    ),
    check("pg.publication.row_filter", Group::Publication, "no row filter hides changes", row_filter),
    check("pg.publication.columns", Group::Publication, "no column list hides captured columns", columns),
    check(
        "pg.publication.identity_columns",
        Group::Publication,
        "column lists have the replica identity's columns",
        identity_columns,
    ),
    check(
        "pg.publication.via_root",
        Group::Publication,
        "partitions are published under the name that is expected",
        via_root,
    ),
    check(
        "pg.publication.generated",
        Group::Publication,
        "generated columns are in the stream as in the snapshot",
        generated,
    ),
];

fn none(s: &Subject) -> Finding {
    Finding::not_applicable(format!("there is no publication {} yet", s.config.typed.publication.name))
}

fn quoted(s: &Subject) -> Vec<String> {
    s.captured.iter().map(qualified).collect()
}

fn exists(s: &mut Subject) -> Result<Finding, PgError> {
    let config = &s.config.typed.publication;
    let name = &config.name;
    let list = || quoted(s).join(", ");
    Ok(match (&s.publication, config.autocreate) {
        (Some(publication), _) => Finding::pass(match publication.all_tables {
            true => format!("{name} is there, for all tables"),
            false => format!("{name} is there, with {}", counted(publication.members.len(), "table")),
        }),
        (None, _) if s.bare => Finding::not_applicable("no connector is given, and nothing is called as by default"),
        (None, _) if s.standby => {
            Finding::fail(format!("there is no publication {name}, and a standby cannot make it"))
                .advice("on the primary:")
                .sql(format!("CREATE PUBLICATION {} FOR TABLE {};", quote_identifier(name), list()))
        }
        (None, Disabled) => words::publication_missing(name, &quoted(s)),
        (None, NoTables) => {
            Finding::warn(format!("{name} will be made without tables: nothing comes before somebody adds them"))
                .sql(format!("CREATE PUBLICATION {} FOR TABLE {};", quote_identifier(name), list()))
        }
        (None, Filtered) if s.captured.is_empty() => {
            Finding::fail(format!("{name} cannot be made: there is no captured table to put into it"))
                .setting("table.include.list=… (tables that exist)")
        }
        (None, AllTables | Filtered) => Finding::pass(format!("{name} will be made at the start")),
    })
}

fn right(s: &mut Subject) -> Result<Finding, PgError> {
    let config = &s.config.typed.publication;
    let (name, role) = (quote_identifier(&config.name), quote_identifier(&s.role.name));
    let by_owner = |finding: Finding, what: String| {
        finding.advice("let the tables' owner run, and set publication.autocreate.mode=disabled:").sql(what)
    };
    let foreign: Vec<String> = s
        .captured
        .iter()
        .filter(|table| s.more.get(&table.oid).is_some_and(|facts| !facts.owned))
        .map(Table::qualified_name)
        .collect();
    Ok(match (&s.publication, config.autocreate) {
        _ if s.bare || s.standby => Finding::not_applicable("nothing is made here"),
        (Some(publication), Filtered) if !same_tables(s) => {
            if publication.owned && foreign.is_empty() {
                Finding::pass("the role may set the publication's tables")
            } else {
                let sql = format!("ALTER PUBLICATION {name} SET TABLE {};", quoted(s).join(", "));
                by_owner(
                    Finding::fail("the publication's tables are to be changed, and the role does not own it and them"),
                    sql,
                )
            }
        }
        (Some(_), _) | (None, Disabled) => Finding::not_applicable("there is nothing to make or to change"),
        (None, AllTables) if s.role.superuser => Finding::pass("a superuser may publish all tables"),
        (None, AllTables) => {
            let sql = format!("CREATE PUBLICATION {name} FOR TABLE {};", quoted(s).join(", "));
            by_owner(Finding::fail("only a superuser may make a publication for all tables"), sql)
        }
        (None, Filtered) if !foreign.is_empty() => {
            let sql = format!("CREATE PUBLICATION {name} FOR TABLE {};", quoted(s).join(", "));
            by_owner(Finding::fail(format!("only their owner may publish {}", some(&foreign))), sql)
        }
        (None, Filtered | NoTables) if !s.role.creates_in_database => {
            Finding::fail("the role may not make a publication in this database")
                .sql(format!("GRANT CREATE ON DATABASE {} TO {role};", quote_identifier(&s.config.connect.dbname)))
        }
        (None, Filtered | NoTables) => Finding::pass("the role may make the publication"),
    })
}

fn same_tables(s: &Subject) -> bool {
    let have: HashSet<u32> = s.publication.iter().flat_map(|p| p.members.keys().copied()).collect();
    have == s.captured.iter().map(|table| table.oid).collect()
}

/// Whether changes of the table come, under whatever name.
fn is_published(s: &Subject, table: &Table) -> bool {
    let Some(publication) = &s.publication else { return true };
    let within = |oid: &u32| publication.members.contains_key(oid);
    if within(&table.oid) {
        return true;
    }
    // The rows of a partitioned table are its leaves', and under its root's name those of a leaf.
    match s.leaves.get(&table.oid) {
        Some(leaves) => leaves.iter().all(within),
        None => s.leaves.iter().any(|(root, leaves)| within(root) && leaves.contains(&table.oid)),
    }
}

fn captured_in_it(s: &mut Subject) -> Result<Finding, PgError> {
    if s.publication.is_none() {
        return Ok(none(s));
    }
    let missing: Vec<&Table> = s
        .captured
        .iter()
        .filter(|table| s.more.get(&table.oid).is_some_and(|facts| !facts.unlogged))
        .filter(|table| !is_published(s, table))
        .collect();
    if missing.is_empty() {
        return Ok(Finding::pass(format!("{} in the publication", counted(s.captured.len(), "captured table"))));
    }
    if s.config.typed.publication.autocreate == Filtered {
        return Ok(Finding::pass(format!("{} will be added at the start", counted(missing.len(), "table"))));
    }
    let names: Vec<String> = missing.iter().map(|table| table.qualified_name()).collect();
    let list: Vec<String> = missing.iter().map(|table| qualified(table)).collect();
    let name = quote_identifier(&s.config.typed.publication.name);
    Ok(Finding::fail(format!("no change comes of {}: not in the publication", some(&names)))
        .sql(format!("ALTER PUBLICATION {name} ADD TABLE {};", list.join(", "))))
}

fn extra_tables(s: &mut Subject) -> Result<Finding, PgError> {
    let Some(publication) = &s.publication else { return Ok(none(s)) };
    let captured: HashSet<u32> = s.captured.iter().map(|table| table.oid).collect();
    let covered = |oid: u32| {
        captured.contains(&oid)
            || s.leaves.iter().any(|(root, leaves)| {
                (leaves.contains(&oid) && captured.contains(root))
                    || (*root == oid && leaves.iter().any(|l| captured.contains(l)))
            })
    };
    let extra: Vec<&Table> =
        s.tables.iter().filter(|t| publication.members.contains_key(&t.oid) && !covered(t.oid)).collect();
    if extra.is_empty() || s.bare {
        return Ok(Finding::pass("the publication has nothing that is not captured"));
    }
    let names: Vec<String> = extra.iter().map(|table| table.qualified_name()).collect();
    let list: Vec<String> = extra.iter().map(|table| qualified(table)).collect();
    let name = quote_identifier(&s.config.typed.publication.name);
    let finding =
        Finding::warn(format!("{} are sent to us and thrown away: {}", counted(extra.len(), "table"), some(&names)));
    Ok(if publication.all_tables {
        finding
            .advice("make a publication of the captured tables, and name it in publication.name:")
            .sql(format!("CREATE PUBLICATION … FOR TABLE {};", quoted(s).join(", ")))
    } else {
        finding.sql(format!("ALTER PUBLICATION {name} DROP TABLE {};", list.join(", ")))
    })
}

fn operations(s: &mut Subject) -> Result<Finding, PgError> {
    let Some(publication) = &s.publication else { return Ok(none(s)) };
    let skipped = s.config.typed.events.skipped;
    let all = [
        ("insert", publication.insert, skipped.create),
        ("update", publication.update, skipped.update),
        ("delete", publication.delete, skipped.delete),
        ("truncate", publication.truncate, skipped.truncate),
    ];
    let missing: Vec<&str> =
        all.iter().filter(|(_, has, skipped)| !has && !skipped).map(|(name, _, _)| *name).collect();
    if missing.is_empty() {
        return Ok(Finding::pass("the publication has every operation"));
    }
    let publish: Vec<&str> =
        all.iter().filter(|(_, has, skipped)| *has || !skipped).map(|(name, _, _)| *name).collect();
    let name = quote_identifier(&s.config.typed.publication.name);
    Ok(Finding::fail(format!("no {} comes: the publication leaves it out", some(&missing)))
        .sql(format!("ALTER PUBLICATION {name} SET (publish = {});", quote_literal(&publish.join(", "))))
        .advice("if that is meant: skipped.operations"))
}

fn members(s: &Subject) -> impl Iterator<Item = (&Table, &super::subject::Member)> {
    let publication = s.publication.iter();
    publication.flat_map(|p| s.captured.iter().filter_map(|table| Some((table, p.members.get(&table.oid)?))))
}

fn row_filter(s: &mut Subject) -> Result<Finding, PgError> {
    if s.publication.is_none() {
        return Ok(none(s));
    }
    let filtered: Vec<String> =
        members(s).filter(|(_, m)| m.row_filter.is_some()).map(|(t, _)| t.qualified_name()).collect();
    if filtered.is_empty() {
        return Ok(Finding::pass("no captured table has a row filter"));
    }
    let name = quote_identifier(&s.config.typed.publication.name);
    Ok(Finding::warn(format!("the stream leaves out rows of {}, which a snapshot reads", some(&filtered)))
        .advice("the same filter for the snapshot: snapshot.select.statement.overrides; or without it:")
        .sql(format!("ALTER PUBLICATION {name} SET TABLE {};", quoted(s).join(", "))))
}

fn columns(s: &mut Subject) -> Result<Finding, PgError> {
    if s.publication.is_none() {
        return Ok(none(s));
    }
    let rules = &s.config.typed.columns;
    let mut hidden = Vec::new();
    for (table, member) in members(s) {
        let Some(list) = &member.columns else { continue };
        let columns = s.details.get(&table.oid).map(|d| d.columns.as_slice()).unwrap_or_default();
        let left_out = columns.iter().filter(|c| !c.generated && !list.contains(&c.name));
        let captured = left_out.filter(|c| rules.captures(&table.namespace, &table.name, &c.name).unwrap_or(true));
        hidden.extend(captured.map(|c| format!("{}.{}", table.qualified_name(), c.name)));
    }
    if hidden.is_empty() {
        return Ok(Finding::pass("every captured column is published"));
    }
    Ok(Finding::warn(format!("a snapshot has {}, and the stream does not", some(&hidden)))
        .advice("leave them out of the snapshot too (column.exclude.list), or publish the whole tables:")
        .sql(format!(
            "ALTER PUBLICATION {} SET TABLE {};",
            quote_identifier(&s.config.typed.publication.name),
            quoted(s).join(", ")
        )))
}

/// PostgreSQL refuses updates and deletes of such a table.
fn identity_columns(s: &mut Subject) -> Result<Finding, PgError> {
    let Some(publication) = &s.publication else { return Ok(none(s)) };
    if !publication.update && !publication.delete {
        return Ok(Finding::not_applicable("the publication has neither updates nor deletes"));
    }
    let mut broken = Vec::new();
    for (table, member) in members(s) {
        let (Some(list), Some(details)) = (&member.columns, s.details.get(&table.oid)) else { continue };
        let lacks = match table.identity {
            ReplicaIdentity::Full => details.columns.iter().any(|c| !c.generated && !list.contains(&c.name)),
            ReplicaIdentity::Default => details.primary_key.iter().any(|c| !list.contains(c)),
            ReplicaIdentity::Index => details.identity_index.iter().any(|c| !list.contains(c)),
            ReplicaIdentity::Nothing => false,
        };
        if lacks {
            broken.push(table);
        }
    }
    if broken.is_empty() {
        return Ok(Finding::pass("no column list lacks a column of the identity"));
    }
    let names: Vec<String> = broken.iter().map(|table| table.qualified_name()).collect();
    let name = quote_identifier(&s.config.typed.publication.name);
    Ok(Finding::fail(format!(
        "PostgreSQL refuses updates and deletes of {}: the column list lacks identity columns",
        some(&names)
    ))
    .sql_each(broken.iter().flat_map(|table| {
        let table = qualified(table);
        [
            format!("ALTER PUBLICATION {name} DROP TABLE {table};"),
            format!("ALTER PUBLICATION {name} ADD TABLE {table};"),
        ]
    })))
}

fn via_root(s: &mut Subject) -> Result<Finding, PgError> {
    let Some(publication) = &s.publication else { return Ok(none(s)) };
    let partitioned = s.captured.iter().any(|table| table.kind == 'p' || table.is_partition);
    if !partitioned {
        return Ok(Finding::not_applicable("no captured table is partitioned"));
    }
    let wanted = s.config.typed.publication.via_partition_root;
    if publication.via_root == wanted {
        return Ok(Finding::pass(format!("publish_via_partition_root is {wanted}, as is expected")));
    }
    let name = quote_identifier(&s.config.typed.publication.name);
    let what = if publication.via_root { "their roots" } else { "themselves" };
    Ok(Finding::warn(format!(
        "changes of partitions come under the name of {what}, and publish.via.partition.root says otherwise"
    ))
    .seen(publication.via_root)
    .wanted(wanted)
    .sql(format!("ALTER PUBLICATION {name} SET (publish_via_partition_root = {wanted});"))
    .setting(format!("publish.via.partition.root={}", publication.via_root)))
}

fn generated(s: &mut Subject) -> Result<Finding, PgError> {
    let rules = &s.config.typed.columns;
    let columns = s.captured.iter().flat_map(|table| {
        let columns = s.details.get(&table.oid).map(|d| d.columns.as_slice()).unwrap_or_default();
        let captured = columns
            .iter()
            .filter(|c| c.generated && rules.captures(&table.namespace, &table.name, &c.name).unwrap_or(true));
        captured.map(|c| format!("{}.{}", table.qualified_name(), c.name))
    });
    let columns: Vec<String> = columns.collect();
    if columns.is_empty() {
        return Ok(Finding::not_applicable("no captured column is generated"));
    }
    if s.publication.as_ref().is_some_and(|publication| publication.generated) {
        return Ok(Finding::pass("stored generated columns are published"));
    }
    let finding =
        Finding::warn(format!("generated columns are in the snapshot and not in the stream: {}", some(&columns)));
    let name = quote_identifier(&s.config.typed.publication.name);
    Ok(match s.major() {
        18.. => finding.sql(format!("ALTER PUBLICATION {name} SET (publish_generated_columns = stored);")),
        _ => finding,
    }
    .setting(format!("column.exclude.list={}", columns.join(","))))
}
