//! Files that programs work on: made once in memory, from fixed seeds, then copied to each system when a program needs them.

use crate::place::Place;
use flac_harness::Arena;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// One of them; its name on each system is that of `name`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Input {
    /// 500 MB that no compressor shortens.
    Big,
    /// 220 MB of lines of words.
    Text,
    /// 50 MB of them.
    ShortText,
    /// 12,000 files of 200 MB in all, in 240 directories.
    Tree,
    /// The same as a tar archive.
    Archive,
    /// An archive of 10,000 files of 2 KB, in 100 directories.
    SmallArchive,
    /// A git repository with those files.
    Repository,
    /// SQL that makes a table of 200,000 rows with an index, 1,000 rows a transaction.
    Inserts,
    /// The same as a database.
    Database,
    /// 134,217,728 integers of 4 bytes.
    Integers,
}

impl Input {
    /// Its name in a system's directory.
    pub fn name(self) -> &'static str {
        match self {
            Input::Big => "big",
            Input::Text => "text",
            Input::ShortText => "short",
            Input::Tree => "tree",
            Input::Archive => "tree.tar",
            Input::SmallArchive => "small.tar",
            Input::Repository => "repository",
            Input::Inserts => "inserts.sql",
            Input::Database => "items.db",
            Input::Integers => "integers",
        }
    }
}

/// The makers of inputs.
pub struct Inputs {
    seeds: PathBuf,
    percent: u64,
    made: Mutex<BTreeSet<Input>>,
}

impl Inputs {
    /// Nothing is made yet.
    pub fn new(arena: &Arena, percent: u64) -> Result<Inputs, String> {
        let seeds = arena.scratch().join("seeds");
        std::fs::create_dir(&seeds).map_err(|error| format!("{}: {error}", seeds.display()))?;
        Ok(Inputs { seeds, percent, made: Mutex::default() })
    }

    /// Puts an input into a system's directory, where it is not there yet.
    pub fn place(&self, input: Input, place: &Place) -> Result<(), String> {
        let name = input.name();
        if place.script(&format!("test -e {name}")).is_ok() {
            return Ok(());
        }
        self.make(input)?;
        place.script(&format!("cp -a '{}' {name}", self.seeds.join(name).display())).map(drop)
    }

    /// Removes it there.
    pub fn remove(&self, input: Input, place: &Place) -> Result<(), String> {
        place.script(&format!("rm -rf {}", input.name())).map(drop)
    }

    /// Frees what `place` copies from.
    pub fn forget(&self, input: Input) {
        if self.made.lock().expect("no panic while it is held").remove(&input) {
            let path = self.seeds.join(input.name());
            let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        }
    }

    fn make(&self, input: Input) -> Result<(), String> {
        let mut made = self.made.lock().expect("no panic while it is held");
        if made.contains(&input) {
            return Ok(());
        }
        let path = self.seeds.join(input.name());
        let of = |full: u64| (full * self.percent / 100).max(1);
        let outcome = match input {
            Input::Big => noise(&path, of(500_000_000), 1),
            Input::Integers => noise(&path, of(134_217_728) * 4, 2),
            Input::Text => lines(&path, of(220_000_000), 3),
            Input::ShortText => lines(&path, of(50_000_000), 4),
            Input::Tree => tree(&path, of(12_000), 33_000, 5),
            Input::Archive => self.archive(&path, of(12_000), 33_000, 5),
            Input::SmallArchive => self.archive(&path, of(10_000), 4_000, 6),
            Input::Repository => tree(&path, of(10_000), 4_000, 6).and_then(|()| commit(&path)),
            Input::Inserts => inserts(&path, of(200_000)),
            Input::Database => database(&path, of(200_000)),
        };
        outcome.map_err(|error| format!("{}: {error}", path.display()))?;
        made.insert(input);
        Ok(())
    }

