//! What is done on both sides, and what comes of it.

/// Who does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub umask: u32,
}

/// A path from the root of the tree, or from what is held at an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    pub base: Option<usize>,
    pub path: String,
}

/// A path from the root of the tree.
pub fn at(path: &str) -> At {
    At { base: None, path: path.to_owned() }
}

/// A time to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    Now,
    Omit,
    At(i64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    Mkdir(At, u32),
    /// Path, mode with type, device.
    Mknod(At, u32, u64),
    /// Target, path.
    Symlink(String, At),
    /// From, to, whether a link is followed.
    Link(At, At, bool),
    Unlink(At),
    Rmdir(At),
    Rename(At, At, u32),
    Chmod(At, u32),
    /// Owner and group; whether a link is followed.
    Chown(At, Option<u32>, Option<u32>, bool),
    Utimes(At, Stamp, Stamp),
    Stat(At),
    Lstat(At),
    Readlink(At),
    Access(At, i32),
    List(At),
    /// Opens with `O_PATH` and holds it at the index.
    Hold(usize, At),
    /// Makes a file without a name in a directory and holds it.
    Tmpfile(usize, At, u32),
    /// Gives what is held a name.
    LinkHeld(usize, At),
    StatHeld(usize),
    SetXattr(At, String, String, i32),
    GetXattr(At, String),
    ListXattr(At),
    RemoveXattr(At, String),
}

/// What `stat` tells, but for times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub nlink: u64,
    pub size: u64,
    pub rdev: u64,
    /// Differs between the sides; the same for the same inode.
    pub ino: Number,
    pub times: [(i64, u32); 3],
}

/// An inode number: equal to all others, since the sides number differently. The tree comparison looks at it apart.
#[derive(Debug, Clone, Copy)]
pub struct Number(pub u64);

impl PartialEq for Number {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for Number {}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Nothing,
    Stat(Stat),
    Bytes(Vec<u8>),
    /// Name and `DT_*` type, sorted by name.
    List(Vec<(Vec<u8>, u8)>),
}

/// The value, or an errno.
pub type Outcome = Result<Value, i32>;

impl Stat {
    /// Without times, which the random test does not compare.
    pub fn timeless(mut self) -> Self {
        self.times = [(0, 0); 3];
        self
    }
}
