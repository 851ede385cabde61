//! Threads of one process on one file.

use crate::case::{Dir, Outcome, Stop, cases, content, pattern};
use crate::sys::{self, Raw};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

cases![
    disjoint_ranges_from_four_threads,
    appends_from_four_threads_lose_nothing,
    shared_offset_from_four_threads_loses_nothing,
    reading_while_another_thread_truncates,
    reading_while_another_thread_overwrites,
    opening_and_closing_in_four_threads,
    creating_in_one_directory_from_four_threads,
    fork_while_threads_do_io,
    descriptors_opened_by_one_thread_serve_another,
    what_one_thread_closes_another_does_not_write_to_the_next_file,
    cancelled_thread_leaves_the_file_usable,
    threads_may_be_cancelled_whatever_they_do,
    threads_that_wait_may_be_cancelled,
    who_was_cancelled_waits_for_nobody,
    a_stack_of_16_kib_is_enough_for_every_call,
    a_stack_of_16_kib_is_enough_for_many_changes,
];

fn in_threads(count: u8, body: impl Fn(u8) + Sync) {
    let body = &body;
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..count)
            .map(|number| scope.spawn(move || body(number)))
            .collect();
        handles
            .into_iter()
            .for_each(|handle| handle.join().expect("no panic"));
    });
}

fn disjoint_ranges_from_four_threads(d: &Dir) -> Outcome {
    const RANGE: usize = 300_001;
    let fd = d.open("f", b"");
    in_threads(4, |number| {
        let bytes = pattern(RANGE, number);
        let start = usize::from(number) * RANGE;
        for offset in (0..RANGE).step_by(7001) {
            let end = (offset + 7001).min(RANGE);
            let at = (start + offset) as i64;
            assert_eq!(sys::pwrite(&fd, &bytes[offset..end], at), Ok(end - offset));
        }
    });
    let expected: Vec<u8> = (0..4).flat_map(|number| pattern(RANGE, number)).collect();
    assert!(content(d.at("f")) == expected);
    Ok(())
}

/// Four threads write 2000 records each; all must be there, whole.
fn expect_whole_records(d: &Dir, fd: &sys::Fd) {
    in_threads(4, |number| {
        for _ in 0..2000 {
            assert_eq!(sys::write(fd, &[b'a' + number; 33]), Ok(33));
        }
    });
    let all = content(d.at("f"));
    assert_eq!(all.len(), 4 * 2000 * 33);
    assert!(
        all.chunks(33)
            .all(|record| record.iter().all(|byte| *byte == record[0]))
    );
    for number in 0..4 {
        let count = all.iter().filter(|byte| **byte == b'a' + number).count();
        assert_eq!(count, 2000 * 33);
    }
}

fn appends_from_four_threads_lose_nothing(d: &Dir) -> Outcome {
    let fd = sys::open(d.file("f", b""), libc::O_WRONLY | libc::O_APPEND, 0)?;
    expect_whole_records(d, &fd);
    Ok(())
}

fn shared_offset_from_four_threads_loses_nothing(d: &Dir) -> Outcome {
    expect_whole_records(d, &d.open("f", b""));
    Ok(())
}

fn reading_while_another_thread_truncates(d: &Dir) -> Outcome {
    let fd = d.open("f", &[7; 1 << 20]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..200 {
                let size = if round % 2 == 0 { 1000 } else { 1 << 20 };
                sys::ftruncate(&fd, size).expect("ftruncate");
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut buffer = vec![1; 1 << 20];
        while !done.load(Ordering::Relaxed) {
            let count = sys::pread(&fd, &mut buffer, 0).expect("pread");
            assert!(buffer[..count].iter().all(|byte| *byte == 7 || *byte == 0));
            let copy = buffer.clone();
            std::thread::yield_now();
            assert!(
                buffer == copy,
                "a buffer that was read does not change any more"
            );
        }
    });
    Ok(())
}

fn reading_while_another_thread_overwrites(d: &Dir) -> Outcome {
    let fd = d.open("f", &[0; 4096]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..5000_u32 {
                sys::pwrite(&fd, &[round as u8; 8], 0).expect("pwrite");
            }
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            let mut bytes = [0; 8];
            assert_eq!(sys::pread(&fd, &mut bytes, 0), Ok(8));
        }
    });
    assert_eq!(content(d.at("f"))[..8], [4999_u32 as u8; 8]);
    Ok(())
}

fn opening_and_closing_in_four_threads(d: &Dir) -> Outcome {
    for number in 0..4 {
        d.file(&format!("f{number}"), &[number; 100]);
    }
    in_threads(4, |number| {
        for round in 0..1000_u16 {
            let pick = ((u16::from(number) + round) % 4) as u8;
            let fd = sys::open(d.at(&format!("f{pick}")), libc::O_RDONLY, 0).expect("open");
            let mut bytes = [9; 100];
            assert_eq!(sys::read(&fd, &mut bytes), Ok(100));
            assert_eq!(
                bytes, [pick; 100],
                "the descriptor is ours and no other thread's"
            );
        }
    });
    Ok(())
}

