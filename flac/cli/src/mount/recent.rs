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
    holds: HashMap<u64, (usize, Instant)>,
    order: VecDeque<(Instant, u64)>,
}

impl Server {
    /// Holds an inode for a moment (without a free slot it is not held). `false`: it is gone.
    pub fn keep(&self, ino: Ino) -> bool {
        if let Some((_, since)) = lock(&self.0.recent).holds.get_mut(&ino.get()) {
            *since = Instant::now();
            return true;
        }
        let hold = match self.open_file(ino, libc::O_PATH) {
            Ok(hold) => hold,
            Err(e) => return e.errno() != libc::ENOENT,
        };
        let mut recent = lock(&self.0.recent);
        let now = Instant::now();
        let twice = recent.holds.insert(ino.get(), (hold, now));
        recent.order.push_back((now, ino.get()));
        drop(recent);
        if let Some((hold, _)) = twice {
            self.close_file(hold);
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
            match recent.holds.get(&ino).copied() {
                // Looked up again since.
                Some((_, again)) if again > since && !too_many => recent.order.push_back((again, ino)),
                Some((hold, _)) => {
                    recent.holds.remove(&ino);
                    drop(recent);
                    self.close_file(hold);
                }
                None => {}
            }
        }
    }

    /// The kernel has forgotten the inode.
    pub fn forget_recent(&self, ino: u64) {
        let kept = lock(&self.0.recent).holds.remove(&ino);
        if let Some((hold, _)) = kept {
            self.close_file(hold);
        }
    }
}
