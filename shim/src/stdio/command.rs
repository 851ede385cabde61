//! `popen`: a child of our own making, since libc's knows nothing of FLAC's descriptors. The stream is one of libc's, on a pipe.
#![expect(unsafe_code, reason = "libc's functions on streams, pipes and processes")]

use super::file::Stream;
use crate::abi::CPath;
use crate::boundary;
use crate::hooks::process::shell;
use libc::c_int;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

/// Streams at a time.
const MOST: usize = 1024;
/// A place that somebody fills.
const RESERVED: usize = 1;

/// A command's stream and process.
struct Command {
    stream: AtomicUsize,
    pid: AtomicI32,
}

#[unsafe(link_section = ".sbss.large")]
static COMMANDS: [Command; MOST] = [const { Command { stream: AtomicUsize::new(0), pid: AtomicI32::new(0) } }; MOST];

fn find(stream: Stream) -> Option<&'static Command> {
    COMMANDS.iter().find(|c| c.stream.load(Ordering::Acquire) == stream.0 as usize)
}

/// Whether [`open`] made this stream.
pub fn is_ours(stream: Stream) -> bool {
    !stream.is_null() && find(stream).is_some()
}

/// `popen`.
pub fn open(command: CPath, kind: CPath) -> Stream {
    let Some((reads, cloexec)) = kind.bytes().ok().and_then(parse) else {
        boundary::set_errno(libc::EINVAL);
        return Stream::NULL;
    };
    let Some(place) = COMMANDS.iter().find(|c| c.stream.compare_exchange(0, RESERVED, Ordering::AcqRel, Ordering::Relaxed).is_ok()) else {
        boundary::set_errno(libc::EMFILE);
        return Stream::NULL;
    };
    let stream = start(command, reads, cloexec, place);
    place.stream.store(stream.0 as usize, Ordering::Release);
    stream
}

/// Whether the program reads, and whether its end is closed on exec.
fn parse(kind: &[u8]) -> Option<(bool, bool)> {
    let (mut direction, mut cloexec) = (None, false);
    for letter in kind {
        match letter {
            b'r' if direction.is_none() => direction = Some(true),
            b'w' if direction.is_none() => direction = Some(false),
            b'e' => cloexec = true,
            _ => return None,
        }
    }
    direction.map(|reads| (reads, cloexec))
}

fn start(command: CPath, reads: bool, cloexec: bool, place: &Command) -> Stream {
    let mut ends = [0; 2];
    // SAFETY: room for two.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Stream::NULL;
    }
    let (mine, childs) = if reads { (ends[0], ends[1]) } else { (ends[1], ends[0]) };
    crate::fds::note_kernel(mine);
    let mode = if reads { c"r" } else { c"w" };
    // SAFETY: our end of the pipe.
    let stream = Stream(unsafe { libc::fdopen(mine, mode.as_ptr()) }.cast());
    let pid = if stream.is_null() { -1 } else { shell::start(command, Some((childs, c_int::from(reads))), &others()) };
    let errno = boundary::errno();
    // SAFETY: the pipe's ends are nobody else's yet.
    unsafe {
        libc::close(childs);
        if pid < 0 {
            if stream.is_null() {
                libc::close(mine)
            } else {
                libc::fclose(stream.libc())
            };
            boundary::set_errno(errno);
            return Stream::NULL;
        }
        if !cloexec {
            libc::fcntl(mine, libc::F_SETFD, 0);
        }
    }
    place.pid.store(pid, Ordering::Relaxed);
    stream
}

/// The descriptors of earlier commands' streams, which POSIX wants closed in a new one.
fn others() -> Vec<c_int> {
    let streams = COMMANDS.iter().map(|c| c.stream.load(Ordering::Acquire)).filter(|s| *s > RESERVED);
    streams.map(|s| Stream(s as *mut _).fileno()).collect()
}

/// `pclose`.
pub fn close(stream: Stream) -> c_int {
    let Some(place) = find(stream) else { return -1 };
    let pid = place.pid.load(Ordering::Relaxed);
    place.stream.store(0, Ordering::Release);
    let mut status = 0;
    // SAFETY: made by `open`; the program gives it up.
    unsafe {
        libc::fclose(stream.libc());
        loop {
            if libc::waitpid(pid, &mut status, 0) >= 0 {
                return status;
            }
            if boundary::errno() != libc::EINTR {
                return -1;
            }
        }
    }
}
