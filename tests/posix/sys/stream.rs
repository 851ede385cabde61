#![expect(unsafe_code, reason = "wraps the streams of stdio")]
//! stdio streams.

use super::{Errno, Fd, Raw, Sys, c_path};
use std::ffi::OsStr;

/// A stdio stream, closed when dropped.
pub struct Stream(*mut libc::FILE);

fn stream(opened: *mut libc::FILE) -> Sys<Stream> {
    if opened.is_null() { Err(Errno::last()) } else { Ok(Stream(opened)) }
}

fn check(result: i32) -> Sys<()> {
    if result == 0 { Ok(()) } else { Err(Errno::last()) }
}

pub fn fopen(path: impl AsRef<OsStr>, mode: &str) -> Sys<Stream> {
    let (path, mode) = (c_path(path), c_path(mode));
    // SAFETY: two C strings.
    stream(unsafe { libc::fopen(path.as_ptr(), mode.as_ptr()) })
}

/// `fdopen`; the stream owns the descriptor where the call succeeds.
pub fn fdopen(fd: Fd, mode: &str) -> Sys<Stream> {
    let mode = c_path(mode);
    // SAFETY: a C string.
    let opened = stream(unsafe { libc::fdopen(fd.raw(), mode.as_ptr()) })?;
    fd.leak();
    Ok(opened)
}

pub fn tmpfile() -> Sys<Stream> {
    // SAFETY: no pointers.
    stream(unsafe { libc::tmpfile() })
}

/// `popen`; close it with `pclose`.
pub fn popen(command: impl AsRef<OsStr>, mode: &str) -> Sys<Stream> {
    let (command, mode) = (c_path(command), c_path(mode));
    // SAFETY: two C strings.
    stream(unsafe { libc::popen(command.as_ptr(), mode.as_ptr()) })
}

impl Stream {
    /// The stream as libc knows it.
    pub(super) fn pointer(&self) -> *mut libc::FILE {
        self.0
    }

    pub fn close(self) -> Sys<()> {
        let pointer = self.0;
        std::mem::forget(self);
        // SAFETY: the stream is open and not used afterwards.
        check(unsafe { libc::fclose(pointer) })
    }

    /// `pclose`: the exit status of the command.
    pub fn pclose(self) -> i32 {
        let pointer = self.0;
        std::mem::forget(self);
        // SAFETY: the stream came from `popen` and is not used afterwards.
        libc::WEXITSTATUS(unsafe { libc::pclose(pointer) })
    }

    /// `freopen` on this stream; `None` changes only the mode.
    pub fn reopen(&mut self, path: Option<&OsStr>, mode: &str) -> Sys<()> {
        let (path, mode) = (path.map(c_path), c_path(mode));
        let path = path.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
        // SAFETY: C strings or null; libc returns the same stream.
        if unsafe { libc::freopen(path, mode.as_ptr(), self.0) }.is_null() { Err(Errno::last()) } else { Ok(()) }
    }

    /// `fwrite` of all bytes: how many went in.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        // SAFETY: the bytes are valid for the call.
        unsafe { libc::fwrite(bytes.as_ptr().cast(), 1, bytes.len(), self.0) }
    }

    /// `fread` of up to `length` bytes.
    pub fn read(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0_u8; length];
        // SAFETY: the buffer has `length` bytes.
        let count = unsafe { libc::fread(bytes.as_mut_ptr().cast(), 1, length, self.0) };
        bytes.truncate(count);
        bytes
    }

    pub fn getc(&mut self) -> Option<u8> {
        // SAFETY: the stream is open.
        u8::try_from(unsafe { libc::fgetc(self.0) }).ok()
    }

    pub fn ungetc(&mut self, byte: u8) -> Sys<()> {
        // SAFETY: the stream is open.
        if unsafe { libc::ungetc(i32::from(byte), self.0) } == libc::EOF { Err(Errno::last()) } else { Ok(()) }
    }

    /// `getline`: the line with its newline; `None` at the end.
    pub fn getline(&mut self) -> Option<Vec<u8>> {
        let (mut line, mut room) = (std::ptr::null_mut(), 0);
        // SAFETY: libc allocates the line; it is copied, then freed.
        unsafe {
            let length = libc::getline(&raw mut line, &raw mut room, self.0);
            let copy = usize::try_from(length).ok().map(|length| std::slice::from_raw_parts(line.cast::<u8>(), length).to_vec());
            libc::free(line.cast());
            copy
        }
    }

    pub fn seek(&mut self, offset: i64, whence: i32) -> Sys<()> {
        // SAFETY: the stream is open.
        check(unsafe { libc::fseeko(self.0, offset, whence) })
    }

    pub fn tell(&mut self) -> Sys<i64> {
        // SAFETY: the stream is open.
        let at = unsafe { libc::ftello(self.0) };
        if at == -1 { Err(Errno::last()) } else { Ok(at) }
    }

    pub fn flush(&mut self) -> Sys<()> {
        // SAFETY: the stream is open.
        check(unsafe { libc::fflush(self.0) })
    }

    pub fn fileno(&self) -> i32 {
        // SAFETY: the stream is open.
        unsafe { libc::fileno(self.0) }
    }

    pub fn at_end(&self) -> bool {
        // SAFETY: the stream is open.
        unsafe { libc::feof(self.0) != 0 }
    }

    pub fn failed(&self) -> bool {
        // SAFETY: the stream is open.
        unsafe { libc::ferror(self.0) != 0 }
    }

    /// `setvbuf` with a buffer of libc's own.
    pub fn set_buffer(&mut self, mode: i32, size: usize) -> Sys<()> {
        // SAFETY: a null buffer lets libc allocate.
        check(unsafe { libc::setvbuf(self.0, std::ptr::null_mut(), mode, size) })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: the stream is open and not used afterwards.
        unsafe { libc::fclose(self.0) };
    }
}
