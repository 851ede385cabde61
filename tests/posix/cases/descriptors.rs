//! Descriptor numbers and flags.

use crate::case::{Dir, Outcome, cases, content, fails, skip, write_all};
use crate::sys::{self, Raw};
use libc::{
    F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, F_SETFD, FD_CLOEXEC, O_CLOEXEC, O_RDONLY, O_RDWR,
};

cases![
    lowest_free_number_is_taken,
    dup_takes_the_lowest_number,
    dup2_replaces_an_open_descriptor,
    dup2_onto_itself_is_a_check,
    dup2_clears_close_on_exec_and_dup3_may_set_it,
    dup3_onto_itself_is_einval,
    dupfd_starts_at_its_argument,
    getfl_reports_access_mode_and_status_flags,
    setfl_changes_status_flags_only,
    leases_and_notices_of_other_kinds_are_refused,
    close_on_exec_is_set_and_read,
    pipe_over_a_file_and_back,
    file_over_a_pipe_and_back,
    closing_everything_from_three_up_leaves_a_working_process,
    close_range_closes_and_marks,
    close_range_that_is_refused_closes_nothing,
    descriptor_255_works,
    closing_standard_descriptors_reuses_their_numbers,
    thousand_descriptors_at_once,
    high_numbers_above_the_limit_are_refused,
    very_high_numbers_work_or_stay_as_they_are,
    proc_self_fd_lists_no_surprise,
    every_number_that_a_child_is_given_is_its_own,
    whether_two_are_one_open_file_can_be_asked,
    the_kernel_knows_whether_two_are_one_open_file,
    a_descriptor_is_fetched_from_another_process,
    a_full_table_stops_only_what_returns_a_descriptor,
    a_full_table_is_a_childs_too,
    a_number_is_open_for_every_call_or_for_none,
];

fn a_number_is_open_for_every_call_or_for_none(d: &Dir) -> Outcome {
    let _fd = d.open("f", b"");
    for number in 0..1100 {
        let is_open = sys::fcntl(number, F_GETFD, 0).is_ok();
        let known = [
            sys::fstat(number).is_ok(),
            sys::fstatat(number, "", libc::AT_EMPTY_PATH).is_ok(),
            sys::statx(number, "", libc::AT_EMPTY_PATH, libc::STATX_INO).is_ok(),
        ];
        assert_eq!(known, [is_open; 3], "{number}");
    }
    Ok(())
}

fn whether_two_are_one_open_file_can_be_asked(d: &Dir) -> Outcome {
    const F_DUPFD_QUERY: i32 = 1027;
    let fd = d.open("f", b"");
    let same = sys::dup(&fd)?;
    let other = sys::open(d.at("f"), O_RDWR, 0)?;
    let asked = |b: i32| sys::fcntl(&fd, F_DUPFD_QUERY, b);
    if asked(fd.raw()) == Err(sys::EINVAL) {
        return skip("a kernel before 6.10");
    }
    assert_eq!((asked(fd.raw())?, asked(same.raw())?, asked(other.raw())?), (1, 1, 0));
    fails!(EBADF, asked(999));
    Ok(())
}

fn the_kernel_knows_whether_two_are_one_open_file(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let (same, other) = (sys::dup(&fd)?, sys::open(d.at("f"), O_RDWR, 0)?);
    if sys::kcmp(&fd, &fd) == Err(sys::ENOSYS) {
        return skip("a kernel without kcmp");
    }
    assert_eq!(sys::kcmp(&fd, &same)?, 0);
    assert_ne!(sys::kcmp(&fd, &other)?, 0);
    assert_ne!(sys::kcmp(&other, &same)?, 0);
    let elsewhere = sys::open("/dev/null", O_RDONLY, 0)?;
    assert_ne!(sys::kcmp(&elsewhere, &other)?, 0);
    fails!(EBADF, sys::kcmp(&fd, 999));
    // They are what they were.
    sys::lseek(&same, 7, libc::SEEK_SET)?;
    assert_eq!((sys::lseek(&fd, 0, libc::SEEK_CUR)?, sys::lseek(&other, 0, libc::SEEK_CUR)?), (7, 0));
    Ok(())
}

