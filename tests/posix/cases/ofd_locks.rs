//! Record locks that belong to an open file description.

use crate::case::{Dir, Outcome, cases, fails, skip};
use crate::sys::{self, range};
use libc::{F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_RDLCK, F_SETLK, F_UNLCK, F_WRLCK, O_RDWR};

cases![
    two_descriptions_in_one_process_conflict,
    duplicates_and_children_share_the_lock,
    released_at_the_last_close_only,
    closing_another_description_releases_nothing,
    conflict_with_process_locks,
    getlk_reports_no_process,
    blocking_lock_waits,
    an_open_file_is_told_what_it_has_itself,
];

fn try_lock(fd: &sys::Fd, kind: i32, start: i64, length: i64) -> sys::Sys<()> {
    sys::set_lock(fd, F_OFD_SETLK, kind, range(start, length))
}

fn two_descriptions_in_one_process_conflict(d: &Dir) -> Outcome {
    let (one, two) = (d.open("f", b""), sys::open(d.at("f"), O_RDWR, 0)?);
    try_lock(&one, F_WRLCK, 0, 10)?;
    fails!(EAGAIN, try_lock(&two, F_WRLCK, 5, 1));
    fails!(EAGAIN, try_lock(&two, F_RDLCK, 5, 1));
    try_lock(&two, F_WRLCK, 10, 1)?;
    try_lock(&one, F_UNLCK, 0, 10)?;
    try_lock(&two, F_WRLCK, 5, 1)?;
    Ok(())
}

fn duplicates_and_children_share_the_lock(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let copy = sys::dup(&fd)?;
    try_lock(&fd, F_WRLCK, 0, 0)?;
    try_lock(&copy, F_WRLCK, 0, 0)?;
    sys::fork(|| {
        try_lock(&fd, F_WRLCK, 0, 0).expect("the child has the same description");
        let own = sys::open(d.at("f"), O_RDWR, 0).expect("open");
        fails!(EAGAIN, try_lock(&own, F_WRLCK, 0, 0));
    })
    .succeeds();
    Ok(())
}

fn released_at_the_last_close_only(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let copy = sys::dup(&fd)?;
    let other = sys::open(d.at("f"), O_RDWR, 0)?;
    try_lock(&fd, F_WRLCK, 0, 0)?;
    fd.close()?;
    fails!(EAGAIN, try_lock(&other, F_WRLCK, 0, 0));
    copy.close()?;
    try_lock(&other, F_WRLCK, 0, 0)?;
    Ok(())
}

fn closing_another_description_releases_nothing(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    try_lock(&fd, F_WRLCK, 0, 0)?;
    sys::open(d.at("f"), O_RDWR, 0)?.close()?;
    let other = sys::open(d.at("f"), O_RDWR, 0)?;
    fails!(EAGAIN, try_lock(&other, F_WRLCK, 0, 0));
    Ok(())
}

fn conflict_with_process_locks(d: &Dir) -> Outcome {
    let (one, two) = (d.open("f", b""), sys::open(d.at("f"), O_RDWR, 0)?);
    sys::set_lock(&one, F_SETLK, F_WRLCK, range(0, 0))?;
    fails!(EAGAIN, try_lock(&two, F_WRLCK, 0, 0));
    Ok(())
}

fn getlk_reports_no_process(d: &Dir) -> Outcome {
    let (one, two) = (d.open("f", b""), sys::open(d.at("f"), O_RDWR, 0)?);
    try_lock(&one, F_WRLCK, 3, 4)?;
    let found = sys::get_lock(&two, F_OFD_GETLK, F_RDLCK, range(0, 0))?;
    assert_eq!((found.l_start, found.l_len, found.l_pid), (3, 4, -1));
    Ok(())
}

fn blocking_lock_waits(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    try_lock(&fd, F_WRLCK, 0, 0)?;
    let child = sys::fork(|| {
        let own = sys::open(d.at("f"), O_RDWR, 0).expect("open");
        sys::set_lock(&own, F_OFD_SETLKW, F_WRLCK, range(0, 0)).expect("lock");
        assert_eq!(sys::fstat(&own).expect("fstat").st_size, 1);
    });
    std::thread::sleep(std::time::Duration::from_millis(100));
    crate::case::write_all(&fd, b"x");
    try_lock(&fd, F_UNLCK, 0, 0)?;
    child.succeeds();
    Ok(())
}

fn an_open_file_is_told_what_it_has_itself(d: &Dir) -> Outcome {
    let (one, two) = (d.open("f", b""), sys::open(d.at("f"), O_RDWR, 0)?);
    try_lock(&one, F_WRLCK, 10, 10)?;
    try_lock(&one, F_RDLCK, 40, 0)?;
    let own = |fd: &sys::Fd, start, length| sys::get_lock(fd, F_OFD_GETLK, F_UNLCK, range(start, length));
    let first = match own(&one, 0, 0) {
        Err(sys::EINVAL) => return skip("a kernel before 6.5"),
        first => first?,
    };
    assert_eq!((i32::from(first.l_type), first.l_start, first.l_len, first.l_pid), (F_WRLCK, 10, 10, -1));
    let last = own(&one, 30, 0)?;
    assert_eq!((i32::from(last.l_type), last.l_start, last.l_len), (F_RDLCK, 40, 0));
    assert_eq!(i32::from(own(&one, 0, 5)?.l_type), F_UNLCK);
    assert_eq!(i32::from(own(&two, 0, 0)?.l_type), F_UNLCK);
    fails!(EINVAL, sys::get_lock(&one, libc::F_GETLK, F_UNLCK, range(0, 0)));
    Ok(())
}
