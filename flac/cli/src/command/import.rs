//! `flac import`: a tree of the kernel's into the pool. Keeps modes, times, symbolic and hard links, holes, `user.*` attributes; as root owners, too.

use crate::arguments::Import;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::tree::{self, CHUNK, Report, User};
use flac::fs::attr::{Creds, SetAttr};
use flac::fs::names::{Last, Name, Resolved};
use flac::units::Ino;
use flac::{Error, Fs};
use rustix::fs::SeekFrom;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Where the one file that is being copied is held.
const HOLD: usize = 0;

pub fn run(pool: &Path, wanted: &Import) -> Outcome {
    let from = &wanted.dir;
    let meta = std::fs::metadata(from).map_err(|e| Failure::on(from, e))?;
    if !meta.is_dir() {
        return Err(Failure::on(from, "is not a directory"));
    }
    let skip = std::fs::metadata(pool).map_err(|_| flac::fs::admin::Volatile::of(pool).map(drop));
    let skip = match skip {
        Ok(pool) => (pool.dev(), pool.ino()),
        Err(why) => return Err(why.err().map_or_else(|| Failure::on(pool, "can't be looked at"), Failure::from)),
    };
    let session = Session::open(pool)?;
    let user = User::current();
    let mut import = Importer {
        fs: session.fs(),
        user: &user,
        skip,
        links: HashMap::new(),
        report: Report::new(|| size_of_tree(from)),
        buffer: vec![0; CHUNK],
    };
    let done = import.destination(&tree::inside(&wanted.dest)).and_then(|dest| import.directory(from, dest, Some(&meta)));
    // What is copied stays, whatever happened to the rest.
    session.fs().sync_all()?;
    let Importer { report, .. } = import;
    session.close()?;
    done?;
    report.finish("imported")
}

/// Bytes in the files below `dir`, for the progress bar: what can't be read does not count.
fn size_of_tree(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| {
        let meta = entry.metadata().ok()?;
        Some(if meta.is_dir() {
            size_of_tree(&entry.path())
        } else if meta.is_file() {
            meta.len()
        } else {
            0
        })
    });
    sizes.sum()
}

struct Importer<'s> {
    fs: &'s Fs,
    user: &'s User,
    /// The pool's own directory is not copied into itself.
    skip: (u64, u64),
    /// What became of files with several names.
    links: HashMap<(u64, u64), Ino>,
    report: Report,
    buffer: Vec<u8>,
}

/// A failure of one file, or one that ends the work.
enum Stop {
    File(String),
    All(Failure),
}

impl From<Error> for Stop {
    fn from(e: Error) -> Self {
        if tree::is_fatal(&e) { Self::All(e.into()) } else { Self::File(e.to_string()) }
    }
}

impl From<std::io::Error> for Stop {
    fn from(e: std::io::Error) -> Self {
        Self::File(e.to_string())
    }
}

