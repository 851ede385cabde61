//! The lock table: which owner has locked which range of which inode. Knows no process and no open file: owners are numbers.
//!
//! All methods but [`LocksShared::may_have`] and [`LocksShared::has_opens`] are called with [`LocksShared::lock`] held. An owner's locks of one kind on one inode
//! never overlap, and neighbours of one type are one entry. A process that dies in the middle of a change leaves entries of its own that overlap:
//! harmless, since they go with it.

use crate::error::{Error, Result};
use crate::region::PROCS;
use crate::sync::{AtomicU32, AtomicU64, Ordering::*, RobustLock};
use crate::units::Ino;

/// Locks that can exist at once; beyond that `ENOLCK`.
const ENTRIES: usize = 8192;
/// Groups of inodes that are woken together.
const BUCKETS: usize = 64;
/// The greatest file offset: a lock up to there has no end.
pub const END: u64 = i64::MAX as u64;

const WRITE: u32 = 1;
const FLOCK: u32 = 2;
/// Set in an owner that is a process slot, else it is an open file.
const PROCESS: u64 = 1 << 63;

/// Who owns a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A process slot (`fcntl` locks).
    Process(u32),
    /// An open file, as [`OpenId::to_raw`](super::OpenId::to_raw) (OFD locks, `flock`).
    Open(u64),
}

impl Owner {
    fn word(self) -> u64 {
        match self {
            Owner::Process(slot) => PROCESS | slot as u64,
            Owner::Open(raw) => raw,
        }
    }
    fn of(word: u64) -> Self {
        match word & PROCESS {
            0 => Owner::Open(word),
            _ => Owner::Process((word & !PROCESS) as u32),
        }
    }
}

/// A lock, or one that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    /// The inode.
    pub ino: Ino,
    /// First byte.
    pub start: u64,
    /// Last byte; [`END`] if there is no end.
    pub end: u64,
    /// Who has it.
    pub owner: Owner,
    /// Exclusive, else shared.
    pub write: bool,
    /// Of `flock`, which `fcntl` locks do not see.
    pub flock: bool,
    /// The process that took it.
    pub pid: u32,
}

impl Lock {
    /// Whether both may be the same owner's locks of one kind on one inode.
    fn is_kin(&self, other: &Lock) -> bool {
        self.ino == other.ino && self.flock == other.flock && self.owner == other.owner
    }
    fn overlaps(&self, other: &Lock) -> bool {
        self.start <= other.end && other.start <= self.end
    }
    /// Overlaps or lies next to.
    fn touches(&self, other: &Lock) -> bool {
        self.start <= other.end.saturating_add(1) && other.start <= self.end.saturating_add(1)
    }
    fn conflicts(&self, other: &Lock) -> bool {
        let kind = self.ino == other.ino && self.flock == other.flock && self.owner != other.owner;
        kind && (self.write || other.write) && self.overlaps(other)
    }
}

#[repr(C)]
struct Entry {
    /// 0 is a free entry. Written last, cleared first.
    ino: AtomicU64,
    start: AtomicU64,
    end: AtomicU64,
    owner: AtomicU64,
    kind: AtomicU32,
    pid: AtomicU32,
}

impl Entry {
    fn get(&self) -> Option<Lock> {
        let ino = self.ino.load(Acquire);
        let kind = self.kind.load(Relaxed);
        (ino != 0).then(|| Lock {
            ino: Ino::new(ino),
            start: self.start.load(Relaxed),
            end: self.end.load(Relaxed),
            owner: Owner::of(self.owner.load(Relaxed)),
            write: kind & WRITE != 0,
            flock: kind & FLOCK != 0,
            pid: self.pid.load(Relaxed),
        })
    }
    fn put(&self, lock: &Lock) {
        self.start.store(lock.start, Relaxed);
        self.end.store(lock.end, Relaxed);
        self.owner.store(lock.owner.word(), Relaxed);
        self.kind.store(if lock.write { WRITE } else { 0 } | if lock.flock { FLOCK } else { 0 }, Relaxed);
        self.pid.store(lock.pid, Relaxed);
        self.ino.store(lock.ino.get(), Release);
    }
}

