//! Which operations change which times, compared with the kernel.

use super::fixture::owner;
use super::flac_side::Flac;
use super::kernel_side::Kernel;
use super::op::{Op, Stamp, User, Value, at};
use std::time::Duration;

/// atime, mtime and ctime, if the file exists.
type Times = Option<[(i64, u32); 3]>;

/// Longer than a tick of the clock that stamps files.
const TICK: Duration = Duration::from_millis(12);

const WATCHED: [&str; 6] = [".", "d", "d/f", "d/l", "e", "e/g"];

/// atime, mtime and ctime of all watched inodes.
fn times(run: &mut dyn FnMut(&Op) -> Value) -> Vec<Option<[(i64, u32); 3]>> {
    let stat = |value| match value {
        Value::Stat(stat) => Some(stat.times),
        _ => None,
    };
    WATCHED.iter().map(|path| stat(run(&Op::Lstat(at(path))))).collect()
}

fn prepare(run: &mut dyn FnMut(&Op) -> Value) {
    run(&Op::Mkdir(at("d"), 0o755));
    run(&Op::Mkdir(at("e"), 0o755));
    run(&Op::Mknod(at("d/f"), libc::S_IFREG | 0o644, 0));
    run(&Op::Mknod(at("e/g"), libc::S_IFREG | 0o644, 0));
    run(&Op::Symlink("f".into(), at("d/l")));
    for path in WATCHED {
        run(&Op::Utimes(at(path), Stamp::At(1000), Stamp::At(2000)));
    }
}

/// For each watched inode that is still there, whether each time changed.
fn changed(op: &Op, run: &mut dyn FnMut(&Op) -> Value) -> Vec<Option<[bool; 3]>> {
    prepare(run);
    std::thread::sleep(TICK);
    let before = times(run);
    std::thread::sleep(TICK);
    run(op);
    let after = times(run);
    let differ = |(b, a): (&Times, &Times)| {
        let (b, a) = ((*b)?, (*a)?);
        Some([b[0] != a[0], b[1] != a[1], b[2] != a[2]])
    };
    before.iter().zip(&after).map(differ).collect()
}

#[test]
fn operations_change_the_times_that_the_kernel_changes() {
    let ops = [
        Op::Mkdir(at("d/new"), 0o755),
        Op::Mknod(at("d/new"), libc::S_IFREG | 0o644, 0),
        Op::Symlink("x".into(), at("d/new")),
        Op::Link(at("d/f"), at("e/new"), false),
        Op::Unlink(at("d/l")),
        Op::Rename(at("d/f"), at("d/new"), 0),
        Op::Rename(at("d/f"), at("e/new"), 0),
        Op::Rename(at("d/f"), at("e/g"), 0),
        Op::Rename(at("d/f"), at("e/g"), libc::RENAME_EXCHANGE),
        Op::Rename(at("e"), at("d/e"), 0),
        Op::Chmod(at("d/f"), 0o600),
        Op::Chmod(at("d"), 0o700),
        Op::Chown(at("d/f"), Some(owner().uid), None, true),
        Op::Chown(at("d/l"), None, Some(owner().gid), false),
        Op::Chown(at("d/f"), None, None, true),
        Op::Utimes(at("d/f"), Stamp::Now, Stamp::Omit),
        Op::Utimes(at("d/f"), Stamp::Omit, Stamp::At(5)),
        Op::Utimes(at("d/f"), Stamp::Now, Stamp::Now),
        Op::Stat(at("d/f")),
    ];
    std::thread::spawn(move || {
        for op in ops {
            let user = User { uid: owner().uid, gid: owner().gid, groups: Vec::new(), umask: 0o022 };
            let value = |outcome| match outcome {
                Ok(value) => value,
                Err(_) => Value::Nothing,
            };
            let mut kernel = Kernel::new();
            let mut flac = Flac::new(&kernel.root_path());
            let theirs = changed(&op, &mut |op| value(kernel.run(&user, op)));
            let ours = changed(&op, &mut |op| value(flac.run(&user, op).unwrap()));
            assert_eq!(ours, theirs, "FLAC (left) and the kernel (right) change other times of {WATCHED:?} by {op:?}");
        }
    })
    .join()
    .unwrap();
}
