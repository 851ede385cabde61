//! Access control lists, the attributes `system.posix_acl_*`: what they do to modes, permissions and what is made in a directory.

use crate::case::{Dir, Outcome, Stop, cases, fails, skip};
use crate::sys;
use libc::{O_CREAT, O_RDONLY, O_RDWR, O_TMPFILE, O_WRONLY, R_OK, W_OK, X_OK};
use std::path::{Path, PathBuf};

cases![
    a_list_is_kept_and_agrees_with_the_mode,
    a_list_that_the_mode_can_say_becomes_the_mode,
    lists_come_and_go_whatever_was_there,
    what_is_no_list_is_refused,
    a_list_decides_for_users_and_groups,
    a_list_decides_about_directories,
    what_is_made_in_a_directory_inherits_its_default_list,
    an_unnamed_file_inherits_it_too,
    only_the_owner_changes_it,
];

const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &str = "system.posix_acl_default";
const USER_OBJ: u16 = 1;
const USER: u16 = 2;
const GROUP_OBJ: u16 = 4;
const GROUP: u16 = 8;
const MASK: u16 = 16;
const OTHER: u16 = 32;
const NONE: u32 = u32::MAX;
/// Whom root becomes.
const PLAIN: u32 = 65534;

type Entry = (u16, u16, u32);

fn value(entries: &[Entry]) -> Vec<u8> {
    let entry = |&(tag, perm, id): &Entry| [&tag.to_le_bytes()[..], &perm.to_le_bytes(), &id.to_le_bytes()].concat();
    2u32.to_le_bytes().into_iter().chain(entries.iter().flat_map(entry)).collect()
}

/// Owner, one named user, group, mask, others.
fn list(owner: u16, user: (u16, u32), group: u16, mask: u16, other: u16) -> Vec<u8> {
    value(&[(USER_OBJ, owner, NONE), (USER, user.0, user.1), (GROUP_OBJ, group, NONE), (MASK, mask, NONE), (OTHER, other, NONE)])
}

/// A file on a file system with lists, or the reason to skip.
fn subject(d: &Dir) -> Result<PathBuf, Stop> {
    let path = d.file("f", b"content");
    match sys::setxattr(&path, ACCESS, &list(6, (4, 12), 4, 4, 4), 0) {
        Err(sys::EOPNOTSUPP) => Err(Stop::Skipped("no access control lists here".to_owned())),
        Err(errno) => Err(errno.into()),
        Ok(()) => {
            sys::removexattr(&path, ACCESS)?;
            sys::chmod(&path, 0o644)?;
            Ok(path)
        }
    }
}

fn mode(path: &Path) -> u32 {
    sys::stat(path).expect("stat").st_mode & 0o7777
}

fn get(path: &Path, name: &str) -> sys::Sys<Vec<u8>> {
    sys::getxattr(path, name, 1000).map(|(_, value)| value)
}

fn a_list_is_kept_and_agrees_with_the_mode(d: &Dir) -> Outcome {
    let f = subject(d)?;
    sys::setxattr(&f, ACCESS, &list(6, (7, 12), 4, 6, 0), 0)?;
    assert_eq!(mode(&f), 0o660, "the group's bits are the mask");
    assert_eq!(get(&f, ACCESS)?, list(6, (7, 12), 4, 6, 0));
    sys::chmod(&f, 0o751)?;
    assert_eq!((mode(&f), get(&f, ACCESS)?), (0o751, list(7, (7, 12), 4, 5, 1)));
    let names = sys::listxattr(&f, 1000)?.1;
    assert!(names.split(|b| *b == 0).any(|name| name == ACCESS.as_bytes()));
    sys::rename(&f, d.at("g"))?;
    assert_eq!(get(&d.at("g"), ACCESS)?, list(7, (7, 12), 4, 5, 1));
    Ok(())
}

fn a_list_that_the_mode_can_say_becomes_the_mode(d: &Dir) -> Outcome {
    let f = subject(d)?;
    sys::setxattr(&f, ACCESS, &list(6, (7, 12), 4, 6, 0), 0)?;
    sys::setxattr(&f, ACCESS, &value(&[(USER_OBJ, 5, NONE), (GROUP_OBJ, 1, NONE), (OTHER, 4, NONE)]), 0)?;
    assert_eq!(mode(&f), 0o514);
    fails!(ENODATA, get(&f, ACCESS));
    let with_mask = value(&[(USER_OBJ, 7, NONE), (GROUP_OBJ, 7, NONE), (MASK, 1, NONE), (OTHER, 0, NONE)]);
    sys::setxattr(&f, ACCESS, &with_mask, 0)?;
    assert_eq!((mode(&f), get(&f, ACCESS)?), (0o710, with_mask));
    Ok(())
}

