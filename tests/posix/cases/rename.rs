//! `rename` and its flags.

use crate::case::{Dir, Outcome, cases, content, fails, write_all};
use crate::sys;
use libc::{RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT};

cases![
    replaces_the_target_at_once,
    open_target_keeps_its_old_content,
    open_source_follows_its_file,
    the_target_exists_at_every_moment,
    moves_between_directories,
    directory_moves_with_its_contents,
    directory_over_an_empty_one_replaces_it,
    directory_over_a_full_one_is_enotempty,
    directory_over_a_file_is_enotdir,
    file_over_a_directory_is_eisdir,
    into_its_own_subdirectory_is_einval,
    onto_an_ancestor_is_enotempty,
    onto_itself_changes_nothing,
    missing_source_is_enoent,
    missing_target_directory_is_enoent,
    dot_and_dotdot_are_ebusy_or_einval,
    trailing_slashes_are_for_directories,
    symlinks_are_renamed_themselves,
    noreplace_does_not_replace,
    exchange_swaps_files_directories_and_both,
    exchange_takes_a_slash_behind_a_directory_alone,
    flags_that_contradict_are_einval,
    flags_come_first_then_both_directories,
    noreplace_finds_what_exists_before_slashes,
    whiteout_leaves_a_device_of_number_zero,
    renameat_takes_two_directories,
    directory_links_follow_a_moved_subdirectory,
];

fn replaces_the_target_at_once(d: &Dir) -> Outcome {
    d.file("a", b"new");
    d.file("b", b"old");
    let inode = sys::stat(d.at("a"))?.st_ino;
    sys::rename(d.at("a"), d.at("b"))?;
    assert_eq!(content(d.at("b")), b"new");
    assert_eq!(sys::stat(d.at("b"))?.st_ino, inode);
    fails!(ENOENT, sys::stat(d.at("a")));
    Ok(())
}

fn open_target_keeps_its_old_content(d: &Dir) -> Outcome {
    d.file("a", b"new");
    let old = d.open("b", b"old");
    sys::rename(d.at("a"), d.at("b"))?;
    let mut bytes = [0; 3];
    sys::read(&old, &mut bytes)?;
    assert_eq!(&bytes, b"old");
    assert_eq!(sys::fstat(&old)?.st_nlink, 0);
    Ok(())
}

fn open_source_follows_its_file(d: &Dir) -> Outcome {
    let fd = d.open("a", b"");
    sys::rename(d.at("a"), d.at("b"))?;
    write_all(&fd, b"abc");
    assert_eq!(content(d.at("b")), b"abc");
    Ok(())
}

fn the_target_exists_at_every_moment(d: &Dir) -> Outcome {
    d.file("target", b"0");
    let child = sys::fork(|| {
        for _ in 0..500 {
            let text = content(d.at("target"));
            assert_eq!(text.len(), 1, "neither missing nor half-written");
        }
    });
    for round in 0..500_u16 {
        d.file("new", &round.to_le_bytes()[..1]);
        sys::rename(d.at("new"), d.at("target"))?;
    }
    child.succeeds();
    Ok(())
}

fn moves_between_directories(d: &Dir) -> Outcome {
    d.dir("one");
    d.dir("two");
    d.file("one/f", b"abc");
    sys::rename(d.at("one/f"), d.at("two/g"))?;
    assert!(sys::names_in(d.at("one"))?.is_empty());
    assert_eq!(content(d.at("two/g")), b"abc");
    Ok(())
}

fn directory_moves_with_its_contents(d: &Dir) -> Outcome {
    d.dir("one");
    d.dir("one/sub");
    d.dir("two");
    d.file("one/sub/f", b"abc");
    sys::rename(d.at("one/sub"), d.at("two/moved"))?;
    assert_eq!(content(d.at("two/moved/f")), b"abc");
    assert_eq!(content(d.at("two/moved/../moved/f")), b"abc");
    fails!(ENOENT, sys::stat(d.at("one/sub/f")));
    let parent = sys::stat(d.at("two/moved/.."))?.st_ino;
    assert_eq!(parent, sys::stat(d.at("two"))?.st_ino);
    Ok(())
}

