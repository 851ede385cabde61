//! Checking the metadata against itself, and the data against its checksums.
//!
//! Works on one snapshot of the KV, so it may run while others work. It sees what the log knows: data that was never flushed is not its subject.

use crate::checksum;
use crate::error::Result;
use crate::fs::Fs;
use crate::fs::names::{DIRENT_SIZE, live_dir_links};
use crate::fs::record::{self, Dirent, Extent, Inode, View, XATTRS, decode_extents, decode_place, extent_start, key_ino, key_name};
use crate::media::Pool;
use crate::units::{Ino, PAGE, PageNo, PoolFrame};
use std::collections::{HashMap, HashSet};

/// Checks everything; `data` also reads every page of every file. One line a finding, none if all is well.
///
/// # Errors
/// Only if the metadata can't be read at all; what is wrong in it is a finding.
pub fn check(fs: &Fs, data: bool) -> Result<Vec<String>> {
    let txn = fs.meta.settled()?;
    let mut check = Check {
        view: &txn,
        pool: &fs.pool,
        data,
        inodes: HashMap::new(),
        used: vec![0; (fs.pool.frames() as usize).div_ceil(64)],
        page: vec![0; PAGE],
        zeros: checksum::of(&[0; PAGE]),
        named: None,
        findings: Vec::new(),
    };
    check.inodes()?;
    check.scan(b'D', Check::entry)?;
    check.scan(b'P', Check::place)?;
    check.scan(b'O', Check::orphan)?;
    check.scan(b'S', Check::target)?;
    check.scan(b'X', Check::xattr)?;
    check.scan(b'E', Check::extents)?;
    check.counts();
    check.reach()?;
    Ok(check.findings)
}

/// What was seen of an inode.
struct Seen {
    inode: Inode,
    names: u32,
    /// Entries of a directory, and how many of them are directories.
    entries: u64,
    subdirs: u32,
    orphan: bool,
    /// Pages that have a pool frame.
    pages: u64,
    /// Whether a symbolic link has a target, a directory a place.
    attached: bool,
}

struct Check<'t, V> {
    view: &'t V,
    pool: &'t Pool,
    data: bool,
    inodes: HashMap<Ino, Seen>,
    /// One bit for each frame of the pool.
    used: Vec<u64>,
    page: Vec<u8>,
    /// The checksum of a page of zeros.
    zeros: u32,
    /// The file that was last named in a finding.
    named: Option<(Ino, String)>,
    findings: Vec<String>,
}

