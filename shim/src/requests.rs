//! Asynchronous requests for FLAC files: a thread of this process does one after the other. It is made with the first of them, and ends when there was none for a second.
//! A forked child has none, and none of its parent's requests.
#![expect(unsafe_code, reason = "control blocks and notifications")]

use crate::boundary;
use libc::{c_int, c_void, off_t, sigevent, sigval};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// `struct aiocb`. libc keeps the state in fields of its own, which `aio_error` and `aio_return` only read.
#[repr(C)]
pub struct Request {
    pub fd: c_int,
    pub operation: c_int,
    pub priority: c_int,
    pub buffer: *mut c_void,
    pub len: usize,
    pub notify: sigevent,
    next: *mut c_void,
    absolute: c_int,
    policy: c_int,
    pub error: AtomicI32,
    pub result: isize,
    pub offset: off_t,
    reserved: [u8; 32],
}

const _: () = assert!(size_of::<Request>() == 168);

/// What a request asks for.
#[derive(Clone, Copy)]
pub enum Operation {
    Read,
    Write,
    Sync,
    /// What no list may ask for.
    Unknown,
}

/// The requests of a `lio_listio` that does not wait: whoever does the last one says so.
pub struct List {
    left: AtomicUsize,
    notify: Option<sigevent>,
}

// SAFETY: the event is plain data, which only libc and the program give a meaning to.
unsafe impl Send for List {}
// SAFETY: as above.
unsafe impl Sync for List {}

impl List {
    /// A list that is complete only when [`List::leave`] was called once more than there are requests in it.
    pub fn new(notify: Option<sigevent>) -> Arc<List> {
        Arc::new(List { left: AtomicUsize::new(1), notify })
    }

    /// One of them is done.
    pub fn leave(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(event) = &self.notify
        {
            notify(event);
        }
    }
}

struct Job {
    request: *mut Request,
    fd: c_int,
    operation: Operation,
    list: Option<Arc<List>>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    /// The descriptor of the request that is being done.
    running: Option<(*mut Request, c_int)>,
    has_worker: bool,
}

// SAFETY: the control blocks belong to the program, which leaves them alone until their requests are done.
unsafe impl Send for Queue {}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    more: Condvar,
}

static SHARED: AtomicPtr<Shared> = AtomicPtr::new(std::ptr::null_mut());
/// How many requests were done: who waits for one sleeps on it.
static DONE: AtomicU32 = AtomicU32::new(0);

fn shared() -> &'static Shared {
    let known = SHARED.load(Ordering::Acquire);
    // SAFETY: never freed.
    if let Some(shared) = unsafe { known.as_ref() } {
        return shared;
    }
    let new = Box::into_raw(Box::<Shared>::default());
    let shared = match SHARED.compare_exchange(std::ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => new,
        Err(other) => {
            // SAFETY: made above, and nobody else's.
            drop(unsafe { Box::from_raw(new) });
            other
        }
    };
    // SAFETY: as above.
    unsafe { &*shared }
}

fn queue() -> MutexGuard<'static, Queue> {
    shared().queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// In a forked child: its parent's thread and requests are not here.
pub fn after_fork_child() {
    SHARED.store(std::ptr::null_mut(), Ordering::Release);
}

/// Has a request done by and by, or at once where no thread can be had.
pub fn submit(request: *mut Request, operation: Operation, list: Option<Arc<List>>) {
    // SAFETY: the program's control block, which it leaves alone until it is done.
    let r = unsafe { &mut *request };
    r.result = 0;
    r.error.store(libc::EINPROGRESS, Ordering::Release);
    if let Some(list) = &list {
        list.left.fetch_add(1, Ordering::Relaxed);
    }
    let job = Job { request, fd: r.fd, operation, list };
    let mut queue = queue();
    if !queue.has_worker {
        queue.has_worker = !flac::media::works_alone() && start_worker();
    }
    if queue.has_worker {
        queue.waiting.push_back(job);
        shared().more.notify_one();
    } else {
        drop(queue);
        serve(job);
    }
}

