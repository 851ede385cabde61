//! `RLIMIT_FSIZE`, how large a file this process may make, does not concern FLAC's own files: a program that may write files of 1 KiB may have a log of 64 MiB flushed.
//!
//! The kernel asks for it at each write, of bytes that the file has, too, and answers with a signal that ends the program. So bytes that a file has are [stored](store) to memory then, which the limit
//! does not concern; where a file must grow, the limit is [lifted] for that moment. A process that may not lift its limit gets `EFBIG` for what would have grown, and no signal.
//!
//! While it is lifted, another thread can make a larger file outside FLAC than it might, and a program that it executes would keep the limit.
#![expect(unsafe_code, reason = "masks a signal, and stores to a file by a mapping made for it")]

use super::file::pause;
use rustix::fd::BorrowedFd;
use rustix::io::{Errno, IoSlice, Result};
use rustix::mm::{Advice, MapFlags, MsyncFlags, ProtFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::mem::zeroed;
use std::ptr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const NONE: u64 = u64::MAX;

/// The thread that has lifted the limit, and what it was: soft and hard. A thread is the address of its thread-locals, which those share who work [aside](super::aside) for it.
static HOLDER: AtomicUsize = AtomicUsize::new(0);
static WAS: [AtomicU64; 2] = [AtomicU64::new(NONE), AtomicU64::new(NONE)];
/// How often it was lifted and put back: odd while it is lifted.
static TURNS: AtomicU64 = AtomicU64::new(0);

/// The limit in bytes as the program has set it, if there is one.
pub fn file_size_limit() -> Option<u64> {
    loop {
        let before = TURNS.load(Ordering::Acquire);
        let limit = if before.is_multiple_of(2) { getrlimit(Resource::Fsize) } else { was() };
        if TURNS.load(Ordering::Acquire) == before {
            return limit.current;
        }
    }
}

/// Whether this thread may not write up to byte `end` of a file as it is now. What another one has lifted does not count: it may be put back before the write.
pub(crate) fn forbids(end: u64) -> bool {
    let is_lifted_here = HOLDER.load(Ordering::Relaxed) == this_thread();
    let limit = if is_lifted_here { getrlimit(Resource::Fsize).current } else { file_size_limit() };
    limit.is_some_and(|most| end > most)
}

fn this_thread() -> usize {
    thread_local!(static ME: u8 = const { 0 });
    ME.with(|me| ptr::from_ref(me).addr())
}

fn was() -> Rlimit {
    let [current, maximum] = [0, 1].map(|i| Some(WAS[i].load(Ordering::Relaxed)).filter(|limit| *limit != NONE));
    Rlimit { current, maximum }
}

/// Runs `f`, in which files of ours may grow, with a limit as high as the process may set it, and without SIGXFSZ.
pub fn lifted<T>(f: impl FnOnce() -> T) -> T {
    if !forbids(NONE - 1) {
        return f();
    }
    let _quiet = Quiet::new();
    let _lift = Lift::new();
    f()
}

/// The limit is higher while this lives, where it may be.
struct Lift(bool);

impl Lift {
    fn new() -> Lift {
        let me = this_thread();
        loop {
            match HOLDER.compare_exchange(0, me, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => break,
                Err(holder) if holder == me => return Lift(false),
                Err(_) => pause(),
            }
        }
        let limit = getrlimit(Resource::Fsize);
        for (word, limit) in WAS.iter().zip([limit.current, limit.maximum]) {
            word.store(limit.unwrap_or(NONE), Ordering::Relaxed);
        }
        TURNS.fetch_add(1, Ordering::AcqRel);
        let to = |maximum| setrlimit(Resource::Fsize, Rlimit { current: maximum, maximum });
        let _ = to(None).or_else(|_| to(limit.maximum));
        Lift(true)
    }
}

impl Drop for Lift {
    fn drop(&mut self) {
        if self.0 {
            restore();
        }
    }
}

fn restore() {
    let _ = setrlimit(Resource::Fsize, was());
    TURNS.fetch_add(1, Ordering::AcqRel);
    HOLDER.store(0, Ordering::Release);
}

/// In a forked child, whose one thread has lifted nothing: another of its parent's may have.
pub fn restore_after_fork() {
    if !TURNS.load(Ordering::Relaxed).is_multiple_of(2) {
        restore();
    }
    HOLDER.store(0, Ordering::Release);
}

/// SIGXFSZ is blocked in this thread while this lives, and one that has come meanwhile is taken.
struct Quiet {
    before: libc::sigset_t,
    pending: bool,
}

impl Quiet {
    fn new() -> Quiet {
        // SAFETY: signal sets are plain numbers, valid when zero, and live on this stack.
        unsafe {
            let (mut before, mut pending): (libc::sigset_t, libc::sigset_t) = (zeroed(), zeroed());
            libc::pthread_sigmask(libc::SIG_BLOCK, &only_xfsz(), &mut before);
            libc::sigpending(&mut pending);
            Quiet { before, pending: libc::sigismember(&pending, libc::SIGXFSZ) == 1 }
        }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let (only_xfsz, at_once) = (only_xfsz(), libc::timespec { tv_sec: 0, tv_nsec: 0 });
        // SAFETY: as above.
        unsafe {
            if !self.pending {
                // Not by `sigtimedwait`, a cancellation point, and a thread that is to end does so where it holds nothing of ours. (What the kernel takes for a set is 8 bytes.)
                let none = ptr::null_mut::<libc::siginfo_t>();
                libc::syscall(libc::SYS_rt_sigtimedwait, &raw const only_xfsz, none, &raw const at_once, 8);
            }
            libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, ptr::null_mut());
        }
    }
}

