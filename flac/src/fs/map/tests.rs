//! What a flush writes of a file that is mapped.

use super::*;
use crate::fs::survival::{make_file, make_pool, open, place};
use crate::media::create::Geometry;
use crate::media::sim::tape::{Lower, Tape};

const PAGES: usize = 64;

/// A file of 64 pages of ones, in the pool, and mapped with `prot`; `work` gets the file and the address, and a function that says how many pages were flushed since it was last asked.
/// What is in the pool then, when nothing else was flushed.
fn mapped(prot: i32, work: impl Fn(&Fs, Ino, usize, &dyn Fn() -> usize)) -> Vec<u8> {
    mapped_pages(PAGES, prot, work)
}

/// The same of so many pages.
fn mapped_pages(pages: usize, prot: i32, work: impl Fn(&Fs, Ino, usize, &dyn Fn() -> usize)) -> Vec<u8> {
    let dir = place();
    let pool = dir.path().join("pool");
    make_pool(&pool, &Geometry::of((pages * PAGE * 4) as u64), Lower::Ext4);
    let _seems_a_disk = Tape::start(&pool, Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    let ino = make_file(&fs, b"file");
    let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
    fs.write_bytes(id, &vec![1; pages * PAGE], 0).expect("a write");
    fs.sync(ino).expect("a flush");
    let seen = std::cell::Cell::new(fs.stats.flushed.load(Relaxed));
    let flushed = || (fs.stats.flushed.load(Relaxed) - seen.replace(fs.stats.flushed.load(Relaxed))) as usize / PAGE;
    // SAFETY: a new mapping, anywhere.
    let at = unsafe { fs.map(ino, 0, pages * PAGE, prot, libc::MAP_SHARED, 0) }.expect("a mapping");
    flushed();
    work(&fs, ino, at, &flushed);
    drop(fs);
    let fs = open(&pool).expect("the pool opens");
    let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
    let mut bytes = vec![7; pages * PAGE];
    assert_eq!(fs.read_bytes(id, &mut bytes, 0), Ok(pages * PAGE));
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

/// Kernels that tell (6.7 and later) are where this is run.
fn tells() -> bool {
    let pages = [0u8; 3 * PAGE];
    let memory = crate::attach::Memory::default();
    memory.touched(pages.as_ptr().addr().next_multiple_of(PAGE), PAGE).is_some()
}

#[test]
fn later_ones_write_what_was_stored_to_since() {
    let found = mapped(RW, |fs, ino, at, flushed| {
        let sync = |pages| {
            fs.sync(ino).expect("a flush");
            let written = flushed();
            assert_eq!(written, if tells() { pages } else { PAGES });
        };
        fs.sync(ino).expect("a flush");
        flushed();
        sync(0);
        store(at, 3);
        store(at, 40);
        sync(2);
        sync(0);
        // Read, advised away, and by a call: only the last is a change.
        // SAFETY: our own mapping, whose pages are the file's.
        unsafe {
            assert_eq!((at as *const u8).add(17 * PAGE).read(), 1);
            assert_eq!(libc::madvise((at + 3 * PAGE) as *mut _, PAGE, libc::MADV_DONTNEED), 0);
        }
        let id = fs.open_file(ino, libc::O_RDWR, 2).expect("it opens");
        fs.write_bytes(id, &[9; 10], 5 * PAGE as u64).expect("a write");
        sync(1);
        // What was stored to and advised away afterwards.
        store(at, 50);
        // SAFETY: as above.
        unsafe { assert_eq!(libc::madvise((at + 50 * PAGE) as *mut _, PAGE, libc::MADV_DONTNEED), 0) };
        sync(1);
        for page in 0..PAGES {
            store(at, page);
        }
        sync(PAGES);
        sync(0);
    });
    assert!((0..PAGES).all(|page| found[page * PAGE] == 9));
}

#[test]
fn a_second_mapping_of_this_process_is_asked_too() {
    let found = mapped(RW, |fs, ino, at, flushed| {
        fs.sync(ino).expect("a flush");
        // SAFETY: a new mapping, anywhere.
        let second = unsafe { fs.map(ino, 0, 2 * PAGE, RW, libc::MAP_SHARED, PAGE as u64) }.expect("a mapping");
        store(second, 1);
        flushed();
        fs.sync(ino).expect("a flush");
        assert_eq!(flushed(), if tells() { 2 } else { PAGES });
        store(second, 0);
        store(at, 60);
        fs.sync(ino).expect("a flush");
        assert_eq!(flushed(), if tells() { 2 } else { PAGES });
    });
    assert_eq!((found[PAGE], found[2 * PAGE], found[60 * PAGE]), (9, 9, 9));
}

/// Its page tables are not ours to look at.
#[test]
fn beside_another_process_every_page_may_have_changed() {
    let found = mapped(RW, |fs, ino, at, flushed| {
        fs.sync(ino).expect("a flush");
        let other = open(fs.pool.dir()).expect("the pool opens");
        // SAFETY: a new mapping, anywhere.
        let theirs = unsafe { other.map(ino, 0, PAGES * PAGE, RW, libc::MAP_SHARED, 0) }.expect("a mapping");
        flushed();
        for round in 0..3 {
            store(theirs, 20 + round);
            fs.sync(ino).expect("a flush");
            assert_eq!(flushed(), PAGES);
        }
        store(theirs, 30);
        other.unmapped(theirs, PAGES * PAGE);
        fs.sync(ino).expect("a flush");
        assert_eq!(flushed(), PAGES);
        store(at, 31);
        fs.sync(ino).expect("a flush");
        assert_eq!(flushed(), if tells() { 1 } else { PAGES });
        other.leave();
    });
    assert!([20, 21, 22, 30, 31].iter().all(|page| found[page * PAGE] == 9));
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

/// With another process's mapping beside, all of the file was written with each flush, and when that mapping ended: also where nothing could be stored through it.
#[test]
fn who_only_reads_through_a_mapping_makes_no_flush_dearer() {
    if !tells() {
        println!("skipped: this kernel does not tell what was stored to");
        return;
    }
    let found = mapped(RW, |fs, ino, at, flushed| {
        let sync = |pages| {
            fs.sync(ino).expect("a flush");
            assert_eq!(flushed(), pages);
        };
        let other = Fs::open(&crate::Config::new(fs.pool.dir())).expect("the pool opens again");
        // SAFETY: a new mapping, anywhere.
        let show = || unsafe { other.map(ino, 0, PAGES * PAGE, libc::PROT_READ, libc::MAP_SHARED, 0) }.expect("a mapping");
        let theirs = show();
        sync(PAGES);
        store(at, 3);
        sync(1);
        other.unmapped(theirs, PAGES * PAGE);
        sync(0);
        let theirs = show();
        other.becomes_writable(theirs + 8 * PAGE, 2 * PAGE);
        // SAFETY: the other's mapping, which is in this process.
        unsafe { protect(theirs + 8 * PAGE, 2 * PAGE, RW) }.expect("it may");
        store(theirs, 9);
        sync(PAGES);
        store(theirs, 8);
        other.exit();
        sync(PAGES);
        store(at, 4);
        sync(1);
        assert_eq!(fs.check_counts(), []);
    });
    assert!((0..PAGES).all(|page| found[page * PAGE] == if [3, 4, 8, 9].contains(&page) { 9 } else { 1 }));
}

/// `MADV_DONTNEED` frees a page table of whose pages none is protected (Linux 6.14).
#[test]
fn what_was_stored_to_is_flushed_though_its_page_table_has_gone() {
    const TABLE: usize = BLOCK / PAGE;
    let found = mapped_pages(3 * TABLE, RW, |fs, ino, at, flushed| {
        let sync = |pages| {
            fs.sync(ino).expect("a flush");
            assert_eq!(flushed(), if tells() { pages } else { 3 * TABLE });
        };
        fs.sync(ino).expect("a flush");
        flushed();
        let advise = || {
            // SAFETY: our own mapping, whose pages are the file's.
            assert_eq!(unsafe { libc::madvise(at as *mut _, 3 * BLOCK, libc::MADV_DONTNEED) }, 0);
        };
        (TABLE..2 * TABLE).for_each(|page| store(at, page));
        store(at, 0);
        advise();
        sync(TABLE + 1);
        sync(0);
        (TABLE..2 * TABLE).for_each(|page| store(at, page));
        advise();
        // A page table again, with one page in it.
        // SAFETY: inside the mapping.
        assert_eq!(unsafe { ((at + BLOCK + 5 * PAGE) as *const u8).read() }, 9);
        sync(TABLE);
        store(at, 3 * TABLE - 1);
        sync(1);
    });
    let changed = |page| page == 0 || (TABLE..2 * TABLE).contains(&page) || page == 3 * TABLE - 1;
    assert!((0..3 * TABLE).all(|page| found[page * PAGE] == if changed(page) { 9 } else { 1 }));
}

mod random;

/// What had been counted for it by then stayed counted.
#[test]
fn regression_a_mapping_too_far_behind_leaves_nothing() {
    mapped(RW, |fs, _, _, _| {
        let far = make_file(fs, b"far");
        fs.truncate(far, (1 << 44) + 8 * PAGE as u64).expect("a hole");
        // SAFETY: a new mapping, anywhere.
        let refused = unsafe { fs.map(far, 0, 4 * PAGE, RW, libc::MAP_SHARED, 1 << 44) };
        assert_eq!(refused.expect_err("refused").errno(), libc::EOVERFLOW);
        assert_eq!(fs.check_counts(), []);
    });
}
