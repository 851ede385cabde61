//! Locks against the kernel's, and between processes.

mod kernel;
mod processes;

use super::super::names::tests::fixture::{Tree, owner};
use crate::fs::names::Name;
use crate::fs::open::OpenId;
use crate::units::Ino;
use std::time::Duration;

/// A tree with a file `f` that is held several times, for reading and writing.
fn file(holds: usize) -> (Tree, Ino, Vec<OpenId>) {
    let tree = Tree::new("/mnt/flac");
    let ino = tree.create(Ino::ROOT, &Name::new(b"f").unwrap(), libc::S_IFREG | 0o644, 0, &owner()).unwrap();
    let ids = (0..holds).map(|hold| tree.open_file(ino, libc::O_RDWR, hold).unwrap()).collect();
    (tree, ino, ids)
}

fn flock(kind: i32, start: i64, len: i64) -> libc::flock {
    libc::flock { l_type: kind as i16, l_whence: libc::SEEK_SET as i16, l_start: start, l_len: len, l_pid: 0 }
}

#[test]
fn a_waiter_gets_the_lock_when_it_is_given_up() {
    let (tree, _, ids) = file(2);
    tree.lock_ofd(ids[0], libc::F_OFD_SETLK, &mut flock(libc::F_WRLCK, 0, 10)).unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| tree.lock_ofd(ids[1], libc::F_OFD_SETLKW, &mut flock(libc::F_RDLCK, 5, 1)));
        std::thread::sleep(Duration::from_millis(30));
        assert!(!waiter.is_finished());
        tree.lock_ofd(ids[0], libc::F_OFD_SETLK, &mut flock(libc::F_UNLCK, 0, 0)).unwrap();
        waiter.join().unwrap().unwrap();
    });
}

#[test]
fn closing_an_open_file_gives_up_its_locks() {
    let (tree, _, ids) = file(2);
    tree.flock(ids[0], libc::LOCK_EX).unwrap();
    tree.lock_ofd(ids[0], libc::F_OFD_SETLK, &mut flock(libc::F_WRLCK, 0, 0)).unwrap();
    assert!(tree.flock(ids[1], libc::LOCK_SH | libc::LOCK_NB).is_err());
    tree.release_open_locks(ids[0]);
    tree.flock(ids[1], libc::LOCK_SH | libc::LOCK_NB).unwrap();
    tree.lock_ofd(ids[1], libc::F_OFD_SETLK, &mut flock(libc::F_WRLCK, 3, 1)).unwrap();
}

#[test]
fn closing_a_descriptor_gives_up_the_process_locks_of_its_file_only() {
    let (tree, ino, ids) = file(2);
    let other = tree.create(Ino::ROOT, &Name::new(b"g").unwrap(), libc::S_IFREG | 0o644, 0, &owner()).unwrap();
    let other = tree.open_file(other, libc::O_RDWR, 5).unwrap();
    for id in [ids[0], other] {
        tree.lock_posix(id, libc::F_SETLK, &mut flock(libc::F_WRLCK, 0, 0)).unwrap();
    }
    tree.release_process_locks(ino);
    tree.lock_ofd(ids[1], libc::F_OFD_SETLK, &mut flock(libc::F_WRLCK, 0, 0)).unwrap();
    let mut probe = flock(libc::F_WRLCK, 0, 1);
    tree.lock_ofd(other, libc::F_OFD_GETLK, &mut probe).unwrap();
    assert_eq!((probe.l_type as i32, probe.l_pid), (libc::F_WRLCK, std::process::id() as i32));
}

#[test]
fn whence_and_negative_lengths_count_from_where_they_say() {
    let (tree, _, ids) = file(2);
    let mut lock = flock(libc::F_WRLCK, 20, -5);
    tree.lock_ofd(ids[0], libc::F_OFD_SETLK, &mut lock).unwrap();
    let mut probe = flock(libc::F_RDLCK, 0, 0);
    tree.lock_ofd(ids[1], libc::F_OFD_GETLK, &mut probe).unwrap();
    assert_eq!((probe.l_start, probe.l_len, probe.l_pid), (15, 5, -1));
    let errno = |start, len| tree.lock_ofd(ids[0], libc::F_OFD_SETLK, &mut flock(libc::F_WRLCK, start, len)).unwrap_err().errno();
    assert_eq!(errno(-1, 1), libc::EINVAL);
    assert_eq!(errno(3, -4), libc::EINVAL);
    assert_eq!(errno(i64::MAX, 2), libc::EOVERFLOW);
}

#[test]
fn locks_need_the_access_that_they_are_for() {
    let (tree, ino, _) = file(1);
    let reader = tree.open_file(ino, libc::O_RDONLY, 1).unwrap();
    let writer = tree.open_file(ino, libc::O_WRONLY, 2).unwrap();
    let errno = |id, kind| tree.lock_posix(id, libc::F_SETLK, &mut flock(kind, 0, 1)).err().map(|e| e.errno());
    assert_eq!(errno(reader, libc::F_WRLCK), Some(libc::EBADF));
    assert_eq!(errno(writer, libc::F_RDLCK), Some(libc::EBADF));
    assert_eq!(errno(reader, libc::F_RDLCK), None);
    assert_eq!(errno(writer, libc::F_WRLCK), None);
}

#[test]
fn a_full_table_is_an_error_and_not_a_lie() {
    let (tree, _, ids) = file(2);
    let set = |n: i64| tree.lock_ofd(ids[0], libc::F_OFD_SETLK, &mut flock(libc::F_WRLCK, 2 * n, 1));
    let fits = (0..10_000).take_while(|n| set(*n).is_ok()).count();
    assert_eq!(fits, 8192);
    assert_eq!(set(9_000).unwrap_err().errno(), libc::ENOLCK);
    tree.lock_ofd(ids[0], libc::F_OFD_SETLK, &mut flock(libc::F_UNLCK, 0, 0)).unwrap();
    tree.lock_ofd(ids[1], libc::F_OFD_SETLK, &mut flock(libc::F_WRLCK, 0, 0)).unwrap();
}
