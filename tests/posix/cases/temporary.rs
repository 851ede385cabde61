//! `mkstemp` and its relatives.

use crate::case::{Dir, Outcome, cases, fails, write_all};
use crate::sys;
use std::collections::HashSet;

cases![
    mkstemp_makes_a_private_file,
    names_differ,
    mkostemps_keeps_the_suffix_and_sets_flags,
    mkdtemp_makes_a_private_directory,
    bad_templates_are_einval,
    missing_directory_is_enoent,
    relative_templates_work,
    mktemp_gives_the_template_back,
];

fn mkstemp_makes_a_private_file(d: &Dir) -> Outcome {
    let (fd, name) = sys::mkstemp(d.at("pre-XXXXXX"))?;
    let stat = sys::fstat(&fd)?;
    assert_eq!(stat.st_mode, libc::S_IFREG | 0o600);
    assert_eq!(sys::stat(&name)?.st_ino, stat.st_ino);
    assert!(!name.to_string_lossy().ends_with("XXXXXX"));
    write_all(&fd, b"abc");
    assert_eq!(sys::pread(&fd, &mut [0; 3], 0)?, 3);
    Ok(())
}

fn names_differ(d: &Dir) -> Outcome {
    let mut seen = HashSet::new();
    for _ in 0..200 {
        let (_, name) = sys::mkstemp(d.at("t-XXXXXX"))?;
        assert!(seen.insert(name));
    }
    assert_eq!(sys::names_in(d.path())?.len(), 200);
    Ok(())
}

fn mkostemps_keeps_the_suffix_and_sets_flags(d: &Dir) -> Outcome {
    let flags = libc::O_CLOEXEC | libc::O_APPEND;
    let (fd, name) = sys::mkostemps(d.at("t-XXXXXX.tail"), 5, flags)?;
    assert!(name.to_string_lossy().ends_with(".tail"));
    assert_eq!(sys::fcntl(&fd, libc::F_GETFD, 0)?, libc::FD_CLOEXEC);
    assert_eq!(
        sys::fcntl(&fd, libc::F_GETFL, 0)? & libc::O_APPEND,
        libc::O_APPEND
    );
    Ok(())
}

fn mkdtemp_makes_a_private_directory(d: &Dir) -> Outcome {
    let name = sys::mkdtemp(d.at("dir-XXXXXX"))?;
    assert_eq!(sys::stat(&name)?.st_mode, libc::S_IFDIR | 0o700);
    sys::rmdir(name)?;
    Ok(())
}

fn bad_templates_are_einval(d: &Dir) -> Outcome {
    fails!(EINVAL, sys::mkstemp(d.at("no-x")));
    fails!(EINVAL, sys::mkdtemp(d.at("short-XXXXX")));
    fails!(EINVAL, sys::mkostemps(d.at("XXXXXX.c"), 3, 0));
    assert!(sys::names_in(d.path())?.is_empty());
    Ok(())
}

fn missing_directory_is_enoent(d: &Dir) -> Outcome {
    fails!(ENOENT, sys::mkstemp(d.at("no/XXXXXX")));
    fails!(ENOENT, sys::mkdtemp(d.at("no/XXXXXX")));
    Ok(())
}

fn relative_templates_work(d: &Dir) -> Outcome {
    let (_, name) = sys::mkstemp("rel-XXXXXX")?;
    assert_eq!(sys::names_in(d.path())?, [name]);
    Ok(())
}

fn mktemp_gives_the_template_back(d: &Dir) -> Outcome {
    let name = sys::mktemp(d.at("new-XXXXXX"));
    assert!(name.is_some_and(|name| !name.is_empty() && sys::stat(name) == Err(sys::ENOENT)));
    assert_eq!(sys::mktemp(d.at("no-x")), Some("".into()), "empty, and not null");
    let name = sys::mktemp(d.at("no/XXXXXX"));
    assert!(name.is_some_and(|name| !name.is_empty()), "no such directory: no such name");
    Ok(())
}
