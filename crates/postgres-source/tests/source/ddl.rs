//! Tables that change while they are streamed: each row is read by the table as it was.

use walspring_testkit::postgres;

use crate::support::{Connector, Event};

fn described(e: &Event) -> String {
    let columns = e.row.iter().zip(&e.types);
    let row: Vec<String> = columns.map(|((n, v), t)| format!("{n} {t}={}", v.as_deref().unwrap_or("null"))).collect();
    format!("{} {} [{}]", e.op, row.join(" "), e.key.join(","))
}

fn in_one_transaction(major: u32) {
    let db = postgres(major).database();
    db.sql("create table t (id int primary key, v text)");
    let mut source = Connector::new(&db, &[]).start(None);
    source.read_snapshot();
    db.sql(
        "begin;
         insert into t values (1, 'a');
         alter table t add c int default 5;
         insert into t values (2, 'b', 7);
         alter table t rename v to w;
         insert into t values (3, 'c');
         alter table t alter id type bigint;
         insert into t values (4, 'd');
         alter table t drop c;
         insert into t values (5, 'e');
         alter table t drop constraint t_pkey;
         insert into t values (6, 'f');
         alter table t add primary key (w);
         update t set w = 'g' where w = 'f';
         alter table t rename id to number;
         insert into t values (8, 'h');
         commit",
    );
    let have: Vec<String> = source.take(8).iter().map(described).collect();
    let want = [
        "c id int4=1 v text=a [id]",
        "c id int4=2 v text=b c int4=7 [id]",
        "c id int4=3 w text=c c int4=5 [id]",
        "c id int8=4 w text=d c int4=5 [id]",
        "c id int8=5 w text=e [id]",
        "c id int8=6 w text=f []",
        "u id int8=6 w text=g [w]",
        "c number int8=8 w text=h [w]",
    ];
    assert_eq!(have, want, "version {major}");
}

#[test]
fn a_table_that_changes_between_rows_of_a_transaction() {
    for major in [14, 15, 18] {
        in_one_transaction(major);
    }
}

#[test]
fn a_table_that_is_dropped_after_its_rows_and_one_that_takes_its_name() {
    let db = postgres(15).database();
    db.sql("create table t (id int primary key, v text)");
    let options = [("publication.autocreate.mode", "all_tables")];
    let mut source = Connector::new(&db, &options).start(None);
    source.read_snapshot();
    db.sql("insert into t values (1, 'old'); drop table t; create table t (k uuid primary key, n numeric)");
    db.sql("insert into t values ('11111111-1111-1111-1111-111111111111', 1.5)");
    let have: Vec<String> = source.take(2).iter().map(described).collect();
    let want = ["c id int4=1 v text=old [id]", "c k uuid=11111111-1111-1111-1111-111111111111 n numeric=1.5 [k]"];
    assert_eq!(have, want);
}

#[test]
fn a_deferrable_primary_key_is_the_key() {
    let db = postgres(15).database();
    db.sql("create table t (id int, v text, primary key (id) deferrable)");
    let mut source = Connector::new(&db, &[]).start(None);
    source.read_snapshot();
    db.sql("insert into t values (1, 'a')");
    assert_eq!(described(&source.take(1)[0]), "c id int4=1 v text=a [id]");
}

#[test]
fn an_enum_that_grows_and_a_type_that_is_made_on_the_way() {
    let db = postgres(15).database();
    db.sql("create type mood as enum ('sad'); create table t (id int primary key, m mood)");
    let mut source = Connector::new(&db, &[]).start(None);
    source.read_snapshot();
    db.sql("alter type mood add value 'happy'");
    db.sql("insert into t values (1, 'happy')");
    db.sql("create type color as enum ('red'); alter table t add c color");
    db.sql("insert into t values (2, 'sad', 'red')");
    let have: Vec<String> = source.take(2).iter().map(described).collect();
    assert_eq!(have, ["c id int4=1 m mood=happy [id]", "c id int4=2 m mood=sad c color=red [id]"]);
}

#[test]
fn a_default_that_is_set_between_the_start_and_the_first_change_shows() {
    let db = postgres(15).database();
    db.sql("create table t (id int primary key, v text)");
    let mut source = Connector::new(&db, &[]).start(None);
    source.read_snapshot();
    db.sql("alter table t alter v set default 'x', alter v set not null");
    db.sql("insert into t values (1)");
    source.take(1);
    let column = &source.batch().plans[0].relation.columns[1];
    assert_eq!((column.default.as_deref(), column.nullable), (Some("'x'::text"), false));
}

#[test]
fn a_key_that_has_grown_since_is_the_former_one() {
    let db = postgres(15).database();
    db.sql("create table t (id int primary key, v text)");
    let mut source = Connector::new(&db, &[]).start(None);
    source.read_snapshot();
    db.sql(
        "insert into t values (1, 'a'); update t set id = 2; \
         alter table t add n int not null default 7, drop constraint t_pkey, add primary key (id, n); \
         insert into t values (3, 'b')",
    );
    let have: Vec<String> = source.take(3).iter().map(described).collect();
    let want = ["c id int4=1 v text=a [id]", "u id int4=2 v text=a [id]", "c id int4=3 v text=b n int4=7 [id,n]"];
    assert_eq!(have, want);
}

#[test]
fn rows_of_an_enum_that_is_dropped_before_they_are_read_have_it() {
    let db = postgres(15).database();
    db.sql("create type mood as enum ('sad'); create table t (id int primary key, m mood, ms mood[])");
    let mut source = Connector::new(&db, &[]).start(None);
    source.read_snapshot();
    db.sql("insert into t values (1, 'sad', '{sad}'); drop type mood cascade; insert into t values (2)");
    let have: Vec<String> = source.take(2).iter().map(described).collect();
    assert_eq!(have, ["c id int4=1 m mood=sad ms _mood={sad} [id]", "c id int4=2 [id]"]);
}

#[test]
fn an_unchanged_value_of_a_partition_is_no_null_under_a_root_whose_identity_is_full() {
    let db = postgres(15).database();
    db.sql(
        "create table p (id int primary key, v text) partition by range (id); \
         create table p1 partition of p for values from (0) to (10); alter table p1 alter v set storage external; \
         alter table p replica identity full",
    );
    let mut source = Connector::new(&db, &[("publish.via.partition.root", "true")]).start(None);
    source.read_snapshot();
    db.sql("insert into p values (1, repeat('x', 3000)); update p set id = 2");
    source.take(2);
    let batch = source.batch();
    let update = batch.changes.last().expect("the update");
    assert!(batch.row(update.new, 2).cells[1].is_unchanged(), "{update:?}");
}