fn directory_over_an_empty_one_replaces_it(d: &Dir) -> Outcome {
    d.dir("one");
    d.dir("two");
    d.file("one/f", b"abc");
    sys::rename(d.at("one"), d.at("two"))?;
    assert_eq!(content(d.at("two/f")), b"abc");
    assert_eq!(sys::names_in(d.path())?, ["two"]);
    Ok(())
}

fn directory_over_a_full_one_is_enotempty(d: &Dir) -> Outcome {
    d.dir("one");
    d.dir("two");
    d.file("two/f", b"");
    let errno = sys::rename(d.at("one"), d.at("two")).err();
    assert!(
        errno == Some(sys::ENOTEMPTY) || errno == Some(sys::EEXIST),
        "{errno:?}"
    );
    Ok(())
}

fn directory_over_a_file_is_enotdir(d: &Dir) -> Outcome {
    d.dir("dir");
    d.file("f", b"");
    fails!(ENOTDIR, sys::rename(d.at("dir"), d.at("f")));
    fails!(ENOTDIR, sys::rename(d.at("f"), d.at("f/x")));
    Ok(())
}

fn file_over_a_directory_is_eisdir(d: &Dir) -> Outcome {
    d.dir("dir");
    d.file("f", b"");
    fails!(EISDIR, sys::rename(d.at("f"), d.at("dir")));
    Ok(())
}

fn into_its_own_subdirectory_is_einval(d: &Dir) -> Outcome {
    d.dir("dir");
    d.dir("dir/sub");
    d.dir("dir/sub/deep");
    fails!(EINVAL, sys::rename(d.at("dir"), d.at("dir/x")));
    fails!(EINVAL, sys::rename(d.at("dir"), d.at("dir/sub/deep/x")));
    fails!(EINVAL, sys::rename(d.at("dir"), d.at("dir/sub")));
    Ok(())
}

fn onto_an_ancestor_is_enotempty(d: &Dir) -> Outcome {
    d.dir("dir");
    d.dir("dir/sub");
    d.file("dir/sub/f", b"");
    fails!(ENOTEMPTY, sys::rename(d.at("dir/sub"), d.at("dir")));
    fails!(ENOTEMPTY, sys::rename(d.at("dir/sub/f"), d.at("dir")));
    Ok(())
}

fn onto_itself_changes_nothing(d: &Dir) -> Outcome {
    d.file("f", b"abc");
    d.dir("dir");
    sys::rename(d.at("f"), d.at("f"))?;
    sys::rename(d.at("dir"), d.at("dir"))?;
    assert_eq!(content(d.at("f")), b"abc");
    Ok(())
}

fn missing_source_is_enoent(d: &Dir) -> Outcome {
    d.file("f", b"");
    fails!(ENOENT, sys::rename(d.at("no"), d.at("f")));
    fails!(ENOENT, sys::rename(d.at("no"), d.at("no")));
    fails!(ENOENT, sys::rename("", d.at("f")));
    Ok(())
}

fn missing_target_directory_is_enoent(d: &Dir) -> Outcome {
    d.file("f", b"");
    fails!(ENOENT, sys::rename(d.at("f"), d.at("no/f")));
    fails!(ENOENT, sys::rename(d.at("f"), ""));
    assert_eq!(sys::names_in(d.path())?, ["f"]);
    Ok(())
}

fn dot_and_dotdot_are_ebusy_or_einval(d: &Dir) -> Outcome {
    d.dir("dir");
    for (from, to) in [
        ("dir/.", "new"),
        ("dir/..", "new"),
        ("dir", "dir/."),
        ("dir", "dir/.."),
    ] {
        let errno = sys::rename(d.at(from), d.at(to)).err();
        assert!(
            errno == Some(sys::EBUSY) || errno == Some(sys::EINVAL),
            "{from} {to}: {errno:?}"
        );
    }
    Ok(())
}

