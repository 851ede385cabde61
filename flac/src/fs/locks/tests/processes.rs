//! Locks between processes: each other one is this test binary again, doing what it is told through a pipe.

use super::super::super::names::tests::fixture::owner;
use super::{file, flock};
use crate::config::Config;
use crate::fs::Fs;
use crate::fs::names::{Last, Resolved};
use crate::units::Ino;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const POOL: &str = "FLAC_TEST_LOCK_POOL";

/// What the other process does: for each line `COMMAND TYPE START LEN` an answer `=> ERRNO TYPE PID`.
#[test]
fn told_through_a_pipe() {
    let Some(pool) = std::env::var_os(POOL) else {
        return;
    };
    let fs = Fs::open(&Config::new(pool)).unwrap();
    let Ok(Resolved::Found { ino, .. }) = fs.resolve(Ino::ROOT, b"f", Last::Follow, &owner()) else { panic!("no file") };
    let id = fs.open_file(ino, libc::O_RDWR, 0).unwrap();
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let words: Vec<i64> = line.split(' ').map(|n| n.parse().unwrap()).collect();
        let mut lock = flock(words[1] as i32, words[2], words[3]);
        let result = fs.lock_posix(id, words[0] as i32, &mut lock);
        let errno = result.map_or_else(|e| e.errno(), |()| 0);
        eprintln!("=> {errno} {} {}", lock.l_type, lock.l_pid);
    }
    fs.exit();
}

struct Other {
    child: Child,
    answers: BufReader<std::process::ChildStderr>,
}

impl Other {
    fn start(fs: &Fs) -> Self {
        let this = std::env::current_exe().unwrap();
        let mut child = Command::new(this)
            .args(["--exact", "fs::locks::tests::processes::told_through_a_pipe", "--nocapture"])
            .env(POOL, fs.pool.dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stderr.take().unwrap());
        Self { child, answers }
    }
    fn tell(&mut self, command: i32, kind: i32, start: i64, len: i64) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{command} {kind} {start} {len}").unwrap();
    }
    /// Errno, type and pid.
    fn answer(&mut self) -> (i32, i32, i32) {
        loop {
            let mut line = String::new();
            assert_ne!(self.answers.read_line(&mut line).unwrap(), 0, "the other process is gone");
            if let Some(answer) = line.strip_prefix("=> ") {
                let n: Vec<i32> = answer.split_whitespace().map(|n| n.parse().unwrap()).collect();
                return (n[0], n[1], n[2]);
            }
        }
    }
    fn ask(&mut self, command: i32, kind: i32, start: i64, len: i64) -> (i32, i32, i32) {
        self.tell(command, kind, start, len);
        self.answer()
    }
    fn pid(&self) -> i32 {
        self.child.id() as i32
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_process_sees_who_has_the_lock_and_waits_for_it() {
    let (tree, _, ids) = file(1);
    let mut other = Other::start(&tree);
    tree.lock_posix(ids[0], libc::F_SETLK, &mut flock(libc::F_WRLCK, 0, 10)).unwrap();
    assert_eq!(other.ask(libc::F_SETLK, libc::F_RDLCK, 9, 1).0, libc::EAGAIN);
    let me = std::process::id() as i32;
    assert_eq!(other.ask(libc::F_GETLK, libc::F_RDLCK, 9, 1), (0, libc::F_WRLCK, me));
    assert_eq!(other.ask(libc::F_SETLK, libc::F_WRLCK, 10, 5).0, 0);
    other.tell(libc::F_SETLKW, libc::F_WRLCK, 0, 1);
    std::thread::sleep(Duration::from_millis(150));
    tree.lock_posix(ids[0], libc::F_SETLK, &mut flock(libc::F_UNLCK, 0, 0)).unwrap();
    assert_eq!(other.answer().0, 0);
    let mut probe = flock(libc::F_WRLCK, 0, 0);
    tree.lock_posix(ids[0], libc::F_GETLK, &mut probe).unwrap();
    assert_eq!((probe.l_start, probe.l_len, probe.l_pid), (0, 1, other.pid()));
}

#[test]
fn locks_of_a_killed_process_go() {
    let (tree, _, ids) = file(1);
    let mut other = Other::start(&tree);
    assert_eq!(other.ask(libc::F_SETLK, libc::F_WRLCK, 0, 0).0, 0);
    assert!(tree.lock_posix(ids[0], libc::F_SETLK, &mut flock(libc::F_WRLCK, 0, 1)).is_err());
    let mut waiting = Other::start(&tree);
    waiting.tell(libc::F_SETLKW, libc::F_RDLCK, 0, 1);
    std::thread::sleep(Duration::from_millis(100));
    drop(other);
    assert_eq!(waiting.answer().0, 0, "a waiter notices the death");
    drop(waiting);
    tree.lock_posix(ids[0], libc::F_SETLK, &mut flock(libc::F_WRLCK, 0, 1)).unwrap();
}

#[test]
fn two_processes_that_wait_for_each_other_are_told() {
    let (tree, _, ids) = file(1);
    let mut other = Other::start(&tree);
    assert_eq!(other.ask(libc::F_SETLK, libc::F_WRLCK, 0, 1).0, 0);
    tree.lock_posix(ids[0], libc::F_SETLK, &mut flock(libc::F_WRLCK, 1, 1)).unwrap();
    other.tell(libc::F_SETLKW, libc::F_WRLCK, 1, 1);
    std::thread::sleep(Duration::from_millis(200));
    let circle = tree.lock_posix(ids[0], libc::F_SETLKW, &mut flock(libc::F_WRLCK, 0, 1));
    assert_eq!(circle.unwrap_err().errno(), libc::EDEADLK);
    tree.lock_posix(ids[0], libc::F_SETLK, &mut flock(libc::F_UNLCK, 0, 0)).unwrap();
    assert_eq!(other.answer().0, 0);
}

/// Who is stopped has not noticed yet that he may go on: he waits for nobody all the same.
#[test]
fn a_lock_that_was_given_up_closes_no_circle() {
    let (tree, _, ids) = file(1);
    let mut other = Other::start(&tree);
    assert_eq!(other.ask(libc::F_SETLK, libc::F_WRLCK, 0, 1).0, 0);
    tree.lock_posix(ids[0], libc::F_SETLK, &mut flock(libc::F_WRLCK, 1, 1)).unwrap();
    other.tell(libc::F_SETLKW, libc::F_WRLCK, 1, 1);
    std::thread::sleep(Duration::from_millis(200));
    let process = rustix::process::Pid::from_raw(other.pid()).unwrap();
    let signal = |signal| rustix::process::kill_process(process, signal).unwrap();
    signal(rustix::process::Signal::STOP);
    tree.lock_posix(ids[0], libc::F_SETLK, &mut flock(libc::F_UNLCK, 1, 1)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            signal(rustix::process::Signal::CONT);
            assert_eq!(other.answer().0, 0);
            assert_eq!(other.ask(libc::F_SETLK, libc::F_UNLCK, 0, 1).0, 0);
        });
        tree.lock_posix(ids[0], libc::F_SETLKW, &mut flock(libc::F_WRLCK, 0, 1)).expect("the other goes on");
    });
}
