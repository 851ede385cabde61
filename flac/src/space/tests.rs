#![expect(unsafe_code, reason = "transfers take raw buffers")]
//! What the FLAC space promises: commits are atomic and durable, and nothing else is.

use super::{Change, FlushHandle, KEY_MAX, PMode, SPAN, Space, SpaceOptions, VALUE_MAX};
use crate::error::Error;
use crate::fs::extents::{Runs, clear_extents};
use crate::fs::record::{Inode, inode_key};
use crate::units::{Ino, PAGE, PageNo};
use std::collections::BTreeMap;

type Records = BTreeMap<Vec<u8>, Vec<u8>>;
const P: u64 = PAGE as u64;

struct Site {
    dir: tempfile::TempDir,
    space: Option<Space>,
    records: Records,
}

impl Site {
    fn new(pool: u64) -> Site {
        Site::in_dir(tempfile::tempdir().expect("a temporary directory"), pool)
    }

    fn in_dir(dir: tempfile::TempDir, pool: u64) -> Site {
        let mut site = Site { dir, space: None, records: Records::new() };
        site.open(pool);
        site
    }

    fn open(&mut self, pool_size: u64) {
        self.records.clear();
        let options = SpaceOptions { pool_size, dram_size: 16 << 20 };
        let mut keep = |key: &[u8], value: &[u8]| drop(self.records.insert(key.to_vec(), value.to_vec()));
        self.space = Some(Space::init_flac(&self.dir.path().join("pool"), &options, &mut keep).expect("the space opens"));
    }

    fn space(&self) -> &Space {
        self.space.as_ref().expect("it is open")
    }

    /// The process ends and another begins.
    fn reopen(&mut self) {
        self.space = None;
        self.open(0);
    }

    /// As by a power cut.
    fn reboot(&mut self) {
        let space = self.space.take().expect("it is open");
        let run = space.fs.run_dir().to_owned();
        drop(space);
        remove(&run);
        self.open(0);
    }

    fn write(&self, addr: u64, bytes: &[u8]) -> Result<(), Error> {
        // SAFETY: the range is `bytes`.
        unsafe { self.space().zcopy_to_flac(addr, bytes.as_ptr(), bytes.len()) }
    }

    fn read(&self, addr: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0xAA; len];
        // SAFETY: the range is `bytes`.
        unsafe { self.space().zcopy_from_flac(bytes.as_mut_ptr(), addr, len) }.expect("it can be read");
        bytes
    }

    fn commit(&self, addr: u64, size: u64, metalog: &[Change<'_>]) -> Result<(), Error> {
        let mut handle = FlushHandle::new(self.space())?;
        handle.pflush_add(addr, size)?;
        handle.pflush_commit(metalog)
    }

    fn fsck(&self) {
        assert_eq!(self.space().fs.check(true), Ok(Vec::new()));
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(space) = self.space.take() {
            let run = space.fs.run_dir().to_owned();
            drop(space);
            remove(&run);
        }
    }
}

fn remove(run: &std::path::Path) {
    if let Ok(dram) = std::fs::read_link(run.join("dram")) {
        let _ = std::fs::remove_file(dram);
    }
    std::fs::remove_dir_all(run).expect("the run directory goes");
}

fn put<'a>(key: &'a [u8], value: &'a [u8]) -> Change<'a> {
    Change { key, value: Some(value) }
}

#[test]
fn what_is_committed_survives_a_power_cut_and_nothing_else() {
    let mut site = Site::new(64 << 20);
    let far = SPAN - 4 * P;
    site.write(0, &[1; 3 * PAGE]).expect("room");
    site.write(far, &[2; PAGE]).expect("room");
    site.commit(0, 2 * P, &[put(b"k", b"v")]).expect("it commits");
    site.commit(far, P, &[put(b"far", b"")]).expect("it commits");
    // Everybody's flush makes nothing of it durable.
    site.space().fs.sync_all().expect("a sync");
    assert_eq!(site.read(0, 3 * PAGE), [1; 3 * PAGE]);
    site.reboot();
    assert_eq!(site.read(0, 3 * PAGE), [[1; 2 * PAGE].as_slice(), &[0; PAGE]].concat());
    assert_eq!(site.read(far, PAGE), [2; PAGE]);
    assert_eq!(site.records, Records::from([(b"far".to_vec(), vec![]), (b"k".to_vec(), b"v".to_vec())]));
    site.fsck();
}

