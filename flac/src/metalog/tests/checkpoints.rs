//! Checkpoints bound the log, hold the whole state, and may race with everything.

use super::{LOG_BYTES, MEANWHILE, Place, State, put, shared, state};
use crate::metalog::steps::PATIENCE;
use crate::metalog::{Meta, checkpoint};
use crate::sync::{ByPid, Liveness, Ordering};
use std::os::unix::fs::FileExt;
use std::time::Instant;

fn key(i: u32) -> Vec<u8> {
    format!("key{i:05}").into_bytes()
}

#[test]
fn a_log_that_fills_up_makes_room_by_itself() {
    let place = Place::new();
    let (_pool, meta) = place.open();
    let mut expected = State::new();
    for i in 0..2000 {
        put(&meta, &key(i % 700), &i.to_le_bytes());
        expected.insert(key(i % 700), i.to_le_bytes().to_vec());
    }
    assert_eq!(state(&meta), expected);
    meta.sync(meta.last_seq()).expect("a sync");
    drop(meta);
    place.reboot();
    let (_pool, meta) = place.open();
    assert_eq!(state(&meta), expected);
    assert!(checkpoint::list(&place.pool).expect("a list").len() <= 2);
}

#[test]
fn a_checkpoint_is_due_past_half_of_the_log() {
    let place = Place::new();
    let (_pool, meta) = place.open();
    assert!(!meta.checkpoint_due());
    put(&meta, b"big", &vec![1; LOG_BYTES as usize / 2]);
    assert!(meta.checkpoint_due());
    meta.checkpoint().expect("a checkpoint");
    assert!(!meta.checkpoint_due());
}

#[test]
fn a_record_that_nearly_fills_a_log_is_taken_and_a_larger_one_refused() {
    let place = Place::new();
    let (_pool, meta) = place.open();
    let fits = vec![7; LOG_BYTES as usize - 4096 - 128 - 48 - 8 - 16];
    for round in 0..5u8 {
        put(&meta, &[b'k', round], &fits);
        put(&meta, &[b's', round], b"small");
    }
    let mut txn = meta.begin().expect("a transaction");
    txn.put(b"x", &vec![1; LOG_BYTES as usize]).expect("a put");
    assert_eq!(txn.commit().expect_err("too large").errno(), libc::EFBIG);
    let before = state(&meta);
    assert_eq!(before.len(), 10);
    meta.sync(meta.last_seq()).expect("a sync");
    drop(meta);
    place.reboot();
    assert_eq!(state(&place.open().1), before);
}