fn a_descriptor_is_fetched_from_another_process(d: &Dir) -> Outcome {
    let (opened, open) = sys::pipe(0)?;
    let (seen, see) = sys::pipe(0)?;
    let own = d.open("own", b"own bytes");
    let child = sys::fork(|| {
        let fd = d.open("f", b"bytes");
        let dir = sys::open(d.path(), O_RDONLY, 0).unwrap();
        sys::lseek(&fd, 2, libc::SEEK_SET).unwrap();
        write_all(&open, &[fd.raw() as u8, dir.raw() as u8]);
        assert_eq!(sys::read(&seen, &mut [0]).unwrap(), 1);
        assert_eq!(sys::lseek(&fd, 0, libc::SEEK_CUR).unwrap(), 5, "the position is of both");
    });
    let mut numbers = [0; 2];
    assert_eq!(sys::read(&opened, &mut numbers)?, 2);
    let process = sys::pidfd_open(child.pid())?;
    let [fd, dir] = match numbers.map(|number| sys::pidfd_getfd(&process, i32::from(number))) {
        [Err(sys::ENOSYS | sys::EPERM), _] => return skip("no descriptors are fetched here"),
        [fd, dir] => [fd?, dir?],
    };
    assert_eq!(sys::fstat(&fd)?.st_ino, sys::stat(d.at("f"))?.st_ino);
    assert_eq!(sys::fstat(&dir)?.st_ino, sys::stat(d.path())?.st_ino);
    let mut room = [0; 9];
    assert_eq!((sys::read(&fd, &mut room)?, &room[..3]), (3, &b"tes"[..]));
    write_all(&see, b"!");
    child.succeeds();
    sys::pwrite(&fd, b"more", 5)?;
    assert_eq!(content(d.at("f")), b"bytesmore");
    // One's own, too.
    let again = sys::pidfd_getfd(sys::pidfd_open(std::process::id() as i32)?, own.raw())?;
    assert_eq!((sys::read(&own, &mut room)?, sys::lseek(&again, 0, libc::SEEK_CUR)?), (9, 9));
    fails!(EBADF, sys::pidfd_getfd(sys::pidfd_open(std::process::id() as i32)?, 999));
    Ok(())
}

/// Uses up all descriptors: a low limit, and files open up to it.
fn fill() -> Result<(), sys::Errno> {
    sys::limit_for_good(libc::RLIMIT_NOFILE, 100)?;
    while let Ok(fd) = sys::open("/dev/null", O_RDONLY, 0) {
        fd.leak();
    }
    Ok(())
}

fn names_without_descriptors(d: &Dir) -> Result<(), sys::Errno> {
    sys::mkdir(d.at("sub"), 0o755)?;
    sys::symlink("sub", d.at("link"))?;
    sys::rename(d.at("sub"), d.at("moved"))?;
    sys::chmod(d.at("moved"), 0o700)?;
    sys::access(d.at("moved"), libc::W_OK)?;
    sys::statfs(d.path())?;
    sys::unlink(d.at("link"))?;
    // So many that all that grows has grown: the log, the index, and a checkpoint was made.
    for round in 0..8 {
        let name = |i: u32| d.at(&format!("{round}-{i}-{}", "long".repeat(40)));
        (0..500).try_for_each(|i| sys::mkdir(name(i), 0o755))?;
        (0..500).try_for_each(|i| sys::rmdir(name(i)))?;
    }
    sys::rmdir(d.at("moved"))?;
    assert_eq!(sys::stat(d.path())?.st_nlink, 2);
    Ok(())
}

