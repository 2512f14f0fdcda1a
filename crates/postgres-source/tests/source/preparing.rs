//! What a start makes in the database, and what it costs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use walspring_testkit::{Postgres, TempDatabase, postgres, wait_for};

use crate::support::Connector;

fn two_tables() -> TempDatabase {
    let db = postgres(15).database();
    db.sql("create table a (id int primary key); create table b (id int primary key)");
    db
}

/// `all` or the tables, in order.
fn publication(db: &TempDatabase) -> String {
    let rows = db.sql(
        "select case when p.puballtables then 'all' else coalesce(string_agg(r.prrelid::regclass::text, ',' order by 1), '') end \
         from pg_publication p left join pg_publication_rel r on r.prpubid = p.oid where p.pubname = 'p' group by p.puballtables",
    );
    rows.first().and_then(|r| r[0].clone()).unwrap_or_else(|| "none".into())
}

#[test]
fn publications_are_made_as_the_mode_says() {
    let start = |db: &TempDatabase, mode: &str, include: &str| {
        let options =
            [("publication.autocreate.mode", mode), ("table.include.list", include), ("snapshot.mode", "no_data")];
        let mut source = Connector::new(db, &options).start(None);
        let result = source.poll(Duration::ZERO).and_then(|_| source.poll(Duration::ZERO)).map(|_| ());
        source.close();
        db.wait_unread(&db.slot("s"));
        result
    };
    let db = two_tables();
    assert!(start(&db, "disabled", "public\\..*").is_err());
    assert_eq!(publication(&db), "none");
    assert!(start(&db, "filtered", "public.nothing").is_err());
    assert_eq!(publication(&db), "none");
    start(&db, "filtered", "public.a").unwrap();
    assert_eq!(publication(&db), "a");
    // It follows the list.
    start(&db, "filtered", "public.a,public.b").unwrap();
    assert_eq!(publication(&db), "a,b");
    // A publication that is there is left alone in the other modes.
    start(&db, "all_tables", "public.a").unwrap();
    assert_eq!(publication(&db), "a,b");
    let db = two_tables();
    start(&db, "all_tables", "public.a").unwrap();
    assert_eq!(publication(&db), "all");
    let db = two_tables();
    start(&db, "no_tables", "public.a").unwrap();
    assert_eq!(publication(&db), "");
    start(&db, "disabled", "public.a").unwrap();
    assert_eq!(publication(&db), "");
}

#[test]
fn replica_identities_are_set_once() {
    let db = two_tables();
    db.sql("create table c (id int not null); create unique index c_id on c (id)");
    let options = [
        ("replica.identity.autoset.values", "public.a:FULL,public.b:NOTHING,public.c:INDEX c_id"),
        ("snapshot.mode", "initial_only"),
    ];
    let connector = Connector::new(&db, &options);
    connector.start(None).read_snapshot();
    let identities =
        "select string_agg(relreplident::text, '' order by relname) from pg_class where relname in ('a', 'b', 'c')";
    assert_eq!(db.value(identities), "fni");
    // Where they stand already no lock is asked for.
    let mut reader = db.connect();
    reader.batch_execute("begin; select * from a, b, c").unwrap();
    connector.start(None).read_snapshot();
    // Where they do not, nobody has to wait for us for long.
    db.sql("create table d (id int)");
    let mut connector = Connector::new(&db, &[("replica.identity.autoset.values", "public.d:FULL")]);
    connector.set("snapshot.lock.timeout.ms", "100");
    reader.batch_execute("select * from d").unwrap();
    let error = connector.refusal(None);
    assert!(error.is_transient() && error.trace().contains("ALTER TABLE"), "{}", error.trace());
}

#[test]
fn a_temporary_slot_leaves_nothing_behind() {
    let db = two_tables();
    db.sql("insert into a values (1); create publication p for table a");
    let options = [("walspring.slot.temporary", "true"), ("publication.autocreate.mode", "disabled")];
    let connector = Connector::new(&db, &options);
    let mut source = connector.start(None);
    assert_eq!(source.read_snapshot().len(), 1);
    db.sql("insert into a values (2)");
    assert_eq!(source.take(1)[0].number("id"), 2);
    let offset = source.close();
    let slots = "select 1 from pg_replication_slots where database = current_database()";
    wait_for("the slot to go", Duration::from_secs(10), || db.sql(slots).is_empty().then_some(()));
    // Its stored offset has no slot any more: the tables are read again.
    let mut source = connector.start(offset.as_ref());
    assert_eq!(source.read_snapshot().len(), 2);
    db.sql("insert into a values (3)");
    assert_eq!(source.take(1)[0].number("id"), 3);
    drop(source);
    wait_for("the slot to go", Duration::from_secs(10), || db.sql(slots).is_empty().then_some(()));
}

#[test]
fn a_slot_is_dropped_at_the_end_where_that_is_asked_for() {
    let db = two_tables();
    let mut source = Connector::new(&db, &[("slot.drop.on.stop", "true")]).start(None);
    source.read_snapshot();
    db.sql("insert into a values (1)");
    source.take(1);
    source.close();
    assert!(db.sql("select 1 from pg_replication_slots where database = current_database()").is_empty());
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

#[test]
fn a_thousand_tables_are_asked_about_at_once() {
    let builder = Postgres::builder(15).option("log_statement", "all").option("max_locks_per_transaction", "512");
    let server = Arc::new(Postgres::start(builder));
    let db = server.database();
    db.sql(
        "do $$ begin for i in 1..1000 loop \
         execute format('create table t%s (id int primary key, a text, b numeric, c timestamptz)', i); \
         execute format('insert into t%s values (1)', i); end loop; end $$",
    );
    let (begin, before) = (Instant::now(), resident_kib());
    let mut source = Connector::new(&db, &[]).start(None);
    source.poll(Duration::ZERO).expect("a start");
    let started = begin.elapsed();
    assert_eq!(source.read_snapshot().len(), 1000);
    let read = begin.elapsed();
    db.sql("do $$ begin for i in 1..1000 loop execute format('insert into t%s values (2)', i); end loop; end $$");
    source.take(1000);
    eprintln!(
        "1,000 tables: started after {started:?}, read after {read:?}, streamed after {:?}, {} KiB more",
        begin.elapsed(),
        resident_kib().saturating_sub(before)
    );
    let log = server.server().log();
    let asked = log.lines().filter(|l| l.contains("a.attrelid = ANY")).count();
    assert!((1..=4).contains(&asked), "asked {asked} times");
}