#[test]
fn a_commit_has_the_pages_as_they_were_when_added() {
    let mut site = Site::new(64 << 20);
    site.write(0, &[1; PAGE]).expect("room");
    let mut handle = FlushHandle::new(site.space()).expect("a handle");
    handle.pflush_add(0, P).expect("it is added");
    site.write(0, &[2; 100]).expect("room");
    handle.pflush_commit(&[]).expect("it commits");
    assert_eq!(site.read(0, 100), [2; 100]);
    site.reboot();
    assert_eq!(site.read(0, PAGE), [1; PAGE]);
}

#[test]
fn a_page_added_again_is_taken_anew() {
    let mut site = Site::new(64 << 20);
    let mut handle = FlushHandle::new(site.space()).expect("a handle");
    for i in 1..=5 {
        site.write(0, &[i; 2 * PAGE]).expect("room");
        handle.pflush_add(0, 2 * P).expect("it is added");
        handle.pflush_add(P, P).expect("it is added");
    }
    handle.pflush_commit(&[]).expect("it commits");
    let free = site.space().pages().1;
    site.reboot();
    assert_eq!(site.read(0, 2 * PAGE), [5; 2 * PAGE]);
    assert_eq!(site.space().pages().1, free, "a promise was lost");
}

#[test]
fn a_page_is_in_one_handle_at_a_time() {
    let mut site = Site::new(64 << 20);
    site.write(0, &[1; 4 * PAGE]).expect("room");
    let mut first = FlushHandle::new(site.space()).expect("a handle");
    let mut second = FlushHandle::new(site.space()).expect("a handle");
    first.pflush_add(0, 2 * P).expect("it is added");
    assert_eq!(second.pflush_add(P, 2 * P), Err(Error::Os(libc::EBUSY)));
    assert_eq!(site.space().pfree(P, P, &[]), Err(Error::Os(libc::EBUSY)));
    second.pflush_add(2 * P, 2 * P).expect("it is free");
    // Given up: the pages are uncommitted as before.
    drop(first);
    second.pflush_add(P, P).expect("it is free by now");
    second.pflush_commit(&[]).expect("it commits");
    site.commit(0, P, &[]).expect("nothing is left of the handles");
    site.reboot();
    assert_eq!(site.read(0, 4 * PAGE), [1; 4 * PAGE]);
}

/// A child for which there was no process slot had its parent's, and gave the parent's pages back when it dropped a handle.
#[test]
fn regression_a_child_without_a_slot_gives_nothing_of_its_parents_back() {
    let mut site = Site::new(64 << 20);
    site.write(0, &[1; PAGE]).expect("room");
    let space = site.space();
    let mut handle = FlushHandle::new(space).expect("a handle");
    handle.pflush_add(0, P).expect("added");
    let hold = space.fs.holds().last().expect("the handle's").0;
    space.after_fork_child_without_slot();
    assert_eq!(handle.pflush_add(P, P), Err(Error::Os(libc::EINVAL)));
    drop(handle);
    assert!(space.fs.held(hold).is_some());
    space.leave();
    assert!(space.fs.held(hold).is_some());
    // The parent goes on.
    let space = site.space.take().expect("it is open");
    let run = space.fs.run_dir().to_owned();
    space.fs.exit();
    drop(space);
    remove(&run);
}

