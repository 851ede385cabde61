//! The calls of the kernel. Each asks who it is for, does one thing, and answers.

use super::caller::Caller;
use super::locks::Span;
use super::names::Wanted;
use super::{NOTHING, Server, errno, ino_of};
use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, InitFlags, KernelConfig,
    LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyLock, ReplyLseek,
    ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use std::cell::RefCell;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::SystemTime;

/// Inode numbers are not used twice while a pool is in memory.
const GENERATION: Generation = Generation(0);

thread_local! {
    /// What a read fills.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Answers a call that gives nothing, an entry, or attributes.
macro_rules! answer {
    ($reply:ident, $result:expr) => {
        match $result {
            Ok(()) => $reply.ok(),
            Err(e) => $reply.error(errno(&e)),
        }
    };
    ($reply:ident, $method:ident, $result:expr) => {
        match $result {
            Ok(attr) => answer!(@ $reply, $method, &attr),
            Err(e) => $reply.error(errno(&e)),
        }
    };
    (@ $reply:ident, entry, $attr:expr) => { $reply.entry(&NOTHING, $attr, GENERATION) };
    (@ $reply:ident, attr, $attr:expr) => { $reply.attr(&NOTHING, $attr) };
}

impl Filesystem for Server {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        // The umask is applied here, set-id bits are cleared here, record locks are the pool's. What an old kernel lacks it does itself.
        for flag in
            [InitFlags::FUSE_DONT_MASK, InitFlags::FUSE_HANDLE_KILLPRIV, InitFlags::FUSE_POSIX_LOCKS, InitFlags::FUSE_PARALLEL_DIROPS]
        {
            let _ = config.add_capabilities(flag);
        }
        Ok(())
    }

    fn lookup(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        answer!(reply, entry, self.find(parent, name, &Caller::of(req)));
    }

    fn forget(&self, _: &Request, ino: INodeNo, lookups: u64) {
        self.forget_recent(ino.0, lookups);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        answer!(reply, attr, self.attr(ino_of(ino)));
    }

    fn setattr(
        &self,
        req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        fh: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let wanted = Wanted { mode, uid, gid, size, atime, mtime, open: fh.is_some() };
        answer!(reply, attr, self.set(ino, &wanted, &Caller::of(req)));
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        match self.fs().readlink(ino_of(ino)) {
            Ok(target) => reply.data(&target),
            Err(e) => reply.error(errno(&e)),
        }
    }

    fn mknod(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, rdev: u32, reply: ReplyEntry) {
        answer!(reply, entry, self.make_node(parent, name, mode, rdev, &Caller::making(req, umask)));
    }

    fn mkdir(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        answer!(reply, entry, self.make_dir(parent, name, mode, &Caller::making(req, umask)));
    }

    fn unlink(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(reply, self.remove(parent, name, false, &Caller::of(req)));
    }

    fn rmdir(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(reply, self.remove(parent, name, true, &Caller::of(req)));
    }

    fn symlink(&self, req: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        answer!(reply, entry, self.make_link(parent, name, target.as_os_str(), &Caller::of(req)));
    }

    fn rename(&self, req: &Request, from: INodeNo, old: &OsStr, to: INodeNo, new: &OsStr, flags: RenameFlags, reply: ReplyEmpty) {
        answer!(reply, self.move_name((from, old), (to, new), flags.bits(), &Caller::of(req)));
    }

    fn link(&self, req: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        answer!(reply, entry, self.name_again(ino, parent, name, &Caller::of(req)));
    }

    fn open(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        match self.open(ino, flags.0, &Caller::of(req)) {
            Ok(hold) => reply.opened(FileHandle(hold as u64), direct()),
            Err(e) => reply.error(errno(&e)),
        }
    }

    fn create(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, flags: i32, reply: ReplyCreate) {
        match self.make_file(parent, name, mode, flags, &Caller::making(req, umask)) {
            Ok((attr, hold)) => reply.created(&NOTHING, &attr, GENERATION, FileHandle(hold as u64), direct()),
            Err(e) => reply.error(errno(&e)),
        }
    }

    fn read(&self, _: &Request, _: INodeNo, fh: FileHandle, at: u64, size: u32, _: OpenFlags, _: Option<LockOwner>, reply: ReplyData) {
        BUFFER.with_borrow_mut(|buffer| match self.read_into(fh, buffer, size as usize, at) {
            Ok(n) => reply.data(&buffer[..n]),
            Err(e) => reply.error(errno(&e)),
        });
    }

    fn write(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        at: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.write(ino, fh, data, at, &Caller::of(req)) {
            Ok(()) => reply.written(data.len() as u32),
            Err(e) => reply.error(errno(&e)),
        }
    }

    fn flush(&self, _: &Request, ino: INodeNo, _: FileHandle, owner: LockOwner, reply: ReplyEmpty) {
        self.drop_locks(ino, owner);
        reply.ok();
    }

    fn release(&self, _: &Request, ino: INodeNo, fh: FileHandle, _: OpenFlags, owner: Option<LockOwner>, _: bool, reply: ReplyEmpty) {
        if let Some(owner) = owner {
            self.drop_locks(ino, owner);
        }
        self.drop_locks_through(ino, fh);
        self.close_file(fh.0 as usize);
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer!(reply, self.fs().sync(ino_of(ino)));
    }

    fn opendir(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        match self.open_dir(ino, flags.0, &Caller::of(req)) {
            Ok(fh) => reply.opened(FileHandle(fh), FopenFlags::empty()),
            Err(e) => reply.error(errno(&e)),
        }
    }

    fn readdir(&self, _: &Request, ino: INodeNo, fh: FileHandle, at: u64, mut reply: ReplyDirectory) {
        answer!(reply, self.list(ino, fh, at, &mut reply));
    }

    fn releasedir(&self, _: &Request, _: INodeNo, fh: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.close_dir(fh);
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer!(reply, self.fs().sync(ino_of(ino)));
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let s = self.fs().stat_fs();
        reply.statfs(s.total, s.free, s.free, s.inodes, s.inodes_free, 4096, 255, 4096);
    }

    fn setxattr(&self, req: &Request, ino: INodeNo, name: &OsStr, value: &[u8], flags: i32, _: u32, reply: ReplyEmpty) {
        answer!(reply, self.fs().set_xattr(ino_of(ino), name.as_bytes(), value, flags, &Caller::of(req).creds()));
    }

    fn getxattr(&self, req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        sized(reply, size, self.fs().get_xattr(ino_of(ino), name.as_bytes(), &Caller::of(req).creds()));
    }

    fn listxattr(&self, req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        sized(reply, size, self.fs().xattr_names(ino_of(ino), &Caller::of(req).creds()));
    }

    fn removexattr(&self, req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(reply, self.fs().remove_xattr(ino_of(ino), name.as_bytes(), &Caller::of(req).creds()));
    }

    fn access(&self, req: &Request, ino: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        answer!(reply, self.fs().access(ino_of(ino), mask.bits(), &Caller::of(req).creds()));
    }

    fn getlk(
        &self,
        _: &Request,
        ino: INodeNo,
        fh: FileHandle,
        owner: LockOwner,
        start: u64,
        end: u64,
        kind: i32,
        _: u32,
        reply: ReplyLock,
    ) {
        match self.find_lock(ino, fh, owner, Span { start, end }, kind) {
            Ok((span, kind, pid)) => reply.locked(span.start, span.end, kind, pid),
            Err(e) => reply.error(errno(&e)),
        }
    }

    fn setlk(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        owner: LockOwner,
        start: u64,
        end: u64,
        kind: i32,
        _: u32,
        sleep: bool,
        reply: ReplyEmpty,
    ) {
        let span = Span { start, end };
        match self.set_lock(ino, fh, owner, span, kind) {
            Err(flac::Error::Os(libc::EAGAIN)) if sleep => {
                // The threads that serve must not wait for each other's callers.
                let (server, thread) = (self.clone(), req.pid());
                std::thread::spawn(move || answer!(reply, server.wait_lock(ino, fh, owner, span, kind, thread)));
            }
            done => answer!(reply, done),
        }
    }

    fn fallocate(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, length: u64, mode: i32, reply: ReplyEmpty) {
        answer!(reply, self.fs().allocate(ino_of(ino), mode, offset, length));
    }

    fn lseek(&self, _: &Request, _: INodeNo, fh: FileHandle, offset: i64, whence: i32, reply: ReplyLseek) {
        match self.held(fh).and_then(|id| self.fs().seek(id, offset, whence)) {
            Ok(at) => reply.offset(at as i64),
            Err(e) => reply.error(errno(&e)),
        }
    }

    fn copy_file_range(
        &self,
        _: &Request,
        from: INodeNo,
        _: FileHandle,
        from_at: u64,
        to: INodeNo,
        _: FileHandle,
        to_at: u64,
        len: u64,
        _: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        // The answer has 32 bits.
        match self.fs().copy_range(ino_of(from), from_at, ino_of(to), to_at, len.min(1 << 30)) {
            Ok(n) => reply.written(n as u32),
            Err(e) => reply.error(errno(&e)),
        }
    }
}

/// The kernel keeps no data, and a shared mapping, which would need it to, fails with `ENODEV`.
fn direct() -> FopenFlags {
    FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES
}

fn sized(reply: ReplyXattr, size: u32, value: flac::Result<Vec<u8>>) {
    match value {
        Ok(value) if size == 0 => reply.size(value.len() as u32),
        Ok(value) if value.len() > size as usize => reply.error(Errno::ERANGE),
        Ok(value) => reply.data(&value),
        Err(e) => reply.error(errno(&e)),
    }
}
