//! Locks on FLAC files: POSIX record locks, OFD locks and `flock`, between all processes that use the pool.
//!
//! POSIX and OFD locks see each other; `flock` locks see only each other. A POSIX lock belongs to a process and goes with the first close of the
//! file by it; the others belong to the open file and go with its last close. A death is a close: whoever meets a lock of a dead process reaps that.

mod table;

#[cfg(test)]
mod tests;

pub use table::LocksShared;

use super::Fs;
use super::open::OpenId;
use crate::error::{Error, Result};
use crate::sync::{Liveness, Ordering::*};
use crate::units::Ino;
use rustix::io::Errno;
use rustix::thread::futex;
use std::time::Duration;
use table::{END, Lock, Owner};

/// How long to wait for a lock before asking whether its owner lives.
const PATIENCE: Duration = Duration::from_millis(100);
/// Bits below the generation in a raw [`OpenId`].
const INDEX_BITS: u32 = 16;

/// Whether the calling thread is to leave FLAC: for a signal handler that waits, or because it has slept for [`PATIENCE`]. A signal that came before the sleep does not end it: this
/// does.
static INTERRUPTED: std::sync::OnceLock<fn(slept: bool) -> bool> = std::sync::OnceLock::new();

/// Says how a wait for a lock learns, before it sleeps for at most 100 ms, whether it is to end with `EINTR`; `slept`: it has slept for so long before. Called once; without it only a
/// sleep can be interrupted.
pub fn interrupted_by(asked: fn(slept: bool) -> bool) {
    let _ = INTERRUPTED.set(asked);
}

/// What `fcntl` is asked to do with a record lock.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    Get,
    Set { wait: bool },
}

impl Fs {
    /// `fcntl` with `F_GETLK`, `F_SETLK`, `F_SETLKW`. The locks go by [`Fs::release_process_locks`].
    ///
    /// # Errors
    /// `EAGAIN` if another has it (`F_SETLK`), `EDEADLK`, `EINTR`, `EBADF` (not open for that kind of access), `EINVAL`, `EOVERFLOW`, `ENOLCK`.
    pub fn lock_posix(&self, id: OpenId, cmd: i32, lock: &mut libc::flock) -> Result<()> {
        let ask = match cmd {
            libc::F_GETLK => Ask::Get,
            libc::F_SETLK => Ask::Set { wait: false },
            libc::F_SETLKW => Ask::Set { wait: true },
            _ => return fail(libc::EINVAL),
        };
        self.lock_range(id, Owner::Process(self.procs.me()), ask, lock)
    }

    /// `fcntl` with `F_OFD_GETLK`, `F_OFD_SETLK`, `F_OFD_SETLKW`. Errors as of [`Fs::lock_posix`], but deadlocks are not looked for.
    pub fn lock_ofd(&self, id: OpenId, cmd: i32, lock: &mut libc::flock) -> Result<()> {
        let ask = match cmd {
            libc::F_OFD_GETLK => Ask::Get,
            libc::F_OFD_SETLK => Ask::Set { wait: false },
            libc::F_OFD_SETLKW => Ask::Set { wait: true },
            _ => return fail(libc::EINVAL),
        };
        if lock.l_pid != 0 {
            return fail(libc::EINVAL);
        }
        self.lock_range(id, Owner::Open(id.to_raw()), ask, lock)
    }

    /// `flock` with `LOCK_SH`, `LOCK_EX`, `LOCK_UN`, and `LOCK_NB`. A lock that is to be changed is given up first, as the kernel does.
    ///
    /// # Errors
    /// `EAGAIN` (= `EWOULDBLOCK`), `EINTR`, `EBADF`, `EINVAL`, `ENOLCK`.
    pub fn flock(&self, id: OpenId, op: i32) -> Result<()> {
        let flags = self.open_flags(id);
        let write = match op & !libc::LOCK_NB {
            libc::LOCK_SH | libc::LOCK_EX | libc::LOCK_UN if flags & libc::O_PATH != 0 => return fail(libc::EBADF),
            // Neither to be read nor to be written.
            libc::LOCK_SH | libc::LOCK_EX if flags & libc::O_ACCMODE == libc::O_ACCMODE => return fail(libc::EBADF),
            libc::LOCK_SH => false,
            libc::LOCK_EX => true,
            libc::LOCK_UN => {
                return self.unlock(&self.wanted(id, Owner::Open(id.to_raw()), (0, END), false, true));
            }
            _ => return fail(libc::EINVAL),
        };
        let want = self.wanted(id, Owner::Open(id.to_raw()), (0, END), write, true);
        let other_type = Lock { write: !write, ..want };
        let kin = |lock: &Lock| *lock == Lock { pid: lock.pid, ..other_type };
        self.remove_locks(kin);
        self.acquire(&want, op & libc::LOCK_NB == 0)
    }