fn creating_in_one_directory_from_four_threads(d: &Dir) -> Outcome {
    in_threads(4, |number| {
        for round in 0..500 {
            sys::creat(d.at(&format!("{number}-{round}")), 0o600).expect("creat");
            if round % 3 == 0 {
                sys::unlink(d.at(&format!("{number}-{round}"))).expect("unlink");
            }
        }
    });
    assert_eq!(sys::names_in(d.path())?.len(), 4 * (500 - 167));
    Ok(())
}

fn fork_while_threads_do_io(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for number in 0..3_i64 {
            let (fd, done) = (&fd, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    sys::pwrite(fd, &[7; 3000], number * 3000).expect("pwrite");
                    sys::pread(fd, &mut [0; 3000], number * 3000).expect("pread");
                    drop(sys::open("f", libc::O_RDONLY, 0).expect("open"));
                }
            });
        }
        for round in 0..30_u8 {
            // Only system calls in the child: another thread may have held the allocator's lock at the fork.
            let name = [b'c', b'A' + round];
            let name = std::str::from_utf8(&name).expect("ASCII");
            let path = sys::c_path(name);
            sys::fork_with(|| sys::write_in_child(&path, &fd)).succeeds();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(sys::names_in(d.path())?.len(), 31);
    assert_eq!(content(d.at("f"))[10_000..], *b"child");
    Ok(())
}

fn descriptors_opened_by_one_thread_serve_another(d: &Dir) -> Outcome {
    let path = d.file("f", b"abc");
    let opener = std::thread::spawn(move || sys::open(path, libc::O_RDWR, 0).expect("open").leak());
    let fd = sys::Fd::own(opener.join().expect("no panic"));
    assert_eq!(sys::write(&fd, b"XYZ")?, 3);
    std::thread::spawn(move || fd.close().expect("close"))
        .join()
        .expect("no panic");
    assert_eq!(content(d.at("f")), b"XYZ");
    Ok(())
}

fn what_one_thread_closes_another_does_not_write_to_the_next_file(d: &Dir) -> Outcome {
    const LONG: std::time::Duration = std::time::Duration::from_secs(1);
    const NONE: i32 = -1;
    let (current, done) = (AtomicI32::new(NONE), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                match current.load(Ordering::Relaxed) {
                    NONE => std::hint::spin_loop(),
                    fd => assert!(matches!(sys::pwrite(fd, b"for the old", 0), Ok(11) | Err(sys::EBADF))),
                }
            }
        });
        let start = std::time::Instant::now();
        let result = (0_usize..).take_while(|_| start.elapsed() < LONG).try_for_each(|round| {
            let old = sys::open(d.at("old"), libc::O_CREAT | libc::O_RDWR, 0o644)?;
            // No new file gets such a number.
            let number = sys::dup2(&old, 100 + (round % 100) as i32)?;
            drop(old);
            current.store(number, Ordering::Relaxed);
            (0..round % 50 * 100).for_each(|_| std::hint::spin_loop());
            sys::close(number)?;
            let new = sys::open(d.at("new"), libc::O_CREAT | libc::O_RDWR | libc::O_TRUNC, 0o644)?;
            (0..1000).for_each(|_| std::hint::spin_loop());
            let size = sys::fstat(&new)?.st_size;
            current.store(NONE, Ordering::Relaxed);
            // A panic would leave the other thread waiting.
            if size == 0 { Ok(()) } else { Err(Stop::Failed(format!("round {round}: {size} bytes"))) }
        });
        done.store(true, Ordering::Relaxed);
        result
    })
}

fn cancelled_thread_leaves_the_file_usable(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    for _ in 0..5 {
        let cancelled = sys::cancelled_thread(sys::write_for_ever, fd.raw(), 20);
        assert!(cancelled, "pwrite is a cancellation point");
        assert_eq!(sys::pwrite(&fd, b"yz", 1)?, 2);
        assert_eq!(content(d.at("f")), b"xyz");
    }
    Ok(())
}

fn threads_may_be_cancelled_whatever_they_do(d: &Dir) -> Outcome {
    d.file("f", &[1; 8192]);
    for which in 0..6 {
        for round in 0..20 {
            assert!(sys::cancelled_thread(sys::work_for_ever, which, 1 + round % 3), "{which}");
        }
        assert_eq!(content(d.at("f")), [1; 8192], "{which}");
        d.file("after", b"as ever");
        assert_eq!(content(d.at("after")), b"as ever");
    }
    Ok(())
}

