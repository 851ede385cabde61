//! What was written back before anyone asked is not taken for durable, and by nobody but the process that gave it.

use super::{Place, put, shared, state};
use crate::media::Medium;
use crate::media::sim::tape::{Event, Lower, Tape};
use crate::metalog::{LogShared, Meta};
use crate::units::{PAGE, Seq};

/// A pool whose log has been written back as far as whole pages go.
struct Given {
    place: Place,
    shared: &'static LogShared,
    meta: Meta,
    tape: Tape,
    last: Seq,
    /// Where what is not durable begins, down to its page, and where what was given ends.
    from: u64,
    upto: u64,
}

/// The writes of whole pages among `events`: through the page cache or past it, from where to where.
fn writes(events: &[Event], past: bool) -> Vec<(u64, u64)> {
    let pages = |event: &Event| match event {
        Event::Wrote { at, bytes, direct, .. } if *direct == past && bytes.len() >= PAGE => Some((*at, at + bytes.len() as u64)),
        _ => None,
    };
    events.iter().filter_map(pages).collect()
}

/// `None` where the pool's file system has no writes past the page cache.
fn given() -> Option<Given> {
    let place = Place::without_pool();
    // No checkpoint is due.
    place.make_pool(256 << 10, None);
    let shared = shared();
    let (pool, meta) = place.open_with(shared).expect("the pool opens");
    if pool.medium() != Medium::Block || !pool.one_flush() {
        println!("skipped: this pool has no log that is written past the page cache");
        return None;
    }
    let tape = Tape::start(&place.pool, Lower::Ext4);
    let from = shared.flushed().1 / PAGE as u64 * PAGE as u64;
    let last = (b'a'..b'g').map(|key| put(&meta, &[key], &[key; 1500])).last().expect("a record");
    let given = writes(&tape.take(), false);
    assert_eq!(given.first().map(|(at, _)| *at), Some(from), "all that is not durable");
    let upto = given.windows(2).fold(given[0].1, |upto, pair| {
        assert_eq!(pair[1].0, upto, "nothing twice, nothing left out");
        pair[1].1
    });
    assert!(meta.shared.durable.load(crate::sync::Ordering::Relaxed) < last.get(), "it is not durable yet");
    Some(Given { place, shared, meta, tape, last, from, upto })
}

/// Loses what is in memory, and finds everything in the log.
fn all_is_there(place: &Place) {
    place.reboot();
    let (_pool, meta) = place.open();
    assert!(state(&meta).iter().filter(|(key, _)| key.len() == 1).all(|(key, value)| *value == vec![key[0]; 1500]));
    assert!((b'a'..b'g').all(|key| state(&meta).contains_key(&vec![key])));
}

#[test]
fn a_flush_writes_the_rest_and_has_the_file_synced() {
    let Some(Given { place, meta, tape, last, upto, .. }) = given() else { return };
    meta.sync(last).expect("a sync");
    let events = tape.take();
    let rest = writes(&events, true);
    assert!(rest.len() == 1 && rest[0].0 == upto, "{rest:?} behind {upto}");
    let written = events.iter().position(|event| matches!(event, Event::Wrote { direct: true, .. })).expect("the rest");
    let synced = |event: &Event| matches!(event, Event::Flushed { to: u64::MAX, .. });
    assert!(events[written..].iter().any(synced), "of the whole file: {events:?}");
    drop((meta, tape));
    all_is_there(&place);
}

#[test]
fn a_flush_after_one_that_failed_writes_all_again() {
    let Some(Given { place, meta, tape, last, from, .. }) = given() else { return };
    tape.fail_flush("log.1");
    meta.sync(last).expect_err("the device fails");
    assert!(meta.shared.durable.load(crate::sync::Ordering::Relaxed) < last.get());
    tape.take();
    meta.sync(last).expect("a sync");
    assert_eq!(writes(&tape.take(), true).first().map(|(at, _)| *at), Some(from));
    drop((meta, tape));
    all_is_there(&place);
}

#[test]
fn nobody_else_counts_on_what_was_given() {
    let Some(Given { place, shared, meta, tape, last, from, .. }) = given() else { return };
    let (_pool, other) = place.open_with(shared).expect("the pool opens");
    tape.take();
    other.sync(last).expect("a sync");
    assert_eq!(writes(&tape.take(), true).first().map(|(at, _)| *at), Some(from));
    // Nor does who gave it write less than what has come since.
    let from = shared.flushed().1 / PAGE as u64 * PAGE as u64;
    meta.sync(put(&meta, b"more", &[0; 100])).expect("a sync");
    let events = tape.take();
    assert_eq!(writes(&events, true).first().map(|(at, _)| *at), Some(from));
    drop((meta, other, tape));
    all_is_there(&place);
}

#[test]
fn a_forked_child_does_not_count_on_what_its_parent_gave() {
    let Some(Given { place, meta, tape, last, from, .. }) = given() else { return };
    meta.early.after_fork_child();
    meta.sync(last).expect("a sync");
    assert_eq!(writes(&tape.take(), true).first().map(|(at, _)| *at), Some(from));
    drop((meta, tape));
    all_is_there(&place);
}
