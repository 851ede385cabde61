//! The same frames on every medium that can be had here: a disk (or whatever holds temporary files) and memory.

use super::super::{Medium, Model, Pool, PoolOptions};
use crate::error::Error;
use crate::units::{PAGE, PoolFrame};
use std::time::Instant;

fn disk() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").expect("a directory in memory")
}

/// A directory for a pool on each medium, what mkfs is told, and what the medium is then (`None`: whatever the disk is).
fn places() -> [(tempfile::TempDir, Option<Medium>, Option<Medium>); 5] {
    [
        (disk(), None, None),
        (disk(), Some(Medium::DaxEmulated), Some(Medium::DaxEmulated)),
        (memory(), None, Some(Medium::Memory)),
        (memory(), Some(Medium::Memory), Some(Medium::Memory)),
        (memory(), Some(Medium::DaxEmulated), Some(Medium::DaxEmulated)),
    ]
}

fn pool(dir: &std::path::Path, medium: Option<Medium>) -> Pool {
    Pool::create(dir, &PoolOptions { size: 16 << 20, medium, ..Default::default() }).expect("a pool is made");
    Pool::open(dir).expect("a pool")
}

#[test]
fn frames_come_back_from_every_medium() {
    for (dir, wanted, expected) in places() {
        let pool = pool(dir.path(), wanted);
        let medium = pool.medium();
        assert!(expected.is_none_or(|expected| expected == medium), "{wanted:?} gave {medium:?}");
        assert_eq!(pool.not_dax().is_none(), medium == Medium::Dax);
        let pages: Vec<Vec<u8>> = (0..300).map(|n| (0..PAGE).map(|i| (n * 7 + i / 3) as u8).collect()).collect();
        let slices: Vec<&[u8]> = pages.iter().map(Vec::as_slice).collect();
        pool.write(PoolFrame::new(700), &slices).expect("a write");
        pool.flush_data().expect("a flush");
        let other = Pool::open(dir.path()).expect("a pool");
        let mut back = vec![0; pages.len() * PAGE];
        other.read(PoolFrame::new(700), &mut back).expect("a read");
        assert!(back.chunks_exact(PAGE).eq(slices.iter().copied()), "{medium:?}");
        assert_eq!(other.mapped(PoolFrame::new(700), 300).is_some(), medium.is_mapped());
    }
}

/// As a flush does, which goes on while its frames are written.
#[test]
fn frames_that_are_written_beside_come_back_from_every_medium() {
    for (dir, wanted, _) in places() {
        let pool = pool(dir.path(), wanted);
        let memory: Vec<u8> = (0..401 * PAGE).map(|i| (i / 7) as u8).collect();
        let start = memory.as_ptr().align_offset(PAGE);
        let pages: Vec<&[u8]> = memory[start..].chunks_exact(PAGE).collect();
        // Here and there two that do not follow each other; the last ones are not aligned, and written in the usual way.
        let mixed: Vec<&[u8]> = (0..400).map(|i| pages[if i % 10 == 3 { 7 } else { i % 399 }]).collect();
        for rounds in [0, 1, 2, 3, 40] {
            let unaligned = memory[start + 8..].chunks_exact(PAGE).next().expect("a page");
            let written = pool.write_beside(|writer| {
                (0..rounds).try_for_each(|i| writer.write(PoolFrame::new(100 + 10 * i), &mixed[10 * i as usize..][..10]))?;
                writer.write(PoolFrame::new(90), &[unaligned])
            });
            written.expect("a write");
            let mut back = vec![0; rounds as usize * 10 * PAGE];
            pool.read(PoolFrame::new(100), &mut back).expect("a read");
            assert!(back.chunks_exact(PAGE).eq(mixed[..10 * rounds as usize].iter().copied()), "{:?}", pool.medium());
            pool.read(PoolFrame::new(90), &mut back[..if rounds > 0 { PAGE } else { 0 }]).expect("a read");
            assert!(rounds == 0 || &back[..PAGE] == unaligned);
        }
        // The work's own error is told, and nothing is under way any more.
        let failed = pool.write_beside(|writer| writer.write(PoolFrame::new(0), &mixed[..5]).and(Err(Error::NoSpace)));
        assert_eq!(failed, Err(Error::NoSpace));
    }
}

/// A load behind the end of the file would kill the process.
#[test]
fn a_frame_behind_the_end_of_the_file_is_an_error_on_every_medium() {
    for (dir, wanted, _) in places() {
        let first = pool(dir.path(), wanted);
        first.write(PoolFrame::new(0), &[&[1; PAGE]]).expect("a write");
        let file = std::fs::File::options().write(true).open(dir.path().join("frames")).expect("a file");
        file.set_len(PAGE as u64).expect("a cut");
        assert!(matches!(Pool::open(dir.path()).map(drop), Err(Error::Corrupt(_))), "{wanted:?}");
    }
    for dir in [disk(), memory()] {
        let pool = pool(dir.path(), Some(Medium::DaxEmulated));
        assert!(matches!(pool.read(PoolFrame::new(4000), &mut [0; PAGE]), Err(Error::Corrupt(_))));
        // 4000 lies in the pool and behind the end of the file, 4090 + 10 beyond the pool.
        assert!(pool.mapped(PoolFrame::new(4000), 1).is_none() && pool.mapped(PoolFrame::new(4090), 10).is_none());
    }
}

#[test]
fn a_medium_that_is_not_there_is_refused_and_leaves_nothing_behind() {
    let refused = |dir: &std::path::Path, medium, model| {
        let options = PoolOptions { size: 16 << 20, medium, model };
        assert!(matches!(Pool::create(dir, &options), Err(Error::Unusable(_))), "{options:?}");
        assert_eq!(std::fs::read_dir(dir).expect("a directory").count(), 0);
    };
    let place = memory();
    refused(place.path(), Some(Medium::Dax), None);
    refused(place.path(), Some(Medium::Block), None);
    if pool(disk().path(), None).medium() == Medium::Block {
        let place = disk();
        refused(place.path(), Some(Medium::Memory), None);
        refused(place.path(), Some(Medium::Dax), None);
        refused(place.path(), None, Some(Model::OptaneDcPmm));
    }
}

#[test]
fn an_injected_device_slows_reads_and_writes() {
    let dir = memory();
    let options = PoolOptions { size: 16 << 20, medium: None, model: Some(Model::OptaneDcPmm) };
    Pool::create(dir.path(), &options).expect("a pool is made");
    let pool = Pool::open(dir.path()).expect("a pool");
    let bytes = vec![3; 1 << 20];
    let pages: Vec<&[u8]> = bytes.chunks_exact(PAGE).collect();
    let start = Instant::now();
    pool.write(PoolFrame::new(0), &pages).expect("a write");
    assert!(start.elapsed() >= Model::OptaneDcPmm.write_time(1 << 20));
    let start = Instant::now();
    pool.read(PoolFrame::new(0), &mut vec![0; 1 << 20]).expect("a read");
    assert!(start.elapsed() >= Model::OptaneDcPmm.read_time(1 << 20));
}
