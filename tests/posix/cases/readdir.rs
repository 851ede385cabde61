//! Directory streams.

use crate::case::{Dir, Outcome, cases, fails};
use crate::sys;
use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;

cases![
    every_name_comes_once_with_dot_and_dotdot,
    getdirentries_says_where_it_began,
    removing_what_a_part_has_removes_all,
    what_comes_meanwhile_hides_and_repeats_no_name,
    any_offset_gives_whole_records,
    empty_directory_has_dot_and_dotdot,
    types_are_right_or_unknown,
    dot_and_dotdot_have_their_inodes,
    many_names_come_once,
    rewinddir_starts_over_and_sees_new_names,
    seekdir_returns_to_where_telldir_was,
    removing_each_entry_while_reading_removes_all,
    names_that_stay_are_not_lost_by_changes,
    two_streams_are_independent,
    fdopendir_takes_the_descriptor,
    fdopendir_errors,
    opendir_errors,
    dirfd_serves_fstat_and_openat,
    stream_of_a_removed_directory_is_empty,
    stream_survives_a_rename_of_the_directory,
    names_with_all_bytes_come_back,
    child_can_read_its_own_stream,
    threads_share_a_stream,
    the_older_call_has_the_type_behind_the_name,
    std_read_dir_agrees,
];

fn make_files(d: &Dir, count: usize) -> HashSet<std::ffi::OsString> {
    let name = |number| format!("name-{number:05}");
    (0..count)
        .map(|number| (d.file(&name(number), b""), name(number).into()).1)
        .collect()
}

fn every_name_comes_once_with_dot_and_dotdot(d: &Dir) -> Outcome {
    d.file("f", b"");
    d.dir("dir");
    let mut names: Vec<_> = sys::opendir(d.path())?
        .rest()?
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    names.sort();
    assert_eq!(names, [".", "..", "dir", "f"]);
    Ok(())
}

fn empty_directory_has_dot_and_dotdot(d: &Dir) -> Outcome {
    assert_eq!(sys::opendir(d.path())?.rest()?.len(), 2);
    assert_eq!(sys::opendir(".")?.rest()?.len(), 2);
    Ok(())
}

fn types_are_right_or_unknown(d: &Dir) -> Outcome {
    d.file("file", b"");
    d.dir("dir");
    sys::symlink("file", d.at("link"))?;
    sys::mkfifo(d.at("fifo"), 0o600)?;
    for entry in sys::opendir(d.path())?.rest()? {
        let expected = match entry.name.as_bytes() {
            b"file" => libc::DT_REG,
            b"link" => libc::DT_LNK,
            b"fifo" => libc::DT_FIFO,
            _ => libc::DT_DIR,
        };
        assert!(
            entry.kind == expected || entry.kind == libc::DT_UNKNOWN,
            "{entry:?}"
        );
    }
    Ok(())
}

fn dot_and_dotdot_have_their_inodes(d: &Dir) -> Outcome {
    d.dir("dir");
    for entry in sys::opendir(d.at("dir"))?.rest()? {
        let path = if entry.name == "." {
            d.at("dir")
        } else {
            d.path().to_owned()
        };
        assert_eq!(entry.inode, sys::stat(path)?.st_ino, "{entry:?}");
    }
    Ok(())
}

fn many_names_come_once(d: &Dir) -> Outcome {
    let expected = make_files(d, 3000);
    let entries = sys::opendir(d.path())?.rest()?;
    assert_eq!(entries.len(), 3002);
    let mut seen: HashSet<_> = entries.into_iter().map(|entry| entry.name).collect();
    seen.retain(|name| name != "." && name != "..");
    assert!(seen == expected);
    Ok(())
}

fn rewinddir_starts_over_and_sees_new_names(d: &Dir) -> Outcome {
    d.file("one", b"");
    let mut stream = sys::opendir(d.path())?;
    assert_eq!(stream.rest()?.len(), 3);
    d.file("two", b"");
    stream.rewind();
    assert_eq!(stream.rest()?.len(), 4);
    Ok(())
}

fn seekdir_returns_to_where_telldir_was(d: &Dir) -> Outcome {
    make_files(d, 100);
    let mut stream = sys::opendir(d.path())?;
    let mut marks = Vec::new();
    loop {
        let mark = stream.tell();
        let Some(entry) = stream.next()? else { break };
        marks.push((mark, entry));
    }
    assert_eq!(marks.len(), 102);
    for (mark, entry) in marks.iter().rev() {
        stream.seek(*mark);
        assert_eq!(stream.next()?.as_ref(), Some(entry));
    }
    stream.seek(marks[3].0);
    assert_eq!(stream.rest()?.len(), 99);
    Ok(())
}

fn removing_each_entry_while_reading_removes_all(d: &Dir) -> Outcome {
    make_files(d, 5000);
    let mut stream = sys::opendir(d.path())?;
    while let Some(entry) = stream.next()? {
        if entry.name != "." && entry.name != ".." {
            sys::unlinkat(stream.fd(), &entry.name, 0)?;
        }
    }
    assert!(
        sys::names_in(d.path())?.is_empty(),
        "one pass of rm -r takes all"
    );
    Ok(())
}

