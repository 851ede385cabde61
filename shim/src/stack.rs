#![expect(unsafe_code, reason = "changes the stack pointer")]
//! A stack of our own for what runs in a signal handler: a program's alternate one may have 8 KiB, of which the kernel's frame takes 3, and a look-up alone may take more than is left.
//! So for a thread that was made with a small stack, of which system calls take nothing.

use crate::thread::{ALTERNATE, SMALL};
use flac::units::PAGE;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use std::ffi::c_void;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

const SIZE: usize = 256 << 10;

/// Runs `f` with room on the stack; where there is no memory for it, on the stack that there is.
///
/// A signal in the moment in which we have left the alternate stack and it is still known to the kernel would begin at its top, where the frames of the handler are that called us. So signals
/// wait for that moment to pass; during `f` there is no alternate stack, and they come to the one that `f` runs on.
pub fn with_room<R, F: FnOnce() -> R>(f: F) -> R {
    let Ok(stack) = make() else { return f() };
    let mut task = Task { work: Some(f), done: None, mask: block_signals() };
    // SAFETY: the end of the mapping is the start of an empty stack, and nobody else is on it.
    unsafe {
        call_on(stack.byte_add(SIZE + PAGE), begin::<R, F>, (&raw mut task).cast());
        set_mask(task.mask);
        let _ = munmap(stack, SIZE + PAGE);
    }
    task.result()
}

/// As [`with_room`], but without the 25 us that a stack costs where the one that there is has room: that of the main thread, which can grow, as far as is known of no other.
pub fn with_room_unless_main<R, F: FnOnce() -> R>(f: F) -> R {
    if is_main_with_room() { f() } else { with_room(f) }
}

fn is_main_with_room() -> bool {
    unsafe extern "C" {
        static __libc_stack_end: *const c_void;
    }
    let here = 0u8;
    // SAFETY: the loader's own variable, set before it runs anything.
    let used = unsafe { __libc_stack_end }.addr().wrapping_sub((&raw const here).addr());
    let limit = rustix::process::getrlimit(rustix::process::Resource::Stack).current;
    used < SIZE && limit.is_none_or(|bytes| bytes >= 4 * SIZE as u64)
}

/// As [`with_room`] for a call from a handler that was begun on the alternate stack, if it is there still and has little room left, and for one of a thread with a small stack.
#[cold]
pub fn with_room_if_tight<R>(work: &Work<R>) -> R {
    let tight = &crate::thread::flags().tight;
    if tight.get() & ALTERNATE != 0 {
        let mut now = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: 0, ss_size: 0 };
        // SAFETY: asks only.
        unsafe { libc::sigaltstack(ptr::null(), &mut now) };
        if now.ss_flags & libc::SS_ONSTACK != 0 {
            let left = (&raw const now).addr().saturating_sub(now.ss_sp.addr());
            return if left < SIZE / 2 { with_room(|| work.run()) } else { work.run() };
        }
        // It was left by a jump, or there is none.
        tight.set(tight.get() & !ALTERNATE);
    }
    if tight.get() & SMALL != 0 { on_spare(work) } else { work.run() }
}

/// What one thread is done with is kept for the next call, which then costs 30 ns more than on the stack that there is; fresh memory, 5 us.
static SPARE: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// As [`with_room`], not from an alternate stack: no signal is in the way.
fn on_spare<R>(work: &Work<R>) -> R {
    let spare = SPARE.swap(ptr::null_mut(), Ordering::Acquire);
    let Ok(stack) = (if spare.is_null() { make() } else { Ok(spare) }) else { return work.run() };
    let mut task = Task { work: Some(|| work.run()), done: None, mask: 0 };
    on_stack(stack, &mut task);
    if SPARE.compare_exchange(ptr::null_mut(), stack, Ordering::Release, Ordering::Relaxed).is_err() {
        // SAFETY: nobody is on it any more.
        let _ = unsafe { munmap(stack, SIZE + PAGE) };
    }
    task.result()
}

fn on_stack<R, F: FnOnce() -> R>(stack: *mut c_void, task: &mut Task<R, F>) {
    // SAFETY: the end of the mapping is the start of an empty stack, and nobody else is on it.
    unsafe { call_on(stack.byte_add(SIZE + PAGE), begin_here::<R, F>, (&raw mut *task).cast()) };
}

/// A closure as its code and what it has captured. A `&dyn Fn` would be a table of pointers for each hook's body: 300 tables, two and a half pages, for the loader to set up whenever a program starts.
pub struct Work<'a, R> {
    code: unsafe fn(*const ()) -> R,
    captured: *const (),
    lives: PhantomData<&'a ()>,
}

impl<'a, R> Work<'a, R> {
    /// What `f` does.
    #[inline]
    pub fn of<F: Fn() -> R>(f: &'a F) -> Self {
        unsafe fn call<R, F: Fn() -> R>(captured: *const ()) -> R {
            // SAFETY: `of` made it of a reference to an `F`, which lives for as long as the `Work`.
            unsafe { (*captured.cast::<F>())() }
        }
        Work { code: call::<R, F>, captured: ptr::from_ref(f).cast(), lives: PhantomData }
    }

