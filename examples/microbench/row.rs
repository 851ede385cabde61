//! What is measured: one kind of operation with its parameters.

use clap::{Args, ValueEnum};
use std::collections::BTreeMap;

/// A kind of operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Io {
    /// Read from a warm file.
    Read,
    /// Write over what is there.
    Overwrite,
    /// Write a buffer that a read filled and nobody changed over what is there.
    Pristine,
    /// Copy over what is there, in a shared mapping of the file.
    Store,
    /// Write at the end, with O_APPEND.
    Append,
    /// Read, then write the same place.
    Rw,
    /// Open and close an existing file.
    Open,
    /// Look up an existing file.
    Stat,
    /// Make a new file and close it.
    Create,
    /// Remove an empty file.
    Unlink,
    /// Give a file another name in its directory.
    Rename,
    /// List a directory of 10,000 names.
    Readdir,
    /// Look up all files of a tree of 10,000.
    StatTree,
    /// Remove a tree of 1,000 empty files.
    RemoveTree,
    /// Copy a file with the real cp.
    Cp,
    /// Start `true` and wait for its end.
    True,
}

/// The order of offsets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Pattern {
    /// One after the other, by `read` and `write`.
    Sequential,
    /// Anywhere, by `pread` and `pwrite`.
    Random,
}

/// Where the program's buffer comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Source {
    /// One buffer, aligned to 2 MiB, all of it touched before.
    Warm,
    /// New memory for every operation.
    Fresh,
    /// In turn buffers of 256 MiB in all, touched before, but no longer in the processor's caches.
    Cold,
}

/// What the program does with the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Touch {
    /// Nothing.
    None,
    /// One byte of each page.
    Page,
    /// All of them.
    All,
}

/// One row of the table.
#[derive(Args, Clone, Debug)]
pub struct Row {
    #[arg(long)]
    pub io: Io,
    /// Bytes of one operation.
    #[arg(long)]
    pub size: usize,
    #[arg(long, default_value = "sequential")]
    pub pattern: Pattern,
    #[arg(long, default_value = "warm")]
    pub buffer: Source,
    #[arg(long, default_value = "none")]
    pub touch: Touch,
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    #[arg(long, default_value_t = 1)]
    pub processes: usize,
    /// Another thread of the process computes all the time.
    #[arg(long)]
    pub busy: bool,
    #[arg(long)]
    pub fsync: bool,
}

fn word(value: impl ValueEnum) -> String {
    value.to_possible_value().expect("no value is hidden").get_name().to_owned()
}

impl Row {
    /// A row with the usual parameters.
    pub fn new(io: Io, size: usize) -> Row {
        let (pattern, buffer, touch) = (Pattern::Sequential, Source::Warm, Touch::None);
        Row { io, size, pattern, buffer, touch, threads: 1, processes: 1, busy: false, fsync: false }
    }

    /// The options that make a worker measure this row.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            format!("--io={}", word(self.io)),
            format!("--size={}", self.size),
            format!("--pattern={}", word(self.pattern)),
            format!("--buffer={}", word(self.buffer)),
            format!("--touch={}", word(self.touch)),
            format!("--threads={}", self.threads),
        ];
        arguments.extend(self.busy.then(|| "--busy".to_owned()));
        arguments.extend(self.fsync.then(|| "--fsync".to_owned()));
        arguments
    }

    /// The same for charts, by name.
    pub fn parameters(&self) -> BTreeMap<String, String> {
        let pairs = [
            ("io", word(self.io)),
            ("bytes", self.size.to_string()),
            ("pattern", word(self.pattern)),
            ("buffer", word(self.buffer)),
            ("touch", word(self.touch)),
            ("threads", self.threads.to_string()),
            ("processes", self.processes.to_string()),
            ("busy", self.busy.to_string()),
            ("fsync", self.fsync.to_string()),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Whether it is one operation on bytes of a file, in the worker itself.
    pub fn is_transfer(&self) -> bool {
        matches!(self.io, Io::Read | Io::Overwrite | Io::Pristine | Io::Store | Io::Append | Io::Rw)
    }

    /// Whether bytes are moved, so that a rate makes sense.
    pub fn moves_bytes(&self) -> bool {
        self.is_transfer() || self.io == Io::Cp
    }

    /// Its name in tables.
    pub fn name(&self) -> String {
        let mut name = word(self.io);
        if self.moves_bytes() {
            name += &format!(" {}", human(self.size));
        }
        if self.is_transfer() {
            if self.pattern == Pattern::Random && self.io != Io::Append {
                name += " random";
            }
            if self.buffer != Source::Warm {
                name += &format!(" {}", word(self.buffer));
            }
            if self.touch != Touch::None {
                name += &format!(" touch-{}", word(self.touch));
            }
        }
        if self.fsync {
            name += " fsync";
        }
        if self.threads > 1 {
            name += &format!(" x{} threads", self.threads);
        }
        if self.processes > 1 {
            name += &format!(" x{} processes", self.processes);
        }
        if self.busy {
            name += " beside a busy thread";
        }
        name
    }
}

/// `4 KiB` and the like.
fn human(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}
