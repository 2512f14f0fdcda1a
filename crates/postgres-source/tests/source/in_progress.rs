//! Transactions that the server sends before they end: what comes out is what would have come without.

use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use walspring_record::{ChangeKind, SourceOffset};
use walspring_testkit::client::Client;
use walspring_testkit::{Postgres, TempDatabase, wait_for};

use crate::support::{Connector, Event, Random, WAIT, confirmed};

/// A server that decodes with next to no memory; from 16 on it sends each change as it comes.
fn server(major: u32) -> Arc<Postgres> {
    static SERVERS: [Mutex<Option<Arc<Postgres>>>; 4] = [const { Mutex::new(None) }; 4];
    let at = [14, 15, 16, 18].iter().position(|m| *m == major).expect("a version of these tests");
    let mut server = SERVERS[at].lock().unwrap_or_else(|e| e.into_inner());
    let start = || {
        let mut builder = Postgres::builder(major).option("logical_decoding_work_mem", "64kB");
        if major >= 16 {
            builder = builder.option("debug_logical_replication_streaming", "immediate");
        }
        Arc::new(Postgres::start(builder))
    };
    server.get_or_insert_with(start).clone()
}

/// A connector with a slot of its own, with or without transactions in progress.
fn connector(db: &TempDatabase, streaming: bool, batch: usize) -> Connector {
    let options = [
        ("snapshot.mode", "no_data"),
        ("publication.autocreate.mode", "all_tables"),
        ("walspring.streaming", if streaming { "true" } else { "false" }),
        ("slot.name", &db.slot(if streaming { "on" } else { "off" })),
    ];
    // Little memory, so that the disk is needed.
    Connector::new(db, &options).limits(|l| (l.batch_changes, l.held_bytes) = (batch, 20_000))
}

/// Both slots, where the log is now.
fn make_slots(db: &TempDatabase, options: &[(&str, &str)]) {
    for streaming in [true, false] {
        with(connector(db, streaming, 1), options).streaming(None).close();
    }
}

fn with(mut connector: Connector, options: &[(&str, &str)]) -> Connector {
    options.iter().for_each(|(name, value)| connector.set(name, value));
    connector
}

fn is_end(e: &Event) -> bool {
    e.table == "public.done"
}

fn end(db: &TempDatabase) {
    db.sql("insert into done values (1)");
}

/// All there is to an event but the time at which it was read, and its offset.
type Line = (String, Option<SourceOffset>);

/// What comes until the end, and how often it was begun again after an error.
fn lines(connector: &Connector) -> (Vec<Line>, u32) {
    let (mut lines, mut restarts, until) = (Vec::<Line>::new(), 0, Instant::now() + 2 * WAIT);
    let mut source = connector.streaming(None);
    loop {
        assert!(Instant::now() < until, "no end came");
        let step = match source.poll(Duration::from_millis(50)) {
            Ok(Some(step)) => step,
            Ok(None) => continue,
            Err(e) => {
                assert!(e.is_transient() && restarts < 3, "{}", e.trace());
                eprintln!("{}", e.trace());
                restarts += 1;
                let offset = source.close();
                source = connector.streaming(offset.as_ref());
                continue;
            }
        };
        let batch = source.batch();
        for (change, event) in batch.changes.iter().zip(&step.events) {
            let transaction = batch.transactions.get(change.transaction as usize);
            let record = (change.kind == ChangeKind::Record).then(|| &batch.records[change.plan as usize]);
            let record = record.filter(|record| record.topic.ends_with(".transaction"));
            lines.push((format!("{event:?} {transaction:?} {:?} {record:?}", change.order), None));
        }
        if let (Some((_, offset)), false) = (lines.last_mut(), step.events.is_empty()) {
            *offset = step.offset;
        }
        if step.events.iter().any(is_end) {
            source.close();
            return (lines, restarts);
        }
    }
}

/// Whether the server sent transactions of this slot before they ended, and kept none.
fn was_streamed(db: &TempDatabase, slot: &str) {
    let sql = format!(
        "select stream_txns || ' ' || (stream_bytes > 0) || ' ' || spill_bytes from pg_stat_replication_slots \
         where slot_name = '{slot}'"
    );
    wait_for("streamed transactions", WAIT, || {
        let row = db.value(&sql);
        (!row.starts_with("0 ")).then(|| assert!(row.contains(" true "), "{row}"))
    });
}

/// What a session does to its table: it may alter it, so that no other session can.
struct Session {
    client: Client,
    table: String,
    open: bool,
    /// Open savepoints.
    depth: u32,
    ids: Vec<u64>,
}

