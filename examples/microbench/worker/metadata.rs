//! Operations on names.

use super::Work;
use crate::options::Task;
use crate::row::Io;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Names in one directory.
pub struct Names {
    io: Io,
    dir: PathBuf,
    names: Vec<PathBuf>,
}

impl Names {
    /// Makes a directory with the files that the operation needs.
    pub fn new(task: &Task) -> Result<Names, String> {
        let count = if task.small { 50 } else { 500 };
        let names: Vec<PathBuf> = (0..count).map(|number| task.dir.join(format!("name-{number}"))).collect();
        let names = Names { io: task.row.io, dir: task.dir.clone(), names };
        if names.io != Io::Create {
            names.create_all()?;
        }
        Ok(names)
    }

    fn create_all(&self) -> Result<(), String> {
        self.names.iter().try_for_each(|name| File::create(name).map(drop)).map_err(|error| error.to_string())
    }

    fn remove_all(&self) -> Result<(), String> {
        self.names.iter().try_for_each(std::fs::remove_file).map_err(|error| error.to_string())
    }

    fn all(&self) -> Result<(), String> {
        let text = |error: std::io::Error| error.to_string();
        match self.io {
            Io::Open => self.names.iter().try_for_each(|name| File::open(name).map(drop)).map_err(text),
            Io::Stat => self.names.iter().try_for_each(|name| name.metadata().map(drop)).map_err(text),
            Io::Unlink => self.remove_all(),
            Io::Rename => self.names.iter().try_for_each(|name| std::fs::rename(name, renamed(name))).map_err(text),
            _ => self.create_all(),
        }
    }

    /// What undoes `all`, so that it can be done again.
    fn undo(&self) -> Result<(), String> {
        match self.io {
            Io::Create => self.remove_all(),
            Io::Unlink => self.create_all(),
            Io::Rename => self.names.iter().try_for_each(|name| std::fs::rename(renamed(name), name)).map_err(|error| error.to_string()),
            _ => Ok(()),
        }
    }

    fn present(&self) -> Result<usize, String> {
        std::fs::read_dir(&self.dir).map(Iterator::count).map_err(|error| error.to_string())
    }
}

fn renamed(name: &Path) -> PathBuf {
    name.with_extension("renamed")
}

impl Work for Names {
    fn round(&mut self, budget: Duration) -> Result<f64, String> {
        let (mut operations, mut time) = (0, Duration::ZERO);
        while time < budget {
            let start = Instant::now();
            self.all()?;
            time += start.elapsed();
            operations += self.names.len();
            self.undo()?;
        }
        Ok(time.as_nanos() as f64 / operations as f64)
    }

    fn verify(&mut self) -> Result<(), String> {
        self.all()?;
        let expected = if self.io == Io::Unlink { 0 } else { self.names.len() };
        let present = self.present()?;
        if self.io == Io::Rename && !self.names.iter().all(|name| renamed(name).exists() && !name.exists()) {
            return Err("a name is not the new one".to_owned());
        }
        self.undo()?;
        if present == expected { Ok(()) } else { Err(format!("{present} names instead of {expected}")) }
    }
}
