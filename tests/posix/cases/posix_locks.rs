//! Record locks of `fcntl`: owned by a process, one range at a time.

use crate::case::{Dir, Outcome, cases, fails, write_all};
use crate::sys::{self, range};
use libc::{F_GETLK, F_RDLCK, F_SETLK, F_SETLKW, F_UNLCK, F_WRLCK, O_RDONLY, O_RDWR, O_WRONLY};

cases![
    exclusive_lock_keeps_others_out,
    shared_locks_coexist,
    ranges_that_do_not_meet_do_not_conflict,
    unlocking_the_middle_splits_a_range,
    adjacent_ranges_of_one_owner_merge,
    getlk_reports_the_owner_and_range,
    getlk_says_unlocked_where_nothing_stands_in_the_way,
    a_process_never_conflicts_with_itself,
    upgrading_replaces_the_lock,
    closing_any_descriptor_of_the_file_releases,
    closing_an_o_path_descriptor_releases_nothing,
    locks_are_not_inherited_by_fork,
    exec_keeps_locks,
    death_releases,
    blocking_lock_waits_for_the_release,
    deadlock_is_noticed,
    lock_needs_the_access_mode,
    whence_and_length_forms,
    lockf_locks_from_the_offset,
    lockf_tests_whether_it_may_be_read,
    bad_arguments,
];

fn try_lock(fd: &sys::Fd, kind: i32, start: i64, length: i64) -> sys::Sys<()> {
    sys::set_lock(fd, F_SETLK, kind, range(start, length))
}

/// Whether another process could get such a lock.
fn free_for_others(d: &Dir, kind: i32, start: i64, length: i64) -> bool {
    let child = sys::fork_with(|| {
        let fd = sys::open(d.at("f"), O_RDWR, 0).expect("open");
        match try_lock(&fd, kind, start, length) {
            Ok(()) => 0,
            Err(sys::EAGAIN | sys::EACCES) => 1,
            Err(errno) => panic!("{errno:?}"),
        }
    });
    match child.wait() {
        sys::Ended::Exit(0) => true,
        sys::Ended::Exit(1) => false,
        ended => panic!("{ended:?}"),
    }
}

fn exclusive_lock_keeps_others_out(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    try_lock(&fd, F_WRLCK, 0, 0)?;
    assert!(!free_for_others(d, F_WRLCK, 0, 0));
    assert!(!free_for_others(d, F_RDLCK, 0, 0));
    assert!(
        !free_for_others(d, F_RDLCK, 1 << 40, 1),
        "length 0 means to the end and beyond"
    );
    try_lock(&fd, F_UNLCK, 0, 0)?;
    assert!(free_for_others(d, F_WRLCK, 0, 0));
    Ok(())
}

fn shared_locks_coexist(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    try_lock(&fd, F_RDLCK, 0, 10)?;
    assert!(free_for_others(d, F_RDLCK, 0, 10));
    assert!(!free_for_others(d, F_WRLCK, 9, 1));
    Ok(())
}

fn ranges_that_do_not_meet_do_not_conflict(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    try_lock(&fd, F_WRLCK, 10, 10)?;
    assert!(free_for_others(d, F_WRLCK, 0, 10));
    assert!(free_for_others(d, F_WRLCK, 20, 0));
    assert!(!free_for_others(d, F_WRLCK, 19, 1));
    assert!(!free_for_others(d, F_WRLCK, 0, 11));
    Ok(())
}

fn unlocking_the_middle_splits_a_range(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    try_lock(&fd, F_WRLCK, 0, 30)?;
    try_lock(&fd, F_UNLCK, 10, 10)?;
    assert!(!free_for_others(d, F_WRLCK, 9, 1));
    assert!(free_for_others(d, F_WRLCK, 10, 10));
    assert!(!free_for_others(d, F_WRLCK, 20, 1));
    Ok(())
}

fn adjacent_ranges_of_one_owner_merge(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    try_lock(&fd, F_WRLCK, 0, 10)?;
    try_lock(&fd, F_WRLCK, 20, 10)?;
    try_lock(&fd, F_WRLCK, 10, 10)?;
    sys::fork(|| {
        let found = sys::get_lock(&fd, F_GETLK, F_WRLCK, range(0, 0)).expect("getlk");
        assert_eq!((found.l_start, found.l_len), (0, 30));
    })
    .succeeds();
    Ok(())
}

