//! Attributes of inodes and of the file system, in the shapes that C knows.

use flac::Fs;
use flac::fs::attr::{Attr, Time};
use flac::units::PAGE;
use libc::{stat, statx as Statx};
use std::sync::atomic::{AtomicU32, Ordering};

/// The preferred size of a transfer, from which programs choose their buffers. 128 KiB is what coreutils use anyway (so no buffer
/// of theirs shrinks), fits the second-level cache, and keeps `cat` and `cp` of small files from allocating megabytes. With 512 KiB or 2 MiB
/// instead, `cat`, `wc`, `grep`, `sort` and `cksum` of 30 to 300 MB took the same time within the noise of three rounds.
pub const BLOCK_SIZE: i64 = 128 << 10;

/// Files' sizes on the medium are counted in these.
const SECTOR: u64 = 512;

/// That of tmpfs, which programs know as a local file system whose changes inotify tells. `tail -f` polls on what lives in user space (FUSE), and warns of a type
/// that it has never heard of.
const MAGIC: i64 = 0x0102_1994;

/// The device's minor number; the major is 0, as for every file system without a device. The kernel counts its own from 1, this one
/// begins where it never gets.
pub fn minor(fs: &Fs) -> u32 {
    static MINOR: AtomicU32 = AtomicU32::new(0);
    match MINOR.load(Ordering::Relaxed) {
        0 => {
            let id = fs.stat_fs().id;
            let minor = 0x8_0000 | ((id ^ id >> 19 ^ id >> 38) as u32 & 0x7_ffff);
            MINOR.store(minor, Ordering::Relaxed);
            minor
        }
        minor => minor,
    }
}

fn zeroed<T: Zero>() -> T {
    T::zero()
}

/// C structures of numbers.
trait Zero: Sized {
    #[expect(unsafe_code, reason = "all-zero numbers")]
    fn zero() -> Self {
        // SAFETY: implemented below for structures of integers and arrays of them only.
        unsafe { std::mem::zeroed() }
    }
}
impl Zero for stat {}
impl Zero for Statx {}
impl Zero for libc::statfs64 {}
impl Zero for libc::statvfs {}

/// A C structure that describes an inode.
pub trait Form {
    /// Filled in for `attr`.
    fn of(fs: &Fs, attr: &Attr) -> Self;
}

impl Form for stat {
    fn of(fs: &Fs, attr: &Attr) -> Self {
        let mut s: stat = zeroed();
        s.st_dev = libc::makedev(0, minor(fs));
        s.st_ino = attr.ino.get();
        s.st_mode = attr.mode;
        s.st_nlink = attr.nlink.into();
        s.st_uid = attr.uid;
        s.st_gid = attr.gid;
        s.st_rdev = attr.rdev;
        s.st_size = attr.size.cast_signed();
        s.st_blksize = BLOCK_SIZE as _;
        s.st_blocks = (attr.pages * (PAGE as u64 / SECTOR)).cast_signed();
        (s.st_atime, s.st_atime_nsec) = (attr.atime.sec, attr.atime.nsec.into());
        (s.st_mtime, s.st_mtime_nsec) = (attr.mtime.sec, attr.mtime.nsec.into());
        (s.st_ctime, s.st_ctime_nsec) = (attr.ctime.sec, attr.ctime.nsec.into());
        s
    }
}

/// `statx`'s structure, all basic fields and the time of creation.
pub fn statx(fs: &Fs, attr: &Attr) -> Statx {
    let mut s: Statx = zeroed();
    let mut stamp = s.stx_atime;
    let mut time = |t: Time| {
        (stamp.tv_sec, stamp.tv_nsec) = (t.sec, t.nsec);
        stamp
    };
    s.stx_mask = libc::STATX_BASIC_STATS | libc::STATX_BTIME;
    s.stx_blksize = BLOCK_SIZE as u32;
    s.stx_nlink = attr.nlink;
    s.stx_uid = attr.uid;
    s.stx_gid = attr.gid;
    s.stx_mode = attr.mode as u16;
    s.stx_ino = attr.ino.get();
    s.stx_size = attr.size;
    s.stx_blocks = attr.pages * (PAGE as u64 / SECTOR);
    s.stx_atime = time(attr.atime);
    s.stx_mtime = time(attr.mtime);
    s.stx_ctime = time(attr.ctime);
    s.stx_btime = time(attr.btime);
    s.stx_rdev_major = libc::major(attr.rdev);
    s.stx_rdev_minor = libc::minor(attr.rdev);
    s.stx_dev_major = 0;
    s.stx_dev_minor = minor(fs);
    // What could be true of an inode of tmpfs, and is of one here when it says so.
    const MOUNT_ROOT: u64 = libc::STATX_ATTR_MOUNT_ROOT as u64;
    s.stx_attributes_mask = MOUNT_ROOT | libc::STATX_ATTR_AUTOMOUNT as u64 | libc::STATX_ATTR_DAX as u64;
    if attr.ino == flac::units::Ino::ROOT {
        s.stx_attributes = MOUNT_ROOT;
    }
    s.stx_mask |= libc::STATX_MNT_ID;
    s.stx_mnt_id = crate::mounts::number(fs).into();
    s
}

/// `statfs`'s structure.
#[expect(unsafe_code, reason = "libc hides the numbers of fsid_t")]
pub fn statfs(fs: &Fs) -> libc::statfs64 {
    let now = fs.stat_fs();
    let mut s: libc::statfs64 = zeroed();
    s.f_type = MAGIC as _;
    s.f_bsize = PAGE as _;
    s.f_frsize = PAGE as _;
    s.f_blocks = now.total;
    s.f_bfree = now.free;
    s.f_bavail = now.free;
    s.f_files = now.inodes;
    s.f_ffree = now.inodes_free;
    // SAFETY: two 32-bit integers, as the kernel has them.
    s.f_fsid = unsafe { std::mem::transmute::<u64, libc::fsid_t>(now.id) };
    s.f_namelen = 255;
    s.f_flags = libc::ST_RELATIME as _;
    s
}

/// `statvfs`'s structure.
pub fn statvfs(fs: &Fs) -> libc::statvfs {
    let now = fs.stat_fs();
    let mut s: libc::statvfs = zeroed();
    s.f_bsize = PAGE as u64;
    s.f_frsize = PAGE as u64;
    s.f_blocks = now.total;
    s.f_bfree = now.free;
    s.f_bavail = now.free;
    s.f_files = now.inodes;
    s.f_ffree = now.inodes_free;
    s.f_favail = now.inodes_free;
    s.f_fsid = now.id;
    s.f_flag = libc::ST_RELATIME;
    s.f_namemax = 255;
    s
}
