//! Open files and directories: reading, writing, listing.

use super::caller::Caller;
use super::{Server, ino_of, kind_of, lock};
use flac::fs::names::DirList;
use flac::{Error, Result};
use fuser::{FileHandle, INodeNo, ReplyDirectory};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

/// Set by the kernel in the flags of a file that is going to be executed.
const EXEC: i32 = 0x20;

impl Server {
    /// Opens a file if the caller may; the kernel leaves that to us.
    pub fn open(&self, node: INodeNo, flags: i32, caller: &Caller) -> Result<usize> {
        let want = match flags & libc::O_ACCMODE {
            _ if flags & EXEC != 0 => libc::X_OK,
            libc::O_RDONLY => libc::R_OK,
            libc::O_WRONLY => libc::W_OK,
            _ => libc::R_OK | libc::W_OK,
        };
        let ino = ino_of(node);
        self.fs().access(ino, want, &caller.creds())?;
        self.open_file(ino, flags & !EXEC)
    }

    pub fn read_into(&self, fh: FileHandle, buffer: &mut Vec<u8>, size: usize, at: u64) -> Result<usize> {
        buffer.resize(buffer.len().max(size), 0);
        self.fs().read_bytes(self.held(fh)?, &mut buffer[..size], at)
    }

    pub fn write(&self, node: INodeNo, fh: FileHandle, bytes: &[u8], at: u64, caller: &Caller) -> Result<()> {
        self.fs().write_bytes(self.held(fh)?, bytes, at)?;
        self.drop_set_ids(ino_of(node), caller)
    }

    pub fn open_dir(&self, node: INodeNo, flags: i32, caller: &Caller) -> Result<u64> {
        self.fs().access(ino_of(node), libc::R_OK, &caller.creds())?;
        // Held: it stays a directory if it is removed.
        Ok(self.open_file(ino_of(node), flags & libc::O_NOATIME | libc::O_DIRECTORY)? as u64)
    }

    pub fn close_dir(&self, fh: FileHandle) {
        lock(&self.0.lists).remove(&fh.0);
        self.close_file(fh.0 as usize);
    }

    /// Fills `reply` from position `at` on. A listing that is begun anew is made anew.
    pub fn list(&self, node: INodeNo, fh: FileHandle, at: u64, reply: &mut ReplyDirectory) -> Result<()> {
        let list = match at {
            0 => self.list_anew(node, fh)?,
            _ => match lock(&self.0.lists).get(&fh.0) {
                Some(list) => list.clone(),
                // Wound to a place without having read: positions are those of a listing as it is now.
                None => self.list_anew(node, fh)?,
            },
        };
        let mut position = at as usize;
        while let Some(((ino, dtype, name), after)) = list.at(position) {
            if reply.add(INodeNo(ino.get()), after as u64, kind_of((dtype as u32) << 12), OsStr::from_bytes(name)) {
                break;
            }
            position = after;
        }
        Ok(())
    }

    fn list_anew(&self, node: INodeNo, fh: FileHandle) -> Result<Arc<DirList>> {
        let list = match self.fs().list_dir(ino_of(node)) {
            Ok(list) => {
                self.fs().was_listed(self.held(fh)?);
                Arc::new(list)
            }
            // Removed: there is nothing in it.
            Err(Error::Os(libc::ENOENT)) => Arc::default(),
            Err(e) => return Err(e),
        };
        lock(&self.0.lists).insert(fh.0, list.clone());
        Ok(list)
    }
}
