//! A pool of its own for a test.

use crate::config::Config;
use crate::fs::Fs;
use crate::fs::attr::{Creds, SetAttr};
use crate::media::{Pool, PoolOptions};
use crate::units::Ino;
use std::fs::Permissions;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Somebody who may do everything here: root, or the user who runs the tests.
pub fn owner() -> Creds<'static> {
    Creds { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw(), groups: &[], umask: 0 }
}

/// A directory that goes with the value.
pub struct TempDir(pub PathBuf);

impl TempDir {
    /// A new directory in `parent`.
    pub fn new(parent: &Path) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = parent.join(format!("flac-names-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        open_up(&self.0);
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Tests leave directories of all modes, which who is not root can't empty.
fn open_up(dir: &Path) {
    let _ = std::fs::set_permissions(dir, Permissions::from_mode(0o700));
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

/// A tree in a pool that goes with the value. Its root directory has mode 0777.
pub struct Tree {
    fs: Fs,
    _pool: TempDir,
}

impl Tree {
    /// An empty tree that programs see at `root`.
    pub fn new(root: &str) -> Self {
        let pool = TempDir::new(&std::env::temp_dir());
        let dir = pool.0.join("pool");
        Pool::create(&dir, &PoolOptions { size: 64 << 20, ..Default::default() }).unwrap();
        let config = Config { root: Some(root.into()), dram: Some(64 << 20), ..Config::new(dir) };
        let fs = Fs::open(&config).unwrap();
        fs.set_attr(Ino::ROOT, &SetAttr { mode: Some(0o777), ..Default::default() }, &owner()).unwrap();
        Self { fs, _pool: pool }
    }
}

impl Deref for Tree {
    type Target = Fs;
    fn deref(&self) -> &Fs {
        &self.fs
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let run = self.fs.run_dir().to_path_buf();
        self.fs.exit();
        if run.file_name().is_some() {
            if let Ok(tier) = std::fs::read_link(run.join("dram")) {
                let _ = std::fs::remove_file(tier);
            }
            let _ = std::fs::remove_dir_all(run);
        }
    }
}
