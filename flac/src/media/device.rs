//! The device below a pool: what flushes it at the least cost. Asks sysfs, once in a process, and not before its first flush: that takes longer than a short program's whole work.

use super::file::File;
use once_cell::race::OnceBox;
use rustix::fs::OFlags;
use std::path::{Path, PathBuf};

/// The device below a log. Without a directory it is a medium that needs no flush of a device.
#[derive(Default)]
pub(crate) struct Device {
    /// The pool's directory.
    dir: Option<PathBuf>,
    /// The file system is ext4, and a flush of the log's file covers the frames written before.
    ext4: bool,
    found: OnceBox<Found>,
}

#[derive(Default)]
struct Found {
    fua: bool,
    bystander: Option<File>,
}

impl Device {
    /// The device below the pool in `dir`. Nothing is asked yet.
    pub(super) fn below(dir: &Path, ext4: bool) -> Device {
        Device { dir: Some(dir.to_owned()), ext4, found: OnceBox::new() }
    }

    fn found(&self) -> &Found {
        self.found.get_or_init(|| Box::new(self.dir.as_ref().map_or(Found::default(), |dir| Found::ask(dir, self.ext4))))
    }

    /// Whether writes can go through its cache, so that one of them needs no flush.
    pub(crate) fn fua(&self) -> bool {
        self.found().fua
    }

    /// A directory that is hardly ever changed, on the same file system, if that is an ext4 without a journal.
    ///
    /// Its fdatasync flushes the device and does nothing else, where that of a file just written also writes the inode (its times have changed). Measured
    /// on such an ext4, microseconds: 4 KiB past the page cache and fdatasync 98, 8 KiB and fdatasync of this directory 75.
    ///
    /// **With a journal it would not do**: there the fsync of a directory commits the running transaction, and where none is running it does nothing at all. The
    /// fdatasync of a regular file always flushes, and writes no inode whose times alone have changed.
    pub(crate) fn bystander(&self) -> Option<&File> {
        self.found().bystander.as_ref()
    }
}

impl Found {
    fn ask(dir: &Path, ext4: bool) -> Found {
        let Ok(stat) = rustix::fs::stat(dir) else { return Found::default() };
        let (major, minor) = (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
        // A partition's queue is that of the disk above it.
        let path = |up: &str| PathBuf::from(format!("/sys/dev/block/{major}:{minor}/{up}queue/fua"));
        let mut answer = [0; 1];
        let mut read = |path: PathBuf| File::open_briefly(&path, OFlags::RDONLY).is_ok_and(|f| f.read_at(&mut answer, 0) == Ok(1));
        let fua = (read(path("")) || read(path("../"))) && answer[0] == b'1';
        let bystander = if ext4 && has_no_journal(major, minor) { bystander(dir, stat.st_dev) } else { None };
        Found { fua, bystander }
    }
}

/// Whether this device holds an ext4 that has no journal for certain.
fn has_no_journal(major: u32, minor: u32) -> bool {
    let device = std::fs::read_link(format!("/sys/dev/block/{major}:{minor}"));
    let name = device.ok().and_then(|path| path.file_name().map(ToOwned::to_owned));
    let task = name.and_then(|name| std::fs::read(Path::new("/sys/fs/ext4").join(name).join("journal_task")).ok());
    task.is_some_and(|task| task.trim_ascii() == b"<none>")
}

/// The highest directory above `dir` on the same device. By way of `..`: to ask libc for the real path would be to use the program's `malloc`, in which this thread may have been interrupted.
fn bystander(dir: &Path, device: u64) -> Option<File> {
    let (mut top, mut inode) = (dir.to_owned(), 0);
    loop {
        let above = top.join("..");
        let stat = rustix::fs::stat(&above).ok()?;
        // The root is above itself.
        if stat.st_dev != device || stat.st_ino == inode {
            break;
        }
        (top, inode) = (above, stat.st_ino);
    }
    // It is not worth a number where the limit on open files is low.
    File::open(&top, OFlags::RDONLY | OFlags::DIRECTORY).ok().filter(File::is_out_of_the_way)
}