fn a_full_table_stops_only_what_returns_a_descriptor(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let mut names = sys::opendir(d.path())?;
    fill()?;
    fails!(EMFILE, sys::open(d.at("f"), O_RDONLY, 0));
    fails!(EMFILE, sys::opendir(d.path()));
    let bytes = vec![7; 4 << 20];
    for i in 0..16 {
        assert_eq!(sys::pwrite(&fd, &bytes, i * (4 << 20))?, bytes.len());
    }
    sys::fsync(&fd)?;
    sys::ftruncate(&fd, 100_000)?;
    let map = sys::mmap(&fd, 200_000, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, 0)?;
    map.put(0, b"x");
    map.msync(libc::MS_SYNC)?;
    let private = sys::mmap(&fd, 200_000, libc::PROT_READ, libc::MAP_PRIVATE, 0)?;
    assert_eq!(private.get(0, 2), b"x\x07");
    sys::set_lock(&fd, libc::F_SETLK, libc::F_WRLCK, sys::range(0, 0))?;
    assert_eq!(names.rest()?.iter().filter(|e| e.name == "f").count(), 1);
    sys::truncate(d.at("f"), 10)?;
    sys::unlink(d.at("f"))?;
    assert_eq!(sys::fstat(&fd)?.st_size, 10);
    names_without_descriptors(d)?;
    sys::fsync(&fd)?;
    Ok(())
}

fn a_full_table_is_a_childs_too(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    fill()?;
    sys::fork(|| {
        sys::stat(d.path()).expect("stat");
        names_without_descriptors(d).expect("names");
        sys::pwrite(&fd, b"xyz", 0).expect("pwrite");
    })
    .succeeds();
    assert_eq!(sys::pread(&fd, &mut [0; 3], 0)?, 3);
    // Another one.
    sys::fork(|| {
        sys::unlink(d.at("f")).expect("unlink");
        sys::fsync(&fd).expect("fsync");
    })
    .succeeds();
    fails!(ENOENT, sys::stat(d.at("f")));
    Ok(())
}

fn lowest_free_number_is_taken(d: &Dir) -> Outcome {
    let path = d.file("f", b"");
    let fds: Vec<sys::Fd> = (0..5)
        .map(|_| sys::open(&path, O_RDONLY, 0))
        .collect::<Result<_, _>>()?;
    let numbers: Vec<i32> = fds.iter().map(Raw::raw).collect();
    let free = numbers[2];
    sys::close(free)?;
    let again = sys::open(&path, O_RDONLY, 0)?;
    assert_eq!(again.raw(), free);
    std::mem::forget(again);
    Ok(())
}

fn dup_takes_the_lowest_number(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let (one, two) = (sys::dup(&fd)?, sys::dup(&fd)?);
    let number = one.raw();
    assert!(number < two.raw());
    one.close()?;
    assert_eq!(sys::dup(&fd)?.raw(), number);
    Ok(())
}

fn dup2_replaces_an_open_descriptor(d: &Dir) -> Outcome {
    let (one, two) = (d.open("one", b"1"), d.open("two", b"2"));
    assert_eq!(sys::dup2(&one, two.raw())?, two.raw());
    let mut byte = [0; 1];
    sys::read(&two, &mut byte)?;
    assert_eq!(&byte, b"1");
    assert_eq!(sys::fstat(&two)?.st_ino, sys::fstat(&one)?.st_ino);
    Ok(())
}

fn dup2_onto_itself_is_a_check(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    assert_eq!(sys::dup2(&fd, fd.raw())?, fd.raw());
    fails!(EBADF, sys::dup2(777, 777));
    fails!(EBADF, sys::dup2(777, fd.raw()));
    sys::fstat(&fd)?;
    fails!(EBADF, sys::dup2(&fd, -1));
    Ok(())
}

