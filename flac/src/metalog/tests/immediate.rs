//! Where stores are durable by themselves: what is committed is durable, without a flush.

use super::*;
use crate::media::Medium;

/// DAX, emulated in memory.
fn place() -> Place {
    Place::in_dir(Path::new("/dev/shm"), Some(Medium::DaxEmulated))
}

#[test]
fn a_committed_record_is_durable_and_a_sync_finds_nothing_to_do() {
    let place = place();
    let (_, meta) = place.open();
    let first = put(&meta, b"k", b"1");
    let second = put(&meta, b"k", b"2");
    // The second record says that the first was durable.
    assert_eq!(meta.durable_seq(), first);
    meta.sync(second).expect("a sync");
    assert_eq!(meta.settle().expect("all is settled"), second);
}

#[test]
fn everything_committed_is_there_after_a_reboot_over_many_generations() {
    let place = place();
    let mut expected = State::new();
    for round in 0..5u32 {
        let (_, meta) = place.open();
        assert_eq!(state(&meta), expected);
        for i in 0..200u32 {
            let (key, value) = ((i % 37).to_be_bytes(), (round * 1000 + i).to_be_bytes().repeat(20));
            let key = [b"k", &key[..]].concat();
            put(&meta, &key, &value);
            expected.insert(key, value);
        }
        drop(meta);
        place.reboot();
    }
}