    #[inline]
    fn run(&self) -> R {
        // SAFETY: the two belong together.
        unsafe { (self.code)(self.captured) }
    }
}

/// Memory for a stack. What is below the stack stays out of reach.
fn make() -> rustix::io::Result<*mut c_void> {
    // SAFETY: fresh memory.
    unsafe {
        mmap_anonymous(ptr::null_mut(), SIZE + PAGE, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
            .and_then(|stack| mprotect(stack, PAGE, MprotectFlags::empty()).map(|()| stack))
    }
}

struct Task<R, F> {
    work: Option<F>,
    done: Option<std::thread::Result<R>>,
    /// The signals that are blocked when the work begins, then those that are when it has ended.
    mask: u64,
}

impl<R, F: FnOnce() -> R> Task<R, F> {
    fn run(&mut self) {
        self.done = self.work.take().map(|work| catch_unwind(AssertUnwindSafe(work)));
    }
    fn result(self) -> R {
        match self.done {
            Some(Ok(result)) => result,
            Some(Err(panic)) => resume_unwind(panic),
            None => unreachable!("it has run"),
        }
    }
}

/// Blocks every signal; which ones were.
fn block_signals() -> u64 {
    let mut before = 0u64;
    // SAFETY: masks of the kernel's size. Libc's function would leave out its own signals.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const ALL, &raw mut before, size_of::<u64>()) };
    before
}

static ALL: u64 = !0;

fn set_mask(mask: u64) {
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, 0usize, size_of::<u64>()) };
}

/// On the new stack, signals blocked.
unsafe extern "C" fn begin<R, F: FnOnce() -> R>(task: *mut c_void) {
    // SAFETY: what `with_room` passed, who waits.
    let task = unsafe { &mut *task.cast::<Task<R, F>>() };
    let none = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
    let mut before = none;
    // SAFETY: valid descriptions; nothing runs on the alternate stack now.
    unsafe { libc::sigaltstack(&none, &mut before) };
    set_mask(task.mask);
    task.run();
    // A signal that was put off has had the others blocked.
    task.mask = block_signals();
    // SAFETY: what there was.
    unsafe { libc::sigaltstack(&before, ptr::null_mut()) };
}

/// On the new stack.
unsafe extern "C" fn begin_here<R, F: FnOnce() -> R>(task: *mut c_void) {
    // SAFETY: what `on_spare` passed, who waits.
    unsafe { &mut *task.cast::<Task<R, F>>() }.run();
}

/// What is said of the frame lets a panic's backtrace find the way to the other stack.
///
/// # Safety
/// `top` is the end of memory for a stack, aligned to 16 bytes; `f` may be called with `arg`, and does not unwind.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
pub unsafe extern "C" fn call_on(top: *mut c_void, f: unsafe extern "C" fn(*mut c_void), arg: *mut c_void) {
    std::arch::naked_asm!(
        ".cfi_startproc",
        "push rbp",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset rbp, -16",
        "mov rbp, rsp",
        ".cfi_def_cfa_register rbp",
        "mov rsp, rdi",
        "mov rdi, rdx",
        "call rsi",
        "mov rsp, rbp",
        "pop rbp",
        ".cfi_def_cfa rsp, 8",
        "ret",
        ".cfi_endproc",
    );
}

/// On the stack that there is.
///
/// # Safety
/// As above.
#[cfg(not(target_arch = "x86_64"))]
pub unsafe extern "C" fn call_on(_: *mut c_void, f: unsafe extern "C" fn(*mut c_void), arg: *mut c_void) {
    // SAFETY: as the caller says.
    unsafe { f(arg) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_and_the_alternate_stack_stays() {
        let alternate = || {
            let mut now = libc::stack_t { ss_sp: ptr::null_mut::<c_void>(), ss_flags: 0, ss_size: 0 };
            // SAFETY: asks only.
            unsafe { libc::sigaltstack(ptr::null(), &mut now) };
            (now.ss_sp.addr(), now.ss_flags, now.ss_size)
        };
        let before = alternate();
        assert!(before.2 != 0, "a test's thread has one");
        let here = &raw const before;
        let sum = with_room(|| {
            let large = std::hint::black_box([1u8; SIZE / 4]);
            assert!(cfg!(not(target_arch = "x86_64")) || large.as_ptr().addr().abs_diff(here.addr()) > SIZE / 4);
            assert_eq!(alternate().1 & libc::SS_DISABLE, libc::SS_DISABLE);
            large.iter().map(|byte| *byte as usize).sum::<usize>()
        });
        assert_eq!((sum, alternate()), (SIZE / 4, before));
        let panicked = catch_unwind(|| {
            with_room(|| {
                if before.2 != 0 {
                    panic!("as intended")
                }
            })
        });
        assert!(panicked.is_err());
        assert_eq!(alternate(), before);
    }
}
