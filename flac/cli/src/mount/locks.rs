//! Record locks, in the table that preloaded processes use. The kernel names an owner by a number; each owner gets an open file of its own in the
//! pool, whose locks are the owner's.

use super::caller::is_interrupted;
use super::{Server, ino_of, lock};
use flac::fs::open::OpenId;
use flac::{Error, Result};
use fuser::{FileHandle, INodeNo, LockOwner};
use std::collections::HashMap;
use std::time::Duration;

/// How often somebody who waits for a lock looks whether it is free, or whether the caller was interrupted.
const LOOK: Duration = Duration::from_millis(20);

/// An owner's open file.
pub struct Owned {
    hold: usize,
    /// The kernel's open file through which the last lock was taken.
    through: u64,
}

/// The open files of owners, by inode and owner.
pub type Owners = HashMap<(u64, u64), Owned>;

/// A range: first and last byte, as the kernel gives it.
#[derive(Clone, Copy)]
pub struct Span {
    pub start: u64,
    pub end: u64,
}

impl Span {
    fn request(self, kind: i32) -> libc::flock {
        let len = if self.end >= i64::MAX as u64 { 0 } else { (self.end - self.start + 1) as i64 };
        libc::flock { l_type: kind as i16, l_whence: libc::SEEK_SET as i16, l_start: self.start as i64, l_len: len, l_pid: 0 }
    }
}

impl Server {
    /// What stands in the way of a lock: range, type, process; type `F_UNLCK` if nothing does.
    pub fn find_lock(&self, node: INodeNo, fh: FileHandle, owner: LockOwner, span: Span, kind: i32) -> Result<(Span, i32, u32)> {
        let known = lock(&self.0.owners).get(&(node.0, owner.0)).and_then(|owned| self.fs().held(owned.hold));
        // Who has no locks there is nobody in particular.
        let id = known.map_or_else(|| self.held(fh), Ok)?;
        let mut found = span.request(kind);
        self.fs().lock_ofd(id, libc::F_OFD_GETLK, &mut found)?;
        let end = if found.l_len == 0 { i64::MAX as u64 } else { (found.l_start + found.l_len - 1) as u64 };
        Ok((Span { start: found.l_start as u64, end }, found.l_type as i32, found.l_pid.max(0) as u32))
    }

    /// Takes or gives up a lock; `EAGAIN` if another has it.
    pub fn set_lock(&self, node: INodeNo, fh: FileHandle, owner: LockOwner, span: Span, kind: i32) -> Result<()> {
        if kind == libc::F_UNLCK && !lock(&self.0.owners).contains_key(&(node.0, owner.0)) {
            return Ok(());
        }
        let id = self.owner_file(node, fh, owner)?;
        self.fs().lock_ofd(id, libc::F_OFD_SETLK, &mut span.request(kind))
    }

    /// As [`Server::set_lock`], waiting; `EINTR` if a signal for `thread` came.
    pub fn wait_lock(&self, node: INodeNo, fh: FileHandle, owner: LockOwner, span: Span, kind: i32, thread: u32) -> Result<()> {
        loop {
            match self.set_lock(node, fh, owner, span, kind) {
                Err(Error::Os(libc::EAGAIN)) if is_interrupted(thread) => return Err(Error::Os(libc::EINTR)),
                Err(Error::Os(libc::EAGAIN)) => std::thread::sleep(LOOK),
                done => return done,
            }
        }
    }

    fn owner_file(&self, node: INodeNo, fh: FileHandle, owner: LockOwner) -> Result<OpenId> {
        let mut owners = lock(&self.0.owners);
        let hold = match owners.get_mut(&(node.0, owner.0)) {
            Some(owned) => {
                owned.through = fh.0;
                owned.hold
            }
            None => {
                let hold = self.open_file(ino_of(node), libc::O_RDWR)?;
                owners.insert((node.0, owner.0), Owned { hold, through: fh.0 });
                hold
            }
        };
        self.fs().held(hold).ok_or(Error::Os(libc::ENOLCK))
    }

    /// The owner closed a descriptor of the file: all of its locks there go.
    pub fn drop_locks(&self, node: INodeNo, owner: LockOwner) {
        let hold = lock(&self.0.owners).remove(&(node.0, owner.0));
        if let Some(owned) = hold {
            self.close_file(owned.hold);
        }
    }

    /// The kernel's open file was closed for the last time: locks that belong to it go. Of these (OFD locks) nothing else is said.
    pub fn drop_locks_through(&self, node: INodeNo, fh: FileHandle) {
        let mut owners = lock(&self.0.owners);
        let gone: Vec<Owned> =
            owners.extract_if(|(ino, _), owned| *ino == node.0 && owned.through == fh.0).map(|(_, owned)| owned).collect();
        drop(owners);
        gone.iter().for_each(|owned| self.close_file(owned.hold));
    }
}
