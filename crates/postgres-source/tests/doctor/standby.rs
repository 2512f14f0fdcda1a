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
    until_ready(&primary, &standby);
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

/// Until the connector's slot would survive on this standby of the primary.
fn until_ready(primary: &Postgres, standby: &Postgres) {
    until("the slot to be ready", || {
        let advance = "select pg_log_standby_snapshot(), pg_replication_slot_advance('fo', pg_current_wal_lsn())";
        primary.sql("postgres", advance);
        let ready = "select count(*) from pg_replication_slots where slot_name = 'fo' and synced and not temporary";
        standby.value("postgres", ready) == "1"
    });
}

fn refuses_to_sync(standby: &Postgres, why: &str) {
    until("the refusal", || standby.server().log().contains(why));
}

/// It would try again by itself, ten seconds later.
fn begin_again(standby: &Postgres) {
    standby.server().stop(Shutdown::Fast);
    standby.server().start().expect("a start");
}

#[test]
fn a_standby_of_a_standby_gets_no_slot_before_its_upstream_is_promoted() {
    let primary = Postgres::start(Postgres::builder(18));
    primary.sql("postgres", "create table t (id int primary key); create publication p for table t");
    primary.sql("postgres", "select pg_create_logical_replication_slot('fo', 'pgoutput', false, false, true)");
    let upstream = primary.standby(Standby::synced("upstream"));
    let cascading = primary.standby(Standby::new("cascading"));
    cascading.follow(&upstream, "by_this");
    cascading.sql("postgres", "alter system set sync_replication_slots = on");
    cascading.sql("postgres", "select pg_reload_conf()");
    refuses_to_sync(&cascading, "cannot synchronize replication slots from a standby server");
    until_ready(&primary, &upstream);
    let place = |server: &Postgres| format!("{}:{}", server.host(), server.port());
    let all = [&primary, &upstream, &cascading].map(place).join(",");
    let base = [("publication.name", "p"), ("slot.name", "fo"), ("slot.failover", "true")];
    let with = |server: &Postgres, hosts: &str| {
        let given =
            [&base[..], &[("database.hostname", hosts), ("walspring.target.session.attrs", "primary")]].concat();
        report(&config(server, "postgres", &given))
    };
    check(&with(&primary, &all), &[("pg.failover.hosts", Fail, "kept in step by standbys of the primary alone")]);
    let alone = report(&config(&cascading, "postgres", &base));
    check(&alone, &[("pg.failover.synced", Fail, "it has to follow the primary")]);

    primary.server().stop(Shutdown::Immediate);
    upstream.promote();
    begin_again(&cascading);
    until_ready(&upstream, &cascading);
    let both = [&upstream, &cascading].map(place).join(",");
    check(&with(&upstream, &both), &[("pg.failover.hosts", Pass, "slot fo is ready on")]);
}

#[test]
fn a_former_primary_that_came_back_is_told_to_drop_its_slots() {
    let former = Postgres::start(Postgres::builder(17));
    former.sql("postgres", "create table t (id int primary key); create publication p for table t");
    former.sql("postgres", "select pg_create_logical_replication_slot('fo', 'pgoutput', false, false, true)");
    let primary = former.standby(Standby::synced("standby1"));
    until_ready(&former, &primary);
    former.server().stop(Shutdown::Fast);
    primary.promote();
    former.come_back(&primary, Standby::synced("standby1"));
    refuses_to_sync(&former, "exiting from slot synchronization because same name slot");
    let hosts = [&former, &primary].map(|server| format!("{}:{}", server.host(), server.port())).join(",");
    let base = [("publication.name", "p"), ("slot.name", "fo"), ("slot.failover", "true")];
    let both = [&base[..], &[("database.hostname", &hosts), ("walspring.target.session.attrs", "primary")]].concat();
    let found = report(&config(&primary, "postgres", &both));
    check(&found, &[("pg.failover.hosts", Fail, "from when it was a primary")]);
    let found = report(&config(&former, "postgres", &base));
    check(&found, &[("pg.failover.synced", Fail, "SELECT pg_drop_replication_slot('fo');")]);
    page("former")[0].iter().for_each(|statement| drop(former.sql("postgres", statement)));
    begin_again(&former);
    until_ready(&primary, &former);
    check(&report(&config(&former, "postgres", &base)), &[("pg.failover.synced", Pass, "ready to take over: fo")]);
    check(&report(&config(&primary, "postgres", &both)), &[("pg.failover.hosts", Pass, "slot fo is ready on")]);
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
