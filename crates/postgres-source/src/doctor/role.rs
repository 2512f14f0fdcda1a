//! The role that we are: what it may, and that it may no more than it needs.

use walspring_config::postgres::{ReplicaIdentityRule, SnapshotMode};
use walspring_doctor::{Finding, Group};

use super::subject::Subject;
use super::words::{self, counted, some};
use super::{PgCheck, check};
use crate::publication::qualified;
use crate::wire::{PgError, quote_identifier};

pub const CHECKS: &[PgCheck] = &[
    check("pg.role.replication", Group::Role, "the role may replicate", replication),
    check("pg.role.superuser", Group::Role, "the role is no superuser", superuser),
    check("pg.role.schema_usage", Group::Role, "the role may look into the captured tables' schemas", schema_usage),
    check("pg.role.select", Group::Role, "the role may read the captured tables", select),
    check("pg.role.row_security", Group::Role, "no policy hides rows of captured tables from the role", row_security),
    check(
        "pg.role.identity_owner",
        Group::Role,
        "the role may set the replica identities it is told to set",
        identity_owner,
    ),
    check(
        "pg.role.connection_limit",
        Group::Role,
        "the role may have the connections that a connector needs",
        connection_limit,
    ),
    check("pg.role.valid_until", Group::Role, "the role's password is valid for two weeks more", valid_until),
];

/// A stream, a catalog, a slot watch, an incremental snapshot, and a spare; and a snapshot's threads.
pub fn connections_needed(s: &Subject) -> i64 {
    5 + s.config.typed.snapshot.threads as i64
}

fn replication(s: &mut Subject) -> Result<Finding, PgError> {
    let role = &s.role;
    Ok(words::replication_role(&role.name, role.login, role.replication || role.superuser, role.managed))
}

fn superuser(s: &mut Subject) -> Result<Finding, PgError> {
    let role = quote_identifier(&s.role.name);
    if !s.role.superuser {
        return Ok(Finding::pass(format!("{} is no superuser", s.role.name)));
    }
    Ok(Finding::warn(format!("{} is a superuser: whoever has its password has the server", s.role.name))
        .wanted("a role of its own with LOGIN, REPLICATION and SELECT")
        .sql("CREATE ROLE walspring LOGIN REPLICATION PASSWORD '…' CONNECTION LIMIT 10;")
        .sql(format!("-- or, if nobody else needs it: ALTER ROLE {role} NOSUPERUSER REPLICATION;")))
}

fn schema_usage(s: &mut Subject) -> Result<Finding, PgError> {
    let role = quote_identifier(&s.role.name);
    let mut missing: Vec<&str> = s
        .captured
        .iter()
        .filter(|table| s.more.get(&table.oid).is_some_and(|facts| !facts.schema_usage))
        .map(|table| table.namespace.as_str())
        .collect();
    missing.dedup();
    if missing.is_empty() {
        return Ok(Finding::pass("USAGE on every schema with captured tables"));
    }
    let grants: Vec<String> =
        missing.iter().map(|schema| format!("GRANT USAGE ON SCHEMA {} TO {role};", quote_identifier(schema))).collect();
    Ok(Finding::fail(format!("no USAGE on {}: {}", counted(missing.len(), "schema"), some(&missing))).sql_each(grants))
}

fn select(s: &mut Subject) -> Result<Finding, PgError> {
    let unread: Vec<_> =
        s.captured.iter().filter(|t| s.more.get(&t.oid).is_some_and(|facts| !facts.select)).cloned().collect();
    if unread.is_empty() {
        return Ok(Finding::pass(format!("SELECT on {}", counted(s.captured.len(), "captured table"))));
    }
    let oids = unread.iter().map(|table| table.oid.to_string()).collect::<Vec<_>>().join(",");
    let rows = s.rows(&format!(
        "SELECT a.attrelid, a.attname FROM pg_catalog.pg_attribute a WHERE a.attrelid = ANY ('{{{oids}}}'::pg_catalog.oid[]) \
         AND a.attnum > 0 AND NOT a.attisdropped AND NOT pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT')"
    ))?;
    let role = quote_identifier(&s.role.name);
    let (mut names, mut grants) = (Vec::new(), Vec::new());
    for table in unread {
        let name = table.qualified_name();
        let hidden = rows.iter().filter(|row| row.get(0).and_then(|oid| oid.parse().ok()) == Some(table.oid));
        let rules = &s.config.typed.columns;
        let needed = hidden.filter(|row| {
            rules.captures(&table.namespace, &table.name, row.get(1).unwrap_or_default()).unwrap_or(true)
        });
        if needed.count() > 0 {
            grants.push(format!("GRANT SELECT ON {} TO {role};", qualified(&table)));
            names.push(name);
        }
    }
    if names.is_empty() {
        return Ok(Finding::pass("SELECT on all captured columns"));
    }
    let message = format!("no SELECT on {}: {}", counted(names.len(), "captured table"), some(&names));
    Ok(if s.config.typed.snapshot.mode == SnapshotMode::NoData {
        Finding::warn(format!("{message} (no matter before an incremental snapshot)")).sql_each(grants)
    } else {
        Finding::fail(format!("{message}: a snapshot cannot read them")).sql_each(grants)
    })
}

