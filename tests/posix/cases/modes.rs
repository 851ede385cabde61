//! Permission bits, umask, set-id and sticky bits, owners.

use crate::case::{Dir, Outcome, cases, fails, skip};
use crate::sys;
use libc::{O_CREAT, O_RDWR};

cases![
    umask_masks_new_files_and_directories,
    umask_does_not_mask_chmod,
    umask_returns_the_old_mask,
    umask_survives_fork_and_is_private,
    chmod_sets_all_twelve_bits,
    fchmod_and_fchmodat_set_the_mode,
    chmod_follows_symlinks,
    fchmodat_nofollow_on_a_symlink_is_refused,
    chmod_errors,
    setgid_directory_gives_its_group,
    new_files_belong_to_the_effective_user,
    chown_changes_owner_and_group,
    chown_minus_one_keeps,
    chown_clears_set_id_bits,
    lchown_changes_the_symlink_itself,
    writing_clears_set_user_id,
    truncating_and_copying_clear_set_id_bits,
    chown_of_nothing_clears_set_id_bits_and_changes_ctime,
    o_creat_ignores_the_mode_of_an_existing_file,
];

fn mode(path: impl AsRef<std::ffi::OsStr>) -> u32 {
    sys::lstat(path).expect("lstat").st_mode & 0o7777
}

fn umask_masks_new_files_and_directories(d: &Dir) -> Outcome {
    sys::umask(0o027);
    sys::open(d.at("f"), O_RDWR | O_CREAT, 0o666)?.close()?;
    sys::mkdir(d.at("dir"), 0o777)?;
    sys::mkfifo(d.at("p"), 0o666)?;
    assert_eq!(
        (mode(d.at("f")), mode(d.at("dir")), mode(d.at("p"))),
        (0o640, 0o750, 0o640)
    );
    sys::umask(0);
    sys::open(d.at("g"), O_RDWR | O_CREAT, 0o666)?.close()?;
    assert_eq!(mode(d.at("g")), 0o666);
    Ok(())
}

fn umask_does_not_mask_chmod(d: &Dir) -> Outcome {
    sys::umask(0o077);
    d.file("f", b"");
    sys::chmod(d.at("f"), 0o777)?;
    assert_eq!(mode(d.at("f")), 0o777);
    Ok(())
}

fn umask_returns_the_old_mask(_: &Dir) -> Outcome {
    sys::umask(0o123);
    assert_eq!(sys::umask(0o7777), 0o123);
    assert_eq!(sys::umask(0), 0o777);
    Ok(())
}

fn umask_survives_fork_and_is_private(d: &Dir) -> Outcome {
    sys::umask(0o077);
    sys::fork(|| {
        sys::creat(d.at("child"), 0o666).expect("creat");
        sys::umask(0);
    })
    .succeeds();
    sys::creat(d.at("parent"), 0o666)?.close()?;
    assert_eq!((mode(d.at("child")), mode(d.at("parent"))), (0o600, 0o600));
    Ok(())
}

fn chmod_sets_all_twelve_bits(d: &Dir) -> Outcome {
    d.file("f", b"");
    for bits in [0, 0o7777, 0o644, 0o4755, 0o2755, 0o1644, 0o111] {
        sys::chmod(d.at("f"), bits)?;
        assert_eq!(mode(d.at("f")), bits);
    }
    assert_eq!(sys::stat(d.at("f"))?.st_mode & libc::S_IFMT, libc::S_IFREG);
    Ok(())
}

fn fchmod_and_fchmodat_set_the_mode(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    sys::fchmod(&fd, 0o600)?;
    assert_eq!(mode(d.at("f")), 0o600);
    let dir = sys::open(d.path(), libc::O_RDONLY, 0)?;
    sys::fchmodat(&dir, "f", 0o640, 0)?;
    assert_eq!(sys::fstat(&fd)?.st_mode & 0o7777, 0o640);
    Ok(())
}

