//! A standby as the source, and the traps of failover slots.

use std::process::Command;

use walspring_doctor::Outcome::{Fail, NotApplicable, Pass, Skip, Warn};
use walspring_testkit::{Postgres, PostgresServer, Shutdown, Standby, free_port};

use crate::support::{check, config, report, until};

/// Makes `copy` a standby of `primary`, of which it has all settings but the port. Both are started.
fn follow(primary: &PostgresServer, copy: &PostgresServer, settings: &str) {
    primary.stop(Shutdown::Fast);
    copy.stop(Shutdown::Fast);
    let read = |name: &str| std::fs::read(copy.data_dir().join(name)).expect("a file of the copy's");
    let own = ["walspring.conf"].map(|name| (name, read(name)));
    let run = |command: &mut Command| assert!(command.status().expect("a command").success(), "{command:?}");
    run(Command::new("rm").arg("-rf").arg(copy.data_dir()));
    run(Command::new("cp").arg("-a").arg(primary.data_dir()).arg(copy.data_dir()));
    for (name, content) in own {
        // Not replaced: the file stays its owner's.
        std::fs::write(copy.data_dir().join(name), content).expect("a file of the copy's");
    }
    let conf = copy.data_dir().join("postgresql.auto.conf");
    let before = std::fs::read_to_string(&conf).expect("a file of the copy's");
    std::fs::write(conf, format!("{before}\n{settings}\n")).expect("a file of the copy's");
    // A file of the server's account, whoever runs the test; what is in it does not matter.
    let auto = copy.data_dir().join("postgresql.auto.conf");
    run(Command::new("cp").arg("-a").arg(auto).arg(copy.data_dir().join("standby.signal")));
    primary.start().expect("the primary starts");
    copy.start().expect("the standby starts");
}

#[test]
fn the_traps_of_a_standby_are_found() {
    let primary = Postgres::start(Postgres::builder(17));
    let standby = Postgres::start(Postgres::builder(17));
    primary.sql("postgres", "create table t (id int primary key); create publication p for table t");
    primary.sql("postgres", "create role reader login replication; grant select on t to reader");
    primary.sql("postgres", "select pg_create_physical_replication_slot('stby')");
    let at = format!("host={} port={} user=postgres", primary.host(), primary.port());
    let settings =
        format!("primary_conninfo = '{at}'\nsync_replication_slots = on\nsynchronized_standby_slots = 'stby'");
    follow(primary.server(), standby.server(), &settings);
    until("the standby to follow", || standby.value("postgres", "select count(*) from pg_stat_wal_receiver") == "1");
    let more = [("publication.name", "p"), ("slot.name", "fo"), ("slot.failover", "true")];
    let found = report(&config(&standby, "postgres", &more));
    check(
        &found,
        &[
            ("pg.connection", Pass, ""),
            ("pg.standby.version", Pass, ""),
            ("pg.standby.hot_standby_feedback", Fail, "hot_standby_feedback = on"),
            ("pg.standby.primary_slot", Fail, "pg_create_physical_replication_slot"),
            ("pg.standby.receiver", Pass, ""),
            ("pg.standby.replay_lag", Pass, ""),
            ("pg.standby.slot_creation", Warn, "pg_log_standby_snapshot"),
            ("pg.failover.sync_slots", Pass, ""),
            ("pg.failover.conninfo_dbname", Fail, "dbname=postgres"),
            ("pg.failover.synced", Fail, "slot.failover=true"),
            ("pg.failover.synchronized_standby_slots", Warn, "RESET synchronized_standby_slots"),
            ("pg.publication.exists", Pass, ""),
        ],
    );
    // A role that may not see it is told who grants that; the setting itself is never told.
    let found = report(&config(&standby, "reader", &more));
    check(&found, &[("pg.failover.conninfo_dbname", Skip, "GRANT pg_read_all_settings")]);
    assert!(!format!("{}", found.to_json()).contains("user=postgres"), "primary_conninfo is told");
    // Of the primary: the standby that the order waits for is not connected by its slot.
    let found = report(&config(&primary, "postgres", &more));
    check(&found, &[("pg.failover.order", Warn, "ALTER SYSTEM SET synchronized_standby_slots")]);

    // Everything mended.
    let conninfo = format!("{at} dbname=postgres");
    for setting in [
        format!("primary_conninfo = '{conninfo}'"),
        "hot_standby_feedback = on".into(),
        "primary_slot_name = 'stby'".into(),
    ] {
        standby.sql("postgres", &format!("alter system set {setting}"));
    }
    standby.sql("postgres", "alter system reset synchronized_standby_slots");
    primary.sql("postgres", "select pg_create_logical_replication_slot('fo', 'pgoutput', false, false, true)");
    standby.sql("postgres", "select pg_reload_conf()");
    until("the slot to be ready on the standby", || {
        let ready = "select count(*) from pg_replication_slots where slot_name = 'fo' and synced and not temporary";
        primary.sql(
            "postgres",
            "select pg_log_standby_snapshot(), pg_replication_slot_advance('fo', pg_current_wal_lsn())",
        );
        standby.value("postgres", ready) == "1"
    });
    let found = report(&config(&standby, "postgres", &more));
    check(
        &found,
        &[
            ("pg.standby.hot_standby_feedback", Pass, ""),
            ("pg.standby.primary_slot", Pass, "stby"),
            ("pg.failover.conninfo_dbname", Pass, ""),
            ("pg.failover.synced", Pass, "ready to take over: fo"),
            ("pg.slot.failover", Pass, ""),
        ],
    );
}

