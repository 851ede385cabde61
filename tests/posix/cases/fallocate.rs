//! `fallocate` and `posix_fallocate`.

use crate::case::{Dir, Outcome, cases, content, fails, skip};
use crate::sys;
use libc::{
    FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE,
};

cases![
    plain_mode_grows_with_zeros,
    plain_mode_keeps_content,
    keep_size_keeps_the_size,
    posix_fallocate_grows,
    punched_hole_reads_as_zeros_and_keeps_the_size,
    punching_within_a_page_zeroes_just_that,
    punching_beyond_the_end_changes_nothing,
    punching_frees_blocks,
    a_mapped_file_gets_its_space_too,
    punching_without_keep_size_is_refused,
    zero_range_zeroes_where_it_is_supported,
    collapse_range_cuts_out_or_is_refused,
    bad_ranges_are_einval,
    read_only_descriptor_is_ebadf,
    directory_and_pipe_are_refused,
    older_ioctls_do_the_same,
    modes_that_mean_nothing_come_before_the_file,
];

fn plain_mode_grows_with_zeros(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    sys::fallocate(&fd, 0, 1, 9)?;
    assert_eq!(content(d.at("f")), b"abc\0\0\0\0\0\0\0");
    Ok(())
}

fn plain_mode_keeps_content(d: &Dir) -> Outcome {
    let fd = d.open("f", &[7; 20_000]);
    sys::fallocate(&fd, 0, 0, 10_000)?;
    assert!(content(d.at("f")) == [7; 20_000]);
    Ok(())
}

fn keep_size_keeps_the_size(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    sys::fallocate(&fd, FALLOC_FL_KEEP_SIZE, 0, 1 << 20)?;
    assert_eq!(content(d.at("f")), b"abc");
    sys::ftruncate(&fd, 5)?;
    assert_eq!(content(d.at("f")), b"abc\0\0");
    Ok(())
}

fn posix_fallocate_grows(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    sys::posix_fallocate(&fd, 0, 5000)?;
    assert_eq!(sys::fstat(&fd)?.st_size, 5000);
    sys::posix_fallocate(&fd, 0, 10)?;
    assert_eq!(sys::fstat(&fd)?.st_size, 5000);
    fails!(EINVAL, sys::posix_fallocate(&fd, 0, 0));
    fails!(EBADF, sys::posix_fallocate(-1, 0, 1));
    Ok(())
}

const PUNCH: i32 = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

fn punched_hole_reads_as_zeros_and_keeps_the_size(d: &Dir) -> Outcome {
    let fd = d.open("f", &[7; 50_000]);
    sys::fallocate(&fd, PUNCH, 5000, 30_000)?;
    let bytes = content(d.at("f"));
    assert_eq!(bytes.len(), 50_000);
    assert!(bytes[5000..35_000].iter().all(|byte| *byte == 0));
    assert!(
        bytes[..5000]
            .iter()
            .chain(&bytes[35_000..])
            .all(|byte| *byte == 7)
    );
    Ok(())
}

fn punching_within_a_page_zeroes_just_that(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abcdefgh");
    sys::fallocate(&fd, PUNCH, 2, 3)?;
    assert_eq!(content(d.at("f")), b"ab\0\0\0fgh");
    Ok(())
}

fn punching_beyond_the_end_changes_nothing(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    sys::fallocate(&fd, PUNCH, 10_000, 10_000)?;
    sys::fallocate(&fd, PUNCH, 2, 10_000)?;
    assert_eq!(content(d.at("f")), b"ab\0");
    Ok(())
}

fn punching_frees_blocks(d: &Dir) -> Outcome {
    let fd = d.open("f", &vec![7; 8 << 20]);
    sys::fsync(&fd)?;
    let before = sys::fstat(&fd)?.st_blocks;
    sys::fallocate(&fd, PUNCH, 2 << 20, 4 << 20)?;
    let after = sys::fstat(&fd)?.st_blocks;
    assert!(after <= before - (4 << 20) / 512, "{before} {after}");
    assert_eq!(sys::lseek(&fd, 0, libc::SEEK_HOLE)?, 2 << 20);
    assert_eq!(sys::lseek(&fd, 2 << 20, libc::SEEK_DATA)?, 6 << 20);
    Ok(())
}

fn a_mapped_file_gets_its_space_too(d: &Dir) -> Outcome {
    let fd = d.open("f", &[7; 4096]);
    let map = sys::mmap(&fd, 1 << 20, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, 0)?;
    sys::fallocate(&fd, 0, 0, 1 << 20)?;
    assert_eq!(sys::fstat(&fd)?.st_blocks, (1 << 20) / 512);
    assert!(map.get(4096, (1 << 20) - 4096) == vec![0; (1 << 20) - 4096]);
    map.put(4096, &[8; 8192]);
    sys::pwrite(&fd, &[9; 4096], 8192)?;
    let bytes = content(d.at("f"));
    assert!(bytes[..4096] == [7; 4096] && bytes[4096..8192] == [8; 4096] && bytes[8192..12_288] == [9; 4096]);
    assert!(bytes[12_288..].iter().all(|byte| *byte == 0));
    Ok(())
}

