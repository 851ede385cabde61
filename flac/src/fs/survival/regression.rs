//! What the random tests found, in short.

use super::cuts::{geometry_on, make_pool, place};
use super::look::WHO;
use super::work::open;
use crate::fs::Fs;
use crate::fs::acl::ACCESS;
use crate::fs::attr::{Creds, SetAttr};
use crate::fs::names::Name;
use crate::fs::record::{Extent, encode_extents, encode_place, extent_key, place_key};
use crate::inode::WriteGuard;
use crate::media::create::Geometry;
use crate::media::sim::tape::{Lower, Tape};
use crate::procs::Procs;
use crate::sync::Liveness;
use crate::units::{Ino, PAGE, PageNo, PoolFrame};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

fn name(name: &str) -> Name {
    Name::new(name.as_bytes()).expect("a short name")
}

/// A new file of so many pages, held and flushed.
fn file(fs: &Fs, called: &str, pages: usize, hold: usize) -> Ino {
    let ino = fs.create(Ino::ROOT, &name(called), libc::S_IFREG | 0o644, 0, &WHO).expect("a file");
    let id = fs.open_file(ino, libc::O_RDWR, hold).expect("it opens");
    fs.write_bytes(id, &vec![hold as u8; pages * PAGE], 0).expect("a write");
    fs.sync(ino).expect("a flush");
    ino
}

