//! `fcntl` and `ioctl` on files, beyond duplicates and locks.

use crate::case::{Dir, Outcome, cases, fails, skip};
use crate::sys;
use libc::{O_DIRECTORY, O_EXCL, O_PATH, O_RDONLY, O_RDWR, O_TMPFILE};

cases![
    a_hint_on_the_life_of_what_is_written_is_kept,
    an_open_file_has_its_own_owner_and_signal,
    to_be_told_of_nothing_is_granted_to_all,
    nothing_is_sealed,
    a_file_without_a_name_says_how_it_was_made,
    descriptors_of_paths_are_ebadf_to_everything,
    the_space_of_a_file_can_be_asked_for,
    more_flags_can_be_asked_for_and_left_as_they_are,
    a_file_system_has_an_identity,
    whether_an_opening_made_the_file_can_be_asked,
];

const F_GET_RW_HINT: i32 = 1035;
const F_SET_RW_HINT: i32 = 1036;

fn a_hint_on_the_life_of_what_is_written_is_kept(d: &Dir) -> Outcome {
    let (fd, other) = (d.open("f", b""), d.open("g", b""));
    let ask = |fd: &sys::Fd| {
        let mut hint = 77_u64;
        sys::fcntl_at(fd, F_GET_RW_HINT, &mut hint).map(|_| hint)
    };
    assert_eq!(ask(&fd)?, 0);
    for hint in [2_u64, 5, 0, 3] {
        sys::fcntl_at(&fd, F_SET_RW_HINT, &mut hint.clone())?;
        assert_eq!((ask(&fd)?, ask(&other)?), (hint, 0));
    }
    assert_eq!(ask(&sys::open(d.at("f"), O_RDONLY, 0)?)?, 3, "it is the file's");
    fails!(EINVAL, sys::fcntl_at(&fd, F_SET_RW_HINT, &mut 6_u64));
    fails!(EINVAL, sys::fcntl_at(&fd, F_SET_RW_HINT, &mut (1_u64 << 32)));
    fails!(EFAULT, sys::fcntl(&fd, F_GET_RW_HINT, 1));
    fails!(EFAULT, sys::fcntl(&fd, F_SET_RW_HINT, 1));
    Ok(())
}

fn an_open_file_has_its_own_owner_and_signal(d: &Dir) -> Outcome {
    const F_SETSIG: i32 = 10;
    const F_GETSIG: i32 = 11;
    let (one, two) = (d.open("f", b""), d.open("f", b""));
    let copy = sys::dup(&one)?;
    let me = std::process::id().cast_signed();
    sys::fcntl(&one, libc::F_SETOWN, me)?;
    sys::fcntl(&one, F_SETSIG, libc::SIGUSR1)?;
    let told = |fd: &sys::Fd| Ok::<_, sys::Errno>((sys::fcntl(fd, libc::F_GETOWN, 0)?, sys::fcntl(fd, F_GETSIG, 0)?));
    assert_eq!(told(&one)?, (me, libc::SIGUSR1));
    assert_eq!(told(&copy)?, (me, libc::SIGUSR1), "a duplicate is the same open file");
    assert_eq!(told(&two)?, (0, 0));
    assert_eq!(told(&sys::open(d.at("f"), O_RDWR, 0)?)?, (0, 0));
    sys::fcntl(&copy, libc::F_SETOWN, 0)?;
    assert_eq!(told(&one)?, (0, libc::SIGUSR1));
    fails!(EINVAL, sys::fcntl(&one, F_SETSIG, 99));
    Ok(())
}

fn to_be_told_of_nothing_is_granted_to_all(d: &Dir) -> Outcome {
    const DN_MULTISHOT: i32 = i32::MIN;
    let (fd, dir) = (d.open("f", b""), sys::open(d.path(), O_RDONLY, 0)?);
    for what in [0, DN_MULTISHOT] {
        assert_eq!(sys::fcntl(&fd, libc::F_NOTIFY, what)?, 0);
        assert_eq!(sys::fcntl(&dir, libc::F_NOTIFY, what)?, 0);
    }
    fails!(ENOTDIR, sys::fcntl(&fd, libc::F_NOTIFY, 2));
    Ok(())
}

fn nothing_is_sealed(d: &Dir) -> Outcome {
    let (fd, dir) = (d.open("f", b""), sys::open(d.path(), O_RDONLY, 0)?);
    fails!(EPERM, sys::fcntl(&fd, libc::F_ADD_SEALS, libc::F_SEAL_WRITE));
    fails!(EPERM, sys::fcntl(&dir, libc::F_ADD_SEALS, 0));
    fails!(EINVAL, sys::fcntl(&dir, libc::F_GET_SEALS, 0));
    Ok(())
}

