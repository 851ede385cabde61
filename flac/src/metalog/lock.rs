//! A lock between threads and processes that neither a death nor a fork leaves closed.

use crate::error::{Error, Result};
use crate::media::file::{File, FileLock};
use crate::sync::{AtomicU32, Ordering};
use rustix::thread::futex;
use std::path::Path;

/// A lock file and, for the threads of one process, a word. Where a program closes our descriptors the lock between processes can be lost
/// while held, so what it protects must stay correct without it.
pub(crate) struct ProcessLock {
    /// 0 free, 1 taken, 2 taken and somebody sleeps.
    word: AtomicU32,
    file: File,
}

/// A [`ProcessLock`] held.
pub(crate) struct Held<'l> {
    lock: &'l ProcessLock,
    file: Option<FileLock<'l>>,
}

impl ProcessLock {
    /// The lock whose file is `path`, which is made if missing.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open_or_create(path).map_err(Error::io("opening a lock in the run directory"))?;
        Ok(Self { word: AtomicU32::new(0), file })
    }

    /// Takes the lock.
    pub(crate) fn lock(&self) -> Result<Held<'_>> {
        if self.word.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            while self.word.swap(2, Ordering::Acquire) != 0 {
                let _ = futex::wait(&self.word, futex::Flags::PRIVATE, 2, None);
            }
        }
        let mut held = Held { lock: self, file: None };
        held.file = Some(self.file.lock().map_err(Error::io("locking a file in the run directory"))?);
        Ok(held)
    }

    /// In a forked child: no thread holds it.
    pub(crate) fn after_fork_child(&self) {
        self.word.store(0, Ordering::Release);
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.file = None;
        if self.lock.word.swap(0, Ordering::Release) == 2 {
            let _ = futex::wake(&self.lock.word, futex::Flags::PRIVATE, 1);
        }
    }
}
