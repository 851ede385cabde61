//! Random work on a pool, with the model at its side.

mod flushes;

use super::look::{WHO, look};
use super::model::{Bytes, Node, Step, Tree};
use crate::config::Config;
use crate::error::Result;
use crate::fs::attr::SetAttr;
use crate::fs::names::{Last, Name, Resolved};
use crate::fs::open::OpenId;
use crate::fs::{Fs, io::IoVec};
use crate::media::sim::Random;
use crate::units::{Ino, PAGE};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where files are held for one operation, and the first index for those held longer.
const BRIEFLY: usize = 41;
const LONGER: usize = 10;

/// A pool being worked on, and what must be true of it.
pub struct Work {
    fs: Option<Live>,
    pool: PathBuf,
    pub tree: Tree,
    /// What a power cut may leave, in order of time; and the first of them that is not older than what was acknowledged.
    pub steps: Vec<Step>,
    pub floor: usize,
    /// Whether running out of space is expected.
    pub tight: bool,
    /// Whether nobody dies.
    pub calm: bool,
    /// How often there was no space.
    pub full: usize,
    /// What was done, for whoever reads of a failure.
    pub story: Vec<String>,
    held: [Option<usize>; 3],
    random: Random,
    serial: u32,
}

/// A pool that is open in a region of its own, which goes with the value.
pub struct Live(Option<Fs>);

/// Opens the pool.
pub fn open(pool: &Path) -> Result<Live> {
    Fs::open(&Config { dram: Some(16 << 20), ..Config::new(pool) }).map(|fs| Live(Some(fs)))
}

impl Live {
    /// Leaves the region to those who come later.
    pub fn leave(mut self) {
        self.0.take().inspect(Fs::exit);
    }
}

impl Deref for Live {
    type Target = Fs;
    fn deref(&self) -> &Fs {
        self.0.as_ref().expect("open")
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let Some(fs) = self.0.take() else { return };
        let run = fs.run_dir().to_owned();
        fs.exit();
        drop(fs);
        // The mappings stay until this process ends, but not the memory.
        for name in ["control", "dram"] {
            let path = std::fs::canonicalize(run.join(name)).unwrap_or_default();
            let _ = std::fs::File::options().write(true).open(path).and_then(|file| file.set_len(0));
        }
        if let Ok(tier) = std::fs::read_link(run.join("dram")) {
            let _ = std::fs::remove_file(tier);
        }
        let _ = std::fs::remove_dir_all(run);
    }
}

impl Work {
    /// Opens the pool, whose tree is `tree`.
    pub fn start(pool: &Path, tree: Tree, seed: u64) -> Work {
        let fs = open(pool).expect("the pool opens");
        let steps = vec![tree.step(false)];
        let random = Random(seed);
        Work {
            fs: Some(fs),
            pool: pool.to_owned(),
            tree,
            steps,
            floor: 0,
            tight: false,
            calm: false,
            full: 0,
            story: Vec::new(),
            held: [None; 3],
            random,
            serial: 0,
        }
    }

    pub fn fs(&self) -> &Fs {
        self.fs.as_ref().expect("open between operations")
    }

    /// Loses the region.
    pub fn end(mut self) -> (Vec<Step>, Vec<String>) {
        drop(self.fs.take());
        (self.steps, self.story)
    }

    /// The tree is what the model says.
    pub fn compare(&self) {
        let mut step = self.tree.step(false);
        step.files.iter_mut().for_each(|(id, left)| {
            let file = &self.tree.files[id];
            (left.contents, left.modes) = (vec![file.live.clone()], vec![file.mode]);
        });
        let sight = look(self.fs()).expect("a tree");
        let story = || self.story[self.story.len().saturating_sub(40)..].join("\n");
        super::look::fits(&sight, &step, false).unwrap_or_else(|why| panic!("{}\nlive: {why}", story()));
    }

