//! A sync that is acknowledged has flushed the device: its cache is lost in a power cut.

use super::{Place, put, shared, state};
use crate::error::Error;
use crate::media::Medium;
use crate::media::sim::tape::{Lower, Tape};
use crate::sync::Ordering;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// How often the device below `dir` has been flushed; `None` if the kernel does not say.
fn flushes(dir: &Path) -> Option<u64> {
    let device = std::fs::metadata(dir).ok()?.dev();
    let path = format!("/sys/dev/block/{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    // The kernel counts the flushes of a partition with the disk that it is on.
    let disk =
        if Path::new(&path).join("partition").exists() { Path::new(&path).canonicalize().ok()?.parent()?.to_owned() } else { path.into() };
    std::fs::read_to_string(disk.join("stat")).ok()?.split_whitespace().nth(15)?.parse().ok()
}

#[test]
fn every_sync_is_a_flush_of_the_device() {
    const SYNCS: u64 = 200;
    let mut place = Place::new();
    // The KV and the image of the log are not on the pool's file system, whose journal they would keep busy.
    let memory = tempfile::tempdir_in("/dev/shm").expect("a directory in memory");
    place.run = memory.path().to_owned();
    let (pool, meta) = place.open();
    let count = || flushes(&place.pool);
    let before = count();
    let mut file = std::fs::File::create(place.pool.join("beside")).expect("a file");
    file.write_all(b"content").and_then(|()| file.sync_data()).expect("a sync");
    if pool.medium() != Medium::Block || pool.device().fua() || count() == before {
        println!("skipped: nobody counts the flushes of this device");
        return;
    }
    // As fast as can be: a file system whose own changes make the flushes has none to make between two of these.
    let idle = (0..SYNCS).filter(|i| {
        let seq = put(&meta, b"key", &i.to_le_bytes());
        let before = count();
        meta.sync(seq).expect("a sync");
        count() == before
    });
    assert_eq!(idle.count(), 0, "of {SYNCS} syncs had no flush");
}

#[test]
fn a_sync_that_can_not_find_out_what_there_is_fails() {
    let place = Place::new();
    let (_pool, meta) = place.open();
    let seq = put(&meta, b"key", b"value");
    // Until the KV has no room for another reader.
    let snapshots: Vec<_> = std::iter::from_fn(|| meta.kv.read().ok()).collect();
    meta.sync_all().expect_err("it can't know");
    drop(snapshots);
    meta.sync_all().expect("a sync");
    assert!(meta.shared.durable.load(Ordering::Acquire) >= seq.get());
}

/// The kernel tells of what it could not write once, and then takes it for written: a checkpoint that tried again gave up the log that still had it.
#[test]
fn regression_what_a_failed_flush_has_lost_stays_in_the_log() {
    let place = Place::new();
    let shared = shared();
    let (pool, meta) = place.open_with(shared).expect("the pool opens");
    if pool.medium() != Medium::Block {
        println!("skipped: nothing of this pool is flushed");
        return;
    }
    let seq = put(&meta, b"key", b"value");
    meta.sync(seq).expect("a sync");
    let tape = Tape::start(&place.pool, Lower::Ext4);
    tape.fail_flush("frames");
    let lost = Err(Error::Lost(libc::EIO));
    assert_eq!(meta.checkpoint(), lost, "the device fails");
    assert_eq!(meta.checkpoint(), lost, "what it lost has not come back");
    let (_pool, other) = place.open_with(shared).expect("the pool opens");
    assert_eq!(other.checkpoint(), lost, "nor for who joins later");
    assert_eq!(crate::metalog::checkpoint::list(&place.pool).expect("a list"), []);
    // What is durable without the frames may go on.
    other.sync(put(&other, b"more", b"of it")).expect("a sync");
    drop((meta, other, tape));
    place.reboot();
    let (_pool, meta) = place.open();
    assert_eq!(state(&meta).len(), 2);
    meta.checkpoint().expect("a checkpoint");
}

/// Who let the pool grow was told of an error of input or output, and nobody of what to do.
#[test]
fn regression_a_flush_that_failed_while_the_pool_grew_is_told_as_one() {
    let place = Place::new();
    let (pool, _meta) = place.open();
    if pool.medium() != Medium::Block {
        println!("skipped: nothing of this pool is flushed");
        return;
    }
    let tape = Tape::start(&place.pool, Lower::Ext4);
    tape.fail_flush("frames");
    let lost = Err(Error::Lost(libc::EIO));
    assert_eq!(pool.ensure(100, 1), lost, "the device fails");
    assert_eq!(pool.ensure(100, 1), lost, "and stays so");
    assert_eq!(pool.settle(), lost);
}
