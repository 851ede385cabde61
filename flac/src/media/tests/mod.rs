//! Frames come back as they were written; the files keep to themselves.
#![expect(unsafe_code, reason = "closes descriptors as a careless program does")]

mod media;

use super::create::Geometry;
use super::fd::Fd;
use super::file::File;
use super::layout::{self, CheckpointHeader, HEADER, LogHeader, Position, Superblock};
use super::{HIGH_FD, Medium, Pool, PoolOptions};
use crate::error::Error;
use crate::units::{PAGE, PoolFrame, Seq};
use proptest::prelude::*;
use rustix::fs::{Mode, OFlags};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

thread_local! {
    /// What this thread does when it is about to write frames past the page cache the next time.
    pub(crate) static WRITING: std::cell::RefCell<Option<Box<dyn FnOnce()>>> = const { std::cell::RefCell::new(None) };
}

pub(super) fn writing() {
    WRITING.take().into_iter().for_each(|what| what());
}

#[repr(align(4096))]
struct Page([u8; PAGE]);

pub(super) fn temp() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn pool_of(dir: &Path, frames: u64) -> Pool {
    Pool::create_with(dir, &Geometry { size: frames * 4096, log_bytes: 64 << 10, grow_bytes: 256 << 10, ..Geometry::of(0) })
        .expect("a pool is made");
    Pool::open(dir).expect("a pool")
}

#[test]
fn frames_come_back_from_aligned_and_unaligned_memory() {
    let dir = temp();
    let pool = pool_of(dir.path(), 512);
    let memory: Vec<u8> = (0..130 * PAGE + 8).map(|i| (i / 7) as u8).collect();
    let start = memory.as_ptr().align_offset(PAGE);
    for shift in [0, 3] {
        let pages: Vec<&[u8]> = memory[(start + shift) % PAGE..].chunks_exact(PAGE).collect();
        // Scattered: in reverse.
        let reversed: Vec<&[u8]> = pages.iter().rev().copied().collect();
        pool.write(PoolFrame::new(17), &reversed).expect("a write");
        let mut back = vec![0; reversed.len() * PAGE + 1];
        for unaligned in [0, 1] {
            let to = &mut back[unaligned..][..reversed.len() * PAGE];
            pool.read(PoolFrame::new(17), to).expect("a read");
            assert!(to.chunks_exact(PAGE).eq(reversed.iter().copied()));
        }
    }
    pool.flush_data().expect("a flush");
}

#[test]
fn the_frames_file_grows_in_steps_and_not_beyond_its_capacity() {
    let dir = temp();
    let pool = pool_of(dir.path(), 100);
    let len = || std::fs::metadata(dir.path().join("frames")).expect("a file").len();
    if pool.medium() == Medium::Memory {
        assert_eq!(len(), 100 * 4096);
        return;
    }
    assert_eq!(len(), 0);
    pool.write(PoolFrame::new(1), &[&[1; PAGE]]).expect("a write");
    assert_eq!(len(), 256 << 10);
    pool.ensure(65, 1).expect("growth");
    assert_eq!(len(), 100 * 4096);
    pool.write(PoolFrame::new(99), &[&[2; PAGE]]).expect("a write");
    assert_eq!(len(), 100 * 4096);
    let other = Pool::open(dir.path()).expect("a pool");
    let mut page = vec![0; PAGE];
    other.read(PoolFrame::new(1), &mut page).expect("a read");
    assert_eq!(page, [1; PAGE]);
    other.read(PoolFrame::new(50), &mut page).expect("a read");
    assert_eq!(page, [0; PAGE]);
}

/// The inode's size was made durable every 2 MiB, after as many zeros: 3 to 8 ms for a program that appends 4 KiB.
#[test]
fn regression_a_page_that_its_record_carries_needs_no_room_that_is_durable() {
    let dir = temp();
    let pool = pool_of(dir.path(), 1024);
    if pool.medium() != Medium::Block {
        println!("skipped: the temporary directory is no disk");
        return;
    }
    let len = || std::fs::metadata(dir.path().join("frames")).expect("a file").len() / 4096;
    for (first, end) in [(3, 16), (4, 16), (2, 16), (70, 80)] {
        pool.write_home(PoolFrame::new(first), &[&[first as u8; PAGE]]).expect("a write");
        assert_eq!(len(), end);
        assert!(!pool.has_grown(1));
    }
    // What is written past the page cache has room that is durable.
    pool.write(PoolFrame::new(71), &[&[71; PAGE]]).expect("a write");
    assert_eq!((len(), pool.has_grown(128 << 12), pool.has_grown(129 << 12)), (128, true, false));
    let mut back = vec![1; 72 * PAGE];
    pool.read(PoolFrame::new(0), &mut back).expect("a read");
    let expected = |i| if matches!(i, 2..=4 | 70 | 71) { i as u8 } else { 0 };
    assert!(back.chunks_exact(PAGE).enumerate().all(|(i, page)| page == [expected(i); PAGE]));
}

