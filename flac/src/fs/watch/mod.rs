#![expect(unsafe_code, reason = "truncate by path")]
//! Watching: `inotify` on what is in FLAC, by the kernel's own hand.
//!
//! A watched directory or file has a *shadow*, a real one below `<run dir>/w`, and it is the shadow that the program's inotify descriptor watches. Who changes something of
//! a watched inode does the like to its shadow (makes, links, moves or removes an entry, truncates, touches it), and the kernel tells all who watch. So queue, cookies, merging,
//! overflow, `poll`, fork, exec and the order of events are the kernel's. While nobody watches, a change costs one load.
//!
//! * `shared.on` says whether anybody watches; `shared.known` (a filter by hash, bits are only set) which inodes may have a shadow.
//! * Changes of names are replayed in the order of their records: the lock is taken before the record is, under the writer lock.
//! * Each process that watches holds a lock on a file in `w/p`. When none is locked, the next who looks removes all shadows: a watch lives no longer than its process and what
//!   that forked.
//! * A process that is killed between its change and the replay leaves the shadow behind the truth by that change: its event is lost, and the next about that name may be.

mod shadow;
mod told;

pub(super) use told::Told;

use super::Fs;
use super::attr::SetAttr;
use super::names::Change;
use super::record::place;
use crate::error::{Error, Result};
use crate::media::OwnFd as Fd;
use crate::sync::Ordering::*;
use crate::sync::{AtomicU32, AtomicU64, RobustLock};
use crate::units::Ino;
use rustix::fs::{FlockOperation, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use shadow::Shadow;
use std::path::{Path, PathBuf};

/// Words of the filter.
const WORDS: usize = 4096;
/// After so many events somebody looks whether anybody still watches.
const LOOK_EVERY: u32 = 256;

/// What all processes know about watching.
#[repr(C)]
pub struct WatchShared {
    /// 1 while somebody may be watching.
    on: AtomicU32,
    /// Serialises changes of shadows. Inside the namespace lock.
    lock: RobustLock,
    /// Events so far.
    events: AtomicU32,
    _pad: [AtomicU32; 13],
    known: [AtomicU64; WORDS],
}

impl WatchShared {
    fn bit(ino: Ino) -> (usize, u64) {
        let hash = ino.get().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - 18);
        (hash as usize / 64, 1 << (hash % 64))
    }
    fn knows(&self, ino: Ino) -> bool {
        let (word, bit) = Self::bit(ino);
        self.known[word].load(Relaxed) & bit != 0
    }
    fn know(&self, ino: Ino) {
        let (word, bit) = Self::bit(ino);
        self.known[word].fetch_or(bit, Relaxed);
    }
    fn forget_all(&self) {
        self.on.store(0, Release);
        self.known.iter().for_each(|word| word.store(0, Relaxed));
    }
}

const _: () = assert!(WORDS * 64 == 1 << 18);

/// Sets the access time of a shadow, and the modification time or not.
fn touch(path: &Path, mtime: i64) {
    let time = |nsec| Timespec { tv_sec: 0, tv_nsec: nsec };
    let times = Timestamps { last_access: time(UTIME_NOW), last_modification: time(mtime) };
    let _ = rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::empty());
}

