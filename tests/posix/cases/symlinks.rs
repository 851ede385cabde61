//! Symbolic links: making, reading and following them.

use crate::case::{Dir, Outcome, cases, content, fails};
use crate::sys;

cases![
    readlink_returns_the_target_as_it_was_given,
    readlink_cuts_silently,
    readlink_errors,
    symlink_errors,
    dangling_links_exist_for_lstat_alone,
    relative_targets_start_at_the_links_directory,
    links_to_directories_are_walked_through,
    dotdot_after_a_link_is_the_parent_of_its_target,
    absolute_targets_inside_are_followed,
    long_targets_are_kept_whole,
    trailing_slash_follows_the_link,
    realpath_resolves_links_dots_and_slashes,
    realpath_errors,
    symlinkat_is_relative,
    links_of_links_are_followed,
    target_bytes_are_not_interpreted,
];

fn readlink_returns_the_target_as_it_was_given(d: &Dir) -> Outcome {
    for (index, target) in ["x", "../x//y/./", "/absolute", "with space"]
        .into_iter()
        .enumerate()
    {
        let path = d.at(&format!("l{index}"));
        sys::symlink(target, &path)?;
        assert_eq!(sys::readlink(path, 100)?, target);
    }
    Ok(())
}

fn readlink_cuts_silently(d: &Dir) -> Outcome {
    sys::symlink("abcdef", d.at("l"))?;
    assert_eq!(sys::readlink(d.at("l"), 3)?, "abc");
    assert_eq!(sys::readlink(d.at("l"), 6)?, "abcdef");
    fails!(EINVAL, sys::readlink(d.at("l"), 0));
    Ok(())
}

fn readlink_errors(d: &Dir) -> Outcome {
    d.file("f", b"");
    fails!(EINVAL, sys::readlink(d.at("f"), 10));
    fails!(EINVAL, sys::readlink(d.path(), 10));
    fails!(ENOENT, sys::readlink(d.at("no"), 10));
    fails!(ENOTDIR, sys::readlink(d.at("f/x"), 10));
    Ok(())
}

fn symlink_errors(d: &Dir) -> Outcome {
    d.file("f", b"");
    fails!(EEXIST, sys::symlink("x", d.at("f")));
    fails!(ENOENT, sys::symlink("", d.at("l")));
    fails!(ENOENT, sys::symlink("x", d.at("no/l")));
    fails!(ENOTDIR, sys::symlink("x", d.at("f/l")));
    fails!(ENAMETOOLONG, sys::symlink("x".repeat(4096), d.at("l")));
    Ok(())
}

fn dangling_links_exist_for_lstat_alone(d: &Dir) -> Outcome {
    sys::symlink("no", d.at("l"))?;
    sys::lstat(d.at("l"))?;
    fails!(ENOENT, sys::stat(d.at("l")));
    fails!(ENOENT, sys::access(d.at("l"), libc::F_OK));
    sys::faccessat(
        libc::AT_FDCWD,
        d.at("l"),
        libc::F_OK,
        libc::AT_SYMLINK_NOFOLLOW,
    )?;
    assert_eq!(sys::names_in(d.path())?, ["l"]);
    Ok(())
}

fn relative_targets_start_at_the_links_directory(d: &Dir) -> Outcome {
    d.dir("dir");
    d.dir("other");
    d.file("dir/f", b"right");
    d.file("f", b"wrong");
    sys::symlink("f", d.at("dir/l"))?;
    sys::symlink("../dir/f", d.at("other/l"))?;
    assert_eq!(content(d.at("dir/l")), b"right");
    assert_eq!(content(d.at("other/l")), b"right");
    assert_eq!(content("other/l"), b"right");
    Ok(())
}

fn links_to_directories_are_walked_through(d: &Dir) -> Outcome {
    d.dir("dir");
    sys::symlink("dir", d.at("l"))?;
    d.file("l/f", b"abc");
    d.dir("l/sub");
    sys::rename(d.at("l/f"), d.at("l/sub/g"))?;
    assert_eq!(content(d.at("dir/sub/g")), b"abc");
    sys::unlink(d.at("l/sub/g"))?;
    sys::rmdir(d.at("l/sub"))?;
    assert!(sys::names_in(d.at("l"))?.is_empty());
    Ok(())
}

