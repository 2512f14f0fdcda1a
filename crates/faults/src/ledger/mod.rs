//! The account of what was committed: every transaction of the load notes its changes in a table, in the same transaction.
//!
//! A transaction whose fate nobody heard (the connection broke at its commit) is in the account if and only if it was
//! committed. The order of commits is read from a slot of the account's own, which nothing else reads.

mod check;
mod load;

pub use check::{Account, Expected, Seen, Verdict, check_still, check_topic, fold};
pub use load::{Load, LoadOptions};

use walspring_testkit::TempDatabase;

/// The captured tables. `plain` has the replica identity of its key, `full` that of whole rows.
pub const TABLES: [&str; 2] = ["plain", "full"];
const PUBLICATION: &str = "ledger_order";

/// Makes the tables and the account.
pub fn prepare(db: &TempDatabase) {
    prepare_with(db, "");
}

/// The same, where the account goes over to a promoted standby (17 and later).
pub fn prepare_for_failover(db: &TempDatabase) {
    prepare_with(db, ", failover => true");
}

fn prepare_with(db: &TempDatabase, slot: &str) {
    db.sql(
        "create table plain (pk bigint primary key, seq bigint not null, pad text not null);
         create table full_ (pk bigint primary key, seq bigint not null, pad text not null);
         alter table full_ rename to \"full\";
         alter table \"full\" replica identity full;
         create sequence keys start 1000;
         create table ledger (n bigserial primary key,
            xid bigint not null default (pg_current_xact_id()::text::bigint & 4294967295),
            tbl text not null, op text not null, pk bigint not null, seq bigint not null, sum text not null);",
    );
    db.sql(&format!("create publication {PUBLICATION} for table ledger"));
    db.sql(&format!("select pg_create_logical_replication_slot('{}', 'pgoutput'{slot})", order_slot(db)));
}

/// Rows that no writer touches: what snapshots that signals ask for are counted by.
pub const STILL: std::ops::RangeInclusive<i64> = 101..=300;

/// Makes the table of signals, and the rows that stay as they are.
pub fn prepare_signals(db: &TempDatabase) {
    db.sql("create table signals (id text primary key, type text not null, data text)");
    for table in TABLES {
        db.sql(&format!(
            "with w as (insert into \"{table}\" select n, 1, 'still' from generate_series({}, {}) n returning pk, seq, pad) \
             insert into ledger (tbl, op, pk, seq, sum) \
             select '{table}', 'c', pk, seq, md5(pk || ':' || seq || ':' || pad) from w",
            STILL.start(),
            STILL.end()
        ));
    }
}

/// The account's own slot.
pub fn order_slot(db: &TempDatabase) -> String {
    db.slot("order")
}

/// What was committed, table by table, in the order of commits.
pub fn account(db: &TempDatabase) -> Account {
    account_after(db, &[])
}

/// The same, where the first commits have been taken from the account's slot.
pub fn account_after(db: &TempDatabase, taken: &[i64]) -> Account {
    let commits = [taken, &commits(db, "peek")].concat();
    let rows = db.sql("select xid, tbl, op, pk, seq, sum from ledger order by n");
    let number = |cell: &Option<String>| cell.as_deref().unwrap_or_default().parse().expect("a number of the account");
    let text = |cell: &Option<String>| cell.clone().unwrap_or_default();
    let entries = rows.iter().map(|row| {
        let entry = Expected {
            op: text(&row[2]).chars().next().unwrap_or('?'),
            pk: number(&row[3]),
            seq: number(&row[4]),
            sum: text(&row[5]),
            xid: number(&row[0]),
        };
        (text(&row[1]), entry)
    });
    Account::new(&commits, entries.collect())
}

/// The next commits in their order, which the account's slot then no longer has: it holds the log no more.
pub fn take_commits(db: &TempDatabase) -> Vec<i64> {
    commits(db, "get")
}

fn commits(db: &TempDatabase, how: &str) -> Vec<i64> {
    // 'B' is BEGIN: type byte, the commit's place (8), its time (8), the transaction's id (4).
    let rows = db.sql(&format!(
        "select ('x' || encode(substr(data, 18, 4), 'hex'))::bit(32)::bigint \
         from pg_logical_slot_{how}_binary_changes('{}', null, null, 'proto_version', '1', 'publication_names', '{PUBLICATION}') \
         where get_byte(data, 0) = 66",
        order_slot(db)
    ));
    rows.iter().map(|row| row[0].as_deref().unwrap_or_default().parse().expect("a transaction's id")).collect()
}

/// The rows that a table has now: key, version, sum.
pub fn table(db: &TempDatabase, name: &str) -> std::collections::BTreeMap<i64, (i64, String)> {
    let rows = db.sql(&format!("select pk, seq, md5(pk || ':' || seq || ':' || pad) from \"{name}\""));
    let text = |cell: &Option<String>| cell.clone().unwrap_or_default();
    rows.iter()
        .map(|row| (text(&row[0]).parse().expect("pk"), (text(&row[1]).parse().expect("seq"), text(&row[2]))))
        .collect()
}
