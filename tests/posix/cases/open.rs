//! What the flags of `open` do when it succeeds.

use crate::case::{Dir, Outcome, cases, content, fails, skip, write_all};
use crate::sys::{self, Raw};
use libc::{
    O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_PATH, O_RDONLY, O_RDWR, O_TMPFILE,
    O_TRUNC, O_WRONLY,
};

cases![
    creat_makes_an_empty_file,
    creat_truncates_what_exists,
    o_creat_keeps_what_exists,
    o_trunc_empties_the_file,
    o_trunc_with_read_only_empties_the_file,
    o_excl_makes_a_new_file,
    a_new_file_may_be_written_through_a_read_only_mode,
    o_path_serves_stat_but_neither_reads_nor_writes,
    nobody_waits_for_what_was_opened_with_o_path_wherever_it_goes,
    epoll_waits_for_no_file,
    o_path_with_nofollow_names_the_link_itself,
    o_path_directory_serves_the_at_calls,
    o_tmpfile_has_no_name_until_linked,
    o_tmpfile_with_excl_cannot_be_linked,
    openat_is_relative_to_its_directory,
    openat_ignores_the_directory_for_absolute_paths,
    directory_can_be_opened_for_reading,
    slashes_repeat_without_effect,
    dot_and_dotdot_resolve,
    mode_three_opens_but_neither_reads_nor_writes,
    mode_three_takes_no_locks,
    two_opens_have_offsets_of_their_own,
    o_path_takes_no_flags_and_no_locks,
    o_path_makes_nothing,
    a_device_is_opened_as_often_as_wanted,
];

fn creat_makes_an_empty_file(d: &Dir) -> Outcome {
    let fd = sys::creat(d.at("f"), 0o600)?;
    write_all(&fd, b"abc");
    fails!(EBADF, sys::read(&fd, &mut [0; 3]));
    fd.close()?;
    assert_eq!(content(d.at("f")), b"abc");
    Ok(())
}

fn creat_truncates_what_exists(d: &Dir) -> Outcome {
    let path = d.file("f", b"old content");
    sys::creat(&path, 0o600)?.close()?;
    assert_eq!(content(path), b"");
    Ok(())
}

fn o_creat_keeps_what_exists(d: &Dir) -> Outcome {
    let path = d.file("f", b"old");
    sys::open(&path, O_RDWR | O_CREAT, 0o600)?.close()?;
    assert_eq!(content(&path), b"old");
    assert_eq!(sys::stat(&path)?.st_mode & 0o777, 0o644, "the mode stays");
    Ok(())
}

fn o_trunc_empties_the_file(d: &Dir) -> Outcome {
    let path = d.file("f", b"old");
    sys::open(&path, O_WRONLY | O_TRUNC, 0)?.close()?;
    assert_eq!(sys::stat(path)?.st_size, 0);
    Ok(())
}

fn o_trunc_with_read_only_empties_the_file(d: &Dir) -> Outcome {
    let path = d.file("f", b"old");
    sys::open(&path, O_RDONLY | O_TRUNC, 0)?.close()?;
    assert_eq!(
        sys::stat(path)?.st_size,
        0,
        "as Linux does, unspecified by POSIX"
    );
    Ok(())
}

fn o_excl_makes_a_new_file(d: &Dir) -> Outcome {
    sys::open(d.at("f"), O_RDWR | O_CREAT | O_EXCL, 0o600)?.close()?;
    fails!(
        EEXIST,
        sys::open(d.at("f"), O_RDWR | O_CREAT | O_EXCL, 0o600)
    );
    Ok(())
}

fn a_new_file_may_be_written_through_a_read_only_mode(d: &Dir) -> Outcome {
    let fd = sys::open(d.at("f"), O_RDWR | O_CREAT, 0o400)?;
    write_all(&fd, b"abc");
    assert_eq!(content(d.at("f")), b"abc");
    Ok(())
}

