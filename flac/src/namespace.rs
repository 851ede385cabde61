//! Which pid namespace this process is in: numbers of processes mean something within it only.
#![expect(unsafe_code, reason = "a request of a pidfd that rustix does not have")]

use rustix::fd::{AsRawFd, FromRawFd, OwnedFd};
use rustix::fs::{fstat, stat};
use rustix::process::{PidfdFlags, getpid, pidfd_open};

/// The inode of this process's pid namespace: by a descriptor of the process (Linux 6.11), or by name, which takes four times as long, for procfs makes what the name stands for first.
pub(crate) fn pid_namespace() -> u64 {
    let named = || stat("/proc/self/ns/pid").map_or(0, |s| s.st_ino);
    by_descriptor().and_then(|namespace| fstat(namespace).ok()).map_or_else(named, |s| s.st_ino)
}

fn by_descriptor() -> Option<OwnedFd> {
    /// `_IO(0xff, 5)` of `linux/pidfd.h`.
    const PIDFD_GET_PID_NAMESPACE: libc::c_ulong = 0xff05;
    let process = pidfd_open(getpid(), PidfdFlags::empty()).ok()?;
    // SAFETY: an open descriptor, and a request without an argument. (Whoever interposes `ioctl` lets ours pass.)
    let namespace = unsafe { libc::ioctl(process.as_raw_fd(), PIDFD_GET_PID_NAMESPACE as _, 0) };
    // SAFETY: a new descriptor that nobody else knows.
    (namespace >= 0).then(|| unsafe { OwnedFd::from_raw_fd(namespace) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_lead_to_the_same_namespace() {
        let named = stat("/proc/self/ns/pid").expect("procfs").st_ino;
        assert_eq!(pid_namespace(), named);
        // Older kernels do not know the other way.
        assert!(by_descriptor().is_none_or(|namespace| fstat(namespace).expect("open").st_ino == named));
    }
}
