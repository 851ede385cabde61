//! After a power cut at any moment the state is that of some moment between the last sync and the cut, data included; and so on, crash after crash.

use super::{FRAMES, Place, State, copy_dir, disk, state};
use crate::media::Pool;
use crate::metalog::Meta;
use crate::units::{PAGE, PoolFrame, Seq};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Op {
    /// A transaction of puts and deletes; the flag: it is dropped, not committed.
    Change(Vec<(u8, Option<u16>)>, bool),
    /// A page of data written to the pool, and a key that points at it.
    Data(u8, u8),
    /// The same, with the data in the record.
    Carried(u8, u8),
    Sync,
    Settle,
    Checkpoint,
    /// All processes die: the run directory stays.
    Restart,
    /// The run directory is lost too, and power may fail again in the midst of the recovery.
    Reboot,
}

fn op() -> impl Strategy<Value = Op> {
    let change = (prop::collection::vec((0..20u8, prop::option::weighted(0.7, 0..1500u16)), 1..6), prop::bool::weighted(0.1));
    prop_oneof![
        8 => change.prop_map(|(list, drop)| Op::Change(list, drop)),
        6 => (0..12u8, any::<u8>()).prop_map(|(key, byte)| Op::Data(key, byte)),
        6 => (0..12u8, any::<u8>()).prop_map(|(key, byte)| Op::Carried(key, byte)),
        3 => Just(Op::Sync),
        1 => Just(Op::Settle),
        1 => Just(Op::Checkpoint),
        1 => Just(Op::Restart),
        1 => Just(Op::Reboot),
    ]
}

/// The states after each record, and which of them must survive.
struct Model {
    states: BTreeMap<u64, State>,
    synced: Seq,
    /// Frames freed, and by which record.
    freed: Vec<(u32, Seq)>,
}

/// A page that can be told from all others.
#[repr(align(4096))]
struct Page([u8; PAGE]);

fn data_key(key: u8) -> Vec<u8> {
    vec![b'd', key]
}

fn frame_of(value: &[u8]) -> (PoolFrame, u32) {
    let number = |at: usize| u32::from_le_bytes(value[at..at + 4].try_into().expect("4 bytes"));
    (PoolFrame::new(number(0)), number(4))
}

impl Model {
    fn new(meta: &Meta) -> Model {
        let seq = meta.last_seq();
        Model { states: BTreeMap::from([(seq.get(), state(meta))]), synced: seq, freed: Vec::new() }
    }

    fn last(&self) -> &State {
        self.states.values().next_back().expect("the first state")
    }

    /// The log came back without records that were not synced: they never were.
    fn recovered(&mut self, meta: &Meta) {
        let recovered = state(meta);
        let fits = self.states.range(self.synced.get()..).rfind(|(_, state)| **state == recovered).map(|(seq, _)| *seq);
        let seq = fits.unwrap_or_else(|| panic!("a state not older than {:?}", self.synced));
        self.states.split_off(&(seq + 1));
        // If power failed during the recovery, what was written back early, and found, may be lost yet.
        if !disk::crashed() {
            self.synced = meta.last_seq();
        }
    }

    fn change(&mut self, meta: &Meta, list: &[(u8, Option<u16>)], abort: bool) {
        let mut next = self.last().clone();
        let mut txn = meta.begin().expect("a transaction");
        for (key, value) in list {
            let key = vec![b'k', *key];
            match value {
                Some(len) => {
                    let value = vec![key[1] ^ *len as u8; usize::from(*len)];
                    txn.put(&key, &value).expect("a put");
                    next.insert(key, value);
                }
                None => assert_eq!(txn.delete(&key).expect("a delete"), next.remove(&key).is_some()),
            }
        }
        if abort {
            return;
        }
        let seq = txn.commit().expect("a commit");
        self.states.insert(seq.get(), next);
    }

    fn data(&mut self, pool: &Pool, meta: &Meta, key: u8, byte: u8, carried: bool) {
        // Used frames, and those freed too recently, are taboo.
        let durable = meta.durable_seq();
        self.freed.retain(|(_, by)| *by > durable);
        let used: Vec<u32> = self.last().iter().filter(|(k, _)| k[0] == b'd').map(|(_, v)| frame_of(v).0.get()).collect();
        let Some(frame) = (0..FRAMES).find(|f| !used.contains(f) && self.freed.iter().all(|(freed, _)| freed != f)) else {
            return;
        };
        let mut page = Box::new(Page([byte; PAGE]));
        page.0[..4].copy_from_slice(&frame.to_le_bytes());
        page.0[4..12].copy_from_slice(&(self.states.len() as u64).to_le_bytes());
        disk::written(PoolFrame::new(frame), 1, carried);
        if carried { pool.write_home(PoolFrame::new(frame), &[&page.0]) } else { pool.write(PoolFrame::new(frame), &[&page.0]) }
            .expect("a write");
        let crc = crc32c::crc32c(&page.0);
        let key = data_key(key);
        let value = [frame.to_le_bytes(), crc.to_le_bytes()].concat();
        let mut txn = meta.begin().expect("a transaction");
        txn.put(&key, &value).expect("a put");
        if carried {
            txn.carry_data(PoolFrame::new(frame), &page.0)
        } else {
            txn.guard_data(PoolFrame::new(frame), crc)
        }
        let seq = txn.commit().expect("a commit");
        let mut next = self.last().clone();
        if let Some(old) = next.insert(key, value) {
            self.freed.push((frame_of(&old).0.get(), seq));
        }
        self.states.insert(seq.get(), next);
    }
}