#[test]
fn writers_readers_and_checkpoints_race() {
    let place = Place::new();
    let (_pool, meta) = place.open();
    let meta = &meta;
    std::thread::scope(|scope| {
        for writer in 0..3u32 {
            scope.spawn(move || {
                for i in 0..400u32 {
                    // Every transaction raises the writer's counter and the total.
                    let mut txn = meta.begin().expect("a transaction");
                    let total = txn.get(b"total").expect("a get").map_or(0, |v| u32::from_le_bytes(v.try_into().expect("4 bytes")));
                    txn.put(b"total", &(total + 1).to_le_bytes()).expect("a put");
                    txn.put(&[b'w', writer as u8], &(i + 1).to_le_bytes()).expect("a put");
                    let seq = txn.commit().expect("a commit");
                    if i % 40 == 0 {
                        meta.sync(seq).expect("a sync");
                    }
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(move || {
                for _ in 0..20 {
                    meta.checkpoint().expect("a checkpoint");
                    let state = state(meta);
                    let number = |v: &Vec<u8>| u32::from_le_bytes(v.as_slice().try_into().expect("4 bytes"));
                    let sum: u32 = state.iter().filter(|(k, _)| k[0] == b'w').map(|(_, v)| number(v)).sum();
                    assert_eq!(state.get(&b"total"[..]).map_or(0, number), sum);
                }
            });
        }
    });
    let before = state(meta);
    assert_eq!(before.get(&b"total"[..]), Some(&1200u32.to_le_bytes().to_vec()));
    meta.sync(meta.last_seq()).expect("a sync");
    place.reboot();
    assert_eq!(state(&place.open().1), before);
}

#[test]
fn a_damaged_checkpoint_is_passed_over_while_the_log_before_it_is_there() {
    let place = Place::new();
    let (_pool, meta) = place.open();
    for i in 0..300 {
        put(&meta, &key(i), b"value");
    }
    meta.checkpoint().expect("a checkpoint");
    // If the log of this one is half full, too, the next change would begin another.
    if meta.checkpoint_due() {
        meta.checkpoint().expect("a checkpoint");
    }
    put(&meta, b"later", b"1");
    let before = state(&meta);
    meta.sync(meta.last_seq()).expect("a sync");
    let newest = *checkpoint::list(&place.pool).expect("a list").last().expect("a checkpoint");
    assert_eq!(meta.position().expect("a position").generation, newest);
    drop(meta);
    let path = checkpoint::path(&place.pool, newest);
    let mut bytes = std::fs::read(&path).expect("the checkpoint");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(&path, bytes).expect("the checkpoint");
    place.reboot();
    assert_eq!(state(&place.open().1), before);
}

#[test]
fn durable_seq_lags_one_sync_behind_and_settle_catches_up() {
    let place = Place::new();
    let (_pool, meta) = place.open();
    let first = put(&meta, b"a", b"1");
    meta.sync(first).expect("a sync");
    assert!(meta.durable_seq() < first);
    let second = put(&meta, b"b", b"1");
    meta.sync(second).expect("a sync");
    assert_eq!(meta.durable_seq(), first);
    assert!(meta.settle().expect("a sync") >= second);
}

/// Fills the log until a checkpoint is in the making whose first piece is written.
fn begin_in_steps(meta: &Meta) {
    for i in 0.. {
        put(meta, &key(i % 60), &[1; 100]);
        if meta.shared.making.load().is_some_and(|work| work.pairs > 0) {
            return;
        }
    }
}

/// Changes keys on both sides of where the checkpoint has got to, until it is done.
fn change_until_done(meta: &Meta) {
    for i in 0..u32::MAX {
        let mut txn = meta.begin().expect("a transaction");
        if !meta.shared.making.is_under_way() {
            return;
        }
        match i % 3 {
            0 => txn.put(&key(i * 7 % 60), &i.to_le_bytes()).expect("a put"),
            1 => txn.put(&[&key(i * 11 % 60)[..], b"new"].concat(), &i.to_le_bytes()).expect("a put"),
            _ => drop(txn.delete(&key(i * 13 % 60)).expect("a delete")),
        }
        txn.commit().expect("a commit");
    }
}

#[test]
fn a_checkpoint_whose_pieces_are_of_different_moments_becomes_a_whole_state() {
    let place = Place::new();
    let (_pool, meta) = place.open();
    begin_in_steps(&meta);
    let begun = meta.shared.making.load().expect("a checkpoint");
    assert!(begun.pairs < 30, "{} pairs in the first step", begun.pairs);
    change_until_done(&meta);
    assert_eq!(checkpoint::list(&place.pool).expect("a list").last(), Some(&begun.position.generation));
    // What it says by itself is no state that ever was.
    let mut pieces = State::new();
    let read = checkpoint::read(&place.pool, &meta.uuid, begun.position.generation, |k, v| {
        pieces.insert(k.to_vec(), v.to_vec());
        Ok(())
    });
    let (start, whole) = read.expect("a sound checkpoint");
    assert!(start.seq < whole && whole <= meta.last_seq());
    let before = state(&meta);
    assert_ne!(pieces, before);
    meta.sync(meta.last_seq()).expect("a sync");
    drop(meta);
    place.reboot();
    assert_eq!(state(&place.open().1), before);
    assert_eq!(Meta::verify(&place.pool).expect("a pool"), Vec::<String>::new());
}

#[test]
fn a_checkpoint_without_the_records_of_its_making_is_refused() {
    let place = Place::new();
    let (_pool, meta) = place.open();
    begin_in_steps(&meta);
    let start = meta.shared.making.load().expect("a checkpoint").position;
    change_until_done(&meta);
    drop(meta);
    place.reboot();
    let log = std::fs::File::options().write(true).open(place.pool.join(format!("log.{}", start.generation % 2))).expect("the log");
    // All of it from there: as if no record had ever followed.
    log.write_all_at(&vec![0; (LOG_BYTES - start.tail) as usize], start.tail).expect("a write");
    let hint = std::fs::File::options().write(true).open(place.pool.join("superblock")).expect("the superblock");
    hint.write_all_at(&[0; 24], crate::media::layout::HINT_AT).expect("a write");
    let refused = place.try_open().err().expect("a damaged pool").to_string();
    assert!(refused.contains("before its checkpoint was whole"), "{refused}");
}

#[test]
fn another_process_goes_on_with_a_checkpoint_whose_beginner_is_gone() {
    let place = Place::new();
    let shared = shared();
    let (_pool, meta) = place.open_with(shared).expect("the pool opens");
    begin_in_steps(&meta);
    let begun = meta.shared.making.load().expect("a checkpoint").position;
    drop(meta);
    let (_pool, meta) = place.open_with(shared).expect("the pool opens");
    change_until_done(&meta);
    assert_eq!(checkpoint::list(&place.pool).expect("a list").last(), Some(&begun.generation));
    let before = state(&meta);
    meta.sync(meta.last_seq()).expect("a sync");
    drop(meta);
    place.reboot();
    assert_eq!(state(&place.open().1), before);
}

/// Both files had the name of the thread that began them: the other process wrote its next piece into the middle of the wrong one, which then took the place of the log.
#[test]
fn regression_a_checkpoint_for_a_huge_record_is_another_than_the_one_that_others_go_on_with() {
    let place = Place::new();
    let (_pool, meta) = place.open();
    let meta: &Meta = Box::leak(Box::new(meta));
    begin_in_steps(meta);
    // From here on the two files would differ from their beginning on.
    let mut txn = meta.begin().expect("a transaction");
    assert!(txn.delete(&key(0)).expect("a delete"));
    txn.commit().expect("a commit");
    drop(meta.settled().expect("folded"));
    assert!(meta.shared.making.is_under_way());
    let generation = meta.position().expect("a position").generation;
    MEANWHILE.set(Some(Box::new(|| {
        meta.shared.used.store(LOG_BYTES / 4 * 3, Ordering::Relaxed);
        std::thread::scope(|scope| _ = scope.spawn(|| meta.step()));
    })));
    put(meta, b"huge", &vec![7; LOG_BYTES as usize - 4096 - 128 - 48 - 8 - 16]);
    assert!(MEANWHILE.take().is_none());
    assert!(meta.position().expect("a position").generation > generation);
    assert_eq!(Meta::verify(&place.pool).expect("a pool"), Vec::<String>::new());
    let before = state(meta);
    meta.sync(meta.last_seq()).expect("a sync");
    place.reboot();
    assert_eq!(state(&place.open().1), before);
}

/// Knows of a process in another namespace, whose number nobody has in this one.
struct Elsewhere;

const ELSEWHERE: u32 = 0x7fff_fff0;

impl Liveness for Elsewhere {
    fn me(&self) -> u32 {
        ByPid.me()
    }
    fn alive(&self, slot: u32) -> bool {
        self.token_alive(slot)
    }
    fn token(&self) -> u32 {
        ByPid.token()
    }
    fn token_alive(&self, token: u32) -> bool {
        token == ELSEWHERE || token == self.token()
    }
}

/// A process in a container was taken for a dead one by those outside: the checkpoint that it was writing for a huge record was gone, and its change failed.
#[test]
fn regression_the_checkpoint_of_a_process_in_another_namespace_stays() {
    let place = Place::new();
    let name = |writer: u32, thread: u32| format!("checkpoint.new.{writer}.{thread}");
    let (theirs, mine) = (name(ELSEWHERE, 0), name(Elsewhere.token(), 0));
    let (in_steps, dead) = (name(ELSEWHERE, 7), name(ELSEWHERE - 1, 0));
    let all = [&theirs, &mine, &in_steps, &dead];
    all.into_iter().for_each(|name| std::fs::write(place.pool.join(name), b"half").expect("a file"));
    checkpoint::remove_older(&place.pool, 0, &Elsewhere);
    let left = all.map(|name| place.pool.join(name).exists());
    assert_eq!(left, [true, true, true, false]);
}

#[test]
fn a_writer_slows_down_while_another_is_late_with_the_checkpoint() {
    let place = Place::new();
    let (_pool, meta) = place.open();
    let making = &meta.shared.making;
    begin_in_steps(&meta);
    let turn = making.lock.lock(&ByPid);
    let used = || meta.shared.used.load(Ordering::Relaxed);
    while !making.is_late(used(), LOG_BYTES) {
        put(&meta, b"early", &[2; 100]);
    }
    assert!(used() < LOG_BYTES / 4 * 3, "{} bytes of {LOG_BYTES}", used());
    let begun = Instant::now();
    (0..10).for_each(|_| _ = put(&meta, b"late", &[2; 100]));
    assert!(begun.elapsed() >= 10 * PATIENCE, "{:?}", begun.elapsed());
    drop(turn);
    change_until_done(&meta);
}

/// Whoever syncs first, or begins the next checkpoint, would have to wait for all of it.
#[test]
fn regression_a_log_that_was_just_begun_is_flushed_though_nobody_asks() {
    const LOG: u64 = 8 << 20;
    let place = Place::without_pool();
    place.make_pool(LOG, None);
    let (pool, meta) = place.open();
    if pool.is_volatile() || pool.is_immediate() {
        println!("skipped: the temporary directory is no disk");
        return;
    }
    let fill = |bytes: usize| (0..bytes >> 16).for_each(|i| _ = put(&meta, &key(i as u32), &[1; 1 << 16]));
    let generation = || meta.position().expect("a position").generation;
    let flushed = || meta.shared.flushed.load(Ordering::Acquire) >> 32;
    // The second checkpoint changes the log.
    for _ in 0..2 {
        fill(LOG as usize / 8 * 5);
        meta.checkpoint().expect("a checkpoint");
        meta.sync_all().expect("a sync");
        fill(LOG as usize / 8);
    }
    let before = generation();
    fill(LOG as usize / 2);
    meta.checkpoint().expect("a checkpoint");
    assert!(generation() > before);
    fill(2 << 20);
    assert_eq!(flushed(), generation(), "more than a mebibyte is not durable");
}
