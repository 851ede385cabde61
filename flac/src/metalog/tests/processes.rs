//! Several processes: this test binary runs itself. A process that dies leaves nothing that others must wait for.

use super::{DIE_AFTER, Place, put, shared, state};
use crate::media::Pool;
use crate::metalog::Meta;
use crate::sync::ByPid;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;

const ROLE: &str = "FLAC_METALOG_TEST_ROLE";

/// Runs the test `child` of this module in another process, on the pool of `place`.
fn spawn(place: &Place, role: &str) -> Child {
    let exe = std::env::current_exe().expect("this binary");
    let mut command = Command::new(exe);
    command.args(["--exact", "metalog::tests::processes::child", "--nocapture", "--test-threads=1"]);
    command.env(ROLE, format!("{role}\n{}\n{}", place.pool.display(), place.run.display()));
    command.stdout(std::process::Stdio::null());
    command.spawn().expect("a child")
}

/// What a child process does; as a test of the parent it does nothing.
#[test]
fn child() {
    let Ok(order) = std::env::var(ROLE) else {
        return;
    };
    // Whatever becomes of the parent, nothing goes on for ever.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).expect("a death signal");
    let [role, pool, run] = order.splitn(3, '\n').collect::<Vec<_>>()[..] else { panic!("three lines") };
    let pool = Pool::open(Path::new(pool)).expect("a pool");
    let meta = Meta::open(&pool, Path::new(run), shared(), Arc::new(ByPid)).expect("a metalog");
    let (what, number) = role.split_once(' ').expect("a role and a number");
    let number: u64 = number.parse().expect("a number");
    match what {
        "count" => (0..number).for_each(|i| count(&meta, i)),
        "die" => {
            DIE_AFTER.set(meta.last_seq().get() + number);
            (0..u64::MAX).for_each(|i| count(&meta, i));
        }
        "forever" => (0..u64::MAX).for_each(|i| count(&meta, i)),
        other => panic!("{other}"),
    }
}

fn number(value: Option<&[u8]>) -> u64 {
    value.map_or(0, |v| u64::from_le_bytes(v.try_into().expect("8 bytes")))
}

/// Raises the total and this process's own counter by one, together.
fn count(meta: &Meta, i: u64) {
    let mut txn = meta.begin().expect("a transaction");
    let total = number(txn.get(b"total").expect("a get")) + 1;
    let own = format!("p{}", std::process::id());
    let mine = number(txn.get(own.as_bytes()).expect("a get")) + 1;
    txn.put(b"total", &total.to_le_bytes()).expect("a put");
    txn.put(own.as_bytes(), &mine.to_le_bytes()).expect("a put");
    let seq = txn.commit().expect("a commit");
    if i.is_multiple_of(16) {
        meta.sync(seq).expect("a sync");
    }
    if meta.checkpoint_due() {
        meta.checkpoint().expect("a checkpoint");
    }
}

/// The total, which is the sum of all counters.
fn total(meta: &Meta) -> u64 {
    let state = state(meta);
    let sum: u64 = state.iter().filter(|(k, _)| k[0] == b'p').map(|(_, v)| number(Some(v))).sum();
    assert_eq!(number(state.get(&b"total"[..]).map(Vec::as_slice)), sum);
    sum
}

#[test]
fn three_processes_that_open_at_once_lose_no_transaction() {
    let place = Place::new();
    let children: Vec<_> = (0..3).map(|_| spawn(&place, "count 400")).collect();
    for mut child in children {
        assert!(child.wait().expect("an end").success());
    }
    let (_pool, meta) = place.open();
    assert_eq!(total(&meta), 1200);
    meta.sync(meta.last_seq()).expect("a sync");
    drop(meta);
    place.reboot();
    assert_eq!(total(&place.open().1), 1200);
}

#[test]
fn a_writer_killed_between_append_and_commit_is_finished_by_the_next() {
    let place = Place::new();
    let (_pool, meta) = place.open();
    put(&meta, b"before", b"1");
    for round in 1..4 {
        let mut child = spawn(&place, "die 5");
        assert!(!child.wait().expect("an end").success());
        // The record is in the log but not in the KV, until somebody takes the writer lock.
        assert_eq!(total(&meta), round * 5 - 1);
        drop(meta.begin().expect("a transaction"));
        assert_eq!(total(&meta), round * 5);
    }
    meta.sync(meta.last_seq()).expect("a sync");
    drop(meta);
    place.reboot();
    assert_eq!(total(&place.open().1), 15);
}

#[test]
fn processes_killed_at_any_moment_leave_a_working_metalog() {
    let place = Place::new();
    let (_pool, meta) = place.open();
    let mut least = 0;
    for round in 0..12u64 {
        let mut children: Vec<_> = (0..2).map(|_| spawn(&place, "forever 0")).collect();
        std::thread::sleep(std::time::Duration::from_millis(20 + round * 7 % 50));
        for child in &mut children {
            child.kill().expect("a kill");
        }
        count(&meta, 0);
        for mut child in children {
            child.wait().expect("an end");
        }
        let now = total(&meta);
        assert!(now > least);
        least = now;
    }
    meta.sync(meta.last_seq()).expect("a sync");
    drop(meta);
    place.reboot();
    assert!(total(&place.open().1) >= least);
    assert_eq!(Meta::verify(&place.pool).expect("a pool"), Vec::<String>::new());
}

#[test]
fn syncs_that_come_at_once_share_flushes() {
    let place = Place::new();
    let (_pool, meta) = place.open();
    let (meta, rounds, threads) = (&meta, 50, 8);
    let before = meta.syncs_and_flushes();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for i in 0..rounds {
                    let seq = put(meta, &[b't', thread], &[i]);
                    meta.sync(seq).expect("a sync");
                }
            });
        }
    });
    // Those of the checkpoints that the tiny log needs are among them.
    let flushes = meta.syncs_and_flushes().1 - before.1;
    assert!(flushes < u64::from(rounds) * u64::from(threads), "{flushes} flushes");
    place.reboot();
    assert_eq!(state(&place.open().1).len(), usize::from(threads));
}