/// As it may be after the end of a process began: its slot may be another's by now.
#[test]
fn regression_a_handle_that_is_dropped_when_its_space_was_left_gives_nothing_back() {
    let mut site = Site::new(64 << 20);
    site.write(0, &[1; PAGE]).expect("room");
    let space = site.space();
    let mut handle = FlushHandle::new(space).expect("a handle");
    handle.pflush_add(0, P).expect("added");
    let hold = space.fs.holds().last().expect("the handle's").0;
    space.leave();
    // Somebody else's, by now.
    space.fs.procs.holds()[hold].store(1, std::sync::atomic::Ordering::Relaxed);
    drop(handle);
    assert_eq!(space.fs.procs.holds()[hold].swap(0, std::sync::atomic::Ordering::Relaxed), 1);
    site.reopen();
}

#[test]
fn what_is_uncommitted_goes_with_the_last_process() {
    let mut site = Site::new(64 << 20);
    site.write(0, &[1; 2 * PAGE]).expect("room");
    site.commit(0, 2 * P, &[]).expect("it commits");
    let (dram, pool) = (site.space().fs.dram_bytes().1, site.space().pages().1);
    site.write(0, &[2; PAGE]).expect("room");
    site.write(10 * P, &[2; PAGE]).expect("room");
    site.reopen();
    assert_eq!(site.read(0, 2 * PAGE), [1; 2 * PAGE]);
    assert_eq!(site.read(10 * P, PAGE), [0; PAGE]);
    assert!(site.space().fs.dram_bytes().1 >= dram && site.space().pages().1 == pool);
}

#[test]
fn pfree_gives_pages_back_with_its_records() {
    let mut site = Site::new(64 << 20);
    let free = site.space().pages().1;
    let all = 700;
    site.write(0, &vec![1; all * PAGE]).expect("room");
    site.commit(0, all as u64 * P, &[put(b"a", b"1"), put(b"b", b"2")]).expect("it commits");
    assert_eq!(site.space().pages().1, free - all as u64);
    site.write(2 * P, &[2; PAGE]).expect("room");
    site.space().pfree(P, (all as u64 - 2) * P, &[Change { key: b"a", value: None }]).expect("it is freed");
    for reboot in [false, true] {
        if reboot {
            site.reboot();
        }
        let mut want = vec![0; all * PAGE];
        want[..PAGE].fill(1);
        want[(all - 1) * PAGE..].fill(1);
        assert_eq!(site.read(0, all * PAGE), want, "after a reboot: {reboot}");
        assert_eq!(site.space().pages().1, free - 2);
    }
    assert_eq!(site.records, Records::from([(b"b".to_vec(), b"2".to_vec())]));
    site.fsck();
}

/// Between the record of a `pfree` and the table's change its process may die. What the table then says is in the pool is not any more.
#[test]
fn a_page_whose_extent_went_with_a_killed_pfree_reads_as_zeros() {
    a_page_loses_its_extent(Site::new(64 << 20));
    // Where pages are read in place, too.
    a_page_loses_its_extent(Site::in_dir(tempfile::tempdir_in("/dev/shm").expect("a directory in memory"), 64 << 20));
}

fn a_page_loses_its_extent(mut site: Site) {
    site.write(0, &[1; 2 * PAGE]).expect("room");
    site.commit(0, 2 * P, &[]).expect("it commits");
    site.reboot();
    // Now the table knows of both, and the first is in the pool only.
    assert_eq!(site.read(P, PAGE), [1; PAGE]);
    let mut txn = site.space().fs.meta.begin().expect("the writer lock");
    let mut freed = Runs::new();
    clear_extents(&mut txn, Ino::SPACE, (PageNo::new(0), PageNo::new(1)), 1, &mut freed).expect("a change");
    super::flush::count_pages(&mut txn, 0, &freed).expect("a change");
    txn.commit().expect("a commit");
    assert_eq!(site.read(0, 2 * PAGE), [[0; PAGE], [1; PAGE]].concat());
    site.write(10, &[3; 10]).expect("room");
    site.commit(0, P, &[]).expect("it commits");
    site.fsck();
}

