//! A lock between threads and processes that neither a death nor a fork leaves closed.

use crate::error::{Error, Result};
use crate::media::file::File;
use crate::sync::{AtomicU32, Ordering};
use rustix::thread::futex;
use std::path::PathBuf;

/// A lock file and, for the threads of one process, a word. The file is open only while the lock is held: the kernel drops a process's
/// locks on a file as soon as any descriptor of it is closed. Where a program closes our descriptors the lock between processes can be
/// lost, so what it protects must stay correct without it.
pub(crate) struct ProcessLock {
    /// 0 free, 1 taken, 2 taken and somebody sleeps.
    word: AtomicU32,
    path: PathBuf,
}

/// A [`ProcessLock`] held.
pub(crate) struct Held<'l> {
    lock: &'l ProcessLock,
    file: Option<File>,
}

impl ProcessLock {
    /// The lock whose file is `path`, which is made when it is first needed.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { word: AtomicU32::new(0), path }
    }

    /// Takes the lock.
    pub(crate) fn lock(&self) -> Result<Held<'_>> {
        if self.word.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            while self.word.swap(2, Ordering::Acquire) != 0 {
                let _ = futex::wait(&self.word, futex::Flags::PRIVATE, 2, None);
            }
        }
        let mut held = Held { lock: self, file: None };
        let locked = File::open_or_create(&self.path).and_then(|file| file.lock().map(|()| file));
        held.file = Some(locked.map_err(Error::io("locking a file in the run directory"))?);
        Ok(held)
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
