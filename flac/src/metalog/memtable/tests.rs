//! Whatever is done, by whomever, wherever he dies: readers see the state after some commit, and the next writer goes on from the last one.

use super::table::ENTRIES;
use crate::error::{Error, Result};
use crate::metalog::memtable::hash;
use crate::metalog::tests::{Place, State, put, state};
use crate::metalog::{Meta, MetaTxn};
use crate::sync::Ordering;
use proptest::prelude::*;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    /// The thread dies at so many steps from now.
    static STEPS: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// Called between any two stores of a writer to the tables.
pub(super) fn step() {
    let left = STEPS.get();
    if left != u64::MAX {
        if left == 0 {
            STEPS.set(u64::MAX);
            std::panic::panic_any("a death");
        }
        STEPS.set(left - 1);
    }
}

/// Runs `f`, which dies after `steps` steps; `None` if it did.
fn dying_at<T>(steps: u64, f: impl FnOnce() -> T) -> Option<T> {
    STEPS.set(steps);
    let done = catch_unwind(AssertUnwindSafe(f)).ok();
    STEPS.set(u64::MAX);
    done
}

/// A key: of one of three directories, or a short one.
fn key(n: u8) -> Vec<u8> {
    match n / 8 {
        dir @ 0..3 => {
            [&b"D\0\0\0\0\0\0\0"[..], &[dir + 1], &[n % 8; 4][..usize::from(if n.is_multiple_of(8) { 0 } else { 1 + n % 3 })]].concat()
        }
        _ => vec![b'k', n % 8],
    }
}

const PREFIXES: [&[u8]; 6] = [b"", b"D", b"D\0\0\0\0\0\0\0\x01", b"D\0\0\0\0\0\0\0\x02", b"D\0\0\0\0\0\0\0\x03\x02", b"k"];

#[derive(Debug, Clone)]
enum Op {
    /// Puts and deletes in one transaction; the flag: it is dropped.
    Change(Vec<(u8, Option<u16>)>, bool),
    /// As many as no memtable takes at once.
    Large(u8),
    Fold,
    /// The next writer dies after so many steps.
    Die(u8, u8),
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let change = (prop::collection::vec((0..32u8, prop::option::weighted(0.7, 0..200u16)), 1..9), prop::bool::weighted(0.1));
    prop_oneof![
        20 => change.prop_map(|(list, drop)| Op::Change(list, drop)),
        1 => any::<u8>().prop_map(Op::Large),
        1 => Just(Op::Fold),
        4 => (0..30u8, any::<u8>()).prop_map(|(steps, value)| Op::Die(steps, value)),
        1 => Just(Op::Restart),
    ]
}

/// Compares what a transaction sees with what it should.
fn compare(txn: &MetaTxn<'_>, model: &State) {
    for n in 0..32 {
        assert_eq!(txn.get(&key(n)).expect("a get"), model.get(&key(n)).map(Vec::as_slice), "{n}");
    }
    for prefix in PREFIXES {
        for from in [prefix, &key(11)] {
            let found: Vec<_> =
                txn.scan(prefix, from).expect("a scan").map(|pair| pair.expect("a pair")).filter(|pair| pair.0[0] != 0).collect();
            assert_eq!(found, expected(model, prefix, from), "{prefix:?} {from:?}");
        }
    }
}

fn expected<'m>(model: &'m State, prefix: &[u8], from: &[u8]) -> Vec<(&'m [u8], &'m [u8])> {
    model.iter().filter(|(k, _)| k.starts_with(prefix) && k.as_slice() >= from).map(|(k, v)| (k.as_slice(), v.as_slice())).collect()
}

/// Compares what readers see with what they should.
fn compare_view(meta: &Meta, model: &State) {
    meta.view(|view| {
        for n in 0..32 {
            assert_eq!(view.get(&key(n))?, model.get(&key(n)).map(Vec::as_slice), "{n}");
        }
        for prefix in PREFIXES {
            let found: Vec<_> = view.scan(prefix, &key(9))?.collect::<Result<_>>()?;
            let found: Vec<_> = found.into_iter().filter(|pair| pair.0[0] != 0).collect();
            assert_eq!(found, expected(model, prefix, &key(9)), "{prefix:?}");
        }
        Ok(())
    })
    .expect("a view");
}

