#![expect(unsafe_code, reason = "a mount namespace of one's own")]
//! Mounts that only this process and its children see, and that are gone with the last of them, however it ends.

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use std::ffi::CString;
use std::path::Path;

/// Whether this process may have mounts of its own.
pub(crate) fn may_mount() -> bool {
    rustix::process::geteuid().is_root()
}

/// From here on this process, which has one thread, mounts for itself alone: on an empty `/dev/shm`, and without the huge pages that others may have mounted.
///
/// # Errors
/// What the kernel refused.
pub(crate) fn isolate() -> Result<(), String> {
    // SAFETY: it is CLONE_FILES that needs care.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }
        .map_err(|error| format!("a mount namespace: {error}"))?;
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", flags).map_err(|error| format!("private mounts: {error}"))?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").map_err(|error| format!("mountinfo: {error}"))?;
    for place in mounts.lines().filter_map(huge_mount) {
        unmount(place, UnmountFlags::DETACH).map_err(|error| format!("umount {place}: {error}"))?;
    }
    tmpfs(Path::new("/dev/shm"), "size=95%,mode=1777")
}

/// Mounts a tmpfs over `directory`.
pub(crate) fn tmpfs(directory: &Path, options: &str) -> Result<(), String> {
    let data = CString::new(options).expect("no zero in options");
    mount("tmpfs", directory, "tmpfs", MountFlags::empty(), data.as_c_str())
        .map_err(|error| format!("mount {options} on {}: {error}", directory.display()))
}

/// The mount point of a mountinfo line that is a tmpfs with huge pages.
fn huge_mount(line: &str) -> Option<&str> {
    let (front, back) = line.split_once(" - ")?;
    let (is_tmpfs, huge) = (back.starts_with("tmpfs "), back.contains("huge="));
    (is_tmpfs && huge).then(|| front.split(' ').nth(4)).flatten()
}
