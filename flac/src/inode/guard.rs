//! The inode's lock with its sequence counter: writers make it odd, readers retry when it moved.

use crate::region::InodeSlot;
use crate::sync::{Guard, LOOKS, Liveness, Ordering::*, fence, spin_loop};

/// Serialises writers of an inode; the sequence counter is odd while this lives.
pub struct WriteGuard<'a> {
    slot: &'a InodeSlot,
    lock: Guard<'a>,
}

impl<'a> WriteGuard<'a> {
    /// Locks the inode.
    #[inline]
    pub fn lock(slot: &'a InodeSlot, who: &impl Liveness) -> Self {
        Self::begin(slot, slot.lock.lock(who))
    }

    /// Locks the inode if it is free.
    pub fn try_lock(slot: &'a InodeSlot, who: &impl Liveness) -> Option<Self> {
        Some(Self::begin(slot, slot.lock.try_lock(who)?))
    }

    #[inline]
    fn begin(slot: &'a InodeSlot, lock: Guard<'a>) -> Self {
        let version = slot.version.load(Relaxed);
        // Already odd: the previous owner died; its work is a correct state, the counter goes on from there.
        slot.version.store(version | 1, Relaxed);
        fence(Release);
        WriteGuard { slot, lock }
    }

    /// Whether the previous owner died holding the lock.
    #[inline]
    pub fn is_inherited(&self) -> bool {
        self.lock.inherited
    }
}

impl Drop for WriteGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        let version = self.slot.version.load(Relaxed);
        self.slot.version.store(version + 1, Release);
    }
}

/// A look at an inode without a lock: what was read counts only if [`ReadGuard::is_valid`] says so afterwards.
pub struct ReadGuard<'a> {
    slot: &'a InodeSlot,
    version: u64,
}

impl<'a> ReadGuard<'a> {
    /// Begins a look. A writer that is at work is waited for briefly; if it stays, the check afterwards fails.
    #[inline]
    pub fn begin(slot: &'a InodeSlot) -> Self {
        let mut version = slot.version.load(Acquire);
        let mut spins = 0;
        while version & 1 == 1 && spins < LOOKS {
            spin_loop();
            version = slot.version.load(Acquire);
            spins += 1;
        }
        ReadGuard { slot, version }
    }

    /// Whether nothing changed since the begin.
    #[inline]
    pub fn is_valid(&self) -> bool {
        fence(Acquire);
        self.version & 1 == 0 && self.slot.version.load(Relaxed) == self.version
    }
}
