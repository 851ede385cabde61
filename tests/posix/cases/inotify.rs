//! inotify: what those who watch a file or directory are told.

use crate::case::{Dir, Outcome, cases, fails, skip, write_all};
use crate::sys::{self, Event, Fd};
use libc::*;
use std::path::Path;

cases![
    making_and_removing_names_in_a_directory,
    moving_within_a_directory_has_one_cookie,
    moving_in_and_out_of_a_directory,
    moving_over_a_file_and_exchanging,
    moving_between_watched_directories,
    writing_truncating_and_allocating_modify,
    opening_and_closing_a_file,
    descriptors_that_are_duplicated_close_once,
    attributes_change,
    links_change_attributes_and_make_names,
    a_watched_file_is_told_of_its_own_end,
    a_watched_file_is_told_of_its_moves,
    a_watched_directory_is_told_of_its_own,
    a_file_and_its_directory_are_watched_at_once,
    changes_by_other_processes_are_told,
    changes_through_descriptors_opened_before_are_told,
    sockets_fifos_and_symbolic_links_are_names,
    a_watch_can_be_removed_changed_and_used_once,
    polling_waits_for_an_event,
    watching_needs_what_the_kernel_wants,
    a_child_reads_the_events_of_its_parent,
    watches_of_two_descriptors_see_the_same,
    files_stay_readable_and_writable_while_watched,
    an_executed_program_gets_a_watched_file,
];

const ALL: u32 = IN_ALL_EVENTS;
/// What the kernel also tells of directories that are listed or entered is not FLAC's to tell.
const NAMES: u32 = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB | IN_MODIFY;

fn watching(path: &Path, mask: u32) -> sys::Sys<(Fd, i32)> {
    let fd = sys::inotify_init()?;
    let watch = sys::inotify_add_watch(&fd, path, mask)?;
    Ok((fd, watch))
}

/// What has been told: what happened and the name; a directory's name ends with a slash.
fn told(fd: &Fd) -> Vec<(u32, String)> {
    let name = |e: &Event| format!("{}{}", e.name, if e.is_dir { "/" } else { "" });
    sys::inotify_events(fd).iter().map(|e| (e.mask, name(e))).collect()
}

/// Asserts what has been told.
macro_rules! is_told {
    ($fd:expr $(, $mask:ident $name:literal)* $(,)?) => {{
        let wanted: Vec<(u32, String)> = vec![$(($mask, $name.to_owned())),*];
        assert_eq!(told($fd), wanted);
    }};
}

fn making_and_removing_names_in_a_directory(d: &Dir) -> Outcome {
    d.file("old", b"x");
    d.dir("sub");
    let (fd, watch) = watching(d.path(), NAMES)?;
    assert!(watch > 0);
    is_told!(&fd);
    d.file("f", b"");
    d.dir("dir");
    sys::unlink(d.at("old"))?;
    is_told!(&fd, IN_CREATE "f", IN_CREATE "dir/", IN_DELETE "old");
    sys::rmdir(d.at("sub"))?;
    sys::rmdir(d.at("dir"))?;
    sys::unlink(d.at("f"))?;
    is_told!(&fd, IN_DELETE "sub/", IN_DELETE "dir/", IN_DELETE "f");
    d.dir("dir");
    d.file("dir/below", b"x");
    is_told!(&fd, IN_CREATE "dir/");
    Ok(())
}

fn moving_within_a_directory_has_one_cookie(d: &Dir) -> Outcome {
    d.file("a", b"");
    d.dir("dir");
    let (fd, _) = watching(d.path(), NAMES)?;
    sys::rename(d.at("a"), d.at("b"))?;
    sys::rename(d.at("dir"), d.at("moved"))?;
    let events = sys::inotify_events(&fd);
    let names: Vec<_> = events.iter().map(|e| (e.mask, e.name.as_str(), e.is_dir)).collect();
    assert_eq!(
        names,
        [(IN_MOVED_FROM, "a", false), (IN_MOVED_TO, "b", false), (IN_MOVED_FROM, "dir", true), (IN_MOVED_TO, "moved", true)]
    );
    assert!(events[0].cookie != 0 && events[0].cookie == events[1].cookie);
    assert!(events[2].cookie == events[3].cookie && events[2].cookie != events[0].cookie);
    write_all(sys::open(d.at("b"), O_WRONLY, 0)?, b"x");
    is_told!(&fd, IN_MODIFY "b");
    Ok(())
}

