//! Operations on many names at once.

use super::Work;
use crate::options::Task;
use crate::row::Io;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A directory with 10,000 files, or a tree of as many; of 1,000 if it is to be removed.
pub struct Tree {
    io: Io,
    top: PathBuf,
    files: usize,
}

const IN_A_DIRECTORY: usize = 100;

impl Tree {
    /// Makes it.
    pub fn new(task: &Task) -> Result<Tree, String> {
        let files = match task.row.io {
            _ if task.small => 300,
            Io::RemoveTree => 1000,
            _ => 10_000,
        };
        let tree = Tree { io: task.row.io, top: task.dir.join("top"), files };
        tree.make().map_err(|error| error.to_string())?;
        Ok(tree)
    }

    fn make(&self) -> std::io::Result<()> {
        std::fs::create_dir(&self.top)?;
        for file in 0..self.files {
            let mut path = self.top.clone();
            if self.io != Io::Readdir {
                path.push(format!("directory-{}", file / IN_A_DIRECTORY));
                if file % IN_A_DIRECTORY == 0 {
                    std::fs::create_dir(&path)?;
                }
            }
            File::create(path.join(format!("file-{file}")))?;
        }
        Ok(())
    }

    /// The operation: how many files it found or removed.
    fn operate(&self) -> std::io::Result<usize> {
        match self.io {
            Io::Readdir => std::fs::read_dir(&self.top)?.try_fold(0, |count, entry| entry.map(|_| count + 1)),
            Io::StatTree => stat_all(&self.top),
            _ => std::fs::remove_dir_all(&self.top).map(|()| self.files),
        }
    }

    fn undo(&self) -> std::io::Result<()> {
        if self.io == Io::RemoveTree { self.make() } else { Ok(()) }
    }
}

/// Looks up all below a directory: how many files there are.
fn stat_all(directory: &Path) -> std::io::Result<usize> {
    let mut files = 0;
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        files += if path.symlink_metadata()?.is_dir() { stat_all(&path)? } else { 1 };
    }
    Ok(files)
}

impl Work for Tree {
    fn round(&mut self, budget: Duration) -> Result<f64, String> {
        let (mut operations, mut time) = (0_u32, Duration::ZERO);
        while time < budget {
            let start = Instant::now();
            self.operate().map_err(|error| error.to_string())?;
            time += start.elapsed();
            operations += 1;
            self.undo().map_err(|error| error.to_string())?;
        }
        Ok(time.as_nanos() as f64 / f64::from(operations))
    }

    fn verify(&mut self) -> Result<(), String> {
        let found = self.operate().map_err(|error| error.to_string())?;
        if self.io == Io::RemoveTree && self.top.exists() {
            return Err("the tree is still there".to_owned());
        }
        self.undo().map_err(|error| error.to_string())?;
        if found == self.files { Ok(()) } else { Err(format!("{found} files instead of {}", self.files)) }
    }
}
