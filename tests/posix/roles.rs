//! What this program does when a case executes it anew, with the case's descriptors.

use crate::sys;
use std::process::ExitCode;

/// Plays the named role; the exit code says how that went.
pub fn run(arguments: &[String]) -> ExitCode {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["read-and-expect", fd, text] => read_and_expect(number(fd), text),
        ["write", fd, text] => sys::write(number(fd), text.as_bytes()) == Ok(text.len()),
        ["expect-path", fd, size] => is_path(number(fd), size.parse().unwrap_or(-1)),
        ["expect-closed", fd] => sys::fstat(number(fd)).err() == Some(sys::EBADF),
        ["expect-directory", path] => sys::getcwd(4096).is_ok_and(|cwd| cwd == *path),
        ["expect-file-here", name] => sys::stat(name).is_ok(),
        ["expect-locked", path] => is_locked(path),
        ["remove-tree", path] => std::fs::remove_dir_all(path).is_ok(),
        ["print-and-exit", text] => sys::printf(text, 1) > 0,
        _ => false,
    };
    sys::exit_flushing(i32::from(!done))
}

fn number(text: &str) -> i32 {
    text.parse().unwrap_or(-1)
}

fn read_and_expect(fd: i32, text: &str) -> bool {
    let mut bytes = vec![0; text.len()];
    sys::read(fd, &mut bytes) == Ok(text.len()) && bytes == text.as_bytes()
}

/// Whether a descriptor was opened with `O_PATH`, before it is used in any other way, too, to a file of this size.
fn is_path(fd: i32, size: i64) -> bool {
    sys::poll(fd, libc::POLLIN, 0) == Ok(libc::POLLNVAL)
        && sys::fstat(fd).is_ok_and(|stat| stat.st_size == size)
        && sys::poll(fd, libc::POLLIN, 0) == Ok(libc::POLLNVAL)
}

fn is_locked(path: &str) -> bool {
    let Ok(fd) = sys::open(path, libc::O_RDWR, 0) else {
        return false;
    };
    sys::flock(&fd, libc::LOCK_EX | libc::LOCK_NB).err() == Some(sys::EAGAIN)
}
