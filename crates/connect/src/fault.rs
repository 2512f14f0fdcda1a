//! Places at which a test ends the process, and bugs that a test switches on to see whether it would be caught.
//!
//! `WALSPRING_FAILPOINT=NAME:K` aborts the process when it passes the place for the K-th time (without `:K` the first);
//! `NAME:K:hold` leaves the thread that passes it there for ever, and the others go on; with `NAME:K:panic` it panics,
//! with `NAME:K:panics` each time from then on.
//! `WALSPRING_PLANT=NAME` makes one of [`PLANTS`] true; `WALSPRING_LIMIT=NAME:N,...` sets sizes that are no options. All of it is
//! for builds with debug assertions only: in a release these functions are empty and the names are not in the binary. What each is good for stands in docs/reliability.md.

/// Every place, in the order in which a change passes them.
pub const POINTS: &[&str] = &[
    "source.slot_made",
    "snapshot.reader",
    "snapshot.range",
    "snapshot.rows",
    "snapshot.range_read",
    "snapshot.chunk",
    "snapshot.complete",
    "keeper.write",
    "keeper.written",
    "stream.begin",
    "stream.change",
    "stream.commit",
    "signal.taken",
    "incremental.open",
    "incremental.opened",
    "incremental.read",
    "incremental.handed",
    "incremental.closed",
    "incremental.window",
    "incremental.rows",
    "blocking.begin",
    "blocking.readers",
    "blocking.rows",
    "blocking.end",
    "task.encoded",
    "task.submitted",
    "kafka.produce_sent",
    "kafka.produced",
    "kafka.commit",
    "kafka.committed",
    "log.write",
    "log.written",
    "log.synced",
    "log.segment_made",
    "offset.store",
    "offset.stored",
    "offset.confirmed",
    "status.send",
    "status.sent",
];

/// What is written to the standard error before the name of a place at which a thread is held.
pub const HELD_AT: &str = "held at ";

/// A bug that can be planted.
#[derive(Debug, Clone, Copy)]
pub struct Plant {
    pub name: &'static str,
    /// It spoils what a batch holds: it is met where batches have many rows.
    pub of_batches: bool,
    /// The simulation of task and offsets has to find it.
    pub of_positions: bool,
    /// It shows where signals are sent.
    pub of_signals: bool,
}

impl Plant {
    const fn new(name: &'static str) -> Plant {
        Plant { name, of_batches: false, of_positions: false, of_signals: false }
    }

    const fn of_batches(self) -> Plant {
        Plant { of_batches: true, ..self }
    }

    const fn of_positions(self) -> Plant {
        Plant { of_positions: true, ..self }
    }

    const fn of_signals(self) -> Plant {
        Plant { of_signals: true, ..self }
    }
}

/// Every bug that can be planted.
pub const PLANTS: &[Plant] = &[
    Plant::new("skip_by_lsn").of_positions(),
    Plant::new("skip_rows_of_one_lsn").of_positions(),
    Plant::new("skip_rest_of_transaction").of_positions(),
    Plant::new("count_from_zero").of_positions(),
    Plant::new("forget_transaction").of_positions(),
    Plant::new("forget_offset").of_positions(),
    Plant::new("offset_runs_ahead").of_positions(),
    Plant::new("confirm_early").of_positions(),
    Plant::new("durable_when_sent").of_positions(),
    Plant::new("commit_without_offset").of_positions(),
    Plant::new("acknowledge_unwritten").of_positions(),
    Plant::new("lose_row").of_batches().of_positions(),
    Plant::new("lose_delete").of_batches(),
    Plant::new("lose_snapshot_row"),
    Plant::new("lose_after_restart").of_batches(),
    Plant::new("repeat_row").of_batches().of_positions(),
    Plant::new("swap_rows").of_batches().of_positions(),
    Plant::new("mix_rows").of_batches(),
    Plant::new("spoil_value").of_batches(),
    Plant::new("wrong_kind").of_batches(),
    Plant::new("wrong_transaction").of_batches(),
    Plant::new("gap_after_snapshot"),
    Plant::new("forget_signal").of_signals(),
];

/// The names of those that `are` so.
pub fn plants(are: impl Fn(&Plant) -> bool) -> impl Iterator<Item = &'static str> {
    PLANTS.iter().filter(move |plant| are(plant)).map(|plant| plant.name)
}

/// On this thread, from now on, the environment is not asked: each place calls `pass`, which may unwind, and `plant` is the
/// one bug. `None`: as before. Nothing of it without debug assertions.
pub fn simulate(simulated: Option<Simulated>) {
    #[cfg(debug_assertions)]
    armed::SIMULATED.with_borrow_mut(|now| *now = simulated);
    #[cfg(not(debug_assertions))]
    drop(simulated);
}

