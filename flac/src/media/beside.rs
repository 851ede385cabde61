//! Writing beside: a thread that writes frames past the page cache while its maker checksums those that come next.
//!
//! Not by the kernel's own asynchronous I/O: to end a context of `io_setup` takes 30 to 60 ms, and so does the exit of a process that has one; and what a killed process has asked io_uring to
//! write is still being written when the process is gone, over whatever has been put there since. A process is not gone before its threads are, and these not before their writes.
//!
//! The thread is none that libc or the program knows: it has its maker's thread-locals, and all signals blocked. So it makes system calls only: it takes no memory, sets no errno, opens nothing.
//! What it can't do its maker does again in the usual way. It lives for one flush, and its maker waits for its end.
#![expect(unsafe_code, reason = "makes a thread, and shares memory with it")]

use super::aside::without_signals;
use super::file::File;
use super::{Pool, tap};
use crate::error::{Error, Result};
use crate::sync::{AtomicU32, Ordering};
use crate::units::{PAGE, PoolFrame};
use rustix::io::IoSlice;
use rustix::mm::{MapFlags, ProtFlags};
use rustix::thread::futex;
use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::ptr;

const STACK: usize = 64 << 10;
/// Writes that the thread has before it, the one under way included. What else there is its maker writes, so that the device has two at once to do.
const QUEUE: usize = 2;
/// In [`Shared::given`]: no more will come.
const OVER: u32 = 1 << 31;

/// A write.
#[derive(Default)]
struct Job<'p> {
    slices: Vec<IoSlice<'p>>,
    at: u64,
    written: bool,
}

/// What both sides see. Job number `n` is in `jobs[n % QUEUE]`, which is the thread's while `done <= n < given`, and else its maker's.
struct Shared<'p> {
    file: &'p File,
    jobs: [UnsafeCell<Job<'p>>; QUEUE],
    given: AtomicU32,
    done: AtomicU32,
    /// Cleared by the kernel at the end of the thread.
    lives: AtomicU32,
}

/// Writes frames of a pool, past the page cache where it can beside whoever calls it.
pub(crate) struct Writer<'p> {
    pool: &'p Pool,
    thread: Option<Thread<'p>>,
}

struct Thread<'p> {
    shared: Box<Shared<'p>>,
    stack: *mut c_void,
    /// Where the jobs' pages go, and how many were looked at when they were done.
    first: [PoolFrame; QUEUE],
    seen: u32,
}

impl Pool {
    /// Runs `work` with a writer; everything that was given to it is written when this returns `Ok`, as by [`Pool::write`].
    ///
    /// # Errors
    /// Those of `work`, and of the writes.
    pub(crate) fn write_beside<'p>(&'p self, work: impl FnOnce(&mut Writer<'p>) -> Result<()>) -> Result<()> {
        let mut writer = Writer { pool: self, thread: self.direct.as_ref().and_then(Thread::start) };
        // The writer is borrowed only: it is dropped here, and the thread's end waited for.
        work(&mut writer).and_then(|()| writer.end())
    }
}

impl<'p> Writer<'p> {
    /// Writes contiguous frames, at once or later, from pages of the tier, which do not change before [`Pool::write_beside`] returns.
    ///
    /// # Errors
    /// As [`Pool::write`], for these frames or those before.
    pub(crate) fn write(&mut self, first: PoolFrame, pages: &[&'p [u8]]) -> Result<()> {
        let aligned = pages.iter().all(|page| page.as_ptr().align_offset(PAGE) == 0);
        let Some(thread) = self.thread.as_mut().filter(|_| aligned) else {
            return self.pool.write(first, pages);
        };
        let (start, _) = self.pool.begin_write(first, pages)?;
        let (slices, what) = (joined(pages), "writing the pool");
        if !thread.has_room() {
            return thread.shared.file.write_vectored_at(&slices, start).map_err(Error::io(what));
        }
        tap::taking(&self.pool.dir.join("frames"), 0).map_err(Error::io(what))?;
        tap::wrote(thread.shared.file.id(), start, &slices, true);
        thread.give(first, start, slices).map_or(Ok(()), |again| again.write(self.pool))
    }

    /// Waits until all is written.
    fn end(&mut self) -> Result<()> {
        let Some(thread) = &mut self.thread else { return Ok(()) };
        while let Some(last) = thread.next_done() {
            last.map_or(Ok(()), |again| again.write(self.pool))?;
        }
        Ok(())
    }
}

/// What the thread could not write.
struct Again<'p>(PoolFrame, Vec<IoSlice<'p>>);

impl Again<'_> {
    fn write(&self, pool: &Pool) -> Result<()> {
        let pages: Vec<&[u8]> = self.1.iter().flat_map(|slice| slice.chunks(PAGE)).collect();
        pool.write(self.0, &pages)
    }
}

