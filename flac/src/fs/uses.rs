//! Which open files the calls under way in this process are about, so that no close gives an open-file slot to the next file while another thread is in the midst of reading or writing the last
//! one: its bytes would go there. (The kernel counts a reference for the length of a call; a reference that a killed process left would keep locks, so this is noted here and dies with it.)
//!
//! Whoever has one thread notes nothing.

use super::Fs;
use super::open::OpenId;
use crate::sync::Backoff;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::*};
use std::time::{Duration, Instant};

/// How many calls are about the open file in each slot.
static USES: [AtomicU32; OpenId::SLOTS] = [const { AtomicU32::new(0) }; OpenId::SLOTS];
/// Whether any was ever noted.
static ANY: AtomicBool = AtomicBool::new(false);

/// Longer than this nobody waits: whoever uses it so long may wait for what comes after the close.
const PATIENCE: Duration = Duration::from_secs(2);

impl Fs {
    /// A call begins that is about `id`, held at `hold`. `false`: it is held there no longer.
    #[inline]
    pub fn begin_use(&self, hold: usize, id: OpenId) -> bool {
        if !ANY.load(Relaxed) {
            ANY.store(true, Relaxed);
        }
        USES[id.index()].fetch_add(1, SeqCst);
        // Whoever closes it either is seen here, or sees us.
        let is_held = self.held(hold) == Some(id);
        if !is_held {
            self.end_use(id);
        }
        is_held
    }

    /// The end of what [`Fs::begin_use`] began.
    #[inline]
    pub fn end_use(&self, id: OpenId) {
        USES[id.index()].fetch_sub(1, Release);
    }

    /// Waits until no call is about the open file in slot `index`, of which this process has given up a hold, if it was its last one: what others hold they may close at any moment.
    #[inline]
    pub(super) fn await_uses(&self, index: usize) {
        if ANY.load(Relaxed) && USES[index].load(SeqCst) != 0 && !self.holds().iter().any(|(_, id)| id.index() == index) {
            await_end(&USES[index]);
        }
    }

    /// In a forked child: the parent's other threads are not here.
    pub(super) fn forget_uses(&self) {
        if ANY.load(Relaxed) {
            USES.iter().filter(|uses| uses.load(Relaxed) != 0).for_each(|uses| uses.store(0, Relaxed));
        }
    }
}

#[cold]
fn await_end(uses: &AtomicU32) {
    let (mut backoff, end) = (Backoff::default(), Instant::now() + PATIENCE);
    while uses.load(Acquire) != 0 && Instant::now() < end {
        backoff.wait();
    }
}
