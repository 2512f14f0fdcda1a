//! The PostgreSQL servers of the testkit: all versions side by side, crashed and recovered, gone with their process.

use std::time::{Duration, Instant};

use walspring_testkit::{Postgres, Shutdown, postgres, wait_for};

#[test]
fn every_version_starts_side_by_side() {
    let start = |major| std::thread::spawn(move || postgres(major));
    let servers: Vec<_> = [14, 15, 16, 17, 18].map(start).into_iter().map(|t| t.join().unwrap()).collect();
    for (server, major) in servers.iter().zip(14..) {
        assert_eq!(server.major(), major);
        let version: u32 = server.value("postgres", "show server_version_num").parse().unwrap();
        assert_eq!(version / 10_000, major);
        assert_eq!(server.value("postgres", "show wal_level"), "logical");
    }
}

#[test]
fn a_database_is_dropped_with_the_slot_that_holds_it() {
    let server = postgres(15);
    let db = server.database();
    let (name, slot) = (db.name().to_owned(), db.slot("a"));
    db.sql(&format!("select pg_create_logical_replication_slot('{slot}', 'pgoutput')"));
    db.sql("create table t (id int primary key, note text); insert into t values (1, 'a'), (2, null)");
    let rows = db.sql("select id, note from t order by id");
    assert_eq!(rows, [[Some("1".to_owned()), Some("a".to_owned())], [Some("2".to_owned()), None]]);
    drop(db);
    let left = format!("select count(*) from pg_database where datname = '{name}'");
    assert_eq!(server.value("postgres", &left), "0");
}

#[test]
fn an_error_has_its_code_and_hint() {
    let error = postgres(15).try_sql("postgres", "select no_such_function()").unwrap_err();
    assert!(error.contains("(42883)") && error.contains("hint: "), "{error}");
}

#[test]
fn a_committed_row_survives_a_kill() {
    let server = Postgres::start(Postgres::builder(15));
    server.sql("postgres", "create table t (id int); insert into t values (1)");
    for how in [Shutdown::Kill, Shutdown::Immediate, Shutdown::Fast] {
        server.server().restart(how).unwrap();
        assert_eq!(server.value("postgres", "select count(*) from t"), "1", "after {how:?}");
    }
}

#[test]
fn servers_of_one_template_are_clusters_of_their_own() {
    let server = Postgres::start(Postgres::builder(15));
    let identifier = |server: &Postgres| server.value("postgres", "select system_identifier from pg_control_system()");
    let own = identifier(&server);
    assert_ne!(own, identifier(&postgres(15)));
    server.server().restart(Shutdown::Kill).unwrap();
    assert_eq!(identifier(&server), own);
}

#[test]
fn options_and_rules_of_ones_own() {
    let builder = Postgres::builder(15).option("wal_sender_timeout", "3s");
    let server = Postgres::start(builder.hba("host all locked 127.0.0.1/32 scram-sha-256"));
    assert_eq!(server.value("postgres", "show wal_sender_timeout"), "3s");
    server.sql("postgres", "create role locked login password 'secret'");
    let port = server.port();
    let connect = |password: &str| {
        let url = format!("postgres://locked:{password}@127.0.0.1:{port}/postgres");
        walspring_testkit::client::Client::connect(&url, walspring_testkit::client::NoTls).map(drop)
    };
    connect("secret").unwrap();
    connect("wrong").unwrap_err();
}

/// Not a test of its own: the other half of the next one, in a process that it kills.
#[test]
fn child_that_holds_a_server() {
    if std::env::var_os("HOLD_A_SERVER").is_some() {
        let server = Postgres::start(Postgres::builder(15));
        println!("\nSERVER {} {}", server.port(), server.server().data_dir().display());
        std::thread::sleep(Duration::from_secs(60));
    }
}

#[test]
fn a_server_goes_when_its_process_is_killed() {
    use std::io::{BufRead, BufReader};
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_holds_a_server", "--nocapture"])
        .env("HOLD_A_SERVER", "1")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.map(Result::unwrap).find(|line| line.starts_with("SERVER ")).unwrap();
    let mut words = line.split(' ').skip(1);
    let port: u16 = words.next().unwrap().parse().unwrap();
    let data = std::path::PathBuf::from(words.next().unwrap());
    assert!(data.exists() && std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    child.kill().unwrap();
    child.wait().unwrap();
    let start = Instant::now();
    wait_for("the server's data to be deleted", Duration::from_secs(15), || {
        (!data.exists() && !data.parent().unwrap().exists()).then_some(())
    });
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    println!("gone after {:?}", start.elapsed());
}
