//! The pool as a FUSE file system, for programs that can't be preloaded. Owns what the kernel knows by number: open files, listings, owners of locks. All
//! else is `flac::Fs`, the same that preloaded processes use, so that both sides see each other's changes at once: the kernel caches neither names
//! nor attributes (timeouts of 0) nor data (`FOPEN_DIRECT_IO`).
//!
//! `server` is the interface that the kernel calls, `names` what changes the tree, `files` what open files do, `locks` record locks,
//! `recent` what was looked up a moment ago, `caller` who asks.

mod caller;
mod files;
mod locks;
mod names;
mod recent;
mod server;

use crate::session::Session;
use flac::Fs;
use flac::fs::attr::{Attr, Time};
use flac::fs::names::DirList;
use flac::fs::open::OpenId;
use flac::units::Ino;
use fuser::{Errno, FileAttr, FileHandle, FileType, INodeNo};
use locks::Owners;
use recent::Recent;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// For how long the kernel may believe what it was told.
pub const NOTHING: Duration = Duration::ZERO;
/// What programs are told to read and write at once (`st_blksize`): a system call costs more here than on a kernel's file system.
const PREFERRED: u32 = 128 << 10;

/// The file system. A clone is another handle on the same.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    session: Arc<Session>,
    holds: Mutex<Holds>,
    /// Listings by the hold of their open directory.
    lists: Mutex<HashMap<u64, Arc<DirList>>>,
    owners: Mutex<Owners>,
    recent: Mutex<Recent>,
}

/// Hold indices: free ones, and the first that was never used.
#[derive(Default)]
struct Holds {
    free: Vec<usize>,
    next: usize,
}

impl Server {
    pub fn new(session: Arc<Session>) -> Self {
        let (holds, lists, owners, recent) = (Mutex::default(), Mutex::default(), Mutex::default(), Mutex::default());
        let inner = Arc::new(Inner { session, holds, lists, owners, recent });
        let watched: Weak<Inner> = Arc::downgrade(&inner);
        std::thread::spawn(move || {
            while let Some(inner) = watched.upgrade() {
                Server(inner).let_go(usize::MAX);
                std::thread::sleep(recent::SWEEP);
            }
        });
        Server(inner)
    }

    fn fs(&self) -> &Fs {
        self.0.session.fs()
    }

    /// Opens `ino`; the number by which the kernel knows it is that of the hold.
    fn open_file(&self, ino: Ino, flags: i32) -> flac::Result<usize> {
        let hold = {
            let mut holds = lock(&self.0.holds);
            holds.free.pop().unwrap_or_else(|| {
                holds.next += 1;
                holds.next - 1
            })
        };
        // Descriptor flags and creation are the kernel's affair.
        let flags = flags & !(libc::O_CREAT | libc::O_EXCL | libc::O_TRUNC | libc::O_CLOEXEC | libc::O_NOFOLLOW);
        match self.fs().open_file(ino, flags, hold) {
            Ok(_) => Ok(hold),
            Err(e) => {
                lock(&self.0.holds).free.push(hold);
                Err(e)
            }
        }
    }

    fn close_file(&self, hold: usize) {
        self.fs().release(hold);
        lock(&self.0.holds).free.push(hold);
    }

    fn held(&self, fh: FileHandle) -> flac::Result<OpenId> {
        self.fs().held(fh.0 as usize).ok_or(flac::Error::Os(libc::EBADF))
    }

    fn attr(&self, ino: Ino) -> flac::Result<FileAttr> {
        Ok(shown(&self.fs().attr(ino)?))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is guarded is valid at every step.
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn ino_of(node: INodeNo) -> Ino {
    Ino::new(node.0)
}

fn errno(error: &flac::Error) -> Errno {
    Errno::from_i32(error.errno())
}

fn kind_of(mode: u32) -> FileType {
    match mode & libc::S_IFMT {
        libc::S_IFDIR => FileType::Directory,
        libc::S_IFLNK => FileType::Symlink,
        libc::S_IFIFO => FileType::NamedPipe,
        libc::S_IFSOCK => FileType::Socket,
        libc::S_IFCHR => FileType::CharDevice,
        libc::S_IFBLK => FileType::BlockDevice,
        _ => FileType::RegularFile,
    }
}

fn shown(attr: &Attr) -> FileAttr {
    FileAttr {
        ino: INodeNo(attr.ino.get()),
        size: attr.size,
        blocks: attr.pages * 8,
        atime: system_time(attr.atime),
        mtime: system_time(attr.mtime),
        ctime: system_time(attr.ctime),
        crtime: system_time(attr.btime),
        kind: kind_of(attr.mode),
        perm: (attr.mode & 0o7777) as u16,
        nlink: attr.nlink,
        uid: attr.uid,
        gid: attr.gid,
        // The kernel's encoding of small device numbers is libc's.
        rdev: attr.rdev as u32,
        blksize: PREFERRED,
        flags: 0,
    }
}

fn system_time(time: Time) -> SystemTime {
    let whole = Duration::from_secs(time.sec.unsigned_abs());
    let second = if time.sec < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    second.unwrap_or(UNIX_EPOCH) + Duration::from_nanos(time.nsec as u64)
}

/// What the kernel said. The crate `fuser` (0.18) takes nanoseconds before 1970 as going back, where the kernel's go forward: undone here. (What it
/// sends is right. `times_before_1970_and_after_2038_are_kept` on a mount tells if that changes.)
fn time_of(time: SystemTime) -> Time {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => Time { sec: since.as_secs() as i64, nsec: since.subsec_nanos() },
        Err(before) => Time { sec: -(before.duration().as_secs() as i64), nsec: before.duration().subsec_nanos() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_and_after_1970_are_what_the_kernel_means() {
        for (sec, nsec) in [(0, 0), (1, 1), (-1, 0), (-1, 999_999_999), (-5, 1), (1 << 40, 999_999_999), (-(1 << 33), 5)] {
            let sent = system_time(Time { sec, nsec });
            let since = sent.duration_since(UNIX_EPOCH).map_or_else(|e| -(e.duration().as_nanos() as i128), |d| d.as_nanos() as i128);
            assert_eq!(since, sec as i128 * 1_000_000_000 + nsec as i128);
            let distance = Duration::new(sec.unsigned_abs(), nsec);
            let received = if sec < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance };
            assert_eq!(time_of(received), Time { sec, nsec });
        }
    }
}
