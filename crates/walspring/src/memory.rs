//! Little memory at rest.

/// One arena for all threads: a worker allocates little and seldom from several at once, and each further arena of
/// glibc keeps what it was ever given.
pub fn settle() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: before any other thread is there.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}
