//! `read`, `write`, `pread`, `pwrite` at their edges.

use crate::case::{Dir, Outcome, cases, content, fails, pattern, write_all};
use crate::sys;
use libc::{O_RDONLY, O_WRONLY, SEEK_CUR, SEEK_SET};

cases![
    read_returns_what_was_written,
    read_stops_at_the_end,
    read_at_and_beyond_the_end_is_zero,
    zero_length_read_and_write_change_nothing,
    write_moves_the_offset_and_pwrite_does_not,
    overwrite_in_the_middle_keeps_the_rest,
    write_beyond_the_end_leaves_a_hole_of_zeros,
    hole_across_pages_reads_as_zeros,
    negative_offset_is_einval,
    offset_plus_length_overflow_is_refused,
    wrong_access_mode_is_ebadf,
    closed_descriptor_is_ebadf,
    bad_address_is_efault_and_changes_nothing,
    bad_address_beats_nothing_at_the_end_of_file,
    every_size_around_a_page_round_trips,
    unaligned_overwrites_match_a_model,
    one_byte_writes_add_up,
    read_of_more_than_2_gib_is_cut,
    write_then_read_through_another_descriptor_agree,
    another_process_sees_a_write_at_once,
    sync_calls_succeed_and_keep_content,
    advice_is_accepted,
];

fn read_returns_what_was_written(d: &Dir) -> Outcome {
    let bytes = pattern(100_000, 1);
    let path = d.file("f", &bytes);
    assert_eq!(content(path), bytes);
    Ok(())
}

fn read_stops_at_the_end(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abcdef");
    let mut buffer = [b'.'; 10];
    assert_eq!(sys::read(&fd, &mut buffer)?, 6);
    assert_eq!(&buffer, b"abcdef....");
    assert_eq!(sys::pread(&fd, &mut buffer, 4)?, 2);
    assert_eq!(&buffer, b"efcdef....");
    Ok(())
}

fn read_at_and_beyond_the_end_is_zero(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    let mut buffer = [b'.'; 4];
    for offset in [3, 4, 4096, 1 << 40] {
        assert_eq!(sys::pread(&fd, &mut buffer, offset)?, 0);
        sys::lseek(&fd, offset, SEEK_SET)?;
        assert_eq!(sys::read(&fd, &mut buffer)?, 0);
        assert_eq!(sys::lseek(&fd, 0, SEEK_CUR)?, offset);
    }
    assert_eq!(&buffer, b"....");
    Ok(())
}

fn zero_length_read_and_write_change_nothing(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    assert_eq!(sys::read(&fd, &mut [])?, 0);
    assert_eq!(sys::write(&fd, &[])?, 0);
    assert_eq!(sys::pwrite(&fd, &[], 100)?, 0);
    assert_eq!(sys::fstat(&fd)?.st_size, 3);
    assert_eq!(sys::lseek(&fd, 0, SEEK_CUR)?, 0);
    Ok(())
}

fn write_moves_the_offset_and_pwrite_does_not(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    write_all(&fd, b"abc");
    assert_eq!(sys::pwrite(&fd, b"xyz", 10)?, 3);
    assert_eq!(sys::lseek(&fd, 0, SEEK_CUR)?, 3);
    assert_eq!(sys::pread(&fd, &mut [0; 5], 1)?, 5);
    assert_eq!(sys::lseek(&fd, 0, SEEK_CUR)?, 3);
    assert_eq!(content(d.at("f")), b"abc\0\0\0\0\0\0\0xyz");
    Ok(())
}

fn overwrite_in_the_middle_keeps_the_rest(d: &Dir) -> Outcome {
    let mut bytes = pattern(20_000, 2);
    let fd = d.open("f", &bytes);
    sys::pwrite(&fd, &[7; 5000], 6000)?;
    bytes[6000..11_000].fill(7);
    assert_eq!(content(d.at("f")), bytes);
    Ok(())
}

fn write_beyond_the_end_leaves_a_hole_of_zeros(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    sys::lseek(&fd, 10, SEEK_SET)?;
    assert_eq!(sys::fstat(&fd)?.st_size, 3, "lseek alone does not grow");
    write_all(&fd, b"z");
    assert_eq!(content(d.at("f")), b"abc\0\0\0\0\0\0\0z");
    Ok(())
}