fn punching_without_keep_size_is_refused(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    fails!(EOPNOTSUPP, sys::fallocate(&fd, FALLOC_FL_PUNCH_HOLE, 0, 1));
    Ok(())
}

fn zero_range_zeroes_where_it_is_supported(d: &Dir) -> Outcome {
    let fd = d.open("f", &[7; 20_000]);
    match sys::fallocate(&fd, FALLOC_FL_ZERO_RANGE, 100, 25_000) {
        Err(sys::EOPNOTSUPP) => return skip("no zero range here (as on tmpfs)"),
        done => done?,
    }
    let bytes = content(d.at("f"));
    assert_eq!(bytes.len(), 25_100);
    assert!(bytes[..100].iter().all(|byte| *byte == 7));
    assert!(bytes[100..].iter().all(|byte| *byte == 0));
    Ok(())
}

fn collapse_range_cuts_out_or_is_refused(d: &Dir) -> Outcome {
    let mut bytes = vec![1; 4096];
    bytes.extend([2; 4096]);
    bytes.extend([3; 4096]);
    let fd = d.open("f", &bytes);
    match sys::fallocate(&fd, FALLOC_FL_COLLAPSE_RANGE, 4096, 4096) {
        Err(sys::EOPNOTSUPP) => assert!(content(d.at("f")) == bytes),
        done => {
            done?;
            bytes.drain(4096..8192);
            assert!(content(d.at("f")) == bytes);
        }
    }
    Ok(())
}

fn bad_ranges_are_einval(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    for (offset, length) in [(0, 0), (0, -1), (-1, 10)] {
        fails!(EINVAL, sys::fallocate(&fd, 0, offset, length));
    }
    fails!(EFBIG, sys::fallocate(&fd, 0, i64::MAX - 10, 100));
    fails!(EOPNOTSUPP, sys::fallocate(&fd, 0x4000, 0, 1));
    Ok(())
}

fn read_only_descriptor_is_ebadf(d: &Dir) -> Outcome {
    let path = d.file("f", b"abc");
    let fd = sys::open(path, libc::O_RDONLY, 0)?;
    fails!(EBADF, sys::fallocate(&fd, 0, 0, 10));
    fails!(EBADF, sys::fallocate(-1, 0, 0, 10));
    Ok(())
}

fn directory_and_pipe_are_refused(d: &Dir) -> Outcome {
    let (_out, into) = sys::pipe(0)?;
    fails!(ESPIPE, sys::fallocate(&into, 0, 0, 10));
    let dir = sys::open(d.path(), libc::O_RDONLY, 0)?;
    fails!(EBADF, sys::fallocate(&dir, 0, 0, 10));
    Ok(())
}

fn older_ioctls_do_the_same(d: &Dir) -> Outcome {
    const RESVSP64: u64 = 0x4030_582a;
    const UNRESVSP64: u64 = 0x4030_582b;
    let fd = d.open("f", &[7; 20_000]);
    sys::allocate_by(&fd, UNRESVSP64, libc::SEEK_SET, 4096..8192)?;
    let mut expected = vec![7; 20_000];
    expected[4096..8192].fill(0);
    assert!(content(d.at("f")) == expected);
    let before = sys::fstat(&fd)?;
    sys::allocate_by(&fd, RESVSP64, libc::SEEK_END, 1 << 20..2 << 20)?;
    let after = sys::fstat(&fd)?;
    assert_eq!(after.st_size, 20_000);
    assert!(after.st_blocks >= before.st_blocks + (1 << 20) / 512);
    fails!(EINVAL, sys::allocate_by(&fd, RESVSP64, 9, 0..1));
    fails!(EINVAL, sys::allocate_by(&fd, RESVSP64, libc::SEEK_SET, 0..0));
    let reader = sys::open(d.at("f"), libc::O_RDONLY, 0)?;
    fails!(EBADF, sys::allocate_by(&reader, RESVSP64, libc::SEEK_SET, 0..1));
    Ok(())
}

fn modes_that_mean_nothing_come_before_the_file(d: &Dir) -> Outcome {
    d.file("f", b"abc");
    let (keep, punch, zero) = (FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE);
    for flags in [libc::O_RDONLY, libc::O_RDWR] {
        let fd = sys::open(d.at("f"), flags, 0)?;
        for mode in [punch, keep | FALLOC_FL_COLLAPSE_RANGE, keep | punch | zero, 0x4000_0000] {
            fails!(EOPNOTSUPP, sys::fallocate(&fd, mode, i64::MAX, 1));
            fails!(EINVAL, sys::fallocate(&fd, mode, 0, 0));
        }
    }
    fails!(EOPNOTSUPP, sys::fallocate(&sys::open(d.path(), libc::O_RDONLY, 0)?, punch, 0, 1));
    fails!(EBADF, sys::fallocate(&sys::open(d.at("f"), libc::O_RDONLY, 0)?, keep | punch, i64::MAX, 1));
    fails!(EFBIG, sys::fallocate(&sys::open(d.at("f"), libc::O_RDWR, 0)?, keep | punch, i64::MAX, 1));
    Ok(())
}
