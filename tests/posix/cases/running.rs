//! `ETXTBSY`: a program that runs is not written, and what is being written is not run.

use crate::case::{Dir, Outcome, cases, content, fails};
use crate::sys;
use libc::{O_CLOEXEC, O_CREAT, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY};
use std::io::{BufRead, BufReader, Read};
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

cases![
    a_running_program_is_not_written,
    after_its_end_it_is,
    its_name_may_go_and_be_given_to_another,
    a_child_of_a_program_runs_it_too,
    who_executes_another_program_runs_it_no_more,
    other_files_are_written_meanwhile,
    what_is_open_for_writing_is_not_executed,
    nor_is_a_script_which_may_be_written_while_it_runs,
    what_another_process_has_open_for_writing_is_not_executed,
    what_exec_has_closed_is_not_open_for_writing,
];

/// A copy of a program.
fn stored(d: &Dir, program: &str, name: &str) -> std::path::PathBuf {
    std::fs::copy(program, d.at(name)).expect("a copy of a program");
    sys::chmod(d.at(name), 0o755).expect("chmod");
    d.at(name)
}

/// A shell that runs, with pipes for its input and output; it is ended when dropped.
struct Shell {
    child: Child,
    output: BufReader<ChildStdout>,
}

/// A shell at `path` that runs `script`, which says that it is ready.
fn shell(path: impl AsRef<OsStr>, script: &str) -> Shell {
    let mut command = Command::new(path);
    command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("a shell");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    output.read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");
    Shell { child, output }
}

/// A shell at `path` that waits until its standard input is closed.
fn waiting(path: &Path) -> Shell {
    shell(path, "echo ready; read x")
}

