//! The KV is an ordered map, whatever forks, dies or closes descriptors around it.
#![expect(unsafe_code, reason = "forks, and closes descriptors as a careless program does")]

use super::Kv;
use crate::error::Error;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const MAP: usize = 64 << 20;
const ROLE: &str = "FLAC_KV_TEST_ROLE";

fn temp() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn put(kv: &Kv, key: &[u8], value: &[u8]) {
    let mut txn = kv.write().expect("a transaction");
    txn.put(key, value).expect("a put");
    txn.commit().expect("a commit");
}

fn get(kv: &Kv, key: &[u8]) -> Option<Vec<u8>> {
    kv.read().expect("a snapshot").get(key).expect("a get").map(<[u8]>::to_vec)
}

#[derive(Debug, Clone)]
enum Op {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    Scan(Vec<u8>, Vec<u8>),
    Last(Vec<u8>),
    Commit,
    Abort,
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    // Few bytes, the extremes among them, so that prefixes and neighbours happen.
    prop::collection::vec(prop::sample::select(vec![0u8, 1, 2, 0xfe, 0xff]), 1..5)
}

fn op() -> impl Strategy<Value = Op> {
    let prefix = || prop::collection::vec(prop::sample::select(vec![0u8, 1, 0xff]), 0..3);
    let value = prop::collection::vec(any::<u8>(), 0..6000);
    prop_oneof![
        6 => (key(), value).prop_map(|(k, v)| Op::Put(k, v)),
        3 => key().prop_map(Op::Delete),
        2 => (prefix(), prefix()).prop_map(|(p, f)| Op::Scan(p, f)),
        2 => prefix().prop_map(Op::Last),
        1 => Just(Op::Commit),
        1 => Just(Op::Abort),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]
    #[test]
    fn proptest_it_is_an_ordered_map(ops in prop::collection::vec(op(), 1..60)) {
        let dir = temp();
        let kv = Kv::open(dir.path(), MAP).expect("a KV");
        let mut committed = BTreeMap::new();
        let mut model = committed.clone();
        let mut txn = kv.write().expect("a transaction");
        for op in ops {
            match op {
                Op::Put(k, v) => {
                    txn.put(&k, &v).expect("a put");
                    model.insert(k, v);
                }
                Op::Delete(k) => prop_assert_eq!(txn.delete(&k).expect("a delete"), model.remove(&k).is_some()),
                Op::Scan(p, f) => {
                    let found: Vec<_> = txn.scan(&p, &f).expect("a scan").map(|r| r.map(|(k, v)| (k.to_vec(), v.to_vec())).expect("a pair")).collect();
                    let expected: Vec<_> = model.iter().filter(|(k, _)| k.starts_with(&p) && **k >= f).map(|(k, v)| (k.clone(), v.clone())).collect();
                    prop_assert_eq!(found, expected);
                }
                Op::Last(p) => {
                    let found = txn.last(&p).expect("a look").map(|(k, _)| k.to_vec());
                    prop_assert_eq!(found.as_ref(), model.keys().rfind(|k| k.starts_with(&p)));
                }
                Op::Commit => {
                    txn.commit().expect("a commit");
                    committed = model.clone();
                    txn = kv.write().expect("a transaction");
                }
                Op::Abort => {
                    drop(txn);
                    model = committed.clone();
                    txn = kv.write().expect("a transaction");
                }
            }
        }
        drop(txn);
        let snapshot = kv.read().expect("a snapshot");
        let all: BTreeMap<_, _> = snapshot.scan(b"", b"").expect("a scan").map(|r| r.map(|(k, v)| (k.to_vec(), v.to_vec())).expect("a pair")).collect();
        prop_assert_eq!(all, committed);
    }
}

#[test]
fn a_snapshot_does_not_change() {
    let dir = temp();
    let kv = Kv::open(dir.path(), MAP).expect("a KV");
    put(&kv, b"a", b"old");
    let snapshot = kv.read().expect("a snapshot");
    let value = snapshot.get(b"a").expect("a get").expect("a value");
    for i in 0..500u32 {
        put(&kv, b"a", &i.to_le_bytes());
        put(&kv, &i.to_be_bytes(), &[0; 3000]);
    }
    assert_eq!(value, b"old");
    assert_eq!(snapshot.scan(b"", b"").expect("a scan").count(), 1);
}

