//! Random operations by several users, their results compared with the kernel's one by one, and the whole trees every now and then.

use super::fixture::owner;
use super::flac_side::Flac;
use super::kernel_side::Kernel;
use super::op::{At, Op, Stamp, User, Value, at};
use std::collections::BTreeMap;

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }
    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }
    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn path(&mut self) -> String {
        let names = ["a", "b", "c", "a", "b", "c", "d", ".", ".."];
        let mut path = String::new();
        for _ in 0..1 + self.below(4) {
            if !path.is_empty() {
                path.push_str(if self.chance(5) { "//" } else { "/" });
            }
            path.push_str(self.pick(&names));
        }
        if self.chance(12) {
            path.push('/');
        }
        path
    }

    fn at(&mut self, dirs: &[usize]) -> At {
        let base = if self.chance(25) && !dirs.is_empty() { Some(self.pick(dirs)) } else { None };
        At { base, path: self.path() }
    }

    fn target(&mut self, root: &str) -> String {
        match self.below(20) {
            0 => String::new(),
            1 => "/nowhere/x".to_owned(),
            2 => format!("{root}x"),
            3..=6 => format!("{root}/{}", self.path()),
            7 => root.to_owned(),
            _ => self.path(),
        }
    }

    fn mode(&mut self) -> u32 {
        self.pick(&[0o777, 0o755, 0o700, 0o750, 0o2775, 0o1775, 0o711, 0o644, 0o666, 0o4755, 0o2755, 0o6777, 0o2644, 0o000])
    }

    fn op(&mut self, root: &str, dirs: &[usize]) -> Op {
        let ids = [None, Some(0), Some(1001), Some(1002)];
        let groups = [None, Some(0), Some(1001), Some(2000)];
        let stamps = [Stamp::Now, Stamp::Now, Stamp::Omit, Stamp::At(7)];
        let held = self.below(3) as usize;
        let (p, q) = (self.at(dirs), self.at(dirs));
        match self.below(100) {
            0..=13 => Op::Mkdir(p, self.mode()),
            14..=22 => Op::Mknod(p, libc::S_IFREG | self.mode(), 0),
            23 => Op::Mknod(p, self.pick(&[libc::S_IFIFO, libc::S_IFSOCK, libc::S_IFDIR]) | self.mode(), 0),
            24 => Op::Mknod(p, libc::S_IFCHR | self.mode(), 0x0103),
            25..=31 => Op::Symlink(self.target(root), p),
            32..=36 => Op::Link(p, q, self.chance(50)),
            37..=41 => Op::Unlink(p),
            42..=45 => Op::Rmdir(p),
            46..=57 => Op::Rename(p, q, 0),
            58..=59 => Op::Rename(p, q, self.pick(&[libc::RENAME_NOREPLACE, 3])),
            60..=62 => Op::Rename(p, q, libc::RENAME_EXCHANGE),
            63..=68 => Op::Chmod(p, self.mode() | if self.chance(60) { 0o700 } else { 0 }),
            69..=72 => Op::Chown(p, self.pick(&ids), self.pick(&groups), self.chance(50)),
            73..=75 => Op::Utimes(p, self.pick(&stamps), self.pick(&stamps)),
            76..=78 => Op::Stat(p),
            79..=80 => Op::Lstat(p),
            81..=82 => Op::Readlink(p),
            83..=84 => Op::Access(p, self.below(8) as i32),
            85..=86 => Op::List(p),
            87..=89 => Op::Hold(held, p),
            90 => Op::Tmpfile(held, p, self.mode()),
            91..=92 => Op::LinkHeld(held, p),
            93 => Op::StatHeld(held),
            94..=96 => Op::SetXattr(p, self.xattr_name(), self.path(), self.pick(&[0, 0, 0, 1, 2, 3, 4])),
            97 => Op::GetXattr(p, self.xattr_name()),
            98 => Op::ListXattr(p),
            _ => Op::RemoveXattr(p, self.xattr_name()),
        }
    }

    fn xattr_name(&mut self) -> String {
        self.pick(&["user.a", "user.b", "trusted.a", "user.", "nothing.a", ""]).to_owned()
    }
}

/// Root and two users who share a group; or, without root's powers, just oneself.
fn users() -> Vec<User> {
    let user = |uid, gid, groups: &[u32], umask| User { uid, gid, groups: groups.to_vec(), umask };
    if rustix::process::geteuid().is_root() {
        vec![user(0, 0, &[], 0o022), user(1001, 1001, &[2000], 0o002), user(1002, 1002, &[2000, 1001], 0o077)]
    } else {
        let groups: Vec<u32> = rustix::process::getgroups().unwrap().iter().map(|g| g.as_raw()).collect();
        vec![user(owner().uid, owner().gid, &groups, 0o022)]
    }
}