    fn archive(&self, path: &Path, files: u64, most: u64, seed: u64) -> std::io::Result<()> {
        let source = self.seeds.join("source");
        tree(&source, files, most, seed)?;
        succeed(Command::new("tar").args(["cf"]).arg(path).arg("--sort=name").arg("-C").arg(&source).arg("."))?;
        std::fs::remove_dir_all(source)
    }
}

/// Numbers that look random (xorshift).
struct Dice(u64);

impl Dice {
    fn of(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.roll() >> 20) % end
    }
}

fn noise(path: &Path, bytes: u64, seed: u64) -> std::io::Result<()> {
    let (mut file, mut dice, mut left) = (BufWriter::with_capacity(1 << 20, File::create(path)?), Dice::of(seed), bytes);
    while left > 0 {
        let part = left.min(8);
        file.write_all(&dice.roll().to_le_bytes()[..part as usize])?;
        left -= part;
    }
    file.flush()
}

/// Lines of words, of which the frequent ones are short.
fn prose(out: &mut impl Write, bytes: u64, dice: &mut Dice) -> std::io::Result<()> {
    let mut line = Vec::new();
    let mut left = bytes;
    while left > 0 {
        line.clear();
        for _ in 0..4 + dice.below(12) {
            let mut word = dice.below(1 + dice.0 % 20_000);
            while word > 0 {
                line.push(b"etaoinshrdlucmfwypvb"[(word % 20) as usize]);
                word /= 20;
            }
            line.push(b' ');
        }
        line.push(b'\n');
        let part = left.min(line.len() as u64);
        out.write_all(&line[..part as usize])?;
        left -= part;
    }
    Ok(())
}

fn lines(path: &Path, bytes: u64, seed: u64) -> std::io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    prose(&mut file, bytes, &mut Dice::of(seed))?;
    file.flush()
}

/// Files of up to `most` bytes of text, half of that on average, at most 100 in a directory.
fn tree(path: &Path, files: u64, most: u64, seed: u64) -> std::io::Result<()> {
    let mut dice = Dice::of(seed);
    for file in 0..files {
        let directory = path.join(format!("directory-{}", file / 50));
        if file % 50 == 0 {
            std::fs::create_dir_all(&directory)?;
        }
        let mut out = BufWriter::new(File::create(directory.join(format!("file-{file}.txt")))?);
        let bytes = 1 + dice.below(most);
        prose(&mut out, bytes, &mut dice)?;
        out.flush()?;
    }
    Ok(())
}

fn commit(path: &Path) -> std::io::Result<()> {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(path).args(["-c", "user.name=bench", "-c", "user.email=bench@example.org"]);
        // Else it tidies up in the background, while the repository is copied.
        command.args(["-c", "gc.auto=0", "-c", "maintenance.auto=false"]).args(arguments);
        succeed(command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null"))
    };
    git(&["init", "-q"])?;
    git(&["add", "."])?;
    git(&["commit", "-q", "-m", "all"])?;
    std::fs::write(path.join("directory-0/file-1.txt"), "changed")?;
    std::fs::write(path.join("new"), "not known")
}

fn database(path: &Path, rows: u64) -> std::io::Result<()> {
    let script = path.with_extension("sql-of-database");
    inserts(&script, rows)?;
    succeed(Command::new("sqlite3").arg(path).arg("pragma synchronous = off").arg(format!(".read {}", script.display())))?;
    std::fs::remove_file(script)
}

fn inserts(path: &Path, rows: u64) -> std::io::Result<()> {
    let (mut file, mut dice) = (BufWriter::new(File::create(path)?), Dice::of(7));
    writeln!(file, "create table items (id integer primary key, number integer, text text);\ncreate index numbers on items (number);")?;
    for row in 0..rows {
        if row % 1000 == 0 {
            writeln!(file, "{}begin;", if row > 0 { "commit;\n" } else { "" })?;
        }
        let (number, text) = (dice.below(1 << 30), dice.roll());
        writeln!(file, "insert into items values ({row}, {number}, 'the text of this item is {text:x} {text:o}');")?;
    }
    writeln!(file, "commit;")?;
    file.flush()
}

fn succeed(command: &mut Command) -> std::io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(std::io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
}
