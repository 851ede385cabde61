//! The errors of `open`, and which of two comes first.

use crate::case::{Dir, Outcome, cases, fails};
use crate::sys;
use libc::{O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_PATH, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY};

cases![
    missing_file_is_enoent,
    missing_directory_is_enoent_even_with_o_creat,
    empty_path_is_enoent,
    file_as_directory_is_enotdir,
    trailing_slash_on_a_file_is_enotdir,
    trailing_slash_with_o_creat_is_eisdir,
    o_directory_on_a_file_is_enotdir,
    o_directory_with_o_creat_is_einval_or_enotdir,
    writing_a_directory_is_eisdir,
    creating_over_a_directory_is_eisdir_without_excl_and_eexist_with,
    excl_on_any_symlink_is_eexist,
    creating_through_a_dangling_symlink_makes_its_target,
    nofollow_on_a_symlink_is_eloop,
    nofollow_with_directory_on_a_symlink_is_enotdir,
    nofollow_only_looks_at_the_last_part,
    symlink_loop_is_eloop,
    forty_one_links_are_eloop_and_forty_are_not,
    name_of_256_bytes_is_enametoolong,
    path_of_4096_bytes_is_enametoolong,
    bad_address_is_efault,
    exhausted_descriptors_are_emfile,
    failed_truncation_leaves_the_file,
    a_directory_is_not_read_past_the_cache,
    a_file_without_a_name_is_for_writing_wherever_it_is_asked_for,
    fifo_for_writing_without_reader_is_enxio,
    dotdot_of_a_missing_directory_is_enoent,
    creating_what_exists_with_a_slash_is_eisdir,
    creating_a_directory_by_open_is_einval,
];

fn creating_what_exists_with_a_slash_is_eisdir(d: &Dir) -> Outcome {
    d.file("f", b"");
    d.dir("dir");
    sys::symlink("loop", d.at("loop"))?;
    sys::symlink("none", d.at("dangling"))?;
    for name in ["f/", "dir/", "loop/", "dangling/", "new/"] {
        for flags in [O_RDWR | O_CREAT, O_RDWR | O_CREAT | O_EXCL] {
            assert_eq!(sys::open(d.at(name), flags, 0o600).err(), Some(sys::EISDIR), "{name} {flags:o}");
        }
    }
    fails!(ENOENT, sys::open(d.at("none/new/"), O_RDWR | O_CREAT, 0o600));
    fails!(ENOTDIR, sys::open(d.at("f/new/"), O_RDWR | O_CREAT, 0o600));
    fails!(EEXIST, sys::open(d.at("dir/."), O_RDWR | O_CREAT | O_EXCL, 0o600));
    Ok(())
}

fn creating_a_directory_by_open_is_einval(d: &Dir) -> Outcome {
    d.file("f", b"");
    d.dir("dir");
    // Linux before 6.3 made a file and then failed, or opened it.
    if sys::open(d.at("probe"), O_RDONLY | O_CREAT | O_DIRECTORY, 0o600).err() != Some(sys::EINVAL) {
        return crate::case::skip("an older kernel");
    }
    for name in ["f", "dir", "new", "none/new", "f/x"] {
        fails!(EINVAL, sys::open(d.at(name), O_RDONLY | O_CREAT | O_DIRECTORY, 0o600));
    }
    assert_eq!(sys::names_in(d.path())?, ["dir", "f"]);
    Ok(())
}

fn missing_file_is_enoent(d: &Dir) -> Outcome {
    fails!(ENOENT, sys::open(d.at("no"), O_RDONLY, 0));
    fails!(ENOENT, sys::open(d.at("no"), O_RDWR | O_TRUNC, 0));
    fails!(ENOENT, sys::open(d.at("no"), O_PATH, 0));
    Ok(())
}

