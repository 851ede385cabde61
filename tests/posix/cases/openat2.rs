//! `openat2`: ways of resolving that keep a walk where it may go.

use crate::case::{Dir, Outcome, cases, content, fails, skip};
use crate::sys::{self, Fd, How, Raw, Sys};

cases![
    beneath_leads_nowhere_above_the_directory,
    in_root_takes_the_directory_for_the_root,
    no_symlinks_follows_none,
    no_magiclinks_follows_none_of_the_kernels,
    no_xdev_stays_in_the_file_system,
    files_are_made_where_the_walk_may_go,
    cached_opens_what_is_there_and_makes_nothing,
    what_means_nothing_is_refused,
    a_longer_structure_is_taken_if_the_rest_is_zero,
    the_root_of_the_file_system_is_no_way_out,
];

const BENEATH: u64 = libc::RESOLVE_BENEATH;
const IN_ROOT: u64 = libc::RESOLVE_IN_ROOT;
const NO_SYMLINKS: u64 = libc::RESOLVE_NO_SYMLINKS;
const NO_MAGICLINKS: u64 = libc::RESOLVE_NO_MAGICLINKS;
const NO_XDEV: u64 = libc::RESOLVE_NO_XDEV;
const CACHED: u64 = libc::RESOLVE_CACHED;

fn how(flags: i32, mode: u64, resolve: u64) -> How {
    How { flags: flags as u64, mode, resolve }
}

fn read_in(dir: &Fd, path: &str, resolve: u64) -> Sys<Fd> {
    sys::openat2(dir, path, how(libc::O_RDONLY, 0, resolve))
}

fn says(fd: Sys<Fd>, text: &[u8]) {
    let mut bytes = [0; 16];
    let count = sys::read(fd.expect("it opens"), &mut bytes).expect("read");
    assert_eq!(&bytes[..count], text);
}

