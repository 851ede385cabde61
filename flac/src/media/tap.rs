//! The one place where every change of a pool's files passes: stores and writes, sizes, names, and what makes them durable. Tests listen here
//! (`sim`) and replay a power cut at every step; in a real build nothing happens.
//!
//! Whoever changes a file of the pool calls these right after the change, through [`super::file`] or by himself.

#[cfg(test)]
pub(crate) use super::sim::tape::{
    appended, created, dir_synced, fenced, flushed, flushing, fs_type, removed, renamed, resized, taking, written_back, wrote,
};

#[cfg(not(test))]
mod silent {
    use super::super::fd::FileId;
    use rustix::io::{IoSlice, Result};
    use std::path::Path;

    /// A file was made.
    #[inline(always)]
    pub(crate) fn created(_path: &Path, _id: FileId) {}
    /// Bytes were written or stored; `direct`: past the page cache.
    #[inline(always)]
    pub(crate) fn wrote(_id: FileId, _at: u64, _from: &[IoSlice<'_>], _direct: bool) {}
    /// Bytes were added to the end, which is now at `end`; `direct`: past the page cache.
    #[inline(always)]
    pub(crate) fn appended(_id: FileId, _end: u64, _from: &[u8], _direct: bool) {}
    /// The size was set.
    #[inline(always)]
    pub(crate) fn resized(_id: FileId, _len: u64) {}
    /// The bytes between are durable; up to `u64::MAX`: all, and the size.
    #[inline(always)]
    pub(crate) fn flushed(_id: FileId, _from: u64, _to: u64) {}
    /// The lines of the range are being written back to persistent memory.
    #[inline(always)]
    pub(crate) fn written_back(_id: FileId, _from: u64, _to: u64) {}
    /// What was being written back is durable, in all files.
    #[inline(always)]
    pub(crate) fn fenced(_id: FileId) {}
    /// A file was renamed.
    #[inline(always)]
    pub(crate) fn renamed(_from: &Path, _to: &Path) {}
    /// A file was unlinked.
    #[inline(always)]
    pub(crate) fn removed(_path: &Path) {}
    /// The names in a directory are durable.
    #[inline(always)]
    pub(crate) fn dir_synced(_dir: &Path) {}
    /// About to take `bytes` of the file system's space; a test may answer that there is none.
    #[inline(always)]
    pub(crate) fn taking(_path: &Path, _bytes: u64) -> Result<()> {
        Ok(())
    }
    /// About to make a file durable; a test may answer that the device failed.
    #[inline(always)]
    pub(crate) fn flushing(_path: &Path) -> Result<()> {
        Ok(())
    }
    /// The type of the file system that a test simulates.
    #[inline(always)]
    pub(crate) fn fs_type(_dir: &Path) -> Option<u64> {
        None
    }
}
#[cfg(not(test))]
pub(crate) use silent::{
    appended, created, dir_synced, fenced, flushed, flushing, fs_type, removed, renamed, resized, taking, written_back, wrote,
};
