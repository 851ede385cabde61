//! What was found out about a program, for people and for programs.

use super::elf::Binary;
use super::loader::Library;
use super::symbols::{Fate, Symbols};
use crate::human::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Whether the program works on FLAC files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As far as can be seen.
    Works,
    /// Some of what it may do on FLAC files fails.
    InPart,
    /// It does not see them.
    NotAtAll,
}

/// A program, read.
pub struct Program {
    /// The scripts whose interpreters lead to `main`, outermost first.
    scripts: Vec<PathBuf>,
    main: Binary,
    libraries: Vec<Library>,
    /// Symbols imported from libc, what becomes of them, and the files that import them.
    imports: BTreeMap<String, (Fate, BTreeSet<String>)>,
}

/// What helps a program that the preload library can't serve.
const INSTEAD: &str = "show it the pool as a directory with `flac mount DIR`";

fn base(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

impl Program {
    /// `main`, reached through `scripts`, and all that it would load.
    pub fn new(scripts: Vec<PathBuf>, main: Binary, libraries: Vec<Library>) -> Self {
        let symbols = Symbols::new();
        let mut imports: BTreeMap<String, (Fate, BTreeSet<String>)> = BTreeMap::new();
        for binary in
            std::iter::once(&main).chain(libraries.iter().filter_map(|library| library.binary.as_ref().ok())).filter(|b| !b.is_libc())
        {
            let listed = binary.unversioned.iter().filter(|name| symbols.is_listed(name));
            for name in binary.imports.iter().chain(listed) {
                let fate = symbols.fate(name);
                if fate != Fate::Nothing {
                    imports.entry(name.clone()).or_insert_with(|| (fate, BTreeSet::new())).1.insert(base(&binary.path));
                }
            }
        }
        Self { scripts, main, libraries, imports }
    }

    /// All files that bring code into the process but those of the C library.
    fn binaries(&self) -> impl Iterator<Item = &Binary> {
        std::iter::once(&self.main).chain(self.libraries.iter().filter_map(|library| library.binary.as_ref().ok())).filter(|b| !b.is_libc())
    }

    fn of<T>(&self, pick: impl Fn(&str, &Fate, &BTreeSet<String>) -> Option<T>) -> Vec<T> {
        self.imports.iter().filter_map(|(name, (fate, files))| pick(name, fate, files)).collect()
    }

    /// The verdict, and a sentence for each reason against it.
    pub fn verdict(&self) -> (Verdict, Vec<String>) {
        let none = self.blocked();
        if !none.is_empty() {
            return (Verdict::NotAtAll, none);
        }
        let mut reasons = self.of(|name, fate, files| match fate {
            Fate::Refused(errno, why) => Some(format!("{name} ({}) fails with {errno}: {why}", list(files))),
            Fate::Unknown => Some(format!("{name} ({}) is not covered", list(files))),
            _ => None,
        });
        for binary in self.binaries() {
            let name = base(&binary.path);
            // Those who ask these are told that there are no rings, and their requests are never made.
            if name.starts_with("liburing.") || name.starts_with("libaio.") {
                continue;
            }
            let calls = binary.raw.of_files(binary.architecture);
            if !calls.is_empty() {
                let calls: Vec<String> = calls.iter().map(|(call, count)| format!("{call} {count}")).collect();
                reasons.push(format!("{name} likely makes system calls past libc ({}): on a FLAC descriptor they fail with EBADF, a FLAC path they do not find", calls.join(", ")));
            }
            // One such number may be anything; programs that use it need two calls.
            let by_number = binary.raw.io_uring_by_number.len() > 1 && binary.imports.contains("syscall");
            if binary.raw.uses_io_uring() {
                reasons.push(format!(
                    "{name} uses io_uring, whose requests the library does not see: switch it off in the program if that can be done"
                ));
            } else if by_number {
                reasons.push(format!("{name} uses io_uring if there is any, and hears that there is none (ENOSYS)"));
            }
        }
        let missing = self.libraries.iter().filter(|library| library.binary.is_err());
        reasons
            .extend(missing.map(|library| format!("{} is not found: what it does is not known", String::from_utf8_lossy(&library.name))));
        (if reasons.is_empty() { Verdict::Works } else { Verdict::InPart }, reasons)
    }

    /// Why the preload library does not get into the process, or sees nothing there.
    fn blocked(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        let name = base(&self.main.path);
        if !self.main.is_native() {
            reasons.push(format!("{name} is for another processor than the library"));
        } else if let Some(privilege) = self.main.privileged {
            reasons.push(format!("{name} has rights of its own ({privilege}): the loader ignores LD_PRELOAD unless its owner runs it"));
        }
        match &self.main.interpreter {
            None if self.main.needed.is_empty() => reasons.push(format!("{name} is linked statically: nothing can be preloaded")),
            Some(loader) if !loader.contains("ld-linux") => reasons.push(format!("{name} uses another C library than glibc ({loader})")),
            _ => {}
        }
        if self.main.is_go {
            reasons.push(format!("{name} is a Go program: its run time makes system calls by itself"));
        }
        reasons
    }

    /// Facts that do not decide, but that a user should know.
    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Some((_, files)) = self.imports.get("dlopen") {
            remarks.push(format!("{} can load more libraries while running: check those, too", list(files)));
        }
        let own = self.of(|name, fate, _| (*fate == Fate::Served && self.main.exports.contains(name)).then(|| name.to_owned()));
        if !own.is_empty() {
            remarks.push(format!("defines {} itself: the library is behind these", own.join(" ")));
        }
        for binary in self.binaries().filter(|binary| binary.raw.is_suspicious()) {
            let calls = binary.raw.possible;
            remarks.push(format!(
                "{}: {calls} system call instructions of unknown number (low confidence: some may be data)",
                base(&binary.path)
            ));
        }
        remarks
    }

    /// Some lines; with the names of all symbols if `all`.
    pub fn as_text(&self, all: bool) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(text, "{name:<12} {value}");
        };
        for script in &self.scripts {
            line("script", &script.display().to_string());
        }
        line("program", &self.main.path.display().to_string());
        let libraries: Vec<String> = self.libraries.iter().map(|library| String::from_utf8_lossy(&library.name).into_owned()).collect();
        line("libraries", if libraries.is_empty() { "none".into() } else { libraries.join(" ") }.as_str());
        let served = self.of(|name, fate, _| (*fate == Fate::Served).then(|| name.to_owned()));
        let streams = self.of(|name, fate, _| (*fate == Fate::Stream).then(|| name.to_owned()));
        let passed = self.of(|name, fate, _| matches!(fate, Fate::Passed(_)).then(|| name.to_owned()));
        let names = |names: &[String]| if all { format!(": {}", names.join(" ")) } else { String::new() };
        line("served", &format!("{} symbols of libc{}", served.len() + streams.len(), names(&[served, streams].concat())));
        line("passed", &format!("{} to libc on purpose{}", passed.len(), names(&passed)));
        let (verdict, reasons) = self.verdict();
        line(
            "verdict",
            match verdict {
                Verdict::Works => "works on FLAC files, as far as can be seen",
                Verdict::InPart => "works on FLAC files but for what follows",
                Verdict::NotAtAll => "does not see FLAC files",
            },
        );
        reasons.iter().for_each(|reason| line("", &format!("- {reason}")));
        if verdict == Verdict::NotAtAll {
            line("instead", INSTEAD);
        }
        self.remarks().iter().for_each(|remark| line("note", remark));
        text
    }

    /// One object, on lines of its own.
    pub fn as_json(&self) -> String {
        let array = |items: Vec<String>| format!("[{}]", items.join(", "));
        let named = |wanted: fn(&Fate) -> bool| array(self.of(|name, fate, _| wanted(fate).then(|| json(name))));
        let with_files = |wanted: fn(&Fate) -> bool| {
            array(self.of(|name, fate, files| {
                let files = files.iter().map(|file| json(file)).collect();
                wanted(fate).then(|| format!("{{\"symbol\": {}, \"files\": {}}}", json(name), array(files)))
            }))
        };
        let raw = self.binaries().flat_map(|binary| {
            let calls = binary.raw.of_files(binary.architecture).into_iter();
            calls.map(|(call, count)| format!("{{\"file\": {}, \"call\": {}, \"count\": {count}}}", json(&base(&binary.path)), json(call)))
        });
        let (verdict, reasons) = self.verdict();
        let verdict = ["works", "in part", "not at all"][verdict as usize];
        let library = |library: &Library| {
            let path = library.binary.as_ref().map_or("null".into(), |binary| json(&binary.path.to_string_lossy()));
            format!("{{\"name\": {}, \"path\": {path}}}", json(&String::from_utf8_lossy(&library.name)))
        };
        let fields = [
            ("program", json(&self.main.path.to_string_lossy())),
            ("scripts", array(self.scripts.iter().map(|script| json(&script.to_string_lossy())).collect())),
            ("libraries", array(self.libraries.iter().map(library).collect())),
            ("served", named(|fate| *fate == Fate::Served)),
            ("streams", named(|fate| *fate == Fate::Stream)),
            ("passed", named(|fate| matches!(fate, Fate::Passed(_)))),
            ("refused", with_files(|fate| matches!(fate, Fate::Refused(..)))),
            ("not_covered", with_files(|fate| *fate == Fate::Unknown)),
            ("raw_calls", array(raw.collect())),
            ("verdict", json(verdict)),
            ("reasons", array(reasons.iter().map(|reason| json(reason)).collect())),
            ("notes", array(self.remarks().iter().map(|remark| json(remark)).collect())),
        ];
        let lines: Vec<String> = fields.iter().map(|(name, value)| format!("  {}: {value}", json(name))).collect();
        format!("{{\n{}\n}}\n", lines.join(",\n"))
    }
}

fn list(files: &BTreeSet<String>) -> String {
    files.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