fn chmod_follows_symlinks(d: &Dir) -> Outcome {
    d.file("f", b"");
    sys::symlink("f", d.at("l"))?;
    sys::chmod(d.at("l"), 0o600)?;
    assert_eq!((mode(d.at("f")), mode(d.at("l"))), (0o600, 0o777));
    Ok(())
}

fn fchmodat_nofollow_on_a_symlink_is_refused(d: &Dir) -> Outcome {
    d.file("f", b"");
    sys::symlink("f", d.at("l"))?;
    let nofollow = libc::AT_SYMLINK_NOFOLLOW;
    fails!(
        EOPNOTSUPP,
        sys::fchmodat(libc::AT_FDCWD, d.at("l"), 0o600, nofollow)
    );
    assert_eq!(mode(d.at("f")), 0o644);
    sys::fchmodat(libc::AT_FDCWD, d.at("f"), 0o600, nofollow)?;
    assert_eq!(mode(d.at("f")), 0o600);
    Ok(())
}

fn chmod_errors(d: &Dir) -> Outcome {
    d.file("f", b"");
    fails!(ENOENT, sys::chmod(d.at("no"), 0o600));
    fails!(ENOTDIR, sys::chmod(d.at("f/x"), 0o600));
    fails!(EBADF, sys::fchmod(-1, 0o600));
    fails!(EINVAL, sys::fchownat(libc::AT_FDCWD, d.path(), sys::KEEP, sys::KEEP, 0x40));
    fails!(ENOENT, sys::chown(d.at("no"), sys::KEEP, sys::KEEP));
    Ok(())
}

fn setgid_directory_gives_its_group(d: &Dir) -> Outcome {
    if !sys::is_root() {
        return skip("needs root to choose a group");
    }
    let dir = d.dir("dir");
    sys::chown(&dir, sys::KEEP, 4242)?;
    sys::chmod(&dir, 0o2775)?;
    d.file("dir/f", b"");
    d.dir("dir/sub");
    assert_eq!(sys::stat(d.at("dir/f"))?.st_gid, 4242);
    assert_eq!(sys::stat(d.at("dir/sub"))?.st_gid, 4242);
    assert_eq!(
        mode(d.at("dir/sub")),
        0o2755,
        "subdirectories inherit the bit"
    );
    assert_eq!(mode(d.at("dir/f")) & 0o2000, 0);
    Ok(())
}

fn new_files_belong_to_the_effective_user(d: &Dir) -> Outcome {
    d.file("f", b"");
    let stat = sys::stat(d.at("f"))?;
    assert_eq!((stat.st_uid, stat.st_gid), sys::identity());
    Ok(())
}

fn chown_changes_owner_and_group(d: &Dir) -> Outcome {
    if !sys::is_root() {
        return skip("needs root");
    }
    let fd = d.open("f", b"");
    sys::chown(d.at("f"), 1001, 1002)?;
    assert_eq!(
        (sys::fstat(&fd)?.st_uid, sys::fstat(&fd)?.st_gid),
        (1001, 1002)
    );
    sys::fchown(&fd, 0, 0)?;
    sys::fchownat(libc::AT_FDCWD, d.at("f"), 5, 6, 0)?;
    assert_eq!((sys::fstat(&fd)?.st_uid, sys::fstat(&fd)?.st_gid), (5, 6));
    sys::fchownat(&fd, "", 7, 8, libc::AT_EMPTY_PATH)?;
    assert_eq!((sys::fstat(&fd)?.st_uid, sys::fstat(&fd)?.st_gid), (7, 8));
    Ok(())
}

fn chown_minus_one_keeps(d: &Dir) -> Outcome {
    d.file("f", b"");
    let before = sys::stat(d.at("f"))?;
    sys::chown(d.at("f"), sys::KEEP, sys::KEEP)?;
    let after = sys::stat(d.at("f"))?;
    assert_eq!((before.st_uid, before.st_gid), (after.st_uid, after.st_gid));
    Ok(())
}