/// Our sessions have `row_security=off`: a policy makes the snapshot fail, rather than leave rows out without a word.
fn row_security(s: &mut Subject) -> Result<Finding, PgError> {
    let guarded: Vec<_> =
        s.captured.iter().filter(|t| s.more.get(&t.oid).is_some_and(|facts| facts.row_security)).collect();
    if guarded.is_empty() {
        return Ok(Finding::pass("no row security stands in the way"));
    }
    let names: Vec<String> = guarded.iter().map(|table| table.qualified_name()).collect();
    Ok(Finding::fail(format!("row security applies to us on {}: a snapshot fails there", some(&names)))
        .sql(format!("ALTER ROLE {} BYPASSRLS;", quote_identifier(&s.role.name)))
        .advice("the stream has all rows whatever the policies say: REPLICATION alone reads every table of the log"))
}

fn identity_owner(s: &mut Subject) -> Result<Finding, PgError> {
    let rules: &[ReplicaIdentityRule] = &s.config.typed.publication.replica_identities;
    if rules.is_empty() {
        return Ok(Finding::not_applicable("replica.identity.autoset.values is not set"));
    }
    let foreign: Vec<_> = s
        .captured
        .iter()
        .filter(|table| s.more.get(&table.oid).is_some_and(|facts| !facts.owned))
        .filter(|table| rules.iter().any(|rule| rule.tables.matches(&table.qualified_name()).unwrap_or(false)))
        .collect();
    if foreign.is_empty() {
        return Ok(Finding::pass("the role owns the tables of replica.identity.autoset.values"));
    }
    let names: Vec<String> = foreign.iter().map(|table| table.qualified_name()).collect();
    Ok(Finding::fail(format!("only its owner may alter {}", some(&names)))
        .advice("let the owner set the identities, and take them out of replica.identity.autoset.values; or:")
        .sql_each(
            foreign
                .iter()
                .map(|t| format!("ALTER TABLE {} OWNER TO {};", qualified(t), quote_identifier(&s.role.name))),
        ))
}

fn connection_limit(s: &mut Subject) -> Result<Finding, PgError> {
    let (role, needed) = (&s.role, connections_needed(s));
    // Our own two are counted among those that are there.
    let free = role.connections_max - role.connections + 1;
    if role.connections_max < 0 || free >= needed {
        return Ok(Finding::pass(match role.connections_max {
            ..0 => "the role has no connection limit".to_owned(),
            max => format!("{} of the role's {max} connections are used", role.connections),
        }));
    }
    let finding = if free < 3 { Finding::fail("") } else { Finding::warn("") };
    let message = format!("the role may have {} connections, {} are used", role.connections_max, role.connections);
    Ok(Finding { message, ..finding }.seen(role.connections_max).wanted(role.connections + needed).sql(format!(
        "ALTER ROLE {} CONNECTION LIMIT {};",
        quote_identifier(&role.name),
        role.connections + needed
    )))
}

fn valid_until(s: &mut Subject) -> Result<Finding, PgError> {
    let role = &s.role;
    let Some(days) = role.valid_days else { return Ok(Finding::pass("the role's password does not run out")) };
    let sql = format!("ALTER ROLE {} PASSWORD '…' VALID UNTIL 'infinity';", quote_identifier(&role.name));
    let wanted = format!("{:.0} days", s.thresholds.days);
    let seen = format!("{days:.1} days");
    Ok(match days {
        ..=0.0 => Finding::fail("the role's password has run out").seen(seen).wanted(wanted).sql(sql),
        _ if days < s.thresholds.days => {
            Finding::warn(format!("the role's password runs out in {days:.1} days")).seen(seen).wanted(wanted).sql(sql)
        }
        _ => Finding::pass(format!("the role's password is valid for {days:.0} days")).seen(seen),
    })
}
