//! Reading a whole tree back through the file system, and comparing it with the model.

use super::model::{Bytes, File, Node, Step, Tree};
use crate::error::{Error, Result};
use crate::fs::Fs;
use crate::fs::attr::Creds;
use crate::units::Ino;
use std::collections::BTreeMap;
use std::sync::Arc;

pub const WHO: Creds<'static> = Creds { uid: 0, gid: 0, groups: &[], umask: 0 };
/// Where files are held while they are read.
const HOLD: usize = 40;

/// What is at a path.
#[derive(Debug, Clone)]
pub enum Seen {
    Dir,
    Link(String),
    File { ino: Ino, nlink: u32, mode: u32, xattr: Option<u8>, content: Result<Bytes> },
}

pub type Sight = BTreeMap<String, Seen>;

/// Everything in the tree.
///
/// # Errors
/// Whatever the file system says about anything but the content of files.
pub fn look(fs: &Fs) -> Result<Sight> {
    let mut sight = Sight::new();
    let mut dirs = vec![(Ino::ROOT, String::new())];
    while let Some((dir, path)) = dirs.pop() {
        // A circle of directories would go on for ever.
        if path.len() > 200 || sight.len() > 5000 {
            return Err(Error::Corrupt("a circle of directories".into()));
        }
        for (ino, _, name) in fs.list_dir(dir)?.iter().skip(2) {
            let path = format!("{path}/{}", name.escape_ascii());
            let attr = fs.attr(ino)?;
            let seen = match attr.kind() {
                libc::S_IFDIR => {
                    dirs.push((ino, path.clone()));
                    Seen::Dir
                }
                libc::S_IFLNK => Seen::Link(String::from_utf8_lossy(&fs.readlink(ino)?).into_owned()),
                _ => Seen::File {
                    ino,
                    nlink: attr.nlink,
                    mode: attr.mode & 0o7777,
                    xattr: fs.xattr(ino, b"user.x").ok().and_then(|value| value.first().copied()),
                    content: content(fs, ino, attr.size),
                },
            };
            sight.insert(path, seen);
        }
    }
    Ok(sight)
}

/// The file's content, of which no byte is believed that the file system refuses to read.
pub fn content(fs: &Fs, ino: Ino, size: u64) -> Result<Bytes> {
    if size > 64 << 20 {
        return Err(Error::Corrupt(format!("a size of {size}")));
    }
    let id = fs.open_file(ino, libc::O_RDONLY | libc::O_NOATIME, HOLD)?;
    let mut bytes = vec![0xA5; size as usize + 1];
    let read = fs.read_bytes(id, &mut bytes, 0);
    fs.release(HOLD);
    bytes.truncate(read?);
    Ok(Arc::new(bytes))
}

/// Whether the tree is what `step` allows. A file that can't be read is right only if `damaged`.
pub fn fits(sight: &Sight, step: &Step, damaged: bool) -> std::result::Result<(), String> {
    if !sight.keys().eq(step.names.keys()) {
        return Err(format!("names {:?} instead of {:?}", sight.keys(), step.names.keys()));
    }
    let mut inos = BTreeMap::new();
    for ((path, seen), node) in sight.iter().zip(step.names.values()) {
        match (seen, node) {
            (Seen::Dir, Node::Dir) => {}
            (Seen::Link(target), Node::Link(expected)) if target == expected => {}
            (Seen::File { ino, nlink, mode, xattr, content }, Node::File(id)) => {
                let left = &step.files[id];
                let links = step.names.values().filter(|n| *n == node).count();
                if *inos.entry(*id).or_insert(*ino) != *ino || *nlink as usize != links {
                    return Err(format!("{path}: is another file, or has {nlink} links instead of {links}"));
                }
                if !left.modes.contains(mode) || *xattr != left.xattr {
                    return Err(format!("{path}: mode {mode} and attribute {xattr:?} instead of {:?} and {:?}", left.modes, left.xattr));
                }
                match content {
                    Ok(bytes) if left.contents.contains(bytes) => {}
                    Err(_) if damaged => {}
                    Ok(bytes) => return Err(format!("{path}: {}", difference(bytes, &left.contents))),
                    Err(e) => return Err(format!("{path}: {e}")),
                }
            }
            _ => return Err(format!("{path}: {seen:?} instead of {node:?}")),
        }
    }
    let mut distinct: Vec<Ino> = inos.values().copied().collect();
    distinct.sort();
    distinct.dedup();
    if distinct.len() == inos.len() { Ok(()) } else { Err("two files have become one".into()) }
}

fn difference(bytes: &[u8], contents: &[Bytes]) -> String {
    let one = |other: &Bytes| match bytes.iter().zip(other.iter()).position(|(a, b)| a != b) {
        Some(at) => format!("{} bytes, differs from one of {} at {at}: {:#x} for {:#x}", bytes.len(), other.len(), bytes[at], other[at]),
        None => format!("{} bytes instead of {}", bytes.len(), other.len()),
    };
    contents.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// The model of what was seen, to go on from. Only for a tree that can be read.
pub fn adopt(sight: &Sight) -> Tree {
    let mut tree = Tree::default();
    let mut ids: BTreeMap<Ino, usize> = BTreeMap::new();
    for (path, seen) in sight {
        let node = match seen {
            Seen::Dir => Node::Dir,
            Seen::Link(target) => Node::Link(target.clone()),
            Seen::File { ino, mode, xattr, content, .. } => {
                let id = *ids.entry(*ino).or_insert(tree.next);
                if id == tree.next {
                    let content = content.clone().unwrap_or_default();
                    tree.files.insert(id, File::new(content, *mode, *xattr));
                    tree.next += 1;
                }
                Node::File(id)
            }
        };
        tree.names.insert(path.clone(), node);
    }
    tree
}
