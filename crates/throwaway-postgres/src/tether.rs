//! Ties a server process and its directory to our own process.
//!
//! Destructors do not run when a process is killed, and the kernel's parent-death signal follows the *thread* that
//! started the child, which in a test ends long before the process. So a tiny shell stands by: it reads a pipe whose
//! other end only we hold. When that end closes, however we went, it ends the server and deletes the directory.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;

use crate::{Error, Result};

// It ignores the signals of a terminal (Ctrl-C reaches the whole foreground group): it must stay to clean up.
const WATCHDOG: &str = r#"
trap '' INT TERM HUP QUIT
pid=
while read -r word arg; do
  case $word in hold) pid=$arg ;; release) pid= ;; esac
done
if [ -n "$pid" ]; then
  kill -"$1" "$pid" 2>/dev/null
  n=0
  while kill -0 "$pid" 2>/dev/null && [ $n -lt 50 ]; do sleep 0.1; n=$((n + 1)); done
  kill -KILL "$pid" 2>/dev/null
fi
rm -rf -- "$2"
"#;

/// Deletes a directory when it is dropped or our process ends, and before that ends the process it was told to hold.
pub struct Tether {
    shell: Child,
    orders: Mutex<Option<ChildStdin>>,
}

impl Tether {
    /// `signal` is how the held process is asked to end quickly ("QUIT", "KILL"); after 5 s it is killed.
    pub fn new(directory: &Path, signal: &str) -> Result<Tether> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", WATCHDOG, "walspring-tether", signal])
            .arg(directory)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|e| Error::new(format!("Cannot start /bin/sh to stand by: {e}")))?;
        let orders = Mutex::new(shell.stdin.take());
        Ok(Tether { shell, orders })
    }

    /// From now on this process is to be ended with us.
    pub fn hold(&self, pid: u32) {
        self.order(&format!("hold {pid}\n"));
    }

    /// The process is gone and has been waited for: its number may soon be another's.
    pub fn release(&self) {
        self.order("release\n");
    }

    fn order(&self, line: &str) {
        if let Some(orders) = self.orders.lock().unwrap_or_else(|e| e.into_inner()).as_mut() {
            // A watchdog that somebody killed cannot be told; the server is still ended by its destructor.
            let _ = orders.write_all(line.as_bytes());
        }
    }
}

impl Drop for Tether {
    fn drop(&mut self) {
        drop(self.orders.get_mut().unwrap_or_else(|e| e.into_inner()).take());
        let _ = self.shell.wait();
    }
}

/// Sends a signal to a child that has not been waited for yet.
pub fn send_signal(child: &Child, signal: i32) {
    // SAFETY: kill takes two integers. The child is ours and not reaped, so its pid cannot be another process's.
    unsafe { libc::kill(child.id() as libc::pid_t, signal) };
}
