//! What the file system says about itself, limits, and calls that are trivial on files.

use crate::case::{Dir, Outcome, cases, content, fails, pattern, skip};
use crate::sys;

cases![
    statfs_numbers_add_up,
    statvfs_agrees_with_statfs,
    fstatfs_agrees,
    statfs_errors,
    free_space_shrinks_when_files_grow,
    pathconf_names_the_limits,
    file_size_limit_sends_sigxfsz,
    file_size_limit_is_efbig_when_ignored,
    truncation_beyond_the_limit_is_efbig,
    threads_write_large_files_below_the_limit,
    threads_may_be_cancelled_while_a_limit_holds,
    poll_is_always_ready,
    select_is_always_ready,
    isatty_is_enotty,
    fionread_tells_what_is_left,
    readahead_is_accepted,
    inode_flags_can_be_asked_for,
    files_are_sealed_against_seals,
    rings_that_would_go_past_the_library_are_refused,
];

fn statfs_numbers_add_up(d: &Dir) -> Outcome {
    let fs = sys::statfs(d.path())?;
    assert!(fs.f_bsize > 0 && fs.f_blocks > 0);
    assert!(fs.f_bfree <= fs.f_blocks && fs.f_bavail <= fs.f_bfree);
    assert!(fs.f_ffree <= fs.f_files);
    assert_eq!(fs.f_namelen, 255);
    Ok(())
}

fn statvfs_agrees_with_statfs(d: &Dir) -> Outcome {
    let (fs, vfs) = (sys::statfs(d.path())?, sys::statvfs(d.path())?);
    assert_eq!(
        (vfs.f_blocks, vfs.f_bsize as i64),
        (fs.f_blocks, fs.f_bsize)
    );
    assert!(vfs.f_frsize > 0 && vfs.f_namemax == 255);
    Ok(())
}

fn fstatfs_agrees(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let (by_fd, by_path) = (sys::fstatfs(&fd)?, sys::statfs(d.at("f"))?);
    assert_eq!(
        (by_fd.f_type, by_fd.f_bsize),
        (by_path.f_type, by_path.f_bsize)
    );
    assert_eq!(by_fd.f_blocks, by_path.f_blocks);
    Ok(())
}

fn statfs_errors(d: &Dir) -> Outcome {
    d.file("f", b"");
    fails!(ENOENT, sys::statfs(d.at("no")));
    fails!(ENOTDIR, sys::statfs(d.at("f/x")));
    fails!(EBADF, sys::fstatfs(-1));
    Ok(())
}

fn free_space_shrinks_when_files_grow(d: &Dir) -> Outcome {
    // Other writers free space meanwhile: one of a few attempts must show the growth.
    let mut seen = Vec::new();
    for _ in 0..5 {
        let before = sys::statfs(d.path())?;
        let fd = d.open("f", &vec![1; 64 << 20]);
        sys::fsync(&fd)?;
        let after = sys::statfs(d.path())?;
        let taken = (before.f_bfree as i64 - after.f_bfree as i64) * before.f_bsize as i64;
        if taken >= 32 << 20 {
            return Ok(());
        }
        seen.push(taken);
        sys::unlink(d.at("f"))?;
    }
    panic!("64 MiB took {seen:?} bytes");
}

fn pathconf_names_the_limits(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    assert_eq!(sys::pathconf(d.path(), libc::_PC_NAME_MAX)?, 255);
    assert_eq!(sys::pathconf(d.path(), libc::_PC_PATH_MAX)?, 4096);
    assert_eq!(sys::fpathconf(&fd, libc::_PC_NAME_MAX)?, 255);
    assert!(sys::pathconf(d.path(), libc::_PC_LINK_MAX)? > 1);
    assert_eq!(sys::fpathconf(&fd, libc::_PC_ASYNC_IO)?, 1);
    fails!(EINVAL, sys::pathconf(d.path(), 9999));
    Ok(())
}

fn file_size_limit_sends_sigxfsz(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let child = sys::fork(|| {
        sys::limit(libc::RLIMIT_FSIZE, 1000).expect("setrlimit");
        assert_eq!(sys::write(&fd, &[1; 900]), Ok(900));
        assert_eq!(
            sys::write(&fd, &[1; 900]),
            Ok(100),
            "what still fits is written"
        );
        let _ = sys::write(&fd, &[1; 10]);
    });
    assert_eq!(child.wait(), sys::Ended::Signal(libc::SIGXFSZ));
    assert_eq!(sys::fstat(&fd)?.st_size, 1000);
    Ok(())
}

fn file_size_limit_is_efbig_when_ignored(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    sys::fork(|| {
        sys::ignore(libc::SIGXFSZ);
        sys::limit(libc::RLIMIT_FSIZE, 1000).expect("setrlimit");
        fails!(EFBIG, sys::pwrite(&fd, b"x", 1000));
        fails!(EFBIG, sys::pwrite(&fd, b"x", 1 << 30));
        assert_eq!(sys::pwrite(&fd, &[1; 10], 995), Ok(5));
        assert_eq!(sys::pwrite(&fd, b"x", 0), Ok(1));
    })
    .succeeds();
    assert_eq!(content(d.at("f")).len(), 1000);
    Ok(())
}

