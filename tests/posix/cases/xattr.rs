//! Extended attributes in the `user.` space.

use crate::case::{Dir, Outcome, Stop, cases, fails, skip};
use crate::sys;
use libc::{XATTR_CREATE, XATTR_REPLACE};
use std::path::PathBuf;

cases![
    set_get_list_remove,
    missing_attribute_is_enodata,
    small_buffer_is_erange_and_no_buffer_asks_the_size,
    create_and_replace_are_checked,
    values_of_all_bytes_and_of_none,
    attributes_follow_the_file,
    names_without_a_known_space_are_refused,
    too_large_values_are_refused,
    symlinks_carry_no_user_attributes,
    directories_carry_attributes,
    setting_changes_ctime_alone,
    errors,
    what_is_no_set_of_capabilities_is_refused,
    reading_needs_permission,
];

/// A file that can carry attributes, or the reason to skip.
fn subject(d: &Dir) -> Result<PathBuf, Stop> {
    let path = d.file("f", b"");
    match sys::setxattr(&path, "user.probe", b"x", 0) {
        Err(sys::EOPNOTSUPP) => Err(Stop::Skipped(
            "no user attributes here (tmpfs: since Linux 6.6)".to_owned(),
        )),
        Err(errno) => Err(errno.into()),
        Ok(()) => {
            sys::removexattr(&path, "user.probe")?;
            Ok(path)
        }
    }
}

fn set_get_list_remove(d: &Dir) -> Outcome {
    let path = subject(d)?;
    sys::setxattr(&path, "user.one", b"first", 0)?;
    sys::setxattr(&path, "user.two", b"second", 0)?;
    assert_eq!(sys::getxattr(&path, "user.one", 100)?.1, b"first");
    let (_, list) = sys::listxattr(&path, 1000)?;
    let mut names: Vec<&[u8]> = list.split(|byte| *byte == 0).collect();
    names.retain(|name| name.starts_with(b"user."));
    names.sort();
    assert_eq!(names, [b"user.one", b"user.two"]);
    sys::removexattr(&path, "user.one")?;
    fails!(ENODATA, sys::getxattr(&path, "user.one", 100));
    assert_eq!(sys::getxattr(&path, "user.two", 100)?.1, b"second");
    Ok(())
}

fn missing_attribute_is_enodata(d: &Dir) -> Outcome {
    let path = subject(d)?;
    fails!(ENODATA, sys::getxattr(&path, "user.no", 10));
    fails!(ENODATA, sys::removexattr(&path, "user.no"));
    Ok(())
}

fn small_buffer_is_erange_and_no_buffer_asks_the_size(d: &Dir) -> Outcome {
    let path = subject(d)?;
    sys::setxattr(&path, "user.a", b"12345", 0)?;
    fails!(ERANGE, sys::getxattr(&path, "user.a", 4));
    assert_eq!(sys::getxattr(&path, "user.a", 0)?.0, 5);
    assert_eq!(sys::getxattr(&path, "user.a", 5)?.1, b"12345");
    fails!(ERANGE, sys::listxattr(&path, 3));
    assert!(sys::listxattr(&path, 0)?.0 >= 7);
    Ok(())
}

fn create_and_replace_are_checked(d: &Dir) -> Outcome {
    let path = subject(d)?;
    fails!(ENODATA, sys::setxattr(&path, "user.a", b"1", XATTR_REPLACE));
    sys::setxattr(&path, "user.a", b"1", XATTR_CREATE)?;
    fails!(EEXIST, sys::setxattr(&path, "user.a", b"2", XATTR_CREATE));
    sys::setxattr(&path, "user.a", b"3", XATTR_REPLACE)?;
    assert_eq!(sys::getxattr(&path, "user.a", 10)?.1, b"3");
    fails!(EINVAL, sys::setxattr(&path, "user.a", b"4", 77));
    Ok(())
}

fn values_of_all_bytes_and_of_none(d: &Dir) -> Outcome {
    let path = subject(d)?;
    let all: Vec<u8> = (0..=255).collect();
    sys::setxattr(&path, "user.all", &all, 0)?;
    assert_eq!(sys::getxattr(&path, "user.all", 1000)?.1, all);
    sys::setxattr(&path, "user.none", b"", 0)?;
    assert_eq!(sys::getxattr(&path, "user.none", 10)?.0, 0);
    Ok(())
}

fn attributes_follow_the_file(d: &Dir) -> Outcome {
    let path = subject(d)?;
    let fd = sys::open(&path, libc::O_RDONLY, 0)?;
    sys::setxattr(&path, "user.a", b"kept", 0)?;
    sys::rename(&path, d.at("g"))?;
    sys::link(d.at("g"), d.at("h"))?;
    assert_eq!(sys::getxattr(d.at("h"), "user.a", 10)?.1, b"kept");
    sys::fork(|| {
        assert_eq!(
            sys::getxattr(d.at("g"), "user.a", 10).expect("get").1,
            b"kept"
        )
    })
    .succeeds();
    sys::unlink(d.at("g"))?;
    sys::unlink(d.at("h"))?;
    assert_eq!(sys::fgetxattr(&fd, "user.a", 10)?.1, b"kept");
    Ok(())
}

