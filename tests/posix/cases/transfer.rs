//! Moving bytes between descriptors inside the kernel: sendfile, copy_file_range, splice, clones.

use crate::case::{Dir, Outcome, cases, content, fails, pattern, skip};
use crate::sys;

cases![
    copy_file_range_beyond_all_offsets_is_eoverflow,
    sendfile_to_a_file_uses_both_offsets,
    sendfile_with_an_offset_keeps_the_sources,
    sendfile_to_a_pipe_and_a_socket,
    sendfile_to_what_appends_is_einval,
    sendfile_at_the_end_is_zero,
    copy_file_range_copies_and_moves_offsets,
    copy_file_range_with_offsets_keeps_them,
    copy_file_range_grows_the_target,
    copy_file_range_stops_at_the_end,
    copy_file_range_within_a_file,
    copy_file_range_errors,
    copy_file_range_within_a_file_may_not_meet_itself,
    copies_are_independent,
    copy_across_the_border,
    copy_file_range_across_the_border,
    splice_from_file_to_pipe_and_back,
    ficlone_shares_and_separates,
    std_copy_copies,
    splice_leaves_in_the_pipe_what_the_limit_forbids,
    splice_refuses_unknown_flags,
    sendfile_within_a_file,
    what_a_copy_does_not_write_is_still_to_be_read,
    what_was_read_goes_to_a_pipe_that_holds_less,
    a_pipe_that_does_not_block_takes_what_it_holds_of_what_was_read,
    a_pipe_whose_reader_goes_ends_a_write_of_what_was_read,
];

fn sendfile_to_a_file_uses_both_offsets(d: &Dir) -> Outcome {
    let bytes = pattern(50_000, 1);
    let (from, to) = (d.open("from", &bytes), d.open("to", b"start"));
    sys::lseek(&from, 100, libc::SEEK_SET)?;
    sys::lseek(&to, 5, libc::SEEK_SET)?;
    assert_eq!(sys::sendfile(&to, &from, &mut None, 40_000)?, 40_000);
    assert_eq!(sys::lseek(&from, 0, libc::SEEK_CUR)?, 40_100);
    assert_eq!(sys::lseek(&to, 0, libc::SEEK_CUR)?, 40_005);
    let all = content(d.at("to"));
    assert!(all[..5] == *b"start" && all[5..] == bytes[100..40_100]);
    Ok(())
}

fn sendfile_with_an_offset_keeps_the_sources(d: &Dir) -> Outcome {
    let (from, to) = (d.open("from", b"abcdef"), d.open("to", b""));
    let mut offset = Some(2);
    assert_eq!(sys::sendfile(&to, &from, &mut offset, 3)?, 3);
    assert_eq!(offset, Some(5));
    assert_eq!(sys::lseek(&from, 0, libc::SEEK_CUR)?, 0);
    assert_eq!(content(d.at("to")), b"cde");
    fails!(EINVAL, sys::sendfile(&to, &from, &mut Some(-1), 3));
    Ok(())
}

fn sendfile_to_what_appends_is_einval(d: &Dir) -> Outcome {
    let from = d.open("from", b"abc");
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND;
    for path in [d.at("here"), d.outside().join("there")] {
        let to = sys::open(&path, flags, 0o644)?;
        fails!(EINVAL, sys::sendfile(&to, &from, &mut None, 3));
        assert_eq!(content(&path), b"");
    }
    let null = sys::open("/dev/null", libc::O_WRONLY, 0)?;
    fails!(EINVAL, sys::sendfile(&null, &from, &mut None, usize::MAX));
    Ok(())
}

fn sendfile_to_a_pipe_and_a_socket(d: &Dir) -> Outcome {
    let bytes = pattern(20_000, 2);
    let from = d.open("from", &bytes);
    let (out, into) = sys::pipe(0)?;
    let (here, there) = sys::socketpair()?;
    for (source, target) in [(&out, &into), (&there, &here)] {
        assert_eq!(sys::sendfile(target, &from, &mut Some(0), 20_000)?, 20_000);
        let mut back = vec![0; 20_000];
        let mut filled = 0;
        while filled < back.len() {
            filled += sys::read(source, &mut back[filled..])?;
        }
        assert!(back == bytes);
    }
    Ok(())
}

fn sendfile_at_the_end_is_zero(d: &Dir) -> Outcome {
    let (from, to) = (d.open("from", b"abc"), d.open("to", b""));
    assert_eq!(sys::sendfile(&to, &from, &mut Some(3), 10)?, 0);
    assert_eq!(sys::sendfile(&to, &from, &mut Some(1), 10)?, 2);
    fails!(EBADF, sys::sendfile(&to, -1, &mut None, 1));
    let reader = sys::open(d.at("to"), libc::O_RDONLY, 0)?;
    fails!(EBADF, sys::sendfile(&reader, &from, &mut None, 1));
    Ok(())
}

