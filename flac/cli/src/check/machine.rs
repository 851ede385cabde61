//! All programs and libraries of this machine: which symbols they import from libc that no table knows.

use super::elf::Binary;
use super::loader::DEFAULT_DIRS;
use super::symbols::{Fate, Symbols};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Where programs and libraries lie beside `PATH` and the loader's directories.
const MORE: [&str; 2] = ["/usr/libexec", "/usr/local/lib"];

/// What was found.
#[derive(Default)]
pub struct Machine {
    /// ELF files read.
    pub files: usize,
    /// Different symbols that they import from libc, by what becomes of them.
    pub symbols: BTreeMap<Fate, BTreeSet<String>>,
    /// Symbols that no table knows, and files that import them.
    pub unknown: BTreeMap<String, Vec<PathBuf>>,
}

/// Reads the ELF files in the directories of `PATH` and the loader, and below the latter.
pub fn walk() -> Machine {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut rest: Vec<PathBuf> = std::env::split_paths(&path).chain(DEFAULT_DIRS.iter().chain(&MORE).map(PathBuf::from)).collect();
    let (symbols, mut machine, mut seen) = (Symbols::new(), Machine::default(), BTreeSet::new());
    while let Some(dir) = rest.pop() {
        let Ok(dir) = dir.canonicalize() else { continue };
        if !seen.insert(dir.clone()) {
            continue;
        }
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => rest.push(entry.path()),
                Ok(kind) if kind.is_file() => machine.add(&entry.path(), &symbols),
                _ => {}
            }
        }
    }
    machine
}

impl Machine {
    fn add(&mut self, file: &Path, symbols: &Symbols) {
        let Ok(binary) = Binary::read(file, false) else { return };
        if !binary.is_native() || binary.is_libc() {
            return;
        }
        self.files += 1;
        for name in binary.imports {
            let fate = symbols.fate(&name);
            if fate == Fate::Unknown {
                self.unknown.entry(name.clone()).or_default().push(file.to_owned());
            }
            self.symbols.entry(fate).or_default().insert(name);
        }
    }
}
