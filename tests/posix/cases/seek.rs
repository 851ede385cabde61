//! `lseek`, also over holes.

use crate::case::{Dir, Outcome, cases, fails, skip};
use crate::sys;
use libc::{SEEK_CUR, SEEK_DATA, SEEK_END, SEEK_HOLE, SEEK_SET};

cases![
    a_directory_has_no_end,
    set_cur_and_end_move_the_offset,
    seeking_before_the_start_is_einval_and_stays,
    seeking_past_the_end_is_allowed,
    unknown_whence_is_einval,
    overflow_is_eoverflow_or_einval,
    pipe_is_espipe,
    dense_file_is_data_up_to_its_end,
    data_and_hole_beyond_the_end_are_enxio,
    holes_are_found_where_nothing_was_written,
    fully_sparse_file_has_no_data,
    seeking_beyond_all_offsets_is_einval,
];

fn set_cur_and_end_move_the_offset(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abcdef");
    assert_eq!(sys::lseek(&fd, 2, SEEK_SET)?, 2);
    assert_eq!(sys::lseek(&fd, 3, SEEK_CUR)?, 5);
    assert_eq!(sys::lseek(&fd, -1, SEEK_CUR)?, 4);
    assert_eq!(sys::lseek(&fd, -2, SEEK_END)?, 4);
    assert_eq!(sys::lseek(&fd, 0, SEEK_END)?, 6);
    Ok(())
}

fn seeking_before_the_start_is_einval_and_stays(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abcdef");
    sys::lseek(&fd, 2, SEEK_SET)?;
    fails!(EINVAL, sys::lseek(&fd, -1, SEEK_SET));
    fails!(EINVAL, sys::lseek(&fd, -3, SEEK_CUR));
    fails!(EINVAL, sys::lseek(&fd, -7, SEEK_END));
    assert_eq!(sys::lseek(&fd, 0, SEEK_CUR)?, 2);
    Ok(())
}

fn seeking_past_the_end_is_allowed(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    assert_eq!(sys::lseek(&fd, 100, SEEK_END)?, 103);
    assert_eq!(sys::fstat(&fd)?.st_size, 3);
    Ok(())
}

fn unknown_whence_is_einval(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    fails!(EINVAL, sys::lseek(&fd, 0, 99));
    fails!(EINVAL, sys::lseek(&fd, 0, -1));
    Ok(())
}

fn overflow_is_eoverflow_or_einval(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    sys::lseek(&fd, 10, SEEK_SET)?;
    for whence in [SEEK_CUR, SEEK_END] {
        let answer = sys::lseek(&fd, i64::MAX, whence).err();
        // The kernel's generic code adds, sees a negative number and says EINVAL; the manual says EOVERFLOW.
        assert!(
            answer == Some(sys::EOVERFLOW) || answer == Some(sys::EINVAL),
            "{answer:?}"
        );
    }
    assert_eq!(sys::lseek(&fd, 0, SEEK_CUR)?, 10);
    Ok(())
}

fn pipe_is_espipe(_: &Dir) -> Outcome {
    let (out, _in) = sys::pipe(0)?;
    fails!(ESPIPE, sys::lseek(&out, 0, SEEK_CUR));
    Ok(())
}

fn dense_file_is_data_up_to_its_end(d: &Dir) -> Outcome {
    let fd = d.open("f", &[1; 10_000]);
    assert_eq!(sys::lseek(&fd, 0, SEEK_DATA)?, 0);
    assert_eq!(sys::lseek(&fd, 5000, SEEK_DATA)?, 5000);
    assert_eq!(
        sys::lseek(&fd, 0, SEEK_HOLE)?,
        10_000,
        "the end counts as a hole"
    );
    Ok(())
}

fn data_and_hole_beyond_the_end_are_enxio(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    for offset in [3, 4, 1 << 30] {
        fails!(ENXIO, sys::lseek(&fd, offset, SEEK_DATA));
        fails!(ENXIO, sys::lseek(&fd, offset, SEEK_HOLE));
    }
    fails!(ENXIO, sys::lseek(&fd, -1, SEEK_DATA));
    Ok(())
}

fn holes_are_found_where_nothing_was_written(d: &Dir) -> Outcome {
    const FAR: i64 = 8 << 20;
    let fd = d.open("f", &[1; 4096]);
    sys::pwrite(&fd, &[2; 4096], FAR)?;
    let hole = sys::lseek(&fd, 0, SEEK_HOLE)?;
    if hole > FAR {
        return skip("this file system does not report holes");
    }
    assert!((4096..=2 << 20).contains(&hole), "{hole}");
    let data = sys::lseek(&fd, hole, SEEK_DATA)?;
    assert!((6 << 20..=FAR).contains(&data), "{data}");
    assert_eq!(sys::lseek(&fd, FAR, SEEK_HOLE)?, FAR + 4096);
    Ok(())
}

fn fully_sparse_file_has_no_data(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    sys::ftruncate(&fd, 1 << 20)?;
    fails!(ENXIO, sys::lseek(&fd, 0, SEEK_DATA));
    assert_eq!(sys::lseek(&fd, 0, SEEK_HOLE)?, 0);
    assert_eq!(sys::lseek(&fd, 1000, SEEK_HOLE)?, 1000);
    Ok(())
}

fn seeking_beyond_all_offsets_is_einval(d: &Dir) -> Outcome {
    let fd = d.open("f", b"bytes");
    fails!(EINVAL, sys::lseek(&fd, i64::MAX, libc::SEEK_END));
    fails!(EINVAL, sys::lseek(&fd, -6, libc::SEEK_END));
    fails!(EINVAL, sys::lseek(&fd, 0, 99));
    Ok(())
}

fn a_directory_has_no_end(d: &Dir) -> Outcome {
    let dir = sys::open(d.path(), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    for whence in [libc::SEEK_END, libc::SEEK_DATA, libc::SEEK_HOLE] {
        fails!(EINVAL, sys::lseek(&dir, 0, whence));
    }
    assert_eq!(sys::lseek(&dir, 0, libc::SEEK_CUR)?, 0);
    assert_eq!(sys::lseek(&dir, 0, libc::SEEK_SET)?, 0);
    Ok(())
}
