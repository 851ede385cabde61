//! Inodes that the kernel has looked up a moment ago. It opens by number what it found by name; if the name was given to another file in between, as
//! programs do that replace a file by renaming, the number must still be that of a file. So what was looked up is held for a second. Not longer: space of a
//! removed file is free only when nobody holds it.

use super::{Server, lock};
use flac::units::Ino;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

const AGE: Duration = Duration::from_secs(1);
/// No more at a time: each takes an open-file slot of the pool.
const MOST: usize = 1024;
/// How often somebody looks for what is too old.
pub const SWEEP: Duration = Duration::from_millis(250);

/// What is held: by number, and in the order of time.
#[derive(Default)]
pub struct Recent {
    kept: HashMap<u64, Kept>,
    order: VecDeque<(Instant, u64)>,
}

#[derive(Clone, Copy)]
struct Kept {
    hold: usize,
    /// When it was last looked up.
    last: Instant,
    /// How often: the kernel forgets each time by itself, late and after having looked it up again.
    lookups: u64,
}

impl Server {
    /// Holds an inode for a moment (without a free slot it is not held). `false`: it is gone.
    pub fn keep(&self, ino: Ino) -> bool {
        if let Some(kept) = lock(&self.0.recent).kept.get_mut(&ino.get()) {
            kept.last = Instant::now();
            kept.lookups += 1;
            return true;
        }
        let hold = match self.open_file(ino, libc::O_PATH) {
            Ok(hold) => hold,
            Err(e) => return e.errno() != libc::ENOENT,
        };
        let mut recent = lock(&self.0.recent);
        let last = Instant::now();
        let twice = recent.kept.insert(ino.get(), Kept { hold, last, lookups: 1 });
        if let (Some(kept), Some(twice)) = (recent.kept.get_mut(&ino.get()), twice) {
            kept.lookups += twice.lookups;
        }
        recent.order.push_back((last, ino.get()));
        drop(recent);
        if let Some(twice) = twice {
            self.close_file(twice.hold);
        }
        self.let_go(MOST);
        true
    }

    /// Gives up what is too old, and what is more than `most`.
    pub fn let_go(&self, most: usize) {
        loop {
            let mut recent = lock(&self.0.recent);
            let too_many = recent.order.len() > most;
            let Some((since, ino)) = recent.order.front().copied() else { return };
            if !too_many && since.elapsed() < AGE {
                return;
            }
            recent.order.pop_front();
            match recent.kept.get(&ino).copied() {
                // Looked up again since.
                Some(kept) if kept.last > since && !too_many => recent.order.push_back((kept.last, ino)),
                Some(kept) => {
                    recent.kept.remove(&ino);
                    drop(recent);
                    self.close_file(kept.hold);
                }
                None => {}
            }
        }
    }

    /// The kernel has forgotten so many look-ups of the inode.
    pub fn forget_recent(&self, ino: u64, lookups: u64) {
        let mut recent = lock(&self.0.recent);
        let Some(kept) = recent.kept.get_mut(&ino) else { return };
        kept.lookups = kept.lookups.saturating_sub(lookups);
        if kept.lookups == 0 {
            let hold = kept.hold;
            recent.kept.remove(&ino);
            drop(recent);
            self.close_file(hold);
        }
    }
}