fn o_path_serves_stat_but_neither_reads_nor_writes(d: &Dir) -> Outcome {
    let path = d.file("f", b"abc");
    let fd = sys::open(&path, O_PATH, 0)?;
    assert_eq!(sys::fstat(&fd)?.st_size, 3);
    assert_eq!(sys::fstat(&fd)?.st_ino, sys::stat(&path)?.st_ino);
    fails!(EBADF, sys::read(&fd, &mut [0; 3]));
    fails!(EBADF, sys::write(&fd, b"x"));
    fails!(EBADF, sys::ftruncate(&fd, 0));
    fails!(EBADF, sys::fchmod(&fd, 0o600));
    fails!(EBADF, sys::lseek(&fd, 0, libc::SEEK_SET));
    fails!(EBADF, sys::fsync(&fd));
    fails!(EBADF, sys::epoll_add(&fd));
    Ok(())
}

fn nobody_waits_for_what_was_opened_with_o_path_wherever_it_goes(d: &Dir) -> Outcome {
    let path = d.file("f", b"abc");
    let (here, there) = sys::socketpair()?;
    let elsewhere = sys::open("/", O_PATH, 0)?;
    let opened = sys::open(&path, O_PATH, 0)?;
    let expect = |fd: i32| {
        assert_eq!(sys::poll(fd, libc::POLLIN, 0).expect("asked"), libc::POLLNVAL);
        // Kernels differ in what they say here, on every file system.
        assert_eq!(sys::select(fd), sys::select(elsewhere.raw()));
        assert_eq!(sys::fstat(fd).expect("still known").st_size, 3);
    };
    expect(opened.raw());
    let copy = sys::dup(&opened)?;
    expect(copy.raw());
    opened.close()?;
    sys::fork(|| expect(copy.raw())).succeeds();
    let number = copy.raw().to_string();
    for _ in 0..2 {
        sys::fork_with(|| sys::exec_role(&["expect-path", &number, "3"]).0).succeeds();
    }
    let own = sys::pidfd_open(std::process::id() as i32)?;
    expect(sys::pidfd_getfd(own, copy.raw())?.raw());
    sys::send_fd(&here, &copy)?;
    expect(copy.raw());
    expect(sys::receive_fd(&there)?.raw());
    Ok(())
}

fn epoll_waits_for_no_file(d: &Dir) -> Outcome {
    fails!(EPERM, sys::epoll_add(d.open("f", b"")));
    fails!(EPERM, sys::epoll_add(sys::open(d.path(), libc::O_RDONLY, 0)?));
    Ok(())
}

fn o_path_with_nofollow_names_the_link_itself(d: &Dir) -> Outcome {
    sys::symlink("target", d.at("l"))?;
    let fd = sys::open(d.at("l"), O_PATH | O_NOFOLLOW, 0)?;
    assert_eq!(sys::fstat(&fd)?.st_mode & libc::S_IFMT, libc::S_IFLNK);
    assert_eq!(sys::readlinkat(&fd, "", 100)?, "target");
    Ok(())
}

fn o_path_directory_serves_the_at_calls(d: &Dir) -> Outcome {
    d.dir("sub");
    let dir = sys::open(d.at("sub"), O_PATH | O_DIRECTORY, 0)?;
    sys::openat(&dir, "f", O_WRONLY | O_CREAT, 0o600)?.close()?;
    assert_eq!(sys::fstatat(&dir, "f", 0)?.st_size, 0);
    sys::stat(d.at("sub/f"))?;
    Ok(())
}

fn o_tmpfile_has_no_name_until_linked(d: &Dir) -> Outcome {
    let fd = sys::open(d.path(), O_TMPFILE | O_RDWR, 0o600)?;
    assert_eq!(sys::fstat(&fd)?.st_nlink, 0);
    assert!(sys::names_in(d.path())?.is_empty());
    write_all(&fd, b"hidden");
    let name = format!("/proc/self/fd/{}", fd.raw());
    sys::linkat(
        libc::AT_FDCWD,
        name,
        libc::AT_FDCWD,
        d.at("shown"),
        libc::AT_SYMLINK_FOLLOW,
    )?;
    assert_eq!(sys::fstat(&fd)?.st_nlink, 1);
    fd.close()?;
    assert_eq!(content(d.at("shown")), b"hidden");
    Ok(())
}

