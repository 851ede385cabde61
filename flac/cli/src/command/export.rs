//! `flac export`: from the pool into a directory of the kernel's. Keeps what `flac import` keeps.

use crate::arguments::Export;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::tree::{self, CHUNK, Report, User};
use flac::fs::attr::Attr;
use flac::fs::open::OpenId;
use flac::units::Ino;
use flac::{Error, Fs};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where the one file that is being copied is held.
const HOLD: usize = 0;

pub fn run(pool: &Path, wanted: &Export) -> Outcome {
    let (from, to) = match wanted.paths.as_slice() {
        [to] => (Path::new("/"), to.as_path()),
        [from, to] => (from.as_path(), to.as_path()),
        _ => return Err(Failure::new("one or two paths are wanted").with_status(2)),
    };
    let session = Session::open(pool)?;
    let user = User::current();
    let from = tree::inside(from);
    let source = tree::find(session.fs(), &from, &user)?;
    std::fs::create_dir_all(to).map_err(|e| Failure::on(to, e))?;
    let fs = session.fs();
    let report = Report::new(|| size_of_tree(fs, source).unwrap_or(0));
    let mut export = Exporter { fs, root: user.is_root(), links: HashMap::new(), report, buffer: vec![0; CHUNK] };
    let attr = fs.attr(source)?;
    let done = if attr.is_dir() {
        export.directory(source, to, &attr)
    } else {
        let name = from.file_name().ok_or_else(|| Failure::on(&from, "has no name"))?;
        export.entry(source, &to.join(name))
    };
    let Exporter { report, .. } = export;
    session.close()?;
    done?;
    report.finish("exported")
}

/// Bytes in the files below `dir`, for the progress bar.
fn size_of_tree(fs: &Fs, at: Ino) -> flac::Result<u64> {
    let attr = fs.attr(at)?;
    if !attr.is_dir() {
        return Ok(if attr.is_file() { attr.size } else { 0 });
    }
    let list = fs.list_dir(at)?;
    Ok(children(&list).map(|(ino, _)| size_of_tree(fs, ino).unwrap_or(0)).sum())
}

fn children(list: &flac::fs::names::DirList) -> impl Iterator<Item = (Ino, &OsStr)> {
    let entries = list.iter().filter(|(_, _, name)| !matches!(*name, b"." | b".."));
    entries.map(|(ino, _, name)| (ino, OsStr::from_bytes(name)))
}

struct Exporter<'s> {
    fs: &'s Fs,
    root: bool,
    /// Where files with several names went first.
    links: HashMap<Ino, PathBuf>,
    report: Report,
    buffer: Vec<u8>,
}

/// A failure of one file, or one that ends the work.
enum Stop {
    File(String),
    All(String),
}

impl From<Error> for Stop {
    fn from(e: Error) -> Self {
        Self::File(e.to_string())
    }
}

impl From<std::io::Error> for Stop {
    fn from(e: std::io::Error) -> Self {
        if e.raw_os_error() == Some(libc::ENOSPC) { Self::All(e.to_string()) } else { Self::File(e.to_string()) }
    }
}

impl From<rustix::io::Errno> for Stop {
    fn from(e: rustix::io::Errno) -> Self {
        std::io::Error::from(e).into()
    }
}

