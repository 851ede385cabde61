//! What reading and writing are refused for, and in which order.

use crate::case::{Dir, Outcome, cases, content, fails};
use crate::sys;
use libc::{O_PATH, O_RDONLY, O_WRONLY, SYS_preadv2, SYS_pwritev2, SYS_readv, SYS_writev};

cases![
    memory_that_no_program_has_is_efault_whatever_there_is_to_move,
    lengths_that_leave_all_memory_are_efault,
    a_mode_that_forbids_it_is_ebadf_whatever_else_is_wrong,
    a_list_of_vectors_lies_at_any_address,
    of_no_bytes_nothing_more_is_asked,
    vectors_are_checked_before_any_is_used,
    what_nobody_waits_for_is_refused_by_flag,
    a_path_without_an_end_is_enametoolong,
    getcwd_by_number_looks_at_the_room_first,
    what_pathconf_is_asked_comes_before_the_path,
    what_is_asked_comes_before_the_path,
    splice_goes_through_the_right_end_of_a_pipe,
    chroot_is_refused_for_what_is_no_directory_of_ours,
    copies_end_where_numbers_do,
    what_is_copied_is_looked_at_before_how_it_is_open,
    nothing_is_moved_between_whatever_there_is,
];

/// Where no program has memory.
const NOWHERE: usize = usize::MAX;

fn memory_that_no_program_has_is_efault_whatever_there_is_to_move(d: &Dir) -> Outcome {
    let (fd, dir) = (d.open("f", b"bytes"), sys::open(d.path(), O_RDONLY, 0)?);
    for length in [0, 1] {
        fails!(EFAULT, sys::pread_to(&fd, NOWHERE, length, 0));
        fails!(EFAULT, sys::pread_to(&fd, NOWHERE, length, 100));
        fails!(EFAULT, sys::read_to(&dir, NOWHERE, length));
        fails!(EFAULT, sys::write_from(&fd, NOWHERE, length));
    }
    assert_eq!(sys::pread_to(&fd, 0x1_0000, 5, 100)?, 0, "that a program could have");
    assert_eq!(content(d.at("f")), b"bytes");
    Ok(())
}

fn lengths_that_leave_all_memory_are_efault(d: &Dir) -> Outcome {
    let fd = d.open("f", b"bytes");
    // Not on the stack, which may lie less than 2 GiB below the end of all memory.
    let mut room = Box::new([0_u8; 8]);
    let at = room.as_mut_ptr().expose_provenance();
    for length in [isize::MAX as usize, isize::MAX as usize + 1, usize::MAX] {
        fails!(EFAULT, sys::read_to(&fd, at, length));
        fails!(EFAULT, sys::pread_to(&fd, at, length, 0));
        fails!(EFAULT, sys::write_from(&fd, at, length));
    }
    fails!(EFAULT, sys::readv_to(&fd, &[(at, isize::MAX as usize), (at, 1)]));
    assert_eq!(sys::readv_to(&fd, &[(at, isize::MAX as usize)])?, 5, "one alone is cut first");
    Ok(())
}

fn a_mode_that_forbids_it_is_ebadf_whatever_else_is_wrong(d: &Dir) -> Outcome {
    d.file("f", b"bytes");
    let (reads, writes) = (sys::open(d.at("f"), O_RDONLY, 0)?, sys::open(d.at("f"), O_WRONLY, 0)?);
    let (path, neither) = (sys::open(d.at("f"), O_PATH, 0)?, sys::open(d.at("f"), 3, 0)?);
    for fd in [&writes, &path, &neither] {
        fails!(EBADF, sys::read_to(fd, NOWHERE, usize::MAX));
        fails!(EBADF, sys::vectored(SYS_readv, fd, NOWHERE, -1, 0, 0));
        fails!(EBADF, sys::vectored(SYS_preadv2, fd, 0, 1, 0, 0x4000_0000));
    }
    for fd in [&reads, &path, &neither] {
        fails!(EBADF, sys::write_from(fd, NOWHERE, usize::MAX));
        fails!(EBADF, sys::pwrite(fd, b"x", i64::MAX));
        fails!(EBADF, sys::vectored(SYS_writev, fd, NOWHERE, -1, 0, 0));
        fails!(EBADF, sys::vectored(SYS_pwritev2, fd, 0, 1, 0, 0x4000_0000));
    }
    Ok(())
}