fn trailing_slashes_are_for_directories(d: &Dir) -> Outcome {
    d.dir("dir");
    d.file("f", b"");
    sys::rename(d.at("dir/"), d.at("moved/"))?;
    fails!(ENOTDIR, sys::rename(d.at("f"), d.at("new/")));
    fails!(ENOTDIR, sys::rename(d.at("f/"), d.at("new")));
    assert_eq!(sys::names_in(d.path())?, ["f", "moved"]);
    Ok(())
}

fn symlinks_are_renamed_themselves(d: &Dir) -> Outcome {
    d.file("f", b"abc");
    sys::symlink("f", d.at("l"))?;
    sys::rename(d.at("l"), d.at("m"))?;
    assert_eq!(sys::readlink(d.at("m"), 100)?, "f");
    d.file("g", b"new");
    sys::rename(d.at("g"), d.at("m"))?;
    assert_eq!(content(d.at("m")), b"new");
    assert_eq!(
        content(d.at("f")),
        b"abc",
        "the link was replaced, not its target"
    );
    Ok(())
}

fn noreplace_does_not_replace(d: &Dir) -> Outcome {
    d.file("a", b"a");
    d.file("b", b"b");
    fails!(
        EEXIST,
        sys::renameat2(d.at("a"), d.at("b"), RENAME_NOREPLACE)
    );
    assert_eq!(content(d.at("b")), b"b");
    sys::renameat2(d.at("a"), d.at("c"), RENAME_NOREPLACE)?;
    assert_eq!(sys::names_in(d.path())?, ["b", "c"]);
    Ok(())
}

fn exchange_swaps_files_directories_and_both(d: &Dir) -> Outcome {
    d.file("a", b"a");
    d.file("b", b"b");
    d.dir("dir");
    d.dir("dir/sub");
    sys::renameat2(d.at("a"), d.at("b"), RENAME_EXCHANGE)?;
    assert_eq!(
        (content(d.at("a")), content(d.at("b"))),
        (b"b".to_vec(), b"a".to_vec())
    );
    sys::renameat2(d.at("a"), d.at("dir/sub"), RENAME_EXCHANGE)?;
    assert_eq!(content(d.at("dir/sub")), b"b");
    assert_eq!(sys::stat(d.at("a/.."))?.st_ino, sys::stat(d.path())?.st_ino);
    assert_eq!(
        sys::stat(d.at("dir"))?.st_nlink,
        sys::stat(d.at("a"))?.st_nlink
    );
    fails!(
        ENOENT,
        sys::renameat2(d.at("a"), d.at("no"), RENAME_EXCHANGE)
    );
    Ok(())
}

fn exchange_takes_a_slash_behind_a_directory_alone(d: &Dir) -> Outcome {
    d.file("f", b"");
    d.dir("dir");
    fails!(ENOTDIR, sys::renameat2(d.at("f/"), d.at("dir"), RENAME_EXCHANGE));
    fails!(ENOTDIR, sys::renameat2(d.at("dir"), d.at("f/"), RENAME_EXCHANGE));
    sys::renameat2(d.at("f"), d.at("dir/"), RENAME_EXCHANGE)?;
    sys::renameat2(d.at("f/"), d.at("dir"), RENAME_EXCHANGE)?;
    assert_eq!(content(d.at("f")), b"");
    Ok(())
}

fn flags_that_contradict_are_einval(d: &Dir) -> Outcome {
    d.file("a", b"a");
    d.file("b", b"b");
    fails!(
        EINVAL,
        sys::renameat2(d.at("a"), d.at("b"), RENAME_EXCHANGE | RENAME_NOREPLACE)
    );
    fails!(
        EINVAL,
        sys::renameat2(d.at("a"), d.at("b"), RENAME_EXCHANGE | RENAME_WHITEOUT)
    );
    fails!(EINVAL, sys::renameat2(d.at("a"), d.at("b"), 0x100));
    Ok(())
}

