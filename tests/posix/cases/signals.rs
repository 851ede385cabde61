//! Signals that arrive in the middle of file calls.

use crate::case::{Dir, Outcome, cases, content};
use crate::sys::{self, Raw};
use std::time::{Duration, Instant};

cases![
    handler_may_write_to_another_file_meanwhile,
    handler_may_write_to_the_same_file_meanwhile,
    signals_do_not_shorten_file_transfers,
    kill_in_the_middle_of_writes_leaves_others_working,
    a_signal_ends_the_wait_for_a_lock_at_whatever_moment_it_comes,
    handlers_run_while_sendfile_waits_for_a_full_pipe,
    a_handler_ends_a_write_to_a_pipe_that_has_begun,
    a_signal_that_is_handled_or_ignored_by_turns_ends_nobody,
    handlers_run_while_an_open_waits_for_the_other_end_of_a_fifo,
    a_signal_ends_the_wait_for_the_other_end_of_a_fifo_at_whatever_moment_it_comes,
    a_job_that_is_suspended_holds_up_nobody,
    every_call_that_sets_an_action_tells_the_one_before,
];

/// As with Control-Z: wherever in a call it comes, what the others want of the same names and files does not wait for the job to go on.
fn a_job_that_is_suspended_holds_up_nobody(d: &Dir) -> Outcome {
    let job = sys::fork(|| {
        for i in (0..=255_u8).cycle() {
            let fd = sys::open(d.at("own"), libc::O_CREAT | libc::O_WRONLY, 0o644).expect("open");
            let all = sys::open(d.at("all"), libc::O_CREAT | libc::O_WRONLY, 0o644).expect("open");
            sys::pwrite(&fd, &[i; 4096], 0).expect("pwrite");
            sys::pwrite(&all, &[i; 40_960], 0).expect("pwrite");
            sys::unlink(d.at("own")).expect("unlink");
        }
    });
    job.becomes_a_job();
    for round in 0..100 {
        std::thread::sleep(Duration::from_micros(200 + round * 7));
        job.kill(libc::SIGTSTP);
        assert_eq!(job.stops(), libc::SIGTSTP, "round {round}");
        let all = sys::open(d.at("all"), libc::O_CREAT | libc::O_WRONLY, 0o644)?;
        assert_eq!(sys::pwrite(&all, &[0; 40_960], 0)?, 40_960);
        sys::mkdir(d.at("mine"), 0o755)?;
        sys::rmdir(d.at("mine"))?;
        job.kill(libc::SIGCONT);
    }
    job.kill(libc::SIGKILL);
    assert_eq!(job.wait(), sys::Ended::Signal(libc::SIGKILL));
    Ok(())
}

fn handler_may_write_to_another_file_meanwhile(d: &Dir) -> Outcome {
    let (log, fd) = (d.open("log", b""), d.open("f", b""));
    sys::write_on_alarm(log.raw(), 300)?;
    let start = Instant::now();
    let mut written = 0_u32;
    while start.elapsed() < Duration::from_millis(800) {
        let place = i64::from(written % 1000) * 4;
        assert_eq!(sys::pwrite(&fd, &written.to_le_bytes(), place)?, 4);
        let mut back = [0; 4];
        assert_eq!(sys::pread(&fd, &mut back, place)?, 4);
        assert_eq!(u32::from_le_bytes(back), written);
        written += 1;
    }
    let (writes, failures) = sys::stop_alarm()?;
    assert!(writes > 10 && failures == 0, "{writes} {failures}");
    assert!(content(d.at("log")) == vec![sys::HANDLER_BYTE; writes as usize]);
    Ok(())
}

fn handler_may_write_to_the_same_file_meanwhile(d: &Dir) -> Outcome {
    let path = d.file("f", b"");
    let fd = sys::open(&path, libc::O_WRONLY | libc::O_APPEND, 0)?;
    sys::write_on_alarm(fd.raw(), 300)?;
    let start = Instant::now();
    let mut records = 0;
    while start.elapsed() < Duration::from_millis(800) {
        assert_eq!(sys::write(&fd, b"record\n")?, 7);
        records += 1;
    }
    let (writes, failures) = sys::stop_alarm()?;
    assert!(writes > 10 && failures == 0, "{writes} {failures}");
    let all = content(path);
    assert_eq!(all.len(), records * 7 + writes as usize);
    for line in all.split_inclusive(|byte| *byte == b'\n') {
        let start = line
            .iter()
            .position(|byte| *byte != sys::HANDLER_BYTE)
            .unwrap_or(line.len());
        let rest = &line[start..];
        assert!(
            rest.is_empty() || rest == b"record\n",
            "a record is torn by the handler's bytes"
        );
    }
    Ok(())
}

