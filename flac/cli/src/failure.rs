//! Failures: one line for people, and the exit status.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

/// What a subcommand ends with.
pub type Outcome = Result<ExitCode, Failure>;

/// Why a subcommand could not do its work.
#[derive(Debug)]
pub struct Failure {
    /// `cause; cure`, without a line end.
    pub message: String,
    /// The exit status.
    pub status: u8,
    /// The pool's files are damaged.
    pub damaged: bool,
}

impl Failure {
    /// A failure with exit status 1.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), status: 1, damaged: false }
    }

    /// The same failure with another exit status.
    pub fn with_status(mut self, status: u8) -> Self {
        self.status = status;
        self
    }

    /// A failed system call on `path`.
    pub fn on(path: &Path, error: impl fmt::Display) -> Self {
        Self::new(format!("{}: {error}", path.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One line, whatever is in a file's name.
        self.message.chars().try_for_each(|c| if c.is_control() { write!(f, "{}", c.escape_default()) } else { write!(f, "{c}") })
    }
}

impl From<flac::Error> for Failure {
    fn from(error: flac::Error) -> Self {
        Self { damaged: matches!(error, flac::Error::Corrupt(_)), ..Self::new(error.to_string()) }
    }
}