impl Exporter<'_> {
    /// Copies the content of `dir` into `to`, which is there, then its attributes.
    fn directory(&mut self, dir: Ino, to: &Path, attr: &Attr) -> Result<(), Failure> {
        let list = match self.fs.list_dir(dir) {
            Ok(list) => list,
            Err(e) => {
                self.report.failed(to, e);
                return Ok(());
            }
        };
        for (ino, name) in children(&list) {
            self.entry(ino, &to.join(name))?;
        }
        if let Err(Stop::File(why) | Stop::All(why)) = self.attributes(dir, to, attr) {
            self.report.failed(to, why);
        }
        Ok(())
    }

    fn entry(&mut self, ino: Ino, to: &Path) -> Result<(), Failure> {
        match self.copy(ino, to) {
            Ok(None) => self.report.file(),
            Ok(Some(attr)) => {
                self.report.file();
                self.directory(ino, to, &attr)?;
            }
            Err(Stop::File(why)) => self.report.failed(to, why),
            Err(Stop::All(why)) => return Err(Failure::on(to, why)),
        }
        Ok(())
    }

    /// Makes `ino` at `to`; of a directory its attributes, for its content is still to come.
    fn copy(&mut self, ino: Ino, to: &Path) -> Result<Option<Attr>, Stop> {
        let attr = self.fs.attr(ino)?;
        let old = std::fs::symlink_metadata(to).ok();
        if attr.is_dir() {
            match old {
                Some(old) if old.is_dir() => {}
                _ => rustix::fs::mkdir(to, Mode::RWXU)?,
            }
            return Ok(Some(attr));
        }
        if old.is_some() {
            // As `cp --remove-destination`; a directory is refused here.
            std::fs::remove_file(to)?;
        }
        if let Some(first) = self.links.get(&ino) {
            std::fs::hard_link(first, to)?;
            return Ok(None);
        }
        match attr.kind() {
            libc::S_IFLNK => std::os::unix::fs::symlink(OsStr::from_bytes(&self.fs.readlink(ino)?), to)?,
            libc::S_IFREG => self.content(ino, to, attr.size)?,
            _ => rustix::fs::mknodat(CWD, to, FileType::from_raw_mode(attr.mode), Mode::RUSR | Mode::WUSR, attr.rdev)?,
        }
        self.attributes(ino, to, &attr)?;
        if attr.nlink > 1 {
            self.links.insert(ino, to.to_owned());
        }
        Ok(None)
    }

    fn content(&mut self, ino: Ino, to: &Path, size: u64) -> Result<(), Stop> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(to)?;
        let id = self.fs.open_file(ino, libc::O_RDONLY | libc::O_NOATIME, HOLD)?;
        let copied = self.data(id, &file);
        self.fs.release(HOLD);
        copied?;
        Ok(file.set_len(size)?)
    }

    /// Copies the data of `id`, leaving holes out.
    fn data(&mut self, id: OpenId, file: &File) -> Result<(), Stop> {
        let mut at = 0;
        loop {
            at = match self.fs.seek(id, at as i64, libc::SEEK_DATA) {
                Ok(at) => at,
                Err(Error::Os(libc::ENXIO)) => return Ok(()),
                Err(e) => return Err(e.into()),
            };
            let hole = self.fs.seek(id, at as i64, libc::SEEK_HOLE)?;
            while at < hole {
                let most = (hole - at).min(CHUNK as u64) as usize;
                let n = self.fs.read_bytes(id, &mut self.buffer[..most], at)?;
                if n == 0 {
                    return Ok(());
                }
                file.write_all_at(&self.buffer[..n], at)?;
                self.report.copied(n as u64);
                at += n as u64;
            }
        }
    }

    /// Owner (root), attributes and access control lists, mode, times: in this order, each would change what comes before it.
    fn attributes(&self, ino: Ino, to: &Path, attr: &Attr) -> Result<(), Stop> {
        if self.root {
            rustix::fs::chownat(CWD, to, Some(Uid::from_raw(attr.uid)), Some(Gid::from_raw(attr.gid)), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if attr.kind() != libc::S_IFLNK {
            for name in self.fs.list_xattr(ino)?.split(|b| *b == 0).filter(|name| tree::is_kept(name)) {
                rustix::fs::lsetxattr(to, name, &self.fs.xattr(ino, name)?, XattrFlags::empty())?;
            }
            std::fs::set_permissions(to, Permissions::from_mode(attr.mode & 0o7777))?;
        }
        let spec = |time: flac::fs::attr::Time| Timespec { tv_sec: time.sec, tv_nsec: time.nsec.into() };
        let times = Timestamps { last_access: spec(attr.atime), last_modification: spec(attr.mtime) };
        Ok(rustix::fs::utimensat(CWD, to, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }
}