fn flags_come_first_then_both_directories(d: &Dir) -> Outcome {
    d.file("f", b"");
    fails!(EINVAL, sys::renameat2(d.at("no/a"), d.at("no/b"), 0x100));
    fails!(EBADF, sys::renameat(libc::AT_FDCWD, d.at("no"), -1, "b"));
    fails!(ENOTDIR, sys::rename(d.at("no"), d.at("f/b")));
    fails!(ENOENT, sys::rename("", d.at("f/b")));
    fails!(ENOENT, sys::rename(d.at("f"), ""));
    Ok(())
}

fn noreplace_finds_what_exists_before_slashes(d: &Dir) -> Outcome {
    d.file("f", b"");
    d.dir("dir");
    fails!(EEXIST, sys::renameat2(d.at("f"), d.at("dir/."), RENAME_NOREPLACE));
    fails!(EEXIST, sys::renameat2(d.at("f/"), d.at("f/"), RENAME_NOREPLACE));
    fails!(EBUSY, sys::renameat2(d.at("dir/."), d.at("dir/."), RENAME_NOREPLACE));
    fails!(ENOENT, sys::renameat2(d.at("f/"), d.at("no"), RENAME_EXCHANGE));
    Ok(())
}

fn whiteout_leaves_a_device_of_number_zero(d: &Dir) -> Outcome {
    d.dir("dir");
    d.file("a", b"a");
    d.file("b", b"b");
    sys::renameat2(d.at("a"), d.at("b"), RENAME_WHITEOUT)?;
    sys::renameat2(
        d.at("b"),
        d.at("dir/c"),
        RENAME_WHITEOUT | RENAME_NOREPLACE,
    )?;
    assert_eq!(content(d.at("dir/c")), b"a");
    for left in ["a", "b"] {
        let stat = sys::lstat(d.at(left))?;
        assert_eq!(
            (stat.st_mode, stat.st_rdev, stat.st_nlink),
            (libc::S_IFCHR, 0, 1),
            "{left}"
        );
    }
    // Nobody may open it, and for whom that does not count there is no such device.
    if sys::is_root() {
        fails!(ENXIO, sys::open(d.at("a"), libc::O_RDWR, 0));
    } else {
        fails!(EACCES, sys::open(d.at("a"), libc::O_RDWR, 0));
    }
    let links = sys::stat(d.path())?.st_nlink;
    sys::renameat2(d.at("dir"), d.at("moved"), RENAME_WHITEOUT)?;
    assert_eq!(sys::stat(d.path())?.st_nlink, links);
    assert_eq!(sys::names_in(d.path())?, ["a", "b", "dir", "moved"]);
    let entries = sys::stat(d.path())?.st_size;
    for name in ["a", "b", "dir"] {
        sys::unlink(d.at(name))?;
    }
    assert_eq!(sys::names_in(d.path())?, ["moved"]);
    assert!(sys::stat(d.path())?.st_size < entries);
    Ok(())
}

fn renameat_takes_two_directories(d: &Dir) -> Outcome {
    d.dir("one");
    d.dir("two");
    d.file("one/f", b"abc");
    let one = sys::open(d.at("one"), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    let two = sys::open(d.at("two"), libc::O_PATH | libc::O_DIRECTORY, 0)?;
    sys::renameat(&one, "f", &two, "g")?;
    assert_eq!(content(d.at("two/g")), b"abc");
    fails!(EBADF, sys::renameat(-1, "f", &two, "g"));
    Ok(())
}

fn directory_links_follow_a_moved_subdirectory(d: &Dir) -> Outcome {
    d.dir("one");
    d.dir("two");
    d.dir("one/sub");
    let before = (
        sys::stat(d.at("one"))?.st_nlink,
        sys::stat(d.at("two"))?.st_nlink,
    );
    sys::rename(d.at("one/sub"), d.at("two/sub"))?;
    let after = (
        sys::stat(d.at("one"))?.st_nlink,
        sys::stat(d.at("two"))?.st_nlink,
    );
    assert_eq!((before, after), ((3, 2), (2, 3)));
    Ok(())
}