impl Shell {
    fn kill(&mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("its end");
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn not_writable(path: &Path) {
    fails!(ETXTBSY, sys::open(path, O_WRONLY, 0));
    fails!(ETXTBSY, sys::open(path, O_RDWR, 0));
    fails!(ETXTBSY, sys::open(path, O_WRONLY | O_TRUNC | O_CREAT, 0o644));
    fails!(ETXTBSY, sys::open(path, O_RDONLY | O_TRUNC, 0));
    fails!(ETXTBSY, sys::truncate(path, 0));
    assert!(std::fs::write(path, b"x").is_err());
}

fn a_running_program_is_not_written(d: &Dir) -> Outcome {
    let path = stored(d, "/bin/sh", "program");
    let child = waiting(&path);
    let size = sys::stat(&path)?.st_size;
    not_writable(&path);
    sys::fork(|| not_writable(&path)).succeeds();
    sys::link(&path, d.at("another name"))?;
    not_writable(&d.at("another name"));
    drop(sys::open(&path, O_RDONLY, 0)?);
    sys::chmod(&path, 0o700)?;
    assert_eq!(sys::stat(&path)?.st_size, size);
    drop(child);
    Ok(())
}

fn after_its_end_it_is(d: &Dir) -> Outcome {
    let path = stored(d, "/bin/sh", "program");
    drop(waiting(&path));
    drop(sys::open(&path, O_RDWR, 0)?);
    let mut child = waiting(&path);
    let mut second = waiting(&path);
    child.kill();
    not_writable(&path);
    second.kill();
    std::fs::write(&path, b"#!/bin/true\n").expect("written");
    assert!(Command::new(&path).status().expect("run").success());
    Ok(())
}

fn its_name_may_go_and_be_given_to_another(d: &Dir) -> Outcome {
    let path = stored(d, "/bin/sh", "program");
    let child = waiting(&path);
    sys::unlink(&path)?;
    d.file("program", b"written");
    drop(sys::open(&path, O_RDWR | O_TRUNC, 0)?);
    drop(child);
    let path = stored(d, "/bin/sh", "again");
    let child = waiting(&path);
    d.file("other", b"other");
    sys::rename(d.at("other"), &path)?;
    drop(sys::open(&path, O_RDWR, 0)?);
    assert_eq!(content(&path), b"other");
    drop(child);
    Ok(())
}

fn a_child_of_a_program_runs_it_too(d: &Dir) -> Outcome {
    let path = stored(d, "/bin/sh", "program");
    let mut shell = shell(&path, "exec 3<&0; (echo ready; read x <&3) & exit");
    let input = shell.child.stdin.take();
    shell.child.wait().expect("its end");
    not_writable(&path);
    drop(input);
    // The end of its output is the end of the process, but for a moment.
    let mut rest = String::new();
    shell.output.read_to_string(&mut rest).expect("the rest");
    for _ in 0..200 {
        if sys::open(&path, O_RDWR, 0).is_ok() {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("still busy");
}

fn who_executes_another_program_runs_it_no_more(d: &Dir) -> Outcome {
    let path = stored(d, "/bin/sh", "program");
    let child = shell(&path, "exec /bin/sh -c 'echo ready; read x'");
    drop(sys::open(&path, O_RDWR, 0)?);
    drop(child);
    let other = stored(d, "/bin/sh", "other");
    let child = shell(&path, "./missing; exec ./other -c 'echo ready; read x'");
    drop(sys::open(&path, O_RDWR, 0)?);
    not_writable(&other);
    drop(child);
    // An exec that fails changes nothing.
    d.file("broken", b"\x7fELF is not all it takes");
    sys::chmod(d.at("broken"), 0o755)?;
    let child = shell(&path, "(exec ./broken) 2>&-; echo ready; read x");
    not_writable(&path);
    drop(sys::open(d.at("broken"), O_RDWR, 0)?);
    drop(child);
    Ok(())
}

fn other_files_are_written_meanwhile(d: &Dir) -> Outcome {
    let path = stored(d, "/bin/sh", "program");
    let child = waiting(&path);
    // More than there are classes of inodes that anything could be kept by.
    for at in 0..300 {
        d.file(&format!("f{at}"), b"x");
        sys::truncate(d.at(&format!("f{at}")), 0)?;
        drop(sys::open(d.at(&format!("f{at}")), O_RDWR | O_TRUNC, 0)?);
    }
    not_writable(&path);
    drop(child);
    Ok(())
}

fn attempt(path: &Path) -> sys::Errno {
    let path = sys::c_path(path);
    sys::exec(&path, std::slice::from_ref(&path))
}

fn what_is_open_for_writing_is_not_executed(d: &Dir) -> Outcome {
    let path = stored(d, "/bin/true", "program");
    for flags in [O_WRONLY, O_RDWR, O_RDWR | libc::O_APPEND | O_CLOEXEC] {
        let fd = sys::open(&path, flags, 0)?;
        let copy = sys::dup(&fd)?;
        fd.close()?;
        assert_eq!(attempt(&path), sys::ETXTBSY);
        sys::fork(|| assert_eq!(attempt(&path), sys::ETXTBSY)).succeeds();
        assert!(Command::new(&path).status().is_err_and(|e| e.raw_os_error() == Some(libc::ETXTBSY)));
        copy.close()?;
    }
    for flags in [O_RDONLY, libc::O_PATH, libc::O_ACCMODE] {
        let _fd = sys::open(&path, flags, 0)?;
        assert!(Command::new(&path).status().expect("run").success());
    }
    Ok(())
}

fn nor_is_a_script_which_may_be_written_while_it_runs(d: &Dir) -> Outcome {
    let path = d.file("script", b"#!/bin/sh\necho ready; read x\n");
    sys::chmod(&path, 0o755)?;
    let fd = sys::open(&path, O_WRONLY, 0)?;
    assert_eq!(attempt(&path), sys::ETXTBSY);
    fd.close()?;
    let child = shell(&path, "");
    drop(sys::open(&path, O_RDWR, 0)?);
    drop(child);
    Ok(())
}

fn what_another_process_has_open_for_writing_is_not_executed(d: &Dir) -> Outcome {
    let path = stored(d, "/bin/true", "program");
    for killed in [false, true] {
        let mut child = shell(Path::new("/bin/sh"), "exec 5<>program; echo ready; read x");
        assert_eq!(attempt(&path), sys::ETXTBSY);
        if killed {
            child.kill();
        }
        drop(child);
        assert!(Command::new(&path).status().expect("run").success());
    }
    Ok(())
}

fn what_exec_has_closed_is_not_open_for_writing(d: &Dir) -> Outcome {
    let path = stored(d, "/bin/true", "program");
    let fd = sys::open(&path, O_RDWR | O_CLOEXEC, 0)?;
    // It has nothing to do with what is under test.
    let child = shell("/bin/sh", "cd /; exec /bin/sh -c 'echo ready; read x'");
    fd.close()?;
    assert!(Command::new(&path).status().expect("run").success());
    drop(child);
    Ok(())
}
