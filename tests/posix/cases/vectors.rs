//! `readv`, `writev` and their positioned forms.

use crate::case::{Dir, Outcome, cases, content, fails, skip};
use crate::sys;

cases![
    writev_gathers_in_order,
    readv_scatters_in_order,
    readv_fills_buffers_one_after_the_other,
    preadv_and_pwritev_keep_the_offset,
    empty_parts_are_skipped,
    no_parts_is_zero,
    more_than_iov_max_parts_is_einval,
    total_length_overflow_is_einval,
    bad_address_after_a_good_part_is_a_short_transfer,
    preadv2_with_offset_minus_one_uses_the_offset,
    pwritev2_with_rwf_append_appends,
    pwritev2_with_rwf_append_moves_the_offset,
    pwritev2_with_rwf_noappend_writes_where_it_is_told,
    preadv2_with_unknown_flag_is_refused,
    preadv2_ignores_what_is_about_writing,
];

fn writev_gathers_in_order(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    assert_eq!(sys::writev(&fd, &[b"ab", b"", b"cde", b"f"])?, 6);
    assert_eq!(content(d.at("f")), b"abcdef");
    assert_eq!(sys::lseek(&fd, 0, libc::SEEK_CUR)?, 6);
    Ok(())
}

fn readv_scatters_in_order(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abcdef");
    let (mut one, mut two) = ([0; 2], [0; 4]);
    assert_eq!(sys::readv(&fd, &mut [&mut one, &mut two])?, 6);
    assert_eq!((&one, &two), (b"ab", b"cdef"));
    Ok(())
}

fn readv_fills_buffers_one_after_the_other(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    let (mut one, mut two, mut three) = ([b'.'; 2], [b'.'; 2], [b'.'; 2]);
    assert_eq!(sys::readv(&fd, &mut [&mut one, &mut two, &mut three])?, 3);
    assert_eq!((&one, &two, &three), (b"ab", b"c.", b".."));
    Ok(())
}

fn preadv_and_pwritev_keep_the_offset(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abcdef");
    assert_eq!(sys::pwritev(&fd, &[b"X", b"Y"], 2)?, 2);
    let (mut one, mut two) = ([0; 1], [0; 3]);
    assert_eq!(sys::preadv(&fd, &mut [&mut one, &mut two], 1)?, 4);
    assert_eq!((&one, &two), (b"b", b"XYe"));
    assert_eq!(sys::lseek(&fd, 0, libc::SEEK_CUR)?, 0);
    Ok(())
}

fn empty_parts_are_skipped(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    let mut one = [0; 3];
    assert_eq!(sys::readv(&fd, &mut [&mut [], &mut one, &mut []])?, 3);
    assert_eq!(&one, b"abc");
    Ok(())
}

fn no_parts_is_zero(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    assert_eq!(sys::readv(&fd, &mut [])?, 0);
    assert_eq!(sys::writev(&fd, &[])?, 0);
    Ok(())
}

fn more_than_iov_max_parts_is_einval(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let parts = vec![b"x".as_slice(); 1025];
    fails!(EINVAL, sys::writev(&fd, &parts));
    assert_eq!(sys::writev(&fd, &parts[..1024])?, 1024);
    assert_eq!(sys::fstat(&fd)?.st_size, 1024);
    Ok(())
}

fn total_length_overflow_is_einval(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    let byte = [0_u8; 1];
    let at = byte.as_ptr().expose_provenance();
    fails!(EINVAL, sys::writev_from(&fd, &[(at, 1), (at, usize::MAX)]));
    fails!(EINVAL, sys::readv_to(&fd, &[(at, usize::MAX)]));
    Ok(())
}

fn bad_address_after_a_good_part_is_a_short_transfer(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abcdef");
    let mut good = [0_u8; 2];
    let parts = [(good.as_mut_ptr().expose_provenance(), 2), (1, 4)];
    assert_eq!(sys::readv_to(&fd, &parts)?, 2);
    assert_eq!(&good, b"ab");
    assert_eq!(sys::lseek(&fd, 0, libc::SEEK_CUR)?, 2);
    fails!(EFAULT, sys::readv_to(&fd, &[(1, 4)]));
    Ok(())
}

fn preadv2_with_offset_minus_one_uses_the_offset(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abcdef");
    let mut part = [0; 2];
    assert_eq!(sys::preadv2(&fd, &mut [&mut part], -1, 0)?, 2);
    assert_eq!(sys::lseek(&fd, 0, libc::SEEK_CUR)?, 2);
    assert_eq!(sys::preadv2(&fd, &mut [&mut part], 4, 0)?, 2);
    assert_eq!(&part, b"ef");
    assert_eq!(sys::pwritev2(&fd, &[b"XY"], -1, libc::RWF_SYNC)?, 2);
    assert_eq!(content(d.at("f")), b"abXYef");
    Ok(())
}

fn pwritev2_with_rwf_append_appends(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    assert_eq!(sys::pwritev2(&fd, &[b"de"], 0, libc::RWF_APPEND)?, 2);
    assert_eq!(content(d.at("f")), b"abcde");
    Ok(())
}

fn pwritev2_with_rwf_append_moves_the_offset(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    assert_eq!(sys::pwritev2(&fd, &[b"de"], -1, libc::RWF_APPEND)?, 2);
    assert_eq!(sys::lseek(&fd, 0, libc::SEEK_CUR)?, 5);
    assert_eq!(sys::fcntl(&fd, libc::F_GETFL, 0)? & libc::O_APPEND, 0);
    Ok(())
}

fn pwritev2_with_rwf_noappend_writes_where_it_is_told(d: &Dir) -> Outcome {
    const RWF_NOAPPEND: i32 = 0x20;
    d.file("f", b"abcdef");
    let fd = sys::open(d.at("f"), libc::O_RDWR | libc::O_APPEND, 0)?;
    match sys::pwritev2(&fd, &[b"XY"], 1, RWF_NOAPPEND) {
        Err(sys::EOPNOTSUPP) => return skip("a kernel before 6.9"),
        written => assert_eq!(written?, 2),
    }
    assert_eq!(content(d.at("f")), b"aXYdef");
    fails!(EINVAL, sys::pwritev2(&fd, &[b"XY"], 1, RWF_NOAPPEND | libc::RWF_APPEND));
    fails!(EINVAL, sys::preadv2(&fd, &mut [&mut [0; 2]], 1, RWF_NOAPPEND | libc::RWF_APPEND));
    assert_eq!(sys::preadv2(&fd, &mut [&mut [0; 2]], 1, RWF_NOAPPEND)?, 2);
    assert_eq!(sys::pwrite(&fd, b"g", 0)?, 1);
    assert_eq!(content(d.at("f")), b"aXYdefg");
    Ok(())
}

fn preadv2_with_unknown_flag_is_refused(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    fails!(
        EOPNOTSUPP,
        sys::preadv2(&fd, &mut [&mut [0; 1]], 0, 0x4000_0000)
    );
    Ok(())
}

fn preadv2_ignores_what_is_about_writing(d: &Dir) -> Outcome {
    let file = d.open("f", b"bytes");
    for flags in [libc::RWF_DSYNC, libc::RWF_SYNC, libc::RWF_HIPRI] {
        let mut buffer = [0; 5];
        assert_eq!(sys::preadv2(&file, &mut [&mut buffer[..]], 0, flags)?, 5, "{flags:#x}");
    }
    Ok(())
}