/// Runs `ops` until the power fails, then recovers and checks. Gives what survived.
fn round(place: &Place, ops: &[Op], left: u32, seed: u64) -> Place {
    let after = Place::without_pool();
    let (mut pool, mut meta) = place.open();
    let mut model = Model::new(&meta);
    disk::watch(&place.pool, left, &after.pool, seed);
    for op in ops {
        let before = meta.last_seq();
        match op {
            Op::Change(list, abort) => model.change(&meta, list, *abort),
            Op::Data(key, byte) => model.data(&pool, &meta, *key, *byte, false),
            Op::Carried(key, byte) => model.data(&pool, &meta, *key, *byte, true),
            Op::Sync => meta.sync(before).expect("a sync"),
            Op::Settle => drop(meta.settle().expect("a sync")),
            Op::Checkpoint => meta.checkpoint().expect("a checkpoint"),
            Op::Restart | Op::Reboot => {
                drop((pool, meta));
                if matches!(op, Op::Reboot) {
                    place.reboot();
                }
                (pool, meta) = place.open();
                if matches!(op, Op::Reboot) {
                    model.recovered(&meta);
                }
            }
        }
        let last = model.last().clone();
        model.states.entry(meta.last_seq().get()).or_insert(last);
        assert!(state(&meta) == *model.last(), "after {op:?}");
        if disk::crashed() {
            break;
        }
        if matches!(op, Op::Sync | Op::Settle) {
            model.synced = before;
        }
        disk::event(disk::Event::Idle);
    }
    while !disk::crashed() {
        disk::event(disk::Event::Idle);
    }
    check(&after, &model);
    after
}

fn check(after: &Place, model: &Model) {
    let (pool, meta) = after.open();
    let recovered = state(&meta);
    let fits = model.states.range(model.synced.get()..).any(|(_, state)| *state == recovered);
    let seqs: Vec<_> = model.states.iter().filter(|(_, s)| **s == recovered).map(|(seq, _)| *seq).collect();
    assert!(fits, "synced {:?}, last {:?}, recovered a state of {seqs:?}", model.synced, model.states.keys().next_back());
    for (_, value) in recovered.iter().filter(|(k, _)| k[0] == b'd') {
        let (frame, crc) = frame_of(value);
        let mut page = Box::new(Page([0; PAGE]));
        pool.read(frame, &mut page.0).expect("a read");
        assert_eq!(crc32c::crc32c(&page.0), crc, "{frame:?} lost its data");
    }
    drop(meta);
    assert_eq!(Meta::verify(&after.pool).expect("a pool"), Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 8, max_shrink_iters: 400, ..ProptestConfig::default() })]
    #[test]
    fn proptest_a_power_cut_leaves_a_state_not_older_than_the_last_sync(
        rounds in prop::collection::vec((prop::collection::vec(op(), 1..40), 0..60u32, any::<u64>()), 1..4)
    ) {
        let mut place = Place::new();
        for (ops, left, seed) in rounds {
            place = round(&place, &ops, left, seed);
        }
    }
}

#[test]
fn a_torn_tail_of_the_log_is_cut_off_and_never_comes_back() {
    let place = Place::new();
    let (_pool, meta) = place.open();
    super::put(&meta, b"a", b"1");
    meta.sync(meta.last_seq()).expect("a sync");
    let torn = super::put(&meta, b"b", b"2");
    super::put(&meta, b"c", b"3");
    // A sync that did not come to its end.
    meta.logs.flush(&meta.position().expect("a position"), 0, false, None).expect("a flush");
    drop(meta);
    // The record of `b` is lost, that of `c` behind it survived.
    let log = place.pool.join("log.1");
    let mut bytes = std::fs::read(&log).expect("the log");
    let at =
        (4096..bytes.len()).step_by(8).find(|&at| crate::media::layout::RecordHeader::peek(&bytes[at..]).is_some_and(|h| h.seq == torn));
    bytes[at.expect("the record") + 50] ^= 1;
    std::fs::write(&log, bytes).expect("the log");
    place.reboot();
    let (_pool, meta) = place.open();
    assert_eq!(state(&meta), State::from([(b"a".to_vec(), b"1".to_vec())]));
    // A record of the same length as the torn one now fills the gap; the old `c` must not follow it.
    super::put(&meta, b"b", b"4");
    meta.sync(meta.last_seq()).expect("a sync");
    drop(meta);
    place.reboot();
    let (_pool, meta) = place.open();
    assert_eq!(state(&meta), State::from([(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), b"4".to_vec())]));
}

#[test]
fn a_copy_of_the_pool_opens_elsewhere() {
    let place = Place::new();
    let (_pool, meta) = place.open();
    super::put(&meta, b"a", b"1");
    meta.sync(meta.last_seq()).expect("a sync");
    let copy = Place::without_pool();
    copy_dir(&place.pool, &copy.pool);
    let (_pool, other) = copy.open();
    assert_eq!(state(&other), state(&meta));
}