fn dup2_clears_close_on_exec_and_dup3_may_set_it(d: &Dir) -> Outcome {
    let path = d.file("f", b"");
    let fd = sys::open(path, O_RDONLY | O_CLOEXEC, 0)?;
    sys::dup2(&fd, 100)?;
    sys::dup3(&fd, 101, O_CLOEXEC)?;
    assert_eq!(sys::fcntl(100, F_GETFD, 0)?, 0);
    assert_eq!(sys::fcntl(101, F_GETFD, 0)?, FD_CLOEXEC);
    Ok(())
}

fn dup3_onto_itself_is_einval(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    fails!(EINVAL, sys::dup3(&fd, fd.raw(), 0));
    fails!(EINVAL, sys::dup3(&fd, 100, 0x4000_0000));
    Ok(())
}

fn dupfd_starts_at_its_argument(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let one = sys::Fd::own(sys::fcntl(&fd, F_DUPFD, 200)?);
    let two = sys::Fd::own(sys::fcntl(&fd, F_DUPFD_CLOEXEC, 200)?);
    assert_eq!((one.raw(), two.raw()), (200, 201));
    assert_eq!(sys::fcntl(&one, F_GETFD, 0)?, 0);
    assert_eq!(sys::fcntl(&two, F_GETFD, 0)?, FD_CLOEXEC);
    fails!(EINVAL, sys::fcntl(&fd, F_DUPFD, -1));
    Ok(())
}

fn getfl_reports_access_mode_and_status_flags(d: &Dir) -> Outcome {
    let path = d.file("f", b"");
    let mask = libc::O_ACCMODE | libc::O_APPEND | libc::O_NONBLOCK | libc::O_CREAT | libc::O_TRUNC;
    for flags in [O_RDONLY, libc::O_WRONLY, O_RDWR, O_RDWR | libc::O_APPEND] {
        let fd = sys::open(&path, flags | libc::O_CREAT, 0o600)?;
        assert_eq!(sys::fcntl(&fd, F_GETFL, 0)? & mask, flags);
    }
    let fd = sys::open(&path, libc::O_PATH, 0)?;
    assert_eq!(sys::fcntl(&fd, F_GETFL, 0)? & libc::O_PATH, libc::O_PATH);
    let fd = sys::open(d.path(), O_RDONLY | libc::O_DIRECTORY, 0)?;
    assert_eq!(
        sys::fcntl(&fd, F_GETFL, 0)? & libc::O_DIRECTORY,
        libc::O_DIRECTORY
    );
    Ok(())
}

fn setfl_changes_status_flags_only(d: &Dir) -> Outcome {
    let path = d.file("f", b"abc");
    let fd = sys::open(path, O_RDONLY, 0)?;
    sys::fcntl(
        &fd,
        libc::F_SETFL,
        O_RDWR | libc::O_NONBLOCK | libc::O_TRUNC | libc::O_ASYNC,
    )?;
    let flags = sys::fcntl(&fd, F_GETFL, 0)?;
    assert_eq!(
        flags & (libc::O_ACCMODE | libc::O_NONBLOCK | libc::O_TRUNC | libc::O_ASYNC),
        libc::O_NONBLOCK
    );
    assert_eq!(sys::fstat(&fd)?.st_size, 3);
    Ok(())
}

fn leases_and_notices_of_other_kinds_are_refused(d: &Dir) -> Outcome {
    let (fd, dir) = (d.open("f", b""), sys::open(d.path(), O_RDONLY, 0)?);
    fails!(EINVAL, sys::fcntl(&fd, libc::F_SETLEASE, 77));
    fails!(EAGAIN, sys::fcntl(&fd, libc::F_SETLEASE, libc::F_UNLCK));
    fails!(EAGAIN, sys::fcntl(&fd, libc::F_SETLEASE, libc::F_RDLCK));
    assert_eq!(sys::fcntl(&fd, libc::F_GETLEASE, 0)?, libc::F_UNLCK);
    fails!(ENOTDIR, sys::fcntl(&fd, libc::F_NOTIFY, 2));
    assert_eq!(sys::fcntl(&dir, libc::F_NOTIFY, 0)?, 0);
    Ok(())
}

