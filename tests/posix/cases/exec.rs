//! What passes over `exec`, and what does not.

use crate::case::{Dir, Outcome, cases, content, fails, write_all};
use crate::sys::{self, Raw};
use libc::{O_CLOEXEC, O_RDWR};
use std::process::{Command, Stdio};

cases![
    close_on_exec_closes,
    inherited_descriptor_writes_and_appends,
    standard_streams_can_be_files,
    shell_redirections_work,
    shell_append_and_read_back,
    spawned_command_reads_its_stdin_from_a_file,
    spawned_command_runs_in_the_directory,
    pipeline_of_programs_over_files,
    program_stored_inside_runs,
    script_stored_inside_runs,
    a_process_is_named_after_its_file_program_or_script,
    exec_errors,
    execveat_errors,
    unlinked_file_passes_over_exec,
];

fn close_on_exec_closes(d: &Dir) -> Outcome {
    let fd = sys::open(d.file("f", b""), O_RDWR | O_CLOEXEC, 0)?;
    let number = fd.raw().to_string();
    sys::fork_with(|| sys::exec_role(&["expect-closed", &number]).0).succeeds();
    sys::fcntl(&fd, libc::F_SETFD, 0)?;
    sys::fork_with(|| sys::exec_role(&["write", &number, "abc"]).0).succeeds();
    assert_eq!(content(d.at("f")), b"abc");
    Ok(())
}

fn inherited_descriptor_writes_and_appends(d: &Dir) -> Outcome {
    let fd = sys::open(d.file("f", b"start "), O_RDWR | libc::O_APPEND, 0)?;
    let number = fd.raw().to_string();
    for _ in 0..3 {
        sys::fork_with(|| sys::exec_role(&["write", &number, "x"]).0).succeeds();
    }
    assert_eq!(content(d.at("f")), b"start xxx");
    Ok(())
}

#[track_caller]
fn shell(script: &str) -> String {
    let output = Command::new("/bin/sh")
        .arg("-c")
        .arg(script)
        .output()
        .expect("a shell");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{script}: {} {errors}",
        output.status
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn standard_streams_can_be_files(d: &Dir) -> Outcome {
    d.file("in", b"b\na\n");
    let open = |name: &str| {
        std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(d.at(name))
            .expect(name)
    };
    let status = Command::new("sort")
        .stdin(open("in"))
        .stdout(open("out"))
        .stderr(open("err"))
        .status();
    assert!(status.map_err(sys::Errno::from)?.success());
    assert_eq!(content(d.at("out")), b"a\nb\n");
    assert_eq!(content(d.at("err")), b"");
    Ok(())
}

fn shell_redirections_work(d: &Dir) -> Outcome {
    shell(
        "echo one >f; echo two >>f; { echo three; echo four; } >>f; cat <f >g; exec 3>h; echo five >&3",
    );
    assert_eq!(content(d.at("g")), b"one\ntwo\nthree\nfour\n");
    assert_eq!(content(d.at("h")), b"five\n");
    Ok(())
}

fn shell_append_and_read_back(d: &Dir) -> Outcome {
    let script =
        "for i in 1 2 3; do echo line $i; done >f; while read -r l; do echo \"<$l>\"; done <f";
    assert_eq!(shell(script), "<line 1>\n<line 2>\n<line 3>\n");
    assert_eq!(
        shell("cat <<END >here; cat here\nx $((1+1))\nEND\n"),
        "x 2\n"
    );
    assert_eq!(content(d.at("here")), b"x 2\n");
    Ok(())
}

fn spawned_command_reads_its_stdin_from_a_file(d: &Dir) -> Outcome {
    let path = d.file("f", b"abcdef");
    let fd = std::fs::File::open(path).map_err(sys::Errno::from)?;
    let output = Command::new("wc")
        .arg("-c")
        .stdin(fd)
        .output()
        .map_err(sys::Errno::from)?;
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "6");
    Ok(())
}

fn spawned_command_runs_in_the_directory(d: &Dir) -> Outcome {
    let dir = d.dir("dir");
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "pwd -P; echo x >made"])
        .current_dir(&dir)
        .stderr(Stdio::inherit());
    let output = command.output().map_err(sys::Errno::from)?;
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim_end(),
        dir.to_string_lossy()
    );
    assert_eq!(content(dir.join("made")), b"x\n");
    Ok(())
}