#[test]
fn servers_that_may_take_over_are_looked_at() {
    let primary = Postgres::start(Postgres::builder(17));
    primary.sql("postgres", "create table t (id int primary key); create publication p for table t");
    primary.sql("postgres", "select pg_create_logical_replication_slot('fo', 'pgoutput', false, false, true)");
    // Older than anything that the standby will have.
    for id in 0..3 {
        primary.sql("postgres", &format!("insert into t values ({id})"));
    }
    let standby = primary.standby(Standby::synced("standby1"));
    let copy = "select count(*) from pg_replication_slots where slot_name = 'fo' and synced and temporary";
    until("the copy of the slot", || standby.value("postgres", copy) == "1");
    let both = format!("{}:{},{}:{}", primary.host(), primary.port(), standby.host(), standby.port());
    let base = [("publication.name", "p"), ("slot.name", "fo"), ("slot.failover", "true")];
    let with = |hosts: &str, more: &[(&str, &str)]| {
        let mut given = vec![("database.hostname", hosts), ("walspring.target.session.attrs", "read-write")];
        given.extend(more);
        report(&config(&primary, "postgres", &given))
    };
    let found = with(&both, &base);
    check(
        &found,
        &[("pg.failover.hosts", Fail, "slot fo is not ready on"), ("pg.failover.timeline", NotApplicable, "")],
    );
    check(&report(&config(&standby, "postgres", &base)), &[("pg.failover.synced", Fail, "confirms past an older row")]);
    check(&with(&both, &base[..2]), &[("pg.failover.hosts", Warn, "slot.failover is not set")]);
    check(&with(&both, &[base[0], base[2], ("slot.name", "other")]), &[("pg.failover.hosts", Fail, "other is not on")]);
    until("the copy to be ready", || {
        let advance = "select pg_log_standby_snapshot(), pg_replication_slot_advance('fo', pg_current_wal_lsn())";
        primary.sql("postgres", advance);
        standby.value("postgres", copy) == "0"
    });
    let one = format!("{}:{}", primary.host(), primary.port());
    check(&with(&both, &base), &[("pg.failover.hosts", Pass, "slot fo is ready on")]);
    check(&with(&one, &base), &[("pg.failover.hosts", NotApplicable, "")]);
    let gone = format!("{one},127.0.0.1:{}", free_port());
    check(&with(&gone, &base), &[("pg.failover.hosts", Warn, "cannot be asked")]);

    // Both take writes now.
    standby.promote();
    let found = with(&both, &base);
    check(&found, &[("pg.failover.hosts", Fail, "takes writes on timeline 1 beside")]);
    let promoted = report(&config(&standby, "postgres", &base));
    check(&promoted, &[("pg.failover.timeline", Pass, ""), ("pg.failover.hosts", NotApplicable, "")]);
    let without = report(&config(&standby, "postgres", &[base[0], base[2], ("slot.name", "other")]));
    check(&without, &[("pg.failover.timeline", Warn, "slot.failover=true")]);
}

/// The statements that docs/failover.md has for this server, block by block.
fn page(server: &str) -> Vec<Vec<&'static str>> {
    let page = include_str!("../../../../docs/failover.md");
    let begin = format!("```sql {server}\n");
    let blocks = page.split(begin.as_str()).skip(1).filter_map(|rest| rest.split_once("```"));
    blocks.map(|(block, _)| block.lines().collect()).collect()
}

#[test]
fn the_page_of_failover_sets_up_what_the_doctor_wants() {
    let primary = Postgres::start(Postgres::builder(18));
    let run = |server: &Postgres, block: &[&str]| {
        block.iter().for_each(|statement| drop(server.sql("postgres", statement)));
    };
    primary.sql("postgres", "create table t (id int primary key); create publication p for table t");
    let (on_primary, on_standby) = (page("primary"), page("standby"));
    run(&primary, &on_primary[0]);
    // With what is copied, and as it is by default.
    let plain = [("hot_standby_feedback", "off"), ("primary_slot_name", "")];
    let standby = primary.standby(Standby { settings: &plain, ..Standby::new("unused") });
    primary.sql("postgres", "select pg_drop_replication_slot('unused')");
    run(&standby, &on_standby[0]);
    primary.sql("postgres", "select pg_create_logical_replication_slot('fo', 'pgoutput', false, false, true)");
    until("the slot to be ready", || {
        run(&primary, &on_primary[1]);
        primary.sql("postgres", "select pg_replication_slot_advance('fo', pg_current_wal_lsn())");
        let rows = standby.sql("postgres", on_standby[1][0]);
        rows.iter().any(|row| row.iter().map(Option::as_deref).eq([Some("fo"), Some("t"), Some("f"), None]))
    });
    let both = format!("{}:{},{}:{}", primary.host(), primary.port(), standby.host(), standby.port());
    let base = [("publication.name", "p"), ("slot.name", "fo"), ("slot.failover", "true")];
    let given = [&base[..], &[("database.hostname", both.as_str())]].concat();
    let found = report(&config(&primary, "postgres", &given));
    for id in ["pg.failover.hosts", "pg.failover.order", "pg.failover.synchronized_standby_slots", "pg.slot.failover"] {
        check(&found, &[(id, Pass, "")]);
    }
    let found = report(&config(&standby, "postgres", &base));
    let ids = ["hot_standby_feedback", "primary_slot", "receiver"].map(|id| format!("pg.standby.{id}"));
    let more = ["sync_slots", "conninfo_dbname", "synced"].map(|id| format!("pg.failover.{id}"));
    ids.iter().chain(&more).for_each(|id| check(&found, &[(id, Pass, "")]));

    primary.server().stop(Shutdown::Immediate);
    standby.promote();
    standby.sql("postgres", "alter system set synchronized_standby_slots = 'standby1'");
    run(&standby, &page("promoted")[0]);
    until("the setting to be gone", || {
        standby.sql("postgres", "show synchronized_standby_slots")[0][0].as_deref() == Some("")
    });
}
