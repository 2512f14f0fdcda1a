//! The server's disk is full: it ends again and again and comes back, and what was committed comes all the same, once.
//! No file may grow beyond what `prlimit` allows of new processes of the server, which for its log is as good as no room.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use walspring_testkit::Postgres;

use crate::support::{Connector, WAIT};

/// Below the 16 MB of a file of the log.
const FULL: &str = "--fsize=8000000:unlimited";

/// Of the server's processes that begin from now on. A limit is set by who the server runs as.
fn limit(server: &Postgres, limit: &str) {
    let data = server.server().data_dir();
    let pid = std::fs::read_to_string(data.join("postmaster.pid")).expect("its pid");
    let pid = pid.lines().next().expect("its pid");
    let (own, owner) =
        (std::fs::metadata("/proc/self").expect("ourselves"), std::fs::metadata(data).expect("the data"));
    let mut command = Command::new("prlimit");
    command.args(["--pid", pid, limit]);
    if own.uid() != owner.uid() {
        command.uid(owner.uid()).gid(owner.gid());
    }
    let done = command.status().expect("prlimit, of util-linux");
    assert!(done.success(), "prlimit --pid {pid} {limit}");
}

#[test]
fn a_server_whose_disk_is_full_costs_nothing_once_there_is_room() {
    let server = Arc::new(Postgres::start(Postgres::builder(15)));
    let db = server.database();
    db.sql("create table t (id int primary key, v text)");
    let connector = Connector::new(&db, &[("snapshot.mode", "no_data")]);
    let mut source = connector.streaming(None);
    db.sql("insert into t select g, '' from generate_series(-10, -1) g");
    limit(&server, FULL);
    let end = Instant::now() + 3 * WAIT;
    let (stop, refused, stopped) = (AtomicBool::new(false), AtomicBool::new(false), AtomicBool::new(false));
    let mut got: Vec<i64> = Vec::new();
    let (committed, failures) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let (mut committed, mut id) = (Vec::new(), 0);
            while !stop.load(Ordering::Acquire) && Instant::now() < end {
                id += 1;
                let row =
                    format!("insert into t select {id}, string_agg(md5(g::text), '') from generate_series(1, 2000) g");
                match db.try_sql(&row) {
                    Ok(_) => committed.push(id),
                    // Whether it was committed is not known.
                    Err(_) => {
                        refused.store(true, Ordering::Release);
                        std::thread::sleep(Duration::from_millis(50));
                    }
                }
            }
            stopped.store(true, Ordering::Release);
            committed
        });
        let mut failures = 0;
        let (mut back, mut last) = (None, None);
        // Room is made once both have felt it; then it goes on until what is written last has come.
        while last.is_none_or(|last| !got.contains(&last)) {
            assert!(Instant::now() < end, "{failures} failures, {} rows", got.len());
            match source.poll(Duration::from_millis(20)) {
                Ok(step) => got.extend(step.into_iter().flat_map(|step| step.events).map(|event| event.number("id"))),
                Err(e) => {
                    assert!(e.is_transient(), "{}", e.trace());
                    failures += 1;
                    let offset = source.offset.clone();
                    source = connector.start(offset.as_ref());
                    source.offset = offset;
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
            if back.is_none() && failures > 0 && refused.load(Ordering::Acquire) {
                match server.server().is_running() {
                    true => limit(&server, "--fsize=unlimited"),
                    false => server.server().start().expect("a start"),
                }
                back = Some(Instant::now());
            }
            // Some more rows, then the last of all.
            if back.is_some_and(|back| back.elapsed() > Duration::from_secs(1)) && got.len() > 20 {
                stop.store(true, Ordering::Release);
            }
            if last.is_none() && stopped.load(Ordering::Acquire) && db.try_sql("insert into t values (0, '')").is_ok() {
                last = Some(0);
            }
        }
        stop.store(true, Ordering::Release);
        (writer.join().expect("the writer"), failures)
    });
    assert!(failures > 0 && refused.load(Ordering::Acquire));
    let mut seen = got.clone();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), got.len(), "rows came twice");
    let lost: Vec<_> = committed.iter().filter(|id| !seen.contains(id)).collect();
    assert!(lost.is_empty(), "{lost:?} of {}", committed.len());
    let there = db.value("select count(*) from t");
    assert_eq!(there, seen.len().to_string(), "what the table has");
}