/// `top/` with `f`, `sub/g` and links; `f` beside `top` says something else.
fn tree(d: &Dir) -> Sys<Fd> {
    d.dir("top");
    d.dir("top/sub");
    d.file("f", b"above");
    d.file("top/f", b"in top");
    d.file("top/sub/g", b"in sub");
    sys::symlink("sub/../f", d.at("top/there"))?;
    sys::symlink("../f", d.at("top/up"))?;
    sys::symlink("../../f", d.at("top/sub/upper"))?;
    sys::symlink("/f", d.at("top/absolute"))?;
    sys::symlink("sub", d.at("top/way"))?;
    sys::symlink(d.at("f"), d.at("top/whole"))?;
    let top = sys::open(d.at("top"), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    match read_in(&top, "f", 0) {
        Err(sys::ENOSYS) => Err(sys::ENOSYS),
        _ => Ok(top),
    }
}

macro_rules! tree {
    ($d:expr) => {
        match tree($d) {
            Err(sys::ENOSYS) => return skip("this kernel has no openat2"),
            other => other?,
        }
    };
}

fn beneath_leads_nowhere_above_the_directory(d: &Dir) -> Outcome {
    let top = tree!(d);
    says(read_in(&top, "f", BENEATH), b"in top");
    says(read_in(&top, "sub/../f", BENEATH), b"in top");
    says(read_in(&top, "./way/g", BENEATH), b"in sub");
    says(read_in(&top, "there", BENEATH), b"in top");
    read_in(&top, ".", BENEATH)?;
    read_in(&top, "sub/..", BENEATH)?;
    for path in ["..", "../f", "../top/f", "sub/../../f", "up", "sub/upper", "absolute", "whole", "/", "/etc"] {
        fails!(EXDEV, read_in(&top, path, BENEATH));
    }
    fails!(EXDEV, read_in(&top, d.at("top/f").to_str().expect("UTF-8"), BENEATH));
    fails!(ENOENT, read_in(&top, "missing", BENEATH));
    fails!(ENOENT, read_in(&top, "missing/../f", BENEATH));
    fails!(ENOTDIR, read_in(&top, "f/../..", BENEATH));
    // What is not followed leads nowhere.
    sys::openat2(&top, "absolute", how(libc::O_PATH | libc::O_NOFOLLOW, 0, BENEATH))?;
    let file = sys::open(d.at("top/f"), libc::O_RDONLY, 0)?;
    fails!(ENOTDIR, read_in(&file, "f", BENEATH));
    // The working directory is such a directory, too.
    sys::chdir("top")?;
    let here = |path| sys::openat2(libc::AT_FDCWD, path, how(libc::O_RDONLY, 0, BENEATH));
    says(here("sub/g"), b"in sub");
    fails!(EXDEV, here("../f"));
    Ok(())
}

fn in_root_takes_the_directory_for_the_root(d: &Dir) -> Outcome {
    let top = tree!(d);
    for path in ["f", "/f", "//f", "../f", "../../../f", "sub/../../f", "up", "sub/upper", "absolute", "/absolute", "/way/../f", "there"] {
        says(read_in(&top, path, IN_ROOT), b"in top");
    }
    says(read_in(&top, "/way/g", IN_ROOT), b"in sub");
    fails!(ENOENT, read_in(&top, "whole", IN_ROOT));
    let ino = |fd: Sys<Fd>| fd.and_then(|fd| sys::fstat(&fd)).map(|stat| stat.st_ino);
    let own = ino(read_in(&top, ".", 0));
    for path in ["/", "..", "/..", "sub/../..", "/."] {
        assert_eq!(ino(read_in(&top, path, IN_ROOT)), own, "{path}");
    }
    Ok(())
}

fn no_symlinks_follows_none(d: &Dir) -> Outcome {
    let top = tree!(d);
    says(read_in(&top, "sub/g", NO_SYMLINKS), b"in sub");
    says(read_in(&top, "../f", NO_SYMLINKS), b"above");
    for path in ["there", "way/g", "way/", "sub/upper", "absolute"] {
        fails!(ELOOP, read_in(&top, path, NO_SYMLINKS));
    }
    sys::openat2(&top, "there", how(libc::O_PATH | libc::O_NOFOLLOW, 0, NO_SYMLINKS))?;
    fails!(ELOOP, sys::openat2(&top, "way/g", how(libc::O_PATH | libc::O_NOFOLLOW, 0, NO_SYMLINKS)));
    says(sys::openat2(libc::AT_FDCWD, d.at("top/f"), how(libc::O_RDONLY, 0, NO_SYMLINKS)), b"in top");
    Ok(())
}

fn no_magiclinks_follows_none_of_the_kernels(d: &Dir) -> Outcome {
    let top = tree!(d);
    let fd = sys::open(d.at("f"), libc::O_RDONLY, 0)?;
    let link = format!("/proc/self/fd/{}", fd.raw());
    says(read_in(&top, &link, 0), b"above");
    for resolve in [NO_MAGICLINKS, NO_SYMLINKS, NO_MAGICLINKS | NO_SYMLINKS] {
        fails!(ELOOP, read_in(&top, &link, resolve));
        fails!(ELOOP, read_in(&top, &format!("/proc/self/fd/{}/f", top.raw()), resolve));
    }
    says(read_in(&top, "there", NO_MAGICLINKS), b"in top");
    says(read_in(&top, "whole", NO_MAGICLINKS), b"above");
    Ok(())
}

fn no_xdev_stays_in_the_file_system(d: &Dir) -> Outcome {
    let top = tree!(d);
    says(read_in(&top, "sub/g", NO_XDEV), b"in sub");
    says(read_in(&top, "up", NO_XDEV), b"above");
    says(read_in(&top, "../top/f", NO_XDEV), b"in top");
    let root = sys::open(d.root(), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    read_in(&root, ".", NO_XDEV)?;
    fails!(EXDEV, read_in(&root, "..", NO_XDEV));
    fails!(EXDEV, read_in(&root, "../etc", NO_XDEV));
    sys::symlink("/etc/passwd", d.at("top/away"))?;
    read_in(&top, "away", 0)?;
    fails!(EXDEV, read_in(&top, "away", NO_XDEV));
    Ok(())
}

fn files_are_made_where_the_walk_may_go(d: &Dir) -> Outcome {
    let top = tree!(d);
    let makes = how(libc::O_WRONLY | libc::O_CREAT, 0o640, BENEATH);
    let fd = sys::openat2(&top, "sub/new", makes)?;
    assert_eq!(sys::write(&fd, b"new"), Ok(3));
    assert_eq!(sys::fstat(&fd)?.st_mode & 0o7777, 0o640);
    assert_eq!(content(d.at("top/sub/new")), b"new");
    fails!(EXDEV, sys::openat2(&top, "../new", makes));
    fails!(ENOENT, sys::stat(d.at("new")));
    sys::symlink("/sub/made", d.at("top/dangling"))?;
    fails!(EXDEV, sys::openat2(&top, "dangling", makes));
    sys::openat2(&top, "dangling", How { resolve: IN_ROOT, ..makes })?;
    sys::stat(d.at("top/sub/made"))?;
    fails!(ELOOP, sys::openat2(&top, "dangling", How { resolve: NO_SYMLINKS, ..makes }));
    fails!(EEXIST, sys::openat2(&top, "f", how(libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL, 0o600, BENEATH)));
    Ok(())
}

fn cached_opens_what_is_there_and_makes_nothing(d: &Dir) -> Outcome {
    let top = tree!(d);
    match read_in(&top, "f", CACHED) {
        Err(sys::EINVAL) => return skip("this kernel has no RESOLVE_CACHED"),
        fd => says(fd, b"in top"),
    }
    fails!(EAGAIN, sys::openat2(&top, "new", how(libc::O_RDWR | libc::O_CREAT, 0o600, CACHED)));
    fails!(EAGAIN, sys::openat2(&top, "f", how(libc::O_RDWR | libc::O_TRUNC, 0, CACHED)));
    Ok(())
}

fn what_means_nothing_is_refused(d: &Dir) -> Outcome {
    let top = tree!(d);
    let open = |how| sys::openat2(&top, "f", how);
    for bad in [
        how(libc::O_RDONLY, 0, BENEATH | IN_ROOT),
        how(libc::O_RDONLY, 0, 1 << 20),
        how(libc::O_RDONLY, 0o600, 0),
        how(libc::O_RDWR | libc::O_CREAT, 0o10000, 0),
        How { flags: 1 << 40, mode: 0, resolve: 0 },
        How { flags: 1 << 30, mode: 0, resolve: 0 },
        how(libc::O_PATH | libc::O_RDWR, 0, 0),
        how(libc::O_PATH | libc::O_CREAT, 0o600, 0),
        how(libc::O_RDONLY | libc::O_TMPFILE, 0o600, 0),
        how(libc::O_RDWR | libc::O_TMPFILE & !libc::O_DIRECTORY, 0o600, 0),
    ] {
        fails!(EINVAL, open(bad));
    }
    fails!(ENOENT, sys::openat2(&top, "", how(libc::O_RDONLY, 0, BENEATH)));
    fails!(EBADF, sys::openat2(999, "f", how(libc::O_RDONLY, 0, BENEATH)));
    Ok(())
}

fn a_longer_structure_is_taken_if_the_rest_is_zero(d: &Dir) -> Outcome {
    let top = tree!(d);
    says(sys::openat2_sized(&top, "f", &[0; 3], 24), b"in top");
    says(sys::openat2_sized(&top, "f", &[0; 8], 64), b"in top");
    fails!(E2BIG, sys::openat2_sized(&top, "f", &[0, 0, 0, 0, 1], 40));
    fails!(EINVAL, sys::openat2_sized(&top, "f", &[0; 3], 16));
    fails!(EINVAL, sys::openat2_sized(&top, "f", &[0; 3], 0));
    fails!(E2BIG, sys::openat2_sized(&top, "f", &[0; 1024], 8192));
    Ok(())
}

/// `..` in the root leads outside, but not beneath it.
fn the_root_of_the_file_system_is_no_way_out(d: &Dir) -> Outcome {
    let _top = tree!(d);
    let root = sys::open(d.root(), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    fails!(EXDEV, read_in(&root, "..", BENEATH));
    fails!(EXDEV, read_in(&root, "../etc/passwd", BENEATH));
    fails!(ENOENT, read_in(&root, "../etc/passwd", IN_ROOT));
    let ino = sys::fstat(&root)?.st_ino;
    assert_eq!(sys::fstat(read_in(&root, "/..", IN_ROOT)?)?.st_ino, ino);
    sys::symlink("../../../../../../../../etc/passwd", d.at("top/far"))?;
    let top = sys::open(d.at("top"), libc::O_RDONLY, 0)?;
    fails!(EXDEV, read_in(&top, "far", BENEATH));
    fails!(ENOENT, read_in(&top, "far", IN_ROOT));
    Ok(())
}
