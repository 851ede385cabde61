//! `flac/docs/semantics.md` against the tests: each sentence names one, and each that is named exists.

use std::collections::BTreeSet;

/// The section without tests.
const UNTESTED: &str = "Differences";

/// What is wrong with the document; `claims` are `topic::name` and `cases` the names of programs' cases.
fn findings(document: &str, claims: &BTreeSet<String>, cases: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    let mut section = "";
    let mut named = BTreeSet::new();
    for line in document.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title;
        }
        let tests: Vec<&str> = line.split('`').skip(1).step_by(2).filter(|word| is_claim(word) || is_case(word)).collect();
        found.extend(
            tests.iter().filter(|name| !claims.contains(**name) && !cases.contains(**name)).map(|name| format!("{name} is no test")),
        );
        if line.starts_with("* ") && tests.is_empty() && section != UNTESTED {
            found.push(format!("no test: {line}"));
        }
        named.insert((section, !tests.is_empty()));
    }
    let empty = named.iter().filter(|(title, _)| !title.is_empty() && *title != UNTESTED && !named.contains(&(*title, true)));
    found.extend(empty.map(|(title, _)| format!("section without a test: {title}")));
    found
}

fn is_claim(word: &str) -> bool {
    word.contains("::") && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b':')
}

fn is_case(word: &str) -> bool {
    word.len() > 3 && word.as_bytes()[..2].iter().all(u8::is_ascii_digit) && word.as_bytes()[2] == b'-'
}

#[test]
fn every_sentence_of_semantics_has_a_test_that_exists() {
    let top = super::top();
    let read = |path: &std::path::Path| std::fs::read_to_string(path).expect("a file of the project");
    let mut claims = BTreeSet::new();
    for entry in std::fs::read_dir(top.join("tests/posix/cases")).expect("cases").flatten() {
        let topic = entry.path().file_stem().expect("a name").to_string_lossy().into_owned();
        let text = read(&entry.path());
        let Some(list) = text.split_once("cases![").and_then(|(_, rest)| rest.split_once("];")) else { continue };
        claims.extend(list.0.split(',').map(|name| format!("{topic}::{}", name.trim())));
    }
    let mut cases = BTreeSet::new();
    for entry in std::fs::read_dir(top.join("tests/programs/cases")).expect("cases").flatten() {
        cases.insert(entry.path().file_stem().expect("a name").to_string_lossy().into_owned());
    }
    let found = findings(&read(&top.join("flac/docs/semantics.md")), &claims, &cases);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_sentence_without_a_test_and_a_test_that_is_none_are_found() {
    let claims = BTreeSet::from(["open::a".to_owned()]);
    let document = "## One\n* Right: `open::a`.\n* None.\n## Two\n* Wrong: `open::b`, `05-no`.\n## Three\n\n## Differences\n* Without.\n";
    let found = findings(document, &claims, &BTreeSet::new());
    assert_eq!(found, ["no test: * None.", "open::b is no test", "05-no is no test", "section without a test: Three"]);
}
