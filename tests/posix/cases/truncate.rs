//! `ftruncate` and `truncate`.

use crate::case::{Dir, Outcome, cases, content, fails, pattern};
use crate::sys;

cases![
    shrinking_cuts_and_growing_adds_zeros,
    tail_of_the_last_page_is_zero_after_shrink_and_grow,
    shrink_and_grow_over_many_pages_matches_a_model,
    offset_stays_where_it_was,
    growing_allocates_no_blocks,
    shrinking_to_zero_frees_the_blocks,
    negative_size_is_einval,
    too_large_size_is_efbig_or_einval,
    directory_is_eisdir,
    missing_file_is_enoent,
    truncation_is_seen_through_every_descriptor,
    truncate_follows_symlinks,
    reader_in_another_process_meets_the_new_end,
];

fn shrinking_cuts_and_growing_adds_zeros(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abcdef");
    sys::ftruncate(&fd, 3)?;
    assert_eq!(content(d.at("f")), b"abc");
    sys::ftruncate(&fd, 5)?;
    assert_eq!(content(d.at("f")), b"abc\0\0");
    sys::truncate(d.at("f"), 1)?;
    assert_eq!(content(d.at("f")), b"a");
    Ok(())
}

fn tail_of_the_last_page_is_zero_after_shrink_and_grow(d: &Dir) -> Outcome {
    for cut in [
        1,
        100,
        4095,
        4096,
        4097,
        (2 << 20) - 1,
        2 << 20,
        (2 << 20) + 5,
    ] {
        let size = 3 << 20;
        let fd = d.open("f", &vec![0xff; size]);
        sys::ftruncate(&fd, cut as i64)?;
        sys::ftruncate(&fd, size as i64)?;
        let bytes = content(d.at("f"));
        assert!(bytes[..cut].iter().all(|byte| *byte == 0xff), "{cut}");
        assert!(bytes[cut..].iter().all(|byte| *byte == 0), "{cut}");
        assert_eq!(bytes.len(), size);
    }
    Ok(())
}

fn shrink_and_grow_over_many_pages_matches_a_model(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let mut model = Vec::new();
    let mut state = 99_u32;
    for seed in 0..150_u8 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let size = (state >> 8) as usize % 50_000;
        if seed % 3 == 0 {
            let bytes = pattern(5000, seed);
            sys::pwrite(&fd, &bytes, size as i64)?;
            model.resize(model.len().max(size + 5000), 0);
            model[size..size + 5000].copy_from_slice(&bytes);
        } else {
            sys::ftruncate(&fd, size as i64)?;
            model.resize(size, 0);
        }
        assert!(content(d.at("f")) == model, "step {seed}");
    }
    Ok(())
}

fn offset_stays_where_it_was(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abcdef");
    sys::lseek(&fd, 5, libc::SEEK_SET)?;
    sys::ftruncate(&fd, 2)?;
    assert_eq!(sys::lseek(&fd, 0, libc::SEEK_CUR)?, 5);
    assert_eq!(sys::write(&fd, b"z")?, 1);
    assert_eq!(content(d.at("f")), b"ab\0\0\0z");
    Ok(())
}

fn growing_allocates_no_blocks(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    sys::ftruncate(&fd, 1 << 30)?;
    let stat = sys::fstat(&fd)?;
    assert_eq!(stat.st_size, 1 << 30);
    assert!(stat.st_blocks <= 16, "{}", stat.st_blocks);
    Ok(())
}

fn shrinking_to_zero_frees_the_blocks(d: &Dir) -> Outcome {
    let fd = d.open("f", &[1; 100_000]);
    sys::fsync(&fd)?;
    assert!(sys::fstat(&fd)?.st_blocks >= 100_000 / 512);
    sys::ftruncate(&fd, 0)?;
    assert_eq!(sys::fstat(&fd)?.st_blocks, 0);
    Ok(())
}

fn negative_size_is_einval(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    fails!(EINVAL, sys::ftruncate(&fd, -1));
    fails!(EINVAL, sys::truncate(d.at("f"), -1));
    Ok(())
}

fn too_large_size_is_efbig_or_einval(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    match sys::ftruncate(&fd, i64::MAX) {
        // tmpfs has no limit below the type's.
        Ok(()) => assert_eq!(sys::fstat(&fd)?.st_size, i64::MAX),
        Err(errno) => assert!(errno == sys::EFBIG || errno == sys::EINVAL, "{errno:?}"),
    }
    Ok(())
}

fn directory_is_eisdir(d: &Dir) -> Outcome {
    fails!(EISDIR, sys::truncate(d.path(), 0));
    let fd = sys::open(d.path(), libc::O_RDONLY, 0)?;
    fails!(EINVAL, sys::ftruncate(&fd, 0));
    Ok(())
}

fn missing_file_is_enoent(d: &Dir) -> Outcome {
    fails!(ENOENT, sys::truncate(d.at("no"), 0));
    d.file("f", b"");
    fails!(ENOTDIR, sys::truncate(d.at("f/x"), 0));
    Ok(())
}

fn truncation_is_seen_through_every_descriptor(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abcdef");
    let other = sys::open(d.at("f"), libc::O_RDONLY, 0)?;
    assert_eq!(sys::pread(&other, &mut [0; 6], 0)?, 6);
    sys::ftruncate(&fd, 2)?;
    assert_eq!(sys::pread(&other, &mut [0; 6], 0)?, 2);
    assert_eq!(sys::fstat(&other)?.st_size, 2);
    Ok(())
}

fn truncate_follows_symlinks(d: &Dir) -> Outcome {
    d.file("f", b"abcdef");
    sys::symlink("f", d.at("l"))?;
    sys::truncate(d.at("l"), 3)?;
    assert_eq!(content(d.at("f")), b"abc");
    Ok(())
}

fn reader_in_another_process_meets_the_new_end(d: &Dir) -> Outcome {
    let fd = d.open("f", &[7; 10_000]);
    sys::fork(|| sys::truncate(d.at("f"), 100).expect("truncate")).succeeds();
    let mut buffer = [1; 200];
    assert_eq!(sys::pread(&fd, &mut buffer, 0)?, 100);
    sys::fork(|| sys::truncate(d.at("f"), 200).expect("truncate")).succeeds();
    assert_eq!(sys::pread(&fd, &mut buffer, 0)?, 200);
    assert_eq!(buffer[100..], [0; 100]);
    Ok(())
}
