//! Where a file system puts the files of a server, as far as that decides how long making them takes.

use std::path::Path;

/// Lets every directory that is made in this one start a region of the disk of its own, where the file system knows of
/// such a thing (ext4's flag for the top of a hierarchy, `chattr +T`).
///
/// Ext4 without a journal, as virtual machines have it, gives the number of a deleted file to no new one for minutes, and
/// looks at each such number of the region whenever it makes a file there. A server makes and deletes a thousand files,
/// and each of its databases three hundred: once a few have come and gone in one region, that costs a second each.
pub fn spread(directory: &Path) {
    // Where it cannot be had, there is no need of it.
    let _ = set_flag(directory);
}

#[cfg(target_os = "linux")]
fn set_flag(directory: &Path) -> std::io::Result<()> {
    use std::os::fd::AsRawFd;

    const TOP_OF_HIERARCHY: libc::c_int = 0x0002_0000;
    let directory = std::fs::File::open(directory)?;
    let mut flags: libc::c_int = 0;
    // SAFETY: the descriptor is open, and both calls read or write one int, whatever their numbers say.
    let done = unsafe {
        libc::ioctl(directory.as_raw_fd(), libc::FS_IOC_GETFLAGS, &mut flags) == 0 && {
            flags |= TOP_OF_HIERARCHY;
            libc::ioctl(directory.as_raw_fd(), libc::FS_IOC_SETFLAGS, &flags) == 0
        }
    };
    if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[cfg(not(target_os = "linux"))]
fn set_flag(_directory: &Path) -> std::io::Result<()> {
    Ok(())
}