    fn tell(&mut self, what: String) {
        self.story.push(format!("step {}: {what}", self.steps.len() - 1));
    }

    fn step(&mut self) {
        self.steps.push(self.tree.step(false));
    }

    fn path(&mut self) -> String {
        let dirs: Vec<&String> = self.tree.names.iter().filter(|(_, n)| **n == Node::Dir).map(|(p, _)| p).collect();
        let dir = if dirs.is_empty() || self.random.once_in(2) { String::new() } else { self.random.pick(&dirs).to_string() };
        let dir = if dir.matches('/').count() > 2 { String::new() } else { dir };
        format!("{dir}/{}", self.random.pick(&["a", "b", "c", "d", "e", "f"]))
    }

    fn file(&mut self) -> Option<String> {
        let files: Vec<&String> = self.tree.names.iter().filter(|(_, n)| matches!(n, Node::File(_))).map(|(p, _)| p).collect();
        (!files.is_empty()).then(|| self.random.pick(&files).to_string())
    }

    fn at(&self, path: &str) -> (Ino, Name, Option<Ino>) {
        match self.fs().resolve(Ino::ROOT, path.as_bytes(), Last::Entry, &WHO).expect("a path") {
            Resolved::Found { parent, name, ino, .. } => (parent, name, Some(ino)),
            Resolved::Missing { parent, name, .. } => (parent, name, None),
            Resolved::Outside(_) => panic!("{path} leads outside"),
        }
    }

    fn ino(&self, path: &str) -> Ino {
        self.at(path).2.unwrap_or_else(|| panic!("{path} is missing"))
    }