fn o_tmpfile_with_excl_cannot_be_linked(d: &Dir) -> Outcome {
    let fd = sys::open(d.path(), O_TMPFILE | O_RDWR | O_EXCL, 0o600)?;
    let name = format!("/proc/self/fd/{}", fd.raw());
    fails!(
        ENOENT,
        sys::linkat(
            libc::AT_FDCWD,
            name,
            libc::AT_FDCWD,
            d.at("shown"),
            libc::AT_SYMLINK_FOLLOW
        )
    );
    fails!(EINVAL, sys::open(d.path(), O_TMPFILE | O_RDONLY, 0o600));
    Ok(())
}

fn openat_is_relative_to_its_directory(d: &Dir) -> Outcome {
    d.dir("sub");
    d.file("sub/f", b"inside");
    d.file("f", b"here");
    let dir = sys::open(d.at("sub"), O_RDONLY | O_DIRECTORY, 0)?;
    let mut buffer = [0; 6];
    sys::read(sys::openat(&dir, "f", O_RDONLY, 0)?, &mut buffer)?;
    assert_eq!(&buffer, b"inside");
    sys::read(sys::openat(libc::AT_FDCWD, "f", O_RDONLY, 0)?, &mut buffer)?;
    assert_eq!(&buffer[..4], b"here");
    sys::read(sys::openat(&dir, "../f", O_RDONLY, 0)?, &mut buffer)?;
    assert_eq!(&buffer[..4], b"here");
    let file = sys::open(d.at("f"), O_RDONLY, 0)?;
    fails!(ENOTDIR, sys::openat(&file, "f", O_RDONLY, 0));
    fails!(EBADF, sys::openat(777, "f", O_RDONLY, 0));
    Ok(())
}

fn openat_ignores_the_directory_for_absolute_paths(d: &Dir) -> Outcome {
    let path = d.file("f", b"abc");
    sys::openat(-1, path, O_RDONLY, 0)?.close()?;
    Ok(())
}

fn directory_can_be_opened_for_reading(d: &Dir) -> Outcome {
    let fd = sys::open(d.path(), O_RDONLY, 0)?;
    assert_eq!(sys::fstat(&fd)?.st_mode & libc::S_IFMT, libc::S_IFDIR);
    fails!(EISDIR, sys::read(&fd, &mut [0; 10]));
    fails!(EBADF, sys::write(&fd, b"x"));
    sys::fsync(&fd)?;
    Ok(())
}

fn slashes_repeat_without_effect(d: &Dir) -> Outcome {
    d.dir("sub");
    d.file("sub/f", b"abc");
    let doubled = d.path().to_string_lossy().replace('/', "//");
    assert_eq!(content(format!("{doubled}///sub//.//f")), b"abc");
    Ok(())
}

fn dot_and_dotdot_resolve(d: &Dir) -> Outcome {
    d.dir("sub");
    d.file("f", b"abc");
    assert_eq!(content(d.at("./sub/.././sub/../f")), b"abc");
    assert_eq!(content("f"), b"abc");
    assert_eq!(content("sub/../f"), b"abc");
    fails!(ENOENT, sys::open("nothing/../f", O_RDONLY, 0));
    fails!(ENOTDIR, sys::open("f/../f", O_RDONLY, 0));
    Ok(())
}

fn mode_three_opens_but_neither_reads_nor_writes(d: &Dir) -> Outcome {
    let path = d.file("f", b"abc");
    let fd = sys::open(&path, 3, 0)?;
    fails!(EBADF, sys::read(&fd, &mut [0; 3]));
    fails!(EBADF, sys::write(&fd, b"x"));
    fails!(EINVAL, sys::ftruncate(&fd, 0));
    fails!(EBADF, sys::fallocate(&fd, 0, 0, 100));
    assert_eq!(sys::mmap(&fd, 4096, libc::PROT_READ, libc::MAP_SHARED, 0).err(), Some(sys::EACCES));
    assert_eq!(sys::fstat(&fd)?.st_size, 3);
    Ok(())
}