fn signals_do_not_shorten_file_transfers(d: &Dir) -> Outcome {
    let log = d.open("log", b"");
    let bytes = crate::case::pattern(8 << 20, 1);
    let fd = d.open("f", b"");
    sys::write_on_alarm(log.raw(), 500)?;
    let mut back = vec![0; bytes.len()];
    for _ in 0..10 {
        assert_eq!(sys::pwrite(&fd, &bytes, 0)?, bytes.len());
        assert_eq!(sys::pread(&fd, &mut back, 0)?, bytes.len());
        assert!(back == bytes);
    }
    let (_, failures) = sys::stop_alarm()?;
    assert_eq!(failures, 0);
    Ok(())
}

fn kill_in_the_middle_of_writes_leaves_others_working(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    for round in 0..10_u64 {
        let child = sys::fork(|| {
            let own = sys::open(d.at("f"), libc::O_RDWR, 0).expect("open");
            for number in 0.. {
                sys::pwrite(&own, &[7; 5000], number % 100 * 5000).expect("pwrite");
                sys::creat(d.at("made"), 0o600).expect("creat");
                sys::unlink(d.at("made")).expect("unlink");
            }
        });
        std::thread::sleep(Duration::from_millis(10 + round * 3));
        child.kill(libc::SIGKILL);
        assert_eq!(child.wait(), sys::Ended::Signal(libc::SIGKILL));
        let _ = sys::unlink(d.at("made"));
        assert_eq!(sys::pwrite(&fd, b"alive", 0)?, 5);
        sys::creat(d.at("mine"), 0o600)?.close()?;
        sys::unlink(d.at("mine"))?;
    }
    assert!(
        content(d.at("f"))[5..]
            .iter()
            .all(|byte| *byte == 7 || *byte == 0)
    );
    Ok(())
}

fn a_signal_ends_the_wait_for_a_lock_at_whatever_moment_it_comes(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let (ready_out, ready_in) = sys::pipe(0)?;
    let holder = sys::fork(|| {
        let own = sys::open(d.at("f"), libc::O_RDWR, 0).expect("open");
        sys::flock(&own, libc::LOCK_EX).expect("flock");
        sys::set_lock(&own, libc::F_SETLK, libc::F_WRLCK, sys::range(0, 0)).expect("lock");
        sys::write(&ready_in, b"r").expect("write");
        std::thread::sleep(Duration::from_secs(40));
    });
    sys::read(&ready_out, &mut [0; 1])?;
    // One signal a wait, from right before the call to in the middle of the sleep.
    let start = Instant::now();
    for round in 0..200 {
        sys::one_alarm(1 + round % 60)?;
        let answer = match round % 2 {
            0 => sys::set_lock(&fd, libc::F_SETLKW, libc::F_WRLCK, sys::range(0, 0)),
            _ => sys::flock(&fd, libc::LOCK_EX),
        };
        // A signal before the call leaves the wait to the second one.
        assert_eq!(answer.err(), Some(sys::EINTR), "round {round}");
        assert!(start.elapsed() < Duration::from_secs(30), "round {round}");
    }
    drop(holder);
    Ok(())
}

fn handlers_run_while_an_open_waits_for_the_other_end_of_a_fifo(d: &Dir) -> Outcome {
    sys::mkfifo(d.at("p"), 0o600)?;
    let (told_out, told_in) = sys::pipe(0)?;
    // The handler is installed with SA_RESTART: the open goes on after it, and each signal finds a thread that can run it.
    sys::write_on_alarm(told_in.raw(), 20_000)?;
    let child = sys::fork(|| {
        for _ in 0..3 {
            sys::read(&told_out, &mut [0; 1]).expect("the handler's byte");
        }
        drop(sys::open(d.at("p"), libc::O_WRONLY, 0).expect("the other end"));
    });
    let fd = sys::open(d.at("p"), libc::O_RDONLY, 0)?;
    let (writes, failures) = sys::stop_alarm()?;
    assert!(writes >= 3 && failures == 0, "{writes} {failures}");
    drop(fd);
    child.succeeds();
    Ok(())
}

fn a_signal_that_is_handled_or_ignored_by_turns_ends_nobody(d: &Dir) -> Outcome {
    d.open("f", b"");
    sys::ignore_user_signal(true)?;
    let child = sys::fork(|| {
        std::thread::spawn(|| (0..).try_for_each(|round| sys::ignore_user_signal(round % 2 == 0)));
        for _ in 0..100_000 {
            sys::raise_user_signal().expect("raise");
        }
    });
    child.succeeds();
    Ok(())
}