fn only_xfsz() -> libc::sigset_t {
    // SAFETY: as above.
    unsafe {
        let mut set: libc::sigset_t = zeroed();
        libc::sigaddset(&mut set, libc::SIGXFSZ);
        set
    }
}

/// Writes all of `from` to bytes that `file`, open for reading and writing, has on its disk, durably once this returns.
///
/// # Errors
/// Those of `mmap` and `msync`; `IO` where the old bytes can't be read.
pub(super) fn store(file: BorrowedFd<'_>, from: &[IoSlice<'_>], offset: u64) -> Result<()> {
    let page = rustix::param::page_size();
    let before = offset as usize % page;
    let len = before + from.iter().map(|slice| slice.len()).sum::<usize>();
    if len == before {
        return Ok(());
    }
    // SAFETY: a new mapping, of bytes that the file has; nobody else knows of it, and it is gone at the end. Once its pages are there, a store to them is no SIGBUS.
    unsafe {
        let map =
            rustix::mm::mmap(ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, file, offset - before as u64)?;
        let stored = match rustix::mm::madvise(map, len, Advice::LinuxPopulateWrite) {
            // A kernel before 5.14 does not know of it.
            Ok(()) | Err(Errno::INVAL) => {
                let mut at = map.cast::<u8>().add(before);
                for slice in from {
                    ptr::copy_nonoverlapping(slice.as_ptr(), at, slice.len());
                    at = at.add(slice.len());
                }
                rustix::mm::msync(map, len, MsyncFlags::SYNC)
            }
            Err(Errno::FAULT) => Err(Errno::IO),
            Err(e) => Err(e),
        };
        let _ = rustix::mm::munmap(map, len);
        stored
    }
}

#[cfg(test)]
mod tests {
    use crate::media::file::{File, PageBuffer};
    use crate::units::PAGE;
    use rustix::fs::OFlags;
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    /// Runs `f` in a child that SIGXFSZ kills, with such limits.
    fn in_limited_child(limit: Rlimit, f: impl FnOnce() -> bool) {
        // SAFETY: the child does what `f` does, and exits.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let done = setrlimit(Resource::Fsize, limit).is_ok() && f() && getrlimit(Resource::Fsize) == limit;
            // SAFETY: ends the child.
            unsafe { libc::_exit(if done { 0 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: waits for the child.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0);
    }

    #[test]
    fn what_a_file_has_is_written_and_what_it_lacks_if_it_may_be() {
        let dir = crate::media::tests::temp();
        let path = dir.path().join("f");
        std::fs::write(&path, [1; 4 * PAGE]).expect("a file");
        let mut page = PageBuffer::new(PAGE);
        page.as_mut_slice().fill(2);
        let write =
            |flags, at: u64, from: &[u8]| File::open(&path, OFlags::RDWR | flags).is_ok_and(|file| file.write_at(from, at) == Ok(()));
        let soft = Rlimit { current: Some(5), maximum: getrlimit(Resource::Fsize).maximum };
        let hard = Rlimit { current: Some(0), maximum: Some(0) };
        in_limited_child(hard, || {
            write(OFlags::DIRECT, PAGE as u64, page.as_slice()) && write(OFlags::empty(), 3 * PAGE as u64 - 1, b"34")
        });
        in_limited_child(soft, || {
            let file = File::open(&path, OFlags::RDWR | OFlags::APPEND).expect("the file");
            file.append(b"6") == Ok(1) && file.set_len(5 * PAGE as u64) == Ok(()) && write(OFlags::empty(), 5 * PAGE as u64, b"7")
        });
        let mut expected = [1; 5 * PAGE + 1];
        expected[PAGE..2 * PAGE].fill(2);
        expected[3 * PAGE - 1..3 * PAGE + 1].copy_from_slice(b"34");
        expected[4 * PAGE..].fill(0);
        expected[4 * PAGE] = b'6';
        expected[5 * PAGE] = b'7';
        assert!(std::fs::read(&path).expect("the file") == expected);
    }

    #[test]
    fn who_may_not_lift_it_is_told_and_lives() {
        let dir = crate::media::tests::temp();
        let file = File::create_new(&dir.path().join("f")).expect("a file");
        in_limited_child(Rlimit { current: Some(5), maximum: Some(5) }, || {
            // Without a privilege that would let it.
            // SAFETY: a plain system call.
            let nobody = rustix::process::geteuid().is_root().then(|| unsafe { libc::syscall(libc::SYS_setuid, 65534) });
            let seen = [file.set_len(6), file.write_at(b"123456", 0), file.write_at(b"6", 5)];
            nobody.is_none_or(|rc| rc == 0) && seen == [Err(rustix::io::Errno::FBIG); 3] && file.write_at(b"12345", 0) == Ok(())
        });
    }
}