fn missing_directory_is_enoent_even_with_o_creat(d: &Dir) -> Outcome {
    fails!(ENOENT, sys::open(d.at("no/f"), O_RDWR | O_CREAT, 0o600));
    assert!(sys::names_in(d.path())?.is_empty());
    Ok(())
}

fn empty_path_is_enoent(_: &Dir) -> Outcome {
    fails!(ENOENT, sys::open("", O_RDONLY, 0));
    fails!(ENOENT, sys::open("", O_RDWR | O_CREAT, 0o600));
    fails!(ENOENT, sys::stat(""));
    Ok(())
}

fn file_as_directory_is_enotdir(d: &Dir) -> Outcome {
    d.file("f", b"");
    fails!(ENOTDIR, sys::open(d.at("f/x"), O_RDONLY, 0));
    fails!(ENOTDIR, sys::open(d.at("f/x"), O_RDWR | O_CREAT, 0o600));
    fails!(ENOTDIR, sys::open(d.at("f/."), O_RDONLY, 0));
    fails!(ENOTDIR, sys::open(d.at("f/.."), O_RDONLY, 0));
    Ok(())
}

fn trailing_slash_on_a_file_is_enotdir(d: &Dir) -> Outcome {
    d.file("f", b"");
    sys::symlink("f", d.at("l"))?;
    fails!(ENOTDIR, sys::open(d.at("f/"), O_RDONLY, 0));
    fails!(ENOTDIR, sys::stat(d.at("f/")));
    fails!(ENOTDIR, sys::lstat(d.at("l/")));
    fails!(ENOTDIR, sys::unlink(d.at("f/")));
    fails!(ENOENT, sys::open(d.at("no/"), O_RDONLY, 0));
    Ok(())
}

fn trailing_slash_with_o_creat_is_eisdir(d: &Dir) -> Outcome {
    fails!(EISDIR, sys::open(d.at("new/"), O_RDWR | O_CREAT, 0o600));
    d.dir("dir");
    fails!(EISDIR, sys::open(d.at("dir/"), O_RDWR | O_CREAT, 0o600));
    Ok(())
}

fn o_directory_on_a_file_is_enotdir(d: &Dir) -> Outcome {
    d.file("f", b"");
    fails!(ENOTDIR, sys::open(d.at("f"), O_RDONLY | O_DIRECTORY, 0));
    fails!(ENOTDIR, sys::open(d.at("f"), O_RDWR | O_DIRECTORY, 0));
    fails!(ENOENT, sys::open(d.at("no"), O_RDONLY | O_DIRECTORY, 0));
    Ok(())
}

fn o_directory_with_o_creat_is_einval_or_enotdir(d: &Dir) -> Outcome {
    // EINVAL since Linux 6.4; before that the file was made or the answer was ENOTDIR.
    d.file("f", b"");
    let answer = sys::open(d.at("f"), O_RDWR | O_CREAT | O_DIRECTORY, 0o600).err();
    assert!(
        answer == Some(sys::EINVAL) || answer == Some(sys::ENOTDIR),
        "{answer:?}"
    );
    Ok(())
}

fn writing_a_directory_is_eisdir(d: &Dir) -> Outcome {
    d.dir("dir");
    fails!(EISDIR, sys::open(d.at("dir"), O_WRONLY, 0));
    fails!(EISDIR, sys::open(d.at("dir"), O_RDWR, 0));
    fails!(EISDIR, sys::open(d.at("dir"), O_RDONLY | O_TRUNC, 0));
    fails!(EISDIR, sys::open(d.at("dir"), O_RDWR | O_DIRECTORY, 0));
    Ok(())
}

fn creating_over_a_directory_is_eisdir_without_excl_and_eexist_with(d: &Dir) -> Outcome {
    d.dir("dir");
    fails!(EISDIR, sys::open(d.at("dir"), O_RDONLY | O_CREAT, 0o600));
    fails!(EISDIR, sys::open(d.at("dir"), O_RDWR | O_CREAT, 0o600));
    fails!(
        EEXIST,
        sys::open(d.at("dir"), O_RDWR | O_CREAT | O_EXCL, 0o600)
    );
    Ok(())
}

