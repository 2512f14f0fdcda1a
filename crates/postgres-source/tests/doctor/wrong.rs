//! A server, a role, a publication, slots and tables that are wrong in many ways: each is found by its check.

use std::time::Duration;

use walspring_doctor::Outcome::{Fail, NotApplicable, Pass, Skip, Warn};
use walspring_postgres_source::doctor::{Thresholds, checks};
use walspring_testkit::{Postgres, free_port};

use crate::support::{PASSWORD, check, config, report, report_at, until};

/// Little, so that everything is found that is there at all.
fn sharp() -> Thresholds {
    Thresholds { transaction: Duration::ZERO, full_table_bytes: 0, ..Thresholds::default() }
}

fn server() -> Postgres {
    let server = Postgres::start(
        Postgres::builder(18)
            .hba("host all cdc 127.0.0.1/32 md5")
            .option("max_replication_slots", "4")
            .option("max_wal_senders", "1")
            .option("wal_sender_timeout", "0")
            .option("logical_decoding_work_mem", "64kB")
            .option("idle_replication_slot_timeout", "3600s")
            .option("max_slot_wal_keep_size", "16MB")
            .option("min_wal_size", "32MB")
            .option("max_wal_size", "32MB")
            .option("archive_mode", "on")
            .option("archive_command", "false")
            .option("synchronized_standby_slots", "nosuch")
            .option("password_encryption", "md5"),
    );
    server.sql(
        "postgres",
        &format!("create role cdc login password '{PASSWORD}' connection limit 5 valid until '2027-01-01'"),
    );
    server.sql("postgres", "alter role cdc set transaction_timeout = '1h'");
    server.sql("postgres", "update pg_authid set rolvaliduntil = now() + interval '2 days' where rolname = 'cdc'");
    server.sql("postgres", "alter database postgres connection limit 6");
    for statement in TABLES {
        server.sql("postgres", statement);
    }
    server
}

const TABLES: &[&str] = &[
    "create schema hidden; create table hidden.t (id int primary key)",
    "create table unread (id int primary key)",
    "create table guarded (id int primary key); alter table guarded enable row level security; grant select on guarded to cdc",
    "create table nokey (a int); grant select on nokey to cdc",
    "create table fullbig (id int primary key); alter table fullbig replica identity full",
    "create table noindex (id int primary key, u int not null unique); alter table noindex replica identity using index \
     noindex_u_key; alter table noindex drop constraint noindex_u_key",
    "create unlogged table unl (id int primary key)",
    "create table \"a$b\" (id int primary key); create table \"a#b\" (id int primary key)",
    "create view seen as select 1 as a",
    "create table toasted (id int primary key, t text); alter table toasted alter t set storage external; insert into \
     toasted values (1, repeat('x', 10000))",
    "vacuum toasted",
    "create table part (id int primary key) partition by range (id); create table part_1 partition of part for values \
     from (0) to (10)",
    "create table gen (id int primary key, g int generated always as (id + 1) stored)",
    "create type pair as (a int, b int); create table typed (id int primary key, p pair, n int default 7)",
    "create table filtered (id int primary key, a int, b int)",
    "create table extra (id int primary key)",
    "create table late (id int primary key)",
    "create table signals (id varchar(42) primary key, type varchar(32))",
    "create table beat (at timestamptz primary key)",
    "create publication odd for table filtered (id, a) where (id > 0), extra, nokey, noindex, part, gen, typed, fullbig, \
     toasted with (publish = 'insert, update', publish_via_partition_root = true)",
    "create publication lacks for table filtered (a)",
];

