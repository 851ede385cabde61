//! What a flush writes of a file that is mapped.

use super::*;
use crate::fs::survival::{make_file, open, place_with_pool};
use crate::media::sim::tape::{Lower, Tape};

const PAGES: usize = 64;

/// A file of 64 pages of ones, in the pool, and mapped with `prot`; `work` gets the file and the address, and a function that says how many pages were flushed since it was last asked.
/// What is in the pool then, when nothing else was flushed.
fn mapped(prot: i32, work: impl Fn(&Fs, Ino, usize, &dyn Fn() -> usize)) -> Vec<u8> {
    let (_dir, pool) = place_with_pool(Lower::Ext4);
    let _seems_a_disk = Tape::start(&pool, Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    let ino = make_file(&fs, b"file");
    let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
    fs.write_bytes(id, &[1; PAGES * PAGE], 0).expect("a write");
    fs.sync(ino).expect("a flush");
    let seen = std::cell::Cell::new(fs.stats.flushed.load(Relaxed));
    let flushed = || (fs.stats.flushed.load(Relaxed) - seen.replace(fs.stats.flushed.load(Relaxed))) as usize / PAGE;
    // SAFETY: a new mapping, anywhere.
    let at = unsafe { fs.map(ino, 0, PAGES * PAGE, prot, libc::MAP_SHARED, 0) }.expect("a mapping");
    flushed();
    work(&fs, ino, at, &flushed);
    drop(fs);
    let fs = open(&pool).expect("the pool opens");
    let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
    let mut bytes = vec![7; PAGES * PAGE];
    assert_eq!(fs.read_bytes(id, &mut bytes, 0), Ok(PAGES * PAGE));
    assert_eq!(fs.check(true).expect("a check"), Vec::<String>::new());
    bytes
}

fn store(at: usize, page: usize) {
    // SAFETY: inside the writable mapping.
    unsafe { (at as *mut u8).add(page * PAGE).write(9) };
}

const RW: i32 = libc::PROT_READ | libc::PROT_WRITE;

#[test]
fn msync_writes_the_pages_that_it_is_told() {
    let found = mapped(RW, |fs, _, at, flushed| {
        store(at, 3);
        store(at, 40);
        assert_eq!(fs.sync_mapped(at + 3 * PAGE, 1), Ok(true));
        assert_eq!(flushed(), 1);
        assert_eq!(fs.sync_mapped(at + 10 * PAGE, 5 * PAGE), Ok(true));
        assert_eq!(flushed(), 5);
    });
    assert_eq!((found[3 * PAGE], found[40 * PAGE]), (9, 1));
}

#[test]
fn fsync_writes_all_that_a_mapping_may_have_changed() {
    let found = mapped(RW, |fs, ino, at, flushed| {
        store(at, 3);
        store(at, 40);
        fs.sync(ino).expect("a flush");
        assert_eq!(flushed(), PAGES);
    });
    assert_eq!((found[3 * PAGE], found[40 * PAGE]), (9, 9));
}

/// LMDB and others map their file to read it and write it by `pwrite`.
#[test]
fn what_is_only_read_through_a_mapping_is_not_written_again() {
    let found = mapped(libc::PROT_READ, |fs, ino, at, flushed| {
        let id = fs.open_file(ino, libc::O_RDWR, 2).expect("it opens");
        fs.write_bytes(id, &[9; 10], 5 * PAGE as u64).expect("a write");
        fs.sync(ino).expect("a flush");
        assert_eq!(flushed(), 1);
        fs.unmapped(at, PAGES * PAGE);
        fs.sync(ino).expect("a flush");
        assert_eq!(flushed(), 0);
    });
    assert_eq!((found[5 * PAGE], found[6 * PAGE]), (9, 1));
}

#[test]
fn a_mapping_that_became_writable_is_flushed() {
    for ends in [false, true] {
        let found = mapped(libc::PROT_READ, |fs, ino, at, _| {
            fs.becomes_writable(at + 7 * PAGE, PAGE);
            // SAFETY: our own mapping.
            unsafe { protect(at + 7 * PAGE, PAGE, RW) }.expect("it may");
            store(at, 7);
            if ends {
                fs.unmapped(at, PAGES * PAGE);
            }
            fs.sync(ino).expect("a flush");
        });
        assert_eq!(found[7 * PAGE], 9, "unmapped: {ends}");
    }
}

/// The first mapping after all others have gone begins anew; one that comes beside them does not.
#[test]
fn a_mapping_for_reading_does_not_hide_one_for_writing() {
    let found = mapped(RW, |fs, ino, at, flushed| {
        // SAFETY: a new mapping, anywhere.
        let second = unsafe { fs.map(ino, 0, PAGE, libc::PROT_READ, libc::MAP_SHARED, 0) }.expect("a mapping");
        store(at, 8);
        fs.unmapped(at, PAGES * PAGE);
        fs.sync(ino).expect("a flush");
        assert_eq!(flushed(), PAGES);
        fs.unmapped(second, PAGE);
        // SAFETY: as above.
        unsafe { fs.map(ino, 0, PAGE, libc::PROT_READ, libc::MAP_SHARED, 0) }.expect("a mapping");
        fs.sync(ino).expect("a flush");
        flushed();
        fs.sync(ino).expect("a flush");
        assert_eq!(flushed(), 0);
    });
    assert_eq!(found[8 * PAGE], 9);
}