fn a_list_of_vectors_lies_at_any_address(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abcdef");
    let (mut one, mut two) = ([0_u8; 2], [0_u8; 4]);
    let words = [one.as_mut_ptr().expose_provenance(), 2, two.as_mut_ptr().expose_provenance(), 4];
    let mut list = vec![0_u8];
    list.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
    let at = list.as_ptr().expose_provenance() + 1;
    assert_eq!(sys::vectored(SYS_readv, &fd, at, 2, 0, 0)?, 6);
    assert_eq!((&one, &two), (b"ab", b"cdef"));
    assert_eq!(sys::vectored(SYS_writev, &fd, at, 2, 0, 0)?, 6);
    assert_eq!(content(d.at("f")), b"abcdefabcdef");
    Ok(())
}

fn of_no_bytes_nothing_more_is_asked(d: &Dir) -> Outcome {
    let (fd, dir) = (d.open("f", b"bytes"), sys::open(d.path(), O_RDONLY, 0)?);
    assert_eq!(sys::readv_to(&dir, &[])?, 0);
    assert_eq!(sys::readv_to(&dir, &[(0, 0), (0x1_0000, 0)])?, 0);
    fails!(EISDIR, sys::readv_to(&dir, &[(0x1_0000, 1)]));
    assert_eq!(sys::vectored(SYS_preadv2, &fd, 0, 0, 0, 0x4000_0000)?, 0);
    assert_eq!(sys::vectored(SYS_pwritev2, &fd, 0, 0, 0, 0x4000_0000)?, 0);
    Ok(())
}

fn vectors_are_checked_before_any_is_used(d: &Dir) -> Outcome {
    let fd = d.open("f", b"bytes");
    let mut room = *b".....";
    let at = room.as_mut_ptr().expose_provenance();
    fails!(EFAULT, sys::readv_to(&fd, &[(at, 5), (NOWHERE, 0)]));
    fails!(EFAULT, sys::writev_from(&fd, &[(at, 5), (NOWHERE, 0)]));
    fails!(EINVAL, sys::readv_to(&fd, &[(NOWHERE, 1), (at, usize::MAX)]));
    fails!(EINVAL, sys::vectored(SYS_readv, &fd, NOWHERE, 1025, 0, 0));
    fails!(EFAULT, sys::vectored(SYS_readv, &fd, NOWHERE, 1, 0, 0));
    assert_eq!((&room, content(d.at("f"))), (b".....", b"bytes".to_vec()));
    Ok(())
}

fn what_nobody_waits_for_is_refused_by_flag(d: &Dir) -> Outcome {
    let fd = d.open("f", b"bytes");
    fails!(EOPNOTSUPP, sys::preadv2(&fd, &mut [&mut [0; 1]], 0, libc::RWF_NOWAIT));
    fails!(EOPNOTSUPP, sys::pwritev2(&fd, &[b"x"], 0, libc::RWF_NOWAIT));
    assert_eq!(content(d.at("f")), b"bytes");
    Ok(())
}

fn a_path_without_an_end_is_enametoolong(d: &Dir) -> Outcome {
    let page = sys::page();
    let room = sys::anonymous(2 * page, libc::MAP_PRIVATE)?;
    room.protect(page, page, libc::PROT_NONE)?;
    sys::chdir(d.path())?;
    for byte in [b'a', b'/'] {
        room.put(0, &vec![byte; page]);
        for length in [4096, 4095, 1] {
            let at = room.address() + page - length;
            match length {
                4096 => fails!(ENAMETOOLONG, sys::open_at_address(at)),
                _ => fails!(EFAULT, sys::open_at_address(at)),
            }
        }
    }
    Ok(())
}

fn getcwd_by_number_looks_at_the_room_first(d: &Dir) -> Outcome {
    sys::chdir(d.path())?;
    let mut room = [0_u8; 4096];
    let at = room.as_mut_ptr().expose_provenance();
    fails!(ERANGE, sys::getcwd_by_number(at, 0));
    fails!(ERANGE, sys::getcwd_by_number(0, 0));
    fails!(ERANGE, sys::getcwd_by_number(0, 1));
    fails!(ERANGE, sys::getcwd_by_number(at, 1));
    fails!(EFAULT, sys::getcwd_by_number(0, 4096));
    assert!(sys::getcwd_by_number(at, 4096)? > 1);
    Ok(())
}

fn what_is_asked_comes_before_the_path(d: &Dir) -> Outcome {
    const NO_FLAG: i32 = 0x8000;
    let (file, missing) = (d.file("f", b""), d.at("no/name"));
    fails!(EINVAL, sys::access(&missing, 0o10));
    fails!(EINVAL, sys::fchownat(libc::AT_FDCWD, &missing, 0, 0, NO_FLAG));
    fails!(EINVAL, sys::statx(libc::AT_FDCWD, &missing, 0, u32::MAX));
    fails!(EINVAL, sys::renameat2(&missing, &missing, 1 << 3));
    fails!(EINVAL, sys::truncate(&missing, -1));
    fails!(EINVAL, sys::readlink(&missing, 0));
    fails!(EPERM, sys::mknod(&file, libc::S_IFDIR | 0o755, 0));
    fails!(EINVAL, sys::mknod(&file, libc::S_IFLNK | 0o755, 0));
    Ok(())
}

