//! Whole programs: the real `cp`, and `true`.

use super::Work;
use super::data;
use crate::options::Task;
use crate::row::Io;
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A program that is started over and over.
pub struct Programs {
    io: Io,
    source: PathBuf,
    target: PathBuf,
    variables: Vec<(String, String)>,
}

impl Programs {
    /// Makes the file that `cp` copies.
    pub fn new(task: &Task) -> Result<Programs, String> {
        let split = |text: &String| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        let programs = Programs {
            io: task.row.io,
            source: task.dir.join("source"),
            target: task.dir.join("target"),
            variables: task.child_env.iter().filter_map(split).collect(),
        };
        if programs.io == Io::Cp {
            programs.write_source(task.row.size).map_err(|error| error.to_string())?;
        }
        Ok(programs)
    }

    fn write_source(&self, size: usize) -> std::io::Result<()> {
        let mut file = File::create(&self.source)?;
        let mut chunk = vec![0; 1 << 20];
        for offset in (0..size).step_by(1 << 20) {
            let length = (size - offset).min(1 << 20);
            data::fill(&mut chunk[..length], offset as u64, 0);
            file.write_all(&chunk[..length])?;
        }
        Ok(())
    }

    fn run_once(&self) -> Result<Duration, String> {
        let mut command = Command::new(if self.io == Io::Cp { "cp" } else { "true" });
        if self.io == Io::Cp {
            command.arg(&self.source).arg(&self.target);
        }
        command.envs(self.variables.iter().cloned()).stdin(Stdio::null());
        let start = Instant::now();
        let status = command.status().map_err(|error| error.to_string())?;
        let time = start.elapsed();
        if status.success() { Ok(time) } else { Err(format!("{command:?}: {status}")) }
    }

    /// Whether a program that gets `FLAC_ROOT` sees something else there than the kernel's directory.
    fn check_served(&self) -> Result<(), String> {
        let Some((_, root)) = self.variables.iter().find(|(name, _)| name == "FLAC_ROOT") else {
            return Ok(());
        };
        let mut command = Command::new("stat");
        command.args(["-c", "%d:%i", root]).envs(self.variables.iter().cloned()).stdin(Stdio::null());
        let output = command.output().map_err(|error| error.to_string())?;
        let kernel = flac_harness::identity(root.as_ref());
        if String::from_utf8_lossy(&output.stdout).trim() == kernel {
            return Err("the shim does not serve FLAC_ROOT".to_owned());
        }
        Ok(())
    }

    fn clean(&self) -> Result<(), String> {
        if self.io != Io::Cp {
            return Ok(());
        }
        std::fs::remove_file(&self.target).map_err(|error| error.to_string())
    }

    fn compare(&self) -> std::io::Result<Result<(), String>> {
        let mut file = File::open(&self.target)?;
        let mut chunk = vec![0; 1 << 20];
        let mut offset = 0;
        loop {
            match file.read(&mut chunk)? {
                0 if offset == self.source.metadata()?.len() => return Ok(Ok(())),
                0 => return Ok(Err(format!("the copy ends at {offset}"))),
                length => {
                    if let Err(message) = data::check(&chunk[..length], offset, 0) {
                        return Ok(Err(message));
                    }
                    offset += length as u64;
                }
            }
        }
    }
}

impl Work for Programs {
    fn round(&mut self, budget: Duration) -> Result<f64, String> {
        let (mut operations, mut time) = (0_u32, Duration::ZERO);
        while time < budget {
            time += self.run_once()?;
            operations += 1;
            self.clean()?;
        }
        Ok(time.as_nanos() as f64 / f64::from(operations))
    }

    fn verify(&mut self) -> Result<(), String> {
        self.check_served()?;
        self.run_once()?;
        if self.io == Io::Cp {
            self.compare().map_err(|error| error.to_string())??;
        }
        self.clean()
    }
}
