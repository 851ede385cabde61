//! Streams over fork, exec and exit; the standard streams on files.

use crate::case::{Dir, Outcome, cases, content};
use crate::sys::{self, fopen};
use libc::{O_CREAT, O_RDONLY, O_RDWR, O_TRUNC};

cases![
    printf_to_a_redirected_stdout,
    stdout_goes_to_a_file_and_back_to_a_pipe,
    stdin_from_a_file,
    exit_flushes_and_exit_now_does_not,
    exec_ed_program_prints_to_a_file,
    unflushed_bytes_are_printed_by_both_after_fork,
    reading_position_is_shared_over_fork_after_flush,
    shell_and_child_share_a_script_on_stdin,
    popen_reads_a_command_over_files,
    popen_writes_to_a_command_over_files,
    rust_print_reaches_the_file,
];

/// Runs `body` in a child whose descriptor 1 is the new file `out`.
fn with_stdout(d: &Dir, body: impl FnOnce()) {
    sys::fork(|| {
        let fd = sys::open(d.at("out"), O_RDWR | O_CREAT | O_TRUNC, 0o644).expect("open");
        sys::dup2(&fd, 1).expect("dup2");
        body();
    })
    .succeeds();
}

fn printf_to_a_redirected_stdout(d: &Dir) -> Outcome {
    with_stdout(d, || {
        sys::printf("number", 7);
        sys::puts("a line");
        sys::flush_stdout().expect("flush");
    });
    assert_eq!(content(d.at("out")), b"number 7\na line\n");
    Ok(())
}

fn stdout_goes_to_a_file_and_back_to_a_pipe(d: &Dir) -> Outcome {
    let (out, into) = sys::pipe(0)?;
    sys::fork(|| {
        sys::dup2(&into, 1).expect("dup2");
        let saved = sys::dup(1).expect("dup");
        let fd = sys::open(d.at("out"), O_RDWR | O_CREAT, 0o644).expect("open");
        sys::dup2(&fd, 1).expect("dup2");
        sys::puts("to the file");
        sys::flush_stdout().expect("flush");
        sys::dup2(&saved, 1).expect("dup2");
        sys::puts("to the pipe");
        sys::flush_stdout().expect("flush");
    })
    .succeeds();
    let mut bytes = [0; 100];
    let count = sys::read(&out, &mut bytes)?;
    assert_eq!(&bytes[..count], b"to the pipe\n");
    assert_eq!(content(d.at("out")), b"to the file\n");
    Ok(())
}

fn stdin_from_a_file(d: &Dir) -> Outcome {
    d.file("in", b"xyz");
    sys::fork(|| {
        let fd = sys::open(d.at("in"), O_RDONLY, 0).expect("open");
        sys::dup2(&fd, 0).expect("dup2");
        assert_eq!(sys::getc_stdin(), Some(b'x'));
        assert_eq!(sys::getc_stdin(), Some(b'y'));
        sys::flush_stdin();
        assert_eq!(sys::lseek(&fd, 0, libc::SEEK_CUR), Ok(2));
    })
    .succeeds();
    Ok(())
}

fn exit_flushes_and_exit_now_does_not(d: &Dir) -> Outcome {
    let ending = |end: fn(i32) -> !| {
        sys::fork_with(|| {
            let mut stream = fopen(d.at("f"), "w").expect("fopen");
            stream.write(b"buffered");
            end(0)
        })
    };
    ending(sys::exit_now).succeeds();
    assert_eq!(content(d.at("f")), b"");
    ending(sys::exit_flushing).succeeds();
    assert_eq!(content(d.at("f")), b"buffered");
    Ok(())
}

fn exec_ed_program_prints_to_a_file(d: &Dir) -> Outcome {
    let child = sys::fork_with(|| {
        let fd = sys::open(d.at("out"), O_RDWR | O_CREAT, 0o644).expect("open");
        sys::dup2(&fd, 1).expect("dup2");
        sys::exec_role(&["print-and-exit", "printed"]).0
    });
    child.succeeds();
    assert_eq!(content(d.at("out")), b"printed 1\n");
    Ok(())
}

fn unflushed_bytes_are_printed_by_both_after_fork(d: &Dir) -> Outcome {
    let mut stream = fopen(d.at("f"), "w")?;
    stream.write(b"twice ");
    sys::fork(|| stream.flush().expect("flush")).succeeds();
    stream.flush()?;
    assert_eq!(content(d.at("f")), b"twice twice ");
    Ok(())
}

fn reading_position_is_shared_over_fork_after_flush(d: &Dir) -> Outcome {
    let mut stream = fopen(d.file("f", b"one\ntwo\nthree\n"), "r")?;
    assert_eq!(stream.getline().as_deref(), Some(b"one\n".as_slice()));
    stream.flush()?;
    sys::fork(|| {
        assert_eq!(stream.getline().as_deref(), Some(b"two\n".as_slice()));
        stream.flush().expect("flush");
    })
    .succeeds();
    assert_eq!(stream.getline().as_deref(), Some(b"three\n".as_slice()));
    Ok(())
}

fn shell_and_child_share_a_script_on_stdin(d: &Dir) -> Outcome {
    d.file(
        "script",
        b"read -r a\nfirst line\necho \"got $a\"\nhead -n 1 >/dev/null\n",
    );
    let input = std::fs::File::open(d.at("script")).map_err(sys::Errno::from)?;
    let output = std::process::Command::new("bash")
        .stdin(input)
        .output()
        .map_err(sys::Errno::from)?;
    assert_eq!(
        output.stdout, b"got first line\n",
        "the shell reads no further than it needs"
    );
    Ok(())
}

fn popen_reads_a_command_over_files(d: &Dir) -> Outcome {
    d.file("f", b"b\na\nc\n");
    let mut stream = sys::popen("sort <f; cat f | wc -l", "r")?;
    assert_eq!(stream.read(100), b"a\nb\nc\n3\n");
    assert_eq!(stream.pclose(), 0);
    Ok(())
}

fn popen_writes_to_a_command_over_files(d: &Dir) -> Outcome {
    let mut stream = sys::popen("sort >sorted; exit 3", "w")?;
    stream.write(b"b\na\n");
    assert_eq!(stream.pclose(), 3);
    assert_eq!(content(d.at("sorted")), b"a\nb\n");
    Ok(())
}

fn rust_print_reaches_the_file(d: &Dir) -> Outcome {
    with_stdout(d, || {
        println!("from Rust");
        let _ = std::io::Write::flush(&mut std::io::stdout());
    });
    assert_eq!(content(d.at("out")), b"from Rust\n");
    Ok(())
}
