//! Children made by `clone`, and threads that are somebody else.

use crate::case::{Dir, Outcome, cases, content, fails, skip, write_all};
use crate::sys::{self, Body, Child, Sys};
use libc::{CLONE_FILES, CLONE_FS, CLONE_NEWUTS, CLONE_SIGHAND, CLONE_VFORK, CLONE_VM, O_CREAT, O_RDWR, O_WRONLY};
use std::ffi::{c_int, c_void};

cases![
    children_have_what_fork_would_give_them,
    children_of_children_do_too,
    a_child_in_its_parents_memory_leaves_that_working,
    a_child_that_is_waited_for_may_execute,
    locks_are_not_inherited,
    a_threads_file_system_user_decides,
    a_thread_may_be_somebody_else,
];

/// The number of the file that all children write to.
const LOG: i32 = 9;

type Make = fn(c_int, Body) -> Sys<Child>;
/// Every way that gives the child memory of its own, or lets its parent wait.
const WAYS: [(&str, Make, c_int); 7] = [
    ("a", sys::clone_by_number, 0),
    ("b", sys::clone_by_number, CLONE_NEWUTS),
    ("c", sys::clone_by_number, CLONE_VFORK),
    ("d", sys::clone3_by_number, 0),
    ("e", sys::clone_on_stack, 0),
    ("f", sys::clone_on_stack, CLONE_FS),
    ("g", sys::clone_on_stack, CLONE_VM | CLONE_VFORK),
];

fn open_log(d: &Dir) -> Sys<()> {
    let log = sys::open(d.at("log"), O_CREAT | O_RDWR, 0o644)?;
    sys::dup2(&log, LOG).map(drop)
}

extern "C" fn work(_: *mut c_void) -> c_int {
    let mut failed = 0;
    let mut check = |worked: bool, bit| failed |= if worked { 0 } else { bit };
    check(sys::write(LOG, b"c") == Ok(1), 1);
    let made = sys::open("made", O_CREAT | O_WRONLY, 0o644);
    check(made.is_ok_and(|made| sys::write(&made, b"x") == Ok(1)), 2);
    check(sys::mkdir("dir", 0o755).is_ok() && sys::rmdir("dir").is_ok(), 4);
    check(sys::unlink("made").is_ok(), 8);
    check(sys::close(LOG).is_ok(), 16);
    failed
}

fn children_have_what_fork_would_give_them(d: &Dir) -> Outcome {
    open_log(d)?;
    for (name, make, flags) in WAYS {
        if flags == CLONE_NEWUTS && !sys::is_root() {
            continue;
        }
        write_all(LOG, name.as_bytes());
        make(flags, work)?.succeeds();
        write_all(LOG, b"p");
    }
    let seen = content(d.at("log"));
    assert_eq!(String::from_utf8_lossy(&seen).replace("bcp", ""), "acpccpdcpecpfcpgcp");
    Ok(())
}

extern "C" fn have_children(_: *mut c_void) -> c_int {
    for (_, make, flags) in [WAYS[0], WAYS[3], WAYS[4], WAYS[6]] {
        make(flags, work).expect("a grandchild").succeeds();
        assert_eq!(sys::write(LOG, b"."), Ok(1));
    }
    0
}

fn children_of_children_do_too(d: &Dir) -> Outcome {
    open_log(d)?;
    for (_, make, flags) in [WAYS[0], WAYS[3], WAYS[4]] {
        make(flags, have_children)?.succeeds();
        write_all(LOG, b"|");
    }
    assert_eq!(content(d.at("log")), b"c.c.c.c.|c.c.c.c.|c.c.c.c.|");
    Ok(())
}

extern "C" fn write_and_open(_: *mut c_void) -> c_int {
    let opened = sys::open("made", O_CREAT | O_RDWR, 0o644).and_then(|made| sys::dup2(&made, LOG + 1));
    c_int::from(opened.is_err() || sys::write(LOG, b"c") != Ok(1))
}

fn a_child_in_its_parents_memory_leaves_that_working(d: &Dir) -> Outcome {
    open_log(d)?;
    sys::clone_on_stack(CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SIGHAND, write_and_open)?.succeeds();
    write_all(LOG, b"p");
    write_all(LOG + 1, b"by the parent");
    assert_eq!(content(d.at("log")), b"cp");
    assert_eq!(content(d.at("made")), b"by the parent");
    sys::fork(|| write_all(LOG, b"f")).succeeds();
    assert_eq!(content(d.at("log")), b"cpf");
    Ok(())
}

extern "C" fn execute(_: *mut c_void) -> c_int {
    let echo = [c"sh", c"-c", c"echo executed >&9"].map(std::ffi::CStr::to_owned);
    sys::exec(c"/bin/sh", &echo);
    1
}

fn a_child_that_is_waited_for_may_execute(d: &Dir) -> Outcome {
    open_log(d)?;
    for (_, make, flags) in WAYS.into_iter().filter(|(_, _, flags)| flags & CLONE_VFORK != 0) {
        make(flags, execute)?.succeeds();
    }
    assert_eq!(content(d.at("log")), b"executed\nexecuted\n");
    Ok(())
}

extern "C" fn try_lock(_: *mut c_void) -> c_int {
    c_int::from(sys::set_lock(LOG, libc::F_SETLK, libc::F_WRLCK, sys::range(0, 0)) != Err(sys::EAGAIN))
}

fn locks_are_not_inherited(d: &Dir) -> Outcome {
    open_log(d)?;
    sys::set_lock(LOG, libc::F_SETLK, libc::F_WRLCK, sys::range(0, 0))?;
    for (_, make, flags) in [WAYS[0], WAYS[3], WAYS[4], WAYS[6]] {
        make(flags, try_lock)?.succeeds();
    }
    Ok(())
}

fn a_threads_file_system_user_decides(d: &Dir) -> Outcome {
    if !sys::is_root() {
        return skip("not root");
    }
    let path = d.file("f", b"bytes");
    sys::chmod(&path, 0o600)?;
    for by_number in [true, false] {
        sys::set_file_system_user(65_534, by_number);
        fails!(EACCES, sys::open(&path, O_RDWR, 0));
        sys::fork(|| fails!(EACCES, sys::open(&path, O_RDWR, 0))).succeeds();
        sys::set_file_system_user(0, by_number);
        sys::open(&path, O_RDWR, 0)?;
    }
    Ok(())
}

fn a_thread_may_be_somebody_else(d: &Dir) -> Outcome {
    if !sys::is_root() {
        return skip("not root");
    }
    let path = d.file("f", b"bytes");
    sys::chmod(&path, 0o600)?;
    let (path, turns) = (&path, std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            sys::set_thread_user(65_534).expect("root may");
            turns.wait();
            for _ in 0..100 {
                fails!(EACCES, sys::open(path, O_RDWR, 0));
            }
            turns.wait();
        });
        turns.wait();
        for _ in 0..100 {
            sys::open(path, O_RDWR, 0).expect("this thread is still root");
        }
        turns.wait();
    });
    Ok(())
}