fn what_pathconf_is_asked_comes_before_the_path(d: &Dir) -> Outcome {
    d.file("f", b"");
    fails!(EINVAL, sys::pathconf(d.at("f/x"), -1));
    fails!(ENOTDIR, sys::pathconf(d.at("f/x"), libc::_PC_NAME_MAX));
    Ok(())
}

fn splice_goes_through_the_right_end_of_a_pipe(d: &Dir) -> Outcome {
    let (fd, (out, into)) = (d.open("f", b"bytes"), sys::pipe(0)?);
    fails!(EBADF, sys::splice(&fd, &mut None, &out, &mut None, 1));
    fails!(EBADF, sys::splice(&into, &mut None, &fd, &mut None, 1));
    assert_eq!(sys::splice(&fd, &mut None, &into, &mut None, 5)?, 5);
    Ok(())
}

fn chroot_is_refused_for_what_is_no_directory_of_ours(d: &Dir) -> Outcome {
    d.file("f", b"");
    fails!(ENOTDIR, sys::chroot(d.at("f")));
    fails!(ENOENT, sys::chroot(d.at("no")));
    if sys::is_root() {
        sys::chmod(d.path(), 0o755)?;
        sys::mkdir(d.at("closed"), 0o700)?;
        sys::become_user(65_534)?;
        fails!(EACCES, sys::chroot(d.at("closed")));
        fails!(EPERM, sys::chroot(d.path()));
    }
    Ok(())
}

fn copies_end_where_numbers_do(d: &Dir) -> Outcome {
    const MOST: i64 = i64::MAX;
    let (from, to) = (d.open("from", b"bytes"), d.open("to", b""));
    fails!(EFBIG, sys::copy_file_range(&from, &mut Some(0), &to, &mut Some(MOST), 10));
    fails!(EFBIG, sys::copy_file_range(&from, &mut Some(5), &to, &mut Some(MOST), 10));
    fails!(EOVERFLOW, sys::copy_file_range(&from, &mut Some(-1), &to, &mut Some(0), 10));
    fails!(EOVERFLOW, sys::copy_file_range(&from, &mut Some(0), &to, &mut Some(-1), 10));
    fails!(EINVAL, sys::sendfile(&to, &from, &mut Some(MOST), 10));
    fails!(EINVAL, sys::sendfile(&to, &from, &mut Some(-1), 10));
    sys::lseek(&to, MOST, libc::SEEK_SET)?;
    fails!(EINVAL, sys::sendfile(&to, &from, &mut Some(0), 10));
    assert_eq!(sys::fstat(&to)?.st_size, 0);
    Ok(())
}

fn what_is_copied_is_looked_at_before_how_it_is_open(d: &Dir) -> Outcome {
    d.file("f", b"bytes");
    let (reads, writes) = (sys::open(d.at("f"), O_RDONLY, 0)?, sys::open(d.at("f"), O_WRONLY, 0)?);
    let (dir, path) = (sys::open(d.path(), O_RDONLY, 0)?, sys::open(d.at("f"), O_PATH, 0)?);
    fails!(EISDIR, sys::copy_file_range(&writes, &mut Some(0), &dir, &mut Some(0), 1));
    fails!(EISDIR, sys::copy_file_range(&dir, &mut Some(0), &reads, &mut Some(0), 1));
    fails!(EBADF, sys::copy_file_range(&path, &mut Some(0), &dir, &mut Some(0), 1));
    fails!(EBADF, sys::copy_file_range(&dir, &mut Some(0), &path, &mut Some(0), 1));
    fails!(EBADF, sys::sendfile(&reads, &dir, &mut Some(0), 1));
    fails!(EBADF, sys::sendfile(&reads, &writes, &mut Some(-1), 1));
    fails!(EINVAL, sys::sendfile(&reads, &reads, &mut Some(-1), 1));
    fails!(EINVAL, sys::sendfile(&writes, &dir, &mut Some(0), 1));
    let (end, _other) = sys::pipe(0)?;
    fails!(ESPIPE, sys::sendfile(&writes, &end, &mut Some(0), 1));
    Ok(())
}

fn nothing_is_moved_between_whatever_there_is(d: &Dir) -> Outcome {
    let file = d.open("f", b"bytes");
    let path = sys::open(d.at("f"), O_PATH, 0)?;
    assert_eq!(sys::splice(&file, &mut None, &path, &mut None, 0)?, 0);
    assert_eq!(sys::splice(&path, &mut None, -1, &mut None, 0)?, 0);
    Ok(())
}