fn copy_file_range_copies_and_moves_offsets(d: &Dir) -> Outcome {
    let bytes = pattern(5 << 20, 3);
    let (from, to) = (d.open("from", &bytes), d.open("to", b""));
    let mut copied = 0;
    while copied < bytes.len() {
        copied += sys::copy_file_range(&from, &mut None, &to, &mut None, bytes.len() - copied)?;
    }
    assert!(content(d.at("to")) == bytes);
    assert_eq!(sys::lseek(&from, 0, libc::SEEK_CUR)?, 5 << 20);
    assert_eq!(sys::lseek(&to, 0, libc::SEEK_CUR)?, 5 << 20);
    Ok(())
}

fn copy_file_range_with_offsets_keeps_them(d: &Dir) -> Outcome {
    let (from, to) = (d.open("from", b"abcdef"), d.open("to", b"0123456789"));
    let (mut source, mut target) = (Some(1), Some(4));
    assert_eq!(
        sys::copy_file_range(&from, &mut source, &to, &mut target, 3)?,
        3
    );
    assert_eq!((source, target), (Some(4), Some(7)));
    assert_eq!(
        sys::lseek(&from, 0, libc::SEEK_CUR)? + sys::lseek(&to, 0, libc::SEEK_CUR)?,
        0
    );
    assert_eq!(content(d.at("to")), b"0123bcd789");
    Ok(())
}

fn copy_file_range_grows_the_target(d: &Dir) -> Outcome {
    let (from, to) = (d.open("from", b"abc"), d.open("to", b""));
    assert_eq!(
        sys::copy_file_range(&from, &mut Some(0), &to, &mut Some(10_000), 3)?,
        3
    );
    let all = content(d.at("to"));
    assert!(all.len() == 10_003 && all[..10_000].iter().all(|byte| *byte == 0));
    assert_eq!(all[10_000..], *b"abc");
    Ok(())
}

fn copy_file_range_stops_at_the_end(d: &Dir) -> Outcome {
    let (from, to) = (d.open("from", b"abc"), d.open("to", b""));
    assert_eq!(
        sys::copy_file_range(&from, &mut None, &to, &mut None, 100)?,
        3
    );
    assert_eq!(
        sys::copy_file_range(&from, &mut None, &to, &mut None, 100)?,
        0
    );
    assert_eq!(
        sys::copy_file_range(&from, &mut Some(0), &to, &mut None, 0)?,
        0
    );
    Ok(())
}

fn copy_file_range_within_a_file(d: &Dir) -> Outcome {
    let bytes = pattern(100_000, 4);
    let fd = d.open("f", &bytes);
    let (mut from, mut to) = (Some(0), Some(100_000));
    assert_eq!(
        sys::copy_file_range(&fd, &mut from, &fd, &mut to, 100_000)?,
        100_000
    );
    let all = content(d.at("f"));
    assert!(all[..100_000] == bytes && all[100_000..] == bytes);
    fails!(
        EINVAL,
        sys::copy_file_range(&fd, &mut Some(0), &fd, &mut Some(10), 100)
    );
    Ok(())
}

fn copy_file_range_errors(d: &Dir) -> Outcome {
    let (from, to) = (d.open("from", b"abc"), d.open("to", b""));
    let reader = sys::open(d.at("to"), libc::O_RDONLY, 0)?;
    let append = sys::open(d.at("to"), libc::O_WRONLY | libc::O_APPEND, 0)?;
    let dir = sys::open(d.path(), libc::O_RDONLY, 0)?;
    fails!(
        EBADF,
        sys::copy_file_range(&from, &mut None, &reader, &mut None, 3)
    );
    fails!(
        EBADF,
        sys::copy_file_range(&from, &mut None, &append, &mut None, 3)
    );
    fails!(
        EBADF,
        sys::copy_file_range(-1, &mut None, &to, &mut None, 3)
    );
    fails!(
        EISDIR,
        sys::copy_file_range(&dir, &mut None, &to, &mut None, 3)
    );
    let (out, _into) = sys::pipe(0)?;
    fails!(
        EINVAL,
        sys::copy_file_range(&out, &mut None, &to, &mut None, 3)
    );
    Ok(())
}