fn lists_come_and_go_whatever_was_there(d: &Dir) -> Outcome {
    let f = subject(d)?;
    let dir = d.dir("dir");
    fails!(ENODATA, get(&f, ACCESS));
    sys::removexattr(&f, ACCESS)?;
    sys::removexattr(&dir, DEFAULT)?;
    let one = list(6, (7, 12), 4, 6, 0);
    sys::setxattr(&f, ACCESS, &one, libc::XATTR_REPLACE)?;
    sys::setxattr(&f, ACCESS, &one, libc::XATTR_CREATE)?;
    sys::removexattr(&f, ACCESS)?;
    assert_eq!(mode(&f), 0o660, "the mode stays");
    fails!(ENODATA, get(&f, ACCESS));
    sys::setxattr(&f, ACCESS, &one, 0)?;
    sys::setxattr(&f, ACCESS, b"", 0)?;
    fails!(ENODATA, get(&f, ACCESS));
    sys::setxattr(&dir, DEFAULT, &one, 0)?;
    assert_eq!((get(&dir, DEFAULT)?, mode(&dir)), (one, 0o755));
    sys::setxattr(&dir, DEFAULT, &value(&[]), 0)?;
    fails!(ENODATA, get(&dir, DEFAULT));
    Ok(())
}

fn what_is_no_list_is_refused(d: &Dir) -> Outcome {
    let f = subject(d)?;
    let (u, g, o) = ((USER_OBJ, 7, NONE), (GROUP_OBJ, 7, NONE), (OTHER, 7, NONE));
    let user = (USER, 7, 12);
    for wrong in [&[u, g][..], &[g, u, o], &[u, user, g, o], &[u, g, o, o], &[u, g, (OTHER, 8, NONE)], &[u, g, (64, 7, NONE)], &[u, (USER, 7, NONE), g, (MASK, 7, NONE), o]] {
        fails!(EINVAL, sys::setxattr(&f, ACCESS, &value(wrong), 0));
    }
    fails!(EINVAL, sys::setxattr(&f, ACCESS, b"abc", 0));
    fails!(EINVAL, sys::setxattr(&f, ACCESS, &value(&[u, g, o])[..27], 0));
    fails!(EOPNOTSUPP, sys::setxattr(&f, ACCESS, &[1, 0, 0, 0], 0));
    fails!(EINVAL, sys::setxattr(&f, ACCESS, &value(&[u, g, o]), 4));
    fails!(EACCES, sys::setxattr(&f, DEFAULT, &value(&[u, g, o]), 0));
    fails!(ENODATA, get(&f, DEFAULT));
    sys::removexattr(&f, DEFAULT)?;
    sys::setxattr(&f, ACCESS, &list(6, (7, 12), 4, 6, 0), 0)?;
    fails!(ERANGE, sys::getxattr(&f, ACCESS, 5));
    fails!(EOPNOTSUPP, sys::setxattr(&f, "system.other", b"x", 0));
    fails!(ENOENT, sys::setxattr(d.at("none"), ACCESS, &value(&[u, g, o]), 0));
    Ok(())
}

/// As the plain user, with `groups`.
fn as_plain(groups: &[u32], body: impl FnOnce()) {
    sys::fork(|| {
        sys::become_user_with(PLAIN, groups).expect("setresuid");
        body();
    })
    .succeeds();
}

fn a_list_decides_for_users_and_groups(d: &Dir) -> Outcome {
    let f = subject(d)?;
    if !sys::is_root() {
        return skip("needs root to choose users");
    }
    let may = |groups: &'static [u32], want: i32, verdict: bool| {
        let f = &f;
        as_plain(groups, move || {
            let flags = [0, 0, O_WRONLY, 0, O_RDONLY, 0, O_RDWR];
            assert_eq!(sys::access(f, want).is_ok(), verdict, "access {want}");
            if want & X_OK == 0 {
                assert_eq!(sys::open(f, flags[want as usize], 0).is_ok(), verdict, "open {want}");
            }
        });
    };
    // His own entry decides, and under the mask.
    sys::setxattr(&f, ACCESS, &list(7, (6, PLAIN), 7, 4, 7), 0)?;
    may(&[], R_OK, true);
    may(&[], W_OK, false);
    may(&[], X_OK, false);
    sys::chmod(&f, 0o767)?;
    may(&[], R_OK | W_OK, true);
    // Where the group's bits are clear the kernel does not look at the list.
    sys::chmod(&f, 0o707)?;
    may(&[], R_OK | W_OK, true);
    // Of groups, one that has all that is wanted; others' rights are not for members.
    let groups = value(&[(USER_OBJ, 7, NONE), (GROUP_OBJ, 4, NONE), (GROUP, 2, 77), (GROUP, 0, 78), (MASK, 7, NONE), (OTHER, 7, NONE)]);
    sys::setxattr(&f, ACCESS, &groups, 0)?;
    may(&[77], W_OK, true);
    may(&[77], R_OK, false);
    may(&[0, 77], R_OK, true);
    may(&[0, 77], R_OK | W_OK, false);
    may(&[78], R_OK, false);
    may(&[], R_OK | W_OK, true);
    // Times: whoever may write.
    as_plain(&[77], || sys::touch(&f).expect("a writer"));
    as_plain(&[78], || fails!(EACCES, sys::touch(&f)));
    Ok(())
}

