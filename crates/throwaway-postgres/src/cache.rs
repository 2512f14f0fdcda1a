//! Where fetched packages are kept between runs: `$WALSPRING_CACHE`, or `walspring` under the user's cache directory.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::account::Account;
use crate::{Error, Result};

/// The cache directory. Where the server has to run as another user that cannot pass through root's home, it is
/// `/var/cache/walspring`. The directory need not exist yet.
pub fn directory() -> Result<PathBuf> {
    if let Some(dir) = non_empty("WALSPRING_CACHE") {
        return Ok(dir);
    }
    let by_user = non_empty("XDG_CACHE_HOME")
        .or_else(|| non_empty("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("walspring"));
    let account = Account::for_servers()?;
    match (by_user, account) {
        (Some(dir), Some(account)) if account.reaches(&dir) => Ok(dir),
        (_, Some(_)) => Ok(PathBuf::from("/var/cache/walspring")),
        (Some(dir), None) => Ok(dir),
        (None, None) => Err(Error::new("Neither HOME nor XDG_CACHE_HOME is set; set WALSPRING_CACHE to a directory")),
    }
}

/// Makes `dir` by calling `fill` with an empty directory beside it that then takes its name. Done once, also when
/// several processes ask at the same time; a `fill` that fails leaves nothing behind.
pub fn fill_once(dir: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().ok_or_else(|| Error::new("a cache entry needs a parent directory"))?;
    let explain = |e: std::io::Error| {
        Error::new(format!(
            "Cannot write to the cache {}: {e}. Set WALSPRING_CACHE to a directory that you can write to.",
            parent.display()
        ))
    };
    std::fs::create_dir_all(parent).map_err(explain)?;
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let lock = File::create(parent.join(format!(".{name}.lock"))).map_err(explain)?;
    lock.lock().map_err(explain)?;
    if dir.is_dir() {
        return Ok(());
    }
    let partial = parent.join(format!(".{name}.partial"));
    let _ = std::fs::remove_dir_all(&partial);
    std::fs::create_dir(&partial).map_err(explain)?;
    let done = fill(&partial).and_then(|()| Ok(std::fs::rename(&partial, dir)?));
    if done.is_err() {
        let _ = std::fs::remove_dir_all(&partial);
    }
    done
}

fn non_empty(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}