fn truncation_beyond_the_limit_is_efbig(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    sys::fork(|| {
        sys::ignore(libc::SIGXFSZ);
        sys::limit(libc::RLIMIT_FSIZE, 1000).expect("setrlimit");
        fails!(EFBIG, sys::ftruncate(&fd, 1001));
        fails!(EFBIG, sys::truncate(d.at("f"), 1001));
        fails!(EFBIG, sys::fallocate(&fd, 0, 0, 1001));
        sys::ftruncate(&fd, 1000).expect("at the limit");
    })
    .succeeds();
    Ok(())
}

fn threads_write_large_files_below_the_limit(d: &Dir) -> Outcome {
    sys::fork(|| {
        sys::limit(libc::RLIMIT_FSIZE, 4_000_000).expect("setrlimit");
        std::thread::scope(|scope| {
            for thread in 0..4_u8 {
                scope.spawn(move || {
                    for turn in 0..6 {
                        let fd = sys::open(d.at(&format!("{thread}.{turn}")), libc::O_RDWR | libc::O_CREAT, 0o600).expect("open");
                        for part in 0..2 {
                            let bytes = pattern(1 << 20, thread + part);
                            assert_eq!(sys::write(&fd, &bytes), Ok(1 << 20));
                            sys::fsync(&fd).expect("fsync");
                        }
                        assert_eq!(sys::ftruncate(&fd, 100), Ok(()));
                    }
                });
            }
        });
    })
    .succeeds();
    assert!(content(d.at("3.5")) == pattern(100, 3));
    Ok(())
}

fn threads_may_be_cancelled_while_a_limit_holds(d: &Dir) -> Outcome {
    d.file("f", b"");
    sys::fork(|| {
        sys::limit(libc::RLIMIT_FSIZE, 200_000).expect("setrlimit");
        for round in 0..60 {
            assert!(sys::cancelled_thread(sys::work_for_ever, 6, 1 + round % 3));
        }
        assert_eq!(sys::limit_of(libc::RLIMIT_FSIZE), Ok(200_000));
    })
    .succeeds();
    assert_eq!(content(d.at("f")), [5; 60_000]);
    Ok(())
}

fn poll_is_always_ready(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let both = libc::POLLIN | libc::POLLOUT;
    assert_eq!(sys::poll(&fd, both, 0)? & both, both);
    assert_eq!(sys::poll(&fd, both, 1000)? & both, both);
    assert_eq!(sys::poll(777, both, 0)?, libc::POLLNVAL);
    Ok(())
}

fn select_is_always_ready(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    assert_eq!(sys::select(&fd)?, (true, true));
    Ok(())
}

fn isatty_is_enotty(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    fails!(ENOTTY, sys::isatty(&fd));
    fails!(EBADF, sys::isatty(-1));
    Ok(())
}

fn fionread_tells_what_is_left(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abcdef");
    sys::lseek(&fd, 2, libc::SEEK_SET)?;
    assert_eq!(sys::fionread(&fd)?, 4);
    Ok(())
}

fn readahead_is_accepted(d: &Dir) -> Outcome {
    let fd = d.open("f", &[1; 10_000]);
    sys::readahead(&fd, 0, 10_000)?;
    fails!(EBADF, sys::readahead(-1, 0, 1));
    Ok(())
}

fn files_are_sealed_against_seals(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    assert_eq!(sys::fcntl(&fd, libc::F_GET_SEALS, 0)?, libc::F_SEAL_SEAL);
    fails!(EPERM, sys::fcntl(&fd, libc::F_ADD_SEALS, libc::F_SEAL_SHRINK));
    fails!(EINVAL, sys::fcntl(&sys::open(d.path(), libc::O_RDONLY | libc::O_DIRECTORY, 0)?, libc::F_GET_SEALS, 0));
    Ok(())
}

fn rings_that_would_go_past_the_library_are_refused(_: &Dir) -> Outcome {
    if std::env::var_os("FLAC_ROOT").is_none() {
        return skip("the kernel serves its own");
    }
    fails!(ENOSYS, sys::io_uring_setup(1));
    fails!(ENOSYS, sys::io_setup(1));
    Ok(())
}

fn inode_flags_can_be_asked_for(d: &Dir) -> Outcome {
    /// `FS_COMPR_FL`, which no file system in memory has.
    const COMPRESSED: i32 = 4;
    let fd = d.open("f", b"");
    match sys::get_flags(&fd) {
        Err(sys::ENOTTY) => return skip("no inode flags here (tmpfs: since Linux 6.0)"),
        flags => assert_eq!(flags?, 0),
    }
    assert_eq!(sys::get_flags(&sys::open(d.path(), libc::O_RDONLY | libc::O_DIRECTORY, 0)?)?, 0);
    sys::set_flags(&fd, 0)?;
    fails!(EOPNOTSUPP, sys::set_flags(&fd, COMPRESSED));
    fails!(EBADF, sys::get_flags(&sys::open(d.at("f"), libc::O_PATH, 0)?));
    sys::mkfifo(d.at("fifo"), 0o600)?;
    fails!(ENOTTY, sys::get_flags(&sys::open(d.at("fifo"), libc::O_RDWR, 0)?));
    Ok(())
}