/// Recovery deleted the orphan, then counted the frames in use: the orphan's frames were free, and were freed again later, from under whoever had them by then.
#[test]
fn regression_frames_of_an_orphan_that_recovery_deletes_are_freed_once() {
    let dir = place();
    let pool = dir.path().join("pool");
    make_pool(&pool, &geometry_on(Lower::Ext4), Lower::Ext4);
    let _seems_a_disk = Tape::start(&pool, Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    file(&fs, "orphan", 8, 1);
    fs.unlink(Ino::ROOT, &name("orphan"), &WHO).expect("unlinked");
    fs.sync_all().expect("a flush");
    drop(fs);
    let fs = open(&pool).expect("the pool opens");
    for (i, called) in ["a", "b", "c", "d", "e", "f"].into_iter().enumerate() {
        file(&fs, called, 8, 1 + i);
        assert_eq!(fs.check(true).expect("a check"), Vec::<String>::new(), "after {called}");
    }
    drop(fs);
}

/// Damage within what is read ahead made the sound pages before it unreadable, too.
#[test]
fn a_damaged_page_is_an_error_where_it_is_read_and_nowhere_else_and_fsck_names_the_file() {
    let dir = place();
    let pool = dir.path().join("pool");
    make_pool(&pool, &geometry_on(Lower::Ext4), Lower::Ext4);
    let _seems_a_disk = Tape::start(&pool, Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    let sub = fs.mkdir(Ino::ROOT, &name("sub"), 0o755, &WHO).expect("a directory");
    let ino = fs.create(sub, &name("file"), libc::S_IFREG | 0o644, 0, &WHO).expect("a file");
    let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
    let pages: Vec<u8> = (0..20 * PAGE).map(|i| (i / PAGE) as u8).collect();
    fs.write_bytes(id, &pages, 0).expect("a write");
    fs.sync_all().expect("a flush");
    drop(fs);
    let frames = pool.join("frames");
    let mut bytes = std::fs::read(&frames).expect("the frames");
    let at = bytes.chunks(PAGE).position(|page| page == [7; PAGE]).expect("page 7") * PAGE;
    bytes[at + 100] ^= 1;
    std::fs::write(&frames, bytes).expect("the frames");
    let fs = open(&pool).expect("the pool opens");
    let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
    for round in 0..2 {
        for page in 0..20 {
            let mut to = vec![0; PAGE];
            let read = fs.read_bytes(id, &mut to, (page * PAGE) as u64);
            match page {
                7 => assert_eq!(read.expect_err("damaged").errno(), libc::EIO, "round {round}"),
                _ => assert!(read == Ok(PAGE) && to == pages[page * PAGE..][..PAGE], "round {round}, page {page}: {read:?}"),
            }
        }
    }
    // Up to the damage, and not beyond.
    let mut to = vec![0; 20 * PAGE];
    assert_eq!(fs.read_bytes(id, &mut to, 5 * PAGE as u64).map_err(|e| e.errno()), Err(libc::EIO));
    let findings = fs.check(true).expect("a check");
    assert!(findings.len() == 1 && findings[0].starts_with("/sub/file: page 7 ") && findings[0].contains("checksum"), "{findings:?}");
    // The page can be replaced, and all is well again.
    fs.write_bytes(id, &[9; PAGE], 7 * PAGE as u64).expect("a write");
    fs.sync_all().expect("a flush");
    assert_eq!(fs.check(true).expect("a check"), Vec::<String>::new());
}

/// An exec while another thread was in a write: the thread was gone, its lock that of a living process, and whoever came next waited for ever.
#[test]
fn regression_a_lock_that_a_thread_held_at_an_exec_is_a_dead_ones() {
    let dir = place();
    let pool = dir.path().join("pool");
    make_pool(&pool, &geometry_on(Lower::Ext4), Lower::Ext4);
    let _seems_a_disk = Tape::start(&pool, Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    let ino = file(&fs, "file", 1, 1);
    let slot = fs.inodes.hold(ino).expect("a slot");
    std::mem::forget(fs.inodes.lock(slot));
    assert!(WriteGuard::try_lock(fs.inodes.slot(slot), &*fs.procs).is_none());
    let new_image = Procs::rejoin(fs.region.control, fs.procs.me()).expect("its slot");
    assert!(WriteGuard::try_lock(fs.inodes.slot(slot), &new_image).is_some());
}

/// On a mapped medium a read over several frames of which only the first are there went round for ever: together they could not be read, and nothing was wrong with the first.
#[test]
fn regression_a_read_that_runs_over_the_end_of_the_pool_is_an_error() {
    let dir = place();
    let pool = dir.path().join("pool");
    let geometry = Geometry { size: 200 << 12, log_bytes: 24 << 10, grow_bytes: 64 << 10, ..geometry_on(Lower::Dax) };
    make_pool(&pool, &geometry, Lower::Dax);
    let _seems_a_disk = Tape::start(&pool, Lower::Dax);
    let fs = open(&pool).expect("the pool opens");
    let ino = file(&fs, "file", 4, 1);
    let mut txn = fs.meta.begin().expect("a transaction");
    // The pool may grow beyond these, but has not.
    let there = std::fs::metadata(pool.join("frames")).expect("the frames").len() / PAGE as u64;
    assert!(there + 2 <= fs.pool.frames() as u64);
    let last = there as u32 - 2;
    let over: Vec<_> = (last..last + 4).map(|frame| Some(Extent { frame: PoolFrame::new(frame), crc: 0 })).collect();
    txn.put(&extent_key(ino, PageNo::new(0)), &encode_extents(&over)).expect("a change");
    txn.commit().expect("a record");
    drop(fs);
    let fs = open(&pool).expect("the pool opens");
    let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
    let mut to = vec![0; 4 * PAGE];
    assert_eq!(fs.read_bytes(id, &mut to[..2 * PAGE], 0), Ok(2 * PAGE));
    assert_eq!(fs.read_bytes(id, &mut to, 0).map_err(|e| e.errno()), Err(libc::EIO));
}

/// A check took the pages that FALLOC_FL_KEEP_SIZE sets aside behind the end of a file for damage.
#[test]
fn regression_space_set_aside_behind_the_end_is_sound() {
    let dir = place();
    let pool = dir.path().join("pool");
    make_pool(&pool, &geometry_on(Lower::Ext4), Lower::Ext4);
    let _seems_a_disk = Tape::start(&pool, Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    let ino = file(&fs, "file", 2, 1);
    fs.allocate(ino, libc::FALLOC_FL_KEEP_SIZE, PAGE as u64, 9 * PAGE as u64).expect("set aside");
    fs.sync_all().expect("a flush");
    assert_eq!(fs.check(true).expect("a check"), Vec::<String>::new());
    drop(fs);
    let fs = open(&pool).expect("the pool opens");
    assert_eq!(fs.check(true).expect("a check"), Vec::<String>::new());
    fs.truncate(ino, 10 * PAGE as u64).expect("grown");
    let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
    let mut to = vec![7; 8 * PAGE];
    assert_eq!(fs.read_bytes(id, &mut to, 2 * PAGE as u64), Ok(8 * PAGE));
    assert!(to.iter().all(|byte| *byte == 0), "what was set aside is zeros");
}

/// Who moved a directory there, or asked where they lie, went round for ever.
#[test]
fn regression_directories_that_lie_in_each_other_are_damage() {
    let dir = place();
    let pool = dir.path().join("pool");
    make_pool(&pool, &geometry_on(Lower::Ext4), Lower::Ext4);
    let _seems_a_disk = Tape::start(&pool, Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    let make = |parent, called| fs.mkdir(parent, &name(called), 0o755, &WHO).expect("a directory");
    let (one, other) = (make(Ino::ROOT, "one"), make(Ino::ROOT, "other"));
    let two = make(one, "two");
    let mut txn = fs.meta.begin().expect("a transaction");
    txn.put(&place_key(one), &encode_place(two, b"one")).expect("a change");
    txn.commit().expect("a record");
    let renamed = fs.rename((Ino::ROOT, &name("other")), (two, &name("other")), 0, &WHO);
    assert_eq!(renamed.map_err(|e| e.errno()), Err(libc::EIO));
    assert_eq!([one, two].map(|dir| fs.path_of(dir).map_err(|e| e.errno())), [Err(libc::EIO), Err(libc::EIO)]);
    assert_eq!(fs.path_of(other), Ok(b"/other".to_vec()));
}

/// A mode that is set while nothing of the file is in the pool gets there with its content, its name or its lists.
#[test]
fn the_mode_of_a_new_file_is_in_the_log_with_whatever_comes_next() {
    type Next = fn(&Fs, Ino);
    let nexts: [Next; 4] = [
        |fs, ino| fs.sync(ino).expect("a flush"),
        |fs, _| fs.rename((Ino::ROOT, &name("f")), (Ino::ROOT, &name("g")), 0, &WHO).expect("renamed"),
        |fs, ino| fs.link(ino, Ino::ROOT, &name("g"), &WHO).expect("linked"),
        |fs, ino| fs.set_xattr(ino, b"user.x", b"v", 0, &WHO).expect("an attribute"),
    ];
    for next in nexts {
        let dir = place();
        let pool = dir.path().join("pool");
        make_pool(&pool, &geometry_on(Lower::Ext4), Lower::Ext4);
        let _seems_a_disk = Tape::start(&pool, Lower::Ext4);
        let fs = open(&pool).expect("the pool opens");
        let ino = fs.create(Ino::ROOT, &name("f"), libc::S_IFREG | 0o600, 0, &WHO).expect("a file");
        let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
        fs.write_bytes(id, b"content", 0).expect("a write");
        let records = fs.log_state().expect("the log").last;
        let set = |mode| SetAttr { mode: Some(mode), ..SetAttr::default() };
        fs.set_attr(ino, &set(0o640), &WHO).expect("a mode");
        assert_eq!((fs.attr(ino).expect("attributes").mode & 0o7777, fs.log_state().expect("the log").last), (0o640, records));
        next(&fs, ino);
        fs.sync_log().expect("a sync");
        drop(fs);
        let fs = open(&pool).expect("the pool opens");
        assert_eq!(fs.attr(ino).expect("attributes").mode & 0o7777, 0o640);
        fs.set_attr(ino, &set(0o600), &WHO).expect("a mode");
        drop(fs);
    }
}

/// Once a list goes with the mode, both change together.
#[test]
fn a_list_that_a_new_file_gets_follows_its_mode() {
    let dir = place();
    let pool = dir.path().join("pool");
    make_pool(&pool, &geometry_on(Lower::Ext4), Lower::Ext4);
    let _seems_a_disk = Tape::start(&pool, Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    let ino = fs.create(Ino::ROOT, &name("f"), libc::S_IFREG | 0o600, 0, &WHO).expect("a file");
    let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
    fs.write_bytes(id, b"content", 0).expect("a write");
    let set = |mode| fs.set_attr(ino, &SetAttr { mode: Some(mode), ..SetAttr::default() }, &WHO).expect("a mode");
    set(0o4640);
    let other = Creds { uid: 7, gid: 7, ..WHO };
    assert!(fs.access(ino, libc::R_OK, &other).is_err());
    // Owner rw, user 7 r, group -, mask r, others -.
    let entries: [(u16, u16, u32); 5] = [(1, 6, u32::MAX), (2, 4, 7), (4, 0, u32::MAX), (16, 4, u32::MAX), (32, 0, u32::MAX)];
    let list = entries.iter().flat_map(|(tag, perm, id)| [&tag.to_le_bytes()[..], &perm.to_le_bytes(), &id.to_le_bytes()].concat());
    let list: Vec<u8> = [2, 0, 0, 0].into_iter().chain(list).collect();
    fs.set_xattr(ino, ACCESS, &list, 0, &WHO).expect("a list");
    assert_eq!(fs.attr(ino).expect("attributes").mode & 0o7777, 0o4640);
    assert!(fs.access(ino, libc::R_OK, &other).is_ok());
    set(0o600);
    assert!(fs.access(ino, libc::R_OK, &other).is_err(), "the mask is the group's bits of the mode");
    drop(fs);
}

/// A change of names writes what it has read of the inode, and a mode may be set meanwhile.
#[test]
fn no_mode_is_lost_beside_changes_of_names() {
    const ROUNDS: u32 = 150;
    let dir = place();
    let pool = dir.path().join("pool");
    make_pool(&pool, &geometry_on(Lower::Ext4), Lower::Ext4);
    let _seems_a_disk = Tape::start(&pool, Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    let files: Vec<Ino> = (0..ROUNDS)
        .map(|round| {
            let ino = fs.create(Ino::ROOT, &name(&format!("f{round}")), libc::S_IFREG | 0o600, 0, &WHO).expect("a file");
            let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
            fs.write_bytes(id, b"content", 0).expect("a write");
            let done = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !done.load(Relaxed) {
                        fs.link(ino, Ino::ROOT, &name("other"), &WHO).expect("linked");
                        fs.unlink(Ino::ROOT, &name("other"), &WHO).expect("unlinked");
                    }
                });
                for mode in 0..=round {
                    fs.set_attr(ino, &SetAttr { mode: Some(mode), ..SetAttr::default() }, &WHO).expect("a mode");
                }
                done.store(true, Relaxed);
            });
            assert_eq!(fs.attr(ino).expect("attributes").mode & 0o7777, round);
            fs.release(1);
            ino
        })
        .collect();
    fs.sync_all().expect("a flush");
    drop(fs);
    let fs = open(&pool).expect("the pool opens");
    (0..).zip(files).for_each(|(round, ino)| assert_eq!(fs.attr(ino).expect("attributes").mode & 0o7777, round));
    drop(fs);
}
