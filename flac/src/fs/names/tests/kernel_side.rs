//! The operations, done by the kernel on a directory in a tmpfs. Needs a thread of its own: it changes the thread's credentials and its
//! umask.

use super::fixture::TempDir;
use super::op::{At, Op, Outcome, Stamp, Stat, User, Value};
use crate::fs::names::tests::op::Number;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{self, AtFlags, CWD, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use rustix::thread;
use std::path::Path;

pub struct Kernel {
    root: OwnedFd,
    held: [Option<OwnedFd>; 3],
    user: Option<User>,
    pub dir: TempDir,
}

fn nothing(result: Result<(), Errno>) -> Outcome {
    result.map(|()| Value::Nothing).map_err(Errno::raw_os_error)
}

fn stat(result: Result<fs::Stat, Errno>) -> Outcome {
    let s = result.map_err(Errno::raw_os_error)?;
    Ok(Value::Stat(Stat {
        mode: s.st_mode,
        uid: s.st_uid,
        gid: s.st_gid,
        nlink: s.st_nlink,
        size: s.st_size as u64,
        rdev: s.st_rdev,
        ino: Number(s.st_ino),
        times: [(s.st_atime, s.st_atime_nsec as u32), (s.st_mtime, s.st_mtime_nsec as u32), (s.st_ctime, s.st_ctime_nsec as u32)],
    }))
}

fn stamp(stamp: Stamp) -> Timespec {
    match stamp {
        Stamp::Now => Timespec { tv_sec: 0, tv_nsec: fs::UTIME_NOW },
        Stamp::Omit => Timespec { tv_sec: 0, tv_nsec: fs::UTIME_OMIT },
        Stamp::At(sec) => Timespec { tv_sec: sec, tv_nsec: 7 },
    }
}

fn open_path(base: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, Errno> {
    fs::openat(base, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

impl Kernel {
    /// An empty directory of mode 0777.
    pub fn new() -> Self {
        #[expect(deprecated, reason = "unsharing the working directory and the umask is harmless")]
        thread::unshare(thread::UnshareFlags::FS).unwrap();
        let dir = TempDir::new(Path::new("/dev/shm"));
        fs::chmod(&dir.0, Mode::from_raw_mode(0o755)).unwrap();
        let root = dir.0.join("root");
        std::fs::create_dir(&root).unwrap();
        fs::chmod(&root, Mode::from_raw_mode(0o777)).unwrap();
        let root = open_path(CWD, root.to_str().unwrap()).unwrap();
        Self { root, held: [const { None }; 3], user: None, dir }
    }

    /// Where the tree is.
    pub fn root_path(&self) -> String {
        format!("{}/root", self.dir.0.display())
    }

    fn become_user(&mut self, user: &User) {
        rustix::process::umask(Mode::from_raw_mode(user.umask));
        if !rustix::process::getuid().is_root() || self.user.as_ref() == Some(user) {
            return;
        }
        self.become_root();
        let gid = Gid::from_raw(user.gid);
        let groups: Vec<Gid> = user.groups.iter().map(|g| Gid::from_raw(*g)).collect();
        thread::set_thread_groups(&groups).unwrap();
        thread::set_thread_res_gid(Gid::ROOT, gid, Gid::ROOT).unwrap();
        thread::set_thread_res_uid(Uid::ROOT, Uid::from_raw(user.uid), Uid::ROOT).unwrap();
        self.user = Some(user.clone());
    }

    fn become_root(&mut self) {
        if rustix::process::getuid().is_root() {
            thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).unwrap();
            thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT).unwrap();
        }
        self.user = None;
    }

    fn base(&self, at: &At) -> BorrowedFd<'_> {
        at.base.and_then(|held| self.held[held].as_ref()).unwrap_or(&self.root).as_fd()
    }

    /// The path for calls that know no directory descriptor.
    fn full_path(&self, at: &At) -> String {
        let base = std::os::fd::AsRawFd::as_raw_fd(&self.base(at));
        format!("/proc/self/fd/{base}/{}", at.path)
    }

    /// Whether a directory (or nothing) is held.
    pub fn holds_dir(&self, held: usize) -> bool {
        let kind = |fd: &OwnedFd| FileType::from_raw_mode(fs::fstat(fd).unwrap().st_mode);
        self.held[held].as_ref().is_none_or(|fd| kind(fd) == FileType::Directory)
    }

    pub fn run(&mut self, user: &User, op: &Op) -> Outcome {
        self.become_user(user);
        match op {
            Op::Mkdir(p, mode) => nothing(fs::mkdirat(self.base(p), &*p.path, Mode::from_raw_mode(*mode))),
            Op::Mknod(p, mode, rdev) => {
                let kind = FileType::from_raw_mode(*mode);
                nothing(fs::mknodat(self.base(p), &*p.path, kind, Mode::from_raw_mode(*mode & 0o7777), *rdev))
            }
            Op::Symlink(target, p) => nothing(fs::symlinkat(&**target, self.base(p), &*p.path)),
            Op::Link(from, to, follow) => {
                let flags = if *follow { AtFlags::SYMLINK_FOLLOW } else { AtFlags::empty() };
                nothing(fs::linkat(self.base(from), &*from.path, self.base(to), &*to.path, flags))
            }
            Op::Unlink(p) => nothing(fs::unlinkat(self.base(p), &*p.path, AtFlags::empty())),
            Op::Rmdir(p) => nothing(fs::unlinkat(self.base(p), &*p.path, AtFlags::REMOVEDIR)),
            Op::Rename(from, to, flags) => {
                let flags = fs::RenameFlags::from_bits_retain(*flags);
                nothing(fs::renameat_with(self.base(from), &*from.path, self.base(to), &*to.path, flags))
            }
            Op::Chmod(p, mode) => nothing(fs::chmodat(self.base(p), &*p.path, Mode::from_raw_mode(*mode), AtFlags::empty())),
            Op::Chown(p, uid, gid, follow) => {
                let flags = if *follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
                let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
                nothing(fs::chownat(self.base(p), &*p.path, uid, gid, flags))
            }
            Op::Utimes(p, atime, mtime) => {
                let times = Timestamps { last_access: stamp(*atime), last_modification: stamp(*mtime) };
                nothing(fs::utimensat(self.base(p), &*p.path, &times, AtFlags::empty()))
            }
            Op::Stat(p) => stat(fs::statat(self.base(p), &*p.path, AtFlags::empty())),
            Op::Lstat(p) => stat(fs::statat(self.base(p), &*p.path, AtFlags::SYMLINK_NOFOLLOW)),
            Op::Readlink(p) => fs::readlinkat(self.base(p), &*p.path, Vec::new())
                .map(|target| Value::Bytes(target.into_bytes()))
                .map_err(Errno::raw_os_error),
            Op::Access(p, want) => {
                let want = fs::Access::from_bits_retain(*want as u32);
                nothing(fs::accessat(self.base(p), &*p.path, want, AtFlags::EACCESS))
            }
            Op::List(p) => self.list(p).map_err(Errno::raw_os_error),
            Op::StatHeld(held) => match &self.held[*held] {
                Some(fd) => stat(fs::fstat(fd)),
                None => Ok(Value::Nothing),
            },
            Op::Hold(..) | Op::Tmpfile(..) | Op::LinkHeld(..) => self.run_held(op),
            Op::SetXattr(..) | Op::GetXattr(..) | Op::ListXattr(..) | Op::RemoveXattr(..) => self.run_xattr(op),
        }
    }

    fn run_held(&mut self, op: &Op) -> Outcome {
        match op {
            Op::Hold(held, p) => {
                let opened = open_path(self.base(p), &p.path);
                nothing(opened.map(|fd| self.held[*held] = Some(fd)))
            }
            Op::Tmpfile(held, p, mode) => {
                let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
                let opened = fs::openat(self.base(p), &*p.path, flags, Mode::from_raw_mode(*mode));
                nothing(opened.map(|fd| self.held[*held] = Some(fd)))
            }
            Op::LinkHeld(held, p) => {
                let Some(fd) = &self.held[*held] else {
                    return Ok(Value::Nothing);
                };
                let from = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(fd));
                nothing(fs::linkat(CWD, from, self.base(p), &*p.path, AtFlags::SYMLINK_FOLLOW))
            }
            _ => unreachable!("not about held files"),
        }
    }

    fn run_xattr(&self, op: &Op) -> Outcome {
        let mut buffer = vec![0; 1 << 16];
        match op {
            Op::SetXattr(p, name, value, flags) => {
                let flags = XattrFlags::from_bits_retain(*flags as u32);
                nothing(fs::lsetxattr(self.full_path(p), &**name, value.as_bytes(), flags))
            }
            Op::GetXattr(p, name) => {
                let len = fs::lgetxattr(self.full_path(p), &**name, &mut buffer[..]).map_err(Errno::raw_os_error)?;
                Ok(Value::Bytes(buffer[..len].to_vec()))
            }
            Op::ListXattr(p) => {
                let len = fs::llistxattr(self.full_path(p), &mut buffer[..]).map_err(Errno::raw_os_error)?;
                // The kernel's order is its own.
                let mut names: Vec<&[u8]> = buffer[..len].split_inclusive(|&c| c == 0).collect();
                names.sort();
                Ok(Value::Bytes(names.concat()))
            }
            Op::RemoveXattr(p, name) => nothing(fs::lremovexattr(self.full_path(p), &**name)),
            _ => unreachable!("not about extended attributes"),
        }
    }

    fn list(&self, p: &At) -> Result<Value, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = fs::openat(self.base(p), &*p.path, flags, Mode::empty())?;
        let mut entries = Vec::new();
        for entry in fs::Dir::new(fd)? {
            let entry = entry?;
            let dtype = (entry.file_type().as_raw_mode() >> 12) as u8;
            entries.push((entry.file_name().to_bytes().to_vec(), dtype));
        }
        entries.sort();
        Ok(Value::List(entries))
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.become_root();
    }
}
