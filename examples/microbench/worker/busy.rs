//! Another thread that computes: what changes the page table must then interrupt its core.

use std::sync::atomic::{AtomicBool, Ordering};

/// What `work` returns, done while another thread computes.
pub fn beside<T>(work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 1_u64;
            while !done.load(Ordering::Relaxed) {
                number = (0..1000).fold(number, |number, _| number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
                std::hint::black_box(number);
            }
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        result
    })
}