fn names_that_stay_are_not_lost_by_changes(d: &Dir) -> Outcome {
    let expected = make_files(d, 1000);
    let mut stream = sys::opendir(d.path())?;
    let mut seen = Vec::new();
    let mut step = 0;
    while let Some(entry) = stream.next()? {
        step += 1;
        if step % 10 == 0 {
            d.file(&format!("new-{step}"), b"");
            let removed = d.at(&format!("new-{}", step - 10));
            let _ = sys::unlink(removed);
        }
        seen.push(entry.name);
    }
    let unique: HashSet<_> = seen.iter().cloned().collect();
    assert_eq!(unique.len(), seen.len(), "no name comes twice");
    assert!(
        expected.is_subset(&unique),
        "names that were there all the time come"
    );
    Ok(())
}

fn two_streams_are_independent(d: &Dir) -> Outcome {
    make_files(d, 10);
    let (mut one, mut two) = (sys::opendir(d.path())?, sys::opendir(d.path())?);
    one.next()?;
    assert_eq!(two.rest()?.len(), 12);
    assert_eq!(one.rest()?.len(), 11);
    Ok(())
}

fn fdopendir_takes_the_descriptor(d: &Dir) -> Outcome {
    make_files(d, 5);
    let fd = sys::open(d.path(), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    let number = sys::Raw::raw(&fd);
    let mut stream = sys::fdopendir(fd)?;
    assert_eq!(stream.fd(), number);
    assert_eq!(stream.rest()?.len(), 7);
    drop(stream);
    fails!(EBADF, sys::fstat(number));
    Ok(())
}

fn fdopendir_errors(d: &Dir) -> Outcome {
    fails!(ENOTDIR, sys::fdopendir(d.open("f", b"")));
    fails!(EBADF, sys::fdopendir(sys::Fd::own(-1)));
    let fd = sys::open(d.path(), libc::O_PATH | libc::O_DIRECTORY, 0)?;
    // Newer libcs notice at once, older ones at the first read.
    fails!(
        EBADF,
        sys::fdopendir(fd).and_then(|mut stream| stream.rest())
    );
    Ok(())
}

fn opendir_errors(d: &Dir) -> Outcome {
    d.file("f", b"");
    fails!(ENOENT, sys::opendir(d.at("no")));
    fails!(ENOTDIR, sys::opendir(d.at("f")));
    fails!(ENOENT, sys::opendir(""));
    Ok(())
}

fn dirfd_serves_fstat_and_openat(d: &Dir) -> Outcome {
    d.file("f", b"abc");
    let stream = sys::opendir(d.path())?;
    assert_eq!(sys::fstat(stream.fd())?.st_ino, sys::stat(d.path())?.st_ino);
    assert_eq!(sys::fstatat(stream.fd(), "f", 0)?.st_size, 3);
    let flags = sys::fcntl(stream.fd(), libc::F_GETFD, 0)?;
    assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
    Ok(())
}

fn stream_of_a_removed_directory_is_empty(d: &Dir) -> Outcome {
    d.dir("dir");
    let mut stream = sys::opendir(d.at("dir"))?;
    sys::rmdir(d.at("dir"))?;
    assert!(stream.rest()?.is_empty());
    Ok(())
}

fn stream_survives_a_rename_of_the_directory(d: &Dir) -> Outcome {
    d.dir("old");
    d.file("old/f", b"");
    let mut stream = sys::opendir(d.at("old"))?;
    sys::rename(d.at("old"), d.at("new"))?;
    assert_eq!(stream.rest()?.len(), 3);
    Ok(())
}

fn names_with_all_bytes_come_back(d: &Dir) -> Outcome {
    let name: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
    let name = std::ffi::OsStr::from_bytes(&name);
    sys::creat(d.path().join(name), 0o600)?.close()?;
    assert_eq!(sys::names_in(d.path())?, [name]);
    Ok(())
}

fn child_can_read_its_own_stream(d: &Dir) -> Outcome {
    make_files(d, 50);
    sys::fork(|| assert_eq!(sys::names_in(d.path()).expect("names").len(), 50)).succeeds();
    d.file("another", b"");
    sys::fork(|| assert_eq!(sys::names_in(d.path()).expect("names").len(), 51)).succeeds();
    Ok(())
}

fn std_read_dir_agrees(d: &Dir) -> Outcome {
    make_files(d, 20);
    let entries = std::fs::read_dir(d.path()).map_err(sys::Errno::from)?;
    assert_eq!(entries.filter(|entry| entry.is_ok()).count(), 20);
    Ok(())
}

fn getdirentries_says_where_it_began(d: &Dir) -> Outcome {
    d.file("some-name", b"");
    let fd = sys::open(d.path(), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    let mut bytes = [0; 4096];
    let (length, base) = sys::getdirentries(&fd, &mut bytes)?;
    assert_eq!(base, 0);
    assert!(bytes[..length].windows(10).any(|window| window == b"some-name\0"));
    let (length, base) = sys::getdirentries(&fd, &mut bytes)?;
    assert!(length == 0 && base > 0);
    Ok(())
}

/// The names in a part of a directory, read through its descriptor; none at the end.
fn part(fd: &sys::Fd, room: usize) -> sys::Sys<Vec<std::ffi::OsString>> {
    let mut bytes = vec![0; room];
    let (length, _) = sys::getdirentries(fd, &mut bytes)?;
    let mut names = Vec::new();
    let mut rest = &bytes[..length];
    while let [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, low, high, _, name @ ..] = rest {
        let end = name.iter().position(|byte| *byte == 0).expect("a NUL");
        names.push(std::ffi::OsStr::from_bytes(&name[..end]).to_owned());
        rest = &rest[usize::from(u16::from_ne_bytes([*low, *high]))..];
    }
    assert!(rest.is_empty(), "records are whole");
    names.retain(|name| name != "." && name != "..");
    Ok(names)
}

fn removing_what_a_part_has_removes_all(d: &Dir) -> Outcome {
    make_files(d, 2000);
    let fd = sys::open(d.path(), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    loop {
        let names = part(&fd, 4096)?;
        if names.is_empty() {
            break;
        }
        names.iter().try_for_each(|name| sys::unlink(d.path().join(name)))?;
    }
    assert!(sys::names_in(d.path())?.is_empty());
    Ok(())
}

fn what_comes_meanwhile_hides_and_repeats_no_name(d: &Dir) -> Outcome {
    let expected = make_files(d, 500);
    let fd = sys::open(d.path(), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    let mut seen = HashSet::new();
    for number in 0.. {
        let names = part(&fd, 1000)?;
        if names.is_empty() {
            break;
        }
        for name in names {
            assert!(seen.insert(name), "once");
        }
        if number < 30 {
            d.file(&format!("a-longer-name-{number}"), b"");
        }
    }
    assert!(seen.is_superset(&expected));
    Ok(())
}

fn any_offset_gives_whole_records(d: &Dir) -> Outcome {
    make_files(d, 100);
    let fd = sys::open(d.path(), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    for offset in (0..5000).step_by(8) {
        sys::lseek(&fd, offset, libc::SEEK_SET)?;
        assert!(part(&fd, 1 << 16)?.len() <= 100);
    }
    fails!(EINVAL, sys::lseek(&fd, 0, libc::SEEK_SET).and_then(|_| part(&fd, 8)));
    Ok(())
}

fn threads_share_a_stream(d: &Dir) -> Outcome {
    let mut expected: Vec<_> = make_files(d, 1000).into_iter().chain([".".into(), "..".into()]).collect();
    expected.sort();
    for _ in 0..20 {
        let mut names = sys::names_read_together(d.path(), 4)?;
        names.sort();
        assert!(names == expected, "{} names, each once", names.len());
    }
    Ok(())
}

#[cfg(target_arch = "x86_64")]
fn the_older_call_has_the_type_behind_the_name(d: &Dir) -> Outcome {
    /// What a record has before its name: inode, offset, length.
    const HEAD: usize = 18;
    d.file("file", b"");
    d.dir("directory");
    let fd = sys::open(d.path(), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    let mut room = [0; 1000];
    fails!(EINVAL, sys::old_getdents(&fd, &mut room[..HEAD]));
    let length = sys::old_getdents(&fd, &mut room)?;
    let (mut found, mut rest) = (Vec::new(), &room[..length]);
    while !rest.is_empty() {
        let (record, behind) = rest.split_at(u16::from_ne_bytes([rest[16], rest[17]]).into());
        let inode = u64::from_ne_bytes(record[..8].try_into().expect("eight bytes"));
        let name = record[HEAD..].split(|b| *b == 0).next().expect("a name");
        assert_eq!(inode, sys::lstat(std::ffi::OsStr::from_bytes(name))?.st_ino);
        found.push((name.to_vec(), *record.last().expect("a type")));
        rest = behind;
    }
    found.sort();
    let (dir, file) = (libc::DT_DIR, libc::DT_REG);
    let expected = [(b".".to_vec(), dir), (b"..".to_vec(), dir), (b"directory".to_vec(), dir), (b"file".to_vec(), file)];
    assert_eq!(found, expected);
    assert_eq!(sys::old_getdents(&fd, &mut room)?, 0);
    fails!(ENOTDIR, sys::old_getdents(&sys::open(d.at("file"), libc::O_RDONLY, 0)?, &mut room));
    fails!(EBADF, sys::old_getdents(&sys::open(d.path(), libc::O_PATH, 0)?, &mut room));
    Ok(())
}

#[cfg(not(target_arch = "x86_64"))]
fn the_older_call_has_the_type_behind_the_name(_: &Dir) -> Outcome {
    crate::case::skip("there is no older call")
}
