//! Large `fread`s on dispatching streams. libc's cookie streams read through their buffer, block by block; here whole blocks go straight to
//! the program's memory, as libc does for streams of its own (and where pages may be attached).
#![expect(unsafe_code, reason = "the program's buffer, libc's functions on streams")]

use super::cookie;
use super::file::{Stream, flag, flockfile, funlockfile};

/// From this size on: twice libc's buffer.
const LARGE: usize = 16384;

/// Whether an `fread` of `len` bytes is for [`read`].
#[inline]
pub fn is_large(stream: Stream, len: usize) -> bool {
    len >= LARGE && !stream.is_null() && cookie::is_dispatching(stream)
}

/// Reads up to `len` bytes; how many. Sets the stream's end and error flags as `fread` does.
///
/// # Safety
/// As for `fread`.
pub unsafe fn read(to: *mut u8, len: usize, stream: Stream) -> usize {
    // SAFETY: a live stream; the rest is `fread`'s contract.
    unsafe {
        flockfile(stream);
        let done = read_locked(to, len, stream);
        funlockfile(stream);
        done
    }
}

/// As [`read`], for a stream that nobody else uses meanwhile.
///
/// # Safety
/// As for `fread_unlocked`.
pub unsafe fn read_locked(to: *mut u8, len: usize, stream: Stream) -> usize {
    const UNUSUAL: i32 = flag::CURRENTLY_PUTTING | flag::IN_BACKUP | flag::NO_READS | flag::EOF_SEEN;
    // SAFETY: `fread`'s contract; libc's own function, past our hook.
    let through_buffer = |at: usize| unsafe { crate::hooks::stdio::fread_unlocked_of_libc(to.add(at), len - at, stream) };
    if stream.flags() & UNUSUAL != 0 {
        return through_buffer(0);
    }
    stream.choose_bytes();
    let (ahead, had) = stream.ahead();
    let mut done = had.min(len);
    if done > 0 {
        // SAFETY: `ahead` are bytes of the stream's buffer; the program's memory is as large as it says.
        unsafe { std::ptr::copy_nonoverlapping(ahead, to, done) };
        stream.consume(done);
    }
    let block = stream.buffer().1.max(4096);
    while len - done >= block {
        let whole = (len - done) / block * block;
        // SAFETY: as above; `read` is our hook.
        let n = cookie::transfer(stream, || unsafe { libc::read(stream.fileno(), to.add(done).cast(), whole) });
        if n <= 0 {
            stream.change_flags(if n == 0 { flag::EOF_SEEN } else { flag::ERR_SEEN }, 0);
            return done;
        }
        done += n.cast_unsigned();
    }
    if done < len { done + through_buffer(done) } else { done }
}
