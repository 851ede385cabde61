//! Names come and go; a file lives as long as a name or a descriptor.

use crate::case::{Dir, Outcome, cases, content, fails, pattern, write_all};
use crate::sys;

cases![
    unlinked_open_file_keeps_its_content,
    unlinked_open_file_can_still_grow,
    a_new_file_of_the_same_name_is_another_one,
    file_open_in_another_process_survives_unlink,
    link_count_follows_the_names,
    hard_links_are_one_file,
    link_does_not_follow_a_symlink_unless_asked,
    link_errors,
    unlink_errors,
    unlink_removes_the_symlink_not_its_target,
    remove_removes_files_and_directories,
    link_to_an_unlinked_open_file_is_enoent,
    unlink_changes_the_times_of_the_directory,
    ten_thousand_files_come_and_go,
    links_to_what_is_missing_are_enoent_whatever_the_new_name,
];

fn unlinked_open_file_keeps_its_content(d: &Dir) -> Outcome {
    let bytes = pattern(100_000, 3);
    let fd = d.open("f", &bytes);
    sys::unlink(d.at("f"))?;
    fails!(ENOENT, sys::stat(d.at("f")));
    assert_eq!(sys::fstat(&fd)?.st_nlink, 0);
    let mut back = vec![0; 100_000];
    assert_eq!(sys::read(&fd, &mut back)?, 100_000);
    assert!(back == bytes);
    Ok(())
}

fn unlinked_open_file_can_still_grow(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    sys::unlink(d.at("f"))?;
    sys::pwrite(&fd, &[9; 50_000], 1000)?;
    sys::ftruncate(&fd, 60_000)?;
    sys::fsync(&fd)?;
    let mut back = vec![1; 70_000];
    assert_eq!(sys::pread(&fd, &mut back, 0)?, 60_000);
    assert_eq!((back[0], back[1000], back[59_999]), (b'a', 9, 0));
    Ok(())
}

fn a_new_file_of_the_same_name_is_another_one(d: &Dir) -> Outcome {
    let old = d.open("f", b"old");
    sys::unlink(d.at("f"))?;
    let new = d.open("f", b"new");
    assert_ne!(sys::fstat(&old)?.st_ino, sys::fstat(&new)?.st_ino);
    let mut bytes = [0; 3];
    sys::pread(&old, &mut bytes, 0)?;
    assert_eq!(&bytes, b"old");
    sys::pread(&new, &mut bytes, 0)?;
    assert_eq!(&bytes, b"new");
    Ok(())
}

fn file_open_in_another_process_survives_unlink(d: &Dir) -> Outcome {
    d.file("f", b"abc");
    let (ready_out, ready_in) = sys::pipe(0)?;
    let (go_out, go_in) = sys::pipe(0)?;
    let child = sys::fork(|| {
        let fd = sys::open(d.at("f"), libc::O_RDWR, 0).expect("open");
        write_all(&ready_in, b"r");
        sys::read(&go_out, &mut [0; 1]).expect("a byte");
        let mut bytes = [0; 3];
        assert_eq!(sys::pread(&fd, &mut bytes, 0), Ok(3));
        assert_eq!(&bytes, b"abc");
        write_all(&fd, b"more than before");
        assert_eq!(sys::fstat(&fd).expect("fstat").st_nlink, 0);
    });
    sys::read(&ready_out, &mut [0; 1])?;
    sys::unlink(d.at("f"))?;
    d.file("g", &[7; 10_000]);
    write_all(&go_in, b"g");
    child.succeeds();
    assert!(content(d.at("g")) == [7; 10_000]);
    Ok(())
}

fn link_count_follows_the_names(d: &Dir) -> Outcome {
    let fd = d.open("a", b"abc");
    for (count, name) in [(2, "b"), (3, "c")] {
        sys::link(d.at("a"), d.at(name))?;
        assert_eq!(sys::fstat(&fd)?.st_nlink, count);
    }
    sys::unlink(d.at("a"))?;
    assert_eq!(sys::stat(d.at("b"))?.st_nlink, 2);
    sys::rename(d.at("b"), d.at("c"))?;
    assert_eq!(
        sys::names_in(d.path())?,
        ["b", "c"],
        "renaming a link onto its twin does nothing"
    );
    Ok(())
}

fn hard_links_are_one_file(d: &Dir) -> Outcome {
    d.file("a", b"abc");
    sys::link(d.at("a"), d.at("b"))?;
    sys::truncate(d.at("a"), 1)?;
    sys::chmod(d.at("a"), 0o600)?;
    let stat = sys::stat(d.at("b"))?;
    assert_eq!((stat.st_size, stat.st_mode & 0o777), (1, 0o600));
    assert_eq!(stat.st_ino, sys::stat(d.at("a"))?.st_ino);
    Ok(())
}