#[test]
fn a_full_pool_says_so_when_data_arrives_and_room_comes_back() {
    let mut site = Site::new(4 << 20);
    let all = site.space().pages().1;
    for round in 0..3 {
        let mut n = 0;
        let error = loop {
            match site.write(n * P, &[round; PAGE]) {
                Ok(()) => n += 1,
                Err(e) => break e,
            }
        };
        assert_eq!((error, n), (Error::NoSpace, all));
        site.commit(0, n * P, &[put(b"round", &[round])]).expect("what was taken can be committed");
        assert_eq!(site.write(0, &[9; PAGE]), Err(Error::NoSpace), "a changed page needs a frame of its own");
        if round == 1 {
            site.reboot();
        }
        assert_eq!(site.read((n - 1) * P, PAGE), [round; PAGE]);
        site.space().pfree(0, n * P, &[]).expect("freeing needs no room");
        assert_eq!(site.space().pages().1, all);
    }
}

#[test]
fn attached_memory_keeps_what_the_space_had() {
    let site = Site::new(64 << 20);
    let len = 64 * PAGE;
    site.write(0, &vec![1; len]).expect("room");
    for mode in [PMode::Read, PMode::CopyOnWrite] {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping where the kernel chooses.
        let memory = unsafe { libc::mmap(std::ptr::null_mut(), len, prot, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0) };
        assert_ne!(memory, libc::MAP_FAILED);
        let memory: *mut u8 = memory.cast();
        // SAFETY: the mapping made above.
        unsafe { site.space().attach(memory, 0, len, mode) }.expect("it is attached");
        let before = site.read(0, 1)[0];
        site.write(0, &vec![before + 1; len]).expect("room");
        // SAFETY: the mapping made above, which nobody writes to.
        assert!(unsafe { std::slice::from_raw_parts(memory, len) }.iter().all(|b| *b == before));
        if mode == PMode::CopyOnWrite {
            // SAFETY: as above.
            unsafe { memory.write(77) };
            assert_eq!(site.read(0, 1), [before + 1]);
        }
        // SAFETY: as above; nothing refers to it any more.
        unsafe { libc::munmap(memory.cast(), len) };
        // Nobody told the space that the memory is gone.
        if site.space().fs.can_attach() {
            assert!(site.space().fs.has_views(memory.addr(), len));
            site.space().fs.forget_gone_views();
            assert!(!site.space().fs.has_views(memory.addr(), len));
        }
    }
}

#[test]
fn what_is_not_a_range_of_pages_is_refused() {
    let site = Site::new(64 << 20);
    let invalid = Err(Error::Os(libc::EINVAL));
    let mut handle = FlushHandle::new(site.space()).expect("a handle");
    for (addr, size) in [(1, P), (0, 100), (0, 0), (SPAN, P), (SPAN - P, 2 * P), (!(P - 1), P)] {
        assert_eq!(handle.pflush_add(addr, size), invalid, "{addr} {size}");
        assert_eq!(site.space().pfree(addr, size, &[]), invalid, "{addr} {size}");
    }
    assert_eq!(site.write(SPAN - 1, &[1; 2]), invalid);
    site.write(SPAN - 1, &[1]).expect("the last byte");
    let commit = |change: Change<'_>| FlushHandle::new(site.space()).expect("a handle").pflush_commit(&[change]);
    assert_eq!(commit(put(b"", b"")), invalid);
    assert_eq!(commit(put(&[1; KEY_MAX + 1], b"")), Err(Error::Os(libc::E2BIG)));
    let value = vec![0; VALUE_MAX + 1];
    assert_eq!(commit(put(b"k", &value)), Err(Error::Os(libc::E2BIG)));
    commit(put(&[1; KEY_MAX], &value[1..])).expect("as long as may be");
}