    /// The POSIX locks of process slot `process` on `ino` go: it closed the file, or died.
    pub fn release_locks_of(&self, ino: Ino, process: u32) {
        let owner = Owner::Process(process);
        if self.region.control.locks().may_have(ino) {
            self.remove_locks(|lock| lock.ino == ino && lock.owner == owner);
        }
    }

    /// This process's POSIX locks on `ino` go: it closed a descriptor of the file.
    pub fn release_process_locks(&self, ino: Ino) {
        self.release_locks_of(ino, self.procs.me());
    }

    /// The OFD and `flock` locks of the open file `id` go: it was closed for the last time.
    pub fn release_open_locks(&self, id: OpenId) {
        if self.region.control.locks().has_opens() {
            self.remove_locks(|lock| lock.owner == Owner::Open(id.to_raw()));
        }
    }

    fn wanted(&self, id: OpenId, owner: Owner, (start, end): (u64, u64), write: bool, flock: bool) -> Lock {
        Lock { ino: self.open_ino(id), start, end, owner, write, flock, pid: self.procs.slot().pid.load(Relaxed) }
    }

    fn lock_range(&self, id: OpenId, owner: Owner, ask: Ask, lock: &mut libc::flock) -> Result<()> {
        let flags = self.open_flags(id);
        if flags & libc::O_PATH != 0 {
            return fail(libc::EBADF);
        }
        let write = match lock.l_type as i32 {
            libc::F_RDLCK => false,
            libc::F_WRLCK => true,
            libc::F_UNLCK if ask != Ask::Get || matches!(owner, Owner::Open(_)) => false,
            _ => return fail(libc::EINVAL),
        };
        let range = self.range(id, lock)?;
        let want = self.wanted(id, owner, range, write, false);
        let mode = flags & libc::O_ACCMODE;
        match ask {
            // Of an unlocked range an open file is told what it has there itself.
            Ask::Get if lock.l_type as i32 == libc::F_UNLCK => {
                let shared = self.region.control.locks();
                let guard = shared.lock.lock(&*self.procs);
                let own = shared.own(&want);
                drop(guard);
                describe(own, lock);
                Ok(())
            }
            Ask::Get => {
                describe(self.find_conflict(&want), lock);
                Ok(())
            }
            Ask::Set { .. } if lock.l_type as i32 == libc::F_UNLCK => self.unlock(&want),
            Ask::Set { .. } if mode == if write { libc::O_RDONLY } else { libc::O_WRONLY } || mode == libc::O_ACCMODE => fail(libc::EBADF),
            Ask::Set { wait } => self.acquire(&want, wait),
        }
    }

    /// First and last byte: `EINVAL` below 0, `EOVERFLOW` beyond the greatest offset.
    fn range(&self, id: OpenId, lock: &libc::flock) -> Result<(u64, u64)> {
        let base = match lock.l_whence as i32 {
            libc::SEEK_SET => 0,
            libc::SEEK_CUR => self.open_slot(id).offset.load(Acquire) as i64,
            libc::SEEK_END => self.attr(self.open_ino(id))?.size as i64,
            _ => return fail(libc::EINVAL),
        };
        let overflow = Error::Os(libc::EOVERFLOW);
        let start = base.checked_add(lock.l_start).ok_or(overflow.clone())?;
        let (start, end) = match lock.l_len {
            0 => (start, END as i64),
            len if len > 0 => (start, start.checked_add(len - 1).ok_or(overflow)?),
            len => (start.checked_add(len).ok_or(Error::Os(libc::EINVAL))?, start - 1),
        };
        if start < 0 { fail(libc::EINVAL) } else { Ok((start as u64, end as u64)) }
    }

    fn find_conflict(&self, want: &Lock) -> Option<Lock> {
        let shared = self.region.control.locks();
        let look = || {
            let _guard = shared.lock.lock(&*self.procs);
            shared.conflict(want)
        };
        look()?;
        self.drop_stale_locks();
        look()
    }

    /// Takes the lock, waiting if told so. A wait ends with `EINTR` when a signal handler ran, whatever its flags: the caller knows them.
    fn acquire(&self, want: &Lock, wait: bool) -> Result<()> {
        let result = self.acquire_or_wait(want, wait);
        // The note stays throughout the wait, looks in between included: whoever closes a circle meanwhile must see it. Not beyond: who was interrupted may never come back.
        if let (true, Owner::Process(me)) = (wait, want.owner) {
            self.region.control.locks().waits_no_more(me);
        }
        result
    }