fn link_does_not_follow_a_symlink_unless_asked(d: &Dir) -> Outcome {
    d.file("f", b"abc");
    sys::symlink("f", d.at("l"))?;
    sys::link(d.at("l"), d.at("copy"))?;
    assert_eq!(sys::readlink(d.at("copy"), 100)?, "f");
    let (here, follow) = (libc::AT_FDCWD, libc::AT_SYMLINK_FOLLOW);
    sys::linkat(here, d.at("l"), here, d.at("followed"), follow)?;
    assert_eq!(
        sys::lstat(d.at("followed"))?.st_ino,
        sys::stat(d.at("f"))?.st_ino
    );
    Ok(())
}

fn link_errors(d: &Dir) -> Outcome {
    d.file("f", b"");
    d.dir("dir");
    fails!(EEXIST, sys::link(d.at("f"), d.at("f")));
    fails!(EEXIST, sys::link(d.at("f"), d.at("dir")));
    fails!(EPERM, sys::link(d.at("dir"), d.at("new")));
    fails!(ENOENT, sys::link(d.at("no"), d.at("new")));
    fails!(ENOENT, sys::link(d.at("f"), d.at("no/new")));
    fails!(ENOTDIR, sys::link(d.at("f"), d.at("f/new")));
    fails!(ENOENT, sys::link(d.at("f"), d.at("new/")));
    fails!(EINVAL, sys::linkat(libc::AT_FDCWD, d.at("f"), libc::AT_FDCWD, d.at("new"), libc::AT_SYMLINK_NOFOLLOW));
    Ok(())
}

fn unlink_errors(d: &Dir) -> Outcome {
    d.file("f", b"");
    d.dir("dir");
    fails!(ENOENT, sys::unlink(d.at("no")));
    fails!(ENOENT, sys::unlink(""));
    fails!(ENOTDIR, sys::unlink(d.at("f/x")));
    fails!(EISDIR, sys::unlink(d.at("dir")));
    fails!(EISDIR, sys::unlink(d.at("dir/.")));
    fails!(
        ENOTDIR,
        sys::unlinkat(libc::AT_FDCWD, d.at("f"), libc::AT_REMOVEDIR)
    );
    fails!(
        EINVAL,
        sys::unlinkat(libc::AT_FDCWD, d.at("f"), 0x4000_0000)
    );
    Ok(())
}

fn unlink_removes_the_symlink_not_its_target(d: &Dir) -> Outcome {
    d.file("f", b"abc");
    sys::symlink("f", d.at("l"))?;
    sys::unlink(d.at("l"))?;
    assert_eq!(sys::names_in(d.path())?, ["f"]);
    Ok(())
}

fn remove_removes_files_and_directories(d: &Dir) -> Outcome {
    d.file("f", b"");
    d.dir("dir");
    sys::remove(d.at("f"))?;
    sys::remove(d.at("dir"))?;
    assert!(sys::names_in(d.path())?.is_empty());
    Ok(())
}

fn link_to_an_unlinked_open_file_is_enoent(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    sys::unlink(d.at("f"))?;
    let name = format!("/proc/self/fd/{}", sys::Raw::raw(&fd));
    let here = libc::AT_FDCWD;
    fails!(
        ENOENT,
        sys::linkat(here, name, here, d.at("new"), libc::AT_SYMLINK_FOLLOW)
    );
    Ok(())
}

fn unlink_changes_the_times_of_the_directory(d: &Dir) -> Outcome {
    d.dir("dir");
    let fd = d.open("dir/f", b"");
    sys::utimensat(d.at("dir"), (1, 0), (1, 0), 0)?;
    sys::utimensat(d.at("dir/f"), (1, 0), (1, 0), 0)?;
    sys::unlink(d.at("dir/f"))?;
    assert!(sys::stat(d.at("dir"))?.st_mtime > 1);
    assert_eq!(
        sys::fstat(&fd)?.st_mtime,
        1,
        "the file itself only gets a new ctime"
    );
    Ok(())
}

fn ten_thousand_files_come_and_go(d: &Dir) -> Outcome {
    for number in 0..10_000 {
        sys::creat(d.at(&format!("file-{number}")), 0o600)?.close()?;
    }
    assert_eq!(sys::names_in(d.path())?.len(), 10_000);
    for number in 0..10_000 {
        sys::unlink(d.at(&format!("file-{number}")))?;
    }
    assert!(sys::names_in(d.path())?.is_empty());
    Ok(())
}

fn links_to_what_is_missing_are_enoent_whatever_the_new_name(d: &Dir) -> Outcome {
    d.file("f", b"");
    fails!(ENOENT, sys::link(d.at("no"), d.at("f/g")));
    fails!(ENOENT, sys::link(d.at("no"), d.at("f")));
    fails!(ENOTDIR, sys::link(d.at("f"), d.at("f/g")));
    fails!(ENOTDIR, sys::link(d.at("f/"), d.at("no/g")));
    Ok(())
}