/// Random transfers, adds, commits, cancelled handles, frees, ends of processes and power cuts against a model of what is visible and what is committed.
#[test]
fn random_operations_match_a_model() {
    const PAGES: usize = 40;
    let seed = std::env::var("FLAC_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1u64);
    println!("FLAC_SEED={seed}");
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut below = |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % n as u64) as usize
    };
    let mut site = Site::new(64 << 20);
    let (mut seen, mut committed) = ([0u8; PAGES], [0u8; PAGES]);
    let mut records = Records::new();
    for step in 0..2500 {
        let first = below(PAGES);
        let count = 1 + below((PAGES - first).min(6));
        let (addr, size) = (first as u64 * P * 100, 1 + below(255) as u8);
        // Pages lie 100 apart, so that they are in different leaves.
        let each = (0..count).map(|i| (first + i, addr + i as u64 * 100 * P));
        match below(20) {
            0..9 => {
                for (i, at) in each {
                    site.write(at, &[size; PAGE]).expect("the pool has room for each page twice");
                    seen[i] = size;
                }
            }
            9..14 => {
                let mut handle = FlushHandle::new(site.space()).expect("a handle");
                let mut taken = committed;
                for (i, at) in each {
                    handle.pflush_add(at, P).expect("no other handle is open");
                    taken[i] = seen[i];
                    if below(4) == 0 {
                        site.write(at, &[size; PAGE]).expect("room");
                        seen[i] = size;
                    }
                }
                if below(4) > 0 {
                    let (key, value) = ([first as u8], [size]);
                    handle.pflush_commit(&[put(&key, &value)]).expect("it commits");
                    committed = taken;
                    records.insert(key.to_vec(), value.to_vec());
                }
            }
            14..17 => {
                let key = [first as u8];
                site.space().pfree(addr, 1 + (count as u64 - 1) * 100, &[]).expect_err("no whole pages");
                site.space().pfree(addr, (1 + (count as u64 - 1) * 100) * P, &[Change { key: &key, value: None }]).expect("it is freed");
                each.for_each(|(i, _)| (seen[i], committed[i]) = (0, 0));
                records.remove(key.as_slice());
            }
            17 if below(8) == 0 => {
                if below(2) == 0 {
                    site.reopen()
                } else {
                    site.reboot()
                }
                seen = committed;
                assert_eq!(site.records, records, "step {step}");
            }
            18 if below(8) == 0 => site.space().fs.sync_all().expect("a sync"),
            _ => {
                for (i, at) in each {
                    assert_eq!(site.read(at, PAGE), [seen[i]; PAGE], "step {step}, page {i}");
                }
            }
        }
    }
    assert_eq!(site.space().fs.check_counts(), []);
    site.reboot();
    let used = committed.iter().enumerate().filter(|(i, _)| site.read(*i as u64 * 100 * P, 1)[0] != 0).count() as u64;
    let (all, free) = site.space().pages();
    // A page that is there may be zeros only if it was never written: the model writes none.
    assert_eq!(all - free, used, "pages leak");
    site.fsck();
}

/// A transfer beyond its end went round for ever.
#[test]
fn regression_a_space_of_another_size_is_damage() {
    let mut site = Site::new(64 << 20);
    let fs = &site.space().fs;
    let mut txn = fs.meta.begin().expect("the writer lock");
    let mut inode = Inode::load(&txn, Ino::SPACE).expect("a look").expect("its inode");
    inode.attr.size = 100;
    txn.put(&inode_key(Ino::SPACE), &inode.encode()).expect("a change");
    txn.commit().expect("a commit");
    let run = fs.run_dir().to_owned();
    site.space = None;
    let opened = Space::init_flac(&site.dir.path().join("pool"), &SpaceOptions::default(), &mut |_, _| {});
    assert_eq!(opened.map(drop).map_err(|e| e.errno()), Err(libc::EIO));
    remove(&run);
}