fn moving_in_and_out_of_a_directory(d: &Dir) -> Outcome {
    d.dir("watched");
    d.dir("other");
    d.file("watched/f", b"");
    d.dir("watched/dir");
    let (fd, _) = watching(&d.at("watched"), NAMES)?;
    sys::rename(d.at("watched/f"), d.at("other/g"))?;
    sys::rename(d.at("watched/dir"), d.at("other/dir"))?;
    is_told!(&fd, IN_MOVED_FROM "f", IN_MOVED_FROM "dir/");
    write_all(sys::open(d.at("other/g"), O_WRONLY, 0)?, b"x");
    is_told!(&fd);
    sys::rename(d.at("other/g"), d.at("watched/h"))?;
    sys::rename(d.at("other/dir"), d.at("watched/again"))?;
    d.file("other/new", b"");
    sys::rename(d.at("other/new"), d.at("watched/new"))?;
    is_told!(&fd, IN_MOVED_TO "h", IN_MOVED_TO "again/", IN_MOVED_TO "new");
    write_all(sys::open(d.at("watched/h"), O_WRONLY, 0)?, b"x");
    sys::unlink(d.at("watched/new"))?;
    sys::rmdir(d.at("watched/again"))?;
    is_told!(&fd, IN_MODIFY "h", IN_DELETE "new", IN_DELETE "again/");
    Ok(())
}

fn moving_over_a_file_and_exchanging(d: &Dir) -> Outcome {
    d.file("a", b"a");
    d.file("b", b"b");
    d.file("c", b"c");
    let (fd, _) = watching(d.path(), NAMES)?;
    sys::rename(d.at("a"), d.at("b"))?;
    is_told!(&fd, IN_MOVED_FROM "a", IN_MOVED_TO "b");
    sys::renameat2(d.at("b"), d.at("c"), RENAME_EXCHANGE)?;
    is_told!(&fd, IN_MOVED_FROM "b", IN_MOVED_TO "c", IN_MOVED_FROM "c", IN_MOVED_TO "b");
    sys::truncate(d.at("b"), 0)?;
    is_told!(&fd, IN_MODIFY "b");
    Ok(())
}

fn moving_between_watched_directories(d: &Dir) -> Outcome {
    d.dir("one");
    d.dir("two");
    d.file("one/f", b"");
    let fd = sys::inotify_init()?;
    let one = sys::inotify_add_watch(&fd, d.at("one"), NAMES)?;
    let two = sys::inotify_add_watch(&fd, d.at("two"), NAMES)?;
    sys::rename(d.at("one/f"), d.at("two/g"))?;
    let events = sys::inotify_events(&fd);
    let seen: Vec<_> = events.iter().map(|e| (e.watch, e.mask, e.name.as_str())).collect();
    assert_eq!(seen, [(one, IN_MOVED_FROM, "f"), (two, IN_MOVED_TO, "g")]);
    assert_eq!(events[0].cookie, events[1].cookie);
    Ok(())
}

fn writing_truncating_and_allocating_modify(d: &Dir) -> Outcome {
    let file = d.open("f", b"content");
    let (fd, _) = watching(d.path(), NAMES | IN_ACCESS)?;
    write_all(&file, b"x");
    is_told!(&fd, IN_MODIFY "f");
    sys::ftruncate(&file, 100)?;
    is_told!(&fd, IN_MODIFY "f");
    sys::truncate(d.at("f"), 10)?;
    is_told!(&fd, IN_MODIFY "f");
    sys::pwrite(&file, b"", 0)?;
    is_told!(&fd);
    sys::fallocate(&file, 0, 0, 8192)?;
    is_told!(&fd, IN_MODIFY "f");
    sys::pread(&file, &mut [0; 4], 0)?;
    is_told!(&fd, IN_ACCESS "f");
    Ok(())
}

