//! Who the server runs as: ourselves, unless we are root, which PostgreSQL refuses.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use crate::{Error, Result};

/// An unprivileged user of this machine that stands in for root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    pub uid: u32,
    pub gid: u32,
}

impl Account {
    /// `None` where we are not root: the server then runs as we do.
    pub fn for_servers() -> Result<Option<Account>> {
        // SAFETY: geteuid has no preconditions and cannot fail.
        if unsafe { libc::geteuid() } != 0 {
            return Ok(None);
        }
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        ["postgres", "nobody"].iter().find_map(|name| find(&users, name)).map(Some).ok_or_else(|| {
            Error::new(
                "PostgreSQL refuses to run as root, and this machine has neither a user postgres nor a user nobody to \
                 run it as. Start this as an ordinary user instead.",
            )
        })
    }

    /// Makes a command run as this user. The standard library drops root's supplementary groups along with the uid.
    pub fn apply(self, command: &mut Command) {
        use std::os::unix::process::CommandExt;
        command.uid(self.uid).gid(self.gid);
    }

    /// Whether this user may pass through every directory on the way to `path` (root's home is usually closed).
    pub fn reaches(self, path: &Path) -> bool {
        path.ancestors().filter(|p| !p.as_os_str().is_empty()).all(|p| match std::fs::metadata(p) {
            Ok(meta) => {
                let mode = meta.mode();
                let bit = if meta.uid() == self.uid {
                    0o100
                } else if meta.gid() == self.gid {
                    0o010
                } else {
                    0o001
                };
                mode & bit != 0
            }
            // What does not exist yet is made by us, open to be passed through.
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        })
    }
}

fn find(passwd: &str, name: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then_some(())?;
        Some(Account { uid: fields.nth(1)?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\nnobody2:x:7:7::/:/bin/sh\nnobody:x:65534:65533:nobody:/:/bin/sh\n";
        assert_eq!(find(users, "nobody"), Some(Account { uid: 65534, gid: 65533 }));
        assert_eq!(find(users, "postgres"), None);
    }
}
