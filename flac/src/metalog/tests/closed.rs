//! The mark of a closed log.

use super::{Place, put, shared, state};
use crate::media::layout::{HINT_AT, Position};
use crate::metalog::closed;
use crate::units::Seq;
use std::os::unix::fs::FileExt;

fn closed_at(place: &Place) -> Option<Position> {
    let pool = crate::media::Pool::open(&place.pool).expect("a pool");
    closed::end(&pool.marks()).expect("the mark")
}

/// A pool with a few keys whose log was closed, and the bytes in which its last record begins.
fn closed_pool() -> (Place, u64) {
    let place = Place::new();
    let (pool, meta) = place.open();
    put(&meta, b"a", b"1");
    let before = meta.position().expect("a position").tail;
    put(&meta, b"b", b"2");
    meta.close(&pool).expect("the log closes");
    drop((pool, meta));
    place.reboot();
    (place, before)
}

fn damage(place: &Place, at: u64) {
    let log = std::fs::File::options().write(true).open(place.pool.join("log.1")).expect("the log");
    log.write_all_at(&[0xEE; 16], at).expect("a write");
    let marks = std::fs::File::options().write(true).open(place.pool.join("superblock")).expect("the superblock");
    marks.write_all_at(&[0; 24], HINT_AT).expect("a write");
}

#[test]
fn a_new_pool_and_one_that_was_taken_down_have_it_and_an_open_one_does_not() {
    let place = Place::new();
    assert!(closed_at(&place).is_some());
    let (place, before) = closed_pool();
    assert!(closed_at(&place).is_some_and(|end| end.tail > before));
    let (_pool, meta) = place.open();
    assert_eq!(state(&meta).len(), 2);
    assert_eq!(closed_at(&place), None);
}

#[test]
fn a_record_that_is_missing_before_it_is_noticed() {
    let (place, last) = closed_pool();
    damage(&place, last);
    let refused = place.try_open().map(drop).expect_err("refused").to_string();
    assert!(refused.contains("is damaged where it was durable"), "{refused}");
}

/// The mark says nothing of records that came after it: they are looked for.
#[test]
fn a_record_that_rots_after_the_next_opening_is_noticed() {
    let (place, _) = closed_pool();
    let (pool, meta) = place.open();
    let first = meta.position().expect("a position").tail;
    for i in b'c'..=b'e' {
        meta.sync(put(&meta, &[i], b"3")).expect("a sync");
    }
    drop((pool, meta));
    place.reboot();
    damage(&place, first);
    let refused = place.try_open().map(drop).expect_err("refused").to_string();
    assert!(refused.contains("is damaged where it was durable"), "{refused}");
}

#[test]
fn one_that_was_left_beside_a_live_kv_goes_with_the_next_process() {
    let place = Place::new();
    let shared = shared();
    let (pool, meta) = place.open_with(shared).expect("the pool opens");
    put(&meta, b"a", b"1");
    meta.close(&pool).expect("the log closes");
    drop((pool, meta));
    assert!(closed_at(&place).is_some());
    let (_pool, meta) = place.open_with(shared).expect("the pool opens");
    assert_eq!(closed_at(&place), None);
    assert!(meta.last_seq() > Seq::new(0));
}