fn opening_and_closing_a_file(d: &Dir) -> Outcome {
    d.file("f", b"content");
    let (fd, _) = watching(d.path(), ALL)?;
    let file = sys::open(d.at("f"), O_RDONLY, 0)?;
    is_told!(&fd, IN_OPEN "f");
    file.close()?;
    is_told!(&fd, IN_CLOSE_NOWRITE "f");
    let file = sys::open(d.at("f"), O_RDWR, 0)?;
    write_all(&file, b"x");
    file.close()?;
    is_told!(&fd, IN_OPEN "f", IN_MODIFY "f", IN_CLOSE_WRITE "f");
    d.file("new", b"x");
    is_told!(&fd, IN_CREATE "new", IN_OPEN "new", IN_MODIFY "new", IN_CLOSE_WRITE "new");
    sys::open(d.at("f"), O_WRONLY | O_TRUNC, 0)?.close()?;
    is_told!(&fd, IN_OPEN "f", IN_MODIFY "f", IN_CLOSE_WRITE "f");
    sys::open(d.at("new2"), O_WRONLY | O_CREAT | O_TRUNC, 0o600)?.close()?;
    is_told!(&fd, IN_CREATE "new2", IN_OPEN "new2", IN_CLOSE_WRITE "new2");
    sys::open(d.at("f"), O_PATH, 0)?.close()?;
    is_told!(&fd);
    Ok(())
}

fn descriptors_that_are_duplicated_close_once(d: &Dir) -> Outcome {
    d.file("f", b"content");
    let (fd, _) = watching(d.path(), ALL)?;
    let file = sys::open(d.at("f"), O_RDWR, 0)?;
    let second = sys::dup(&file)?;
    file.close()?;
    is_told!(&fd, IN_OPEN "f");
    let child = sys::fork(|| write_all(&second, b"child"));
    child.succeeds();
    is_told!(&fd, IN_MODIFY "f");
    second.close()?;
    is_told!(&fd, IN_CLOSE_WRITE "f");
    Ok(())
}

fn attributes_change(d: &Dir) -> Outcome {
    d.file("f", b"");
    d.dir("dir");
    let (fd, _) = watching(d.path(), NAMES)?;
    sys::chmod(d.at("f"), 0o600)?;
    is_told!(&fd, IN_ATTRIB "f");
    sys::touch(d.at("f"))?;
    is_told!(&fd, IN_ATTRIB "f");
    sys::chmod(d.at("dir"), 0o700)?;
    is_told!(&fd, IN_ATTRIB "dir/");
    sys::setxattr(d.at("f"), "user.x", b"1", 0)?;
    sys::removexattr(d.at("f"), "user.x")?;
    is_told!(&fd, IN_ATTRIB "f");
    if sys::is_root() {
        sys::chown(d.at("f"), 1, 1)?;
        is_told!(&fd, IN_ATTRIB "f");
    }
    sys::chmod(d.path(), 0o750)?;
    is_told!(&fd, IN_ATTRIB "/");
    Ok(())
}

fn links_change_attributes_and_make_names(d: &Dir) -> Outcome {
    d.dir("watched");
    d.file("f", b"");
    d.file("watched/g", b"");
    let (fd, _) = watching(&d.at("watched"), NAMES)?;
    let (of_file, _) = watching(&d.at("f"), NAMES)?;
    sys::link(d.at("f"), d.at("watched/f"))?;
    is_told!(&fd, IN_CREATE "f");
    sys::unlink(d.at("watched/f"))?;
    is_told!(&fd, IN_DELETE "f");
    is_told!(&of_file, IN_ATTRIB "");
    sys::link(d.at("watched/g"), d.at("watched/h"))?;
    sys::unlink(d.at("watched/g"))?;
    is_told!(&fd, IN_CREATE "h", IN_DELETE "g");
    Ok(())
}