impl<'p> Thread<'p> {
    /// `None`: there is none to be had.
    fn start(file: &'p File) -> Option<Thread<'p>> {
        let jobs = std::array::from_fn(|_| UnsafeCell::default());
        let shared = Box::new(Shared { file, jobs, given: AtomicU32::new(0), done: AtomicU32::new(0), lives: AtomicU32::new(1) });
        let (access, kind) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: fresh memory.
        let stack = unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), STACK, access, kind) }.ok()?;
        let thread = Thread { shared, stack, first: [PoolFrame::new(0); QUEUE], seen: 0 };
        let flags = libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND | libc::CLONE_FILES | libc::CLONE_FS | libc::CLONE_SYSVSEM;
        let flags = flags | libc::CLONE_CHILD_CLEARTID;
        let (shared, lives) = (&raw const *thread.shared, thread.shared.lives.as_ptr());
        let mut made = -1;
        without_signals(|| {
            // SAFETY: the thread has a stack and what it is to see, until `drop` has seen its end.
            made = unsafe {
                let none = ptr::null_mut::<c_void>();
                libc::clone(begin, stack.byte_add(STACK), flags, shared.cast_mut().cast(), none, none, lives)
            };
        });
        if made < 0 {
            thread.shared.lives.store(0, Ordering::Relaxed);
            return None;
        }
        Some(thread)
    }

    fn given(&self) -> u32 {
        self.shared.given.load(Ordering::Relaxed)
    }

    fn has_room(&self) -> bool {
        self.given() - self.shared.done.load(Ordering::Acquire) < QUEUE as u32
    }

    /// Takes a job, for which there is room; what the job before in its place could not do.
    fn give(&mut self, first: PoolFrame, at: u64, slices: Vec<IoSlice<'p>>) -> Option<Again<'p>> {
        let number = self.given();
        let again = if number - self.seen == QUEUE as u32 { self.next_done().flatten() } else { None };
        let place = number as usize % QUEUE;
        let job = self.shared.jobs[place].get();
        // SAFETY: the job that was here is done (there is room, and it was looked at), and the next one is not given yet.
        let job = unsafe { &mut *job };
        *job = Job { slices, at, written: false };
        self.first[place] = first;
        self.shared.given.store(number + 1, Ordering::Release);
        let _ = futex::wake(&self.shared.given, futex::Flags::PRIVATE, 1);
        again
    }

    /// Waits for the oldest job that was not looked at, and takes what it could not do. `None`: there is none.
    fn next_done(&mut self) -> Option<Option<Again<'p>>> {
        if self.seen == self.given() {
            return None;
        }
        wait(&self.shared.done, |done| done > self.seen);
        let place = self.seen as usize % QUEUE;
        self.seen += 1;
        // SAFETY: the job is done.
        let job = unsafe { &mut *self.shared.jobs[place].get() };
        let slices = std::mem::take(&mut job.slices);
        Some((!job.written).then(|| Again(self.first[place], slices)))
    }
}

impl Drop for Thread<'_> {
    fn drop(&mut self) {
        self.shared.given.fetch_or(OVER, Ordering::Release);
        let _ = futex::wake(&self.shared.given, futex::Flags::PRIVATE, 1);
        // The kernel's own wake is for all who wait, in whatever process.
        while self.shared.lives.load(Ordering::Acquire) != 0 {
            let lives = self.shared.lives.load(Ordering::Acquire);
            if lives != 0 {
                let _ = futex::wait(&self.shared.lives, futex::Flags::empty(), lives, None);
            }
        }
        // SAFETY: mapped by `start`, and nobody is on it.
        let _ = unsafe { rustix::mm::munmap(self.stack, STACK) };
    }
}

/// Waits until `enough` says yes to the word.
fn wait(word: &AtomicU32, enough: impl Fn(u32) -> bool) -> u32 {
    loop {
        let seen = word.load(Ordering::Acquire);
        if enough(seen) {
            return seen;
        }
        let _ = futex::wait(word, futex::Flags::PRIVATE, seen, None);
    }
}

/// The thread.
extern "C" fn begin(shared: *mut c_void) -> c_int {
    // SAFETY: what `start` passed, which lives longer than this thread.
    let shared = unsafe { &*shared.cast_const().cast::<Shared<'_>>() };
    for number in 0.. {
        if wait(&shared.given, |given| given & !OVER > number || given & OVER != 0) & !OVER <= number {
            break;
        }
        // SAFETY: the job was given and is not done.
        let job = unsafe { &mut *shared.jobs[number as usize % QUEUE].get() };
        job.written = shared.file.write_simply(&job.slices, job.at);
        shared.done.store(number + 1, Ordering::Release);
        let _ = futex::wake(&shared.done, futex::Flags::PRIVATE, 1);
    }
    0
}

/// Pages as slices; those that follow each other in memory as one.
fn joined<'p>(pages: &[&'p [u8]]) -> Vec<IoSlice<'p>> {
    let follows = |a: &&[u8], b: &&[u8]| a.as_ptr_range().end == b.as_ptr();
    let whole = |run: &[&'p [u8]]| {
        // SAFETY: pages of one mapping of the tier, one behind the other, and all of them live for 'p.
        unsafe { std::slice::from_raw_parts(run[0].as_ptr(), run.iter().map(|page| page.len()).sum()) }
    };
    pages.chunk_by(follows).map(|run| IoSlice::new(whole(run))).collect()
}
