//! Reading ahead on a disk: what is read is what was written, whatever happens meanwhile.

use crate::{Space, pattern};
use flac::fs::open::OpenId;
use flac::media::Medium;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

const MIB: usize = 1 << 20;
const PAGE: usize = 4096;

/// A file of `len` bytes in a pool on a disk that only the pool has. `None`: temporary directories lie in memory here.
fn cold(len: usize, dram: u64) -> Option<(Space, OpenId)> {
    let space = Space::with_dram(dram);
    let (ino, id) = space.create("f", 0);
    for (i, piece) in pattern(len, 5).chunks(4 * MIB).enumerate() {
        assert_eq!(space.write(id, piece, (i * 4 * MIB) as u64), Ok(piece.len()));
    }
    space.fs.sync(ino).expect("it is durable");
    let space = space.reboot();
    let (_, id) = space.open("f", 0);
    (space.fs.medium() == Medium::Block).then_some((space, id))
}

/// The file at `at`, read `len` bytes at a time to its end, is what `pattern` says.
fn read_through(space: &Space, id: OpenId, total: usize, len: usize) {
    let whole = pattern(total, 5);
    let mut at = 0;
    while at < total {
        let got = space.read(id, len, at as u64).expect("a read");
        assert!(!got.is_empty() && got == whole[at..at + got.len()], "{len} bytes at {at}");
        at += got.len();
    }
}

#[test]
fn a_cold_file_is_read_as_it_was_written_in_pieces_of_any_size() {
    for (len, advised) in [(1000, true), (PAGE, false), (100_000, true), (MIB + 5, false), (5 * MIB, true)] {
        let Some((space, id)) = cold(9 * MIB + 77, 256 << 20) else { return };
        if advised {
            space.fs.will_need(space.fs.open_ino(id), 0, 0);
        }
        read_through(&space, id, 9 * MIB + 77, len);
        // Nothing is loaded twice, and nothing behind the end.
        assert_eq!(space.counter("bytes loaded from the pool"), (9 * MIB + PAGE) as u64, "{len} bytes at a time");
    }
}

#[test]
fn a_cold_file_larger_than_the_cache_is_read_twice() {
    let Some((space, id)) = cold(48 * MIB, 16 << 20) else { return };
    space.fs.will_need(space.fs.open_ino(id), 0, 0);
    read_through(&space, id, 48 * MIB, 128 << 10);
    read_through(&space, id, 48 * MIB, 3 * MIB);
}

#[test]
fn a_random_read_of_a_cold_file_loads_little() {
    let Some((space, id)) = cold(32 * MIB, 256 << 20) else { return };
    let whole = pattern(32 * MIB, 5);
    for i in 0..50u64 {
        let at = (i * 2_654_435_761 % (31 << 20)) as usize / PAGE * PAGE + PAGE;
        assert!(space.read(id, PAGE, at as u64).expect("a read") == whole[at..at + PAGE]);
    }
    assert!(space.counter("bytes loaded from the pool") <= 50 * PAGE as u64);
}

#[test]
fn advice_brings_what_is_read_and_survives_what_becomes_of_the_file() {
    let Some((space, id)) = cold(24 * MIB, 64 << 20) else { return };
    let ino = space.fs.open_ino(id);
    for (at, len) in [(0, 0), (5 * MIB as u64, 100), (1 << 40, 1), (u64::MAX, u64::MAX), (24 * MIB as u64 - 1, 50)] {
        space.fs.will_need(ino, at, len);
    }
    assert_eq!(space.counter("bytes loaded from the pool"), 0, "advice waits for nothing");
    // The pages asked for are cut off, and their frames written anew.
    space.fs.truncate(ino, 3 * MIB as u64).expect("it is cut");
    space.fs.sync(ino).expect("durable");
    let (other, there) = space.create("g", 1);
    space.write(there, &pattern(21 * MIB, 9), 0).expect("a write");
    space.fs.sync(other).expect("durable");
    space.write(id, &pattern(2 * MIB, 6), 3 * MIB as u64).expect("a write");
    assert!(space.read(id, 3 * MIB, 0).expect("a read") == pattern(24 * MIB, 5)[..3 * MIB]);
    let space = space.reboot();
    let (_, there) = space.open("g", 1);
    assert!(space.read(there, 21 * MIB, 0).expect("a read") == pattern(21 * MIB, 9));
}

#[test]
fn a_damaged_page_fails_alone() {
    let Some((space, _)) = cold(8 * MIB, 64 << 20) else { return };
    let frames = std::fs::OpenOptions::new().read(true).write(true).open(space.dir.path().join("frames")).expect("the frames");
    let whole = pattern(8 * MIB, 5);
    let bad = 1234;
    let stored: Vec<u8> = {
        let mut all = vec![0; frames.metadata().expect("its size").len() as usize];
        frames.read_exact_at(&mut all, 0).expect("all of it");
        all
    };
    let at = stored.chunks(PAGE).position(|page| *page == whole[bad * PAGE..(bad + 1) * PAGE]).expect("the page is in the pool") * PAGE;
    frames.write_all_at(b"damaged", at as u64 + 100).expect("a write");
    frames.sync_all().expect("durable");
    let space = space.reboot();
    let (ino, id) = space.open("f", 0);
    space.fs.will_need(ino, 0, 0);
    for page in 0..whole.len() / PAGE {
        match space.read(id, PAGE, (page * PAGE) as u64) {
            Ok(bytes) => assert!(page != bad && bytes == whole[page * PAGE..(page + 1) * PAGE], "page {page}"),
            Err(e) => assert!(page == bad && e.errno() == libc::EIO, "page {page}: {e}"),
        }
    }
}

#[test]
fn a_file_that_changes_under_a_cold_reader_has_old_or_new_pages() {
    let Some((space, id)) = cold(32 * MIB, 16 << 20) else { return };
    let ino = space.fs.open_ino(id);
    let done = AtomicBool::new(false);
    let page_of = |n: u64, page: usize| [(n as u8).wrapping_mul(31) ^ page as u8; PAGE];
    let whole = pattern(32 * MIB, 5);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..12u64 {
                let at = (n as usize * 7919) % 4000;
                (at..at + 600).for_each(|page| _ = space.write(id, &page_of(n, page), (page * PAGE) as u64).expect("a write"));
                space.fs.sync(ino).expect("durable");
                if n % 4 == 3 {
                    space.fs.truncate(ino, 20 * MIB as u64).expect("it is cut");
                    space.fs.truncate(ino, 32 * MIB as u64).expect("it grows");
                }
            }
            done.store(true, Relaxed);
        });
        while !done.load(Relaxed) {
            space.fs.will_need(ino, 0, 0);
            for page in 0..32 * MIB / PAGE {
                let bytes = space.read(id, PAGE, (page * PAGE) as u64).expect("a read");
                let versions = (0..12).any(|n| bytes == page_of(n, page)) || bytes == whole[page * PAGE..(page + 1) * PAGE];
                assert!(bytes.len() < PAGE || versions || bytes.iter().all(|b| *b == 0), "page {page} is of no version");
            }
        }
    });
}