impl Fs {
    fn shared(&self) -> &'static WatchShared {
        self.region.control.watch()
    }

    /// Whether anybody watches anything.
    #[inline]
    pub fn is_watching(&self) -> bool {
        self.shared().on.load(Relaxed) != 0
    }

    /// Whether the inode may have a shadow.
    #[inline]
    fn may_be_watched(&self, ino: Ino) -> bool {
        self.is_watching() && self.shared().knows(ino)
    }

    fn shadow(&self) -> Shadow {
        Shadow::new(self.run_dir().join("w"))
    }

    /// Gives the inode a shadow, and every entry of a directory one in it. Returns the path that inotify is to watch. The caller has checked permission.
    pub fn watch(&self, ino: Ino) -> Result<PathBuf> {
        // Nobody changes names until the shadow shows them all.
        let op = Change::begin(self)?;
        let shared = self.shared();
        let _order = shared.lock.lock(&*self.procs);
        let shadow = self.shadow();
        shadow.prepare().map_err(Error::io("make directories for watching"))?;
        self.look_for_watchers(&shadow);
        self.hold_watcher_lock(&shadow)?;
        let inode = op.inode(ino)?;
        let failed = Error::io("make what inotify watches");
        match inode.attr.is_dir() {
            true if shadow.has_all(ino) => {}
            true => {
                shadow.begin_directory(ino).map_err(&failed)?;
                for (entry, kind, name) in self.list_dir(ino)?.iter().skip(2) {
                    shared.know(entry);
                    shadow.create(ino, name, entry, kind == libc::DT_DIR).map_err(&failed)?;
                }
                shadow.end_directory(ino).map_err(&failed)?;
            }
            false if shadow.has(ino) => {}
            false => shadow.add_file(ino).map_err(&failed)?,
        }
        shared.know(ino);
        shared.on.store(1, Release);
        Ok(shadow.of(ino))
    }

    /// Holds this process's lock in `w/p`, which says that it watches.
    fn hold_watcher_lock(&self, shadow: &Shadow) -> Result<()> {
        self.watcher.with(|watcher| {
            if watcher.as_ref().is_some_and(Fd::is_ours) {
                return Ok(());
            }
            let since = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
            let name = format!("{}-{}-{}", rustix::process::getpid().as_raw_nonzero(), since.tv_sec, since.tv_nsec);
            let file = Fd::open(&shadow.watchers().join(name), OFlags::RDWR | OFlags::CREATE, Mode::from_raw_mode(0o666))
                .map_err(Error::io("note that this process watches"))?;
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared).map_err(Error::io("note that this process watches"))?;
            *watcher = Some(file);
            Ok(())
        })
    }

    /// Removes all shadows if no process is left that watches. Needs the lock.
    fn look_for_watchers(&self, shadow: &Shadow) {
        if !shadow.somebody_watches() {
            self.shared().forget_all();
            shadow.clear();
        }
    }

    /// The shadow of a file that somebody watches, for a descriptor whose opening and closing is to be seen.
    pub fn shadow_to_open(&self, ino: Ino) -> Option<PathBuf> {
        self.may_be_watched(ino).then(|| self.shadow()).filter(|shadow| shadow.has(ino)).map(|shadow| shadow.of(ino))
    }

    /// Counts an event; now and then looks whether anybody still watches.
    fn count_event(&self) {
        let shared = self.shared();
        if shared.events.fetch_add(1, Relaxed) % LOOK_EVERY == LOOK_EVERY - 1 {
            let _order = shared.lock.lock(&*self.procs);
            self.look_for_watchers(&self.shadow());
        }
    }

    /// `IN_MODIFY`. For whoever opens with `O_TRUNC` to call, once the opening was seen; all else tells by itself.
    #[inline]
    pub fn tell_modified(&self, ino: Ino) {
        if self.may_be_watched(ino) {
            self.modify_shadow(ino);
        }
    }

    #[cold]
    fn modify_shadow(&self, ino: Ino) {
        self.count_event();
        if let Ok(path) = std::ffi::CString::new(self.shadow().of(ino).into_os_string().into_encoded_bytes()) {
            // SAFETY: a C string. The size is what it was: the kernel calls it a change all the same.
            unsafe { libc::truncate(path.as_ptr(), shadow::SIZE) };
        }
    }

    /// `IN_ACCESS`.
    #[inline]
    pub(super) fn tell_accessed(&self, ino: Ino) {
        if self.may_be_watched(ino) {
            self.count_event();
            touch(&self.shadow().of(ino), UTIME_OMIT);
        }
    }

    /// `IN_ATTRIB`, of a directory also to who watches its parent.
    #[inline]
    pub(super) fn tell_attributes(&self, ino: Ino) {
        if self.is_watching() {
            self.count_event();
            self.touch_shadows(ino);
        }
    }

    /// A change of attributes as the kernel tells of it: of one time alone as of access or content.
    pub(super) fn tell_set(&self, ino: Ino, change: &SetAttr) {
        match (change.atime, change.mtime) {
            _ if change.mode.is_some() || change.uid.is_some() || change.gid.is_some() => self.tell_attributes(ino),
            (Some(_), None) => self.tell_accessed(ino),
            (None, Some(_)) => self.tell_modified(ino),
            _ => self.tell_attributes(ino),
        }
    }

    #[cold]
    fn touch_shadows(&self, ino: Ino) {
        // The shadow that a directory has as an entry of its parent is another one than that which is watched for its own entries. The parent's watchers are told first.
        let found = self.meta.view(|view| Ok(place(view, ino)?.map(|(parent, name)| (parent, name.to_vec()))));
        if let Ok(Some((parent, name))) = found
            && self.shared().knows(parent)
        {
            touch(&self.shadow().entry(parent, &name), UTIME_NOW);
        }
        if self.shared().knows(ino) {
            touch(&self.shadow().of(ino), UTIME_NOW);
        }
    }
}