/// What inodes of one group share.
#[repr(C)]
pub struct Bucket {
    /// Locks on them; too high after a death.
    count: AtomicU32,
    /// Who waits for one; too high after a death.
    pub waiters: AtomicU32,
    /// Changes whenever a lock is given up.
    pub wake: AtomicU32,
    _pad: AtomicU32,
}

/// The lock table. Lives in shared memory; all zero is a valid start.
#[repr(C)]
pub struct LocksShared {
    /// Protects everything here.
    pub lock: RobustLock,
    /// One past the last entry in use.
    used: AtomicU32,
    /// Locks owned by open files; too high after a death.
    opens: AtomicU32,
    _pad: AtomicU32,
    buckets: [Bucket; BUCKETS],
    /// For each process slot, the lock that it waits for, with the process that does.
    wanted: [Entry; PROCS],
    entries: [Entry; ENTRIES],
}

impl LocksShared {
    /// The group of an inode.
    pub fn bucket(&self, ino: Ino) -> &Bucket {
        &self.buckets[(ino.get().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize % BUCKETS]
    }

    /// Whether there may be locks on the inode. Needs no lock.
    pub fn may_have(&self, ino: Ino) -> bool {
        self.bucket(ino).count.load(Acquire) != 0
    }

    /// Whether there may be locks of open files. Needs no lock.
    pub fn has_opens(&self) -> bool {
        self.opens.load(Acquire) != 0
    }

    fn entry(&self, index: usize) -> Option<Lock> {
        self.entries[index].get()
    }

    /// All locks with their places.
    fn all(&self) -> impl Iterator<Item = (usize, Lock)> + '_ {
        let used = (self.used.load(Relaxed) as usize).min(ENTRIES);
        (0..used).filter_map(|index| Some((index, self.entry(index)?)))
    }