fn a_file_without_a_name_says_how_it_was_made(d: &Dir) -> Outcome {
    for more in [0, O_EXCL] {
        let fd = sys::open(d.path(), O_TMPFILE | O_RDWR | more, 0o600)?;
        assert_eq!(sys::fcntl(&fd, libc::F_GETFL, 0)? & (O_TMPFILE | O_DIRECTORY | O_EXCL), O_TMPFILE);
        assert_eq!(sys::write(&fd, b"bytes")?, 5);
        let again = sys::open(format!("/proc/self/fd/{}", sys::Raw::raw(&fd)), O_RDONLY, 0)?;
        assert_eq!(sys::read(&again, &mut [0; 9])?, 5);
    }
    Ok(())
}

fn descriptors_of_paths_are_ebadf_to_everything(d: &Dir) -> Outcome {
    d.file("f", b"bytes");
    let path = sys::open(d.at("f"), O_PATH, 0)?;
    for request in [libc::FIONBIO, libc::FIOCLEX, libc::FIONREAD, 0x5401, 0x8008_6601] {
        fails!(EBADF, sys::ioctl_at(&path, request, &mut 0_u64));
    }
    fails!(EBADF, sys::fallocate(&path, 0, 0, 0));
    fails!(EINVAL, sys::flock(&path, 3));
    fails!(EBADF, sys::flock(&path, libc::LOCK_SH));
    assert_eq!(sys::fcntl(&path, libc::F_GETFL, 0)? & O_PATH, O_PATH);
    Ok(())
}

fn the_space_of_a_file_can_be_asked_for(d: &Dir) -> Outcome {
    const FIOQSIZE: u64 = 0x5460;
    let fd = d.open("f", b"bytes");
    sys::ftruncate(&fd, 1 << 20)?;
    let mut space = 0_u64;
    match sys::ioctl_at(&fd, FIOQSIZE, &mut space) {
        Err(sys::ENOTTY) => return skip("not on this machine"),
        answer => answer?,
    };
    assert_eq!(space, sys::fstat(&fd)?.st_blocks as u64 * 512);
    fails!(ENOTTY, sys::ioctl_at(&sys::open(d.path(), O_RDONLY, 0)?, 1, &mut 0_u64));
    Ok(())
}

fn more_flags_can_be_asked_for_and_left_as_they_are(d: &Dir) -> Outcome {
    const FS_IOC_FSGETXATTR: u64 = 0x801c_581f;
    const FS_IOC_FSSETXATTR: u64 = 0x401c_5820;
    let (fd, dir) = (d.open("f", b""), sys::open(d.path(), O_RDONLY, 0)?);
    for fd in [&fd, &dir] {
        let mut flags = [77_u32; 7];
        match sys::ioctl_at(fd, FS_IOC_FSGETXATTR, &mut flags) {
            Err(sys::ENOTTY) => return skip("not on this file system"),
            answer => answer?,
        };
        assert_eq!(flags, [0; 7]);
        sys::ioctl_at(fd, FS_IOC_FSSETXATTR, &mut flags)?;
        let mut project = [0, 0, 0, 5, 0, 0, 0];
        fails!(EOPNOTSUPP, sys::ioctl_at(fd, FS_IOC_FSSETXATTR, &mut project));
    }
    fails!(EBADF, sys::ioctl_at(&sys::open(d.at("f"), O_PATH, 0)?, FS_IOC_FSGETXATTR, &mut [0_u32; 7]));
    Ok(())
}

fn a_file_system_has_an_identity(d: &Dir) -> Outcome {
    const FS_IOC_GETFSUUID: u64 = 0x8011_1500;
    let (fd, dir) = (d.open("f", b""), sys::open(d.path(), O_RDONLY, 0)?);
    let ask = |fd: &sys::Fd| {
        let mut answer = [0_u8; 17];
        sys::ioctl_at(fd, FS_IOC_GETFSUUID, &mut answer).map(|_| answer)
    };
    let answer = match ask(&fd) {
        Err(sys::ENOTTY) => return skip("a kernel before 6.9"),
        answer => answer?,
    };
    assert_eq!((answer[0], answer), (16, ask(&dir)?));
    assert_ne!(answer[1..], [0; 16]);
    Ok(())
}

fn whether_an_opening_made_the_file_can_be_asked(d: &Dir) -> Outcome {
    const F_CREATED_QUERY: i32 = 1028;
    let made = sys::open(d.at("f"), libc::O_CREAT | O_RDWR, 0o644)?;
    let first = match sys::fcntl(&made, F_CREATED_QUERY, 0) {
        Err(sys::EINVAL) => return skip("a kernel before 6.12"),
        answer => answer?,
    };
    let found = sys::open(d.at("f"), libc::O_CREAT | O_RDWR, 0o644)?;
    let path = sys::open(d.at("f"), O_PATH, 0)?;
    let ask = |fd: &sys::Fd| sys::fcntl(fd, F_CREATED_QUERY, 0);
    assert_eq!((first, ask(&sys::dup(&made)?)?, ask(&found)?, ask(&path)?), (1, 1, 0, 0));
    assert_eq!(sys::fcntl(&made, libc::F_GETFL, 0)?, sys::fcntl(&found, libc::F_GETFL, 0)?);
    Ok(())
}
