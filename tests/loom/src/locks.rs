//! The lock whose owner may die, and readers without a lock.

use crate::guard::{ReadGuard, WriteGuard};
use crate::region::InodeSlot;
use crate::sync::{AtomicU32, Liveness, Ordering::*, RobustLock};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// A process with this token; `dead` has those who died.
struct Process(u32, Arc<AtomicU32>);

impl Liveness for Process {
    fn me(&self) -> u32 {
        self.0
    }
    fn alive(&self, slot: u32) -> bool {
        self.1.load(SeqCst) >> slot & 1 == 0
    }
    fn token(&self) -> u32 {
        self.0
    }
    fn token_alive(&self, token: u32) -> bool {
        self.alive(token)
    }
}

fn explore(threads: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.max_branches = 10_000;
    model.check(threads);
}

/// A process dies holding the lock, two others want it: one inherits it, and they are never inside together.
#[test]
fn a_dead_owners_lock_passes_to_one_of_those_who_wait() {
    explore(|| {
        let dead = Arc::new(AtomicU32::new(0));
        let shared = Arc::new((RobustLock::default(), UnsafeCell::new(0)));
        std::mem::forget(shared.0.lock(&Process(1, dead.clone())));
        let enter = |token: u32| {
            let (dead, shared) = (dead.clone(), shared.clone());
            move || {
                let guard = shared.0.lock(&Process(token, dead));
                shared.1.with_mut(|_| ());
                guard.inherited as u32
            }
        };
        let other = thread::spawn(enter(2));
        dead.store(1 << 1, SeqCst);
        let inherited = enter(3)() + other.join().expect("the other");
        assert_eq!(inherited, 1);
    });
}

/// Two words that are changed together, read without a lock: a look that counts saw both or neither.
#[test]
fn a_look_that_counts_is_of_one_moment() {
    explore(|| {
        let dead = Arc::new(AtomicU32::new(0));
        let shared = Arc::new((InodeSlot::default(), [AtomicU32::new(0), AtomicU32::new(0)]));
        let writer = {
            let (dead, shared) = (dead.clone(), shared.clone());
            thread::spawn(move || {
                let _write = WriteGuard::lock(&shared.0, &Process(2, dead));
                shared.1.iter().for_each(|word| word.store(1, Relaxed));
            })
        };
        let look = ReadGuard::begin(&shared.0);
        let seen = [0, 1].map(|i| shared.1[i].load(Relaxed));
        if look.is_valid() {
            assert_eq!(seen[0], seen[1]);
        }
        writer.join().expect("the writer");
    });
}

/// A writer dies in the middle; the next one goes on. No look that counts sees the half that was done, unless the heir ended.
#[test]
fn a_look_at_what_a_dead_writer_left_does_not_count() {
    explore(|| {
        let dead = Arc::new(AtomicU32::new(0));
        let shared = Arc::new((InodeSlot::default(), [AtomicU32::new(0), AtomicU32::new(0)]));
        std::mem::forget(WriteGuard::lock(&shared.0, &Process(1, dead.clone())));
        shared.1[0].store(1, Relaxed);
        dead.store(1 << 1, SeqCst);
        let heir = {
            let (dead, shared) = (dead.clone(), shared.clone());
            thread::spawn(move || {
                let _write = WriteGuard::lock(&shared.0, &Process(2, dead));
                shared.1[1].store(1, Relaxed);
            })
        };
        let look = ReadGuard::begin(&shared.0);
        let seen = [0, 1].map(|i| shared.1[i].load(Relaxed));
        if look.is_valid() {
            assert_eq!(seen, [1, 1]);
        }
        heir.join().expect("the heir");
    });
}