fn hole_across_pages_reads_as_zeros(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    sys::pwrite(&fd, b"end", 3 << 20)?;
    let mut buffer = vec![1_u8; 3 << 20];
    assert_eq!(sys::pread(&fd, &mut buffer, 3)?, 3 << 20);
    assert!(buffer[..(3 << 20) - 3].iter().all(|byte| *byte == 0));
    assert_eq!(&buffer[(3 << 20) - 3..], b"end");
    Ok(())
}

fn negative_offset_is_einval(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    for offset in [-1, i64::MIN] {
        fails!(EINVAL, sys::pread(&fd, &mut [0; 1], offset));
        fails!(EINVAL, sys::pwrite(&fd, b"x", offset));
        fails!(EINVAL, sys::preadv(&fd, &mut [&mut [0; 1]], offset));
        fails!(EINVAL, sys::pwritev(&fd, &[b"x"], offset));
    }
    Ok(())
}

fn offset_plus_length_overflow_is_refused(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    let answer = sys::pwrite(&fd, b"abc", i64::MAX).err();
    assert!(
        answer == Some(sys::EINVAL) || answer == Some(sys::EFBIG),
        "{answer:?}"
    );
    let answer = sys::pwrite(&fd, b"abc", i64::MAX - 1).err();
    assert!(
        answer == Some(sys::EINVAL) || answer == Some(sys::EFBIG),
        "{answer:?}"
    );
    assert_eq!(sys::fstat(&fd)?.st_size, 3);
    Ok(())
}

fn wrong_access_mode_is_ebadf(d: &Dir) -> Outcome {
    let path = d.file("f", b"abc");
    let reader = sys::open(&path, O_RDONLY, 0)?;
    let writer = sys::open(&path, O_WRONLY, 0)?;
    fails!(EBADF, sys::write(&reader, b"x"));
    fails!(EBADF, sys::pwrite(&reader, b"x", 0));
    fails!(EBADF, sys::write(&reader, b""));
    fails!(EBADF, sys::read(&writer, &mut [0; 1]));
    fails!(EBADF, sys::pread(&writer, &mut [0; 1], 0));
    fails!(EBADF, sys::read(&writer, &mut []));
    fails!(EINVAL, sys::ftruncate(&reader, 0));
    Ok(())
}

fn closed_descriptor_is_ebadf(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc").leak();
    sys::close(fd)?;
    fails!(EBADF, sys::close(fd));
    fails!(EBADF, sys::read(fd, &mut [0; 1]));
    fails!(EBADF, sys::write(fd, b"x"));
    fails!(EBADF, sys::lseek(fd, 0, SEEK_SET));
    fails!(EBADF, sys::fstat(fd));
    fails!(EBADF, sys::fsync(fd));
    fails!(EBADF, sys::ftruncate(fd, 0));
    fails!(EBADF, sys::dup(fd));
    fails!(EBADF, sys::read(-1, &mut [0; 1]));
    Ok(())
}

fn bad_address_is_efault_and_changes_nothing(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abcdef");
    for address in [0, 1, usize::MAX - 4095] {
        fails!(EFAULT, sys::read_to(&fd, address, 6));
        fails!(EFAULT, sys::pread_to(&fd, address, 6, 0));
        fails!(EFAULT, sys::write_from(&fd, address, 6));
    }
    assert_eq!(sys::lseek(&fd, 0, SEEK_CUR)?, 0);
    assert_eq!(content(d.at("f")), b"abcdef");
    Ok(())
}

fn bad_address_beats_nothing_at_the_end_of_file(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    assert_eq!(
        sys::read_to(&fd, 1, 10)?,
        0,
        "nothing to copy, so nothing faults"
    );
    assert_eq!(sys::read_to(&fd, 1, 0)?, 0);
    assert_eq!(sys::write_from(&fd, 1, 0)?, 0);
    Ok(())
}

