//! What is no sound pool is refused in one line that names cause and cure, and stays as it is.

use super::{Place, put};
use crate::media::{Pool, PoolOptions};
use crate::metalog::{Meta, checkpoint};
use crate::sync::ByPid;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().map(|e| e.expect("an entry"));
    entries.map(|e| (e.file_name().to_string_lossy().into_owned(), std::fs::read(e.path()).unwrap_or_default())).collect()
}

/// Opening fails with one line that contains `words`, and changes nothing.
fn refused(place: &Place, words: &[&str]) {
    let before = files(&place.pool);
    let line = place.try_open().map(drop).expect_err("refused").to_string();
    assert!(!line.contains('\n'), "{line}");
    for word in words {
        assert!(line.contains(word), "{line} lacks {word}");
    }
    assert!(files(&place.pool) == before, "something was written over");
}

fn change(path: &Path, f: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).expect("a file");
    f(&mut bytes);
    std::fs::write(path, bytes).expect("a file");
}

fn used_pool() -> Place {
    let place = Place::new();
    let (_pool, meta) = place.open();
    for i in 0..200u32 {
        let seq = put(&meta, format!("key{i}").as_bytes(), b"a value");
        if i % 10 == 0 {
            meta.sync(seq).expect("a sync");
        }
    }
    place
}

#[test]
fn a_missing_directory_and_one_without_a_pool_are_refused() {
    let place = Place::without_pool();
    refused(&place, &["does not exist", "flac mkfs"]);
    std::fs::create_dir(&place.pool).expect("a directory");
    refused(&place, &["not a pool", "flac mkfs"]);
    std::fs::write(place.pool.join("superblock"), b"something else").expect("a file");
    refused(&place, &["not a pool"]);
    std::fs::remove_dir_all(&place.pool).expect("removed");
    std::fs::write(&place.pool, b"a file").expect("a file");
    assert!(matches!(Pool::open(&place.pool), Err(Error::Unusable(_))));
}

#[test]
fn a_pool_of_another_version_is_refused() {
    let place = Place::new();
    let path = place.pool.join("superblock");
    for at in [0, 4096] {
        change(&path, |bytes| {
            bytes[at + 8] = 9;
            let crc = crc32c::crc32c(&bytes[at..at + 60]);
            bytes[at + 60..at + 64].copy_from_slice(&crc.to_le_bytes());
        });
    }
    refused(&place, &["version 9", "version 2", "export"]);
}

#[test]
fn a_superblock_whose_numbers_no_pool_has_is_refused() {
    // Frames; bytes in each log (fewer than its first record's place); growth.
    for (at, bytes) in [(32, &[0u8, 0, 0, 0][..]), (40, &[0, 1, 0, 0, 0, 0, 0, 0]), (48, &[0xff; 8])] {
        let place = used_pool();
        for copy in [0, 4096] {
            change(&place.pool.join("superblock"), |file| {
                file[copy + at..copy + at + bytes.len()].copy_from_slice(bytes);
                let crc = crc32c::crc32c(&file[copy..copy + 60]);
                file[copy + 60..copy + 64].copy_from_slice(&crc.to_le_bytes());
            });
        }
        place.reboot();
        refused(&place, &["makes no sense", "copy"]);
    }
}

#[test]
fn one_damaged_superblock_is_found_and_two_are_refused() {
    let place = used_pool();
    let path = place.pool.join("superblock");
    change(&path, |bytes| bytes[20] ^= 1);
    place.open();
    assert_eq!(Meta::verify(&place.pool).expect("a pool").len(), 1);
    change(&path, |bytes| bytes[4096 + 30] ^= 1);
    refused(&place, &["damaged", "copy"]);
    change(&path, |bytes| bytes.truncate(100));
    refused(&place, &["damaged", "copy"]);
    assert_eq!(Meta::verify(&place.pool).expect("a report").len(), 1);
}