fn excl_on_any_symlink_is_eexist(d: &Dir) -> Outcome {
    d.file("f", b"");
    sys::symlink("f", d.at("good"))?;
    sys::symlink("no", d.at("dangling"))?;
    for link in ["good", "dangling"] {
        fails!(
            EEXIST,
            sys::open(d.at(link), O_RDWR | O_CREAT | O_EXCL, 0o600)
        );
    }
    fails!(ENOENT, sys::stat(d.at("no")));
    Ok(())
}

fn creating_through_a_dangling_symlink_makes_its_target(d: &Dir) -> Outcome {
    sys::symlink("target", d.at("l"))?;
    sys::open(d.at("l"), O_RDWR | O_CREAT, 0o600)?.close()?;
    assert_eq!(
        sys::lstat(d.at("target"))?.st_mode & libc::S_IFMT,
        libc::S_IFREG
    );
    Ok(())
}

fn nofollow_on_a_symlink_is_eloop(d: &Dir) -> Outcome {
    d.file("f", b"");
    sys::symlink("f", d.at("l"))?;
    fails!(ELOOP, sys::open(d.at("l"), O_RDONLY | O_NOFOLLOW, 0));
    fails!(
        ELOOP,
        sys::open(d.at("l"), O_RDWR | O_CREAT | O_NOFOLLOW, 0o600)
    );
    sys::open(d.at("f"), O_RDONLY | O_NOFOLLOW, 0)?.close()?;
    Ok(())
}

fn nofollow_with_directory_on_a_symlink_is_enotdir(d: &Dir) -> Outcome {
    d.dir("dir");
    sys::symlink("dir", d.at("l"))?;
    fails!(
        ENOTDIR,
        sys::open(d.at("l"), O_RDONLY | O_NOFOLLOW | O_DIRECTORY, 0)
    );
    Ok(())
}

fn nofollow_only_looks_at_the_last_part(d: &Dir) -> Outcome {
    d.dir("dir");
    d.file("dir/f", b"");
    sys::symlink("dir", d.at("l"))?;
    sys::open(d.at("l/f"), O_RDONLY | O_NOFOLLOW, 0)?.close()?;
    Ok(())
}

fn symlink_loop_is_eloop(d: &Dir) -> Outcome {
    sys::symlink("b", d.at("a"))?;
    sys::symlink("a", d.at("b"))?;
    sys::symlink("self", d.at("self"))?;
    fails!(ELOOP, sys::open(d.at("a"), O_RDONLY, 0));
    fails!(ELOOP, sys::open(d.at("self"), O_RDWR | O_CREAT, 0o600));
    fails!(ELOOP, sys::stat(d.at("a/x")));
    Ok(())
}

fn forty_one_links_are_eloop_and_forty_are_not(d: &Dir) -> Outcome {
    d.file("l0", b"end");
    for step in 1..=41 {
        sys::symlink(format!("l{}", step - 1), d.at(&format!("l{step}")))?;
    }
    sys::open(d.at("l40"), O_RDONLY, 0)?.close()?;
    fails!(ELOOP, sys::open(d.at("l41"), O_RDONLY, 0));
    Ok(())
}

fn name_of_256_bytes_is_enametoolong(d: &Dir) -> Outcome {
    let name = "n".repeat(256);
    fails!(ENAMETOOLONG, sys::open(d.at(&name), O_RDONLY, 0));
    fails!(
        ENAMETOOLONG,
        sys::open(d.at(&name), O_RDWR | O_CREAT, 0o600)
    );
    fails!(ENAMETOOLONG, sys::mkdir(d.at(&name), 0o755));
    fails!(ENAMETOOLONG, sys::symlink("x", d.at(&name)));
    fails!(ENOENT, sys::open(d.at("no").join(&name), O_RDONLY, 0));
    Ok(())
}