#[test]
fn what_was_looked_up_before_is_asked_for_again_after_each_commit() {
    let dir = temp();
    let kv = Kv::open(dir.path(), MAP).expect("a KV");
    let long = [7; 200];
    assert_eq!(get(&kv, b"a"), None);
    let mut snapshots = Vec::new();
    for i in 0..100u8 {
        put(&kv, b"a", &[i; 30]);
        put(&kv, &long, &[i]);
        snapshots.push(kv.read().expect("a snapshot"));
        for (j, snapshot) in snapshots.iter().enumerate() {
            assert_eq!(snapshot.get(b"a"), Ok(Some(&[j as u8; 30][..])));
            assert_eq!(snapshot.get(&long), Ok(Some(&[j as u8][..])));
            assert_eq!(snapshot.get(b"b"), Ok(None));
        }
        let mut txn = kv.write().expect("a transaction");
        assert_eq!(txn.get(b"a"), Ok(Some(&[i; 30][..])));
        txn.put(b"a", b"not committed").expect("a put");
        assert_eq!(txn.get(b"a"), Ok(Some(&b"not committed"[..])));
        drop(txn);
        assert_eq!(get(&kv, b"a"), Some(vec![i; 30]));
    }
}

#[test]
fn a_second_transaction_of_the_same_thread_is_refused_not_waited_for() {
    let dir = temp();
    let kv = Kv::open(dir.path(), MAP).expect("a KV");
    let first = kv.write().expect("a transaction");
    assert_eq!(kv.write().map(drop).expect_err("refused"), Error::Os(libc::EDEADLK));
    drop(first);
    put(&kv, b"a", b"1");
}

#[test]
fn more_snapshots_than_are_cached_live_at_once() {
    let dir = temp();
    let kv = Kv::open(dir.path(), MAP).expect("a KV");
    put(&kv, b"a", b"1");
    for _ in 0..3 {
        let all: Vec<_> = (0..100).map(|_| kv.read().expect("a snapshot")).collect();
        assert!(all.iter().all(|s| s.get(b"a").expect("a get") == Some(b"1")));
    }
}

#[test]
fn a_thread_that_ends_while_writing_is_survived() {
    let dir = temp();
    let kv = Kv::open(dir.path(), MAP).expect("a KV");
    put(&kv, b"a", b"1");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut txn = kv.write().expect("a transaction");
            txn.put(b"a", b"2").expect("a put");
            std::mem::forget(txn);
        });
    });
    assert_eq!(get(&kv, b"a"), Some(b"1".to_vec()));
    put(&kv, b"b", b"2");
    assert_eq!(get(&kv, b"b"), Some(b"2".to_vec()));
}

/// Runs `child` after a fork; true if it returned true.
fn in_fork(child: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child runs `child`, which uses the KV and the allocator only, and leaves without running destructors.
    match unsafe { libc::fork() } {
        0 => {
            let ok = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).unwrap_or(false);
            // SAFETY: leaves at once.
            unsafe { libc::_exit(i32::from(!ok)) }
        }
        pid => {
            let mut status = 0;
            // SAFETY: waits for the child just made.
            let waited = unsafe { libc::waitpid(pid, &mut status, 0) };
            waited == pid && status == 0
        }
    }
}

#[test]
fn a_forked_child_and_its_parent_both_go_on() {
    let dir = temp();
    let kv = Kv::open(dir.path(), MAP).expect("a KV");
    put(&kv, b"parent", b"1");
    let kept = kv.read().expect("a snapshot");
    assert!(in_fork(|| {
        kv.after_fork_child();
        let ok = get(&kv, b"parent") == Some(b"1".to_vec());
        put(&kv, b"child", b"2");
        // A grandchild, too.
        ok && in_fork(|| {
            kv.after_fork_child();
            put(&kv, b"grandchild", b"3");
            get(&kv, b"child") == Some(b"2".to_vec())
        })
    }));
    assert_eq!(kept.get(b"child").expect("a get"), None);
    drop(kept);
    assert_eq!(get(&kv, b"child"), Some(b"2".to_vec()));
    assert_eq!(get(&kv, b"grandchild"), Some(b"3".to_vec()));
    put(&kv, b"parent", b"4");
    kv.clear_dead_readers();
}

