#![expect(unsafe_code, reason = "a spin lock hands out references to what it guards")]
//! A lock within one process for a few instructions of work; no system call unless it has to wait, nothing that a fork could leave behind for good.

use super::{AtomicU32, Ordering::*};
use std::cell::UnsafeCell;

/// How somebody waits for another thread's few instructions: that may have lost its processor in the midst of them, and if its priority is lower it does not get it back from who spins, or
/// yields.
#[derive(Default)]
pub struct Backoff(u32);

impl Backoff {
    /// Waits a little, longer each time: up to 50 us.
    #[inline]
    pub fn wait(&mut self) {
        const SPINS: u32 = 100;
        const YIELDS: u32 = 200;
        const NAP: rustix::thread::Timespec = rustix::thread::Timespec { tv_sec: 0, tv_nsec: 50_000 };
        self.0 = self.0.saturating_add(1);
        if self.0 <= SPINS {
            std::hint::spin_loop();
        } else if self.0 <= YIELDS {
            rustix::thread::sched_yield();
        } else {
            let _ = rustix::thread::nanosleep(&NAP);
        }
    }
}

/// A value that one thread at a time may touch. Not for shared memory.
pub struct Spin<T> {
    busy: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: `with` lets one thread at a time reach the value.
unsafe impl<T: Send> Sync for Spin<T> {}

impl<T> Spin<T> {
    /// Guards `value`.
    pub const fn new(value: T) -> Self {
        Spin { busy: AtomicU32::new(0), value: UnsafeCell::new(value) }
    }

    /// Runs `f` with the value, alone. `f` must be short and must not come back here.
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        let mut backoff = Backoff::default();
        while self.busy.compare_exchange_weak(0, 1, Acquire, Relaxed).is_err() {
            backoff.wait();
        }
        // SAFETY: we hold `busy`: nobody else has a reference.
        let result = unsafe { f(&mut *self.value.get()) };
        self.busy.store(0, Release);
        result
    }

    /// In a forked child: a thread that held it may be gone.
    pub fn after_fork_child(&self) {
        self.busy.store(0, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, mpsc};
    use std::time::{Duration, Instant};

    /// Puts this thread on the first processor, with a priority of the real-time class. `false`: not allowed.
    fn real_time(priority: i32) -> bool {
        // SAFETY: plain data, for which zero is valid; the calls look at it.
        unsafe {
            let mut first: libc::cpu_set_t = std::mem::zeroed();
            libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut first);
            let Some(cpu) = (0..libc::CPU_SETSIZE as usize).find(|cpu| libc::CPU_ISSET(*cpu, &first)) else { return false };
            libc::CPU_ZERO(&mut first);
            libc::CPU_SET(cpu, &mut first);
            libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &first) == 0
                && libc::sched_setscheduler(0, libc::SCHED_FIFO, &libc::sched_param { sched_priority: priority }) == 0
        }
    }

    #[test]
    fn regression_a_waiter_of_higher_priority_lets_the_holder_run() {
        let lock = Arc::new(Spin::new(0));
        let (held, is_held) = mpsc::channel();
        let (done, is_done) = mpsc::channel();
        let (ready, is_ready) = mpsc::channel();
        let waiter = lock.clone();
        std::thread::spawn(move || {
            ready.send(real_time(2)).expect("the holder listens");
            let _ = is_held.recv();
            done.send(waiter.with(|value| *value)).expect("somebody listens");
        });
        // The waiter waits already: once it runs on the holder's processor, the holder would not let it.
        let waiter_allowed = is_ready.recv().expect("it comes");
        std::thread::spawn(move || {
            let allowed = real_time(1) && waiter_allowed;
            lock.with(|value| {
                if !allowed {
                    println!("skipped: no real-time priorities here");
                }
                held.send(()).expect("the waiter listens");
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_millis(20) {}
                *value = 1;
            });
        });
        assert_eq!(is_done.recv_timeout(Duration::from_secs(10)), Ok(1), "the waiter keeps the holder from running");
    }
}