fn change(meta: &Meta, model: &mut State, list: &[(u8, Option<u16>)], abort: bool) {
    let mut next = model.clone();
    let mut txn = meta.begin().expect("a transaction");
    for (n, value) in list {
        let key = key(*n);
        match value {
            Some(len) => {
                let value = vec![*len as u8; usize::from(*len)];
                txn.put(&key, &value).expect("a put");
                next.insert(key, value);
            }
            None => assert_eq!(txn.delete(&key).expect("a delete"), next.remove(&key).is_some()),
        }
    }
    compare(&txn, &next);
    if !abort {
        txn.commit().expect("a commit");
        *model = next;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]
    #[test]
    fn proptest_log_memtable_and_kv_are_one_ordered_map(ops in prop::collection::vec(op(), 1..80)) {
        let place = Place::new();
        let (mut _pool, mut meta) = place.open();
        let mut model = state(&meta);
        for op in ops {
            match op {
                Op::Change(list, abort) => change(&meta, &mut model, &list, abort),
                Op::Large(seed) => {
                    let list: Vec<_> = (0..3 * ENTRIES as u8).map(|i| (i.wrapping_mul(7) % 32, Some(u16::from((i ^ seed) % 90)))).collect();
                    change(&meta, &mut model, &list, false);
                }
                Op::Fold => assert_eq!(meta.settled().expect("a snapshot").get(&key(3)).expect("a get"), model.get(&key(3)).map(Vec::as_slice)),
                Op::Die(steps, value) => {
                    let before = meta.last_seq();
                    let list = [(1, Some(value)), (9, None), (17, Some(value ^ 1))];
                    let mut next = model.clone();
                    let died = dying_at(u64::from(steps), || {
                        let mut txn = meta.begin().expect("a transaction");
                        for (n, value) in list {
                            match value {
                                Some(value) => txn.put(&key(n), &[value]).expect("a put"),
                                None => drop(txn.delete(&key(n)).expect("a delete")),
                            }
                        }
                        txn.commit().expect("a commit");
                    }).is_none();
                    for (n, value) in list {
                        match value {
                            Some(value) => drop(next.insert(key(n), vec![value])),
                            None => drop(next.remove(&key(n))),
                        }
                    }
                    // Before anybody else writes, readers see all of it or nothing.
                    let seen = state(&meta);
                    assert!(seen == next || died && seen == model, "half of a change is seen");
                    drop(meta.begin().expect("a transaction"));
                    // If it was logged, it is done now.
                    if meta.last_seq() > before {
                        model = next;
                    }
                    assert!(died || meta.last_seq() > before);
                }
                Op::Restart => {
                    drop(meta);
                    (_pool, meta) = place.open();
                }
            }
            compare_view(&meta, &model);
        }
        meta.sync(meta.last_seq()).expect("a sync");
        drop(meta);
        place.reboot();
        assert_eq!(state(&place.open().1), model);
    }
}

#[test]
fn a_record_in_the_place_of_one_that_was_dropped_hides_nothing() {
    for steps in 0..14 {
        let place = Place::new();
        let (_pool, meta) = place.open();
        drop(meta.begin().expect("a transaction"));
        for n in 0..8 {
            put(&meta, &key(n), b"old");
        }
        let position = meta.position().expect("a position");
        let died = dying_at(steps, || {
            let mut txn = meta.begin().expect("a transaction");
            (0..4).for_each(|n| txn.put(&key(n), b"lost").expect("a put"));
            txn.commit().expect("a commit");
        });
        if died.is_none() && meta.position().expect("a position") == position {
            // As where there is no room for it.
            meta.logs.cut(&position);
        }
        let other = if meta.position().expect("a position") == position { &b"old"[..] } else { b"lost" };
        for n in 20..24 {
            put(&meta, &key(n), b"new");
        }
        meta.view(|view| {
            for n in 0..8 {
                assert_eq!(view.get(&key(n))?, Some(if n < 4 { other } else { b"old" }), "{n} after {steps} steps");
            }
            Ok(())
        })
        .expect("a view");
        assert_eq!(state(&meta).len(), 12);
    }
}

#[test]
fn a_view_stays_for_two_folds_and_then_begins_again() {
    let place = Place::new();
    let (_pool, meta) = place.open();
    let fold = |value: &[u8]| {
        put(&meta, b"a", value);
        drop(meta.settled().expect("a snapshot"));
        drop(meta.begin().expect("a transaction"));
    };
    fold(b"0");
    put(&meta, b"a", b"1");
    let view = meta.take_view().expect("a view");
    fold(b"2");
    fold(b"3");
    assert_eq!(view.get(b"a"), Ok(Some(&b"1"[..])));
    let scan = view.scan(b"", b"\x01").expect("a scan");
    fold(b"4");
    assert_eq!(view.get(b"a"), Err(Error::Os(libc::EAGAIN)));
    // What was begun in time goes on.
    assert_eq!(scan.collect::<Result<Vec<_>>>(), Ok(vec![(&b"a"[..], &b"1"[..])]));
    drop(view);
    put(&meta, b"a", b"5");
    let mut looks = 0;
    let value = meta.view(|view| {
        looks += 1;
        if looks == 1 {
            (0..3).for_each(|_| fold(b"6"));
        }
        Ok(view.get(b"a").unwrap_or(Some(b"nonsense")).map(<[u8]>::to_vec))
    });
    assert_eq!((value, looks), (Ok(Some(b"6".to_vec())), 2));
}