    /// What came of a call that may find no space: whether it was done.
    fn done<T>(&mut self, what: &str, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(e) if self.tight && e.errno() == libc::ENOSPC => {
                self.full += 1;
                None
            }
            Err(e) => panic!("{what}: {e}"),
        }
    }

    /// One operation.
    pub fn act(&mut self) {
        let full = self.full;
        self.do_one();
        // On persistent memory what is committed is durable.
        if self.fs().pool.is_immediate() {
            self.floor = self.steps.len() - 1;
        }
        let findings = self.fs().check(false).expect("a check");
        assert!(findings.is_empty(), "{}\n{findings:?}", self.story[self.story.len().saturating_sub(30)..].join("\n"));
        if self.full > full {
            self.story.push("(there was no space)".to_owned());
            self.compare();
        }
    }

    fn do_one(&mut self) {
        match self.random.below(38) {
            0..=3 => self.create(),
            4..=8 => self.write(false),
            9..=11 => self.write(true),
            12 | 13 => self.truncate(),
            14 => self.punch(),
            15 | 16 => self.rename(),
            17 => self.link(),
            18 | 19 => self.unlink(),
            20 => self.copy(),
            21 => self.attributes(),
            22 | 36 => self.hold(),
            34 | 35 | 37 => self.write_back(),
            23..=27 => self.fsync(),
            28 | 29 => self.sync_all(),
            30 => self.checkpoint(),
            31 => self.settle(),
            32 if !self.calm && self.random.once_in(3) => self.restart(false),
            33 if !self.calm && self.random.once_in(3) => self.restart(true),
            _ => self.fsync_held(),
        }
    }

    fn create(&mut self) {
        let path = self.path();
        if self.tree.names.contains_key(&path) {
            return;
        }
        let (dir, name, _) = self.at(&path);
        self.tell(format!("create {path}"));
        match self.random.below(5) {
            0 => {
                let made = self.fs().mkdir(dir, &name, 0o755, &WHO);
                if self.done("mkdir", made).is_some() {
                    self.tree.names.insert(path, Node::Dir);
                }
            }
            1 => {
                let target = format!("to{}", self.random.below(100));
                let made = self.fs().symlink(dir, &name, target.as_bytes(), &WHO);
                if self.done("symlink", made).is_some() {
                    self.tree.names.insert(path, Node::Link(target));
                }
            }
            _ => {
                let made = self.fs().create(dir, &name, libc::S_IFREG | 0o644, 0, &WHO);
                if self.done("create", made).is_some() {
                    self.tree.create(&path, 0o644);
                }
            }
        }
        self.step();
    }

    /// Bytes that no other write writes.
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        self.serial += 1;
        let mut random = Random(u64::from(self.serial) ^ self.random.next());
        (0..len.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).take(len).collect()
    }

    fn len(&mut self) -> usize {
        let sizes: &[usize] = if self.tight { &[300, PAGE, 5 * PAGE, 20 * PAGE] } else { &[10, 300, PAGE, 2 * PAGE, 5 * PAGE, 20 * PAGE] };
        let most = *self.random.pick(sizes);
        let len = 1 + self.random.below(most);
        if self.random.once_in(3) { len.next_multiple_of(PAGE) } else { len }
    }

    fn write(&mut self, append: bool) {
        let Some(path) = self.file() else { return };
        let len = self.len();
        let data = self.bytes(len);
        let size = self.tree.file(&path).map_or(0, |f| f.live.len());
        let at = if append { size } else { self.random.below(size + PAGE) / if self.random.once_in(2) { PAGE } else { 1 } };
        self.tell(format!("write {path} at {at}, {len} bytes"));
        let flags = libc::O_WRONLY | if append { libc::O_APPEND } else { 0 };
        let id = self.fs().open_file(self.ino(&path), flags, BRIEFLY).expect("it opens");
        let written = self.write_some(id, &data, at);
        self.fs().release(BRIEFLY);
        if let Some(n) = self.done("write", written) {
            assert!(n > 0 && n <= len && (n == len || self.tight), "{n} of {len} bytes");
            self.full += (n < len) as usize;
            self.change(&path, |live| {
                live.resize(live.len().max(at + n), 0);
                live[at..at + n].copy_from_slice(&data[..n]);
            });
        }
    }

    #[expect(unsafe_code, reason = "Fs::write takes raw buffers")]
    fn write_some(&self, id: OpenId, data: &[u8], at: usize) -> Result<usize> {
        let vector = IoVec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
        // SAFETY: the vector describes `data`, which is only read.
        unsafe { self.fs().write(id, &[vector], Some(at as u64)) }
    }

    fn change(&mut self, path: &str, f: impl FnOnce(&mut Vec<u8>)) {
        let file = self.tree.file_mut(path).expect("a file");
        let mut live = (*file.live).clone();
        f(&mut live);
        file.live = Arc::new(live);
    }

    fn truncate(&mut self) {
        let Some(path) = self.file() else { return };
        let size = self.tree.file(&path).map_or(0, |f| f.live.len());
        let len = match self.random.below(4) {
            0 => 0,
            1 => self.random.below(size + 1) / PAGE * PAGE,
            2 => self.random.below(size + 1),
            _ => size + self.random.below(3 * PAGE),
        };
        self.tell(format!("truncate {path} from {size} to {len}"));
        let cut = self.fs().truncate(self.ino(&path), len as u64);
        if self.done("truncate", cut).is_some() {
            self.change(&path, |live| live.resize(len, 0));
        }
    }

    fn punch(&mut self) {
        let Some(path) = self.file() else { return };
        let size = self.tree.file(&path).map_or(0, |f| f.live.len());
        let (from, len) = (self.random.below(size + 1), 1 + self.random.below(2 * PAGE));
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        self.tell(format!("punch {path} at {from}, {len} bytes"));
        let punched = self.fs().allocate(self.ino(&path), mode, from as u64, len as u64);
        if self.done("punch", punched).is_some() {
            self.change(&path, |live| {
                let end = (from + len).min(live.len());
                live[from.min(end)..end].fill(0);
            });
        }
    }

    fn rename(&mut self) {
        let names: Vec<String> = self.tree.names.keys().cloned().collect();
        if names.is_empty() {
            return;
        }
        let from = self.random.pick(&names).clone();
        let to = self.path();
        let (source, target) = (&self.tree.names[&from], self.tree.names.get(&to));
        let into_itself = to.starts_with(&format!("{from}/")) || from.starts_with(&format!("{to}/"));
        let fits = match target {
            None => true,
            Some(Node::Dir) => *source == Node::Dir && self.tree.is_empty(&to),
            Some(_) => *source != Node::Dir,
        };
        if into_itself || !fits {
            return;
        }
        self.tell(format!("rename {from} to {to}"));
        let (a, b) = (self.at(&from), self.at(&to));
        let renamed = self.fs().rename((a.0, &a.1), (b.0, &b.1), 0, &WHO);
        if self.done("rename", renamed).is_some() {
            self.tree.rename(&from, &to);
            self.tree.bury(&self.holds());
        }
        self.step();
    }

    fn link(&mut self) {
        let (Some(from), to) = (self.file(), self.path()) else { return };
        if self.tree.names.contains_key(&to) {
            return;
        }
        self.tell(format!("link {from} as {to}"));
        let (dir, name, _) = self.at(&to);
        let linked = self.fs().link(self.ino(&from), dir, &name, &WHO);
        if self.done("link", linked).is_some() {
            let node = self.tree.names[&from].clone();
            self.tree.names.insert(to, node);
        }
        self.step();
    }

    pub fn unlink(&mut self) {
        let names: Vec<String> = self.tree.names.keys().cloned().collect();
        if names.is_empty() {
            return;
        }
        let path = self.random.pick(&names).clone();
        self.tell(format!("remove {path}"));
        let (dir, name, _) = self.at(&path);
        let removed = match self.tree.names[&path] {
            Node::Dir if !self.tree.is_empty(&path) => return,
            Node::Dir => self.fs().rmdir(dir, &name, &WHO),
            _ => self.fs().unlink(dir, &name, &WHO),
        };
        if self.done("unlink", removed).is_some() {
            self.tree.names.remove(&path);
            self.tree.bury(&self.holds());
        }
        self.step();
    }

    fn copy(&mut self) {
        let (Some(from), Some(to)) = (self.file(), self.file()) else { return };
        let content = self.tree.file(&from).map_or_else(Bytes::default, |f| f.live.clone());
        if content.is_empty() || self.tree.names[&from] == self.tree.names[&to] {
            return;
        }
        let at = self.random.below(3) * PAGE;
        self.tell(format!("copy {from} to {to} at {at}, {} bytes", content.len()));
        let copied = self.fs().copy_range(self.ino(&from), 0, self.ino(&to), at as u64, content.len() as u64);
        if let Some(n) = self.done("copy", copied) {
            let n = n as usize;
            assert!(n == content.len() || self.tight, "{n} of {} bytes", content.len());
            self.change(&to, |live| {
                live.resize(live.len().max(at + n), 0);
                live[at..at + n].copy_from_slice(&content[..n]);
            });
        }
    }

    fn attributes(&mut self) {
        let Some(path) = self.file() else { return };
        let ino = self.ino(&path);
        self.tell(format!("attributes of {path}"));
        if self.random.once_in(2) {
            let mode = 0o600 | self.random.below(0o200) as u32;
            let set = self.fs().set_attr(ino, &SetAttr { mode: Some(mode), ..Default::default() }, &WHO);
            if self.done("chmod", set).is_some() {
                self.tree.file_mut(&path).expect("a file").set_mode(mode);
            }
        } else {
            let value = self.random.below(200) as u8;
            let set = self.fs().set_xattr(ino, b"user.x", &[value; 60], 0, &WHO);
            if self.done("setxattr", set).is_some() {
                let file = self.tree.file_mut(&path).expect("a file");
                file.xattr = Some(value);
                file.was_logged();
            }
        }
        self.step();
    }
}
