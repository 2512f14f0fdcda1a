//! Time and waiting as the threads of a source's task know them, so that a simulation can play both on one thread.
//!
//! A worker goes by the machine's clock, and its threads wait for each other. A simulation brings [`Turns`]: where a thread
//! would wait, it lets something else happen first, as its seed says. Nothing here is asked per row, and a build without
//! debug assertions has the clock alone.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What a simulation puts in the place of clock and threads.
pub trait Turns {
    fn now(&self) -> Instant;

    /// The caller waits for something to change, at most so long.
    fn wait(&self, time: Duration);

    /// What a second thread would do: `step` is called again and again, between the steps of everything else.
    fn beside(&self, step: Box<dyn FnMut() -> Stepped>);

    /// The caller waits until what is done beside has ended.
    fn join(&self);
}

/// What a step of a thread came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stepped {
    On,
    /// There is nothing to do until something changes or time passes.
    Waits,
    Ended,
}

thread_local! {
    static TURNS: RefCell<Option<Rc<dyn Turns>>> = const { RefCell::new(None) };
}

/// From now on, on this thread; what was there before.
pub(crate) fn take_over(turns: Option<Rc<dyn Turns>>) -> Option<Rc<dyn Turns>> {
    TURNS.with_borrow_mut(|now| std::mem::replace(now, turns))
}

pub(crate) fn simulated() -> Option<Rc<dyn Turns>> {
    if cfg!(debug_assertions) { TURNS.with_borrow(Clone::clone) } else { None }
}

pub(crate) fn now() -> Instant {
    simulated().map_or_else(Instant::now, |turns| turns.now())
}