fn getlk_reports_the_owner_and_range(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    try_lock(&fd, F_WRLCK, 5, 10)?;
    let owner = std::process::id();
    sys::fork(|| {
        let found = sys::get_lock(&fd, F_GETLK, F_RDLCK, range(0, 0)).expect("getlk");
        assert_eq!(i32::from(found.l_type), F_WRLCK);
        assert_eq!(
            (found.l_start, found.l_len, found.l_pid as u32),
            (5, 10, owner)
        );
    })
    .succeeds();
    Ok(())
}

fn getlk_says_unlocked_where_nothing_stands_in_the_way(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    try_lock(&fd, F_RDLCK, 0, 10)?;
    sys::fork(|| {
        let found = sys::get_lock(&fd, F_GETLK, F_RDLCK, range(0, 10)).expect("getlk");
        assert_eq!(i32::from(found.l_type), F_UNLCK);
    })
    .succeeds();
    let own = sys::get_lock(&fd, F_GETLK, F_WRLCK, range(0, 10))?;
    assert_eq!(
        i32::from(own.l_type),
        F_UNLCK,
        "one's own lock is no obstacle"
    );
    Ok(())
}

fn a_process_never_conflicts_with_itself(d: &Dir) -> Outcome {
    let one = d.open("f", b"");
    let two = sys::open(d.at("f"), O_RDWR, 0)?;
    try_lock(&one, F_WRLCK, 0, 0)?;
    try_lock(&two, F_WRLCK, 0, 0)?;
    Ok(())
}

fn upgrading_replaces_the_lock(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    try_lock(&fd, F_RDLCK, 0, 10)?;
    try_lock(&fd, F_WRLCK, 0, 10)?;
    assert!(!free_for_others(d, F_RDLCK, 0, 10));
    try_lock(&fd, F_RDLCK, 0, 10)?;
    assert!(free_for_others(d, F_RDLCK, 0, 10));
    Ok(())
}

fn closing_any_descriptor_of_the_file_releases(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    try_lock(&fd, F_WRLCK, 0, 0)?;
    assert!(!free_for_others(d, F_WRLCK, 0, 0));
    sys::open(d.at("f"), O_RDONLY, 0)?.close()?;
    assert!(
        free_for_others(d, F_WRLCK, 0, 0),
        "the rule that everybody forgets"
    );
    Ok(())
}

fn closing_an_o_path_descriptor_releases_nothing(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    try_lock(&fd, F_WRLCK, 0, 0)?;
    sys::open(d.at("f"), libc::O_PATH, 0)?.close()?;
    assert!(!free_for_others(d, F_WRLCK, 0, 0));
    Ok(())
}

fn locks_are_not_inherited_by_fork(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    try_lock(&fd, F_WRLCK, 0, 0)?;
    sys::fork(|| {
        fails!(EAGAIN, try_lock(&fd, F_WRLCK, 0, 0));
        sys::close(&fd).expect("close");
    })
    .succeeds();
    assert!(
        !free_for_others(d, F_WRLCK, 0, 0),
        "the child's close and end release nothing"
    );
    Ok(())
}

fn exec_keeps_locks(d: &Dir) -> Outcome {
    d.file("f", b"");
    let (ready_out, ready_in) = sys::pipe(0)?;
    let child = sys::fork_with(|| {
        let fd = sys::open(d.at("f"), O_RDWR, 0).expect("open");
        try_lock(&fd, F_WRLCK, 0, 0).expect("lock");
        sys::dup2(&ready_in, 1).expect("dup2");
        let script = c"echo ready; exec sleep 20";
        sys::exec(c"/bin/sh", &[c"sh".into(), c"-c".into(), script.into()]).0
    });
    sys::read(&ready_out, &mut [0; 10])?;
    assert!(!free_for_others(d, F_WRLCK, 0, 0));
    child.kill(libc::SIGKILL);
    child.wait();
    assert!(free_for_others(d, F_WRLCK, 0, 0));
    Ok(())
}

/// Starts a child which holds an exclusive lock until it is killed.
fn holder(d: &Dir) -> sys::Sys<sys::Child> {
    let (ready_out, ready_in) = sys::pipe(0)?;
    let child = sys::fork(|| {
        let fd = sys::open(d.at("f"), O_RDWR, 0).expect("open");
        try_lock(&fd, F_WRLCK, 0, 0).expect("lock");
        write_all(&ready_in, b"r");
        std::thread::sleep(std::time::Duration::from_secs(20));
    });
    sys::read(&ready_out, &mut [0; 1])?;
    Ok(child)
}

fn death_releases(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let child = holder(d)?;
    fails!(EAGAIN, try_lock(&fd, F_WRLCK, 0, 0));
    child.kill(libc::SIGKILL);
    child.wait();
    try_lock(&fd, F_WRLCK, 0, 0)?;
    Ok(())
}