fn dotdot_after_a_link_is_the_parent_of_its_target(d: &Dir) -> Outcome {
    d.dir("a");
    d.dir("a/b");
    d.dir("c");
    d.file("a/f", b"of a");
    d.file("f", b"of the top");
    sys::symlink("../a/b", d.at("c/l"))?;
    assert_eq!(content(d.at("c/l/../f")), b"of a");
    Ok(())
}

fn absolute_targets_inside_are_followed(d: &Dir) -> Outcome {
    d.dir("dir");
    d.file("f", b"abc");
    sys::symlink(d.at("f"), d.at("dir/l"))?;
    sys::symlink(d.path(), d.at("dir/up"))?;
    assert_eq!(content(d.at("dir/l")), b"abc");
    assert_eq!(content(d.at("dir/up/dir/up/f")), b"abc");
    Ok(())
}

fn long_targets_are_kept_whole(d: &Dir) -> Outcome {
    let target = "t/".repeat(2047);
    sys::symlink(&target, d.at("l"))?;
    assert_eq!(sys::readlink(d.at("l"), 5000)?, *target);
    assert_eq!(sys::lstat(d.at("l"))?.st_size, 4094);
    Ok(())
}

fn trailing_slash_follows_the_link(d: &Dir) -> Outcome {
    d.dir("dir");
    sys::symlink("dir", d.at("l"))?;
    assert_eq!(
        sys::lstat(d.at("l/"))?.st_mode & libc::S_IFMT,
        libc::S_IFDIR
    );
    fails!(EINVAL, sys::readlink(d.at("l/"), 10));
    fails!(ENOTDIR, sys::unlink(d.at("l/")));
    fails!(ENOTDIR, sys::rmdir(d.at("l/")));
    Ok(())
}

fn realpath_resolves_links_dots_and_slashes(d: &Dir) -> Outcome {
    d.dir("a");
    d.dir("a/b");
    d.file("a/b/f", b"");
    sys::symlink("a", d.at("l"))?;
    sys::symlink("b/f", d.at("a/m"))?;
    let expected = d.at("a/b/f").into_os_string();
    assert_eq!(sys::realpath(d.at("l//./b/../m"))?, expected);
    assert_eq!(sys::realpath("l/b/f")?, expected);
    assert_eq!(sys::realpath(".")?, d.path().as_os_str());
    Ok(())
}

fn realpath_errors(d: &Dir) -> Outcome {
    d.file("f", b"");
    sys::symlink("loop", d.at("loop"))?;
    fails!(ENOENT, sys::realpath(d.at("no")));
    fails!(ENOENT, sys::realpath(""));
    fails!(ENOTDIR, sys::realpath(d.at("f/x")));
    fails!(ELOOP, sys::realpath(d.at("loop")));
    Ok(())
}

fn symlinkat_is_relative(d: &Dir) -> Outcome {
    d.dir("dir");
    let dir = sys::open(d.at("dir"), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    sys::symlinkat("target", &dir, "l")?;
    assert_eq!(sys::readlinkat(&dir, "l", 100)?, "target");
    assert_eq!(sys::readlink(d.at("dir/l"), 100)?, "target");
    Ok(())
}

fn links_of_links_are_followed(d: &Dir) -> Outcome {
    d.file("f", b"abc");
    sys::symlink("f", d.at("one"))?;
    sys::symlink("one", d.at("two"))?;
    sys::symlink(d.at("two"), d.at("three"))?;
    assert_eq!(content(d.at("three")), b"abc");
    sys::chmod(d.at("three"), 0o600)?;
    assert_eq!(sys::stat(d.at("f"))?.st_mode & 0o777, 0o600);
    Ok(())
}

fn target_bytes_are_not_interpreted(d: &Dir) -> Outcome {
    use std::os::unix::ffi::OsStrExt;
    let target = std::ffi::OsStr::from_bytes(b"\xff\x01\n\xfe");
    sys::symlink(target, d.at("l"))?;
    assert_eq!(sys::readlink(d.at("l"), 100)?, target);
    Ok(())
}
