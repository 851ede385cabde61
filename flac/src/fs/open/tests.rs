//! Joining a pool whose volatile state is not what it was.

use super::*;
use crate::fs::survival::{make_file, open, place_with_pool};
use crate::media::sim::tape::Lower;

/// The control segment names frames of the tier: with a new file in its place they were zeros, and synced files with them.
#[test]
fn regression_a_cache_that_is_gone_is_not_taken_for_zeros() {
    let (_dir, pool) = place_with_pool(Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    let ino = make_file(&fs, b"file");
    let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
    fs.write_bytes(id, b"content", 0).expect("a write");
    fs.sync_all().expect("a flush");
    let refused = || {
        let line = Fs::open(&Config::new(&pool)).map(drop).expect_err("refused").to_string();
        assert!(line.contains("cache of this pool is gone") && line.contains("flac stop --discard"), "{line}");
    };
    let tier = fs.region.run.dram_path();
    let away = tier.with_extension("away");
    std::fs::rename(&tier, &away).expect("a rename");
    refused();
    assert!(!tier.exists());
    std::fs::write(&tier, b"").expect("another file");
    refused();
    std::fs::rename(&away, &tier).expect("a rename");
    let other = Fs::open(&Config::new(&pool)).expect("the pool opens");
    let mut bytes = [0; 7];
    let id = other.open_file(ino, libc::O_RDONLY, 2).expect("it opens");
    assert_eq!(other.read_bytes(id, &mut bytes, 0), Ok(7));
    assert_eq!(&bytes, b"content");
    other.release(2);
    other.exit();
    fs.release(1);
}