#[test]
fn a_fork_in_the_midst_of_another_threads_transaction_harms_neither() {
    let dir = temp();
    let kv = Kv::open(dir.path(), MAP).expect("a KV");
    put(&kv, b"a", b"1");
    let (begun, begin) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let kv = &kv;
        scope.spawn(move || {
            let mut txn = kv.write().expect("a transaction");
            txn.put(b"a", b"2").expect("a put");
            begun.send(()).expect("sent");
            ended.recv().expect("received");
            txn.commit().expect("a commit");
        });
        begin.recv().expect("received");
        assert!(in_fork(|| {
            kv.after_fork_child();
            get(kv, b"a") == Some(b"1".to_vec())
        }));
        end.send(()).expect("sent");
    });
    assert_eq!(get(&kv, b"a"), Some(b"2".to_vec()));
}

/// Runs [`child`] in another process.
fn spawn(role: &str, dir: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.args(["--exact", "kv::tests::child", "--nocapture", "--test-threads=1"]);
    command.env(ROLE, role).env("FLAC_KV_TEST_DIR", dir);
    command.stdout(Stdio::null()).spawn().expect("a child")
}

/// What a child process does; as a test of the parent it does nothing.
#[test]
fn child() {
    let (Ok(role), Ok(dir)) = (std::env::var(ROLE), std::env::var("FLAC_KV_TEST_DIR")) else {
        return;
    };
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).expect("a death signal");
    let dir = Path::new(&dir);
    let lowest_free = || std::os::fd::AsRawFd::as_raw_fd(&std::fs::File::open("/dev/null").expect("a file"));
    let before = lowest_free();
    let kv = Kv::open(dir, MAP).expect("a KV");
    match role.as_str() {
        "low descriptors" => assert_eq!(lowest_free(), before),
        "close all and hold" => {
            let mut txn = kv.write().expect("a transaction");
            // SAFETY: what some daemons do at their start; nothing of this process uses a descriptor afterwards but the KV.
            unsafe { libc::close_range(3, u32::MAX, 0) };
            std::fs::write(dir.join("held"), b"").expect("a file");
            std::thread::sleep(Duration::from_millis(300));
            txn.put(b"holder", b"1").expect("a put");
            txn.commit().expect("a commit");
            // The environment works on.
            put(&kv, b"holder", b"2");
        }
        "die" => {
            let mut txn = kv.write().expect("a transaction");
            txn.put(b"dead", b"1").expect("a put");
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).expect("a death");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn low_descriptor_numbers_stay_free() {
    let dir = temp();
    drop(Kv::open(dir.path(), MAP).expect("a KV"));
    assert!(spawn("low descriptors", dir.path()).wait().expect("an end").success());
}

#[test]
fn whoever_opens_does_not_wipe_the_locks_of_a_process_that_closed_all_descriptors() {
    let dir = temp();
    drop(Kv::open(dir.path(), MAP).expect("a KV"));
    let mut holder = spawn("close all and hold", dir.path());
    while !dir.path().join("held").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let begun = Instant::now();
    let kv = Kv::open(dir.path(), MAP).expect("a KV");
    put(&kv, b"other", b"1");
    assert!(begun.elapsed() > Duration::from_millis(150), "the writer lock was not respected");
    assert!(holder.wait().expect("an end").success());
    assert_eq!(get(&kv, b"holder"), Some(b"2".to_vec()));
}

#[test]
fn a_killed_writer_leaves_nothing_behind() {
    let dir = temp();
    let kv = Kv::open(dir.path(), MAP).expect("a KV");
    assert!(!spawn("die", dir.path()).wait().expect("an end").success());
    assert_eq!(get(&kv, b"dead"), None);
    put(&kv, b"alive", b"1");
    assert_eq!(get(&kv, b"alive"), Some(b"1".to_vec()));
}

/// A thousand threads, of all processes, were all that could read at once; who came then got `EAGAIN`.
#[test]
fn regression_as_many_may_read_at_once_as_there_may_be_readers() {
    let dir = temp();
    let kv = Kv::open(dir.path(), MAP).expect("a KV");
    put(&kv, b"key", b"value");
    let all: Vec<_> = (0..10_000).map(|_| kv.read().expect("a snapshot")).collect();
    assert!(all.iter().all(|snapshot| snapshot.get(b"key").expect("a get") == Some(&b"value"[..])));
}
