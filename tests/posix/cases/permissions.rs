//! What a plain user may not do. As root, each case becomes user 65534 in a child; a plain user runs what it can.

use crate::case::{Dir, Outcome, cases, fails, skip};
use crate::sys;
use libc::{
    AT_EACCESS, AT_FDCWD, F_OK, O_CREAT, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY, R_OK, W_OK, X_OK,
};

cases![
    permission_comes_before_what_a_name_stands_for,
    reading_without_permission_is_eacces,
    writing_without_permission_is_eacces,
    directory_without_search_hides_its_names,
    directory_without_write_takes_no_names,
    directory_without_read_cannot_be_listed_but_searched,
    the_class_of_the_owner_decides_alone,
    group_and_other_classes_decide_for_strangers,
    sticky_directory_protects_names_of_others,
    changing_what_is_not_owned_is_eperm,
    times_of_files_not_owned,
    owner_may_not_give_files_away,
    access_checks_permissions,
    access_uses_the_real_user_and_eaccess_the_effective,
    open_descriptor_keeps_its_rights,
    permission_comes_before_truncation,
    missing_name_in_an_unsearchable_directory_is_eacces,
    root_passes_all_but_execution,
    o_noatime_of_files_not_owned_is_eperm,
];

/// Runs `body` as a plain user: as 65534 in a child where the case is root's, else as it is.
fn as_plain_user(body: impl FnOnce()) {
    if !sys::is_root() {
        return body();
    }
    sys::fork(|| {
        sys::become_user(65534).expect("setresuid");
        body();
    })
    .succeeds();
}

/// Makes a file or directory of this mode which the plain user owns.
fn owned(d: &Dir, name: &str, mode: u32) -> std::path::PathBuf {
    let path = d.file(name, b"content");
    give(&path);
    sys::chmod(&path, mode).expect("chmod");
    path
}

fn give(path: &std::path::Path) {
    if sys::is_root() {
        sys::chown(path, 65534, 65534).expect("chown");
    }
}

fn reading_without_permission_is_eacces(d: &Dir) -> Outcome {
    let path = owned(d, "f", 0o200);
    as_plain_user(|| {
        fails!(EACCES, sys::open(&path, O_RDONLY, 0));
        fails!(EACCES, sys::open(&path, O_RDWR, 0));
        sys::open(&path, O_WRONLY, 0).expect("writing is allowed");
    });
    Ok(())
}

fn writing_without_permission_is_eacces(d: &Dir) -> Outcome {
    let path = owned(d, "f", 0o400);
    as_plain_user(|| {
        fails!(EACCES, sys::open(&path, O_WRONLY, 0));
        fails!(EACCES, sys::open(&path, O_RDONLY | O_TRUNC, 0));
        fails!(EACCES, sys::truncate(&path, 0));
        sys::open(&path, O_RDONLY, 0).expect("reading is allowed");
    });
    assert_eq!(sys::stat(&path)?.st_size, 7);
    Ok(())
}

fn directory_without_search_hides_its_names(d: &Dir) -> Outcome {
    d.dir("dir");
    owned(d, "dir/f", 0o666);
    give(&d.at("dir"));
    sys::chmod(d.at("dir"), 0o600)?;
    as_plain_user(|| {
        fails!(EACCES, sys::stat(d.at("dir/f")));
        fails!(EACCES, sys::open(d.at("dir/f"), O_RDONLY, 0));
        fails!(EACCES, sys::chdir(d.at("dir")));
        fails!(EACCES, sys::unlink(d.at("dir/f")));
        assert_eq!(sys::names_in(d.at("dir")).expect("listing"), ["f"]);
    });
    sys::chmod(d.at("dir"), 0o755)?;
    Ok(())
}

fn directory_without_write_takes_no_names(d: &Dir) -> Outcome {
    d.dir("dir");
    d.dir("dir/sub");
    owned(d, "dir/f", 0o666);
    owned(d, "g", 0o666);
    give(&d.at("dir"));
    sys::chmod(d.at("dir"), 0o555)?;
    as_plain_user(|| {
        fails!(EACCES, sys::open(d.at("dir/new"), O_RDWR | O_CREAT, 0o600));
        fails!(EACCES, sys::mkdir(d.at("dir/new"), 0o755));
        fails!(EACCES, sys::unlink(d.at("dir/f")));
        fails!(EACCES, sys::rmdir(d.at("dir/sub")));
        fails!(EACCES, sys::rename(d.at("dir/f"), d.at("dir/h")));
        fails!(EACCES, sys::symlink("x", d.at("dir/l")));
        fails!(EACCES, sys::link(d.at("dir/f"), d.at("dir/h")));
        fails!(EEXIST, sys::mkdir(d.at("dir/f"), 0o755));
        fails!(ENOENT, sys::unlink(d.at("dir/no")));
        sys::open(d.at("dir/f"), O_RDWR | O_CREAT, 0o600).expect("an existing file opens");
    });
    Ok(())
}

