//! Open files that some close while others take them.

use super::*;
use crate::config::Config;
use crate::fs::locks::LocksShared;
use crate::fs::survival::{make_file, open, place_with_pool};
use crate::media::sim::tape::Lower;
use std::time::Duration;

const FLAGS: i32 = libc::O_RDWR | libc::O_APPEND;
const MOMENT: Duration = Duration::from_millis(50);

fn whole(kind: i32) -> libc::flock {
    libc::flock { l_type: kind as i16, l_whence: libc::SEEK_SET as i16, l_start: 0, l_len: 0, l_pid: 0 }
}

/// Who closed it last took flags and locks away, and then found that it was not the last: who had taken a reference meanwhile had a file that was open for nothing.
#[test]
fn regression_a_file_that_is_taken_while_it_is_closed_is_whole_or_gone() {
    let (_dir, pool) = place_with_pool(Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    let id = fs.open_file(make_file(&fs, b"file"), FLAGS, 1).expect("it opens");
    // Where nobody has locked anything nobody looks for locks.
    let other = fs.open_file(make_file(&fs, b"another"), FLAGS, 2).expect("it opens");
    fs.flock(other, libc::LOCK_EX).expect("a lock");
    let locks: &LocksShared = fs.region.control.locks();
    let taken = std::thread::scope(|scope| {
        let turn = locks.lock.lock(&*fs.procs);
        scope.spawn(|| fs.release(1));
        while fs.held(1).is_some() {
            std::thread::yield_now();
        }
        std::thread::sleep(MOMENT);
        let taken = fs.adopt(id, 3);
        drop(turn);
        taken
    });
    match taken {
        Ok(()) => assert_eq!(fs.open_flags(id), FLAGS),
        Err(e) => assert_eq!(e.errno(), libc::EBADF),
    }
    [2, 3].into_iter().for_each(|hold| fs.release(hold));
    assert_eq!(fs.check(true).expect("a check"), Vec::<String>::new());
}

/// Its number had gone to the next file by then, and with a close of that would go the process's record locks.
#[test]
fn regression_who_comes_too_late_for_a_file_closes_no_other() {
    let (_dir, pool) = place_with_pool(Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    let ino = make_file(&fs, b"file");
    let late = fs.open_file(ino, FLAGS, 1).expect("it opens");
    fs.release(1);
    let id = fs.open_file(ino, FLAGS, 1).expect("it opens");
    assert_eq!(late.index(), id.index());
    fs.lock_posix(id, libc::F_SETLK, &mut whole(libc::F_WRLCK)).expect("a lock");
    assert_eq!(fs.adopt(late, 2), Err(Error::Os(libc::EBADF)));
    let mut probe = whole(libc::F_RDLCK);
    fs.lock_ofd(id, libc::F_OFD_GETLK, &mut probe).expect("a look");
    assert_eq!(i32::from(probe.l_type), libc::F_WRLCK);
    fs.release(1);
}

/// The other one's close gave the slot to the next file, with a call of this process's under way.
#[test]
fn regression_a_call_is_awaited_by_a_close_though_another_process_has_the_file_too() {
    let (_dir, pool) = place_with_pool(Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    let other = Fs::open(&Config::new(&pool)).expect("it opens again");
    let id = fs.open_file(make_file(&fs, b"file"), FLAGS, 1).expect("it opens");
    fs.dup_hold(1, 2).expect("a duplicate");
    other.adopt(id, 1).expect("the same file");
    assert!(fs.begin_use(1, id));
    // Not by this one.
    fs.release(2);
    std::thread::scope(|scope| {
        let closing = scope.spawn(|| fs.release(1));
        std::thread::sleep(MOMENT);
        assert!(!closing.is_finished());
        fs.end_use(id);
    });
    other.release(1);
    other.exit();
}

/// The child had a reference to a file that was closed: with its own close the file was closed twice, or one that had come to its place.
#[test]
fn regression_a_fork_beside_a_close_copies_no_hold_of_a_closed_file() {
    let (_dir, pool) = place_with_pool(Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    let ino = make_file(&fs, b"file");
    std::thread::scope(|scope| {
        let closing = scope.spawn(|| {
            for _ in 0..20_000 {
                fs.open_file(ino, FLAGS, 1).expect("it opens");
                fs.release(1);
            }
        });
        while !closing.is_finished() {
            let token = fs.before_fork().expect("a slot");
            fs.after_fork_parent(token, None);
        }
    });
    assert_eq!(fs.check(true).expect("a check"), Vec::<String>::new());
    assert_eq!(fs.inodes.slot(fs.hold_inode(ino).expect("cached")).opens.load(Acquire), 1);
}
