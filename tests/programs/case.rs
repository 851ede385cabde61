//! What a case is: a bash or python script and the comment lines at its head.
//!
//! The first comment line says which promise the case tests. Then, each optional:
//! `# needs: PROGRAM...` (skipped by name where one is missing), `# limit: SECONDS`, `# roots: both` (also with a FLAC_ROOT that
//! exists in the kernel), `# digest-skip: GLOB...` (contents and times of such files are not compared), and
//! `# differs: REASON` (FLAC is known to do otherwise: reported, not counted; a case that has become the same fails until the line goes),
//! `# tmpfs-only: REASON` (the result on another kernel file system differs), and `# expect: TEXT` (self-tests: what is reported).

use std::path::{Path, PathBuf};
use std::time::Duration;

/// One scenario file.
#[derive(Debug, Clone)]
pub struct Case {
    /// The file's name without its extension.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// The first comment line.
    pub promise: String,
    /// Programs without which it makes no sense.
    pub needs: Vec<String>,
    /// How long one run may take.
    pub limit: Duration,
    /// Whether it also runs with a root that exists in the kernel.
    pub both_roots: bool,
    /// Globs of files whose contents are not compared.
    pub digest_skip: String,
    /// What the verdict must say, in a self-test.
    pub expect: String,
    /// Why FLAC is known to differ.
    pub differs: Option<String>,
    /// Why the result on a kernel file system other than tmpfs differs, if it does.
    pub tmpfs_only: Option<String>,
}

impl Case {
    /// Reads the head of the scenario at `path`.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut case = Self {
            name: path.file_stem().expect("a scenario has a name").to_string_lossy().into_owned(),
            path: path.to_owned(),
            promise: String::new(),
            needs: Vec::new(),
            limit: Duration::from_secs(240),
            both_roots: false,
            digest_skip: String::new(),
            expect: String::new(),
            differs: None,
            tmpfs_only: None,
        };
        for line in text.lines().map_while(|line| line.strip_prefix("# ")) {
            match line.split_once(": ") {
                Some(("needs", programs)) => case.needs = programs.split_whitespace().map(str::to_owned).collect(),
                Some(("limit", seconds)) => case.limit = Duration::from_secs(seconds.trim().parse().expect("limit: SECONDS")),
                Some(("roots", "both")) => case.both_roots = true,
                Some(("digest-skip", globs)) => globs.clone_into(&mut case.digest_skip),
                Some(("expect", text)) => text.clone_into(&mut case.expect),
                Some(("differs", reason)) => case.differs = Some(reason.to_owned()),
                Some(("tmpfs-only", reason)) => case.tmpfs_only = Some(reason.to_owned()),
                _ if case.promise.is_empty() => line.clone_into(&mut case.promise),
                _ => {}
            }
        }
        assert!(!case.promise.is_empty(), "{}: the first line must say which promise the case tests", path.display());
        case
    }

    /// The first needed program that is not installed.
    pub fn missing_program(&self) -> Option<&str> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
        self.needs.iter().map(String::as_str).find(|program| !dirs.iter().any(|dir| dir.join(program).exists()))
    }
}

/// The folder that holds this test's files.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs")
}

/// The scenarios in `folder()/sub`, by name.
pub fn scenarios(sub: &str) -> Vec<Case> {
    let dir = folder().join(sub);
    let entries = std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "sh" || ext == "py"));
    paths.sort();
    paths.iter().map(|path| Case::read(path)).collect()
}

/// All cases.
pub fn all() -> Vec<Case> {
    scenarios("cases")
}