impl<V: View> Check<'_, V> {
    fn find(&mut self, finding: String) {
        self.findings.push(finding);
    }

    /// Calls `f` for every pair whose key starts with `letter`; a record that can't be decoded is a finding.
    fn scan(&mut self, letter: u8, f: fn(&mut Self, &[u8], &[u8]) -> Result<()>) -> Result<()> {
        let view = self.view;
        for pair in view.scan(&[letter], &[letter])? {
            let (key, value) = pair?;
            if let Err(error) = f(self, key, value) {
                self.find(format!("key {}: {error}", key.escape_ascii()));
            }
        }
        Ok(())
    }

    fn inodes(&mut self) -> Result<()> {
        self.scan(b'I', |check, key, value| {
            let ino = key_ino(key)?;
            let inode = Inode::decode(ino, value)?;
            // The FLAC space has no name, and is counted as if it had.
            let names = (ino == Ino::SPACE) as u32;
            let seen = Seen { inode, names, entries: 0, subdirs: 0, orphan: false, pages: 0, attached: false };
            check.inodes.insert(ino, seen);
            Ok(())
        })?;
        if self.inodes.get(&Ino::ROOT).is_none_or(|root| !root.inode.attr.is_dir()) {
            self.find("there is no root directory".into());
        }
        Ok(())
    }

    /// The inode that a record belongs to; its absence is a finding.
    fn owner(&mut self, what: &str, key: &[u8]) -> Result<Option<&mut Seen>> {
        let ino = key_ino(key)?;
        if !self.inodes.contains_key(&ino) {
            self.find(format!("{what} of inode {}, which does not exist", ino.get()));
        }
        Ok(self.inodes.get_mut(&ino))
    }

    fn entry(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let (dir, name, entry) = (key_ino(key)?, key_name(&(key, value)), Dirent::decode(value)?);
        let shown = format!("entry \"{}\" of directory {}", name.escape_ascii(), dir.get());
        if matches!(name, b"" | b"." | b"..") || name.iter().any(|c| matches!(c, 0 | b'/')) {
            self.find(format!("{shown}: is no valid name"));
        }
        match self.inodes.get_mut(&dir) {
            Some(parent) if parent.inode.attr.is_dir() && parent.inode.attr.nlink != 0 => {
                parent.entries += 1;
                parent.subdirs += entry.is_dir() as u32;
            }
            Some(_) => self.find(format!("{shown}: that is no directory, or a removed one")),
            None => self.find(format!("{shown}: that directory does not exist")),
        }
        match self.inodes.get_mut(&entry.ino) {
            None => self.find(format!("{shown}: points at inode {}, which does not exist", entry.ino.get())),
            Some(seen) => {
                seen.names += 1;
                if seen.inode.attr.kind() != entry.kind() {
                    self.find(format!("{shown}: says another type than inode {}", entry.ino.get()));
                }
            }
        }
        if entry.is_dir() && record::place(self.view, entry.ino)? != Some((dir, name)) {
            self.find(format!("{shown}: directory {} does not say that it is there", entry.ino.get()));
        }
        Ok(())
    }

    fn place(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let ino = key_ino(key)?;
        let (parent, name) = decode_place(value)?;
        let Some(seen) = self.owner("the place", key)? else {
            return Ok(());
        };
        seen.attached = true;
        let attr = seen.inode.attr;
        if !attr.is_dir() {
            self.find(format!("inode {}: has a place but is no directory", ino.get()));
        }
        let there = Dirent::load(self.view, parent, name)?.is_some_and(|entry| entry.ino == ino);
        if attr.nlink != 0 && !there {
            self.find(format!("directory {}: is not where it says that it is", ino.get()));
        }
        Ok(())
    }

    fn orphan(&mut self, key: &[u8], _: &[u8]) -> Result<()> {
        let Some(seen) = self.owner("the orphan's note", key)? else {
            return Ok(());
        };
        seen.orphan = true;
        if seen.inode.attr.nlink != 0 {
            let ino = key_ino(key)?;
            self.find(format!("inode {}: is noted as an orphan but has a name", ino.get()));
        }
        Ok(())
    }

    fn target(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let Some(seen) = self.owner("the target", key)? else {
            return Ok(());
        };
        seen.attached = true;
        let attr = seen.inode.attr;
        if attr.kind() != libc::S_IFLNK || attr.size != value.len() as u64 {
            self.find(format!("inode {}: has a link's target of another length, or is no link", attr.ino.get()));
        }
        Ok(())
    }

    fn xattr(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let name = key_name(&(key, value)).escape_ascii().to_string();
        let Some(seen) = self.owner("an extended attribute", key)? else {
            return Ok(());
        };
        if seen.inode.flags & XATTRS == 0 {
            let ino = seen.inode.attr.ino;
            self.find(format!("inode {}: has attribute {name} but does not say so", ino.get()));
        }
        Ok(())
    }

    fn extents(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let first = extent_start(key)?;
        let extents: Vec<Option<Extent>> = decode_extents(value)?.collect();
        let Some(seen) = self.owner("extents", key)? else {
            return Ok(());
        };
        seen.pages += extents.iter().flatten().count() as u64;
        let attr = seen.inode.attr;
        let ino = attr.ino.get();
        if !attr.is_file() {
            self.find(format!("inode {ino}: has extents but is no regular file"));
        }
        for (n, extent) in extents.iter().enumerate() {
            let Some(extent) = extent else { continue };
            let page = first.plus(n as u64);
            // Space that was set aside behind the end (FALLOC_FL_KEEP_SIZE) is zeros.
            if page.start() >= attr.size && extent.crc != self.zeros {
                self.find(format!("inode {ino}: page {} lies beyond the size {}", page.get(), attr.size));
            }
            self.frame(ino, page, *extent)?;
        }
        Ok(())
    }

    fn frame(&mut self, ino: u64, page: PageNo, extent: Extent) -> Result<()> {
        let frame = extent.frame.get();
        if frame >= self.pool.frames() {
            self.find(format!("inode {ino}: page {} lies in frame {frame}, beyond the pool", page.get()));
            return Ok(());
        }
        let (word, bit) = (&mut self.used[frame as usize / 64], 1 << (frame % 64));
        let twice = *word & bit != 0;
        *word |= bit;
        if twice {
            self.find(format!("inode {ino}: page {} lies in frame {frame}, which another page uses too", page.get()));
        }
        if self.data {
            let wrong = match self.pool.read(PoolFrame::new(frame), &mut self.page) {
                Ok(()) if checksum::of(&self.page) == extent.crc => return Ok(()),
                Ok(()) => "fails its checksum".to_owned(),
                Err(e) => format!("can't be read: {e}"),
            };
            let name = self.name_of(Ino::new(ino))?;
            self.find(format!("{name}: page {} (inode {ino}, frame {frame}) {wrong}", page.get()));
        }
        Ok(())
    }

    /// A path of the file, for people; what can be said of it if there is none.
    fn name_of(&mut self, ino: Ino) -> Result<String> {
        if let Some((last, name)) = &self.named
            && *last == ino
        {
            return Ok(name.clone());
        }
        let mut name = format!("inode {} (without a name)", ino.get());
        for pair in self.view.scan(b"D", b"D")? {
            let pair = pair?;
            if Dirent::decode(pair.1)?.ino == ino {
                name = self.path_of(key_ino(pair.0)?, key_name(&pair))?;
                break;
            }
        }
        self.named = Some((ino, name.clone()));
        Ok(name)
    }

    fn path_of(&self, mut dir: Ino, name: &[u8]) -> Result<String> {
        let mut path = format!("/{}", name.escape_ascii());
        // No tree that could be made is deeper.
        for _ in 0..libc::PATH_MAX {
            let Some((parent, name)) = record::place(self.view, dir)? else { break };
            path = format!("/{}{path}", name.escape_ascii());
            dir = parent;
        }
        Ok(path)
    }

    /// Compares what inodes say of themselves with what was seen.
    fn counts(&mut self) {
        let mut findings = Vec::new();
        for (ino, seen) in &self.inodes {
            let attr = &seen.inode.attr;
            let mut say = |finding: String| findings.push(format!("inode {}: {finding}", ino.get()));
            let links = match attr.is_dir() {
                true if attr.nlink != 0 => live_dir_links(seen.subdirs),
                _ => seen.names,
            };
            if attr.nlink != links {
                say(format!("counts {} links but has {links}", attr.nlink));
            }
            let named = attr.is_dir() && attr.nlink != 0 && *ino != Ino::ROOT;
            if named && seen.names != 1 {
                say(format!("is a directory with {} names", seen.names));
            }
            if attr.nlink == 0 && !seen.orphan {
                say("has no name and is not noted as an orphan".into());
            }
            if attr.is_dir() && attr.size != (seen.entries + 2) * DIRENT_SIZE {
                say(format!("is a directory of size {} with {} entries", attr.size, seen.entries));
            }
            if (named || attr.kind() == libc::S_IFLNK) && !seen.attached {
                say("is a link without target or a directory without place".into());
            }
            if attr.is_file() && attr.pages != seen.pages {
                say(format!("counts {} pages but has {}", attr.pages, seen.pages));
            }
        }
        findings.sort();
        self.findings.append(&mut findings);
    }

    /// Every directory leads up to the root.
    fn reach(&mut self) -> Result<()> {
        let dirs: Vec<Ino> = self.inodes.values().filter(|s| s.inode.attr.is_dir() && !s.orphan).map(|s| s.inode.attr.ino).collect();
        // Directories known to lead to the root, or known not to and reported.
        let mut known = HashSet::from([Ino::ROOT]);
        for dir in dirs {
            let mut path = Vec::new();
            let mut at = dir;
            while known.insert(at) {
                path.push(at);
                match record::place(self.view, at)? {
                    // Met again on its own way up: a circle.
                    Some((parent, _)) if path.contains(&parent) => {
                        self.find(format!("directory {}: lies in itself, not below the root", parent.get()));
                        break;
                    }
                    Some((parent, _)) => at = parent,
                    None => break,
                }
            }
        }
        Ok(())
    }
}
