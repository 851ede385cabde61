//! The simulated medium keeps what was flushed, and loses of the rest what it may.

use super::Random;
use super::disk::{Disk, Image};
use super::tape::{Event, Lower, Tape};
use crate::media::file::{self, File};
use rustix::fs::OFlags;
use std::collections::BTreeSet;

#[test]
fn what_was_flushed_survives_and_the_rest_survives_in_part() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("file");
    std::fs::write(&path, [0; 4096]).expect("a file");
    let tape = Tape::start(dir.path(), Lower::Ext4);
    let mut disk = Disk::new(dir.path(), Lower::Ext4);
    let file = File::open(&path, OFlags::RDWR).expect("a file");
    file.write_at(&[1; 2048], 0).expect("a write");
    file.sync_data().expect("a flush");
    file.write_at(&[2; 1024], 1024).expect("a write");
    let new = File::create_new(&dir.path().join("new")).expect("a file");
    new.write_at(b"content", 0).expect("a write");
    tape.take().iter().for_each(|event| disk.apply(event));
    let (mut seen, mut names) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..200 {
        let image = disk.cut(&mut Random(seed));
        let bytes = &image["file"];
        assert!(bytes[..1024] == [1; 1024] && bytes[2048..] == [0; 2048], "seed {seed}");
        seen.insert([bytes[1024], bytes[1536]]);
        names.insert(image.keys().cloned().collect::<Vec<_>>());
    }
    assert_eq!(seen, BTreeSet::from([[1, 1], [1, 2], [2, 1], [2, 2]]));
    assert_eq!(names.len(), 2);
    new.sync_data().expect("a flush");
    file::sync_dir(dir.path()).expect("a flush");
    file.sync_data().expect("a flush");
    tape.take().iter().for_each(|event| disk.apply(event));
    assert!(disk.is_settled());
    let now = |name: &str| (name.to_owned(), std::fs::read(dir.path().join(name)).expect("a file"));
    assert_eq!(disk.cut(&mut Random(1)), Image::from([now("file"), now("new")]));
    assert_eq!(disk.live(), disk.cut(&mut Random(2)));
}

/// Found by a cut that brought back a page of the page cache's which the kernel had written before.
#[test]
fn regression_what_was_written_through_the_page_cache_does_not_come_after_a_later_write_past_it() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("a"), [0; 8192]).expect("a file");
    std::fs::write(dir.path().join("b"), [0; 512]).expect("a file");
    let mut disk = Disk::new(dir.path(), Lower::Ext4);
    let wrote = |bytes: &[u8], at, direct| Event::Wrote { file: 0, at, bytes: bytes.into(), direct };
    disk.apply(&wrote(&[1; 8192], 0, false));
    disk.apply(&wrote(&[2; 4096], 0, true));
    // A flush of the device, by way of another file.
    disk.apply(&Event::Flushed { file: 1, from: 0, to: u64::MAX });
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let image = disk.cut(&mut Random(seed));
        assert!(image["a"][..4096] == [2; 4096], "seed {seed}");
        seen.insert(image["a"][4096]);
    }
    assert_eq!(seen, BTreeSet::from([0, 1]), "what was not written past it may be there");
}

#[test]
fn a_full_file_system_is_reported_to_whoever_takes_space() {
    let dir = tempfile::tempdir().expect("a directory");
    let tape = Tape::start(dir.path(), Lower::Other);
    tape.limit(Some(1));
    File::create_new(&dir.path().join("a")).expect("room for one");
    let full = File::create_new(&dir.path().join("b")).map(drop);
    assert_eq!(full, Err(rustix::io::Errno::NOSPC));
    tape.limit(None);
    File::create_new(&dir.path().join("b")).expect("room");
}