fn chown_clears_set_id_bits(d: &Dir) -> Outcome {
    if !sys::is_root() {
        return skip("needs root");
    }
    d.file("f", b"");
    sys::chmod(d.at("f"), 0o6755)?;
    sys::chown(d.at("f"), 1001, 1002)?;
    assert_eq!(mode(d.at("f")), 0o755);
    d.dir("dir");
    sys::chmod(d.at("dir"), 0o2755)?;
    sys::chown(d.at("dir"), 1001, 1002)?;
    assert_eq!(mode(d.at("dir")), 0o2755, "directories keep theirs");
    Ok(())
}

fn lchown_changes_the_symlink_itself(d: &Dir) -> Outcome {
    if !sys::is_root() {
        return skip("needs root");
    }
    d.file("f", b"");
    sys::symlink("f", d.at("l"))?;
    sys::lchown(d.at("l"), 1001, 1002)?;
    assert_eq!(sys::lstat(d.at("l"))?.st_uid, 1001);
    assert_eq!(sys::stat(d.at("f"))?.st_uid, 0);
    sys::chown(d.at("l"), 1003, sys::KEEP)?;
    assert_eq!(sys::stat(d.at("f"))?.st_uid, 1003);
    Ok(())
}

fn writing_clears_set_user_id(d: &Dir) -> Outcome {
    if !sys::is_root() {
        return skip("needs root to become another user");
    }
    d.file("f", b"abc");
    sys::chmod(d.at("f"), 0o6777)?;
    sys::fork(|| {
        sys::become_user(65534).expect("setuid");
        let fd = sys::open(d.at("f"), O_RDWR, 0).expect("open");
        assert_eq!(sys::write(&fd, b"x"), Ok(1));
    })
    .succeeds();
    assert_eq!(mode(d.at("f")), 0o777);
    Ok(())
}

fn truncating_and_copying_clear_set_id_bits(d: &Dir) -> Outcome {
    type Change = fn(&Dir) -> sys::Sys<()>;
    if !sys::is_root() {
        return skip("needs root to become another user");
    }
    let changes: [(&str, Change); 6] = [
        ("truncate", |d| sys::truncate(d.at("f"), 1)),
        ("truncate to what it is", |d| sys::truncate(d.at("f"), 3)),
        ("ftruncate", |d| sys::ftruncate(&sys::open(d.at("f"), O_RDWR, 0)?, 1)),
        ("O_TRUNC", |d| sys::open(d.at("f"), O_RDWR | libc::O_TRUNC, 0).map(drop)),
        ("fallocate", |d| sys::fallocate(&sys::open(d.at("f"), O_RDWR, 0)?, 0, 0, 100)),
        ("sendfile", |d| {
            let from = sys::open(d.at("from"), libc::O_RDONLY, 0)?;
            sys::sendfile(&sys::open(d.at("f"), O_RDWR, 0)?, &from, &mut None, 3).map(drop)
        }),
    ];
    d.file("from", b"def");
    d.file("f", b"");
    for (how, change) in changes {
        d.file("f", b"abc");
        sys::chmod(d.at("f"), 0o6777)?;
        sys::fork(|| {
            sys::become_user(65534).expect("setuid");
            change(d).expect(how);
        })
        .succeeds();
        assert_eq!(mode(d.at("f")), 0o777, "{how}");
    }
    Ok(())
}

fn chown_of_nothing_clears_set_id_bits_and_changes_ctime(d: &Dir) -> Outcome {
    d.file("f", b"");
    sys::chmod(d.at("f"), 0o6755)?;
    let before = sys::stat(d.at("f"))?;
    std::thread::sleep(std::time::Duration::from_millis(20));
    sys::chown(d.at("f"), sys::KEEP, sys::KEEP)?;
    let after = sys::stat(d.at("f"))?;
    assert_eq!(after.st_mode & 0o7777, 0o755);
    assert!((after.st_ctime, after.st_ctime_nsec) > (before.st_ctime, before.st_ctime_nsec));
    Ok(())
}

fn o_creat_ignores_the_mode_of_an_existing_file(d: &Dir) -> Outcome {
    d.file("f", b"");
    sys::open(d.at("f"), O_RDWR | O_CREAT, 0o777)?.close()?;
    assert_eq!(mode(d.at("f")), 0o644);
    Ok(())
}