impl Session {
    fn step(&mut self, random: &mut Random, id: u64, alters: Alters) {
        if !self.open {
            self.client.batch_execute("begin").unwrap();
            self.open = true;
        }
        let (table, wide) = (&self.table, 500 + random.below(4000));
        let alters = alters == Alters::Tables;
        let sql = match random.below(31) {
            0..=3 => {
                self.ids.push(id);
                format!("insert into {table} (id, v) values ({id}, repeat('x', {wide}))")
            }
            // A value that is kept beside the table.
            4 => format!(
                "insert into {table} (id, v) select {id}, string_agg(md5(g::text), '') from generate_series(1, 300) g"
            ),
            5 | 6 => format!(
                "insert into {table} (id, v) select g, repeat('y', {wide}) from generate_series({id}, {id} + 20) g"
            ),
            7 => {
                let mut copy = self.client.copy_in(&format!("copy {table} (id, v) from stdin")).unwrap();
                for n in 0..10 {
                    writeln!(copy, "{}\tcopied {}", id + n, "z".repeat(wide as usize)).unwrap();
                }
                copy.finish().unwrap();
                return;
            }
            8..=10 => match self.ids.last() {
                Some(row) => format!("update {table} set w = {id} where id = {row}"),
                None => format!("update {table} set id = id + 1000000000 where id = (select max(id) from {table})"),
            },
            11 => match self.ids.pop() {
                Some(row) => format!("delete from {table} where id = {row}"),
                None => format!("delete from {table} where w is null and id % 7 = 0"),
            },
            12 => format!("insert into shared values ({id}, repeat('s', {wide}))"),
            13 => "select pg_logical_emit_message(false, 'app', 'loose')".into(),
            // With a row behind it, so that it is plain that no subtransaction begins with it.
            14 if self.depth == 0 => format!(
                "select pg_logical_emit_message(true, 'app', 'in the whole'); insert into {table} (id, v) values ({id}, '')"
            ),
            15 if alters => format!("alter table {table} add column c{id} int default {id}"),
            16 if alters => format!(
                "do $$ declare c text; begin
                   select attname into c from pg_attribute where attrelid = '{table}'::regclass and attname ~ '^[cr]\\d'
                     and not attisdropped order by attnum desc limit 1;
                   if found then execute format('alter table {table} rename %I to r{id}', c); end if;
                 end $$"
            ),
            29 if alters => format!(
                "do $$ declare c text; begin
                   select attname into c from pg_attribute where attrelid = '{table}'::regclass and attname ~ '^[cr]\\d'
                     and not attisdropped order by attnum limit 1;
                   if found then execute format('alter table {table} drop column %I', c); end if;
                 end $$"
            ),
            17 if alters => format!("truncate {table}"),
            18 if alters => format!(
                "alter table {table} replica identity {}",
                if random.below(2) == 0 { "full" } else { "default" }
            ),
            19..=22 => {
                self.depth += 1;
                format!("savepoint s{}", self.depth)
            }
            23 | 24 if self.depth > 0 => {
                self.depth -= 1;
                format!("release s{}", self.depth + 1)
            }
            25..=27 if self.depth > 0 => {
                let to = 1 + random.below(u64::from(self.depth)) as u32;
                self.depth = to - 1;
                self.ids.clear();
                self.client.batch_execute(&format!("rollback to s{to}; release s{to}")).unwrap();
                return;
            }
            28 => return self.finish(random.below(4) != 0),
            _ => format!("insert into {table} (id, v) values ({id}, 'small')"),
        };
        self.client.batch_execute(&sql).unwrap_or_else(|e| panic!("{e:?}\n{sql}"));
    }

    fn finish(&mut self, commit: bool) {
        if std::mem::take(&mut self.open) {
            self.client.batch_execute(if commit { "commit" } else { "rollback" }).unwrap();
        }
        self.depth = 0;
        self.ids.clear();
    }
}

/// Transactions of several sessions, side by side: rows small and large, COPY, changes of tables, truncates, logical
/// messages, savepoints one in another that are kept and rolled back.
fn workload(db: &TempDatabase, seed: u64, steps: usize, alters: Alters) {
    let mut random = Random::new(seed);
    let mut sessions: Vec<Session> = (0..4)
        .map(|n| {
            let mut client = db.connect();
            client.batch_execute(&format!("create table t{n} (id bigint primary key, v text, w bigint)")).unwrap();
            Session { client, table: format!("t{n}"), open: false, depth: 0, ids: Vec::new() }
        })
        .collect();
    for step in 0..steps as u64 {
        let session = &mut sessions[random.below(4) as usize];
        session.step(&mut random, (step + 1) * 100, alters);
    }
    sessions.iter_mut().for_each(|session| session.finish(true));
    end(db);
}

