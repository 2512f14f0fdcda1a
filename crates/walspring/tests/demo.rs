//! `walspring demo`: events come, and nothing is left.

mod support;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use support::{command, signal_to};
use walspring_testkit::{postgres, wait_for};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_demo_prints_inserts_and_leaves_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let out = command().args(["demo", "--for", "5s"]).env("TMPDIR", temporary.path()).output().unwrap();
    let (events, said) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert_eq!(out.status.code(), Some(0), "{said}");
    assert!(events.lines().any(|line| line.starts_with("read     public.products sku=")), "{events}\n{said}");
    assert!(events.lines().any(|line| line.starts_with("insert   public.orders id=")), "{events}\n{said}");
    assert!(said.contains("REST is at http://127.0.0.1:"), "{said}");
    wait_for("the directory to be empty", LIMIT, || {
        std::fs::read_dir(temporary.path()).unwrap().next().is_none().then_some(())
    });
    let url = said.lines().find_map(|line| line.split_once("postgres://postgres@127.0.0.1:")).unwrap().1;
    let port: u16 = url.split('/').next().unwrap().parse().unwrap();
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "PostgreSQL is still there");
}

#[test]
fn a_demo_on_a_database_of_the_users_takes_away_what_it_made() {
    let db = postgres(17).database();
    db.sql("create table mine (id int primary key, name text); insert into mine values (1, 'old'); create table other (id int)");
    let mut demo = command()
        .args(["demo", "--database-url", &db.url(), "--tables", "mine", "--rest-port", "0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let made = "select count(*) from pg_publication_tables where tablename = 'mine'";
    wait_for("the publication", LIMIT, || (db.value(made) == "1").then_some(()));
    let slot = format!("select count(*) from pg_replication_slots where database = '{}' and active", db.name());
    wait_for("the slot", LIMIT, || (db.value(&slot) == "1").then_some(()));
    db.sql("insert into mine values (2, 'new'); insert into other values (1)");
    let first = BufReader::new(demo.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    assert_eq!(first, "insert   public.mine id=2 name=new");
    signal_to(demo.id(), "INT");
    assert_eq!(demo.wait().unwrap().code(), Some(0));
    let left = format!(
        "select (select count(*) from pg_publication) + (select count(*) from pg_replication_slots where database = '{}')",
        db.name()
    );
    assert_eq!(db.value(&left), "0");
}