fn copy_file_range_within_a_file_may_not_meet_itself(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abcdef");
    let copy = |from: i64, to: i64, n: usize| {
        sys::copy_file_range(&fd, &mut Some(from), &fd, &mut Some(to), n)
    };
    fails!(EINVAL, copy(0, 2, 4));
    fails!(EINVAL, copy(2, 0, 4));
    // What lies behind the end is not copied.
    assert_eq!(copy(4, 7, 100)?, 2);
    assert_eq!(copy(20, 10, 100)?, 0);
    assert_eq!(content(d.at("f")), b"abcdef\0ef");
    Ok(())
}

fn copies_are_independent(d: &Dir) -> Outcome {
    let bytes = pattern(3 << 20, 5);
    let (from, to) = (d.open("from", &bytes), d.open("to", b""));
    let mut copied = 0;
    while copied < bytes.len() {
        copied += sys::copy_file_range(&from, &mut None, &to, &mut None, bytes.len() - copied)?;
    }
    sys::pwrite(&from, b"changed source", 1_000_000)?;
    assert!(content(d.at("to")) == bytes);
    sys::pwrite(&to, b"changed target", 2_000_000)?;
    sys::ftruncate(&to, 2_500_000)?;
    let mut expected = bytes;
    expected[1_000_000..1_000_014].copy_from_slice(b"changed source");
    assert!(content(d.at("from")) == expected);
    sys::unlink(d.at("from"))?;
    assert_eq!(content(d.at("to")).len(), 2_500_000);
    Ok(())
}

fn copy_across_the_border(d: &Dir) -> Outcome {
    let bytes = pattern(300_000, 6);
    let from = d.open("from", &bytes);
    let flags = libc::O_RDWR | libc::O_CREAT;
    let outside = sys::open(d.outside().join("copy"), flags, 0o600)?;
    match sys::copy_file_range(&from, &mut None, &outside, &mut None, 300_000) {
        Err(sys::EXDEV) => assert_eq!(
            sys::sendfile(&outside, &from, &mut Some(0), 300_000)?,
            300_000
        ),
        done => assert_eq!(done?, 300_000),
    }
    assert!(content(d.outside().join("copy")) == bytes);
    let back = sys::open(d.at("back"), flags, 0o600)?;
    assert_eq!(
        sys::sendfile(&back, &outside, &mut Some(0), 300_000)?,
        300_000
    );
    assert!(content(d.at("back")) == bytes);
    Ok(())
}

fn copy_file_range_across_the_border(d: &Dir) -> Outcome {
    let bytes = pattern(700_000, 16);
    let flags = libc::O_RDWR | libc::O_CREAT;
    let outside = sys::open(d.outside().join("source"), flags, 0o600)?;
    sys::pwrite(&outside, &bytes, 0)?;
    let inside = d.open("in", b"");
    match sys::copy_file_range(&outside, &mut None, &inside, &mut None, 500_000) {
        Err(sys::EXDEV) => return skip("not between these two file systems"),
        done => assert_eq!(done?, 500_000),
    }
    assert_eq!(sys::lseek(&outside, 0, libc::SEEK_CUR)?, 500_000);
    assert_eq!(sys::lseek(&inside, 0, libc::SEEK_CUR)?, 500_000);
    let (mut from, mut to) = (Some(500_000), Some(500_000));
    assert_eq!(
        sys::copy_file_range(&outside, &mut from, &inside, &mut to, 1 << 20)?,
        200_000
    );
    assert_eq!((from, to), (Some(700_000), Some(700_000)));
    assert!(content(d.at("in")) == bytes);
    let back = sys::open(d.outside().join("back"), flags, 0o600)?;
    assert_eq!(
        sys::copy_file_range(&inside, &mut Some(7), &back, &mut Some(3), 100_000)?,
        100_000
    );
    assert!(content(d.outside().join("back"))[3..] == bytes[7..100_007]);
    let append = sys::open(d.outside().join("back"), libc::O_WRONLY | libc::O_APPEND, 0)?;
    fails!(
        EBADF,
        sys::copy_file_range(&inside, &mut Some(0), &append, &mut None, 3)
    );
    let reader = sys::open(d.outside().join("back"), libc::O_RDONLY, 0)?;
    fails!(
        EBADF,
        sys::copy_file_range(&inside, &mut Some(0), &reader, &mut None, 3)
    );
    let (out, _into) = sys::pipe(0)?;
    fails!(
        EINVAL,
        sys::copy_file_range(&out, &mut None, &inside, &mut None, 3)
    );
    Ok(())
}