fn close_on_exec_is_set_and_read(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    assert_eq!(sys::fcntl(&fd, F_GETFD, 0)?, 0);
    sys::fcntl(&fd, F_SETFD, FD_CLOEXEC)?;
    assert_eq!(sys::fcntl(&fd, F_GETFD, 0)?, FD_CLOEXEC);
    let copy = sys::dup(&fd)?;
    assert_eq!(
        sys::fcntl(&copy, F_GETFD, 0)?,
        0,
        "a flag of the descriptor, not the description"
    );
    fails!(EBADF, sys::fcntl(777, F_GETFD, 0));
    Ok(())
}

fn pipe_over_a_file_and_back(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let saved = sys::dup(&fd)?;
    let (out, into) = sys::pipe(0)?;
    sys::dup2(&into, fd.raw())?;
    write_all(&fd, b"to the pipe");
    let mut bytes = [0; 20];
    assert_eq!(sys::read(&out, &mut bytes)?, 11);
    sys::dup2(&saved, fd.raw())?;
    write_all(&fd, b"to the file");
    assert_eq!(content(d.at("f")), b"to the file");
    Ok(())
}

fn file_over_a_pipe_and_back(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let (out, into) = sys::pipe(0)?;
    let saved = sys::dup(&into)?;
    sys::dup2(&fd, into.raw())?;
    write_all(&into, b"to the file");
    sys::dup2(&saved, into.raw())?;
    write_all(&into, b"to the pipe");
    assert_eq!(content(d.at("f")), b"to the file");
    let mut bytes = [0; 20];
    assert_eq!(sys::read(&out, &mut bytes)?, 11);
    Ok(())
}

fn closing_everything_from_three_up_leaves_a_working_process(d: &Dir) -> Outcome {
    d.file("f", b"abc");
    for fd in 3..1024 {
        let _ = sys::close(fd);
    }
    let fd = sys::open(d.at("f"), O_RDWR, 0)?;
    assert_eq!(fd.raw(), 3);
    write_all(&fd, b"xyz");
    assert_eq!(content(d.at("f")), b"xyz");
    assert_eq!(sys::names_in(d.path())?, ["f"]);
    sys::rename(d.at("f"), d.at("g"))?;
    sys::fork(|| assert_eq!(content(d.at("g")), b"xyz")).succeeds();
    Ok(())
}

fn close_range_closes_and_marks(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    sys::dup2(&fd, 50)?;
    sys::dup2(&fd, 51)?;
    sys::dup2(&fd, 52)?;
    sys::close_range(50, 50, 0)?;
    fails!(EBADF, sys::fstat(50));
    match sys::libc_close_range(51, 51, 0) {
        Err(sys::ENOSYS) => {}
        done => {
            done?;
            fails!(EBADF, sys::fstat(51));
        }
    }
    const CLOSE_RANGE_CLOEXEC: i32 = 4;
    sys::close_range(52, 60, CLOSE_RANGE_CLOEXEC)?;
    assert_eq!(sys::fcntl(52, F_GETFD, 0)?, FD_CLOEXEC);
    assert_eq!(sys::pread(52, &mut [0; 3], 0)?, 3);
    fails!(EINVAL, sys::close_range(60, 50, 0));
    sys::close_range(3, u32::MAX, 0)?;
    assert_eq!(content(d.at("f")), b"abc");
    std::mem::forget(fd);
    Ok(())
}

fn close_range_that_is_refused_closes_nothing(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    fails!(EINVAL, sys::close_range(3, u32::MAX, 1 << 14));
    fails!(EINVAL, sys::libc_close_range(3, u32::MAX, 1 << 14));
    assert_eq!(sys::pread(&fd, &mut [0; 3], 0)?, 3);
    Ok(())
}