    fn free_entries(&self) -> impl Iterator<Item = usize> + '_ {
        (0..ENTRIES).filter(|index| self.entries[*index].ino.load(Relaxed) == 0)
    }

    fn add(&self, index: usize, lock: &Lock) {
        self.bucket(lock.ino).count.fetch_add(1, AcqRel);
        self.opens.fetch_add(matches!(lock.owner, Owner::Open(_)) as u32, AcqRel);
        self.used.fetch_max(index as u32 + 1, Relaxed);
        self.entries[index].put(lock);
    }

    fn free(&self, index: usize, lock: &Lock) {
        self.entries[index].ino.store(0, Release);
        self.bucket(lock.ino).count.fetch_sub(1, AcqRel);
        self.opens.fetch_sub(matches!(lock.owner, Owner::Open(_)) as u32, AcqRel);
        let mut used = self.used.load(Relaxed);
        while used > 0 && self.entries[used as usize - 1].ino.load(Relaxed) == 0 {
            used -= 1;
        }
        self.used.store(used, Relaxed);
    }

    /// The lowest lock that stands in the way.
    pub fn conflict(&self, want: &Lock) -> Option<Lock> {
        if !self.may_have(want.ino) {
            return None;
        }
        self.all().map(|(_, lock)| lock).filter(|lock| want.conflicts(lock)).min_by_key(|lock| lock.start)
    }

    /// The lowest lock that the owner has in that range.
    pub fn own(&self, range: &Lock) -> Option<Lock> {
        self.all().map(|(_, lock)| lock).filter(|lock| lock.is_kin(range) && lock.overlaps(range)).min_by_key(|lock| lock.start)
    }

    /// Gives the owner the lock, which replaces what it has in that range. Whether something was given up for which others may wait. `ENOLCK`.
    pub fn set(&self, want: &Lock) -> Result<bool> {
        let kin: Vec<(usize, Lock)> = self.all().filter(|(_, lock)| lock.is_kin(want)).collect();
        let (same, others): (Vec<_>, Vec<_>) = kin.into_iter().partition(|(_, lock)| lock.write == want.write);
        let mut merged = *want;
        let touching: Vec<(usize, Lock)> = same.into_iter().filter(|(_, lock)| lock.touches(want)).collect();
        for (_, lock) in &touching {
            merged.start = merged.start.min(lock.start);
            merged.end = merged.end.max(lock.end);
        }
        let mut free = self.reserve(want, &others, touching.is_empty() as usize)?.into_iter();
        match touching.split_first() {
            None => self.add(free.next().expect("was reserved"), &merged),
            Some(((home, _), rest)) => {
                let e = &self.entries[*home];
                e.start.store(merged.start, Relaxed);
                e.end.store(merged.end, Relaxed);
                e.pid.store(want.pid, Relaxed);
                rest.iter().for_each(|(index, lock)| self.free(*index, lock));
            }
        }
        Ok(self.cut(want, &others, free))
    }

    /// Takes the range away from the owner. Whether it had something there. `ENOLCK`: a lock would fall in two and there is no room for both.
    pub fn unset(&self, range: &Lock) -> Result<bool> {
        let kin: Vec<(usize, Lock)> = self.all().filter(|(_, lock)| lock.is_kin(range)).collect();
        let free = self.reserve(range, &kin, 0)?.into_iter();
        Ok(self.cut(range, &kin, free))
    }

    /// Free entries for what is left of `locks` when `range` is cut out, and `more`.
    fn reserve(&self, range: &Lock, locks: &[(usize, Lock)], more: usize) -> Result<Vec<usize>> {
        let falls_in_two = |lock: &Lock| lock.start < range.start && range.end < lock.end;
        let need = more + locks.iter().filter(|(_, lock)| falls_in_two(lock)).count();
        let free: Vec<usize> = if need == 0 { Vec::new() } else { self.free_entries().take(need).collect() };
        if free.len() == need { Ok(free) } else { Err(Error::Os(libc::ENOLCK)) }
    }

    fn cut(&self, range: &Lock, locks: &[(usize, Lock)], mut free: impl Iterator<Item = usize>) -> bool {
        let mut changed = false;
        for (index, lock) in locks.iter().filter(|(_, lock)| lock.overlaps(range)) {
            changed = true;
            let entry = &self.entries[*index];
            match (lock.start < range.start, range.end < lock.end) {
                (false, false) => self.free(*index, lock),
                (false, true) => entry.start.store(range.end + 1, Relaxed),
                (true, false) => entry.end.store(range.start - 1, Relaxed),
                (true, true) => {
                    let right = Lock { start: range.end + 1, ..*lock };
                    self.add(free.next().expect("was reserved"), &right);
                    entry.end.store(range.start - 1, Relaxed);
                }
            }
        }
        changed
    }

    /// Removes the locks that `gone` chooses, and tells `woken` their inodes.
    pub fn remove(&self, gone: impl Fn(&Lock) -> bool, mut woken: impl FnMut(Ino)) {
        for index in 0..(self.used.load(Relaxed) as usize).min(ENTRIES) {
            if let Some(lock) = self.entry(index).filter(&gone) {
                self.free(index, &lock);
                woken(lock.ino);
            }
        }
    }

    /// Notes that process slot `me` waits for a lock.
    pub fn wait_for(&self, me: u32, want: &Lock) {
        self.wanted[me as usize].put(want);
    }

    /// Process slot `me` waits no more. Needs no lock.
    pub fn waits_no_more(&self, me: u32) {
        self.wanted[me as usize].ino.store(0, Release);
    }

    /// Whether `owner` waits, directly or not, for `me`. `pid_of` tells a slot's process from an earlier one. What a waiter waits for may have been given up, or given to it, before it has noticed:
    /// what counts is who has it now.
    pub fn waits_for(&self, owner: u32, me: u32, pid_of: impl Fn(u32) -> u32) -> bool {
        let (mut next, mut seen) = (vec![owner], Vec::new());
        while let Some(at) = next.pop() {
            if at == me {
                return true;
            }
            if at as usize >= PROCS || seen.contains(&at) {
                continue;
            }
            seen.push(at);
            let Some(want) = self.wanted[at as usize].get().filter(|want| want.pid == pid_of(at)) else { continue };
            next.extend(self.all().filter(|(_, lock)| want.conflicts(lock)).filter_map(|(_, lock)| match lock.owner {
                Owner::Process(slot) => Some(slot),
                Owner::Open(_) => None,
            }));
        }
        false
    }
}