fn prepared(major: u32) -> TempDatabase {
    let db = server(major).database();
    db.sql("create table shared (id bigint primary key, v text); create table done (id int primary key)");
    db
}

/// What a workload does beside rows.
#[derive(Clone, Copy, PartialEq)]
enum Alters {
    Nothing,
    /// Tables, in transactions and subtransactions that end one way or the other. A server that sends transactions in progress
    /// is not always able to decode that; the stream then goes on without.
    Tables,
}

/// The same log with and without: the same events, with the same offsets.
fn is_the_same(major: u32, seed: u64, steps: usize, alters: Alters, options: &[(&str, &str)]) {
    let db = prepared(major);
    make_slots(&db, options);
    workload(&db, seed, steps, alters);
    let read = |streaming| lines(&with(connector(&db, streaming, 1), options));
    let ((off, never), (on, restarts)) = (read(false), read(true));
    was_streamed(&db, &db.slot("on"));
    let what = format!("version {major}, seed {seed}, {restarts} restarts");
    for (n, (on, off)) in on.iter().zip(&off).enumerate() {
        assert_eq!(on, off, "event {n}, {what}");
    }
    assert_eq!(on.len(), off.len(), "{what}");
    assert!(never == 0 && (restarts == 0 || alters == Alters::Tables), "{what}");
}

#[test]
fn it_is_the_same_with_and_without_on_15() {
    for seed in 1..4 {
        is_the_same(15, seed, 600, Alters::Nothing, &[]);
        is_the_same(15, seed, 600, Alters::Tables, &[]);
    }
}

#[test]
fn it_is_the_same_with_and_without_on_18() {
    for seed in 1..4 {
        is_the_same(18, seed, 300, Alters::Nothing, &[]);
        is_the_same(18, seed, 300, Alters::Tables, &[]);
    }
}

#[test]
fn it_is_the_same_with_and_without_on_other_versions() {
    is_the_same(14, 5, 600, Alters::Nothing, &[]);
    is_the_same(14, 5, 600, Alters::Tables, &[]);
    is_the_same(16, 6, 300, Alters::Tables, &[]);
}

#[test]
fn transaction_records_are_the_same_too() {
    for (major, seed, steps) in [(15, 7, 600), (18, 8, 300)] {
        is_the_same(major, seed, steps, Alters::Tables, &[("provide.transaction.metadata", "true")]);
    }
}

/// Reads to the end with and without, and compares. The events, and how often the first was begun again.
fn both(db: &TempDatabase) -> (Vec<String>, u32) {
    let (off, _) = lines(&connector(db, false, 1000));
    let (on, restarts) = lines(&connector(db, true, 1000));
    let events = |lines: &[Line]| lines.iter().map(|(line, _)| line.clone()).collect::<Vec<_>>();
    if let Some((on, off)) = events(&on).iter().zip(&events(&off)).find(|(on, off)| on != off) {
        panic!("{}\n{}", on.replace("xx", ""), off.replace("xx", ""));
    }
    assert_eq!(on.len(), off.len());
    (events(&on), restarts)
}

/// Enough to be sent before the end, whatever the version: so many rows.
fn many(table: &str, from: u32) -> String {
    format!("insert into {table} (id, v) select g, repeat('x', 2000) from generate_series({from}, {from} + 99) g")
}

