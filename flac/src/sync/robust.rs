//! A lock between processes that outlives its owner. `tests/loom` checks this file.

use super::{AtomicU32, Ordering, SPINS, futex, spin_loop};
use std::time::Duration;

/// Who takes locks, and whether another taker still lives. Implemented by the process table.
pub trait Liveness {
    /// This process's slot number.
    fn me(&self) -> u32;
    /// Whether the process in `slot` is alive. May read `/proc`: called only after a long wait.
    fn alive(&self, slot: u32) -> bool;
    /// What this process writes into locks: not 0, below 2^31, and never again that of another process, even one that gets the same slot.
    fn token(&self) -> u32;
    /// Whether the process that wrote `token` is alive.
    fn token_alive(&self, token: u32) -> bool;
}

/// Set while somebody sleeps on the word.
const WAITERS: u32 = 1 << 31;
/// How long to sleep before asking whether the owner lives.
const PATIENCE: Duration = Duration::from_millis(20);

/// A lock between processes whose word is the owner's token; a waiter takes it over when the owner is dead.
///
/// Not recursive. What it protects must be correct at every instruction of the holder (see ARCHITECTURE.md).
#[repr(transparent)]
#[derive(Default)]
pub struct RobustLock(AtomicU32);

/// Holds a [`RobustLock`]; dropping releases it.
pub struct Guard<'a> {
    lock: &'a RobustLock,
    /// Whether the previous owner died holding the lock: half-done work may need mending.
    pub inherited: bool,
}

impl RobustLock {
    /// Takes the lock, waiting for as long as its owner lives.
    #[inline]
    pub fn lock(&self, who: &(impl Liveness + ?Sized)) -> Guard<'_> {
        let me = who.token();
        if self.0.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            return Guard { lock: self, inherited: false };
        }
        self.wait(me, who)
    }

    /// Takes the lock if it is free now, or if its owner is found dead.
    pub fn try_lock(&self, who: &(impl Liveness + ?Sized)) -> Option<Guard<'_>> {
        let me = who.token();
        match self.0.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Some(Guard { lock: self, inherited: false }),
            Err(word) => self.inherit(word, me, who),
        }
    }

    /// Whether somebody holds it.
    pub fn is_locked(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    #[cold]
    fn wait(&self, me: u32, who: &(impl Liveness + ?Sized)) -> Guard<'_> {
        for _ in 0..SPINS {
            if self.0.load(Ordering::Relaxed) == 0 && self.0.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return Guard { lock: self, inherited: false };
            }
            spin_loop();
        }
        loop {
            let word = self.0.load(Ordering::Relaxed);
            if word == 0 {
                // Whoever slept takes it as "waited for": another sleeper may be left.
                if self.0.compare_exchange(0, me | WAITERS, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                    return Guard { lock: self, inherited: false };
                }
                continue;
            }
            if word & WAITERS == 0 && self.0.compare_exchange(word, word | WAITERS, Ordering::Relaxed, Ordering::Relaxed).is_err() {
                continue;
            }
            if futex::wait(&self.0, word | WAITERS, PATIENCE)
                && let Some(guard) = self.inherit(word | WAITERS, me, who)
            {
                return guard;
            }
        }
    }

    #[cold]
    fn inherit(&self, word: u32, me: u32, who: &(impl Liveness + ?Sized)) -> Option<Guard<'_>> {
        let owner = word & !WAITERS;
        if owner == me || who.token_alive(owner) {
            return None;
        }
        self.0
            .compare_exchange(word, me | (word & WAITERS), Ordering::Acquire, Ordering::Relaxed)
            .ok()
            .map(|_| Guard { lock: self, inherited: true })
    }
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.lock.0.swap(0, Ordering::Release) & WAITERS != 0 {
            futex::wake(&self.lock.0);
        }
    }
}
