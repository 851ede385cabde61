//! Files that are nearly all hole, of many terabytes: what is done to them takes as long as what is in them.

use crate::case::{Dir, Outcome, cases, fails, skip};
use crate::sys;
use libc::{FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, SEEK_DATA, SEEK_HOLE};

cases![
    data_is_found_behind_terabytes_of_hole,
    terabytes_of_hole_are_cut_off,
    terabytes_of_hole_are_punched,
    holes_read_as_zeros_wherever_they_are,
    terabytes_of_hole_are_cloned,
];

const SIZE: i64 = 1 << 45;
const MIDDLE: i64 = SIZE / 2;
const PAGE: i64 = 4096;

/// A durable file with a page at its start and one in the middle.
fn sparse(d: &Dir) -> Result<sys::Fd, sys::Errno> {
    let fd = d.open("f", &[1; PAGE as usize]);
    sys::ftruncate(&fd, SIZE)?;
    sys::pwrite(&fd, &[2; PAGE as usize], MIDDLE)?;
    sys::fsync(&fd)?;
    Ok(fd)
}

fn has_no_middle(fd: &sys::Fd) -> Outcome {
    fails!(ENXIO, sys::lseek(fd, PAGE, SEEK_DATA));
    assert_eq!(sys::lseek(fd, 0, SEEK_HOLE)?, PAGE);
    let mut found = [9; 10];
    assert_eq!(sys::pread(fd, &mut found, MIDDLE)?, 10);
    assert_eq!(found, [0; 10]);
    Ok(())
}

fn data_is_found_behind_terabytes_of_hole(d: &Dir) -> Outcome {
    let fd = sparse(d)?;
    for _ in 0..2 {
        assert_eq!(sys::lseek(&fd, 0, SEEK_DATA)?, 0);
        assert_eq!(sys::lseek(&fd, 0, SEEK_HOLE)?, PAGE);
        assert_eq!(sys::lseek(&fd, PAGE, SEEK_DATA)?, MIDDLE);
        assert_eq!(sys::lseek(&fd, MIDDLE, SEEK_HOLE)?, MIDDLE + PAGE);
        assert_eq!(sys::lseek(&fd, MIDDLE + 5 * PAGE + 1, SEEK_HOLE)?, MIDDLE + 5 * PAGE + 1);
        fails!(ENXIO, sys::lseek(&fd, MIDDLE + PAGE, SEEK_DATA));
        // Again with something that is not durable yet behind it, and in the same two megabytes.
        sys::pwrite(&fd, &[3; PAGE as usize], SIZE - PAGE)?;
        assert_eq!(sys::lseek(&fd, MIDDLE + PAGE, SEEK_DATA)?, SIZE - PAGE);
        sys::ftruncate(&fd, SIZE - PAGE)?;
    }
    Ok(())
}

fn terabytes_of_hole_are_cut_off(d: &Dir) -> Outcome {
    let fd = sparse(d)?;
    sys::ftruncate(&fd, MIDDLE + 2 * PAGE)?;
    assert_eq!(sys::lseek(&fd, PAGE, SEEK_DATA)?, MIDDLE);
    assert_eq!(sys::fstat(&fd)?.st_blocks, 16);
    sys::ftruncate(&fd, MIDDLE)?;
    assert_eq!(sys::fstat(&fd)?.st_blocks, 8);
    sys::ftruncate(&fd, SIZE)?;
    has_no_middle(&fd)?;
    sys::fsync(&fd)?;
    has_no_middle(&fd)
}

fn terabytes_of_hole_are_punched(d: &Dir) -> Outcome {
    let fd = sparse(d)?;
    sys::fallocate(&fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, SIZE - 2 * PAGE)?;
    has_no_middle(&fd)?;
    sys::fsync(&fd)?;
    has_no_middle(&fd)
}

fn holes_read_as_zeros_wherever_they_are(d: &Dir) -> Outcome {
    let fd = sparse(d)?;
    let mut buffer = vec![7; 3 << 20];
    for at in [PAGE, MIDDLE - (3 << 20), MIDDLE + PAGE, SIZE - (4 << 20) + 1] {
        buffer.fill(7);
        assert_eq!(sys::pread(&fd, &mut buffer, at)?, buffer.len());
        assert!(buffer.iter().all(|byte| *byte == 0), "{at:#x}");
    }
    assert_eq!(sys::pread(&fd, &mut buffer, MIDDLE - 100)?, buffer.len());
    let end = 100 + PAGE as usize;
    assert!(buffer[..100] == [0; 100] && buffer[100..end].iter().all(|b| *b == 2) && buffer[end..].iter().all(|b| *b == 0));
    assert_eq!(sys::pread(&fd, &mut buffer, SIZE - 10)?, 10);
    // More places than there could be leaves of a table for.
    for i in 0..40_000 {
        assert_eq!(sys::pread(&fd, &mut buffer[..1], i * (SIZE / 40_000) + PAGE)?, 1);
    }
    Ok(())
}

fn terabytes_of_hole_are_cloned(d: &Dir) -> Outcome {
    let (from, to) = (sparse(d)?, d.open("to", &[5; 3 * PAGE as usize]));
    sys::pwrite(&to, &[6; PAGE as usize], MIDDLE + PAGE)?;
    match sys::ficlone(&to, &from) {
        Err(sys::EOPNOTSUPP) => return skip("no clones here (as on tmpfs)"),
        done => done?,
    }
    assert_eq!(sys::fstat(&to)?.st_size, SIZE);
    assert_eq!(sys::fstat(&to)?.st_blocks, 16);
    assert_eq!(sys::lseek(&to, PAGE, SEEK_DATA)?, MIDDLE);
    assert_eq!(sys::lseek(&to, MIDDLE, SEEK_HOLE)?, MIDDLE + PAGE);
    let mut found = [9; 10];
    assert_eq!(sys::pread(&to, &mut found, MIDDLE)?, 10);
    assert_eq!(found, [2; 10]);
    assert_eq!(sys::pread(&to, &mut found, MIDDLE + PAGE)?, 10);
    assert_eq!(found, [0; 10]);
    Ok(())
}