fn directory_without_read_cannot_be_listed_but_searched(d: &Dir) -> Outcome {
    d.dir("dir");
    owned(d, "dir/f", 0o666);
    give(&d.at("dir"));
    sys::chmod(d.at("dir"), 0o333)?;
    as_plain_user(|| {
        fails!(EACCES, sys::opendir(d.at("dir")));
        sys::stat(d.at("dir/f")).expect("searching is allowed");
        sys::chdir(d.at("dir")).expect("so is entering");
        sys::creat("new", 0o600).expect("and writing");
    });
    Ok(())
}

fn the_class_of_the_owner_decides_alone(d: &Dir) -> Outcome {
    let path = owned(d, "f", 0o077);
    as_plain_user(|| {
        fails!(EACCES, sys::open(&path, O_RDONLY, 0));
        fails!(EACCES, sys::open(&path, O_WRONLY, 0));
    });
    Ok(())
}

fn group_and_other_classes_decide_for_strangers(d: &Dir) -> Outcome {
    if !sys::is_root() {
        return skip("needs root to choose owners");
    }
    let group = d.file("group", b"");
    sys::chown(&group, 0, 65534)?;
    sys::chmod(&group, 0o040)?;
    let other = d.file("other", b"");
    sys::chmod(&other, 0o770)?;
    as_plain_user(|| {
        sys::open(&group, O_RDONLY, 0).expect("the group may read");
        fails!(EACCES, sys::open(&group, O_WRONLY, 0));
        fails!(EACCES, sys::open(&other, O_RDONLY, 0));
    });
    Ok(())
}

fn sticky_directory_protects_names_of_others(d: &Dir) -> Outcome {
    if !sys::is_root() {
        return skip("needs a second user");
    }
    d.dir("dir");
    sys::chmod(d.at("dir"), 0o1777)?;
    sys::chmod(d.file("dir/theirs", b""), 0o666)?;
    d.dir("dir/their-dir");
    as_plain_user(|| {
        fails!(EPERM, sys::unlink(d.at("dir/theirs")));
        fails!(EPERM, sys::rmdir(d.at("dir/their-dir")));
        fails!(EPERM, sys::rename(d.at("dir/theirs"), d.at("dir/x")));
        sys::creat(d.at("dir/mine"), 0o600).expect("a new file");
        fails!(EPERM, sys::rename(d.at("dir/mine"), d.at("dir/theirs")));
        sys::rename(d.at("dir/mine"), d.at("dir/mine2")).expect("one's own");
        sys::unlink(d.at("dir/mine2")).expect("one's own");
    });
    Ok(())
}

fn changing_what_is_not_owned_is_eperm(d: &Dir) -> Outcome {
    if !sys::is_root() {
        return skip("needs a second user");
    }
    let path = d.file("f", b"");
    sys::chmod(&path, 0o666)?;
    as_plain_user(|| {
        let fd = sys::open(&path, O_RDWR, 0).expect("open");
        fails!(EPERM, sys::chmod(&path, 0o777));
        fails!(EPERM, sys::fchmod(&fd, 0o777));
        fails!(EPERM, sys::chown(&path, 65534, sys::KEEP));
        fails!(EPERM, sys::chown(&path, sys::KEEP, 65534));
    });
    Ok(())
}

fn times_of_files_not_owned(d: &Dir) -> Outcome {
    if !sys::is_root() {
        return skip("needs a second user");
    }
    let (writable, readable) = (d.file("w", b""), d.file("r", b""));
    sys::chmod(&writable, 0o666)?;
    sys::chmod(&readable, 0o644)?;
    as_plain_user(|| {
        fails!(EPERM, sys::utimensat(&writable, (5, 0), (5, 0), 0));
        fails!(EPERM, sys::utimensat(&writable, sys::NOW, sys::OMIT, 0));
        sys::touch(&writable).expect("a writer may set both to now");
        fails!(EACCES, sys::touch(&readable));
        sys::utimensat(&readable, sys::OMIT, sys::OMIT, 0).expect("nothing to do");
    });
    Ok(())
}

fn owner_may_not_give_files_away(d: &Dir) -> Outcome {
    let path = owned(d, "f", 0o644);
    as_plain_user(|| {
        fails!(EPERM, sys::chown(&path, 1234, sys::KEEP));
        fails!(EPERM, sys::chown(&path, sys::KEEP, 1234));
        let (user, group) = sys::identity();
        sys::chown(&path, user, group).expect("no change is allowed");
    });
    Ok(())
}

