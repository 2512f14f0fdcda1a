//! The kernel gives a worker no more: memory, room on the disk, descriptors. It says so, nothing is lost, and it goes on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
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

/// A limit on processes is no limit for root: the worker is somebody else's then.
fn as_somebody(rig: &mut Rig) {
    const NOBODY: &str = "65534";
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        return;
    }
    // The way to where it was built may be closed to others.
    let path = rig.program.dir.join("walspring");
    std::fs::copy(program(), &path).unwrap();
    let given = Command::new("chown").args(["-R", NOBODY]).arg(&rig.program.dir).status();
    assert!(given.is_ok_and(|status| status.success()));
    rig.program.path = path;
    let reuid = format!("--reuid={NOBODY}");
    rig.program.before = ["setpriv", &reuid, "--clear-groups", "--inh-caps=-all", "--"].map(str::to_owned).into();
}

#[test]
fn without_threads_a_task_waits_for_them_alone() {
    let server = postgres(18);
    let proxy = Proxy::postgres(&format!("127.0.0.1:{}", server.port()));
    let mut setup = Setup::new(program(), &server);
    setup.postgres_port = Some(proxy.port());
    let mut rig = setup.rig();
    as_somebody(&mut rig);
    let load = rig.load(light(14));
    let mut worker = rig.start();
    rig.wait_streaming();
    rig.wait_confirmed(rig.confirmed().unwrap_or_default());
    let logged = rig.program.log_bytes();
    let of = worker.pid().to_string();
    let before = rig.program.before.clone();
    let limit = |most: &str| {
        // Nor may another one set it.
        let (first, rest) = before.split_first().map_or(("prlimit", &[][..]), |(first, rest)| (first.as_str(), rest));
        let option = format!("--nproc={most}:");
        let prlimit = ["prlimit", "--pid", &of, &option];
        let set = Command::new(first).args(rest).args(&prlimit[usize::from(rest.is_empty())..]).status();
        assert!(set.is_ok_and(|status| status.success()), "no limit {option}");
    };
    let limits = std::fs::read_to_string(format!("/proc/{of}/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max processes")).unwrap();
    let threads_max = line.split_whitespace().next().unwrap().to_owned();
    limit("1");
    proxy.cut_all();
    wait_for("a word about it", PATIENCE, || {
        let log = rig.program.log_since(logged);
        (log.contains("thread") && log.contains("Resource temporarily unavailable")).then_some(())
    });
    let confirmed = rig.confirmed().unwrap_or_default();
    assert!(worker.ended().is_none(), "the worker ended");
    limit(&threads_max);
    let healed = Instant::now();
    rig.wait_confirmed(confirmed);
    eprintln!("confirmed again after {:?}", healed.elapsed());
    assert!(!rig.program.log().contains("panicked"), "{}", rig.program.log());
    load.stop();
    assert_good(&mut rig, 0);
}

/// A thread panics at each of the places, when it is passed so many times, one after the other; the worker lives on, and its task comes back by itself.
fn panics_at(places: &[&str], bootstrap: Option<String>, delivery: Delivery, major: u32) {
    let server = postgres(major);
    let mut setup = Setup::new(program(), &server);
    setup.bootstrap = bootstrap;
    setup.delivery = delivery;
    let mut rig = setup.rig();
    let load = rig.load(light(16));
    for place in places {
        let (logged, began) = (rig.program.log_bytes(), Instant::now());
        let mut worker = rig.start_to(Some(&format!("{place}:panic")));
        let told = wait_for(place, PATIENCE, || {
            let log = rig.program.log_since(logged);
            log.lines().find(|line| line.contains("a thread panicked")).map(str::to_owned)
        });
        assert!(told.contains("planted by a test") && told.contains("fault.rs:"), "{told}");
        rig.wait_confirmed(rig.confirmed().unwrap_or_default());
        eprintln!("{place}: confirmed again {:?} after the start", began.elapsed());
        assert_eq!(rig.confirmed_too_much(), None, "after {place}");
        assert!(worker.stop(PATIENCE).is_some_and(|status| status.success()), "{place}:\n{}", rig.program.log());
    }
    load.stop();
    let _worker = rig.start();
    assert_good(&mut rig, places.len());
}

#[test]
fn a_thread_that_panics_at_any_place_costs_nothing_on_the_embedded_log() {
    let of_task = ["snapshot.chunk:1", "stream.begin:1", "stream.change:9", "task.encoded:3", "task.submitted:3"];
    let of_others = ["log.write:9", "log.written:9", "log.synced:9", "offset.confirmed:3", "status.send:3"];
    panics_at(&[&of_task[..], &of_others].concat(), None, Delivery::ExactlyOnce, 16);
}

#[test]
fn a_thread_that_panics_at_any_place_costs_nothing_on_kafka() {
    let of_producer = ["kafka.produce_sent:3", "kafka.produced:3", "kafka.commit:3", "kafka.committed:3"];
    panics_at(&of_producer, Some(kafka().bootstrap()), Delivery::ExactlyOnce, 17);
    let apart = ["kafka.produced:3", "offset.store:1", "offset.stored:1"];
    panics_at(&apart, Some(kafka().bootstrap()), Delivery::AtLeastOnce, 17);
}

/// The one thread that writes the embedded log for all panics again and again, and at what is no task's: the log is given up, tasks fail
/// and say so, `/health` too; the next worker goes on.
#[test]
fn a_log_whose_thread_panics_again_and_again_fails_what_waits_for_it_and_the_workers_health_says_so() {
    let server = postgres(16);
    let mut rig = Setup::new(program(), &server).rig();
    let load = rig.load(light(17));
    let mut worker = rig.start_to(Some("log.written:40:panics"));
    let port = wait_for("the port", PATIENCE, || {
        let log = rig.program.log();
        let (_, rest) = log.split_once("REST is served on http://127.0.0.1:")?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u16>().ok()
    });
    let why = "thread log-writer panicked: planted by a test; it did so 5 times, and nothing was written between them";
    let log = wait_for("the end of it", PATIENCE, || {
        Some(rig.program.log())
            .filter(|log| log.lines().any(|line| line.contains("the task failed") && line.contains(why)))
    });
    assert_eq!(log.matches("a thread panicked").count(), 5, "{log}");
    let (status, body) = http(port, "/health");
    assert!(status == 500 && body.contains("\"unhealthy\"") && body.contains(why), "{status} {body}");
    let (_, status) = http(port, "/connectors/one/status");
    assert!(status.contains("\"FAILED\"") && status.contains(why), "{status}");
    assert!(worker.stop(PATIENCE).is_some(), "it does not end:\n{}", rig.program.log());
    load.stop();
    let _worker = rig.start();
    assert_good(&mut rig, 1);
}

/// Status and body of what is asked for.
fn http(port: u16, path: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("the worker");
    socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
    write!(socket, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("a request");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), body.to_owned())
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