fn a_watched_file_is_told_of_its_own_end(d: &Dir) -> Outcome {
    d.file("f", b"content");
    let (fd, watch) = watching(&d.at("f"), ALL)?;
    let file = sys::open(d.at("f"), O_RDWR, 0)?;
    write_all(&file, b"x");
    file.close()?;
    is_told!(&fd, IN_OPEN "", IN_MODIFY "", IN_CLOSE_WRITE "");
    let held = sys::open(d.at("f"), O_RDONLY, 0)?;
    sys::unlink(d.at("f"))?;
    is_told!(&fd, IN_OPEN "", IN_ATTRIB "");
    held.close()?;
    is_told!(&fd, IN_CLOSE_NOWRITE "", IN_DELETE_SELF "", IN_IGNORED "");
    fails!(EINVAL, sys::inotify_rm_watch(&fd, watch));
    Ok(())
}

fn a_watched_file_is_told_of_its_moves(d: &Dir) -> Outcome {
    d.dir("dir");
    d.file("f", b"content");
    d.file("g", b"content");
    let (fd, _) = watching(&d.at("f"), NAMES)?;
    sys::rename(d.at("f"), d.at("h"))?;
    is_told!(&fd, IN_MOVE_SELF "");
    sys::rename(d.at("h"), d.at("dir/f"))?;
    is_told!(&fd, IN_MOVE_SELF "");
    write_all(sys::open(d.at("dir/f"), O_WRONLY, 0)?, b"x");
    is_told!(&fd, IN_MODIFY "");
    sys::rename(d.at("g"), d.at("dir/f"))?;
    is_told!(&fd, IN_ATTRIB "", IN_DELETE_SELF "", IN_IGNORED "");
    Ok(())
}

fn a_watched_directory_is_told_of_its_own(d: &Dir) -> Outcome {
    d.dir("dir");
    let (fd, _) = watching(&d.at("dir"), NAMES)?;
    d.file("dir/f", b"");
    sys::rename(d.at("dir"), d.at("moved"))?;
    is_told!(&fd, IN_CREATE "f", IN_MOVE_SELF "");
    d.file("moved/g", b"");
    sys::rename(d.at("moved"), d.at("again"))?;
    is_told!(&fd, IN_CREATE "g", IN_MOVE_SELF "");
    sys::unlink(d.at("again/f"))?;
    sys::unlink(d.at("again/g"))?;
    sys::rmdir(d.at("again"))?;
    let events = told(&fd);
    assert_eq!(events[..2], [(IN_DELETE, "f".to_owned()), (IN_DELETE, "g".to_owned())]);
    let rest: Vec<u32> = events[2..].iter().map(|(mask, _)| *mask).collect();
    assert_eq!(rest, [IN_DELETE_SELF, IN_IGNORED]);
    Ok(())
}

fn a_file_and_its_directory_are_watched_at_once(d: &Dir) -> Outcome {
    d.file("f", b"");
    d.file("g", b"");
    let (of_dir, _) = watching(d.path(), NAMES | IN_CLOSE_WRITE)?;
    let (of_file, _) = watching(&d.at("f"), NAMES | IN_CLOSE_WRITE)?;
    write_all(sys::open(d.at("f"), O_WRONLY, 0)?, b"x");
    is_told!(&of_dir, IN_MODIFY "f", IN_CLOSE_WRITE "f");
    is_told!(&of_file, IN_MODIFY "", IN_CLOSE_WRITE "");
    sys::rename(d.at("f"), d.at("h"))?;
    is_told!(&of_dir, IN_MOVED_FROM "f", IN_MOVED_TO "h");
    is_told!(&of_file, IN_MOVE_SELF "");
    sys::unlink(d.at("h"))?;
    is_told!(&of_dir, IN_DELETE "h");
    is_told!(&of_file, IN_ATTRIB "", IN_DELETE_SELF "", IN_IGNORED "");
    // Every event of a subdirectory that is watched, too, comes once to each.
    d.dir("sub");
    let (of_sub, _) = watching(&d.at("sub"), NAMES)?;
    d.file("sub/x", b"");
    sys::chmod(d.at("sub"), 0o700)?;
    is_told!(&of_sub, IN_CREATE "x", IN_ATTRIB "/");
    is_told!(&of_dir, IN_CREATE "sub/", IN_ATTRIB "sub/");
    Ok(())
}