fn pipeline_of_programs_over_files(d: &Dir) -> Outcome {
    let numbers: String = (0..20_000)
        .rev()
        .map(|number| format!("{number:05}\n"))
        .collect();
    d.file("in", numbers.as_bytes());
    shell("sort <in | tee sorted | tail -n 3 >out; cp sorted copy; cmp sorted copy");
    assert_eq!(content(d.at("out")), b"19997\n19998\n19999\n");
    assert_eq!(content(d.at("sorted")).len(), numbers.len());
    Ok(())
}

fn program_stored_inside_runs(d: &Dir) -> Outcome {
    std::fs::copy("/bin/true", d.at("program")).map_err(sys::Errno::from)?;
    sys::chmod(d.at("program"), 0o755)?;
    let status = Command::new(d.at("program"))
        .status()
        .map_err(sys::Errno::from)?;
    assert!(status.success());
    shell("./program && ./program");
    Ok(())
}

fn a_process_is_named_after_its_file_program_or_script(d: &Dir) -> Outcome {
    use std::os::unix::fs::PermissionsExt;
    let name = |program: &str, arguments: &[&str]| {
        let output = Command::new(d.at(program)).args(arguments).output().expect("it runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    std::fs::copy("/bin/cat", d.at("a-program")).expect("copy");
    d.file("a-script", b"#!/bin/sh\ncat /proc/$$/comm\necho \"$0 $1\"\n");
    d.file("a-script-with-a-long-name", b"#!/bin/sh -e\ncat /proc/$$/comm\n");
    for script in ["a-script", "a-script-with-a-long-name"] {
        std::fs::set_permissions(d.at(script), std::fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    assert_eq!(name("a-program", &["/proc/self/comm"]), "a-program\n");
    assert_eq!(name("a-script", &["x"]), format!("a-script\n{} x\n", d.at("a-script").display()));
    assert_eq!(name("a-script-with-a-long-name", &[]), "a-script-with-a\n");
    Ok(())
}

fn script_stored_inside_runs(d: &Dir) -> Outcome {
    d.file("script", b"#!/bin/sh\necho \"arguments: $*\"\n");
    sys::chmod(d.at("script"), 0o755)?;
    let output = Command::new(d.at("script")).args(["a", "b"]).output();
    assert_eq!(
        output.map_err(sys::Errno::from)?.stdout,
        b"arguments: a b\n"
    );
    Ok(())
}

fn exec_errors(d: &Dir) -> Outcome {
    d.file("plain", b"#!/bin/sh\n");
    d.file("broken", b"\x7fELF is not all it takes");
    sys::chmod(d.at("broken"), 0o755)?;
    let attempt = |name: &str| {
        let path = sys::c_path(d.at(name));
        sys::exec(&path, std::slice::from_ref(&path))
    };
    assert_eq!(attempt("no"), sys::ENOENT);
    assert_eq!(attempt("plain"), sys::EACCES);
    assert_eq!(attempt("."), sys::EACCES);
    assert_eq!(attempt("broken"), sys::ENOEXEC);
    assert_eq!(attempt("plain/x"), sys::ENOTDIR);
    Ok(())
}

fn unlinked_file_passes_over_exec(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abcdef");
    sys::unlink(d.at("f"))?;
    let number = fd.raw().to_string();
    sys::fork_with(|| sys::exec_role(&["read-and-expect", &number, "abcdef"]).0).succeeds();
    sys::fork_with(|| sys::exec_role(&["write", &number, "tail"]).0).succeeds();
    let mut bytes = [0; 20];
    assert_eq!(sys::pread(&fd, &mut bytes, 0)?, 10);
    fails!(ENOENT, sys::stat(d.at("f")));
    write_all(&fd, b"!");
    Ok(())
}

fn execveat_errors(d: &Dir) -> Outcome {
    d.file("script", b"#!/bin/true\n");
    sys::chmod(d.at("script"), 0o755)?;
    sys::symlink("script", d.at("link"))?;
    let attempt = |name: &str, flags| sys::execveat(d.at(name), flags);
    assert_eq!(attempt("script", -1), sys::EINVAL);
    assert_eq!(attempt("link", libc::AT_SYMLINK_NOFOLLOW), sys::ELOOP);
    assert_eq!(attempt("no", libc::AT_SYMLINK_NOFOLLOW), sys::ENOENT);
    sys::fork_with(|| attempt("script", libc::AT_SYMLINK_NOFOLLOW).0).succeeds();
    sys::fork_with(|| attempt("link", 0).0).succeeds();
    Ok(())
}
