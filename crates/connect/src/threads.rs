//! Threads of the worker, and what becomes of one that panics.
//!
//! A thread that cannot be started is an error, never a panic. One that panics is told in the log, by its name and the place,
//! and its *crew* hears of it: the threads that belong to one attempt at a task. A thread is of the crew of the one that started
//! it. So no thread is missed in silence: whoever runs the attempt ends it, and decides whether there is another.
//!
//! Values of rows may stand in a panic's message, so what is quoted in one that was made at run time is left out.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};

use crate::fault;

const MESSAGE_BYTES_MAX: usize = 1000;

static PANICS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static CREW: RefCell<Option<Arc<Crew>>> = const { RefCell::new(None) };
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Where and why a thread panicked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panic {
    pub thread: String,
    /// Of the source: file, line and column; empty where it is not known.
    pub place: String,
    pub message: String,
}

impl Panic {
    /// Of what was caught on this thread.
    pub fn caught(payload: &(dyn Any + Send)) -> Panic {
        Panic { thread: this_thread(), place: String::new(), message: message(payload) }
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thread {} panicked", self.thread)?;
        if !self.place.is_empty() {
            write!(f, " at {}", self.place)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// The threads of one attempt at a task.
pub struct Crew {
    first: Mutex<Option<Panic>>,
    /// Each panic, on the thread that panics, whatever locks it holds.
    count: Box<dyn Fn() + Send + Sync>,
    /// When a thread has ended by one.
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Crew {
    /// `count` hears of each panic, and must not wait; `wake` when a thread has ended by one, so that others stop waiting for it.
    pub fn new(count: impl Fn() + Send + Sync + 'static, wake: impl Fn() + Send + Sync + 'static) -> Arc<Crew> {
        listen();
        Arc::new(Crew { first: Mutex::default(), count: Box::new(count), wake: Box::new(wake) })
    }

    /// This thread, and those that it starts, belong to the crew until what is returned is dropped.
    pub fn board(self: &Arc<Self>) -> Boarded {
        Boarded { before: replace(Some(self.clone())) }
    }

    /// The first panic of its threads.
    pub fn panic(&self) -> Option<Panic> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, panic: Panic) {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
    }
}

/// See [`Crew::board`].
pub struct Boarded {
    before: Option<Arc<Crew>>,
}

impl Drop for Boarded {
    fn drop(&mut self) {
        replace(self.before.take());
    }
}

/// The crew of this thread.
pub fn crew() -> Option<Arc<Crew>> {
    CREW.try_with(|crew| crew.try_borrow().ok()?.clone()).ok().flatten()
}

fn replace(crew: Option<Arc<Crew>>) -> Option<Arc<Crew>> {
    CREW.try_with(|now| now.replace(crew)).ok().flatten()
}

/// The first panic among the threads of this one's crew.
pub fn panicked() -> Option<Panic> {
    crew()?.panic()
}

/// Panics of this process so far, but for the expected ones.
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// Starts a thread of this one's crew.
pub fn spawn<T: Send + 'static>(
    name: impl Into<String>,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let (name, crew) = (begin(name)?, crew());
    Builder::new().name(name).spawn(move || aboard(crew, work))
}

/// As [`spawn`], within a scope.
pub fn spawn_scoped<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: impl Into<String>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<ScopedJoinHandle<'scope, T>> {
    let (name, crew) = (begin(name)?, crew());
    Builder::new().name(name).spawn_scoped(scope, move || aboard(crew, work))
}

/// Starts a thread that nobody waits for and that no record goes through: the task goes on without it.
pub fn spawn_aside(name: impl Into<String>, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name(begin(name)?).spawn(work)
}

fn begin(name: impl Into<String>) -> io::Result<String> {
    listen();
    let name = name.into();
    if fault::spawn_fails(&name) {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    Ok(name)
}

fn aboard<T>(crew: Option<Arc<Crew>>, work: impl FnOnce() -> T) -> T {
    let Some(crew) = crew else { return work() };
    let _boarded = crew.board();
    // What the thread held is let go of before anybody is woken.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        crew.note(Panic::caught(&*payload));
        (crew.wake)();
        resume_unwind(payload)
    })
}

/// Does something of the crew's on this thread; `None`: it panicked, and the crew knows.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(work));
    result
        .map_err(|payload| {
            if let Some(crew) = crew() {
                crew.note(Panic::caught(&*payload));
                (crew.wake)();
            }
        })
        .ok()
}

/// Does what may panic because of bytes from outside, in code that is not ours: nothing is told of it.
pub fn expecting_panics<T>(work: impl FnOnce() -> T) -> std::thread::Result<T> {
    let before = EXPECTED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    EXPECTED.set(before);
    result
}

/// From now on a panic is a line in the log, and nothing beside it: where the log is read by programs, and row's values may not
/// stand in it.
pub fn log_panics() {
    LISTENING.call_once(|| std::panic::set_hook(Box::new(hear)));
}

