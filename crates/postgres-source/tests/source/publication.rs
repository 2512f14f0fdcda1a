//! A publication that is altered under a running stream: what is published is what comes, from the change's own place on.

use std::time::{Duration, Instant};

use walspring_connect::TaskError;
use walspring_testkit::{TempDatabase, postgres};

use crate::support::{Connector, Source, WAIT};

/// A stream of what the publication has, which nobody but the test alters.
fn streaming(db: &TempDatabase, more: &[(&str, &str)]) -> (Connector, Source) {
    let mut options = vec![("snapshot.mode", "no_data"), ("publication.autocreate.mode", "disabled")];
    options.extend(more);
    let connector = Connector::new(db, &options);
    let source = connector.streaming(None);
    (connector, source)
}

/// What comes until a row of the table `last`.
fn until(db: &TempDatabase, source: &mut Source, last: &str) -> Vec<String> {
    db.sql(&format!("insert into {last} values (0); delete from {last}"));
    let table = format!("public.{last}");
    let events = source.events_until(last, |e| e.table == table && e.op == 'd');
    events.iter().filter(|e| e.table != table).map(|e| e.short()).collect()
}

fn error(source: &mut Source) -> TaskError {
    let end = Instant::now() + WAIT;
    loop {
        assert!(Instant::now() < end, "no error came");
        match source.poll(Duration::from_millis(50)) {
            Err(e) => return e,
            Ok(step) => assert!(step.is_none_or(|s| s.events.is_empty())),
        }
    }
}

#[test]
fn tables_columns_and_rows_that_a_publication_gets_and_loses_under_the_stream() {
    let db = postgres(15).database();
    db.sql(
        "create table a (id int primary key, v text, w text); create table b (id int primary key);
         create table e (id int primary key); create publication p for table a, e",
    );
    let (_, mut source) = streaming(&db, &[]);
    db.sql("insert into a values (1, 'v', 'w'); insert into b values (1)");
    assert_eq!(until(&db, &mut source, "e"), ["public.a c 1,v,w"]);

    // A table comes and goes.
    db.sql("alter publication p add table b");
    db.sql("insert into b values (2)");
    db.sql("alter publication p drop table a");
    db.sql("insert into a values (2, 'v', 'w'); update b set id = 3 where id = 2");
    assert_eq!(until(&db, &mut source, "e"), ["public.b c 2", "public.b u 3"]);

    // A list of columns: the table is one of fewer columns, and with the list it goes.
    db.sql("alter publication p add table a (id, w)");
    db.sql("insert into a values (3, 'v', 'w')");
    db.sql("alter publication p set table a, b, e");
    db.sql("insert into a values (4, 'v', 'w')");
    assert_eq!(until(&db, &mut source, "e"), ["public.a c 3,w", "public.a c 4,v,w"]);

    // A filter of rows: a row that enters is an insert, one that leaves a delete.
    db.sql("alter table a replica identity full; alter publication p set table a where (id > 10), e");
    db.sql("insert into a values (5, 'v', 'w')");
    db.sql("update a set id = 15 where id = 5");
    db.sql("update a set id = 6 where id = 15");
    db.sql("alter publication p set (publish = 'insert, delete')");
    db.sql("insert into a values (16, 'v', 'w')");
    db.sql("update a set v = 'x' where id = 16");
    assert_eq!(until(&db, &mut source, "e"), ["public.a c 15,v,w", "public.a d 15,v,w", "public.a c 16,v,w"]);

    // Whole schemas, and a table in one that came later.
    db.sql("create schema more; alter publication p set (publish = 'insert, update, delete, truncate')");
    db.sql("alter publication p set table e, tables in schema more");
    db.sql("create table more.late (id int primary key); insert into more.late values (7); insert into a values (17)");
    assert_eq!(until(&db, &mut source, "e"), ["more.late c 7"]);
}

/// What was changed while it was not there: nobody decodes that any more.
fn dropped_and_made_again(major: u32) {
    let db = postgres(major).database();
    db.sql("create table a (id int primary key); create publication p for table a");
    let (connector, mut source) = streaming(&db, &[]);
    db.sql("insert into a values (1)");
    assert_eq!(source.take(1)[0].number("id"), 1);
    let offset = source.offset.clone();
    source.stored(offset.as_ref().expect("an offset"));
    db.sql("drop publication p");
    // Nothing was lost yet: it is made again before anything is changed.
    db.sql("create publication p for table a");
    db.sql("insert into a values (2)");
    assert_eq!(source.take(1)[0].number("id"), 2);
    let offset = source.offset.clone();

    db.sql("drop publication p");
    db.sql("insert into a values (3)");
    let stopped = error(&mut source);
    let text = stopped.trace();
    assert!(!stopped.is_transient(), "{text}");
    assert!(text.contains("publication \"p\"") && text.contains("pg_replication_slot_advance"), "{text}");
    drop(source);

    // The start says that there is none; made again, what was changed without it still cannot be decoded.
    let text = connector.refusal(offset.as_ref()).trace();
    assert!(text.contains("CREATE PUBLICATION \"p\""), "{text}");
    db.sql("create publication p for table a");
    let text = connector.refusal(offset.as_ref()).trace();
    assert!(text.contains("pg_replication_slot_advance"), "{text}");

    // As the hint says: it is passed over, and what comes then is whole.
    let advance = format!("select pg_replication_slot_advance('{}', pg_current_wal_lsn())", db.slot("s"));
    db.wait_unread(&db.slot("s"));
    db.sql(&advance);
    db.sql("insert into a values (4)");
    let mut passed = Connector::new(&db, &[]);
    passed.config = connector.config.clone();
    passed.state = connector.state.clone();
    passed.set("offset.mismatch.strategy", "trust_slot");
    let mut source = passed.streaming(offset.as_ref());
    assert_eq!(source.take(1)[0].number("id"), 4);
}

#[test]
fn a_publication_that_is_dropped_and_made_again_under_the_stream_on_15() {
    dropped_and_made_again(15);
}

/// Since 18 the server only warns, and would leave out what changed.
#[test]
fn a_publication_that_is_dropped_and_made_again_under_the_stream_on_18() {
    dropped_and_made_again(18);
}