fn mode_three_takes_no_locks(d: &Dir) -> Outcome {
    let fd = sys::open(d.file("f", b"abc"), 3, 0)?;
    for (whole, part) in [(libc::LOCK_SH, libc::F_RDLCK), (libc::LOCK_EX, libc::F_WRLCK)] {
        fails!(EBADF, sys::flock(&fd, whole | libc::LOCK_NB));
        fails!(EBADF, sys::set_lock(&fd, libc::F_SETLK, part, sys::range(0, 1)));
        fails!(EBADF, sys::set_lock(&fd, libc::F_OFD_SETLK, part, sys::range(0, 1)));
    }
    sys::flock(&fd, libc::LOCK_UN)?;
    sys::set_lock(&fd, libc::F_SETLK, libc::F_UNLCK, sys::range(0, 1))?;
    sys::get_lock(&fd, libc::F_GETLK, libc::F_WRLCK, sys::range(0, 1)).map(drop)?;
    Ok(())
}

fn o_path_makes_nothing(d: &Dir) -> Outcome {
    let makes = O_PATH | O_CREAT | O_EXCL | libc::O_TRUNC;
    fails!(ENOENT, sys::open(d.at("f"), makes, 0o644));
    d.file("f", b"abc");
    sys::open(d.at("f"), makes, 0)?.close()?;
    sys::open(d.path(), makes | libc::O_DIRECTORY, 0)?.close()?;
    assert_eq!(content(d.at("f")), b"abc");
    Ok(())
}

fn two_opens_have_offsets_of_their_own(d: &Dir) -> Outcome {
    let path = d.file("f", b"abcdef");
    let (one, two) = (
        sys::open(&path, O_RDONLY, 0)?,
        sys::open(&path, O_WRONLY | O_APPEND, 0)?,
    );
    sys::lseek(&one, 3, libc::SEEK_SET)?;
    assert_eq!(
        sys::lseek(&two, 0, libc::SEEK_CUR)?,
        0,
        "O_APPEND moves the offset at write, not at open"
    );
    if sys::write(&two, b"g")? != 1 {
        return skip("short write");
    }
    assert_eq!(sys::lseek(&two, 0, libc::SEEK_CUR)?, 7);
    assert_eq!(sys::lseek(&one, 0, libc::SEEK_CUR)?, 3);
    Ok(())
}

fn o_path_takes_no_flags_and_no_locks(d: &Dir) -> Outcome {
    d.file("f", b"");
    let fd = sys::open(d.at("f"), O_PATH, 0)?;
    fails!(EBADF, sys::fcntl(&fd, libc::F_SETFL, libc::O_APPEND));
    fails!(EBADF, sys::set_lock(&fd, libc::F_SETLK, libc::F_RDLCK, sys::range(0, 0)));
    let dir = sys::open(d.path(), O_PATH, 0)?;
    fails!(EBADF, sys::getdirentries(&dir, &mut [0; 100]));
    assert_eq!(sys::fcntl(&fd, libc::F_GETFL, 0)? & O_PATH, O_PATH);
    sys::dup(&fd)?;
    Ok(())
}

fn a_device_is_opened_as_often_as_wanted(d: &Dir) -> Outcome {
    if !sys::is_root() || sys::mknod(d.at("null"), libc::S_IFCHR | 0o600, libc::makedev(1, 3)).is_err() {
        return skip("devices are not ours to make");
    }
    let first = match sys::open(d.at("null"), libc::O_RDONLY, 0) {
        Err(sys::EACCES) => return skip("no devices may be opened here"),
        first => first?,
    };
    assert_eq!(sys::read(&first, &mut [0; 9])?, 0);
    for flags in [libc::O_WRONLY, libc::O_RDWR, libc::O_RDONLY] {
        sys::open(d.at("null"), flags, 0)?;
    }
    sys::fork(|| drop(sys::open(d.at("null"), libc::O_WRONLY, 0).expect("in a child, too"))).succeeds();
    Ok(())
}
