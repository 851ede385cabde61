//! Names of all kinds, and sizes of all kinds.

use crate::case::{Dir, Outcome, cases, content, fails};
use crate::sys;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

cases![
    every_byte_but_slash_and_nul_can_be_in_a_name,
    names_that_are_not_utf8_work_everywhere,
    names_of_255_bytes_work,
    paths_of_4095_bytes_work,
    deeper_trees_are_reached_step_by_step,
    names_are_case_sensitive_and_not_normalised,
    names_with_dots_and_spaces_are_plain,
    sparse_files_beyond_4_gib,
    reads_and_writes_around_4_gib,
    sizes_beyond_4_gib_are_reported,
];

fn every_byte_but_slash_and_nul_can_be_in_a_name(d: &Dir) -> Outcome {
    for byte in (1..=255_u8).filter(|byte| !b"/.".contains(byte)) {
        let name = [byte];
        let path = d.path().join(OsStr::from_bytes(&name));
        sys::creat(&path, 0o600)?.close()?;
        sys::stat(&path)?;
    }
    assert_eq!(sys::names_in(d.path())?.len(), 253);
    Ok(())
}

fn names_that_are_not_utf8_work_everywhere(d: &Dir) -> Outcome {
    let at = |bytes: &[u8]| d.path().join(OsStr::from_bytes(bytes));
    let (dir, other) = (at(b"\xff\xfe"), at(b"\x80\xc0"));
    sys::mkdir(&dir, 0o755)?;
    let file = dir.join(OsStr::from_bytes(b"\xc3\x28"));
    sys::creat(&file, 0o600)?.close()?;
    sys::rename(&dir, &other)?;
    sys::chdir(&other)?;
    assert_eq!(sys::getcwd(4096)?, other.clone().into_os_string());
    assert_eq!(sys::realpath(".")?, other.clone().into_os_string());
    assert_eq!(sys::names_in(&other)?, [OsStr::from_bytes(b"\xc3\x28")]);
    sys::symlink(OsStr::from_bytes(b"\xc3\x28"), "l")?;
    assert_eq!(content("l"), b"");
    Ok(())
}

fn names_of_255_bytes_work(d: &Dir) -> Outcome {
    let name = "n".repeat(255);
    let path = d.file(&name, b"abc");
    assert_eq!(content(&path), b"abc");
    assert_eq!(sys::names_in(d.path())?, [name.as_str()]);
    sys::rename(&path, d.at(&"m".repeat(255)))?;
    sys::mkdir(&path, 0o755)?;
    sys::make_file(path.join(&name))?;
    fails!(ENAMETOOLONG, sys::rename(&path, d.at(&"m".repeat(256))));
    Ok(())
}

/// A directory whose path has exactly `length` bytes, made step by step.
fn deep(d: &Dir, length: usize) -> sys::Sys<PathBuf> {
    let mut path = d.path().to_owned();
    loop {
        let left = length - path.as_os_str().len();
        if left == 0 {
            return Ok(path);
        }
        // Never leave a rest of one byte, which no "/x" fits into.
        let step = if left > 202 { 200 } else { left };
        path.push("d".repeat(step - 1));
        sys::mkdir(&path, 0o755)?;
    }
}

fn paths_of_4095_bytes_work(d: &Dir) -> Outcome {
    let dir = deep(d, 4000)?;
    let path = dir.join("f".repeat(94));
    assert_eq!(path.as_os_str().len(), 4095);
    sys::make_file(&path)?;
    assert_eq!(sys::stat(&path)?.st_size, 3);
    let longer = dir.join("f".repeat(95));
    fails!(ENAMETOOLONG, sys::stat(longer));
    sys::unlink(path)?;
    Ok(())
}

fn deeper_trees_are_reached_step_by_step(d: &Dir) -> Outcome {
    for _ in 0..50 {
        let name = "x".repeat(200);
        sys::mkdir(&name, 0o755)?;
        sys::chdir(&name)?;
    }
    sys::make_file("f")?;
    assert_eq!(content("f"), b"abc");
    for _ in 0..50 {
        sys::chdir("..")?;
    }
    assert_eq!(sys::getcwd(4096)?, d.path().as_os_str());
    Ok(())
}

fn names_are_case_sensitive_and_not_normalised(d: &Dir) -> Outcome {
    for name in ["a", "A", "\u{e9}", "e\u{301}"] {
        d.file(name, name.as_bytes());
    }
    assert_eq!(sys::names_in(d.path())?.len(), 4);
    assert_eq!(content(d.at("A")), b"A");
    Ok(())
}

fn names_with_dots_and_spaces_are_plain(d: &Dir) -> Outcome {
    let names = ["...", "..a", ".a", "a.", " ", " a", "a ", "-", "*", "a\nb"];
    for name in names {
        d.file(name, name.as_bytes());
    }
    for name in names {
        assert_eq!(content(d.at(name)), name.as_bytes());
    }
    Ok(())
}

fn sparse_files_beyond_4_gib(d: &Dir) -> Outcome {
    let fd = d.open("f", b"start");
    for offset in [5_i64 << 30, 100 << 30, 1 << 40] {
        sys::pwrite(&fd, &offset.to_le_bytes(), offset)?;
    }
    for offset in [5_i64 << 30, 100 << 30, 1 << 40] {
        let mut bytes = [0; 8];
        sys::pread(&fd, &mut bytes, offset)?;
        assert_eq!(i64::from_le_bytes(bytes), offset);
    }
    let mut bytes = [1; 8];
    sys::pread(&fd, &mut bytes, 50 << 30)?;
    assert_eq!(bytes, [0; 8]);
    sys::ftruncate(&fd, 5)?;
    assert_eq!(content(d.at("f")), b"start");
    Ok(())
}

fn reads_and_writes_around_4_gib(d: &Dir) -> Outcome {
    const EDGE: i64 = 4 << 30;
    let fd = d.open("f", b"");
    sys::lseek(&fd, EDGE - 5000, libc::SEEK_SET)?;
    let bytes = crate::case::pattern(10_000, 1);
    assert_eq!(sys::write(&fd, &bytes)?, 10_000);
    assert_eq!(sys::lseek(&fd, 0, libc::SEEK_CUR)?, EDGE + 5000);
    let mut back = vec![0; 10_000];
    assert_eq!(sys::pread(&fd, &mut back, EDGE - 5000)?, 10_000);
    assert!(back == bytes);
    let append = sys::open(d.at("f"), libc::O_WRONLY | libc::O_APPEND, 0)?;
    sys::write(&append, b"end")?;
    assert_eq!(sys::fstat(&fd)?.st_size, EDGE + 5003);
    Ok(())
}

fn sizes_beyond_4_gib_are_reported(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    sys::ftruncate(&fd, 6_000_000_000)?;
    assert_eq!(sys::stat(d.at("f"))?.st_size, 6_000_000_000);
    assert_eq!(sys::lseek(&fd, 0, libc::SEEK_END)?, 6_000_000_000);
    Ok(())
}