fn changes_by_other_processes_are_told(d: &Dir) -> Outcome {
    let (fd, _) = watching(d.path(), ALL)?;
    sys::fork(|| {
        let _ = d.file("f", b"x");
        sys::rename(d.at("f"), d.at("g")).expect("rename");
    })
    .succeeds();
    is_told!(
        &fd, IN_CREATE "f", IN_OPEN "f", IN_MODIFY "f", IN_CLOSE_WRITE "f", IN_MOVED_FROM "f", IN_MOVED_TO "g"
    );
    let child = sys::fork(|| {
        let file = sys::open(d.at("g"), O_RDWR, 0).expect("open");
        write_all(&file, b"y");
        std::thread::sleep(std::time::Duration::from_secs(60));
    });
    for _ in 0..500 {
        std::thread::sleep(std::time::Duration::from_millis(10));
        if sys::poll(&fd, POLLIN, 0)? != 0 {
            break;
        }
    }
    std::thread::sleep(std::time::Duration::from_millis(50));
    is_told!(&fd, IN_OPEN "g", IN_MODIFY "g");
    child.kill(SIGKILL);
    child.wait();
    is_told!(&fd, IN_CLOSE_WRITE "g");
    Ok(())
}

fn changes_through_descriptors_opened_before_are_told(d: &Dir) -> Outcome {
    let file = d.open("f", b"");
    let dir = sys::open(d.path(), O_RDONLY | O_DIRECTORY, 0)?;
    let (fd, _) = watching(d.path(), NAMES)?;
    write_all(&file, b"x");
    sys::fchmod(&file, 0o600)?;
    sys::openat(&dir, "new", O_CREAT | O_WRONLY, 0o600)?;
    is_told!(&fd, IN_MODIFY "f", IN_ATTRIB "f", IN_CREATE "new");
    Ok(())
}

fn sockets_fifos_and_symbolic_links_are_names(d: &Dir) -> Outcome {
    let (fd, _) = watching(d.path(), NAMES)?;
    sys::mkfifo(d.at("fifo"), 0o600)?;
    sys::symlink("nowhere", d.at("link"))?;
    sys::bind(sys::socket(SOCK_STREAM)?, b"socket")?;
    is_told!(&fd, IN_CREATE "fifo", IN_CREATE "link", IN_CREATE "socket");
    for name in ["fifo", "link", "socket"] {
        sys::unlink(d.at(name))?;
    }
    is_told!(&fd, IN_DELETE "fifo", IN_DELETE "link", IN_DELETE "socket");
    Ok(())
}

fn a_watch_can_be_removed_changed_and_used_once(d: &Dir) -> Outcome {
    let (fd, watch) = watching(d.path(), IN_CREATE)?;
    assert_eq!(sys::inotify_add_watch(&fd, d.at("."), IN_DELETE)?, watch);
    d.file("f", b"");
    is_told!(&fd);
    assert_eq!(sys::inotify_add_watch(&fd, d.path(), IN_CREATE | IN_MASK_ADD)?, watch);
    sys::unlink(d.at("f"))?;
    d.file("g", b"");
    is_told!(&fd, IN_DELETE "f", IN_CREATE "g");
    fails!(EEXIST, sys::inotify_add_watch(&fd, d.path(), IN_CREATE | IN_MASK_CREATE));
    sys::inotify_rm_watch(&fd, watch)?;
    is_told!(&fd, IN_IGNORED "");
    d.file("h", b"");
    is_told!(&fd);
    let again = sys::inotify_add_watch(&fd, d.path(), IN_CREATE | IN_ONESHOT)?;
    assert_ne!(again, watch);
    d.file("i", b"");
    d.file("j", b"");
    is_told!(&fd, IN_CREATE "i", IN_IGNORED "");
    Ok(())
}

fn polling_waits_for_an_event(d: &Dir) -> Outcome {
    let (fd, _) = watching(d.path(), NAMES)?;
    assert_eq!(sys::poll(&fd, POLLIN, 0)?, 0);
    assert!(!sys::select(&fd)?.0);
    let child = sys::fork(|| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        let _ = d.file("f", b"");
    });
    assert_eq!(sys::poll(&fd, POLLIN, 10_000)?, POLLIN);
    child.succeeds();
    assert_eq!(sys::fionread(&fd)?, 32);
    is_told!(&fd, IN_CREATE "f");
    Ok(())
}