fn names_without_a_known_space_are_refused(d: &Dir) -> Outcome {
    let path = subject(d)?;
    fails!(EOPNOTSUPP, sys::setxattr(&path, "nospace", b"x", 0));
    fails!(EOPNOTSUPP, sys::setxattr(&path, "other.name", b"x", 0));
    fails!(EINVAL, sys::setxattr(&path, "user.", b"x", 0));
    Ok(())
}

fn too_large_values_are_refused(d: &Dir) -> Outcome {
    let path = subject(d)?;
    fails!(E2BIG, sys::setxattr(&path, "user.a", &vec![1; 65_537], 0));
    let name = format!("user.{}", "n".repeat(251));
    fails!(ERANGE, sys::setxattr(&path, &name, b"x", 0));
    Ok(())
}

fn symlinks_carry_no_user_attributes(d: &Dir) -> Outcome {
    let path = subject(d)?;
    sys::symlink("f", d.at("l"))?;
    sys::setxattr(d.at("l"), "user.a", b"x", 0)?;
    assert_eq!(sys::getxattr(path, "user.a", 10)?.1, b"x");
    Ok(())
}

fn directories_carry_attributes(d: &Dir) -> Outcome {
    subject(d)?;
    let dir = d.dir("dir");
    sys::setxattr(&dir, "user.a", b"x", 0)?;
    assert_eq!(sys::getxattr(&dir, "user.a", 10)?.1, b"x");
    Ok(())
}

fn setting_changes_ctime_alone(d: &Dir) -> Outcome {
    let path = subject(d)?;
    sys::utimensat(&path, (5, 0), (5, 0), 0)?;
    let before = sys::stat(&path)?;
    std::thread::sleep(std::time::Duration::from_millis(20));
    sys::setxattr(&path, "user.a", b"x", 0)?;
    let after = sys::stat(&path)?;
    assert_eq!(after.st_mtime, 5);
    assert!((after.st_ctime, after.st_ctime_nsec) > (before.st_ctime, before.st_ctime_nsec));
    Ok(())
}

fn errors(d: &Dir) -> Outcome {
    fails!(ENOENT, sys::setxattr(d.at("no"), "user.a", b"x", 0));
    fails!(ENOENT, sys::getxattr(d.at("no"), "user.a", 10));
    fails!(ENOENT, sys::listxattr(d.at("no"), 10));
    fails!(EBADF, sys::fgetxattr(-1, "user.a", 10));
    if !sys::is_root() {
        return skip("the rest needs a second user");
    }
    let path = subject(d)?;
    sys::chmod(&path, 0o644)?;
    sys::fork(|| {
        sys::become_user(65534).expect("setresuid");
        fails!(EACCES, sys::setxattr(&path, "user.a", b"x", 0));
        fails!(ENODATA, sys::getxattr(&path, "user.a", 10));
    })
    .succeeds();
    Ok(())
}

fn what_is_no_set_of_capabilities_is_refused(d: &Dir) -> Outcome {
    if !sys::is_root() {
        return skip("not root");
    }
    const NAME: &str = "security.capability";
    let path = d.file("f", b"");
    let set = |revision: u8, length: usize| {
        let mut value = vec![0_u8; length];
        if let Some(last) = value.get_mut(3) {
            *last = revision;
        }
        sys::setxattr(&path, NAME, &value, 0)
    };
    for (revision, length) in [(0, 1), (1, 12), (2, 12), (3, 20), (2, 24), (9, 20), (2, 21)] {
        fails!(EINVAL, set(revision, length));
    }
    fails!(ENODATA, sys::getxattr(&path, NAME, 100));
    set(2, 20)?;
    assert_eq!(sys::getxattr(&path, NAME, 100)?.1.len(), 20);
    set(3, 24)?;
    Ok(())
}

fn reading_needs_permission(d: &Dir) -> Outcome {
    if !sys::is_root() {
        return skip("not root");
    }
    let path = subject(d)?;
    sys::setxattr(&path, "user.a", b"x", 0)?;
    sys::setxattr(&path, "trusted.b", b"y", 0)?;
    sys::chmod(&path, 0o600)?;
    sys::fork(|| {
        sys::become_user(65534).expect("setresuid");
        fails!(EACCES, sys::getxattr(&path, "user.a", 10));
        fails!(ENODATA, sys::getxattr(&path, "trusted.b", 10));
        let (length, names) = sys::listxattr(&path, 1000).expect("listxattr");
        assert_eq!(&names[..length], b"user.a\0", "others are not told of what is trusted");
    })
    .succeeds();
    Ok(())
}