fn blocking_lock_waits_for_the_release(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    try_lock(&fd, F_WRLCK, 0, 0)?;
    let (waiting_out, waiting_in) = sys::pipe(0)?;
    let child = sys::fork(|| {
        let own = sys::open(d.at("f"), O_RDWR, 0).expect("open");
        write_all(&waiting_in, b"w");
        sys::set_lock(&own, F_SETLKW, F_WRLCK, range(0, 0)).expect("lock");
        let mut byte = [0; 1];
        sys::pread(&own, &mut byte, 0).expect("pread");
        assert_eq!(&byte, b"x", "what was written before the release");
    });
    sys::read(&waiting_out, &mut [0; 1])?;
    std::thread::sleep(std::time::Duration::from_millis(100));
    write_all(&fd, b"x");
    try_lock(&fd, F_UNLCK, 0, 0)?;
    child.succeeds();
    Ok(())
}

fn deadlock_is_noticed(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    try_lock(&fd, F_WRLCK, 0, 1)?;
    let (ready_out, ready_in) = sys::pipe(0)?;
    let child = sys::fork(|| {
        let own = sys::open(d.at("f"), O_RDWR, 0).expect("open");
        try_lock(&own, F_WRLCK, 1, 1).expect("lock");
        write_all(&ready_in, b"r");
        sys::set_lock(&own, F_SETLKW, F_WRLCK, range(0, 1))
            .expect("granted when the parent gives up");
    });
    sys::read(&ready_out, &mut [0; 1])?;
    std::thread::sleep(std::time::Duration::from_millis(100));
    let answer = sys::set_lock(&fd, F_SETLKW, F_WRLCK, range(1, 1)).err();
    assert_eq!(answer, Some(sys::EDEADLK));
    try_lock(&fd, F_UNLCK, 0, 0)?;
    child.succeeds();
    Ok(())
}

fn lock_needs_the_access_mode(d: &Dir) -> Outcome {
    let path = d.file("f", b"");
    let (reader, writer) = (
        sys::open(&path, O_RDONLY, 0)?,
        sys::open(&path, O_WRONLY, 0)?,
    );
    fails!(EBADF, try_lock(&reader, F_WRLCK, 0, 0));
    fails!(EBADF, try_lock(&writer, F_RDLCK, 0, 0));
    try_lock(&reader, F_RDLCK, 0, 0)?;
    try_lock(&writer, F_WRLCK, 0, 0)?;
    Ok(())
}

fn whence_and_length_forms(d: &Dir) -> Outcome {
    let fd = d.open("f", b"0123456789");
    try_lock(&fd, F_WRLCK, 8, -4)?;
    assert!(!free_for_others(d, F_WRLCK, 4, 1));
    assert!(!free_for_others(d, F_WRLCK, 7, 1));
    assert!(free_for_others(d, F_WRLCK, 8, 1));
    assert!(free_for_others(d, F_WRLCK, 0, 4));
    Ok(())
}

fn lockf_locks_from_the_offset(d: &Dir) -> Outcome {
    let fd = d.open("f", b"0123456789");
    sys::lseek(&fd, 5, libc::SEEK_SET)?;
    sys::lockf(&fd, libc::F_TLOCK, 3)?;
    assert!(free_for_others(d, F_WRLCK, 0, 5));
    assert!(!free_for_others(d, F_WRLCK, 5, 1));
    sys::lockf(&fd, libc::F_ULOCK, 3)?;
    assert!(free_for_others(d, F_WRLCK, 5, 1));
    Ok(())
}

fn lockf_tests_whether_it_may_be_read(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    let held = |kind| {
        try_lock(&fd, kind, 0, 0)?;
        let child = sys::fork_with(|| {
            let fd = sys::open(d.at("f"), O_RDWR, 0).expect("open");
            i32::from(sys::lockf(&fd, libc::F_TEST, 0) == Err(sys::EACCES))
        });
        Ok::<_, sys::Errno>(child.wait() == sys::Ended::Exit(1))
    };
    assert!(held(F_WRLCK)?);
    assert!(!held(F_RDLCK)?, "libc asks for a lock to read");
    Ok(())
}

fn bad_arguments(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    fails!(EINVAL, try_lock(&fd, F_WRLCK, -1, 1));
    fails!(EINVAL, try_lock(&fd, F_WRLCK, 0, -1));
    fails!(EINVAL, try_lock(&fd, 77, 0, 0));
    fails!(EBADF, sys::set_lock(-1, F_SETLK, F_WRLCK, range(0, 0)));
    Ok(())
}
