//! Processor time and memory of another process, from `/proc`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// CPU seconds so far, in user and kernel mode.
pub fn cpu_seconds(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name may hold spaces; what follows its bracket does not.
    let fields: Vec<&str> = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().filter_map(|i| fields.get(*i)?.parse::<u64>().ok()).sum();
    // SAFETY: sysconf reads a constant.
    let hz = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    ticks as f64 / hz.max(1) as f64
}

/// Nanoseconds that this thread has had the processor: what else runs does not count.
pub fn thread_cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes to what it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A line of `/proc/PID/status` in MiB: `VmRSS` (now) or `VmHWM` (the most so far).
pub fn memory_mib(pid: u32, line: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let value = text.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(':'));
    value.and_then(|v| v.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or_default() / 1024.0
}

/// Looks at a process's memory until it is asked for the most that it saw.
pub struct MemoryWatch {
    run: Arc<AtomicBool>,
    thread: JoinHandle<f64>,
}

impl MemoryWatch {
    pub fn start(pid: u32) -> MemoryWatch {
        let run = Arc::new(AtomicBool::new(true));
        let watched = run.clone();
        let thread = std::thread::spawn(move || {
            let mut peak = 0.0f64;
            while watched.load(Ordering::Relaxed) {
                peak = peak.max(memory_mib(pid, "VmRSS"));
                std::thread::sleep(Duration::from_millis(50));
            }
            peak
        });
        MemoryWatch { run, thread }
    }

    pub fn peak_mib(self) -> f64 {
        self.run.store(false, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}