fn descriptor_255_works(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    assert_eq!(sys::dup2(&fd, 255)?, 255);
    let mut bytes = [0; 3];
    assert_eq!(sys::read(255, &mut bytes)?, 3);
    sys::close(255)?;
    Ok(())
}

fn closing_standard_descriptors_reuses_their_numbers(d: &Dir) -> Outcome {
    d.file("f", b"abc");
    sys::fork(|| {
        sys::close(0).expect("stdin");
        sys::close(1).expect("stdout");
        assert_eq!(sys::open(d.at("f"), O_RDONLY, 0).map(sys::Fd::leak), Ok(0));
        assert_eq!(sys::open(d.at("f"), O_RDWR, 0).map(sys::Fd::leak), Ok(1));
        assert_eq!(sys::getc_stdin(), Some(b'a'));
        assert!(sys::puts("XY") >= 0);
        sys::flush_stdout().expect("flush");
    })
    .succeeds();
    assert_eq!(content(d.at("f")), b"XY\n");
    Ok(())
}

fn thousand_descriptors_at_once(d: &Dir) -> Outcome {
    let mut fds = Vec::new();
    for number in 0..900_u16 {
        let fd = d.open(&format!("f{}", number % 100), b"");
        fds.push(fd);
    }
    for (number, fd) in fds.iter().enumerate() {
        sys::pwrite(fd, &[1], i64::try_from(number / 100).expect("small"))?;
    }
    for number in 0..100 {
        assert_eq!(content(d.at(&format!("f{number}"))), [1; 9]);
    }
    Ok(())
}

fn high_numbers_above_the_limit_are_refused(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    sys::limit(libc::RLIMIT_NOFILE, 100)?;
    fails!(EBADF, sys::dup2(&fd, 100));
    fails!(EINVAL, sys::fcntl(&fd, F_DUPFD, 100));
    fails!(
        EMFILE,
        sys::fcntl(&fd, F_DUPFD, 99).and_then(|_| sys::fcntl(&fd, F_DUPFD, 99))
    );
    Ok(())
}

fn very_high_numbers_work_or_stay_as_they_are(d: &Dir) -> Outcome {
    const HIGH: i32 = 70_000;
    if sys::limit(libc::RLIMIT_NOFILE, 100_000).is_err() {
        return skip("the limit on open files can't be 100,000");
    }
    let (file, null) = (d.open("f", b"bytes"), sys::open("/dev/null", libc::O_RDWR, 0)?);
    sys::dup2(&null, HIGH)?;
    match sys::dup2(&file, HIGH) {
        Ok(_) => assert_eq!(sys::pread(HIGH, &mut [0; 9], 0)?, 5),
        Err(errno) => assert_eq!((errno, sys::write(HIGH, b"gone")), (sys::EBADF, Ok(4))),
    }
    if let Err(errno) = sys::fcntl(&file, F_DUPFD, HIGH + 1) {
        assert_eq!(errno, sys::EMFILE);
        fails!(EBADF, sys::fcntl(HIGH + 1, F_GETFD, 0));
    }
    Ok(())
}

fn proc_self_fd_lists_no_surprise(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let names = sys::names_in("/proc/self/fd")?;
    assert!(names.contains(&fd.raw().to_string().into()));
    Ok(())
}

fn every_number_that_a_child_is_given_is_its_own(d: &Dir) -> Outcome {
    d.file("f", b"bytes");
    if sys::limit(libc::RLIMIT_NOFILE, 1200).is_err() {
        return skip("the limit on open files can't be 1,200");
    }
    sys::fork(|| {
        let given: Vec<_> = std::iter::from_fn(|| sys::pipe(0).ok()).take(550).collect();
        assert!(given.len() > 500, "{}", given.len());
        for (out, into) in given {
            out.close().expect("its own");
            into.close().expect("its own");
        }
        assert_eq!(content(d.at("f")), b"bytes");
    })
    .succeeds();
    Ok(())
}
