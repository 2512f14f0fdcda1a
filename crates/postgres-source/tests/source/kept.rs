//! What tables were like, over restarts: rows that wait in the slot while tables are altered.

use walspring_record::SourceOffset;
use walspring_testkit::{TempDatabase, postgres, wait_for};

use crate::support::{Connector, Event, WAIT};

const STRICT: (&str, &str) = ("walspring.strict", "true");

fn seen(event: &Event) -> String {
    format!("{} [{}] {}", event.row[0].1.as_deref().unwrap_or("null"), event.key.join(","), event.details.join(", "))
}

/// Reads what there is, stops, alters, and gives the offset to go on from.
fn stopped(db: &TempDatabase, connector: &Connector, live: usize) -> SourceOffset {
    let mut source = connector.start(None);
    source.read_snapshot();
    db.sql("insert into t values (1, 1, 'ok')");
    source.take(live);
    source.close().expect("an offset")
}

fn table(db: &TempDatabase) {
    db.sql(
        "create type mood as enum ('sad', 'ok');
         create table t (id int not null, a int not null default 1, m mood);
         comment on column t.a is 'first'",
    );
}

const ALTERED: &str = "alter table t alter a drop not null, alter a set default 2, add primary key (id);
    alter type mood rename value 'ok' to 'fine';
    comment on column t.a is 'second'";

#[test]
fn rows_of_before_an_alter_go_by_what_the_table_was_like() {
    for major in [14, 15, 18] {
        let db = postgres(major).database();
        table(&db);
        let connector = Connector::new(&db, &[STRICT]);
        let stored = stopped(&db, &connector, 1);
        db.sql("insert into t values (2, 2, 'ok')");
        db.sql(ALTERED);
        db.sql("insert into t values (3, null, 'fine')");
        let mut source = connector.streaming(Some(&stored));
        let have: Vec<String> = source.take(2).iter().map(seen).collect();
        let before = "2 [] required, required default 1 -- first, sad|ok";
        let after = "3 [id] required, default 2 -- second, sad|fine";
        assert_eq!(have, [before, after], "version {major}");
        // Once more from the same offset: what was noted meanwhile does not change it.
        drop(source);
        let mut source = connector.streaming(Some(&stored));
        let again: Vec<String> = source.take(2).iter().map(seen).collect();
        assert_eq!(again, [before, after], "version {major}");
        let stored = source.close();
        // And when the catalog goes on.
        db.sql("insert into t values (4, 4, 'fine')");
        db.sql("alter table t alter a set default 4");
        let mut source = connector.streaming(stored.as_ref());
        assert_eq!(seen(&source.take(1)[0]), "4 [id] required, default 2 -- second, sad|fine");
        db.sql("insert into t values (5, 5, 'fine')");
        assert_eq!(seen(&source.take(1)[0]), "5 [id] required, default 4 -- second, sad|fine");
    }
}

#[test]
fn by_default_the_original_is_followed_and_told_of() {
    let db = postgres(15).database();
    table(&db);
    let connector = Connector::new(&db, &[]);
    let stored = stopped(&db, &connector, 1);
    db.sql("insert into t values (2, 2, 'ok')");
    db.sql(ALTERED);
    db.sql("insert into t values (3, null, 'fine')");
    let mut source = connector.streaming(Some(&stored));
    let events = source.take(2);
    assert_eq!(seen(&events[0]), "2 [] required, default 2 -- second, sad|fine");
    assert!(events[0].surprises.contains(&"a catalog_later".to_owned()), "{:?}", events[0].surprises);
    assert!(events[0].surprises.contains(&"m catalog_later".to_owned()), "{:?}", events[0].surprises);
    assert_eq!(seen(&events[1]), "3 [id] required, default 2 -- second, sad|fine");
    assert!(!events[1].surprises.iter().any(|s| s.ends_with("catalog_later")), "{:?}", events[1].surprises);
}

