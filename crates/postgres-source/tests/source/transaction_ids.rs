//! Transaction ids that go round: the cluster is brought to the end of its 32 bits, and everything goes on across it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use walspring_doctor::Outcome;
use walspring_postgres_source::doctor::{Examined, Thresholds, examine};
use walspring_testkit::{Postgres, Shutdown};

use crate::support::{Connector, Event, number};

const ROUND: u64 = 1 << 32;

/// The program beside the server's own; not every package has it.
fn pg_resetwal(data: &Path) -> Option<PathBuf> {
    let pid = std::fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let exe = std::fs::read_link(format!("/proc/{}/exe", pid.lines().next()?)).ok()?;
    Some(exe.with_file_name("pg_resetwal")).filter(|program| program.is_file())
}

/// The next transaction gets the id `next`, of the epoch 3.
fn set_next(server: &Postgres, program: &Path, next: u64) {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::process::CommandExt;
    let data = server.server().data_dir();
    server.server().stop(Shutdown::Fast);
    // Two bits a transaction in files of 32 pages; the new one has to be there, and be the server's.
    let file = data.join(format!("pg_xact/{:04X}", next / (8192 * 4 * 32)));
    if !file.exists() {
        let copied = Command::new("cp").arg("-a").arg(data.join("pg_xact/0000")).arg(&file).status().expect("cp");
        assert!(copied.success());
        std::fs::write(&file, vec![0; 8192 * 32]).expect("a file");
    }
    let owner = std::fs::metadata(data).expect("the data");
    let mut command = Command::new(program);
    command.arg("-D").arg(data).args(["-e", "3", "-x", &next.to_string(), "-u", &(next - 100_000).to_string()]);
    let own = std::fs::metadata("/proc/self").expect("ourselves");
    if own.uid() != owner.uid() {
        command.uid(owner.uid()).gid(owner.gid());
    }
    let out = command.output().expect("pg_resetwal");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    server.server().start().expect("a start");
}

#[test]
fn transaction_ids_that_go_round_under_the_stream() {
    let server = Arc::new(Postgres::start(Postgres::builder(15).option("autovacuum", "off")));
    let Some(program) = pg_resetwal(server.server().data_dir()) else {
        eprintln!("left out: this PostgreSQL came without pg_resetwal");
        return;
    };
    for database in ["postgres", "template1"] {
        server.sql(database, "vacuum freeze");
    }
    set_next(&server, &program, ROUND - 300_000_000);
    let db = server.database();
    db.sql(
        "create table t (id int primary key, v text); create table signal (id text primary key, type text, data text)",
    );

    // A slot that holds old rows back is told of.
    let slot = db.slot("s");
    db.sql(&format!("select pg_create_logical_replication_slot('{slot}', 'pgoutput')"));
    set_next(&server, &program, ROUND - 60);
    let options = [
        ("signal.data.collection", "public.signal"),
        ("incremental.snapshot.chunk.size", "10"),
        ("signal.poll.interval.ms", "10"),
    ];
    let connector = Connector::new(&db, &options);
    let examined =
        Examined { config: &connector.config, connect: None, bare: false, thresholds: Thresholds::default() };
    let report = examine(&examined).unwrap_or_else(|e| panic!("{e}")).report;
    let held = report.find("pg.slot.catalog_xmin").expect("the check");
    assert_eq!(held.outcome, Outcome::Warn, "{held:?}");
    db.sql(&format!("select pg_drop_replication_slot('{slot}')"));

    // The rows are of before, the end of the ids comes within the stream and an incremental snapshot.
    db.sql("insert into t select g, 'old' from generate_series(1, 40) g");
    let mut source = connector.start(None);
    assert_eq!(source.read_snapshot().iter().filter(|e| e.op == 'r').count(), 40);
    let mut offsets = vec![source.offset.clone()];
    let mut events = Vec::new();
    for id in 101..=200 {
        if id == 130 {
            let what = r#"{"data-collections": ["public.t"], "type": "incremental"}"#;
            db.sql(&format!("insert into signal values ('a', 'execute-snapshot', '{what}')"));
        }
        db.sql(&format!("insert into t values ({id}, 'new'); update t set v = 'changed' where id = {id}"));
        source.until("the row", |step| {
            events.extend(step.events.iter().cloned());
            step.events.iter().any(|e| e.op == 'c' && e.table == "public.t" && e.number("id") == id)
        });
        offsets.push(source.offset.clone());
    }
    // Nobody changes these beside it: each is read, once.
    let of = |event: &Event| event.op == 'r' && event.number("id") <= 40;
    if events.iter().filter(|e| of(e)).count() < 40 {
        source.until("the rows of the incremental snapshot", |step| {
            events.extend(step.events.iter().cloned());
            events.iter().filter(|e| of(e)).count() >= 40
        });
    }
    let read = |id: i64| events.iter().filter(|e| e.op == 'r' && e.number("id") == id).count();
    assert!((1..=40).all(|id| read(id) == 1), "{:?}", (1..=40).map(read).collect::<Vec<_>>());

    // Each event has its transaction's id, as the server has it.
    let there: Vec<(i64, u64)> = db
        .sql("select id, xmin::text from t where id > 100 order by id")
        .into_iter()
        .map(|row| (row[0].as_deref().unwrap().parse().unwrap(), row[1].as_deref().unwrap().parse().unwrap()))
        .collect();
    let streamed: Vec<(i64, u64)> = events
        .iter()
        .filter(|e| e.op == 'c' && e.table == "public.t")
        .map(|e| (e.number("id"), u64::from(e.xid.expect("its id"))))
        .collect();
    assert_eq!(streamed, there);
    assert!(there[0].1 > ROUND - 60 && there[99].1 < 1000, "they have not gone round: {there:?}");

    // From every offset on both sides what follows comes, and nothing else.
    source.close();
    let round = there.iter().position(|(_, xid)| *xid < 1000).expect("the first of the new round");
    for from in [round - 1, round, round + 1, 100] {
        db.wait_unread(&slot);
        let offset = offsets[from].as_ref();
        let mut source = connector.streaming(offset);
        let mut ids = Vec::new();
        db.sql(&format!("insert into t values ({}, 'last')", 1000 + from));
        source.until("the last", |step| {
            ids.extend(step.events.iter().filter(|e| e.op == 'c' && e.table == "public.t").map(|e| e.number("id")));
            ids.contains(&(1000 + from as i64))
        });
        ids.retain(|id| *id <= 200);
        assert!(ids.into_iter().eq(101 + from as i64..=200), "from {from}: {:?}", number(offset.unwrap(), "txId"));
        source.close();
    }
}