fn threads_that_wait_may_be_cancelled(d: &Dir) -> Outcome {
    let file = d.open("f", &[1; 8192]);
    sys::mkfifo(d.at("p"), 0o600)?;
    sys::set_lock(&file, libc::F_OFD_SETLK, libc::F_WRLCK, sys::range(0, 0))?;
    let (empty, full) = (sys::pipe(0)?, sys::pipe(0)?);
    sys::fcntl(&full.1, libc::F_SETFL, libc::O_NONBLOCK)?;
    while sys::write(&full.1, &[0; 4096]).is_ok() {}
    sys::fcntl(&full.1, libc::F_SETFL, 0)?;
    for which in (0..5).chain([7, 15, 5 + 8 * full.1.raw(), 6 + 8 * empty.0.raw()]) {
        assert!(sys::cancelled_thread(sys::wait_for_ever, which, 30), "{}", which % 8);
    }
    sys::set_lock(&file, libc::F_OFD_SETLK, libc::F_UNLCK, sys::range(0, 0))?;
    let other = sys::open(d.at("f"), libc::O_RDWR, 0)?;
    sys::set_lock(&other, libc::F_OFD_SETLK, libc::F_WRLCK, sys::range(0, 0))?;
    Ok(())
}

fn who_was_cancelled_waits_for_nobody(d: &Dir) -> Outcome {
    let own = d.open("f", b"xy");
    sys::set_lock(&own, libc::F_SETLK, libc::F_WRLCK, sys::range(1, 1))?;
    let ((has_out, has_in), (go_out, go_in)) = (sys::pipe(0)?, sys::pipe(0)?);
    let child = sys::fork(|| {
        let fd = sys::open(d.at("f"), libc::O_RDWR, 0).expect("open");
        sys::set_lock(&fd, libc::F_SETLK, libc::F_WRLCK, sys::range(0, 1)).expect("free");
        sys::write(&has_in, b"x").expect("told");
        sys::read(&go_out, &mut [0]).expect("asked");
        sys::set_lock(&fd, libc::F_SETLKW, libc::F_WRLCK, sys::range(1, 1)).expect("no circle");
    });
    sys::read(&has_out, &mut [0])?;
    assert!(sys::cancelled_thread(sys::wait_for_ever, 2, 130));
    sys::write(&go_in, b"x")?;
    std::thread::sleep(std::time::Duration::from_millis(50));
    sys::set_lock(&own, libc::F_SETLK, libc::F_UNLCK, sys::range(0, 0))?;
    child.succeeds();
    Ok(())
}

/// In a thread with the smallest stack there is.
fn in_small_thread(body: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(16 << 10);
        let thread = builder.spawn_scoped(scope, body).expect("a thread");
        thread.join().expect("no panic");
    });
}

fn a_stack_of_16_kib_is_enough_for_every_call(d: &Dir) -> Outcome {
    let bytes = pattern(300_000, 1);
    let (from, to) = (d.open("from", &bytes), d.open("to", b""));
    let (a, b, sub) = (d.at("a"), d.at("b"), d.at("sub"));
    let mut buffer = vec![0; bytes.len()];
    in_small_thread(|| {
        let fd = sys::open(&a, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, 0o644).expect("open");
        assert_eq!(sys::write(&fd, b"0123456789"), Ok(10));
        assert_eq!(sys::pwrite(&fd, &bytes, 5), Ok(bytes.len()));
        assert_eq!(sys::pread(&fd, &mut buffer, 5), Ok(bytes.len()));
        assert_eq!(sys::copy_file_range(&from, &mut Some(1), &to, &mut Some(2), 200_000), Ok(200_000));
        assert_eq!(sys::copy_file_range(&from, &mut Some(0), &to, &mut Some(0), 200_000), Ok(200_000));
        assert_eq!(sys::sendfile(&fd, &from, &mut Some(7), 100_000), Ok(100_000));
        sys::stat(&a).expect("stat");
        sys::fsync(&fd).expect("fsync");
        sys::ftruncate(&fd, 1000).expect("ftruncate");
        let map = sys::mmap(&from, 65536, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, 0).expect("mmap");
        map.put(7, b"9");
        map.msync(libc::MS_SYNC).expect("msync");
        drop(map);
        sys::rename(&a, &b).expect("rename");
        sys::link(&b, &a).expect("link");
        sys::unlink(&a).expect("unlink");
        sys::symlink("b", &a).expect("symlink");
        sys::mkdir(&sub, 0o755).expect("mkdir");
        assert_eq!(sys::names_in(d.path()).expect("readdir").len(), 5);
        sys::rmdir(&sub).expect("rmdir");
        fd.close().expect("close");
        sys::fork(|| assert!(sys::stat(&b).is_ok())).succeeds();
    });
    assert!(buffer == bytes);
    Ok(())
}

fn a_stack_of_16_kib_is_enough_for_many_changes(d: &Dir) -> Outcome {
    in_small_thread(|| {
        for round in 0..1500 {
            let (a, b) = (d.at(&format!("a{round}")), d.at(&format!("b{round}")));
            drop(sys::open(&a, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, 0o644).expect("open"));
            sys::rename(&a, &b).expect("rename");
        }
        for round in 0..1500 {
            sys::unlink(d.at(&format!("b{round}"))).expect("unlink");
        }
    });
    Ok(())
}