#[test]
fn a_table_altered_in_such_a_transaction_is_known_to_those_after_it() {
    for major in [15, 18] {
        let db = prepared(major);
        db.sql("create table a (id int primary key, v text)");
        make_slots(&db, &[]);
        // It commits: others see the table as it left it, though it is not described again for them.
        db.sql("insert into a values (1, 'before')");
        let mut session = db.connect();
        session
            .batch_execute(&format!("begin; {}; alter table a add column w int; {}", many("a", 100), many("a", 200)))
            .unwrap();
        db.sql("insert into shared values (1, 'beside')");
        session.batch_execute("commit").unwrap();
        db.sql("insert into a values (2, 'after', 3)");
        // It is rolled back: nobody has seen what it did.
        session
            .batch_execute(
                "begin; alter table a drop column v; insert into a select g, g from generate_series(300, 9999) g",
            )
            .unwrap();
        session.batch_execute("rollback").unwrap();
        db.sql("insert into a values (3, 'as before', 4)");
        // A subtransaction does it, and is rolled back.
        session
            .batch_execute(&format!(
                "begin; {}; savepoint s; alter table a rename w to z; {}; rollback to s; {}; commit",
                many("a", 400),
                many("a", 500),
                many("a", 600)
            ))
            .unwrap();
        db.sql("insert into a values (4, 'as before', 5)");
        end(&db);
        let (events, restarts) = both(&db);
        was_streamed(&db, &db.slot("on"));
        assert_eq!((events.len(), restarts), (1 + 200 + 1 + 1 + 1 + 200 + 1 + 1, 0), "version {major}");
        let newest = events.iter().rfind(|event| event.contains("public.a")).expect("an event");
        assert!(newest.contains(r#"("w", Some("5"))"#), "{newest}");
    }
}

#[test]
fn a_description_from_before_a_change_by_others_is_not_taken_for_the_newest() {
    for major in [15, 18] {
        let db = prepared(major);
        db.sql("create schema one; create table one.a (id int primary key, v text)");
        make_slots(&db, &[]);
        let mut session = db.connect();
        session.batch_execute(&format!("begin; {}", many("one.a", 100))).unwrap();
        // Renaming a schema needs no lock on its tables.
        db.sql("alter schema one rename to two; insert into two.a values (1, 'beside')");
        session.batch_execute("commit").unwrap();
        db.sql("insert into two.a values (2, 'after')");
        end(&db);
        // Of the rows from before the change the server says the newer name where it does not stream, though they have the
        // older one: it describes a table once to all.
        let (lines, _) = lines(&connector(&db, true, 1000));
        let schemas =
            |name: &str| lines.iter().filter(|(line, _)| line.contains(&format!(r#"table: "{name}.a""#))).count();
        assert_eq!((schemas("one"), schemas("two")), (100, 2), "version {major}");
    }
}

/// Ends what a test that fails leaves prepared: new slots would wait for it for ever.
struct Prepared<'a>(&'a TempDatabase);

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        let left = "select gid from pg_prepared_xacts where database = current_database()";
        for row in self.0.try_sql(left).unwrap_or_default() {
            let _ = self.0.try_sql(&format!("rollback prepared '{}'", row[0].as_deref().unwrap_or_default()));
        }
    }
}

/// Neither asks for transactions when they are prepared: what is prepared comes whole at COMMIT PREPARED.
#[test]
fn a_prepared_transaction_comes_when_it_is_committed() {
    for major in [15, 18] {
        let db = prepared(major);
        db.sql("create table a (id int primary key, v text)");
        make_slots(&db, &[]);
        let gid = |n: u32| format!("'{}_{n}'", db.name());
        let _prepared = Prepared(&db);
        // Large ones, which the server may send when they are prepared; 4 is too small for that.
        for (n, rows) in
            [(1, many("a", 100)), (2, many("a", 200)), (3, many("a", 300)), (4, "insert into a values (4)".into())]
        {
            db.connect().batch_execute(&format!("begin; {rows}; prepare transaction {}", gid(n))).unwrap();
        }
        db.sql("insert into shared values (1, 'beside')");
        for streaming in [true, false] {
            let mut source = connector(&db, streaming, 1000).streaming(None);
            assert_eq!(source.take(1)[0].table, "public.shared", "version {major}");
            source.quiet_for(Duration::from_millis(200));
            // What is stored allows nothing to be confirmed that a later COMMIT PREPARED needs.
            let offset = source.close();
            connector(&db, streaming, 1000).streaming(offset.as_ref()).close();
        }
        db.sql(&format!("rollback prepared {}", gid(1)));
        db.sql(&format!("commit prepared {}", gid(4)));
        db.sql(&format!("commit prepared {}", gid(2)));
        // Somebody goes away in the midst of it and comes again.
        let mut source = connector(&db, true, 1).streaming(None);
        // The row beside comes again unless what was stored has let it be confirmed.
        let mut of_a = 0;
        source.until("a part of it", |step| {
            of_a += step.events.iter().filter(|event| event.table == "public.a").count();
            of_a == 1 + 40
        });
        let offset = source.close();
        let mut source = connector(&db, true, 1).streaming(offset.as_ref());
        let rest: Vec<i64> = source.take(60).iter().map(|row| row.number("id")).collect();
        assert_eq!(rest, (240..300).collect::<Vec<_>>(), "version {major}");
        source.quiet_for(Duration::from_millis(200));
        source.close();
        db.sql(&format!("rollback prepared {}", gid(3)));
        end(&db);
        let (whole, restarts) = lines(&connector(&db, false, 1000));
        let beside = whole.iter().filter(|(line, _)| line.contains("public.shared")).count();
        assert_eq!((whole.len() - beside, restarts), (1 + 100 + 1, 0), "version {major}");
    }
}

/// Such a server sends a prepared transaction whether it is asked or not; as with the original the task ends.
#[test]
fn a_slot_made_with_two_phase_is_told() {
    let db = prepared(15);
    let _prepared = Prepared(&db);
    let connector = connector(&db, true, 1000);
    db.sql("create publication p for all tables");
    db.sql(&format!("select pg_create_logical_replication_slot('{}', 'pgoutput', false, true)", db.slot("on")));
    let mut source = connector.streaming(None);
    db.sql("insert into shared values (1, 'before')");
    source.take(1);
    db.sql(&format!("begin; insert into shared values (2, ''); prepare transaction '{}'", db.name()));
    let end = Instant::now() + WAIT;
    let error = loop {
        assert!(Instant::now() < end, "no error came");
        if let Err(error) = source.poll(Duration::from_millis(50)) {
            break error;
        }
    };
    assert!(!error.is_transient() && error.trace().contains("two_phase"), "{}", error.trace());
}

#[test]
fn what_streaming_does_not_tell_is_read_without() {
    let db = prepared(15);
    db.sql("create table a (id int primary key, v text)");
    make_slots(&db, &[]);
    // A message in a subtransaction that is rolled back, in a transaction that commits.
    db.connect()
        .batch_execute(&format!(
            "begin; {}; savepoint s; select pg_logical_emit_message(true, 'app', 'undone'); {}; rollback to s; commit",
            many("a", 100),
            many("a", 200)
        ))
        .unwrap();
    end(&db);
    let (events, restarts) = both(&db);
    assert_eq!((events.len(), restarts), (101, 1));
    // A transaction that was replayed from another node.
    let db = prepared(15);
    db.sql("create table a (id int primary key, v text)");
    make_slots(&db, &[]);
    let origin = db.slot("origin");
    db.sql(&format!("select pg_replication_origin_create('{origin}')"));
    let mut session = db.connect();
    session.batch_execute(&format!("select pg_replication_origin_session_setup('{origin}')")).unwrap();
    session
        .batch_execute(&format!(
            "begin; select pg_replication_origin_xact_setup('0/ABCD', now()); {}; commit",
            many("a", 100)
        ))
        .unwrap();
    session.batch_execute("select pg_replication_origin_session_reset()").unwrap();
    end(&db);
    let (events, restarts) = both(&db);
    assert_eq!((events.len(), restarts), (101, 1));
    assert!(events[0].contains(&origin), "{}", events[0]);
    db.sql(&format!("select pg_replication_origin_drop('{origin}')"));
}

#[test]
fn a_transaction_beyond_the_bound_on_disk_is_left_to_the_server() {
    let db = prepared(15);
    db.sql("create table a (id int primary key, v text)");
    let options = [("walspring.spill.max.bytes", "100000")];
    make_slots(&db, &options);
    db.sql(&format!("begin; {}; commit", many("a", 100)));
    end(&db);
    let (events, restarts) = lines(&with(connector(&db, true, 1000), &options));
    assert_eq!((events.len(), restarts), (101, 1));
}

#[test]
fn stopped_after_any_event_of_one_the_rest_follows_once() {
    for major in [15, 18] {
        let db = prepared(major);
        make_slots(&db, &[]);
        workload(&db, 20 + u64::from(major), 150, Alters::Nothing);
        let (all, _) = lines(&connector(&db, true, 1));
        let step = all.len() / 40 + 1;
        for sent in (1..all.len() - 1).step_by(step) {
            let Some(offset) = &all[sent - 1].1 else { panic!("event {sent} has no offset") };
            let mut source = connector(&db, true, 7).streaming(Some(offset));
            let rest = source.events_until("the end", is_end);
            assert_eq!(rest.len(), all.len() - sent, "version {major}, after {sent} of {}", all.len());
            for (event, (line, _)) in rest.iter().zip(&all[sent..]) {
                assert!(line.starts_with(&format!("{event:?}")), "version {major}, after {sent}");
            }
            source.close();
        }
    }
}

#[test]
fn nothing_is_confirmed_that_an_open_one_needs() {
    for major in [15, 18] {
        let db = prepared(major);
        db.sql("create table a (id int primary key, v text)");
        make_slots(&db, &[]);
        let quiet =
            || connector(&db, true, 1000).limits(|l| (l.quiet_bytes, l.quiet_interval) = (1, Duration::from_millis(1)));
        let mut source = quiet().streaming(None);
        let mut session = db.connect();
        session.batch_execute(&format!("begin; {}", many("a", 100))).unwrap();
        // Keepalives, confirmed positions, and a start anew while it is open.
        db.sql("create table noise (v text); insert into shared values (1, '')");
        let begun = confirmed(&db, &db.slot("on"));
        let mut events = Vec::new();
        let until = Instant::now() + WAIT;
        while confirmed(&db, &db.slot("on")) <= begun || events.is_empty() {
            assert!(Instant::now() < until, "nothing was confirmed");
            let Some(step) = source.poll(Duration::from_millis(20)).expect("no error") else { continue };
            events.extend(step.events);
            step.offset.iter().for_each(|offset| source.stored(offset));
        }
        let offset = source.close();
        source = quiet().streaming(offset.as_ref());
        session.batch_execute(&format!("{}; commit", many("a", 200))).unwrap();
        events.extend(source.take(200));
        assert_eq!(events.len(), 201, "version {major}");
        source.close();
    }
}

#[test]
fn a_huge_one_keeps_its_connection_while_it_comes_and_while_it_is_sent() {
    // Longer than the server waits for an answer.
    const PAUSE: Duration = Duration::from_millis(4500);
    let server = Postgres::builder(15).option("wal_sender_timeout", "2s").option("logical_decoding_work_mem", "64kB");
    let db = Arc::new(Postgres::start(server)).database();
    db.sql("create table a (id int primary key, v text); create table done (id int primary key)");
    let mut source = connector(&db, true, 1000).streaming(None);
    let sender = "select active_pid from pg_replication_slots where active";
    let (pid, rows) = (db.value(sender), 200_000);
    let mut session = db.connect();
    let insert =
        |from: i64, to: i64| format!("insert into a select g, repeat('x', 100) from generate_series({from}, {to}) g");
    // It comes before it ends; then nobody reads while more of it comes than the socket holds.
    session.batch_execute(&format!("begin; {}", insert(1, rows / 2))).unwrap();
    let sent = "select (stream_bytes > 0)::text from pg_stat_replication_slots where stream_txns > 0";
    wait_for("a part of it", WAIT, || {
        assert!(source.poll(Duration::from_millis(50)).expect("no error").is_none(), "it has not committed");
        (db.sql(sent) == [[Some("true".to_owned())]]).then_some(())
    });
    session.batch_execute(&insert(rows / 2 + 1, rows)).unwrap();
    std::thread::sleep(PAUSE);
    session.batch_execute("commit").unwrap();
    end(&db);
    let mut seen = 0i64;
    loop {
        let step = source.poll(Duration::from_millis(100)).expect("no error");
        let Some(step) = step else { continue };
        for event in &step.events {
            if is_end(event) {
                assert_eq!(seen, rows);
                assert_eq!(db.value(sender), pid);
                was_streamed(&db, &db.slot("on"));
                return;
            }
            seen += 1;
            assert_eq!(event.number("id"), seen);
        }
        if seen == 50_000 {
            // Nobody takes what is released.
            std::thread::sleep(PAUSE);
        }
    }
}

#[test]
fn thousands_of_subtransactions_half_rolled_back() {
    for major in [15, 18] {
        let db = prepared(major);
        db.sql("create table a (id int primary key, v text)");
        make_slots(&db, &[]);
        // Each loop is a subtransaction with one in it. Of four, one is rolled back whole, one its inner one, one neither.
        db.sql(
            "do $$ begin
               for i in 1 .. 3000 loop
                 begin
                   insert into a values (i, repeat('x', 100));
                   begin
                     insert into a values (i + 10000, repeat('y', 100));
                     if i % 4 = 1 then raise exception 'inner'; end if;
                   exception when raise_exception then null;
                   end;
                   if i % 4 < 2 then raise exception 'outer'; end if;
                 exception when raise_exception then null;
                 end;
               end loop;
             end $$",
        );
        end(&db);
        let (events, restarts) = both(&db);
        was_streamed(&db, &db.slot("on"));
        assert_eq!((events.len(), restarts), (3001, 0), "version {major}");
    }
}