fn every_size_around_a_page_round_trips(d: &Dir) -> Outcome {
    let sizes = [
        1,
        63,
        64,
        65,
        4095,
        4096,
        4097,
        8191,
        8192,
        8193,
        65_535,
        65_537,
        (2 << 20) - 1,
        2 << 20,
        (2 << 20) + 1,
    ];
    for (seed, size) in sizes.into_iter().enumerate() {
        let bytes = pattern(size, u8::try_from(seed).expect("few sizes"));
        let fd = d.open("f", &bytes);
        let mut back = vec![0; size + 1];
        assert_eq!(sys::read(&fd, &mut back)?, size);
        assert_eq!(back[..size], bytes, "{size} bytes");
    }
    Ok(())
}

fn unaligned_overwrites_match_a_model(d: &Dir) -> Outcome {
    let mut model = vec![0_u8; 0];
    let fd = d.open("f", b"");
    let mut state = 12_345_u32;
    let mut next = |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % below
    };
    for seed in 0..200_u8 {
        let (offset, length) = (next(60_000) as usize, next(9000) as usize + 1);
        let bytes = pattern(length, seed);
        model.resize(model.len().max(offset + length), 0);
        model[offset..offset + length].copy_from_slice(&bytes);
        assert_eq!(sys::pwrite(&fd, &bytes, offset as i64)?, length);
    }
    assert_eq!(content(d.at("f")), model);
    Ok(())
}

fn one_byte_writes_add_up(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let bytes = pattern(10_000, 9);
    for byte in &bytes {
        assert_eq!(sys::write(&fd, &[*byte])?, 1);
    }
    assert_eq!(content(d.at("f")), bytes);
    Ok(())
}

fn read_of_more_than_2_gib_is_cut(d: &Dir) -> Outcome {
    const MOST: usize = 0x7fff_f000;
    let fd = d.open("f", b"");
    sys::ftruncate(&fd, 3 << 30)?;
    let room = sys::anonymous(3 << 30, libc::MAP_PRIVATE | libc::MAP_NORESERVE)?;
    // Reading holes of 2 GiB for real would cost 2 GiB of memory: read near the end, where the cut shows in no bytes.
    sys::pwrite(&fd, b"tail", (3 << 30) - 4)?;
    assert_eq!(
        sys::pread_to(&fd, room.address(), 3 << 30, (3 << 30) - 4)?,
        4
    );
    assert_eq!(room.get(0, 4), b"tail");
    let (_pipe_out, pipe_in) = sys::pipe(libc::O_NONBLOCK)?;
    assert!(sys::write_from(&pipe_in, room.address(), MOST + 1)? <= MOST);
    Ok(())
}

fn write_then_read_through_another_descriptor_agree(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let other = sys::open(d.at("f"), O_RDONLY, 0)?;
    let mut buffer = [0; 100];
    for round in 0..100_u8 {
        sys::pwrite(&fd, &[round; 100], 0)?;
        sys::pread(&other, &mut buffer, 0)?;
        assert_eq!(buffer, [round; 100]);
    }
    Ok(())
}

fn another_process_sees_a_write_at_once(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    for round in 0..5_u8 {
        let bytes = pattern(50_000, round);
        sys::pwrite(&fd, &bytes, 0)?;
        sys::fork(|| assert!(content(d.at("f")) == bytes)).succeeds();
        let bytes = pattern(50_000, round + 100);
        sys::fork(|| assert_eq!(sys::pwrite(&fd, &bytes, 0), Ok(50_000))).succeeds();
        assert!(content(d.at("f")) == bytes);
    }
    Ok(())
}

fn sync_calls_succeed_and_keep_content(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    sys::fsync(&fd)?;
    sys::pwrite(&fd, b"XYZ", 2)?;
    sys::fdatasync(&fd)?;
    let reader = sys::open(d.at("f"), O_RDONLY, 0)?;
    sys::fsync(&reader)?;
    assert_eq!(content(d.at("f")), b"abXYZ");
    let (out, _in) = sys::pipe(0)?;
    fails!(EINVAL, sys::fsync(&out));
    Ok(())
}

fn advice_is_accepted(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    for advice in [
        libc::POSIX_FADV_SEQUENTIAL,
        libc::POSIX_FADV_WILLNEED,
        libc::POSIX_FADV_DONTNEED,
    ] {
        sys::posix_fadvise(&fd, 0, 0, advice)?;
    }
    fails!(EINVAL, sys::posix_fadvise(&fd, 0, 0, 99));
    assert_eq!(content(d.at("f")), b"abc");
    Ok(())
}
