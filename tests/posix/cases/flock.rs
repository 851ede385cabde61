//! `flock`.

use crate::case::{Dir, Outcome, cases, fails, write_all};
use crate::sys;
use libc::{LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, O_RDONLY, O_RDWR};

cases![
    exclusive_excludes_other_descriptions,
    shared_locks_coexist,
    duplicates_share_the_lock,
    children_share_the_lock,
    released_at_the_last_close,
    unlock_through_a_duplicate_releases,
    death_releases,
    blocking_lock_waits,
    works_on_read_only_descriptors_and_directories,
    upgrade_and_downgrade,
    exec_keeps_the_lock,
    bad_operations_are_einval,
    independent_of_fcntl_locks,
    counter_under_a_lock_is_exact_in_four_processes,
];

fn again(d: &Dir) -> sys::Fd {
    sys::open(d.at("f"), O_RDWR, 0).expect("open")
}

fn exclusive_excludes_other_descriptions(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    sys::flock(&fd, LOCK_EX)?;
    fails!(EAGAIN, sys::flock(again(d), LOCK_EX | LOCK_NB));
    fails!(EAGAIN, sys::flock(again(d), LOCK_SH | LOCK_NB));
    sys::fork(|| fails!(EAGAIN, sys::flock(again(d), LOCK_EX | LOCK_NB))).succeeds();
    sys::flock(&fd, LOCK_UN)?;
    sys::flock(again(d), LOCK_EX | LOCK_NB)?;
    Ok(())
}

fn shared_locks_coexist(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    sys::flock(&fd, LOCK_SH)?;
    sys::flock(again(d), LOCK_SH | LOCK_NB)?;
    fails!(EAGAIN, sys::flock(again(d), LOCK_EX | LOCK_NB));
    Ok(())
}

fn duplicates_share_the_lock(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let copy = sys::dup(&fd)?;
    sys::flock(&fd, LOCK_EX)?;
    sys::flock(&copy, LOCK_EX | LOCK_NB)?;
    Ok(())
}

fn children_share_the_lock(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    sys::flock(&fd, LOCK_EX)?;
    sys::fork(|| {
        sys::flock(&fd, LOCK_EX | LOCK_NB).expect("the same description");
        sys::close(&fd).expect("close");
    })
    .succeeds();
    fails!(EAGAIN, sys::flock(again(d), LOCK_EX | LOCK_NB));
    sys::fork(|| sys::flock(&fd, LOCK_UN).expect("unlock")).succeeds();
    sys::flock(again(d), LOCK_EX | LOCK_NB)?;
    Ok(())
}

fn released_at_the_last_close(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let copy = sys::dup(&fd)?;
    sys::flock(&fd, LOCK_EX)?;
    fd.close()?;
    fails!(EAGAIN, sys::flock(again(d), LOCK_EX | LOCK_NB));
    copy.close()?;
    sys::flock(again(d), LOCK_EX | LOCK_NB)?;
    Ok(())
}

fn unlock_through_a_duplicate_releases(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let copy = sys::dup(&fd)?;
    sys::flock(&fd, LOCK_EX)?;
    sys::flock(&copy, LOCK_UN)?;
    sys::flock(again(d), LOCK_EX | LOCK_NB)?;
    Ok(())
}

fn death_releases(d: &Dir) -> Outcome {
    d.file("f", b"");
    let (ready_out, ready_in) = sys::pipe(0)?;
    let child = sys::fork(|| {
        let fd = again(d);
        sys::flock(&fd, LOCK_EX).expect("lock");
        write_all(&ready_in, b"r");
        std::thread::sleep(std::time::Duration::from_secs(20));
    });
    sys::read(&ready_out, &mut [0; 1])?;
    fails!(EAGAIN, sys::flock(again(d), LOCK_EX | LOCK_NB));
    child.kill(libc::SIGKILL);
    child.wait();
    sys::flock(again(d), LOCK_EX | LOCK_NB)?;
    Ok(())
}