#[test]
fn what_was_never_written_of_the_frames_file_is_written_before_anything_else() {
    let dir = temp();
    let pool = pool_of(dir.path(), 1024);
    if pool.medium() != Medium::Block {
        println!("skipped: the temporary directory is no disk");
        return;
    }
    pool.write(PoolFrame::new(0), &[&[1; PAGE]]).expect("a write");
    let file = std::fs::File::options().read(true).write(true).open(dir.path().join("frames")).expect("a file");
    let unwritten = rustix::fs::FallocateFlags::empty();
    rustix::fs::fallocate(&file, unwritten, 70 * 4096, 10 * 4096).and_then(|()| rustix::fs::ftruncate(&file, 900 * 4096)).expect("longer");
    rustix::io::pwrite(&file, &[2; PAGE], 500 * 4096).expect("a write");
    // In a copy that was made by a program that likes holes, before the mark, too.
    let punch = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(&file, punch, 20 * 4096, 4096).expect("a hole");
    let hole = || rustix::fs::seek(&file, rustix::fs::SeekFrom::Hole(0)).expect("known");
    assert_eq!(hole(), 20 * 4096);
    let pool = Pool::open(dir.path()).expect("a pool");
    pool.fill_holes().expect("filled");
    assert_eq!(hole(), 900 * 4096);
    assert!(pool.has_grown(900 * 4096));
    let mut back = vec![0; PAGE];
    for (frame, expected) in [(0, 1), (20, 0), (75, 0), (500, 2), (899, 0)] {
        pool.read(PoolFrame::new(frame), &mut back).expect("a read");
        assert_eq!(back, [expected; PAGE]);
    }
}

#[test]
fn those_who_grow_at_once_do_not_wipe_each_others_frames() {
    let dir = temp();
    pool_of(dir.path(), 1024);
    std::thread::scope(|scope| {
        for writer in 0..4u32 {
            let dir = dir.path();
            scope.spawn(move || {
                let pool = Pool::open(dir).expect("a pool");
                for i in (writer..1024).step_by(4) {
                    let (first, page) = (PoolFrame::new(i), Page([i as u8; PAGE]));
                    match writer {
                        0 => pool.write(first, &[&page.0]),
                        1 => pool.write_home(first, &[&page.0]),
                        _ => pool.write_fresh(first, &[&page.0]).and_then(|fresh| if fresh { pool.settle() } else { Ok(()) }),
                    }
                    .expect("a write");
                }
            });
        }
    });
    let pool = Pool::open(dir.path()).expect("a pool");
    let mut all = vec![0; 1024 * PAGE];
    pool.read(PoolFrame::new(0), &mut all).expect("a read");
    assert!(all.chunks_exact(PAGE).enumerate().all(|(i, page)| page == [i as u8; PAGE]));
}

#[test]
fn a_cut_frames_file_is_refused() {
    let dir = temp();
    let pool = pool_of(dir.path(), 100);
    pool.write(PoolFrame::new(90), &[&[1; PAGE]]).expect("a write");
    let file = std::fs::File::options().write(true).open(dir.path().join("frames")).expect("a file");
    file.set_len(5000).expect("a cut");
    assert!(matches!(Pool::open(dir.path()).map(drop), Err(Error::Corrupt(_))));
    let mut page = [0; PAGE];
    assert!(matches!(pool.read(PoolFrame::new(90), &mut page), Err(Error::Corrupt(_))));
}

#[test]
fn a_pool_that_does_not_fit_leaves_nothing_behind() {
    let dir = temp();
    for size in [0, 1, u64::MAX] {
        assert!(matches!(Pool::create(dir.path(), &PoolOptions { size, ..Default::default() }), Err(Error::Unusable(_))));
    }
    assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 0);
}

#[test]
fn directories_above_are_made_and_files_take_the_directorys_permissions() {
    let dir = temp();
    let deep = dir.path().join("a/b/pool");
    Pool::create(&deep, &PoolOptions { size: 1 << 20, ..Default::default() }).expect("a pool");
    for (mode, expected) in [(0o770, 0o660), (0o700, 0o600), (0o2775, 0o664)] {
        let dir = temp();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).expect("permissions");
        Pool::create(dir.path(), &PoolOptions { size: 1 << 20, ..Default::default() }).expect("a pool");
        for entry in std::fs::read_dir(dir.path()).expect("a directory") {
            assert_eq!(entry.expect("an entry").metadata().expect("attributes").permissions().mode() & 0o777, expected);
        }
    }
}