/// A thread that no signal comes to.
fn start_worker() -> bool {
    extern "C" fn run(_: *mut c_void) -> *mut c_void {
        work();
        std::ptr::null_mut()
    }
    // SAFETY: libc fills the structures; the thread's function takes nothing.
    unsafe {
        let (mut all, mut before, mut thread) = (std::mem::zeroed(), std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let made = libc::pthread_create(&mut thread, std::ptr::null(), run, std::ptr::null_mut()) == 0;
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        made && libc::pthread_detach(thread) == 0
    }
}

fn work() {
    let mut queue = queue();
    loop {
        if let Some(job) = queue.waiting.pop_front() {
            queue.running = Some((job.request, job.fd));
            drop(queue);
            serve(job);
            queue = self::queue();
            continue;
        }
        let (back, waited) = shared().more.wait_timeout(queue, Duration::from_secs(1)).unwrap_or_else(PoisonError::into_inner);
        queue = back;
        if waited.timed_out() && queue.waiting.is_empty() {
            queue.has_worker = false;
            return;
        }
    }
}

fn serve(job: Job) {
    // SAFETY: as in `submit`.
    let r = unsafe { &*job.request };
    let before = boundary::errno();
    // SAFETY: the program's buffer; our hooks. `pwrite` on an O_APPEND file appends, as aio_write does.
    let result = unsafe {
        match job.operation {
            Operation::Read => libc::pread(r.fd, r.buffer, r.len, r.offset),
            Operation::Write => libc::pwrite(r.fd, r.buffer, r.len, r.offset),
            Operation::Sync => libc::fsync(r.fd) as isize,
            Operation::Unknown => {
                boundary::set_errno(libc::EINVAL);
                -1
            }
        }
    };
    let error = if result < 0 { boundary::errno() } else { 0 };
    boundary::set_errno(before);
    finish(job, result, error);
}

/// From here on the control block is the program's again.
fn finish(job: Job, result: isize, error: c_int) {
    let mut queue = queue();
    if queue.running.is_some_and(|(request, _)| request == job.request) {
        queue.running = None;
    }
    // SAFETY: as in `submit`; the last use is the store of `error`.
    let event = unsafe {
        let r = job.request;
        let event = (*r).notify;
        (*r).result = result;
        (*r).error.store(error, Ordering::Release);
        event
    };
    drop(queue);
    DONE.fetch_add(1, Ordering::Release);
    let _ = rustix::thread::futex::wake(&DONE, rustix::thread::futex::Flags::PRIVATE, i32::MAX as u32);
    notify(&event);
    if let Some(list) = job.list {
        list.leave();
    }
}

/// Waits until `is_done`, which some request's end makes true: `Err` is the errno, `EINTR` or `EAGAIN` for a time that is over. Looks again after a hundredth of a second where `others`
/// may make it true, too.
pub fn wait(timeout: Option<Duration>, others: bool, is_done: impl Fn() -> bool) -> Result<(), c_int> {
    let end = timeout.map(|timeout| std::time::Instant::now() + timeout);
    loop {
        let seen = DONE.load(Ordering::Acquire);
        if is_done() {
            return Ok(());
        }
        let left = end.map(|end| end.saturating_duration_since(std::time::Instant::now()));
        if left == Some(Duration::ZERO) {
            return Err(libc::EAGAIN);
        }
        let nap = if others { Some(left.unwrap_or(Duration::MAX).min(Duration::from_millis(10))) } else { left };
        let nap = nap.map(|nap| rustix::time::Timespec { tv_sec: nap.as_secs() as i64, tv_nsec: nap.subsec_nanos().into() });
        if let Err(rustix::io::Errno::INTR) = rustix::thread::futex::wait(&DONE, rustix::thread::futex::Flags::PRIVATE, seen, nap.as_ref())
        {
            return Err(libc::EINTR);
        }
    }
}

/// Takes the waiting requests of a descriptor back, or the one: (how many there were, whether one is being done).
pub fn cancel(fd: c_int, one: Option<*mut Request>) -> (usize, bool) {
    let mut queue = queue();
    let is_meant = |request: *mut Request, on: c_int| on == fd && one.is_none_or(|one| one == request);
    let (meant, rest) = std::mem::take(&mut queue.waiting).into_iter().partition(|job: &Job| is_meant(job.request, job.fd));
    queue.waiting = rest;
    let running = queue.running.is_some_and(|(request, on)| is_meant(request, on));
    drop(queue);
    let meant: Vec<Job> = meant.into();
    let count = meant.len();
    meant.into_iter().for_each(|job| finish(job, -1, libc::ECANCELED));
    (count, running)
}

/// Tells the program in the way it asked for.
fn notify(how: &sigevent) {
    match how.sigev_notify {
        libc::SIGEV_SIGNAL => send(how.sigev_signo, how.sigev_value),
        libc::SIGEV_THREAD => call_in_thread(how),
        _ => {}
    }
}

/// A signal to this process that says what it comes from.
fn send(signal: c_int, value: sigval) {
    /// `siginfo_t` of a signal that a process sends.
    #[repr(C)]
    struct Info {
        signal: c_int,
        errno: c_int,
        code: c_int,
        pid: libc::pid_t,
        uid: libc::uid_t,
        value: sigval,
        rest: [u64; 12],
    }
    const _: () = assert!(size_of::<Info>() == size_of::<libc::siginfo_t>() && std::mem::offset_of!(Info, value) == 24);
    const SI_ASYNCIO: c_int = -4;
    #[repr(C, align(8))]
    struct Aligned(Info);
    // SAFETY: a signal to this process; the kernel reads the structure.
    unsafe {
        let pid = libc::getpid();
        let info = Aligned(Info { signal, errno: 0, code: SI_ASYNCIO, pid, uid: libc::getuid(), value, rest: [0; 12] });
        libc::syscall(libc::SYS_rt_sigqueueinfo, pid, signal, &raw const info);
    }
}

/// `sigevent` with `SIGEV_THREAD`: a function and its thread's attributes, where the `libc` crate has only the thread's number.
#[repr(C)]
struct ThreadEvent {
    value: sigval,
    signal: c_int,
    notify: c_int,
    function: Option<unsafe extern "C-unwind" fn(sigval)>,
    attributes: *const libc::pthread_attr_t,
}

fn call_in_thread(how: &sigevent) {
    extern "C" fn run(start: *mut c_void) -> *mut c_void {
        // SAFETY: the box that was made for this thread.
        let (function, value) = *unsafe { Box::from_raw(start.cast::<(unsafe extern "C-unwind" fn(sigval), sigval)>()) };
        // SAFETY: the program's function with the program's value.
        unsafe { function(value) };
        std::ptr::null_mut()
    }
    // SAFETY: `sigevent` is larger and laid out so for this kind.
    let event = unsafe { &*std::ptr::from_ref(how).cast::<ThreadEvent>() };
    let Some(function) = event.function else { return };
    let start = Box::into_raw(Box::new((function, event.value)));
    // SAFETY: attributes from the program or none; the thread owns the box.
    unsafe {
        let mut thread = std::mem::zeroed();
        if libc::pthread_create(&mut thread, event.attributes, run, start.cast()) == 0 {
            libc::pthread_detach(thread);
        } else {
            drop(Box::from_raw(start));
        }
    }
}