fn splice_from_file_to_pipe_and_back(d: &Dir) -> Outcome {
    let bytes = pattern(30_000, 7);
    let (from, to) = (d.open("from", &bytes), d.open("to", b""));
    let (out, into) = sys::pipe(0)?;
    let mut done = 0;
    while done < bytes.len() {
        let moved = sys::splice(&from, &mut None, &into, &mut None, bytes.len() - done)?;
        assert!(moved > 0);
        let mut left = moved;
        while left > 0 {
            left -= sys::splice(&out, &mut None, &to, &mut None, left)?;
        }
        done += moved;
    }
    assert!(content(d.at("to")) == bytes);
    fails!(EINVAL, sys::splice(&from, &mut Some(0), &to, &mut None, 10));
    fails!(
        ESPIPE,
        sys::splice(&from, &mut Some(0), &into, &mut Some(0), 10)
    );
    Ok(())
}

fn ficlone_shares_and_separates(d: &Dir) -> Outcome {
    let bytes = pattern(3 << 20, 8);
    let (from, to) = (d.open("from", &bytes), d.open("to", &[1; 100]));
    match sys::ficlone(&to, &from) {
        Err(sys::EOPNOTSUPP) => return skip("no clones here (as on tmpfs)"),
        done => done?,
    }
    assert!(content(d.at("to")) == bytes);
    sys::pwrite(&to, b"x", 5)?;
    assert!(content(d.at("from")) == bytes);
    let reader = sys::open(d.at("to"), libc::O_RDONLY, 0)?;
    fails!(EBADF, sys::ficlone(&reader, &from));
    let other = d.open("other", b"as it was");
    sys::fork(|| {
        sys::ignore(libc::SIGXFSZ);
        sys::limit(libc::RLIMIT_FSIZE, 2 << 20).expect("setrlimit");
        fails!(EINVAL, sys::ficlone(&other, &from));
    })
    .succeeds();
    assert_eq!(content(d.at("other")), b"as it was");
    Ok(())
}

fn std_copy_copies(d: &Dir) -> Outcome {
    let bytes = pattern(3_000_001, 9);
    let from = d.file("from", &bytes);
    sys::chmod(&from, 0o640)?;
    let copied = std::fs::copy(&from, d.at("to")).map_err(sys::Errno::from)?;
    assert_eq!(copied, 3_000_001);
    assert!(content(d.at("to")) == bytes);
    assert_eq!(sys::stat(d.at("to"))?.st_mode & 0o777, 0o640);
    Ok(())
}

fn splice_leaves_in_the_pipe_what_the_limit_forbids(d: &Dir) -> Outcome {
    let to = d.open("to", b"");
    let (out, into) = sys::pipe(libc::O_NONBLOCK)?;
    sys::write(&into, &[7; 200])?;
    sys::fork(|| {
        sys::ignore(libc::SIGXFSZ);
        sys::limit(libc::RLIMIT_FSIZE, 100).expect("setrlimit");
        assert_eq!(sys::splice(&out, &mut None, &to, &mut None, 200), Ok(100));
        fails!(EFBIG, sys::splice(&out, &mut None, &to, &mut None, 200));
    })
    .succeeds();
    assert_eq!(sys::read(&out, &mut [0; 300])?, 100);
    Ok(())
}

fn splice_refuses_unknown_flags(d: &Dir) -> Outcome {
    let from = d.open("from", b"bytes");
    let (_out, into) = sys::pipe(0)?;
    fails!(EINVAL, sys::splice_flagged(&from, &into, 3, 0xff));
    assert_eq!(sys::splice_flagged(&from, &into, 3, libc::SPLICE_F_MOVE | libc::SPLICE_F_MORE)?, 3);
    Ok(())
}

fn sendfile_within_a_file(d: &Dir) -> Outcome {
    let file = d.open("f", b"0123456789");
    sys::lseek(&file, 5, libc::SEEK_SET)?;
    let mut from = Some(0);
    assert_eq!(sys::sendfile(&file, &file, &mut from, 5)?, 5);
    assert_eq!((from, content(d.at("f"))), (Some(5), b"0123401234".to_vec()));
    // Onto itself.
    sys::lseek(&file, 0, libc::SEEK_SET)?;
    let mut from = Some(0);
    assert_eq!(sys::sendfile(&file, &file, &mut from, 5)?, 5);
    assert_eq!(content(d.at("f")), b"0123401234");
    Ok(())
}