    fn acquire_or_wait(&self, want: &Lock, wait: bool) -> Result<()> {
        let shared = self.region.control.locks();
        let bucket = shared.bucket(want.ino);
        let (mut all_live, mut slept_long) = (false, false);
        loop {
            let guard = shared.lock.lock(&*self.procs);
            let Some(other) = shared.conflict(want) else {
                let freed = shared.set(want)?;
                drop(guard);
                if freed {
                    self.wake(want.ino);
                }
                return Ok(());
            };
            if !all_live {
                drop(guard);
                self.drop_stale_locks();
                all_live = true;
                continue;
            }
            if !wait {
                return fail(libc::EAGAIN);
            }
            if INTERRUPTED.get().is_some_and(|asked| asked(slept_long)) {
                return fail(libc::EINTR);
            }
            self.note_wait(want, &other)?;
            bucket.waiters.fetch_add(1, AcqRel);
            let seen = bucket.wake.load(Acquire);
            drop(guard);
            let slept = sleep(&bucket.wake, seen);
            bucket.waiters.fetch_sub(1, AcqRel);
            match slept {
                Err(Errno::INTR) => return fail(libc::EINTR),
                Err(Errno::TIMEDOUT) => (all_live, slept_long) = (false, true),
                _ => {}
            }
        }
    }

    /// Notes whom this process is going to wait for; `EDEADLK` if that one waits for this process.
    fn note_wait(&self, want: &Lock, other: &Lock) -> Result<()> {
        let (Owner::Process(me), Owner::Process(owner)) = (want.owner, other.owner) else {
            return Ok(());
        };
        let (shared, procs) = (self.region.control.locks(), self.region.control.procs());
        if shared.waits_for(owner, me, |slot| procs[slot as usize].pid.load(Acquire)) {
            return fail(libc::EDEADLK);
        }
        shared.wait_for(me, want);
        Ok(())
    }

    fn unlock(&self, range: &Lock) -> Result<()> {
        let shared = self.region.control.locks();
        if !shared.may_have(range.ino) {
            return Ok(());
        }
        let guard = shared.lock.lock(&*self.procs);
        let freed = shared.unset(range)?;
        drop(guard);
        if freed {
            self.wake(range.ino);
        }
        Ok(())
    }

    fn remove_locks(&self, gone: impl Fn(&Lock) -> bool) {
        let shared = self.region.control.locks();
        let mut freed = Vec::new();
        let guard = shared.lock.lock(&*self.procs);
        shared.remove(gone, |ino| freed.push(ino));
        drop(guard);
        freed.dedup();
        freed.into_iter().for_each(|ino| self.wake(ino));
    }

    /// The locks of the dead go: their processes are reaped, and what is left without an owner is removed.
    pub(super) fn drop_stale_locks(&self) {
        self.reap_all();
        let control = self.region.control;
        self.remove_locks(|lock| match lock.owner {
            Owner::Process(slot) => {
                let process = &control.procs()[slot as usize];
                process.state.load(Acquire) == 0 || process.pid.load(Acquire) != lock.pid
            }
            Owner::Open(raw) => {
                let open = &control.opens()[OpenId::from_raw(raw).index()];
                open.refs.load(Acquire) == 0 || open.generation.load(Acquire) != (raw >> INDEX_BITS) as u32
            }
        });
    }

    fn wake(&self, ino: Ino) {
        let bucket = self.region.control.locks().bucket(ino);
        bucket.wake.fetch_add(1, AcqRel);
        if bucket.waiters.load(Acquire) != 0 {
            let _ = futex::wake(&bucket.wake, futex::Flags::empty(), i32::MAX as u32);
        }
    }
}

/// Tells in `lock` of the one that was found.
fn describe(found: Option<Lock>, lock: &mut libc::flock) {
    let Some(other) = found else {
        lock.l_type = libc::F_UNLCK as i16;
        return;
    };
    lock.l_type = if other.write { libc::F_WRLCK } else { libc::F_RDLCK } as i16;
    lock.l_whence = libc::SEEK_SET as i16;
    lock.l_start = other.start as i64;
    lock.l_len = if other.end == END { 0 } else { (other.end - other.start + 1) as i64 };
    lock.l_pid = match other.owner {
        Owner::Process(_) => other.pid as i32,
        Owner::Open(_) => -1,
    };
}

fn sleep(word: &crate::sync::AtomicU32, seen: u32) -> rustix::io::Result<()> {
    let timeout = futex::Timespec { tv_sec: 0, tv_nsec: PATIENCE.as_nanos() as _ };
    futex::wait(word, futex::Flags::empty(), seen, Some(&timeout))
}

fn fail<T>(errno: i32) -> Result<T> {
    Err(Error::Os(errno))
}
