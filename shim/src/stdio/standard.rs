//! stdin, stdout and stderr, replaced at start-up by dispatching streams: what they are connected to may be, or become, FLAC's.
//!
//! The library is linked to be initialised before all others (`build.rs`), so nobody has used or kept the originals. Ours take over their
//! buffering and their wide data (libc's wide functions then work on them as on the originals, past us).
#![expect(unsafe_code, reason = "libc's variables and functions on streams")]

use super::cookie;
use super::file::{__fpurge, File, Stream, flag, stderr, stdin, stdout};
use super::mode::Mode;
use crate::{boundary, log};
use libc::{c_char, c_int};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The largest block of a kernel's object that libc takes as buffer size (it never takes more than 8192, its own default).
const BUFFER: usize = 4096;

static OURS: [AtomicPtr<File>; 3] = [const { AtomicPtr::new(std::ptr::null_mut()) }; 3];

struct Buffers([UnsafeCell<[u8; BUFFER]>; 2]);
// SAFETY: each belongs to one stream, which libc locks.
unsafe impl Sync for Buffers {}
#[unsafe(link_section = ".sbss.large")]
static BUFFERS: Buffers = Buffers([const { UnsafeCell::new([0; BUFFER]) }; 2]);

/// Replaces the three streams. Does nothing, and says so, if this libc is not laid out as we know it.
pub fn replace() {
    // SAFETY: start-up: no other thread, and libc's variables are set.
    let originals = unsafe { [stdin, stdout, stderr] };
    if !cookie::learn(originals[1], 1) {
        log::fatal(format_args!("this libc's streams are not laid out as expected: stdio on FLAC files is refused"));
        return;
    }
    let mut made = [Stream::NULL; 3];
    for (i, original) in originals.into_iter().enumerate() {
        let fd = i as c_int;
        let flags = if fd == 0 { libc::O_RDONLY } else { libc::O_WRONLY };
        let Ok(stream) = cookie::make(fd, Mode { flags, is_calm: false }) else { return };
        stream.set_wide_data(original.wide_data());
        stream.forget_orientation();
        stream.change_flags(original.flags() & (flag::UNBUFFERED | flag::LINE_BUF), 0);
        OURS[i].store(stream.0, Ordering::Relaxed);
        made[i] = stream;
    }
    fit(made[0], 0);
    fit(made[1], 1);
    // SAFETY: the manual allows assigning to them; start-up as above.
    unsafe {
        libc::setvbuf(made[2].libc(), std::ptr::null_mut(), libc::_IONBF, 0);
        stdin = made[0];
        stdout = made[1];
        stderr = made[2];
    }
}

/// Which of the three `stream` is.
#[inline]
pub fn number(stream: Stream) -> Option<c_int> {
    OURS.iter().position(|ours| ours.load(Ordering::Relaxed) == stream.0).filter(|_| !stream.is_null()).map(|i| i as c_int)
}

/// Gives a stream without a buffer what libc would choose for `fd` at the first use: its object's block as buffer, lines for a terminal.
fn fit(stream: Stream, fd: c_int) {
    let Some(buffer) = BUFFERS.0.get(fd as usize) else { return };
    let Ok(stub) = crate::fds::borrow(fd) else { return };
    let Ok(stat) = rustix::fs::fstat(stub) else { return };
    let is_regular = stat.st_mode & libc::S_IFMT == libc::S_IFREG;
    let is_flac = is_regular && rustix::fs::fcntl_getfl(stub).is_ok_and(|f| f.bits().cast_signed() & libc::O_ACCMODE == libc::O_ACCMODE);
    let size = stat.st_blksize as usize;
    // SAFETY: the stream was not used yet; the buffer is its own, for ever.
    unsafe {
        if (1..=BUFFER).contains(&size) && !is_flac {
            libc::setvbuf(stream.libc(), buffer.get().cast::<c_char>(), libc::_IOFBF, size);
        }
        if stat.st_mode & libc::S_IFMT == libc::S_IFCHR && libc::isatty(fd) == 1 {
            libc::setvbuf(stream.libc(), std::ptr::null_mut(), libc::_IOLBF, 0);
        }
    }
}

/// Something else is at descriptor `fd` now. A standard stream that was not used yet is fitted to it, as libc would find it.
pub fn descriptor_changed(fd: c_int) {
    let Some(place) = usize::try_from(fd).ok().filter(|i| *i < 2).map(|i| &OURS[i]) else { return };
    let stream = Stream(place.load(Ordering::Relaxed));
    if stream.is_null() || !stream.is_fresh() || stream.fileno() != fd || stream.flags() & flag::UNBUFFERED != 0 {
        return;
    }
    let (base, _) = stream.buffer();
    if base.is_null() || base.cast_const() == BUFFERS.0[fd as usize].get().cast_const().cast::<u8>() {
        stream.forget_buffer();
        fit(stream, fd);
    }
}

/// `fclose` of one of the three: writes what is buffered and closes the descriptor. The stream stays, closed, as libc's own do: programs and libraries
/// use them after that, and must get errors.
pub fn close(stream: Stream) -> c_int {
    let mut result = 0;
    let fd = stream.fileno();
    // SAFETY: a live stream; `fflush` and `close` as libc's fclose calls them, in that order.
    unsafe {
        let wrote = if stream.flags() & flag::CURRENTLY_PUTTING != 0 { libc::fflush(stream.libc()) } else { 0 };
        let errno = boundary::errno();
        if libc::close(fd) != 0 {
            result = libc::EOF;
        } else if wrote != 0 {
            boundary::set_errno(errno);
            result = libc::EOF;
        }
    }
    shut(stream);
    result
}

/// Leaves the stream without descriptor, buffer and contents.
pub fn shut(stream: Stream) {
    let before = boundary::errno();
    if number(stream).is_some() {
        cookie::restore(stream);
    }
    // SAFETY: a live stream; nothing is written by either.
    unsafe {
        __fpurge(stream);
        libc::setvbuf(stream.libc(), std::ptr::null_mut(), libc::_IONBF, 0);
    }
    stream.forget_buffer();
    stream.set_fileno(-1);
    stream.change_flags(flag::NO_READS | flag::NO_WRITES, flag::EOF_SEEN | flag::ERR_SEEN | flag::CURRENTLY_PUTTING | flag::IS_APPENDING);
    boundary::set_errno(before);
}