fn blocking_lock_waits(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    sys::flock(&fd, LOCK_EX)?;
    let child = sys::fork(|| {
        let own = again(d);
        sys::flock(&own, LOCK_SH).expect("lock");
        assert_eq!(
            sys::fstat(&own).expect("fstat").st_size,
            1,
            "the holder wrote before"
        );
    });
    std::thread::sleep(std::time::Duration::from_millis(100));
    write_all(&fd, b"x");
    sys::flock(&fd, LOCK_UN)?;
    child.succeeds();
    Ok(())
}

fn works_on_read_only_descriptors_and_directories(d: &Dir) -> Outcome {
    let path = d.file("f", b"");
    let reader = sys::open(path, O_RDONLY, 0)?;
    sys::flock(&reader, LOCK_EX)?;
    let (one, two) = (
        sys::open(d.path(), O_RDONLY, 0)?,
        sys::open(d.path(), O_RDONLY, 0)?,
    );
    sys::flock(&one, LOCK_EX)?;
    fails!(EAGAIN, sys::flock(&two, LOCK_EX | LOCK_NB));
    Ok(())
}

fn upgrade_and_downgrade(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    sys::flock(&fd, LOCK_EX)?;
    sys::flock(&fd, LOCK_SH)?;
    let other = again(d);
    sys::flock(&other, LOCK_SH | LOCK_NB)?;
    fails!(EAGAIN, sys::flock(&fd, LOCK_EX | LOCK_NB));
    other.close()?;
    sys::flock(&fd, LOCK_EX | LOCK_NB)?;
    Ok(())
}

fn exec_keeps_the_lock(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    sys::flock(&fd, LOCK_EX)?;
    let path = d.at("f").into_os_string().into_string().expect("UTF-8");
    sys::fork_with(|| sys::exec_role(&["expect-locked", &path]).0).succeeds();
    fails!(EAGAIN, sys::flock(again(d), LOCK_EX | LOCK_NB));
    Ok(())
}

fn bad_operations_are_einval(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    fails!(EINVAL, sys::flock(&fd, 0));
    fails!(EINVAL, sys::flock(&fd, LOCK_EX | LOCK_SH));
    fails!(EBADF, sys::flock(-1, LOCK_EX));
    let path = sys::open(d.at("f"), libc::O_PATH, 0)?;
    fails!(EBADF, sys::flock(&path, LOCK_EX));
    // A mandatory lock of old, of which nothing is made.
    sys::flock(&fd, 32 | LOCK_SH)?;
    Ok(())
}

fn independent_of_fcntl_locks(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    sys::flock(&fd, LOCK_EX)?;
    sys::fork(|| {
        sys::set_lock(again(d), libc::F_SETLK, libc::F_WRLCK, sys::range(0, 0)).expect("fcntl");
    })
    .succeeds();
    Ok(())
}

fn counter_under_a_lock_is_exact_in_four_processes(d: &Dir) -> Outcome {
    let fd = d.open("f", &0_u32.to_le_bytes());
    let work = || {
        let own = again(d);
        for _ in 0..200 {
            sys::flock(&own, LOCK_EX).expect("lock");
            let mut bytes = [0; 4];
            sys::pread(&own, &mut bytes, 0).expect("pread");
            let next = u32::from_le_bytes(bytes) + 1;
            sys::pwrite(&own, &next.to_le_bytes(), 0).expect("pwrite");
            sys::flock(&own, LOCK_UN).expect("unlock");
        }
    };
    let children: Vec<sys::Child> = (0..4).map(|_| sys::fork(work)).collect();
    children.into_iter().for_each(sys::Child::succeeds);
    let mut bytes = [0; 4];
    sys::pread(&fd, &mut bytes, 0)?;
    assert_eq!(u32::from_le_bytes(bytes), 800);
    Ok(())
}
