//! What is measured: one kind of operation with its parameters.

use clap::{Args, ValueEnum};

/// A kind of operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Io {
    /// Read from a warm file.
    Read,
    /// Write over what is there.
    Overwrite,
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
        Row { io, size, pattern, buffer, touch, threads: 1, fsync: false }
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
        if self.fsync {
            arguments.push("--fsync".to_owned());
        }
        arguments
    }

    /// Whether bytes are moved, so that a rate makes sense.
    pub fn moves_bytes(&self) -> bool {
        matches!(self.io, Io::Read | Io::Overwrite | Io::Append | Io::Rw | Io::Cp)
    }

    /// Its name in tables.
    pub fn name(&self) -> String {
        let mut name = word(self.io);
        if self.moves_bytes() {
            name += &format!(" {}", human(self.size));
        }
        if self.moves_bytes() && self.io != Io::Cp {
            if self.pattern == Pattern::Random && self.io != Io::Append {
                name += " random";
            }
            if self.buffer == Source::Fresh {
                name += " fresh";
            }
            if self.touch != Touch::None {
                name += &format!(" touch-{}", word(self.touch));
            }
        }
        if self.fsync {
            name += " fsync";
        }
        if self.threads > 1 {
            name += &format!(" x{}", self.threads);
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