#[test]
fn descriptors_are_high_and_a_closed_one_is_opened_again() {
    let dir = temp();
    let path = dir.path().join("file");
    std::fs::write(&path, b"content").expect("a file");
    let fd = Fd::open(&path, OFlags::RDONLY, Mode::empty()).expect("a descriptor");
    assert!(fd.raw() >= HIGH_FD.min(200));
    assert!(fd.is_ours());
    let file = File::open(&path, OFlags::RDWR).expect("a file");
    file.with(|fd| {
        use std::os::fd::AsRawFd;
        // SAFETY: nobody but `file` uses this number, and `file` is what is tested.
        unsafe { libc::close(fd.as_raw_fd()) };
        Ok(())
    })
    .expect("closed");
    // Another file may have the number now; it must be left alone.
    let mut content = [0; 7];
    assert_eq!(file.read_at(&mut content, 0).expect("a read"), 7);
    assert_eq!(&content, b"content");
    file.write_at(b"C", 0).expect("a write");
    assert_eq!(std::fs::read(&path).expect("a file"), b"Content");
}

#[test]
fn what_the_thread_beside_can_not_write_is_written_all_the_same() {
    // Where the file has got to already, and at its end.
    [512, 0].into_iter().for_each(write_beside_a_closed_descriptor);
}

fn write_beside_a_closed_descriptor(grown: u32) {
    let dir = temp();
    let pool = pool_of(dir.path(), 512);
    let memory: Vec<u8> = (0..33 * PAGE).map(|i| (i / 7) as u8).collect();
    let pages: Vec<&[u8]> = memory[memory.as_ptr().align_offset(PAGE)..].chunks_exact(PAGE).collect();
    pool.ensure(grown, grown as usize).expect("growth");
    let Some(direct) = &pool.direct else {
        println!("skipped: the temporary directory is no disk");
        return;
    };
    let close = |fd: rustix::fd::BorrowedFd<'_>| {
        use std::os::fd::AsRawFd;
        // SAFETY: as above.
        unsafe { libc::close(fd.as_raw_fd()) };
        Ok(())
    };
    let written = pool.write_beside(|writer| {
        for i in 0..8 {
            writer.write(PoolFrame::new(4 * i), &pages[4 * i as usize..][..4])?;
            if i == 3 {
                direct.with(close).expect("closed");
            }
        }
        Ok(())
    });
    written.expect("a write");
    assert!(pool.has_grown(32 << 12));
    let mut back = vec![0; 32 * PAGE];
    pool.read(PoolFrame::new(0), &mut back).expect("a read");
    assert!(back.chunks_exact(PAGE).eq(pages[..32].iter().copied()));
}

proptest! {
    #[test]
    fn proptest_headers_come_back_and_damage_shows(
        (uuid, a, b, c, d) in any::<([u8; 16], u32, u64, u64, u64)>(), at in 0..HEADER, bit in 0..8u8
    ) {
        let superblock = Superblock { version: 1, features: a, uuid, frames: a, medium: !a, log_bytes: b, grow_bytes: c, model: a / 3 };
        let log = LogHeader { generation: b, base: Seq::new(c), salt: d, uuid };
        let position = Position { generation: b, tail: c, seq: Seq::new(d), salt: b ^ c, known: Seq::new(d) };
        let checkpoint = CheckpointHeader { position, pool: a, whole: Seq::new(b) };
        prop_assert_eq!(Superblock::decode(&superblock.encode()), Some(superblock));
        prop_assert_eq!(LogHeader::decode(&log.encode()), Some(log));
        prop_assert_eq!(CheckpointHeader::decode(&checkpoint.encode()), Some(checkpoint));
        prop_assert_eq!(Position::decode(&position.encode()), Some(position));
        prop_assert_eq!(layout::decode_grown(&layout::encode_grown(b)), b);
        let flip = |mut bytes: [u8; HEADER]| { bytes[at] ^= 1 << bit; bytes };
        prop_assert_eq!(Superblock::decode(&flip(superblock.encode())), None);
        prop_assert_eq!(LogHeader::decode(&flip(log.encode())), None);
        prop_assert_eq!(CheckpointHeader::decode(&flip(checkpoint.encode())), None);
        prop_assert_eq!(layout::decode_grown(&flip(layout::encode_grown(b))), 0);
    }
}