#[test]
fn a_type_that_is_gone_is_known() {
    let db = postgres(15).database();
    table(&db);
    let connector = Connector::new(&db, &[STRICT]);
    let stored = stopped(&db, &connector, 1);
    db.sql("insert into t values (2, 2, 'ok')");
    db.sql("alter table t drop m; drop type mood");
    db.sql("insert into t values (3, 3)");
    let mut source = connector.streaming(Some(&stored));
    let have: Vec<String> = source.take(2).iter().map(seen).collect();
    assert_eq!(
        have,
        ["2 [] required, required default 1 -- first, sad|ok", "3 [] required, required default 1 -- first"]
    );
}

#[test]
fn a_table_of_which_nothing_was_streamed_is_known_from_the_start() {
    let db = postgres(15).database();
    table(&db);
    let connector = Connector::new(&db, &[STRICT]);
    let mut source = connector.start(None);
    source.read_snapshot();
    let stored = source.close();
    db.sql("insert into t values (2, 2, 'ok')");
    db.sql(ALTERED);
    let mut source = connector.streaming(stored.as_ref());
    assert_eq!(seen(&source.take(1)[0]), "2 [] required, required default 1 -- first, sad|ok");
}

#[test]
fn another_database_has_tables_of_its_own() {
    let (db, other) = (postgres(15).database(), postgres(15).database());
    table(&db);
    let connector = Connector::new(&db, &[STRICT]);
    stopped(&db, &connector, 1);
    let state = connector.state.clone();
    // Its tables may have the same numbers: nothing of what was kept is taken for theirs.
    other.sql("create table u (id int primary key)");
    let mut elsewhere = Connector::new(&other, &[STRICT]);
    elsewhere.state = state.clone();
    let mut source = elsewhere.start(None);
    source.read_snapshot();
    other.sql("insert into u values (1)");
    assert_eq!(seen(&source.take(1)[0]), "1 [id] required");
}

#[test]
fn what_is_written_is_bounded_and_goes_with_the_table() {
    let db = postgres(15).database();
    db.sql("create table t (id int primary key, a int)");
    db.sql(
        "do $$ begin for i in 1..300 loop execute format('create table x%s (id int primary key)', i); end loop; end $$",
    );
    let connector = Connector::new(&db, &[]);
    let mut source = connector.start(None);
    source.read_snapshot();
    let state = connector.state.clone().expect("a store");
    for n in 0..10 {
        db.sql(&format!("alter table t alter a set default {n}; insert into t values ({n})"));
        source.take(1);
    }
    let stored = source.close();
    // All tables in few writes, then one a version.
    assert!(state.writes.lock().unwrap().len() <= 13, "{:?}", state.writes.lock().unwrap());
    let tables = || state.kept.lock().unwrap().iter().filter(|(key, _)| key[0] == "table").count();
    assert_eq!(tables(), 301);
    let most = state.kept.lock().unwrap().values().filter_map(|v| v["versions"].as_array().map(Vec::len)).max();
    assert_eq!(most, Some(4));
    db.sql("drop table x1; insert into t values (100)");
    let mut source = connector.streaming(stored.as_ref());
    source.take(1);
    let stored = source.close();
    assert_eq!(tables(), 301);
    let most = state.kept.lock().unwrap().values().filter_map(|v| v["versions"].as_array().map(Vec::len)).max();
    assert!(most <= Some(2), "{most:?}");
    let mut source = connector.streaming(stored.as_ref());
    for n in [101, 102] {
        // The offset of a row whose commit was not read yet is before its transaction: the second one's is behind the first.
        db.sql(&format!("insert into t values ({n})"));
        source.take(1);
    }
    let stored = source.close();
    let _source = connector.streaming(stored.as_ref());
    // A thread of its own writes it.
    wait_for("the table to be forgotten", WAIT, || (tables() == 300).then_some(()));
}