fn a_signal_ends_the_wait_for_the_other_end_of_a_fifo_at_whatever_moment_it_comes(d: &Dir) -> Outcome {
    sys::mkfifo(d.at("p"), 0o600)?;
    let start = Instant::now();
    for round in 0..200 {
        sys::one_alarm(1 + round % 60)?;
        assert_eq!(sys::open(d.at("p"), libc::O_RDONLY, 0).err(), Some(sys::EINTR), "round {round}");
        assert!(start.elapsed() < Duration::from_secs(30), "round {round}");
    }
    Ok(())
}

fn handlers_run_while_sendfile_waits_for_a_full_pipe(d: &Dir) -> Outcome {
    let fd = d.open("f", &vec![7; 1 << 20]);
    let (out, into) = sys::pipe(0)?;
    let (told_out, told_in) = sys::pipe(0)?;
    sys::write_on_alarm(told_in.raw(), 20_000)?;
    let child = sys::fork(|| {
        for _ in 0..3 {
            sys::read(&told_out, &mut [0; 1]).expect("the handler's byte");
        }
        let (mut left, mut buffer) = (1 << 20, vec![0; 1 << 16]);
        while left > 0 {
            left -= sys::read(&out, &mut buffer).expect("what was sent");
        }
    });
    let mut sent = 0;
    while sent < 1 << 20 {
        sent += sys::sendfile(&into, &fd, &mut None, (1 << 20) - sent)?;
    }
    let (writes, failures) = sys::stop_alarm()?;
    assert!(writes >= 3 && failures == 0, "{writes} {failures}");
    child.succeeds();
    Ok(())
}

fn a_handler_ends_a_write_to_a_pipe_that_has_begun(d: &Dir) -> Outcome {
    let fd = d.open("f", &vec![7; 1 << 20]);
    let (out, into) = sys::pipe(0)?;
    let (_told_out, told_in) = sys::pipe(0)?;
    let writer = into.raw();
    let child = sys::fork(|| {
        sys::close(writer).expect("close");
        // The handler, which says SA_RESTART, has run when this begins to read.
        std::thread::sleep(Duration::from_millis(500));
        let mut part = vec![0; 1 << 16];
        while sys::read(&out, &mut part).expect("what was written") > 0 {}
    });
    let mut buffer = vec![0; 1 << 20];
    assert_eq!(sys::read(&fd, &mut buffer)?, 1 << 20);
    sys::write_on_alarm(told_in.raw(), 100_000)?;
    let written = sys::write(&into, &buffer)?;
    sys::stop_alarm()?;
    // What the pipe holds.
    assert!((4096..=1 << 16).contains(&written), "{written}");
    into.close()?;
    child.succeeds();
    Ok(())
}

fn every_call_that_sets_an_action_tells_the_one_before(d: &Dir) -> Outcome {
    // FLAC is in use from here on.
    d.file("f", b"");
    let signal = libc::SIGUSR1;
    let (one, two) = (sys::handler(1), sys::handler(2));
    assert_eq!(sys::sigset(signal, one)?, libc::SIG_DFL);
    assert_eq!(sys::sigset(signal, two)?, one);
    sys::raise(signal);
    assert_eq!(sys::handled(), 2);
    assert_eq!(sys::action(signal)?, (two, 0));
    assert_eq!(sys::sigset(signal, sys::SIG_HOLD)?, two);
    assert_eq!(sys::sigset(signal, one)?, sys::SIG_HOLD);
    sys::raise(signal);
    assert_eq!(sys::handled(), 1);
    sys::siginterrupt(signal, false)?;
    assert_eq!(sys::action(signal)?, (one, libc::SA_RESTART));
    sys::siginterrupt(signal, true)?;
    assert_eq!(sys::action(signal)?, (one, 0));
    assert_eq!(sys::signal(signal, two)?, one);
    assert_eq!(sys::action(signal)?, (two, 0), "siginterrupt holds for signal, too");
    sys::siginterrupt(signal, false)?;
    sys::sigignore(signal)?;
    sys::raise(signal);
    assert_eq!(sys::handled(), 1);
    assert_eq!(sys::action(signal)?, (libc::SIG_IGN, 0));
    assert_eq!(sys::signal(signal, one)?, libc::SIG_IGN);
    assert_eq!(sys::action(signal)?, (one, libc::SA_RESTART));
    for refused in [libc::SIGKILL, 65, 0] {
        assert_eq!(sys::sigset(refused, one).err(), Some(sys::EINVAL), "{refused}");
        assert_eq!(sys::sigignore(refused).err(), Some(sys::EINVAL), "{refused}");
    }
    Ok(())
}