fn access_checks_permissions(d: &Dir) -> Outcome {
    let path = owned(d, "f", 0o500);
    as_plain_user(|| {
        sys::access(&path, F_OK).expect("it is there");
        sys::access(&path, R_OK | X_OK).expect("as its mode says");
        fails!(EACCES, sys::access(&path, W_OK));
        fails!(EACCES, sys::access(&path, R_OK | W_OK));
        fails!(ENOENT, sys::access(d.at("no"), F_OK));
        fails!(ENOTDIR, sys::access(path.join("x"), F_OK));
        fails!(EINVAL, sys::access(&path, 99));
    });
    Ok(())
}

fn access_uses_the_real_user_and_eaccess_the_effective(d: &Dir) -> Outcome {
    if !sys::is_root() {
        return skip("needs root");
    }
    let path = d.file("f", b"");
    sys::chmod(&path, 0o600)?;
    sys::fork(|| {
        sys::set_effective_user(65534).expect("seteuid");
        sys::access(&path, R_OK).expect("the real user is root");
        sys::faccessat(AT_FDCWD, &path, R_OK, 0).expect("the real user is root");
        fails!(EACCES, sys::faccessat(AT_FDCWD, &path, R_OK, AT_EACCESS));
        fails!(EACCES, sys::open(&path, O_RDONLY, 0));
    })
    .succeeds();
    Ok(())
}

fn open_descriptor_keeps_its_rights(d: &Dir) -> Outcome {
    let path = owned(d, "f", 0o600);
    let fd = sys::open(&path, O_RDWR, 0)?;
    sys::chmod(&path, 0)?;
    as_plain_user(|| {
        assert_eq!(sys::pwrite(&fd, b"x", 0), Ok(1));
        assert_eq!(sys::pread(&fd, &mut [0; 1], 0), Ok(1));
        sys::ftruncate(&fd, 1).expect("ftruncate");
        fails!(EACCES, sys::open(&path, O_RDWR, 0));
    });
    Ok(())
}

fn permission_comes_before_truncation(d: &Dir) -> Outcome {
    let path = owned(d, "f", 0o400);
    as_plain_user(|| fails!(EACCES, sys::open(&path, O_WRONLY | O_TRUNC, 0)));
    assert_eq!(sys::stat(path)?.st_size, 7);
    Ok(())
}

fn missing_name_in_an_unsearchable_directory_is_eacces(d: &Dir) -> Outcome {
    d.dir("dir");
    give(&d.at("dir"));
    sys::chmod(d.at("dir"), 0)?;
    as_plain_user(|| {
        fails!(EACCES, sys::stat(d.at("dir/no")));
        fails!(EACCES, sys::open(d.at("dir/no/f"), O_RDONLY, 0));
    });
    sys::chmod(d.at("dir"), 0o755)?;
    Ok(())
}

fn root_passes_all_but_execution(d: &Dir) -> Outcome {
    if !sys::is_root() {
        return skip("needs root");
    }
    let path = d.file("f", b"");
    sys::chmod(&path, 0)?;
    sys::open(&path, O_RDWR, 0)?.close()?;
    sys::access(&path, R_OK | W_OK)?;
    fails!(EACCES, sys::access(&path, X_OK));
    sys::chmod(&path, 0o001)?;
    sys::access(&path, X_OK)?;
    Ok(())
}

fn o_noatime_of_files_not_owned_is_eperm(d: &Dir) -> Outcome {
    if !sys::is_root() {
        return skip("needs a second user");
    }
    let path = d.file("f", b"");
    as_plain_user(|| fails!(EPERM, sys::open(&path, O_RDONLY | libc::O_NOATIME, 0)));
    sys::open(&path, O_RDONLY | libc::O_NOATIME, 0)?.close()?;
    Ok(())
}

fn permission_comes_before_what_a_name_stands_for(d: &Dir) -> Outcome {
    if !sys::is_root() {
        return skip("needs root to become another user");
    }
    d.dir("dir");
    sys::mkdir(d.at("dir/sub"), 0o755)?;
    d.file("dir/f", b"");
    sys::fork(|| {
        sys::become_user(65534).expect("setuid");
        fails!(EACCES, sys::unlink(d.at("dir/sub")));
        fails!(EACCES, sys::rmdir(d.at("dir/f")));
    })
    .succeeds();
    fails!(EISDIR, sys::unlink(d.at("dir/sub")));
    fails!(ENOTDIR, sys::rmdir(d.at("dir/f")));
    Ok(())
}
