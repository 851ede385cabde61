//! A change of names, as those who watch are told of it.

use super::LOOK_EVERY;
use crate::fs::Fs;
use crate::fs::names::Name;
use crate::sync::{Guard, Ordering::Relaxed};
use crate::units::Ino;

/// An entry: its directory, and its name in it.
pub type Entry = (Ino, Name);

/// What happened to names.
pub enum Told {
    /// An entry was made, perhaps another name of a file.
    Created(Entry, Ino, bool),
    /// An entry was removed, and perhaps the inode with it.
    Removed { entry: Entry, ino: Ino, is_dir: bool, gone: bool },
    /// An entry was renamed; what was at the target is gone if so said.
    Moved { from: Entry, to: Entry, ino: Ino, is_dir: bool, replaced: Option<(Ino, bool)> },
    /// Two entries changed places.
    Exchanged { a: Entry, b: Entry, of_a: (Ino, bool), of_b: (Ino, bool) },
}

impl Fs {
    /// Before a record is written: the order in which its watchers are told is its own.
    pub(in crate::fs) fn order_of_telling(&self) -> Guard<'_> {
        self.shared().lock.lock(&*self.procs)
    }

    /// Whether anybody may be watching what a change is about.
    pub(in crate::fs) fn concerns_watchers(&self, inodes: &[Ino]) -> bool {
        self.is_watching() && inodes.iter().any(|ino| self.shared().knows(*ino))
    }

    /// Tells of a change that was made. Needs the order.
    pub(in crate::fs) fn tell(&self, told: &Told) {
        let (shadow, shared) = (self.shadow(), self.shared());
        if shared.events.fetch_add(1, Relaxed) % LOOK_EVERY == LOOK_EVERY - 1 {
            self.look_for_watchers(&shadow);
        }
        match told {
            Told::Created((dir, name), ino, is_dir) => {
                if shadow.has(*dir) {
                    shared.know(*ino);
                    let _ = shadow.create(*dir, name.as_bytes(), *ino, *is_dir);
                } else {
                    self.touch_shadows(*ino);
                }
            }
            Told::Removed { entry: (dir, name), ino, is_dir, gone } => {
                if !shadow.has(*dir) && !gone {
                    self.touch_shadows(*ino);
                }
                shadow.remove(*dir, name.as_bytes(), *ino, *is_dir, *gone);
            }
            Told::Moved { from, to, ino, is_dir, replaced } => {
                shared.know(*ino);
                if let Some((replaced, false)) = replaced {
                    self.touch_shadows(*replaced);
                }
                shadow.rename((from.0, from.1.as_bytes()), (to.0, to.1.as_bytes()), *ino, *is_dir);
                if let Some((replaced, true)) = replaced {
                    shadow.forget(*replaced);
                }
            }
            Told::Exchanged { a, b, of_a, of_b } => {
                shared.know(of_a.0);
                shared.know(of_b.0);
                shadow.exchange((a.0, a.1.as_bytes()), (b.0, b.1.as_bytes()), *of_a, *of_b);
            }
        }
    }
}