impl Importer<'_> {
    fn who(&self) -> Creds<'_> {
        self.user.creds()
    }

    /// The directory at `path`, made with its parents if missing.
    fn destination(&self, path: &Path) -> Result<Ino, Failure> {
        let mut at = Ino::ROOT;
        let mut so_far = PathBuf::from("/");
        for part in path.components() {
            so_far.push(part);
            let found = self.fs.resolve(at, part.as_os_str().as_bytes(), Last::Follow, &self.who());
            let next = match found {
                Ok(Resolved::Found { ino, kind: libc::S_IFDIR, .. }) => Ok(ino),
                Ok(Resolved::Found { .. }) => Err(Error::Os(libc::ENOTDIR)),
                Ok(Resolved::Missing { parent, name, .. }) => self.fs.mkdir(parent, &name, 0o755, &self.who()),
                Ok(Resolved::Outside(_)) => Err(Error::Os(libc::EXDEV)),
                Err(e) => Err(e),
            };
            at = next.map_err(|e| Failure::on(&so_far, e))?;
        }
        Ok(at)
    }

    /// Copies the content of `from` into `to`, then its attributes.
    fn directory(&mut self, from: &Path, to: Ino, meta: Option<&Metadata>) -> Result<(), Failure> {
        let entries = match std::fs::read_dir(from) {
            Ok(entries) => entries,
            Err(e) => {
                self.report.failed(from, e);
                return Ok(());
            }
        };
        for entry in entries {
            let copied = match &entry {
                Ok(entry) => self.entry(&entry.path(), &entry.file_name(), to),
                Err(e) => Err(Stop::File(e.to_string())),
            };
            let path = entry.map_or_else(|_| from.to_owned(), |entry| entry.path());
            match copied {
                Ok(()) => {}
                Err(Stop::File(why)) => self.report.failed(&path, why),
                Err(Stop::All(failure)) => return Err(Failure::on(&path, failure)),
            }
        }
        if let Some(meta) = meta.filter(|_| to != Ino::ROOT)
            && let Err(e) = self.attributes(from, to, meta)
        {
            self.report.failed(from, describe(e)?);
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, name: &OsStr, dir: Ino) -> Result<(), Stop> {
        let meta = std::fs::symlink_metadata(path)?;
        let id = (meta.dev(), meta.ino());
        if id == self.skip {
            return Err(Stop::File("is the pool itself".into()));
        }
        let name = Name::new(name.as_bytes())?;
        let old = match self.fs.resolve(dir, name.as_bytes(), Last::Entry, &self.who())? {
            Resolved::Found { ino, kind, .. } => Some((ino, kind)),
            _ => None,
        };
        if meta.is_dir() {
            let ino = match old {
                Some((ino, libc::S_IFDIR)) => ino,
                Some(_) => return Err(Stop::File("is no directory in the pool".into())),
                None => self.fs.mkdir(dir, &name, 0o700, &self.who())?,
            };
            self.report.file();
            return self.directory(path, ino, Some(&meta)).map_err(Stop::All);
        }
        if old.is_some() {
            // As `cp --remove-destination`; a directory is refused here.
            self.fs.unlink(dir, &name, &self.who())?;
        }
        match self.links.get(&id) {
            Some(ino) => self.fs.link(*ino, dir, &name, &self.who())?,
            None => {
                let ino = self.node(path, &name, dir, &meta)?;
                if meta.nlink() > 1 {
                    self.links.insert(id, ino);
                }
            }
        }
        self.report.file();
        Ok(())
    }

    /// Copies what is no directory.
    fn node(&mut self, path: &Path, name: &Name, dir: Ino, meta: &Metadata) -> Result<Ino, Stop> {
        let kind = meta.file_type();
        let ino = if kind.is_symlink() {
            let target = std::fs::read_link(path)?;
            self.fs.symlink(dir, name, target.as_os_str().as_bytes(), &self.who())?
        } else {
            let device = kind.is_block_device() || kind.is_char_device();
            let file = kind.is_file().then(|| File::open(path)).transpose()?;
            let mode = meta.mode() & libc::S_IFMT | 0o600;
            let ino = self.fs.create(dir, name, mode, if device { meta.rdev() } else { 0 }, &self.who())?;
            if let Some(file) = file {
                self.content(&file, ino, meta.len())?;
            }
            ino
        };
        self.attributes(path, ino, meta)?;
        Ok(ino)
    }

    /// Copies the data of `file`, leaving holes out.
    fn content(&mut self, file: &File, ino: Ino, size: u64) -> Result<(), Stop> {
        let id = self.fs.open_file(ino, libc::O_WRONLY, HOLD)?;
        let copied = self.data(file, id);
        self.fs.release(HOLD);
        let end = copied?;
        if end < size {
            self.fs.truncate(ino, size)?;
        }
        Ok(())
    }

    fn data(&mut self, file: &File, id: flac::fs::open::OpenId) -> Result<u64, Stop> {
        let mut at = 0;
        let mut end = 0;
        loop {
            at = match rustix::fs::seek(file, SeekFrom::Data(at)) {
                Ok(at) => at,
                Err(rustix::io::Errno::NXIO) => return Ok(end),
                Err(e) => return Err(std::io::Error::from(e).into()),
            };
            let hole = rustix::fs::seek(file, SeekFrom::Hole(at)).map_err(std::io::Error::from)?;
            while at < hole {
                let most = (hole - at).min(CHUNK as u64) as usize;
                let n = file.read_at(&mut self.buffer[..most], at)?;
                if n == 0 {
                    return Ok(end);
                }
                self.fs.write_bytes(id, &self.buffer[..n], at)?;
                self.report.copied(n as u64);
                at += n as u64;
                end = at;
            }
        }
    }

    /// Owner (root), attributes and access control lists, mode, times: in this order, each would change what comes before it.
    fn attributes(&self, path: &Path, ino: Ino, meta: &Metadata) -> Result<(), Stop> {
        if self.user.is_root() {
            self.fs.chown(ino, Some(meta.uid()), Some(meta.gid()), &self.who())?;
        }
        let link = meta.file_type().is_symlink();
        if !link {
            self.xattrs(path, ino)?;
        }
        let change = SetAttr {
            mode: (!link).then_some(meta.mode() & 0o7777),
            atime: Some(Some(tree::time(meta.atime(), meta.atime_nsec()))),
            mtime: Some(Some(tree::time(meta.mtime(), meta.mtime_nsec()))),
            ..SetAttr::default()
        };
        Ok(self.fs.set_attr(ino, &change, &self.who())?)
    }

    fn xattrs(&self, path: &Path, ino: Ino) -> Result<(), Stop> {
        let Ok(names) = list(|to| rustix::fs::llistxattr(path, to)) else { return Ok(()) };
        for name in names.split(|b| *b == 0).filter(|name| tree::is_kept(name)) {
            let value = list(|to| rustix::fs::lgetxattr(path, name, to)).map_err(std::io::Error::from)?;
            self.fs.set_xattr(ino, name, &value, 0, &self.who())?;
        }
        Ok(())
    }
}

/// Calls `get` with enough room.
fn list(get: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut bytes = vec![0; 64 << 10];
    let n = get(&mut bytes)?;
    bytes.truncate(n);
    Ok(bytes)
}

fn describe(stop: Stop) -> Result<String, Failure> {
    match stop {
        Stop::File(why) => Ok(why),
        Stop::All(failure) => Err(failure),
    }
}
