//! What a row is made of.

use crate::inputs::Input;
use flac_harness::Target;

/// A program, what it works on, and what it must have made.
///
/// In the words of a command `@name` stands for that name in the directory of the system under test, and a first word in capitals for a program
/// that is looked for.
#[derive(Clone)]
pub struct App {
    /// The row.
    pub name: String,
    /// Programs that must be there.
    pub needs: &'static [&'static str],
    /// Files that are there before.
    pub inputs: &'static [Input],
    /// Not timed, before each round.
    pub before: Vec<Vec<String>>,
    /// Timed, one after the other.
    pub steps: Vec<Vec<String>>,
    /// What becomes of standard output.
    pub output: Output,
    /// What is compared.
    pub proof: Proof,
    /// What a durable system has to write back.
    pub durable: Durable,
    /// Whether each round is the first after a boot.
    pub cold: bool,
    /// What the program says that it took, in place of the clock; what it prints is no result then.
    pub said: Option<fn(&str) -> Option<f64>>,
    /// Names in a tree that it makes or needs: a tmpfs with huge pages spends 2 MiB on each.
    pub files: u64,
    /// What FLAC should reach.
    pub targets: Vec<Target>,
}

/// Where standard output goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// To a file in memory, on no system under test.
    Memory,
    /// Through a pipe to a reader that counts.
    Pipe,
}

/// What has to be written back, when it shall last.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    /// Nothing is written, or nobody wants it.
    Nothing,
    /// A file, by fsync.
    File(&'static str),
    /// All files, by syncfs.
    Everything,
    /// The program calls fsync itself: only the durable systems take part.
    Itself,
}

/// What must be the same on all systems.
#[derive(Clone)]
pub enum Proof {
    /// What the program printed.
    Printed,
    /// The lines it printed, in whatever order.
    Lines,
    /// That, and the bytes of a file.
    File(&'static str),
    /// That, and names, modes, sizes, times and bytes of a tree.
    Tree(&'static str),
    /// That, and what a command prints.
    Said(Vec<String>),
    /// That, and the absence of a name.
    Gone(&'static str),
}