static LISTENING: Once = Once::new();

/// Hears of panics, beside who did so before.
fn listen() {
    LISTENING.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            hear(info);
            before(info);
        }));
    });
}

/// On the thread that panics, before it unwinds.
fn hear(info: &PanicHookInfo<'_>) {
    if EXPECTED.try_with(Cell::get).unwrap_or_default() {
        return;
    }
    PANICS.fetch_add(1, Ordering::Relaxed);
    let panic = Panic {
        thread: this_thread(),
        place: info.location().map(|place| place.to_string()).unwrap_or_default(),
        message: message(info.payload()),
    };
    if let Some(crew) = crew() {
        crew.note(panic.clone());
        (crew.count)();
    }
    tracing::error!(
        thread = panic.thread,
        place = panic.place,
        "a thread panicked; this is a defect, please report it with the log: {}",
        panic.message
    );
}

fn this_thread() -> String {
    std::thread::current().name().unwrap_or("without a name").to_owned()
}

/// The text of a panic, without what may be a row's.
pub fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        return (*text).to_owned();
    }
    match payload.downcast_ref::<String>() {
        Some(text) => without_quotes(text),
        None => "for no given reason".to_owned(),
    }
}

/// Quoted parts that are not words of the standard library's own messages are left out.
fn without_quotes(text: &str) -> String {
    const OURS: &[&str] =
        &["Result::unwrap()", "Result::unwrap_err()", "Option::unwrap()", "Err", "Ok", "None", "left == right"];
    let mut kept = String::new();
    let mut rest = text;
    while let Some(begin) = rest.find(['`', '"']) {
        let quote = &rest[begin..=begin];
        kept.push_str(&rest[..begin]);
        let quoted = &rest[begin + 1..];
        let end = quoted.find(quote);
        let known = end.is_some_and(|end| OURS.contains(&&quoted[..end]));
        match end {
            Some(end) if known => {
                kept.push_str(&rest[begin..begin + end + 2]);
                rest = &quoted[end + 1..];
            }
            // A value may have the quote in it: nothing behind it is sure to be ours.
            _ => {
                kept.push_str(quote);
                kept.push('…');
                rest = "";
            }
        }
    }
    kept.push_str(rest);
    kept.truncate(kept.floor_char_boundary(MESSAGE_BYTES_MAX));
    kept
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn a_crew_hears_of_the_panic_of_any_of_its_threads() {
        let (counted, woken) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (count, wake) = (counted.clone(), woken.clone());
        let add = |to: Arc<AtomicUsize>| {
            move || {
                to.fetch_add(1, Ordering::SeqCst);
            }
        };
        let crew = Crew::new(add(count), add(wake));
        let boarded = crew.board();
        let outer =
            spawn("outer", || spawn("inner", || panic!("of {:?}", "a value")).unwrap().join().is_err()).unwrap();
        assert!(outer.join().unwrap());
        let panic = panicked().unwrap();
        assert_eq!((panic.thread.as_str(), panic.message.as_str()), ("inner", "of \"…"));
        assert!(panic.place.contains("threads.rs:"), "{panic}");
        assert_eq!((counted.load(Ordering::SeqCst), woken.load(Ordering::SeqCst)), (1, 1));
        drop(boarded);
        assert_eq!(panicked(), None);
        spawn("another", || panic!("not theirs")).unwrap().join().unwrap_err();
        assert_eq!((crew.panic(), counted.load(Ordering::SeqCst)), (Some(panic), 1));
    }

    #[test]
    fn what_is_aside_or_expected_is_nobodys() {
        let crew = Crew::new(|| (), || ());
        let _boarded = crew.board();
        spawn_aside("aside", || panic!("aside")).unwrap().join().unwrap_err();
        expecting_panics(|| panic!("expected")).unwrap_err();
        assert_eq!(crew.panic(), None);
        assert_eq!(guarded(|| 1), Some(1));
        assert_eq!(guarded(|| panic!("guarded")), None::<u32>);
        assert_eq!(crew.panic().unwrap().message, "guarded");
    }

    #[test]
    fn values_do_not_stand_in_messages() {
        for (text, kept) in [
            ("called `Option::unwrap()` on a `None` value", "called `Option::unwrap()` on a `None` value"),
            (
                "called `Result::unwrap()` on an `Err` value: Text(\"alice\")",
                "called `Result::unwrap()` on an `Err` value: Text(\"…",
            ),
            (
                "byte index 1 is not a char boundary; it is inside 'ä' (bytes 0..2) of `ä`b`",
                "byte index 1 is not a char boundary; it is inside 'ä' (bytes 0..2) of `…",
            ),
            (
                "index out of bounds: the len is 3 but the index is 9",
                "index out of bounds: the len is 3 but the index is 9",
            ),
        ] {
            assert_eq!(without_quotes(text), kept);
        }
        assert_eq!(without_quotes(&"é".repeat(900)).len(), 1000);
    }
}