#[test]
fn each_fault_is_found() {
    let server = server();
    let sql = |statement: &str| server.sql("postgres", statement);
    // Its log is removed: 16 MiB are kept.
    sql("select pg_create_logical_replication_slot('lost', 'pgoutput')");
    for _ in 0..4 {
        sql("select pg_logical_emit_message(false, 'x', repeat('x', 1000)); select pg_switch_wal()");
        sql("checkpoint");
    }
    sql("select pg_create_logical_replication_slot('other', 'test_decoding', false, true)");
    server.sql("template1", "select pg_create_logical_replication_slot('elsewhere', 'pgoutput')");
    sql("select pg_create_physical_replication_slot('physical')");
    sql("create table prepared (a int)");
    sql("begin; insert into prepared values (1); prepare transaction 'left'");
    until("the archiver to fail", || server.value("postgres", "select failed_count > 0 from pg_stat_archiver") == "t");
    let mut open = server.connect("postgres");
    open.batch_execute("begin; insert into prepared values (2)").expect("an open transaction");

    let odd = config(
        &server,
        "cdc",
        &[
            ("slot.name", "other"),
            ("slot.failover", "true"),
            ("publication.name", "odd"),
            ("publication.autocreate.mode", "disabled"),
            (
                "table.include.list",
                r"hidden\.t,public\.(unread|guarded|nokey|fullbig|noindex|unl|a.b|seen|toasted|part|part_1|gen|typed|filtered|late),public.nothere",
            ),
            ("signal.data.collection", "public.signals"),
            ("heartbeat.interval.ms", "1000"),
            ("heartbeat.action.query", "insert into beat values (now())"),
            ("guardrail.collections.max", "1"),
            ("guardrail.collections.limit.action", "fail"),
            ("replica.identity.autoset.values", "public.unread:FULL"),
            ("column.mask.with.3.chars", "public.typed.n"),
        ],
    );
    let report = report_at(&odd, sharp());
    check(
        &report,
        &[
            ("pg.connection", Pass, "PostgreSQL 18"),
            ("pg.version", Pass, ""),
            ("pg.password_method", Warn, "scram-sha-256"),
            ("pg.durability", Warn, "ALTER SYSTEM SET fsync = on"),
            ("pg.role.replication", Fail, r#"ALTER ROLE "cdc" LOGIN REPLICATION;"#),
            ("pg.role.superuser", Pass, ""),
            ("pg.role.schema_usage", Fail, r#"GRANT USAGE ON SCHEMA "hidden" TO "cdc";"#),
            ("pg.role.select", Fail, r#"GRANT SELECT ON "public"."unread" TO "cdc";"#),
            ("pg.role.row_security", Fail, "public.guarded"),
            ("pg.role.identity_owner", Fail, "public.unread"),
            ("pg.role.connection_limit", Warn, r#"ALTER ROLE "cdc" CONNECTION LIMIT"#),
            ("pg.role.valid_until", Warn, "runs out"),
            ("pg.publication.exists", Pass, "odd"),
            ("pg.publication.tables", Fail, r#"ALTER PUBLICATION "odd" ADD TABLE"#),
            ("pg.publication.extra_tables", Warn, r#"DROP TABLE "public"."extra""#),
            ("pg.publication.operations", Fail, "publish = 'insert, update, delete'"),
            ("pg.publication.row_filter", Warn, "public.filtered"),
            ("pg.publication.columns", Warn, "public.filtered.b"),
            ("pg.publication.via_root", Warn, "publish_via_partition_root = false"),
            ("pg.publication.generated", Warn, "publish_generated_columns"),
            ("pg.slot.plugin", Fail, "test_decoding instead of pgoutput"),
            ("pg.slot.two_phase", Warn, "pg_drop_replication_slot('other')"),
            ("pg.slot.failover", Fail, "ALTER_REPLICATION_SLOT"),
            ("pg.slot.others", Warn, "lost has lost its log"),
            ("pg.slot.long_transactions", Skip, "GRANT pg_read_all_stats"),
            ("pg.slot.prepared_transactions", Warn, "ROLLBACK PREPARED 'left'"),
            ("pg.tables.include_lists", Warn, "public.nothere"),
            ("pg.tables.guardrail", Fail, "Guardrail limit exceeded"),
            ("pg.tables.not_tables", Warn, "public.seen (view)"),
            ("pg.tables.unlogged", Fail, r#"ALTER TABLE "public"."unl" SET LOGGED;"#),
            ("pg.tables.key", Warn, "public.nokey"),
            ("pg.tables.identity", Fail, r#"ALTER TABLE "public"."nokey" REPLICA IDENTITY FULL;"#),
            ("pg.tables.identity_index", Fail, r#"ALTER TABLE "public"."noindex" REPLICA IDENTITY DEFAULT;"#),
            ("pg.tables.identity_full", Warn, "public.fullbig"),
            ("pg.tables.toast", Warn, "public.toasted"),
            ("pg.tables.read_twice", Warn, "public.part"),
            ("pg.tables.types", Warn, "public.typed.p"),
            ("pg.tables.masks", Fail, "public.typed.n"),
            ("pg.tables.values", Warn, "public.typed.n"),
            ("pg.tables.topics", Warn, "shop.public.a_b"),
            ("pg.tables.signals", Fail, "2 columns"),
            ("pg.tables.heartbeat", Fail, "permission denied"),
            ("pg.limits.replication_slots", Warn, "max_replication_slots"),
            ("pg.limits.wal_senders", Fail, "max_wal_senders"),
            ("pg.limits.database_connections", Warn, "ALTER DATABASE"),
            ("pg.limits.wal_sender_timeout", Warn, "wal_sender_timeout = '60s'"),
            ("pg.limits.slot_wal_keep_size", Warn, "max_slot_wal_keep_size"),
            ("pg.limits.idle_slot_timeout", Warn, "idle_replication_slot_timeout"),
            ("pg.limits.decoding_memory", Warn, "logical_decoding_work_mem"),
            ("pg.limits.transaction_timeout", Pass, "off in our sessions"),
            ("pg.limits.archiver", Warn, "archiver fails"),
            ("pg.failover.synchronized_standby_slots", Fail, "RESET synchronized_standby_slots"),
            ("pg.standby.version", NotApplicable, ""),
        ],
    );

    sql("grant pg_read_all_stats to cdc");
    let other = |more: &[(&str, &str)]| report_at(&config(&server, "cdc", more), sharp());
    let lost =
        other(&[("slot.name", "lost"), ("publication.name", "lacks"), ("table.include.list", "public.filtered")]);
    check(
        &lost,
        &[
            ("pg.slot.wal_status", Fail, "wal_removed"),
            ("pg.slot.long_transactions", Warn, "pg_terminate_backend"),
            ("pg.publication.identity_columns", Fail, "public.filtered"),
            ("pg.tables.heartbeat", NotApplicable, ""),
        ],
    );
    let elsewhere =
        other(&[("slot.name", "elsewhere"), ("publication.name", "none"), ("publication.autocreate.mode", "disabled")]);
    check(
        &elsewhere,
        &[
            ("pg.slot.database", Fail, "belongs to the database template1"),
            ("pg.publication.exists", Fail, r#"CREATE PUBLICATION "none" FOR TABLE"#),
        ],
    );
    let new = other(&[("slot.name", "new"), ("publication.name", "none"), ("table.include.list", "nowhere")]);
    check(
        &new,
        &[
            ("pg.slot.exists", Pass, "will be made"),
            ("pg.limits.replication_slots", Fail, "max_replication_slots"),
            ("pg.publication.right", Fail, "superuser"),
            ("pg.tables.captured", Fail, "capture no table"),
            // Everything is going to be published.
            ("pg.tables.identity", Fail, "nokey"),
        ],
    );
    let filtered =
        other(&[("slot.name", "physical"), ("publication.name", "none"), ("publication.autocreate.mode", "filtered")]);
    check(
        &filtered,
        &[
            ("pg.slot.plugin", Fail, "physical slot"),
            ("pg.publication.right", Fail, "CREATE PUBLICATION \"none\" FOR TABLE"),
        ],
    );
    drop(open);
}

#[test]
fn a_server_that_is_not_reached_fails_one_check_and_skips_the_rest() {
    let server = walspring_testkit::postgres(15);
    let port = free_port().to_string();
    let nobody = report(&config(&server, "me", &[("database.port", &port)]));
    check(&nobody, &[("pg.connection", Fail, "refused"), ("pg.wal_level", Skip, "not reached")]);
    assert_eq!(nobody.count(Skip), checks().len() - 1);
    let unknown = report(&config(&server, "postgres", &[("database.dbname", "nosuch")]));
    check(&unknown, &[("pg.connection", Fail, "database.dbname")]);
}

#[test]
fn an_old_server_is_asked_nothing_that_it_does_not_have() {
    let server = walspring_testkit::postgres(13);
    let report = report(&config(&server, "postgres", &[]));
    check(&report, &[("pg.version", Fail, "PostgreSQL 13 is not supported"), ("pg.slot.exists", Skip, "too old")]);
}

#[test]
fn wal_level_is_told_in_the_words_of_a_start() {
    let server = Postgres::start(Postgres::builder(15).option("wal_level", "replica"));
    let report = report(&config(&server, "postgres", &[]));
    check(
        &report,
        &[
            ("pg.wal_level", Fail, "wal_level property must be 'logical' but is: 'replica'"),
            ("pg.role.superuser", Warn, "CREATE ROLE"),
            ("pg.limits.slot_wal_keep_size", Warn, "is not set"),
        ],
    );
}