fn path_of_4096_bytes_is_enametoolong(d: &Dir) -> Outcome {
    let start = d.path().to_string_lossy().into_owned();
    let padded = |length: usize| format!("{start}/{}f", "/".repeat(length - start.len() - 2));
    fails!(ENAMETOOLONG, sys::open(padded(4096), O_RDONLY, 0));
    fails!(ENOENT, sys::open(padded(4095), O_RDONLY, 0));
    sys::open(padded(4095), O_RDWR | O_CREAT, 0o600)?.close()?;
    sys::stat(d.at("f"))?;
    Ok(())
}

fn bad_address_is_efault(_: &Dir) -> Outcome {
    fails!(EFAULT, sys::open_bad_address());
    Ok(())
}

fn exhausted_descriptors_are_emfile(d: &Dir) -> Outcome {
    d.file("f", b"");
    sys::limit(libc::RLIMIT_NOFILE, 64)?;
    let mut held = Vec::new();
    let refused = loop {
        match sys::open(d.at("f"), O_RDONLY, 0) {
            Ok(fd) => held.push(fd),
            Err(errno) => break errno,
        }
    };
    assert_eq!(refused, sys::EMFILE);
    fails!(EMFILE, sys::open(d.at("new"), O_RDWR | O_CREAT, 0o600));
    held.pop();
    sys::open(d.at("f"), O_RDONLY, 0)?.close()?;
    Ok(())
}

fn failed_truncation_leaves_the_file(d: &Dir) -> Outcome {
    d.file("f", b"content");
    fails!(
        ENOTDIR,
        sys::open(d.at("f"), O_RDWR | O_TRUNC | O_DIRECTORY, 0)
    );
    fails!(
        EEXIST,
        sys::open(d.at("f"), O_RDWR | O_TRUNC | O_CREAT | O_EXCL, 0o600)
    );
    assert_eq!(sys::stat(d.at("f"))?.st_size, 7);
    Ok(())
}

fn a_directory_is_not_read_past_the_cache(d: &Dir) -> Outcome {
    fails!(EINVAL, sys::open(d.path(), O_RDONLY | libc::O_DIRECT, 0));
    fails!(EINVAL, sys::open(d.path(), O_RDONLY | libc::O_DIRECT | O_DIRECTORY, 0));
    let dir = sys::open(d.path(), O_RDONLY, 0)?;
    fails!(EINVAL, sys::fcntl(&dir, libc::F_SETFL, libc::O_DIRECT | libc::O_NONBLOCK));
    assert_eq!(sys::fcntl(&dir, libc::F_GETFL, 0)? & (libc::O_DIRECT | libc::O_NONBLOCK), 0);
    Ok(())
}

fn a_file_without_a_name_is_for_writing_wherever_it_is_asked_for(d: &Dir) -> Outcome {
    d.file("f", b"");
    for name in ["f", "no", "no/no", "f/no", "."] {
        fails!(EINVAL, sys::open(d.at(name), libc::O_TMPFILE | O_RDONLY, 0o600));
        fails!(EINVAL, sys::open(d.at(name), libc::O_TMPFILE & !O_DIRECTORY | O_RDWR, 0o600));
    }
    Ok(())
}

fn fifo_for_writing_without_reader_is_enxio(d: &Dir) -> Outcome {
    sys::mkfifo(d.at("p"), 0o600)?;
    assert_eq!(sys::stat(d.at("p"))?.st_mode & libc::S_IFMT, libc::S_IFIFO);
    fails!(ENXIO, sys::open(d.at("p"), O_WRONLY | libc::O_NONBLOCK, 0));
    Ok(())
}

fn dotdot_of_a_missing_directory_is_enoent(d: &Dir) -> Outcome {
    fails!(ENOENT, sys::open(d.at("no/.."), O_RDONLY, 0));
    fails!(ENOENT, sys::stat(d.at("no/.")));
    Ok(())
}
