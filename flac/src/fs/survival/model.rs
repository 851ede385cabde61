//! What the tree must be: names and content, now and as of the last flush of each file.

use std::collections::BTreeMap;
use std::sync::Arc;

pub type Bytes = Arc<Vec<u8>>;

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    Dir,
    Link(String),
    File(usize),
}

/// A regular file.
#[derive(Debug, Clone)]
pub struct File {
    /// Its content to programs.
    pub live: Bytes,
    /// The content that the log knows: one of these (several after a flush that failed in the midst of many).
    pub flushed: Vec<Bytes>,
    pub mode: u32,
    /// The mode that the log knows: one of these.
    pub logged: Vec<u32>,
    pub xattr: Option<u8>,
}

impl File {
    pub fn new(content: Bytes, mode: u32, xattr: Option<u8>) -> Self {
        File { live: content.clone(), flushed: vec![content], mode, logged: vec![mode], xattr }
    }

    /// The mode was set. While the pool has nothing of its content, the log may hear of it with that alone.
    pub fn set_mode(&mut self, mode: u32) {
        self.mode = mode;
        if self.flushed.iter().all(|content| content.iter().any(|byte| *byte != 0)) {
            self.logged.clear();
        }
        self.logged.push(mode);
    }

    /// There is a record of it.
    pub fn was_logged(&mut self) {
        self.logged = vec![self.mode];
    }
}

/// The tree as programs see it. Paths begin with a slash; the root is not among them.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    pub names: BTreeMap<String, Node>,
    pub files: BTreeMap<usize, File>,
    pub next: usize,
}

/// A file as a power cut may leave it: any of the contents.
#[derive(Debug, Clone)]
pub struct Left {
    pub contents: Vec<Bytes>,
    pub modes: Vec<u32>,
    pub xattr: Option<u8>,
}

/// What a power cut between two records may leave.
#[derive(Debug, Clone)]
pub struct Step {
    pub names: BTreeMap<String, Node>,
    pub files: BTreeMap<usize, Left>,
}

impl Tree {
    pub fn file(&self, path: &str) -> Option<&File> {
        match self.names.get(path) {
            Some(Node::File(id)) => self.files.get(id),
            _ => None,
        }
    }

    pub fn file_mut(&mut self, path: &str) -> Option<&mut File> {
        match self.names.get(path) {
            Some(Node::File(id)) => self.files.get_mut(id),
            _ => None,
        }
    }

    /// Makes an empty file.
    pub fn create(&mut self, path: &str, mode: u32) {
        let empty = Bytes::default();
        self.files.insert(self.next, File::new(empty, mode, None));
        self.names.insert(path.to_owned(), Node::File(self.next));
        self.next += 1;
    }

    /// Moves a name and all below it.
    pub fn rename(&mut self, from: &str, to: &str) {
        if from == to || self.names.get(from) == self.names.get(to) && matches!(self.names.get(from), Some(Node::File(_))) {
            return;
        }
        self.names.remove(to);
        self.file_mut(from).into_iter().for_each(File::was_logged);
        let below = format!("{from}/");
        let moved: Vec<String> = self.names.keys().filter(|p| *p == from || p.starts_with(&below)).cloned().collect();
        for path in moved {
            if let Some(node) = self.names.remove(&path) {
                self.names.insert(format!("{to}{}", &path[from.len()..]), node);
            }
        }
    }

    /// Whether the directory has no entry.
    pub fn is_empty(&self, dir: &str) -> bool {
        let below = format!("{dir}/");
        !self.names.keys().any(|p| p.starts_with(&below))
    }

    /// Forgets the files that have no name and are not among `held`.
    pub fn bury(&mut self, held: &[usize]) {
        let named: Vec<usize> = self.names.values().filter_map(|node| if let Node::File(id) = node { Some(*id) } else { None }).collect();
        self.files.retain(|id, _| named.contains(id) || held.contains(id));
    }

    /// The file was flushed, or perhaps.
    pub fn flushed(&mut self, id: usize, surely: bool) {
        if let Some(file) = self.files.get_mut(&id) {
            if surely {
                file.flushed.clear();
                file.logged.clear();
            }
            file.flushed.push(file.live.clone());
            file.logged.push(file.mode);
        }
    }

    /// What a power cut leaves now; `flushing`: some files may have been flushed already.
    pub fn step(&self, flushing: bool) -> Step {
        let left = |file: &File| {
            let mut contents = file.flushed.clone();
            contents.extend(flushing.then(|| file.live.clone()));
            let mut modes = file.logged.clone();
            modes.extend(flushing.then_some(file.mode));
            Left { contents, modes, xattr: file.xattr }
        };
        Step { names: self.names.clone(), files: self.files.iter().map(|(id, file)| (*id, left(file))).collect() }
    }
}