/// What stands in for the environment.
#[derive(Clone)]
pub struct Simulated {
    pub pass: std::rc::Rc<dyn Fn(&'static str)>,
    pub plant: Option<&'static str>,
}

/// Ends the process here when a test has asked for it.
#[inline(always)]
pub fn point(name: &'static str) {
    #[cfg(debug_assertions)]
    armed::pass(name);
    let _ = name;
}

/// Whether a test has planted this bug.
#[inline(always)]
pub fn planted(name: &'static str) -> bool {
    #[cfg(debug_assertions)]
    return armed::planted(name);
    #[cfg(not(debug_assertions))]
    {
        let _ = name;
        false
    }
}

/// Whether a thread of this name, or of one that begins so, can be started from now on: see [`crate::threads`].
pub fn fail_spawns(name: &str, fail: bool) {
    #[cfg(debug_assertions)]
    {
        let mut failing = armed::FAILING_SPAWNS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        failing.retain(|known| known != name);
        failing.extend(fail.then(|| name.to_owned()));
    }
    let _ = (name, fail);
}

/// Whether a test wants the start of a thread to fail.
pub(crate) fn spawn_fails(name: &str) -> bool {
    #[cfg(debug_assertions)]
    return armed::FAILING_SPAWNS
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .iter()
        .any(|failing| name.starts_with(failing));
    #[cfg(not(debug_assertions))]
    {
        let _ = name;
        false
    }
}

/// A size, or what a test wants it to be.
#[inline(always)]
pub fn limit(name: &'static str, default: usize) -> usize {
    #[cfg(debug_assertions)]
    return armed::limit(name).unwrap_or(default);
    #[cfg(not(debug_assertions))]
    {
        let _ = name;
        default
    }
}

#[cfg(debug_assertions)]
mod armed {
    use std::cell::RefCell;
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::sync::{Mutex, OnceLock};

    struct Armed {
        name: String,
        left: AtomicI64,
        then: Then,
    }

    #[derive(Clone, Copy)]
    enum Then {
        Abort,
        Hold,
        Panic,
        Panics,
    }

    thread_local! {
        pub static SIMULATED: RefCell<Option<super::Simulated>> = const { RefCell::new(None) };
    }

    pub static FAILING_SPAWNS: Mutex<Vec<String>> = Mutex::new(Vec::new());

    pub fn pass(name: &'static str) {
        static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
        if let Some(pass) = SIMULATED.with_borrow(|simulated| Some(simulated.as_ref()?.pass.clone())) {
            return pass(name);
        }
        debug_assert!(super::POINTS.contains(&name), "{name} is not in the list of places");
        let read = || {
            let text = std::env::var("WALSPRING_FAILPOINT").ok()?;
            let (name, count) = text.split_once(':').unwrap_or((&text, "1"));
            let (count, then) = match count.split_once(':') {
                Some((count, "hold")) => (count, Then::Hold),
                Some((count, "panic")) => (count, Then::Panic),
                Some((count, "panics")) => (count, Then::Panics),
                _ => (count, Then::Abort),
            };
            Some(Armed { name: name.to_owned(), left: AtomicI64::new(count.parse().unwrap_or(1)), then })
        };
        let Some(armed) = ARMED.get_or_init(read).as_ref().filter(|armed| armed.name == name) else { return };
        let left = armed.left.fetch_sub(1, Ordering::SeqCst);
        if left > 1 || left < 1 && !matches!(armed.then, Then::Panics) {
            return;
        }
        match armed.then {
            Then::Abort => std::process::abort(),
            Then::Panic | Then::Panics => panic!("planted by a test"),
            Then::Hold => {}
        }
        eprintln!("{}{name}", super::HELD_AT);
        loop {
            std::thread::park();
        }
    }

    pub fn limit(name: &str) -> Option<usize> {
        let text = std::env::var("WALSPRING_LIMIT").ok()?;
        text.split(',').find_map(|part| part.split_once(':').filter(|(wanted, _)| *wanted == name)?.1.parse().ok())
    }

    pub fn planted(name: &str) -> bool {
        static PLANT: OnceLock<Option<String>> = OnceLock::new();
        if let Some(is) = SIMULATED.with_borrow(|simulated| Some(simulated.as_ref()?.plant == Some(name))) {
            return is;
        }
        debug_assert!(super::PLANTS.iter().any(|plant| plant.name == name), "{name} is not in the list of bugs");
        PLANT.get_or_init(|| std::env::var("WALSPRING_PLANT").ok()).as_deref() == Some(name)
    }
}
