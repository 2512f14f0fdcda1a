//! Spans that wait to be exported: encoded already, so that their bytes are what is bounded. What comes while it is full is
//! dropped and counted; nobody ever waits to put something in.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// About 10,000 spans.
pub const BYTES_MAX: usize = 8 * 1024 * 1024;
/// Receivers take messages of a few MiB.
const CHUNK_BYTES_MAX: usize = 1024 * 1024;

#[derive(Debug, Default)]
pub struct Chunk {
    /// Each as a field of `ScopeSpans`.
    pub bytes: Vec<u8>,
    pub spans: u32,
}

/// Hears how many spans were just dropped.
pub type OnDropped = Box<dyn Fn(u64) + Send + Sync>;

pub struct SpanQueue {
    inner: Mutex<Inner>,
    changed: Condvar,
    chunk_spans_max: u32,
    spans_max: u32,
    /// The last span did not fit, and nothing was taken since.
    full: AtomicBool,
    dropped: AtomicU64,
    on_dropped: OnceLock<OnDropped>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The last one is open.
    chunks: VecDeque<Chunk>,
    /// When the first span of the first chunk came.
    since: Option<Instant>,
    bytes: usize,
    spans: u32,
    ended: bool,
}

/// What the exporting thread is to do.
#[derive(Debug)]
pub enum Next {
    Send(Chunk),
    /// Nothing waits, and nothing will come.
    End,
}

impl SpanQueue {
    pub fn new(chunk_spans_max: u32, spans_max: u32) -> SpanQueue {
        SpanQueue {
            inner: Mutex::default(),
            changed: Condvar::new(),
            chunk_spans_max: chunk_spans_max.min(spans_max),
            spans_max,
            full: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
            on_dropped: OnceLock::new(),
        }
    }

    /// A span need not be encoded: there is no room. May change at any time.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// `span`: as a field of `ScopeSpans`.
    pub fn push(&self, span: &[u8]) {
        let mut inner = self.lock();
        if inner.ended || inner.bytes + span.len() > BYTES_MAX || inner.spans >= self.spans_max {
            self.full.store(true, Ordering::Relaxed);
            self.drop_spans(1);
            return;
        }
        let full =
            |chunk: &Chunk| chunk.spans >= self.chunk_spans_max || chunk.bytes.len() + span.len() > CHUNK_BYTES_MAX;
        let opened = inner.chunks.back().is_none_or(full);
        if opened {
            inner.chunks.push_back(Chunk::default());
        }
        inner.bytes += span.len();
        inner.spans += 1;
        inner.since.get_or_insert_with(Instant::now);
        if let Some(chunk) = inner.chunks.back_mut() {
            chunk.bytes.extend_from_slice(span);
            chunk.spans += 1;
        }
        // The first one starts the thread's timer; a second chunk means that the first is complete.
        if opened {
            self.changed.notify_all();
        }
    }

    /// Waits until a chunk is complete, or its first span has waited for `delay`.
    pub fn next(&self, delay: Duration) -> Next {
        let mut inner = self.lock();
        loop {
            let waited = inner.since.map(|since| since.elapsed());
            let ready = inner.chunks.len() > 1 || waited.is_some_and(|waited| waited >= delay);
            if (ready || inner.ended)
                && let Some(chunk) = inner.chunks.pop_front()
            {
                inner.bytes -= chunk.bytes.len();
                inner.spans -= chunk.spans;
                self.full.store(inner.ended, Ordering::Relaxed);
                inner.since = (!inner.chunks.is_empty()).then(Instant::now);
                return Next::Send(chunk);
            }
            if inner.ended {
                return Next::End;
            }
            let wait = waited.map_or(Duration::MAX, |waited| delay.saturating_sub(waited));
            inner = self.wait(inner, wait);
        }
    }

    /// Waits before a chunk is sent again. True: the queue has ended.
    pub fn pause(&self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        let mut inner = self.lock();
        while !inner.ended {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            inner = self.wait(inner, left);
        }
        inner.ended
    }

    /// Nothing comes any more.
    pub fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    pub fn drop_spans(&self, spans: u32) {
        self.dropped.fetch_add(u64::from(spans), Ordering::Relaxed);
        if let Some(told) = self.on_dropped.get() {
            told(u64::from(spans));
        }
    }

    /// From now on; once.
    pub fn on_dropped(&self, told: OnDropped) {
        let _ = self.on_dropped.set(told);
    }

    /// How many were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn wait<'a>(&self, inner: MutexGuard<'a, Inner>, wait: Duration) -> MutexGuard<'a, Inner> {
        if wait == Duration::MAX {
            return self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        self.changed.wait_timeout(inner, wait).unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: Duration = Duration::from_secs(3600);

    fn sent(next: Next) -> u32 {
        match next {
            Next::Send(chunk) => chunk.spans,
            Next::End => panic!("ended"),
        }
    }

    #[test]
    fn a_complete_chunk_goes_at_once_and_an_open_one_after_its_delay() {
        let queue = SpanQueue::new(2, 100);
        for _ in 0..3 {
            queue.push(b"span");
        }
        assert_eq!(sent(queue.next(NEVER)), 2);
        assert_eq!(sent(queue.next(Duration::from_millis(1))), 1);
        queue.push(b"span");
        queue.end();
        assert_eq!(sent(queue.next(NEVER)), 1);
        assert!(matches!(queue.next(NEVER), Next::End));
        assert_eq!(queue.dropped(), 0);
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let queue = SpanQueue::new(512, 100);
        for _ in 0..150 {
            queue.push(b"span");
        }
        assert_eq!(queue.dropped(), 50);
        let queue = SpanQueue::new(512, 1_000_000);
        let span = vec![0; 100_000];
        for _ in 0..100 {
            queue.push(&span);
        }
        assert_eq!(queue.dropped(), 100 - (BYTES_MAX / 100_000) as u64);
        queue.end();
        queue.push(b"span");
        let mut spans = 0;
        while let Next::Send(chunk) = queue.next(NEVER) {
            assert!(chunk.bytes.len() <= CHUNK_BYTES_MAX);
            spans += u64::from(chunk.spans);
        }
        assert_eq!(spans, (BYTES_MAX / 100_000) as u64);
    }
}
