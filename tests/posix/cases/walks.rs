//! Functions of libc that walk directories by themselves.

use crate::case::{Dir, Outcome, cases, fails};
use crate::sys;
use std::ffi::OsString;

cases![
    scandir_sorts_all_names,
    glob_expands_inside,
    glob_matches_directories_and_hidden_names_as_it_should,
    nftw_visits_everything,
    nftw_goes_deeper_than_any_path,
    nftw_depth_visits_contents_first,
    nftw_physical_does_not_follow_links,
    errors,
    std_remove_dir_all_removes_a_tree,
];

fn tree(d: &Dir) {
    d.dir("a");
    d.dir("a/b");
    d.dir("c");
    d.file("a/one.txt", b"");
    d.file("a/b/two.txt", b"");
    d.file("three.txt", b"");
    d.file(".hidden", b"");
}

fn scandir_sorts_all_names(d: &Dir) -> Outcome {
    tree(d);
    let names = sys::scandir(d.path())?;
    assert_eq!(names.len(), 6);
    let mut expected: Vec<OsString> = names.clone();
    expected.sort();
    assert!(names.iter().all(|name| expected.contains(name)));
    assert!(names.contains(&".hidden".into()));
    Ok(())
}

fn glob_expands_inside(d: &Dir) -> Outcome {
    tree(d);
    let at = |name: &str| d.at(name).into_os_string();
    assert_eq!(sys::glob(d.at("*.txt"))?, [at("three.txt")]);
    assert_eq!(sys::glob(d.at("a/*/*.txt"))?, [at("a/b/two.txt")]);
    assert_eq!(sys::glob("*/o*.txt")?, ["a/one.txt"]);
    assert_eq!(sys::glob(d.at("[ac]"))?, [at("a"), at("c")]);
    assert!(sys::glob(d.at("*.none"))?.is_empty());
    Ok(())
}

fn glob_matches_directories_and_hidden_names_as_it_should(d: &Dir) -> Outcome {
    tree(d);
    assert_eq!(sys::glob("*")?, ["a", "c", "three.txt"]);
    assert_eq!(sys::glob("*/")?, ["a/", "c/"]);
    assert_eq!(sys::glob(".h*")?, [".hidden"]);
    Ok(())
}

fn nftw_visits_everything(d: &Dir) -> Outcome {
    tree(d);
    let mut visited: Vec<OsString> = sys::nftw(d.path(), sys::FTW_PHYS)?
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    visited.sort();
    let names = [
        "",
        "/.hidden",
        "/a",
        "/a/b",
        "/a/b/two.txt",
        "/a/one.txt",
        "/c",
        "/three.txt",
    ];
    let expected: Vec<OsString> = names
        .iter()
        .map(|name| format!("{}{name}", d.path().display()).into())
        .collect();
    assert_eq!(visited, expected);
    Ok(())
}

fn nftw_goes_deeper_than_any_path(d: &Dir) -> Outcome {
    let name = "n".repeat(250);
    let mut dir = sys::open(d.path(), libc::O_PATH, 0)?;
    for _ in 0..40 {
        sys::mkdirat(&dir, &name, 0o700)?;
        dir = sys::openat(&dir, &name, libc::O_PATH, 0)?;
    }
    for flags in [0, sys::FTW_PHYS, sys::FTW_PHYS | sys::FTW_DEPTH] {
        let visited = sys::nftw(d.path(), flags)?;
        assert_eq!(visited.len(), 41);
        assert!(visited.iter().any(|(path, _)| path.len() > 10_000));
    }
    Ok(())
}

fn nftw_depth_visits_contents_first(d: &Dir) -> Outcome {
    tree(d);
    let visited = sys::nftw(d.path(), sys::FTW_PHYS | sys::FTW_DEPTH)?;
    let place = |name: &str| {
        let path = d.at(name).into_os_string();
        visited
            .iter()
            .position(|(visited, _)| *visited == path)
            .expect("visited")
    };
    assert!(place("a/b/two.txt") < place("a/b") && place("a/b") < place("a"));
    assert_eq!(visited.last().expect("the top").0, d.path().as_os_str());
    Ok(())
}

fn nftw_physical_does_not_follow_links(d: &Dir) -> Outcome {
    d.dir("dir");
    d.file("dir/f", b"");
    sys::symlink("dir", d.at("l"))?;
    assert_eq!(sys::nftw(d.path(), sys::FTW_PHYS)?.len(), 4);
    Ok(())
}

fn errors(d: &Dir) -> Outcome {
    fails!(ENOENT, sys::scandir(d.at("no")));
    fails!(ENOENT, sys::nftw(d.at("no"), 0));
    d.file("f", b"");
    fails!(ENOTDIR, sys::scandir(d.at("f")));
    Ok(())
}

fn std_remove_dir_all_removes_a_tree(d: &Dir) -> Outcome {
    d.dir("top");
    d.dir("top/a");
    d.dir("top/a/b");
    for number in 0..100 {
        d.file(&format!("top/a/f{number}"), b"");
        d.file(&format!("top/a/b/f{number}"), b"");
    }
    std::fs::remove_dir_all(d.at("top")).map_err(sys::Errno::from)?;
    assert!(sys::names_in(d.path())?.is_empty());
    Ok(())
}