fn a_list_decides_about_directories(d: &Dir) -> Outcome {
    subject(d)?;
    if !sys::is_root() {
        return skip("needs root to choose users");
    }
    let dir = d.dir("dir");
    d.file("dir/old", b"");
    sys::chmod(d.at("dir/old"), 0o666)?;
    sys::setxattr(&dir, ACCESS, &list(7, (7, PLAIN), 0, 7, 0), 0)?;
    as_plain(&[], || {
        sys::creat(d.at("dir/new"), 0o600).expect("he may write");
        sys::rename(d.at("dir/new"), d.at("dir/newer")).expect("and rename");
        sys::unlink(d.at("dir/newer")).expect("and remove");
        sys::opendir(&dir).expect("and list");
    });
    sys::setxattr(&dir, ACCESS, &list(7, (1, PLAIN), 7, 7, 7), 0)?;
    as_plain(&[], || {
        sys::open(d.at("dir/old"), O_RDWR, 0).expect("he may search");
        fails!(EACCES, sys::open(d.at("dir/new"), O_RDWR | O_CREAT, 0o600));
        fails!(EACCES, sys::unlink(d.at("dir/old")));
        fails!(EACCES, sys::opendir(&dir));
    });
    sys::setxattr(&dir, ACCESS, &list(7, (6, PLAIN), 7, 7, 7), 0)?;
    as_plain(&[], || fails!(EACCES, sys::stat(d.at("dir/old"))));
    Ok(())
}

fn what_is_made_in_a_directory_inherits_its_default_list(d: &Dir) -> Outcome {
    subject(d)?;
    let dir = d.dir("dir");
    let default = list(7, (6, 12), 5, 7, 0);
    sys::setxattr(&dir, DEFAULT, &default, 0)?;
    sys::umask(0o077);
    let seen = |name: &str| -> (u32, Vec<u8>) { (mode(&d.at(name)), get(&d.at(name), ACCESS).unwrap_or_default()) };
    sys::creat(d.at("dir/f"), 0o666)?;
    assert_eq!(seen("dir/f"), (0o660, list(6, (6, 12), 5, 6, 0)), "not the umask");
    fails!(ENODATA, get(&d.at("dir/f"), DEFAULT));
    sys::creat(d.at("dir/g"), 0o640)?;
    assert_eq!(seen("dir/g"), (0o640, list(6, (6, 12), 5, 4, 0)));
    sys::mkdir(d.at("dir/sub"), 0o777)?;
    assert_eq!(seen("dir/sub"), (0o770, list(7, (6, 12), 5, 7, 0)));
    assert_eq!(get(&d.at("dir/sub"), DEFAULT)?, default);
    sys::mkdir(d.at("dir/sub/sub"), 0o711)?;
    assert_eq!(seen("dir/sub/sub"), (0o710, list(7, (6, 12), 5, 1, 0)));
    sys::mkfifo(d.at("dir/fifo"), 0o600)?;
    assert_eq!(seen("dir/fifo"), (0o600, list(6, (6, 12), 5, 0, 0)));
    sys::symlink("f", d.at("dir/link"))?;
    // One that the mode can say.
    sys::setxattr(&dir, DEFAULT, &value(&[(USER_OBJ, 7, NONE), (GROUP_OBJ, 5, NONE), (OTHER, 4, NONE)]), 0)?;
    sys::creat(d.at("dir/plain"), 0o666)?;
    assert_eq!(seen("dir/plain"), (0o644, vec![]));
    sys::removexattr(&dir, DEFAULT)?;
    sys::creat(d.at("dir/late"), 0o666)?;
    assert_eq!(seen("dir/late"), (0o600, vec![]));
    Ok(())
}

fn an_unnamed_file_inherits_it_too(d: &Dir) -> Outcome {
    subject(d)?;
    let dir = d.dir("dir");
    sys::setxattr(&dir, DEFAULT, &list(7, (6, 12), 5, 7, 0), 0)?;
    let unnamed = sys::open(&dir, O_TMPFILE | O_RDWR, 0o666)?;
    assert_eq!(sys::fstat(&unnamed)?.st_mode & 0o7777, 0o660);
    assert_eq!(sys::fgetxattr(&unnamed, ACCESS, 100)?.1, list(6, (6, 12), 5, 6, 0));
    Ok(())
}

fn only_the_owner_changes_it(d: &Dir) -> Outcome {
    let f = subject(d)?;
    if !sys::is_root() {
        return skip("needs a second user");
    }
    sys::setxattr(&f, ACCESS, &list(7, (7, PLAIN), 7, 7, 7), 0)?;
    as_plain(&[], || {
        fails!(EPERM, sys::setxattr(&f, ACCESS, &list(7, (7, PLAIN), 7, 7, 0), 0));
        fails!(EPERM, sys::removexattr(&f, ACCESS));
        fails!(EINVAL, sys::setxattr(&f, ACCESS, b"abc", 0));
        assert_eq!(get(&f, ACCESS).expect("all may read it"), list(7, (7, PLAIN), 7, 7, 7));
    });
    Ok(())
}
