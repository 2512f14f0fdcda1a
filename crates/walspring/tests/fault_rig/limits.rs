//! The kernel gives a worker no more: memory, room on the disk, descriptors. It says so, nothing is lost, and it goes on.

use std::process::Command;
use std::time::Instant;

use walspring_faults::proxy::{Proxy, Seen, Weather, api};
use walspring_faults::rig::{Delivery, PATIENCE, Rig, Setup};
use walspring_testkit::{kafka, postgres, wait_for};

use crate::{assert_good, light, program};

/// The size of the newest file of the embedded log, in bytes.
fn journal_bytes(rig: &Rig) -> u64 {
    let files = std::fs::read_dir(rig.program.dir.join("log")).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|meta| meta.len()).max().unwrap_or_default()
}

#[test]
fn a_full_disk_of_the_embedded_log_is_waited_for_and_nothing_is_lost() {
    let server = postgres(17);
    let mut rig = Setup::new(program(), &server).rig();
    // The limit on the size of a file stands for the disk; its signal would end a process that does not ignore it.
    rig.program.before = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"].map(str::to_owned).into();
    let load = rig.load(light(11));
    let mut worker = rig.start();
    rig.wait_streaming();
    for kill in [false, true] {
        rig.wait_confirmed(rig.confirmed().unwrap_or_default());
        let logged = rig.program.log_bytes();
        worker.limit("fsize", Some(journal_bytes(&rig).max(logged + 30_000) + 30_000));
        wait_for("a word about it", PATIENCE, || {
            rig.program.log_since(logged).contains("there is no room for the log").then_some(())
        });
        // What was written before is still confirmed; nothing is of what comes now.
        let full: u64 = rig.db.value("select (pg_current_wal_lsn() - '0/0')::bigint").parse().unwrap();
        let until = load.committed() + 80;
        wait_for("the load", PATIENCE, || (load.committed() > until).then_some(()));
        let confirmed = rig.confirmed();
        assert!(confirmed <= Some(full), "confirmed without room: {confirmed:?}, the log was full at {full}");
        assert_eq!(rig.confirmed_too_much(), None);
        assert!(worker.ended().is_none(), "the worker ended");
        if kill {
            worker.kill();
            worker = rig.start();
        } else {
            worker.limit("fsize", None);
        }
        let healed = Instant::now();
        rig.wait_confirmed(confirmed.unwrap_or_default());
        eprintln!("confirmed again after {:?}", healed.elapsed());
    }
    load.stop();
    assert_good(&mut rig, 0);
}

/// What a backup of the data directory gives back is older than what the server was told.
#[test]
fn an_old_copy_of_the_data_directory_is_found_out() {
    let server = postgres(15);
    let rig = Setup::new(program(), &server).rig();
    let load = rig.load(light(15));
    let (data, copy) = (rig.program.dir.join("log"), rig.program.dir.join("copy"));
    let run = || {
        let mut worker = rig.start();
        let confirmed = rig.confirmed().unwrap_or_default();
        rig.wait_confirmed(confirmed);
        rig.wait_confirmed(rig.confirmed().unwrap_or_default());
        assert!(worker.stop(PATIENCE).is_some());
    };
    run();
    let copied = Command::new("cp").arg("-a").args([&data, &copy]).status();
    assert!(copied.is_ok_and(|status| status.success()));
    run();
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(&copy, &data).unwrap();
    let logged = rig.program.log_bytes();
    let _worker = rig.start();
    let told = wait_for("the task to stop", PATIENCE, || {
        let log = rig.program.log_since(logged);
        log.lines().find(|line| line.contains("the task failed")).map(str::to_owned)
    });
    assert!(told.contains("offset"), "{told}");
    load.stop();
}

#[test]
fn without_descriptors_a_task_waits_for_them_alone() {
    let server = postgres(15);
    let proxy = Proxy::postgres(&format!("127.0.0.1:{}", server.port()));
    let mut setup = Setup::new(program(), &server);
    setup.postgres_port = Some(proxy.port());
    let mut rig = setup.rig();
    let load = rig.load(light(12));
    let mut worker = rig.start();
    rig.wait_streaming();
    rig.wait_confirmed(rig.confirmed().unwrap_or_default());
    let logged = rig.program.log_bytes();
    // Not even for what it gives back now.
    worker.limit("nofile", Some(4));
    proxy.cut_all();
    wait_for("a word about it", PATIENCE, || {
        rig.program.log_since(logged).contains("Too many open files").then_some(())
    });
    let confirmed = rig.confirmed().unwrap_or_default();
    assert!(worker.ended().is_none(), "the worker ended");
    worker.limit("nofile", Some(1024));
    let healed = Instant::now();
    rig.wait_confirmed(confirmed);
    eprintln!("confirmed again after {:?}", healed.elapsed());
    load.stop();
    assert_good(&mut rig, 0);
}

/// Of private memory, in bytes; stacks are small, for each thread counts with the whole of its own.
const MEMORY: u64 = 128 << 20;
const STACK: u64 = 1 << 19;

#[test]
fn with_little_memory_it_reads_no_faster_than_it_can_write() {
    const ROWS: u64 = 16_000;
    const ROW_BYTES: u64 = 9_600;
    const { assert!(ROWS * ROW_BYTES > MEMORY) };
    let (server, kafka) = (postgres(17), kafka());
    let proxy = Proxy::kafka(&kafka.bootstrap());
    let mut setup = Setup::new(program(), &server);
    setup.bootstrap = Some(proxy.address());
    setup.read_from = Some(kafka.bootstrap());
    setup.delivery = Delivery::ExactlyOnce;
    let mut rig = setup.rig();
    rig.program.before =
        ["prlimit", &format!("--data={MEMORY}"), &format!("--stack={STACK}"), "--"].map(str::to_owned).into();
    let mut worker = rig.start();
    rig.wait_streaming();
    let before = rig.confirmed().unwrap_or_default();
    let sent = proxy.seen(Seen::Request(api::PRODUCE));
    // Next to nothing gets through while all of it waits to be read.
    proxy.set_weather(Weather { bytes_per_second: 1_000_000, ..Weather::default() });
    for _ in 0..16 {
        rig.db.sql(&format!(
            "with w as (insert into plain select nextval('keys'), 1, repeat(md5(random()::text), {}) \
             from generate_series(1, {}) returning pk, seq, pad) \
             insert into ledger (tbl, op, pk, seq, sum) select 'plain', 'c', pk, seq, md5(pk || ':' || seq || ':' || pad) from w",
            ROW_BYTES / 32,
            ROWS / 16
        ));
    }
    wait_for("the worker to have what it may have", PATIENCE, || {
        (worker.ended().is_some() || proxy.seen(Seen::Request(api::PRODUCE)) > sent + 4).then_some(())
    });
    assert!(worker.ended().is_none(), "the worker ended:\n{}", rig.program.log());
    proxy.heal();
    rig.wait_confirmed(before);
    assert_good(&mut rig, 0);
    assert!(worker.ended().is_none(), "the worker ended:\n{}", rig.program.log());
    eprintln!("at most {} MiB of memory", worker.memory_max() >> 20);
}
