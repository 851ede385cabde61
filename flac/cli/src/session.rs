//! A tool's visit to a pool: it leaves the volatile state as it found it.

use crate::failure::Failure;
use crate::location;
use flac::fs::admin::Volatile;
use flac::{Config, Fs};
use std::mem::ManuallyDrop;
use std::path::Path;

/// An open pool. [`Session::close`] ends the visit; a session that is dropped on the way out of an error ends it, too, without writing back.
pub struct Session {
    // What it maps stays mapped until this process ends.
    fs: ManuallyDrop<Fs>,
    pool: std::path::PathBuf,
    /// Nobody had opened the pool before: the volatile state is ours to remove.
    first: bool,
    closed: bool,
}

impl Session {
    /// Opens the pool.
    pub fn open(pool: &Path) -> Result<Self, Failure> {
        let dram = location::dram()?;
        let first = Volatile::of(pool)?.is_none();
        // Buffers of a tool are reused at once: attaching pages to them is of no use.
        let config = Config { dram, attach: false, ..Config::new(pool) };
        let fs = Fs::open(&config).inspect_err(|_| remove_if(first, pool))?;
        Ok(Self { fs: ManuallyDrop::new(fs), pool: pool.to_owned(), first, closed: false })
    }

    /// The file system.
    pub fn fs(&self) -> &Fs {
        &self.fs
    }

    /// Whether nobody had opened the pool before.
    pub fn is_first(&self) -> bool {
        self.first
    }

    /// Ends the visit. Where nobody had opened the pool before and nobody else uses it now, everything is written back and the
    /// volatile state removed.
    pub fn close(mut self) -> Result<(), Failure> {
        self.closed = true;
        match Volatile::of(&self.pool)?.filter(|_| self.first) {
            Some(state) => match self.fs.take_down(&state, false) {
                Ok(others) if others.is_empty() => {}
                Ok(_) => self.fs.exit(),
                Err(e) => {
                    self.fs.exit();
                    return Err(e.into());
                }
            },
            None => self.fs.exit(),
        }
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.closed {
            self.fs.exit();
        }
    }
}

/// Removes what a failed opening left behind.
fn remove_if(first: bool, pool: &Path) {
    if !first {
        return;
    }
    if let Ok(Some(state)) = Volatile::of(pool)
        && let Ok(lock) = state.lock()
        && state.mapped_by().is_empty()
    {
        let _ = state.remove(lock);
    }
}