#[test]
fn a_damaged_durable_record_is_refused_not_dropped() {
    let place = used_pool();
    let newest = checkpoint::list(&place.pool).expect("a list").last().copied().unwrap_or(1);
    let log = place.pool.join(format!("log.{}", newest % 2));
    change(&log, |bytes| bytes[4096 + 30] ^= 1);
    place.reboot();
    refused(&place, &["log.", "damaged", "copy"]);
    assert!(!Meta::verify(&place.pool).expect("a report").is_empty());
}

#[test]
fn a_cut_or_missing_log_is_refused() {
    for missing in [false, true] {
        let place = used_pool();
        let log = place.pool.join("log.1");
        if missing {
            std::fs::remove_file(&log).expect("removed")
        } else {
            change(&log, |bytes| bytes.truncate(5000))
        }
        place.reboot();
        refused(&place, &["log.1", "copy"]);
    }
}

#[test]
fn one_damaged_log_header_does_no_harm_and_two_are_refused_in_either_log() {
    for slot in 0..2 {
        let place = used_pool();
        let (_pool, meta) = place.open();
        meta.checkpoint().expect("a checkpoint");
        put(&meta, b"x", b"y");
        meta.sync(meta.last_seq()).expect("a sync");
        let generation = meta.position().expect("a position").generation;
        drop(meta);
        let log = place.pool.join(format!("log.{slot}"));
        let value = |place: &Place| super::state(&place.open().1).get(&b"x"[..]).cloned();
        let sound = std::fs::read(&log).expect("the log");
        for copy in [0, 1024] {
            change(&log, |bytes| bytes[copy + 9] ^= 1);
            place.reboot();
            assert_eq!(value(&place), Some(b"y".to_vec()));
            std::fs::write(&log, &sound).expect("the log");
        }
        change(&log, |bytes| [0, 1024].into_iter().for_each(|copy| bytes[copy + 9] ^= 1));
        place.reboot();
        if slot == generation % 2 {
            refused(&place, &["damaged", "copy"]);
        } else {
            // The older log is not needed, but the newer one can't be told to be the last.
            assert!(place.try_open().is_err());
        }
    }
}

#[test]
fn damaged_checkpoints_without_their_logs_are_refused() {
    let place = used_pool();
    {
        let (_pool, meta) = place.open();
        for _ in 0..3 {
            meta.checkpoint().expect("a checkpoint");
            put(&meta, b"x", b"y");
        }
        meta.sync(meta.last_seq()).expect("a sync");
    }
    for generation in checkpoint::list(&place.pool).expect("a list") {
        change(&checkpoint::path(&place.pool, generation), |bytes| bytes[80] ^= 1);
    }
    place.reboot();
    refused(&place, &["checkpoint.", "checksum", "copy"]);
    for generation in checkpoint::list(&place.pool).expect("a list") {
        change(&checkpoint::path(&place.pool, generation), |bytes| bytes.truncate(70));
    }
    refused(&place, &["checkpoint.", "copy"]);
}

#[test]
fn a_copied_pool_does_not_join_the_state_of_its_original() {
    let place = used_pool();
    let copy = Place::without_pool();
    super::copy_dir(&place.pool, &copy.pool);
    let pool = Pool::open(&copy.pool).expect("a pool");
    let joined: Result<Meta> = Meta::open(&pool, &place.run, super::shared(), Arc::new(ByPid));
    assert!(joined.map(drop).expect_err("refused").to_string().contains("remove"));
}

#[test]
fn a_pool_is_not_made_over_another_or_over_its_remains() {
    let place = used_pool();
    let before = files(&place.pool);
    let options = PoolOptions { size: 1 << 20, ..Default::default() };
    assert!(matches!(Pool::create(&place.pool, &options), Err(Error::Unusable(_))));
    assert!(files(&place.pool) == before);
    std::fs::remove_file(place.pool.join("superblock")).expect("removed");
    let before = files(&place.pool);
    assert!(matches!(Pool::create(&place.pool, &options), Err(Error::Unusable(_))));
    assert!(files(&place.pool) == before);
}