/// A source whose offset moves: it stays where the target stopped.
fn what_a_copy_does_not_write_is_still_to_be_read(d: &Dir) -> Outcome {
    let bytes = pattern(400_000, 21);
    let (inside, to) = (d.open("in", &bytes), d.open("to", b""));
    let outside = sys::open(d.outside().join("source"), libc::O_RDWR | libc::O_CREAT, 0o600)?;
    sys::pwrite(&outside, &bytes, 0)?;
    sys::fork(|| {
        sys::ignore(libc::SIGXFSZ);
        sys::limit(libc::RLIMIT_FSIZE, 300_000).expect("setrlimit");
        for from in [&outside, &inside] {
            sys::lseek(from, 50_000, libc::SEEK_SET).expect("lseek");
            sys::lseek(&to, 250_000, libc::SEEK_SET).expect("lseek");
            assert_eq!(sys::sendfile(&to, from, &mut None, 200_000), Ok(50_000));
            assert_eq!(sys::lseek(from, 0, libc::SEEK_CUR), Ok(100_000));
            fails!(EFBIG, sys::sendfile(&to, from, &mut None, 200_000));
            assert_eq!(sys::lseek(from, 0, libc::SEEK_CUR), Ok(100_000));
        }
    })
    .succeeds();
    assert!(content(d.at("to"))[250_000..] == bytes[50_000..100_000]);
    Ok(())
}

fn copy_file_range_beyond_all_offsets_is_eoverflow(d: &Dir) -> Outcome {
    let (from, to) = (d.open("from", b"0123456789"), d.open("to", b""));
    fails!(EOVERFLOW, sys::copy_file_range(&from, &mut Some(0), &to, &mut Some(1), usize::MAX));
    fails!(EOVERFLOW, sys::copy_file_range(&from, &mut Some(1), &to, &mut Some(0), usize::MAX));
    assert_eq!(sys::copy_file_range(&from, &mut Some(0), &to, &mut Some(0), usize::MAX)?, 10);
    Ok(())
}

/// More than a pipe holds, read from a file.
const BEYOND_A_PIPE: usize = 5 * 65_536 + 4096 + 7;

fn what_was_read_goes_to_a_pipe_that_holds_less(d: &Dir) -> Outcome {
    let bytes = pattern(BEYOND_A_PIPE, 11);
    let from = d.open("from", &bytes);
    let (out, into) = sys::pipe(0)?;
    let mut buffer = vec![0; BEYOND_A_PIPE];
    assert_eq!(sys::pread(&from, &mut buffer, 0)?, BEYOND_A_PIPE);
    let got = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut got, mut chunk) = (Vec::new(), vec![0; 1 << 20]);
            while got.len() < 2 * BEYOND_A_PIPE {
                let n = sys::read(&out, &mut chunk).expect("read the pipe");
                got.extend_from_slice(&chunk[..n]);
            }
            got
        });
        assert_eq!(sys::write(&into, &buffer).expect("write to the pipe"), BEYOND_A_PIPE);
        // What was read and then changed is written as it is now.
        buffer[70_000] ^= 1;
        assert_eq!(sys::write(&into, &buffer).expect("write to the pipe again"), BEYOND_A_PIPE);
        reader.join().expect("the reader")
    });
    assert!(got[..BEYOND_A_PIPE] == bytes && got[BEYOND_A_PIPE..] == buffer);
    Ok(())
}

fn a_pipe_that_does_not_block_takes_what_it_holds_of_what_was_read(d: &Dir) -> Outcome {
    let from = d.open("from", &pattern(BEYOND_A_PIPE, 12));
    let (out, into) = sys::pipe(libc::O_NONBLOCK)?;
    let mut buffer = vec![0; BEYOND_A_PIPE];
    sys::pread(&from, &mut buffer, 0)?;
    let first = sys::write(&into, &buffer)?;
    assert_eq!(first, 65_536);
    fails!(EAGAIN, sys::write(&into, &buffer));
    let mut back = vec![0; BEYOND_A_PIPE];
    assert_eq!(sys::read(&out, &mut back)?, first);
    assert!(back[..first] == buffer[..first]);
    Ok(())
}

fn a_pipe_whose_reader_goes_ends_a_write_of_what_was_read(d: &Dir) -> Outcome {
    let from = d.open("from", &pattern(BEYOND_A_PIPE, 13));
    let (out, into) = sys::pipe(0)?;
    let mut buffer = vec![0; BEYOND_A_PIPE];
    sys::pread(&from, &mut buffer, 0)?;
    let written = std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut some = vec![0; 65_536];
            sys::read(&out, &mut some).expect("read the pipe");
            drop(out);
        });
        sys::write(&into, &buffer)
    })?;
    assert!((65_536..=131_072).contains(&written), "{written}");
    fails!(EPIPE, sys::write(&into, &buffer));
    Ok(())
}