/// Everything in the tree by path. Inode numbers are replaced by the first path that leads to the inode.
fn everything(run: &mut dyn FnMut(&Op) -> Value) -> BTreeMap<String, Vec<Value>> {
    let mut all = BTreeMap::new();
    let mut first_path = BTreeMap::new();
    let mut to_do = vec![".".to_owned()];
    while let Some(path) = to_do.pop() {
        let Value::Stat(stat) = run(&Op::Lstat(at(&path))) else { unreachable!() };
        let twin = first_path.entry(stat.ino.0).or_insert_with(|| path.clone()).clone();
        let kind = stat.mode & libc::S_IFMT;
        let mut values = vec![Value::Stat(stat.timeless()), Value::Bytes(twin.into_bytes())];
        match kind {
            libc::S_IFDIR => {
                let Value::List(entries) = run(&Op::List(at(&path))) else { unreachable!() };
                for (name, _) in entries.iter().filter(|(name, _)| !matches!(&name[..], b"." | b"..")) {
                    to_do.push(format!("{path}/{}", String::from_utf8_lossy(name)));
                }
                values.push(Value::List(entries));
                values.push(run(&Op::ListXattr(at(&path))));
            }
            libc::S_IFLNK => values.push(run(&Op::Readlink(at(&path)))),
            libc::S_IFREG => {
                values.push(run(&Op::ListXattr(at(&path))));
                for name in ["user.a", "user.b"] {
                    values.push(Value::Bytes(format!("{:?}", run(&Op::GetXattr(at(&path), name.into()))).into()));
                }
            }
            _ => {}
        }
        all.insert(path, values);
    }
    all
}

fn timeless(outcome: super::op::Outcome) -> super::op::Outcome {
    match outcome {
        Ok(Value::Stat(stat)) => Ok(Value::Stat(stat.timeless())),
        other => other,
    }
}

fn has_xattrs(kernel: &mut Kernel, user: &User) -> bool {
    let set = kernel.run(user, &Op::SetXattr(at("."), "user.probe".into(), "x".into(), 0));
    let _ = kernel.run(user, &Op::RemoveXattr(at("."), "user.probe".into()));
    set.is_ok()
}

fn is_xattr(op: &Op) -> bool {
    matches!(op, Op::SetXattr(..) | Op::GetXattr(..) | Op::ListXattr(..) | Op::RemoveXattr(..))
}

/// Both trees have the same content, seen by `user`.
fn compare_trees(kernel: &mut Kernel, flac: &mut Flac, user: &User, with_xattrs: bool, context: &str) {
    let skip = |op: &Op| is_xattr(op) && !with_xattrs;
    let value = |outcome| match outcome {
        Ok(value) => value,
        Err(errno) => Value::Bytes(format!("errno {errno}").into_bytes()),
    };
    let theirs = everything(&mut |op| {
        if skip(op) { Value::Nothing } else { value(kernel.run(user, op)) }
    });
    let ours = everything(&mut |op| {
        if skip(op) { Value::Nothing } else { value(flac.run(user, op).unwrap()) }
    });
    for path in ours.keys().chain(theirs.keys()) {
        assert_eq!(ours.get(path), theirs.get(path), "FLAC (left) and the kernel (right) differ in {path} {context}");
    }
}

fn run_seed(seed: u64, ops: usize) {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut kernel = Kernel::new();
    let root = kernel.root_path();
    let mut flac = Flac::new(&root);
    let users = users();
    let with_xattrs = has_xattrs(&mut kernel, &users[0]);
    let mut last: Vec<String> = Vec::new();
    let mut done = 0;
    for n in 0..ops {
        let dirs: Vec<usize> = (0..3).filter(|held| kernel.holds_dir(*held)).collect();
        let mut op = random.op(&root, &dirs);
        let user = random.pick(&users);
        if let (Op::Chmod(_, mode), 1) = (&mut op, users.len()) {
            // Nobody else could unlock the tree again.
            *mode |= 0o700;
        }
        if is_xattr(&op) && !with_xattrs {
            continue;
        }
        let Some(ours) = flac.run(&user, &op).map(timeless) else {
            continue;
        };
        let theirs = timeless(kernel.run(&user, &op));
        last.push(format!("{} {op:?} -> {theirs:?}", user.uid));
        let context = || {
            let start = last.len().saturating_sub(40);
            format!("at operation {n} of FLAC_SEED={seed}; the last ones:\n{}", last[start..].join("\n"))
        };
        assert_eq!(ours, theirs, "FLAC (left) and the kernel (right) differ {}", context());
        done += theirs.is_ok() as usize;
        if n % 100 == 99 && rustix::process::geteuid().is_root() {
            compare_trees(&mut kernel, &mut flac, &users[0], with_xattrs, &context());
        }
    }
    assert!(done > ops / 20, "hardly anything succeeded: the test tests nothing");
    // This thread may be another user by now, who could not remove the tree of FLAC's.
    drop(kernel);
    let findings = crate::fs::fsck::check(&flac.tree, false).unwrap();
    assert!(findings.is_empty(), "after FLAC_SEED={seed}: {findings:?}");
}

/// `FLAC_SEED=n` runs one seed, `FLAC_OPS=n` that many operations.
#[test]
fn random_operations_have_the_kernels_results() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse().ok());
    let ops = number("FLAC_OPS").unwrap_or(3_000) as usize;
    let seeds = number("FLAC_SEED").map_or(1..7, |seed| seed..seed + 1);
    for seed in seeds {
        std::thread::spawn(move || run_seed(seed, ops)).join().unwrap();
    }
}