fn watching_needs_what_the_kernel_wants(d: &Dir) -> Outcome {
    d.file("f", b"");
    sys::symlink("f", d.at("l"))?;
    let fd = sys::inotify_init()?;
    fails!(ENOENT, sys::inotify_add_watch(&fd, d.at("none"), ALL));
    fails!(ENOTDIR, sys::inotify_add_watch(&fd, d.at("f"), ALL | IN_ONLYDIR));
    fails!(EINVAL, sys::inotify_add_watch(&fd, d.at("f"), 0));
    fails!(EBADF, sys::inotify_add_watch(-1, d.at("f"), ALL));
    let file = sys::inotify_add_watch(&fd, d.at("f"), ALL)?;
    assert_eq!(sys::inotify_add_watch(&fd, d.at("l"), ALL)?, file);
    assert_ne!(sys::inotify_add_watch(&fd, d.at("l"), ALL | IN_DONT_FOLLOW)?, file);
    if !sys::is_root() {
        return skip("needs root to become another user");
    }
    sys::chmod(d.at("f"), 0o200)?;
    sys::fork(|| {
        sys::become_user(65534).expect("setresuid");
        fails!(EACCES, sys::inotify_add_watch(&fd, d.at("f"), ALL));
    })
    .succeeds();
    Ok(())
}

fn a_child_reads_the_events_of_its_parent(d: &Dir) -> Outcome {
    let (fd, _) = watching(d.path(), NAMES)?;
    sys::fork(|| {
        d.file("f", b"");
        is_told!(&fd, IN_CREATE "f");
        sys::inotify_add_watch(&fd, d.dir("dir"), NAMES).expect("another watch");
    })
    .succeeds();
    is_told!(&fd, IN_CREATE "dir/");
    d.file("dir/g", b"");
    is_told!(&fd, IN_CREATE "g");
    Ok(())
}

fn watches_of_two_descriptors_see_the_same(d: &Dir) -> Outcome {
    let (first, _) = watching(d.path(), NAMES)?;
    d.file("f", b"");
    let (second, _) = watching(d.path(), NAMES)?;
    sys::unlink(d.at("f"))?;
    d.file("g", b"");
    is_told!(&first, IN_CREATE "f", IN_DELETE "f", IN_CREATE "g");
    is_told!(&second, IN_DELETE "f", IN_CREATE "g");
    Ok(())
}

fn files_stay_readable_and_writable_while_watched(d: &Dir) -> Outcome {
    let (_fd, _) = watching(d.path(), ALL)?;
    let file = sys::open(d.at("f"), O_RDWR | O_CREAT, 0o600)?;
    write_all(&file, b"content");
    assert_eq!((sys::lseek(&file, 0, SEEK_CUR)?, sys::fstat(&file)?.st_size), (7, 7));
    let mut bytes = [0; 7];
    assert_eq!(sys::pread(&file, &mut bytes, 0)?, 7);
    assert_eq!(&bytes, b"content");
    assert_eq!(sys::fcntl(&file, F_GETFL, 0)? & (O_ACCMODE | O_APPEND), O_RDWR);
    assert_eq!(sys::fcntl(&file, F_GETFD, 0)?, 0);
    let file = sys::open(d.at("f"), O_WRONLY | O_CLOEXEC, 0)?;
    fails!(EBADF, sys::read(&file, &mut bytes));
    assert_eq!(sys::fcntl(&file, F_GETFD, 0)?, FD_CLOEXEC);
    Ok(())
}

fn an_executed_program_gets_a_watched_file(d: &Dir) -> Outcome {
    d.file("f", b"");
    let (fd, _) = watching(d.path(), IN_MODIFY | IN_CLOSE)?;
    let file = sys::open(d.at("f"), O_RDWR, 0)?;
    let number = sys::Raw::raw(&file).to_string();
    sys::fork(|| panic!("{:?}", sys::exec_role(&["write", &number, "text"]))).succeeds();
    assert_eq!(sys::lseek(&file, 0, SEEK_CUR)?, 4);
    is_told!(&fd, IN_MODIFY "f");
    drop(file);
    is_told!(&fd, IN_CLOSE_WRITE "f");
    Ok(())
}
