//! Writing beside: a thread that writes frames past the page cache, or stores them where the medium is mapped, while its maker checksums those that come next.
//!
//! Not by the kernel's own asynchronous I/O: to end a context of `io_setup` takes 30 to 60 ms, and so does the exit of a process that has one; and what a killed process has asked io_uring to
//! write is still being written when the process is gone, over whatever has been put there since. A process is not gone before its threads are, and these not before their writes.
//!
//! The thread is none that libc or the program knows: it has its maker's thread-locals, and all signals blocked. So it stores, and makes system calls, and no more: it takes no memory, sets no errno, opens nothing.
//! What it can't do its maker does again in the usual way. It lives for one flush, and its maker waits for its end.
#![expect(unsafe_code, reason = "makes a thread, and shares memory with it")]

use super::aside::without_signals;
use super::file::File;
use super::mapped::Mapped;
use super::{Medium, Pool, tap};
use crate::error::{Error, Result};
use crate::sync::{AtomicU32, Ordering};
use crate::units::{PAGE, PoolFrame};
use rustix::io::IoSlice;
use rustix::mm::{MapFlags, ProtFlags};
use rustix::thread::futex;
use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::AtomicBool;

const STACK: usize = 64 << 10;
/// Writes that the thread has before it, the one under way included. What else there is its maker writes, so that the device has two at once to do.
const QUEUE: usize = 2;
const WRITING: &str = "writing the pool";
/// In [`Shared::given`]: no more will come.
const OVER: u32 = 1 << 31;

/// Set once for all.
static ALONE: AtomicBool = AtomicBool::new(false);

/// From here on this process, and those it forks, make no thread for a flush: a filter of system calls might end a program for it.
pub fn work_alone() {
    ALONE.store(true, Ordering::Relaxed);
}

/// Whether [`work_alone`] was called.
pub fn works_alone() -> bool {
    ALONE.load(Ordering::Relaxed)
}

/// A write.
#[derive(Default)]
struct Job<'p> {
    slices: Vec<IoSlice<'p>>,
    at: u64,
    written: bool,
}

/// Where frames go.
#[derive(Clone, Copy)]
enum Target<'p> {
    /// Past the page cache: the file, open for that.
    Disk(&'p File),
    /// By stores, which are durable, where the medium is.
    Memory(&'p Mapped),
}

/// What both sides see. Job number `n` is in `jobs[n % QUEUE]`, which is the thread's while `done <= n < given`, and else its maker's.
struct Shared<'p> {
    target: Target<'p>,
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
    /// Where the file will end for certain when all is written that was given to the thread; 0: it was given nothing that makes it longer.
    end: u64,
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
        let target = match (self.medium(), &self.direct, &self.map) {
            (Medium::Block, Some(direct), _) => Some(Target::Disk(direct)),
            (Medium::Dax | Medium::DaxEmulated, _, Some(map)) if self.model.is_none() => Some(Target::Memory(map)),
            _ => None,
        };
        let mut writer = Writer { pool: self, thread: target.and_then(Thread::start), end: 0 };
        // The writer is borrowed only: it is dropped here, and the thread's end waited for.
        work(&mut writer).and_then(|()| writer.end())?;
        self.reached(writer.end);
        if writer.end > 0 { self.settle() } else { Ok(()) }
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
        let slices = joined(pages);
        let (start, end) = self.pool.span(first, pages.len());
        if matches!(thread.shared.target, Target::Disk(_)) && !self.pool.has_grown(end) {
            return self.add(first, start, end, slices);
        }
        self.pool.begin_write(first, pages)?;
        if let Target::Memory(_) = thread.shared.target {
            self.pool.check_there(end)?;
        }
        if thread.has_room() {
            tap::taking(&self.pool.dir.join("frames"), 0).map_err(Error::io(WRITING))?;
            return thread.give(first, start, slices).map_or(Ok(()), |again| again.write(self.pool));
        }
        match thread.shared.target {
            Target::Disk(file) => file.write_vectored_at(&slices, start).map_err(Error::io(WRITING)),
            Target::Memory(map) => {
                store(map, start as usize, &slices);
                noted(&thread.shared.target, &slices, start);
                Ok(())
            }
        }
    }

    /// As [`Writer::write`], for frames that the file may not have got to yet: in order, by the thread alone, so that none is written behind a hole.
    fn add(&mut self, first: PoolFrame, start: u64, end: u64, slices: Vec<IoSlice<'p>>) -> Result<()> {
        if start > self.end {
            self.end()?;
            self.pool.reach(start)?;
        }
        self.end = self.end.max(end);
        tap::taking(&self.pool.dir.join("frames"), 0).map_err(Error::io(WRITING))?;
        #[cfg(test)]
        super::tests::writing();
        let Some(thread) = &mut self.thread else { return Again(first, slices).write(self.pool) };
        while !thread.has_room() {
            thread.next_done().flatten().map_or(Ok(()), |again| again.write(self.pool))?;
        }
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
    fn start(target: Target<'p>) -> Option<Thread<'p>> {
        if works_alone() {
            return None;
        }
        let jobs = std::array::from_fn(|_| UnsafeCell::default());
        let shared = Box::new(Shared { target, jobs, given: AtomicU32::new(0), done: AtomicU32::new(0), lives: AtomicU32::new(1) });
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
        if job.written {
            noted(&self.shared.target, &slices, job.at);
        }
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
    let mut failed = false;
    for number in 0.. {
        if wait(&shared.given, |given| given & !OVER > number || given & OVER != 0) & !OVER <= number {
            break;
        }
        // SAFETY: the job was given and is not done.
        let job = unsafe { &mut *shared.jobs[number as usize % QUEUE].get() };
        job.written = match shared.target {
            // What comes behind it may have to come later.
            Target::Disk(_) if failed => false,
            Target::Disk(file) => file.write_simply(&job.slices, job.at),
            Target::Memory(map) => {
                store(map, job.at as usize, &job.slices);
                true
            }
        };
        failed |= !job.written;
        shared.done.store(number + 1, Ordering::Release);
        let _ = futex::wake(&shared.done, futex::Flags::PRIVATE, 1);
    }
    0
}

/// Stores one behind the other; what this thread stored is durable when this returns, where the medium is.
fn store(map: &Mapped, mut at: usize, slices: &[IoSlice<'_>]) {
    for slice in slices {
        map.write_simply(at, slice);
        at += slice.len();
    }
    map.fence_simply();
}

/// Tells who listens that this was written. Not by the thread: it may take memory.
fn noted(target: &Target<'_>, slices: &[IoSlice<'_>], at: u64) {
    match target {
        Target::Disk(file) => tap::wrote(file.id(), at, slices, true),
        Target::Memory(map) => map.note(at as usize, slices),
    }
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
