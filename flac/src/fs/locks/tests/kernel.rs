#![expect(unsafe_code, reason = "asks the kernel for OFD locks, for which there is no safe call")]
//! The same requests to the kernel, on a file in a tmpfs, and to FLAC.

use super::{file, flock};
use crate::error::Error;
use std::fs::File;
use std::os::fd::AsRawFd;

const OWNERS: usize = 4;
const BYTES: i64 = 40;

fn kernel_ofd(file: &File, cmd: i32, lock: &mut libc::flock) -> i32 {
    // SAFETY: a descriptor that is open, and a lock structure that lives throughout the call.
    match unsafe { libc::fcntl(file.as_raw_fd(), cmd, lock) } {
        -1 => std::io::Error::last_os_error().raw_os_error().unwrap(),
        _ => 0,
    }
}

fn errno(result: Result<(), Error>) -> i32 {
    result.map_or_else(|e| e.errno(), |()| 0)
}

/// A file in a tmpfs, opened several times.
fn kernel_file(name: &str) -> Vec<File> {
    let path = format!("/dev/shm/flac-{name}-{}", std::process::id());
    let open = || File::options().read(true).write(true).create(true).truncate(false).open(&path).unwrap();
    let files = (0..OWNERS).map(|_| open()).collect();
    std::fs::remove_file(&path).unwrap();
    files
}

/// Numbers below `n`, always the same.
fn random(state: &mut u64, n: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 20) % n
}

#[test]
fn ranges_split_and_merge_as_the_kernels() {
    let (tree, _, ids) = file(OWNERS);
    let files = kernel_file("ranges");
    let mut state = 0x1234_5678_9ABC_DEF1;
    for step in 0..4000 {
        let owner = random(&mut state, OWNERS as u64) as usize;
        let kind = [libc::F_RDLCK, libc::F_RDLCK, libc::F_WRLCK, libc::F_UNLCK][random(&mut state, 4) as usize];
        let start = random(&mut state, BYTES as u64) as i64;
        let len = random(&mut state, 14) as i64 - 3;
        let want = flock(kind, start, len);
        let theirs = kernel_ofd(&files[owner], libc::F_OFD_SETLK, &mut { want });
        let ours = errno(tree.lock_ofd(ids[owner], libc::F_OFD_SETLK, &mut { want }));
        assert_eq!(ours, theirs, "step {step}: owner {owner} asks for type {kind} at {start}, length {len}");
        if step % 10 != 0 {
            continue;
        }
        for byte in 0..BYTES + 12 {
            for probe in 0..OWNERS {
                let (mut ours, mut theirs) = (flock(libc::F_WRLCK, byte, 1), flock(libc::F_WRLCK, byte, 1));
                tree.lock_ofd(ids[probe], libc::F_OFD_GETLK, &mut ours).unwrap();
                kernel_ofd(&files[probe], libc::F_OFD_GETLK, &mut theirs);
                assert_eq!(ours.l_type, theirs.l_type, "step {step}: byte {byte} seen by owner {probe}");
                // An exclusive lock is the only one there: its borders can be compared.
                if ours.l_type as i32 == libc::F_WRLCK {
                    assert_eq!((ours.l_start, ours.l_len), (theirs.l_start, theirs.l_len), "step {step}: byte {byte}");
                }
            }
        }
    }
}

#[test]
fn flock_conflicts_and_conversions_are_the_kernels() {
    let (tree, _, ids) = file(OWNERS);
    let files = kernel_file("flock");
    let mut state = 0x0DDB_1A5E_5BAD_5EED;
    for step in 0..3000 {
        let owner = random(&mut state, OWNERS as u64) as usize;
        let op = [libc::LOCK_SH, libc::LOCK_EX, libc::LOCK_UN][random(&mut state, 3) as usize] | libc::LOCK_NB;
        // SAFETY: a descriptor that is open.
        let theirs = match unsafe { libc::flock(files[owner].as_raw_fd(), op) } {
            -1 => std::io::Error::last_os_error().raw_os_error().unwrap(),
            _ => 0,
        };
        assert_eq!(errno(tree.flock(ids[owner], op)), theirs, "step {step}: owner {owner} asks for {op}");
    }
}
