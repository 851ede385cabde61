//! The rules of the house, checked: what a reader may rely on without looking.

mod semantics;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// No file is longer, but for those in [`LONG`].
const LINES: usize = 500;

/// Files that may be longer, and why.
const LONG: [(&str, &str); 0] = [];

/// Files with bytes beyond ASCII, and why.
const NOT_ASCII: [(&str, &str); 5] = [
    ("ARCHITECTURE.md", "the drawing"),
    ("tests/programs/cases/01-bash-files.sh", "names of files"),
    ("tests/programs/cases/04-python-modules.py", "text to be encoded"),
    ("tests/programs/cases/04-python-open.py", "text to be encoded"),
    ("tests/programs/cases/04-python-os-names.py", "names of files"),
];

/// Variables that `config.rs` knows and that are not for users.
const INTERNAL: [&str; 2] = ["FLAC_EXEC", "FLAC_SEED"];

/// A text of the project.
struct Text {
    /// From the top directory.
    name: String,
    content: String,
}

impl Text {
    fn is_rust(&self) -> bool {
        self.name.ends_with(".rs")
    }
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every source, script and document, build products left out.
fn texts() -> Vec<Text> {
    let mut found = Vec::new();
    let mut rest = vec![top().to_owned()];
    while let Some(dir) = rest.pop() {
        for entry in std::fs::read_dir(&dir).expect("a directory of the project").flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if name != "target" && name != ".git" && !name.ends_with("regressions") {
                    rest.push(path);
                }
            } else if is_text(&path) && name != "Cargo.lock" {
                let content = std::fs::read(&path).expect("a file of the project");
                let relative = path.strip_prefix(top()).expect("below the top").to_string_lossy().into_owned();
                found.push(Text { name: relative, content: String::from_utf8_lossy(&content).into_owned() });
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn is_text(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str());
    matches!(extension, Some("rs" | "sh" | "py" | "md" | "toml" | "txt" | "c" | "h" | "pl"))
}

/// Fails with all findings at once.
fn none(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

fn listed(list: &[(&str, &str)], name: &str) -> bool {
    list.iter().any(|(file, _)| *file == name)
}

#[test]
fn files_fit_into_one_sitting() {
    let code = texts().into_iter().filter(|t| !t.name.ends_with(".md") && !t.name.ends_with(".txt"));
    let long = code.filter(|t| t.content.lines().count() > LINES && !listed(&LONG, &t.name));
    none(long.map(|t| format!("{}: {} lines: split it by noun", t.name, t.content.lines().count())).collect());
}

#[test]
fn exceptions_are_still_needed() {
    let all = texts();
    let content = |name: &str| all.iter().find(|t| t.name == name).map(|t| t.content.as_str());
    let long = LONG.iter().filter(|(name, _)| content(name).is_none_or(|c| c.lines().count() <= LINES));
    let odd = NOT_ASCII.iter().filter(|(name, _)| content(name).is_none_or(str::is_ascii));
    none(long.chain(odd).map(|(name, _)| format!("{name}: is an exception without need")).collect());
}

/// A file that no other names as its module is compiled by nobody, and its tests are none.
#[test]
fn every_source_belongs_to_its_crate() {
    let texts = texts();
    let has = |name: &str, module: &str| {
        let says = |line: &str| line.split("mod ").nth(1).is_some_and(|rest| rest.trim_end_matches([';', ' ', '{']) == module);
        texts.iter().any(|text| text.name == name && text.content.lines().any(says))
    };
    let lacks = |text: &&Text| {
        let Some((dir, file)) = text.name.rsplit_once('/').filter(|(dir, _)| format!("{dir}/").contains("src/")) else { return false };
        let (dir, module) = match file {
            "lib.rs" | "main.rs" => return false,
            "mod.rs" => dir.rsplit_once('/').expect("a module lies below src"),
            _ => (dir, file.trim_end_matches(".rs")),
        };
        ![format!("{dir}.rs"), format!("{dir}/mod.rs"), format!("{dir}/lib.rs"), format!("{dir}/main.rs")]
            .iter()
            .any(|parent| has(parent, module))
    };
    none(texts.iter().filter(|text| text.is_rust()).filter(lacks).map(|text| text.name.clone()).collect());
}

#[test]
fn text_is_ascii() {
    let odd = texts().into_iter().filter(|t| !t.content.is_ascii() && !listed(&NOT_ASCII, &t.name));
    none(odd.map(|t| format!("{}: not ASCII", t.name)).collect());
}

#[test]
fn nothing_is_left_open() {
    // Put together, so that this file does not find itself.
    let marks = [["TO", "DO"], ["FIX", "ME"], ["X", "XX"], ["todo", "!("], ["unimplemented", "!("]].map(|parts| parts.concat());
    let mut findings = Vec::new();
    for text in texts().iter().filter(|t| !t.name.ends_with(".md")) {
        for (number, line) in text.content.lines().enumerate() {
            let words = || line.split(|c: char| !c.is_ascii_alphanumeric() && c != '!' && c != '(');
            if marks.iter().any(|mark| if mark.contains('!') { line.contains(mark) } else { words().any(|w| w == mark) }) {
                findings.push(format!("{}:{}: {}", text.name, number + 1, line.trim()));
            }
        }
    }
    none(findings);
}

/// Files with unsafe code that the compiler's lint does not ask to say why, and why.
const UNSAFE: [(&str, &str); 1] = [("tests/posix/sys/mod.rs", "a macro, used in files that say so")];

#[test]
fn unsafe_code_says_why_at_its_head() {
    let uses = |t: &Text| {
        let code = t.content.lines().filter(|line| !line.trim_start().starts_with("//"));
        code.into_iter().any(|line| ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"].iter().any(|mark| line.contains(mark)))
    };
    let silent = texts().into_iter().filter(|t| t.is_rust() && uses(t) && t.name != "tests/tidy/main.rs");
    // The macros that export a symbol say it for the bodies they are given.
    let says = |t: &Text| ["(unsafe_code", "(\n    unsafe_code", "hook! {", "export! {"].iter().any(|mark| t.content.contains(mark));
    let silent = silent.filter(|t| !says(t) && !covered(t) && !listed(&UNSAFE, &t.name));
    none(silent.map(|t| format!("{}: unsafe code without #![expect(unsafe_code, reason = ...)]", t.name)).collect());
}

/// Whether a module above allows unsafe code for the whole of its folder.
fn covered(text: &Text) -> bool {
    let path = top().join(&text.name);
    let above = path.ancestors().skip(1).take_while(|dir| *dir != top());
    let heads = above.flat_map(|dir| [dir.join("mod.rs"), dir.join("main.rs"), dir.with_extension("rs")]);
    heads
        .into_iter()
        .any(|head| std::fs::read_to_string(head).is_ok_and(|c| c.contains("![expect(unsafe_code") || c.contains("![allow(unsafe_code")))
}

#[test]
fn no_path_of_a_developers_machine() {
    let own = ["/wo", "rk/"].concat();
    let mut findings = Vec::new();
    for text in texts() {
        for (number, line) in text.content.lines().enumerate() {
            let absolute = line.match_indices(&own).any(|(at, _)| at == 0 || " \"'=(`".contains(&line[at - 1..at]));
            if absolute || std::env::var("HOME").is_ok_and(|home| home.len() > 6 && line.contains(&home)) {
                findings.push(format!("{}:{}: {}", text.name, number + 1, line.trim()));
            }
        }
    }
    none(findings);
}

fn read(name: &str) -> String {
    let path: PathBuf = top().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn readme_lists_the_variables_that_are_read() {
    let known: BTreeSet<String> = read("shim/src/config.rs")
        .lines()
        .filter_map(|line| line.trim().strip_prefix("b\"FLAC_")?.split_once("\" =>"))
        .map(|(name, _)| format!("FLAC_{name}"))
        .filter(|name| !INTERNAL.contains(&name.as_str()))
        .collect();
    let listed: BTreeSet<String> = read("README.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `FLAC_")?.split_once('`'))
        .map(|(name, _)| format!("FLAC_{name}"))
        .collect();
    assert!(known.contains("FLAC_ROOT"), "config.rs is not read as expected");
    assert_eq!(listed, known, "README.md against shim/src/config.rs");
}

#[test]
fn files_that_documents_name_exist() {
    let mut findings = Vec::new();
    for text in texts().iter().filter(|t| t.name.ends_with(".md")) {
        let folder = top().join(&text.name).parent().expect("a folder").to_owned();
        for target in text.content.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains("://") && !folder.join(file).exists() {
                findings.push(format!("{}: {target} does not exist", text.name));
            }
        }
    }
    none(findings);
}
