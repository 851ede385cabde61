//! File handles: names of inodes without a path. Of FLAC's: the pool's identity and the inode's number, which is never used again.

use super::access::{Named, named};
use crate::abi::{CPath, In, Out, fail};
use crate::boundary::{Answer, Escape, checked};
use crate::{creds, cwd, fds, files, mounts};
use flac::Fs;
use flac::units::Ino;
use libc::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, c_int, c_uint, c_void};

/// What `struct file_handle` begins with: bytes that follow, and their kind.
type Head = [u32; 2];
/// What follows.
type Body = [u64; 2];

/// The most bytes that a handle may have (`MAX_HANDLE_SZ`).
const MOST: u32 = 128;
const SIZE: u32 = size_of::<Body>() as u32;
/// A kind that no file system of the kernel's has.
const KIND: u32 = 0xf7;

const AT_SYMLINK_FOLLOW: c_int = 0x400;
/// `AT_HANDLE_MNT_ID_UNIQUE`, `AT_HANDLE_CONNECTABLE`, `AT_HANDLE_FID`.
const MOUNT_IS_WIDE: c_int = 1;
const CONNECTABLE: c_int = 2;
const NOT_TO_OPEN: c_int = 0x200;

fn body_of(fs: &Fs, ino: Ino) -> Body {
    [fs.stat_fs().id, ino.get()]
}

hook! {
    /// `name_to_handle_at(2)`.
    fn name_to_handle_at(dirfd: c_int, path: CPath, handle: *mut c_void, mount: *mut c_void, flags: c_int) -> c_int, real(theirs) {
        if flags & !(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH | MOUNT_IS_WIDE | CONNECTABLE | NOT_TO_OPEN) != 0 {
            return Err(Escape::NotOurs);
        }
        let follows = if flags & AT_SYMLINK_FOLLOW != 0 { 0 } else { AT_SYMLINK_NOFOLLOW };
        let (fs, ino) = match named(dirfd, path, flags & AT_EMPTY_PATH | follows)? {
            Named::Kernel(path) => return checked(theirs(AT_FDCWD, CPath::of(&path), handle, mount, flags)),
            Named::Flac(fs, ino, _) => (fs, ino),
        };
        let [room, _] = In::<Head>::at(handle).needed()?;
        if room > MOST {
            return fail(libc::EINVAL);
        }
        let number = mounts::number(fs);
        match flags & MOUNT_IS_WIDE != 0 {
            true => Out::<u64>::at(mount).put(number.into())?,
            false => Out::<c_uint>::at(mount).put(number)?,
        }
        if room >= SIZE {
            Out::<Body>::at(handle.wrapping_byte_add(size_of::<Head>())).put(body_of(fs, ino))?;
        }
        Out::<Head>::at(handle).put([SIZE, KIND])?;
        if room < SIZE { fail(libc::EOVERFLOW) } else { Ok(0) }
    }
}

hook! {
    /// `open_by_handle_at(2)`: on any descriptor of FLAC's.
    fn open_by_handle_at(mount: c_int, handle: *mut c_void, flags: c_int) -> c_int, when(mount == AT_FDCWD || fds::maybe(mount)) {
        let (fs, _) = if mount == AT_FDCWD { cwd::inode()? } else { fds::inode(mount)? };
        if creds::now().creds().uid != 0 {
            return fail(libc::EPERM);
        }
        let [size, kind] = In::<Head>::at(handle).needed()?;
        if size == 0 || size > MOST {
            return fail(libc::EINVAL);
        }
        if (size, kind) != (SIZE, KIND) {
            return fail(libc::ESTALE);
        }
        let body = In::<Body>::at(handle.wrapping_byte_add(size_of::<Head>())).needed()?;
        let ino = Ino::new(body[1]);
        let Some(attr) = fs.attr(ino).ok().filter(|_| body == body_of(fs, ino)) else { return fail(libc::ESTALE) };
        open(fs, ino, attr.mode & libc::S_IFMT, flags)
    }
}

fn open(fs: &'static Fs, ino: Ino, kind: u32, flags: c_int) -> Answer<c_int> {
    match crate::nodes::wait_here(files::open_inode(fs, ino, kind, flags)) {
        Err(Escape::Fail(libc::ENOENT)) => fail(libc::ESTALE),
        opened => opened,
    }
}