/// Threads move money from one account to another; whoever looks sees all of it, one way or another.
#[test]
fn readers_see_whole_commits_however_fast_they_come() {
    const ACCOUNTS: u8 = 8;
    const EACH: u64 = 1000;
    let account = |n: u8| [&b"D\0\0\0\0\0\0\0\x07"[..], &[n]].concat();
    let number = |value: Option<&[u8]>| u64::from_le_bytes(value.expect("an account").try_into().expect("8 bytes"));
    let place = Place::new();
    let (_pool, meta) = place.open();
    for n in 0..ACCOUNTS {
        put(&meta, &account(n), &EACH.to_le_bytes());
    }
    let (meta, done) = (&meta, &std::sync::atomic::AtomicBool::new(false));
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2u64)
            .map(|seed| {
                scope.spawn(move || {
                    for i in 0..4000u64 {
                        let mixed = hash(&(i << 1 | seed).to_le_bytes());
                        let (from, to) = (mixed as u8 % ACCOUNTS, (mixed >> 8) as u8 % ACCOUNTS);
                        let mut txn = meta.begin().expect("a transaction");
                        let have = number(txn.get(&account(from)).expect("a get"));
                        if from != to && have > 0 {
                            let other = number(txn.get(&account(to)).expect("a get"));
                            txn.put(&account(from), &(have - 1).to_le_bytes()).expect("a put");
                            txn.put(&account(to), &(other + 1).to_le_bytes()).expect("a put");
                        }
                        txn.commit().expect("a commit");
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(move || {
                let (mut last, mut looks) = (meta.last_seq(), 0u64);
                while !done.load(Ordering::Relaxed) || looks < 100 {
                    looks += 1;
                    let before = meta.last_seq();
                    assert!(before >= last, "a commit went back");
                    last = before;
                    let sums = meta.view(|view| {
                        let by_name: u64 = (0..ACCOUNTS).map(|n| view.get(&account(n)).map(number)).sum::<Result<u64>>()?;
                        let listed: Vec<u64> =
                            view.scan(&account(0)[..9], b"")?.map(|pair| pair.map(|(_, v)| number(Some(v)))).collect::<Result<_>>()?;
                        Ok((by_name, listed.len(), listed.iter().sum::<u64>()))
                    });
                    let all = EACH * u64::from(ACCOUNTS);
                    assert_eq!(sums, Ok((all, usize::from(ACCOUNTS), all)));
                }
            });
        }
        writers.into_iter().for_each(|writer| writer.join().expect("a writer"));
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn damaged_tables_give_errors_and_no_crash() {
    for seed in 0..400u64 {
        let place = Place::new();
        let (_pool, meta) = place.open();
        for n in 0..12 {
            put(&meta, &key(n), &[n; 60]);
        }
        let words = meta.memtable.words();
        for i in 0..1 + seed % 4 {
            let mixed = hash(&(seed << 8 | i).to_le_bytes());
            let at = if seed % 2 == 0 { mixed % 64 } else { mixed % words.len() as u64 } as usize;
            let value = match mixed >> 32 & 3 {
                0 => mixed,
                1 => u64::MAX,
                2 => words[at].load(Ordering::Relaxed) ^ 1 << (mixed >> 40 & 63),
                _ => mixed >> 52,
            };
            words[at].store(value, Ordering::Relaxed);
        }
        // Whatever they say.
        let _ = meta.view(|view| {
            for n in 0..32 {
                let _ = view.get(&key(n));
            }
            PREFIXES.iter().for_each(|prefix| drop(view.scan(prefix, prefix).map(Iterator::count)));
            Ok(())
        });
        for n in 0..40 {
            let _ = meta.begin().and_then(|mut txn| txn.put(&key(n % 32), &[n; 60]).and_then(|()| txn.commit()));
        }
        let _ = meta.sync(meta.last_seq());
        let _ = meta.checkpoint();
    }
}

#[test]
fn a_value_that_was_read_stays_until_the_transaction_ends() {
    let place = Place::new();
    let (_pool, meta) = place.open();
    put(&meta, b"a", &[1; 500]);
    let view = meta.take_view().expect("a view");
    let value = view.get(b"a").expect("a get");
    put(&meta, b"a", &[2; 500]);
    assert_eq!(value, Some(&[1; 500][..]));
    let txn = meta.begin().expect("a transaction");
    assert_eq!(txn.get(b"a"), Ok(Some(&[2; 500][..])));
}
