//! A cluster that `initdb` made once, copied for every further server: half a second less of the processor for each.
//!
//! A copy is another cluster, as if `initdb` had made it: its system identifier, by which servers and their logs are told
//! apart, is its own.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use crate::account::Account;
use crate::server::{initdb, own};
use crate::{Error, Result, cache, spread};

/// Fills the empty directory `data` with a cluster of the servers in `bin`.
pub(crate) fn copy_into(data: &Path, bin: &Path, account: Option<Account>) -> Result<()> {
    let template = cache::directory()?.join("postgresql").join(format!("cluster-{:016x}", key(bin, account)?));
    cache::fill_once(&template, |partial| {
        let data = partial.join("data");
        private_dir(&data, account)?;
        initdb(bin, &data, account)
    })?;
    copy_dir(&template.join("data"), data, account)?;
    identify(data)
}

/// Other binaries, or another account that the files belong to, make another template.
fn key(bin: &Path, account: Option<Account>) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    account.map(|account| (account.uid, account.gid)).hash(&mut hasher);
    for program in ["initdb", "postgres"] {
        let program = std::fs::canonicalize(bin.join(program))?;
        let meta = std::fs::metadata(&program)?;
        (program, meta.len(), meta.mtime(), meta.mtime_nsec()).hash(&mut hasher);
    }
    Ok(hasher.finish())
}

fn private_dir(path: &Path, account: Option<Account>) -> Result<()> {
    std::fs::DirBuilder::new().mode(0o700).create(path)?;
    own(path, account)
}

fn copy_dir(from: &Path, to: &Path, account: Option<Account>) -> Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            private_dir(&target, account)?;
            if entry.file_name() == "base" {
                spread(&target);
            }
            copy_dir(&source, &target, account)?;
        } else if is_wal(&source) {
            copy_wal(&source, &target)?;
            own(&target, account)?;
        } else {
            std::fs::copy(&source, &target)?;
            own(&target, account)?;
        }
    }
    Ok(())
}

fn is_wal(file: &Path) -> bool {
    file.parent().is_some_and(|dir| dir.ends_with("pg_wal"))
}

/// 16 MB, of which all but the first are zeros and need not be written.
fn copy_wal(from: &Path, to: &Path) -> Result<()> {
    const PAGE: usize = 8192;
    let bytes = std::fs::read(from)?;
    let zeros = [0; PAGE];
    let used = bytes.chunks_exact(PAGE).rposition(|page| page != zeros).map_or(0, |last| (last + 1) * PAGE);
    let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(to)?;
    file.write_all(&bytes[..used])?;
    Ok(file.set_len(bytes.len() as u64)?)
}

/// Gives a cluster that has never run a system identifier of its own: in its control file, and at the head of its log.
fn identify(data: &Path) -> Result<()> {
    /// In the header of a segment's first page.
    const PLACE_IN_WAL: usize = 24;
    let unknown = |what: &str| Error::new(format!("{what} of {} is not what it used to be", data.display()));
    let control = data.join("global/pg_control");
    let mut bytes = std::fs::read(&control)?;
    let new = identifier().to_ne_bytes();
    let old: [u8; 8] = bytes.get(..8).and_then(|b| b.try_into().ok()).ok_or_else(|| unknown("pg_control"))?;
    let end = checksum_at(&bytes).ok_or_else(|| unknown("pg_control"))?;
    bytes[..8].copy_from_slice(&new);
    let checksum = crc32c::crc32c(&bytes[..end]);
    bytes[end..end + 4].copy_from_slice(&checksum.to_ne_bytes());
    std::fs::File::options().write(true).open(&control)?.write_all_at(&bytes, 0)?;

    for segment in segments(data)? {
        let file = std::fs::File::options().read(true).write(true).open(segment)?;
        let mut there = [0; 8];
        file.read_exact_at(&mut there, PLACE_IN_WAL as u64)?;
        if there != old {
            return Err(unknown("The log"));
        }
        file.write_all_at(&new, PLACE_IN_WAL as u64)?;
    }
    Ok(())
}

/// Where the control file's own checksum (CRC-32C of what is before it) stands: each version adds fields before it.
fn checksum_at(control: &[u8]) -> Option<usize> {
    let places = (64..control.len().min(512).saturating_sub(3)).step_by(4);
    places.into_iter().find(|at| {
        let here = control[*at..*at + 4].try_into().map(u32::from_ne_bytes);
        here.is_ok_and(|here| here == crc32c::crc32c(&control[..*at]))
    })
}

fn segments(data: &Path) -> Result<Vec<PathBuf>> {
    let files = std::fs::read_dir(data.join("pg_wal"))?.map(|entry| Ok(entry?.path()));
    let files = files.filter(|file| file.as_ref().map_or(true, |file| file.is_file()));
    files.collect::<std::io::Result<_>>().map_err(Error::from)
}

/// Made as `initdb` makes it: of the time, and of what tells apart who asks at the same time.
fn identifier() -> u64 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let who = std::process::id().wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed)) & 0xfff;
    now.as_secs() << 32 | u64::from(now.subsec_micros()) << 12 | u64::from(who)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_found_where_it_stands() {
        let mut control: Vec<u8> = (0..=255).cycle().take(8192).collect();
        assert_eq!(checksum_at(&control), None);
        let checksum = crc32c::crc32c(&control[..292]);
        control[292..296].copy_from_slice(&checksum.to_ne_bytes());
        assert_eq!(checksum_at(&control), Some(292));
        assert_eq!(checksum_at(&[]), None);
    }
}
