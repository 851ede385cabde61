//! One system's directory: how words become commands there.

use flac_harness::{System, sibling};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where an application runs.
pub struct Place {
    pub system: System,
    pub directory: PathBuf,
    pub variables: Vec<(&'static str, String)>,
    pub python: PathBuf,
}

impl Place {
    /// The path of a name here.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The command of these words, not started yet.
    pub fn command(&self, words: &[String]) -> Command {
        let mut command = self.program(&words[0]);
        for word in &words[1..] {
            match word.split_once('@') {
                Some((before, name)) => command.arg(format!("{before}{}", self.path(name).display())),
                None => command.arg(word),
            };
        }
        command
    }

    fn program(&self, name: &str) -> Command {
        let mut command = match name {
            "PYTHON" => Command::new(&self.python),
            "BIGSORT" => Command::new(sibling("bigsort")),
            "CHECKPOINT" => Command::new(sibling("checkpoint")),
            program => Command::new(program),
        };
        command.envs(self.variables.iter().map(|(name, value)| (name, value))).env("LC_ALL", "C").env("TZ", "UTC");
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("PYTHONDONTWRITEBYTECODE", "1");
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command that is not timed: what it printed.
    pub fn run(&self, words: &[String]) -> Result<String, String> {
        said_by(self.command(words)).map_err(|message| format!("{}: {message}", words.join(" ")))
    }

    /// Runs a script with bash, in this directory.
    pub fn script(&self, text: &str) -> Result<String, String> {
        let mut command = self.program("bash");
        command.arg("-c").arg(format!("set -euo pipefail; cd '{}'; {text}", self.directory.display()));
        said_by(command).map_err(|message| format!("{text}: {message}"))
    }
}

fn said_by(mut command: Command) -> Result<String, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { Ok(text) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}
