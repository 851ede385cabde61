//! Which call changes which time. Times are set to the past first, so that a change shows without waiting.

use crate::case::{Dir, Outcome, cases, content, fails, write_all};
use crate::sys::{self, NOW, OMIT};
use libc::{AT_FDCWD, AT_SYMLINK_NOFOLLOW};
use std::path::Path;

cases![
    write_changes_mtime_and_ctime,
    empty_write_changes_nothing,
    truncation_changes_mtime_and_ctime,
    truncation_to_the_same_size,
    chmod_and_link_change_ctime_alone,
    rename_keeps_mtime_and_changes_the_directories,
    creating_and_removing_changes_the_directory,
    reading_changes_atime_when_it_is_older_than_mtime,
    reading_with_noatime_changes_nothing,
    o_trunc_changes_times_of_an_empty_file,
    utimensat_sets_nanoseconds,
    utimensat_now_and_omit,
    utimensat_on_symlinks,
    futimens_and_utimes_set_times,
    bad_nanoseconds_are_einval,
    times_before_1970_and_after_2038_are_kept,
    readlink_and_readdir_may_change_atime_but_not_mtime,
    reading_a_directory_changes_atime_when_it_is_older_than_mtime,
    following_and_reading_a_link_changes_its_atime_when_it_is_older_than_mtime_or_ctime,
    new_file_has_all_times_equal_to_now,
    times_only_move_forward_over_writes,
    writing_through_a_mapping_changes_mtime,
    a_store_is_marked_when_its_mapping_ends,
    mapping_changes_atime_and_nothing_else,
    utimensat_that_leaves_both_looks_at_nothing,
    utimensat_refuses_unknown_flags,
];

const OLD: sys::Time = (1_000_000_000, 5);

fn age(path: impl AsRef<Path>) {
    sys::utimensat(path.as_ref(), OLD, OLD, AT_SYMLINK_NOFOLLOW).expect("utimensat");
}

/// (access, modification) in seconds.
fn times(path: impl AsRef<Path>) -> (i64, i64) {
    let stat = sys::lstat(path.as_ref()).expect("lstat");
    (stat.st_atime, stat.st_mtime)
}

fn change(path: impl AsRef<Path>) -> (i64, i64) {
    let stat = sys::lstat(path.as_ref()).expect("lstat");
    (stat.st_ctime, stat.st_ctime_nsec)
}

/// Lets the clock of the file system tick.
fn tick() {
    std::thread::sleep(std::time::Duration::from_millis(20));
}

fn write_changes_mtime_and_ctime(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    age(d.at("f"));
    let before = change(d.at("f"));
    tick();
    write_all(&fd, b"x");
    assert!(times(d.at("f")).1 > OLD.0);
    assert_eq!(times(d.at("f")).0, OLD.0);
    assert!(change(d.at("f")) > before);
    Ok(())
}

fn empty_write_changes_nothing(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    age(d.at("f"));
    sys::write(&fd, b"")?;
    assert_eq!(times(d.at("f")), (OLD.0, OLD.0));
    Ok(())
}

fn truncation_changes_mtime_and_ctime(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    for size in [1, 10] {
        age(d.at("f"));
        sys::ftruncate(&fd, size)?;
        assert!(times(d.at("f")).1 > OLD.0);
    }
    Ok(())
}

fn truncation_to_the_same_size(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    age(d.at("f"));
    let before = change(d.at("f"));
    tick();
    sys::ftruncate(&fd, 3)?;
    assert!(
        times(d.at("f")).1 > OLD.0,
        "ftruncate marks the times even so"
    );
    assert!(change(d.at("f")) > before);
    Ok(())
}

fn chmod_and_link_change_ctime_alone(d: &Dir) -> Outcome {
    d.file("f", b"abc");
    age(d.at("f"));
    let start = change(d.at("f"));
    tick();
    sys::chmod(d.at("f"), 0o600)?;
    let chmod = change(d.at("f"));
    tick();
    sys::link(d.at("f"), d.at("g"))?;
    let link = change(d.at("f"));
    tick();
    sys::unlink(d.at("g"))?;
    let unlink = change(d.at("f"));
    assert!(start < chmod && chmod < link && link < unlink);
    assert_eq!(times(d.at("f")), (OLD.0, OLD.0));
    Ok(())
}

fn rename_keeps_mtime_and_changes_the_directories(d: &Dir) -> Outcome {
    d.dir("one");
    d.dir("two");
    d.file("one/f", b"abc");
    age(d.at("one/f"));
    age(d.at("one"));
    age(d.at("two"));
    let before = change(d.at("one/f"));
    tick();
    sys::rename(d.at("one/f"), d.at("two/f"))?;
    assert_eq!(times(d.at("two/f")), (OLD.0, OLD.0));
    assert!(change(d.at("two/f")) > before, "as Linux does");
    assert!(times(d.at("one")).1 > OLD.0 && times(d.at("two")).1 > OLD.0);
    Ok(())
}

fn creating_and_removing_changes_the_directory(d: &Dir) -> Outcome {
    let dir = d.dir("dir");
    let steps: [(&str, &dyn Fn() -> sys::Sys<()>); 4] = [
        ("creat", &|| sys::creat(d.at("dir/f"), 0o600).map(drop)),
        ("unlink", &|| sys::unlink(d.at("dir/f"))),
        ("mkdir", &|| sys::mkdir(d.at("dir/sub"), 0o755)),
        ("rmdir", &|| sys::rmdir(d.at("dir/sub"))),
    ];
    for (name, step) in steps {
        age(&dir);
        step()?;
        assert!(times(&dir).1 > OLD.0, "{name}");
    }
    Ok(())
}

fn reading_changes_atime_when_it_is_older_than_mtime(d: &Dir) -> Outcome {
    d.file("f", b"abc");
    sys::utimensat(d.at("f"), OLD, (OLD.0 + 1, 0), 0)?;
    content(d.at("f"));
    assert!(
        times(d.at("f")).0 > OLD.0 + 1,
        "relatime: atime was before mtime"
    );
    Ok(())
}

fn reading_with_noatime_changes_nothing(d: &Dir) -> Outcome {
    d.file("f", b"abc");
    age(d.at("f"));
    let fd = sys::open(d.at("f"), libc::O_RDONLY | libc::O_NOATIME, 0)?;
    sys::read(&fd, &mut [0; 3])?;
    assert_eq!(times(d.at("f")).0, OLD.0);
    Ok(())
}

fn o_trunc_changes_times_of_an_empty_file(d: &Dir) -> Outcome {
    d.file("f", b"");
    age(d.at("f"));
    sys::open(d.at("f"), libc::O_WRONLY | libc::O_TRUNC, 0)?.close()?;
    assert!(times(d.at("f")).1 > OLD.0);
    age(d.at("f"));
    sys::open(d.at("f"), libc::O_WRONLY | libc::O_CREAT, 0)?.close()?;
    assert_eq!(times(d.at("f")).1, OLD.0, "opening alone changes nothing");
    Ok(())
}

fn utimensat_sets_nanoseconds(d: &Dir) -> Outcome {
    d.file("f", b"");
    sys::utimensat(d.at("f"), (1, 123_456_789), (2, 987_654_321), 0)?;
    let stat = sys::stat(d.at("f"))?;
    assert_eq!((stat.st_atime, stat.st_atime_nsec), (1, 123_456_789));
    assert_eq!((stat.st_mtime, stat.st_mtime_nsec), (2, 987_654_321));
    Ok(())
}

fn utimensat_now_and_omit(d: &Dir) -> Outcome {
    d.file("f", b"");
    age(d.at("f"));
    sys::utimensat(d.at("f"), OMIT, (7, 0), 0)?;
    assert_eq!(times(d.at("f")), (OLD.0, 7));
    sys::utimensat(d.at("f"), NOW, OMIT, 0)?;
    assert!(times(d.at("f")).0 > OLD.0);
    assert_eq!(times(d.at("f")).1, 7);
    sys::touch(d.at("f"))?;
    let stat = sys::stat(d.at("f"))?;
    assert_eq!(
        (stat.st_atime, stat.st_atime_nsec),
        (stat.st_mtime, stat.st_mtime_nsec)
    );
    Ok(())
}

fn utimensat_on_symlinks(d: &Dir) -> Outcome {
    d.file("f", b"");
    sys::symlink("f", d.at("l"))?;
    age(d.at("f"));
    sys::utimensat(d.at("l"), (3, 0), (4, 0), AT_SYMLINK_NOFOLLOW)?;
    assert_eq!((times(d.at("l")).1, times(d.at("f"))), (4, (OLD.0, OLD.0)));
    sys::utimensat(d.at("l"), (5, 0), (6, 0), 0)?;
    assert_eq!((times(d.at("l")).1, times(d.at("f"))), (4, (5, 6)));
    Ok(())
}

fn futimens_and_utimes_set_times(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    sys::futimens(&fd, (10, 1), (20, 2))?;
    assert_eq!(times(d.at("f")), (10, 20));
    sys::utimes(d.at("f"), (30, 5), (40, 6))?;
    assert_eq!(times(d.at("f")), (30, 40));
    assert_eq!(sys::stat(d.at("f"))?.st_mtime_nsec, 6000);
    fails!(EBADF, sys::futimens(-1, (1, 0), (1, 0)));
    fails!(ENOENT, sys::utimes(d.at("no"), (1, 0), (1, 0)));
    Ok(())
}

fn bad_nanoseconds_are_einval(d: &Dir) -> Outcome {
    d.file("f", b"");
    age(d.at("f"));
    fails!(
        EINVAL,
        sys::utimensat(d.at("f"), (1, 1_000_000_000), (1, 0), 0)
    );
    fails!(EINVAL, sys::utimensat(d.at("f"), (1, 0), (1, -5), 0));
    fails!(EINVAL, sys::utimes(d.at("f"), (1, 1_000_000), (1, 0)));
    assert_eq!(times(d.at("f")), (OLD.0, OLD.0));
    Ok(())
}

fn times_before_1970_and_after_2038_are_kept(d: &Dir) -> Outcome {
    d.file("f", b"");
    for seconds in [-1, -1_000_000, 3_000_000_000, 4_294_967_296] {
        sys::utimensat(d.at("f"), (seconds, 5), (seconds, 5), 0)?;
        assert_eq!(times(d.at("f")), (seconds, seconds));
        assert_eq!(sys::stat(d.at("f"))?.st_mtime_nsec, 5);
    }
    Ok(())
}

fn readlink_and_readdir_may_change_atime_but_not_mtime(d: &Dir) -> Outcome {
    let dir = d.dir("dir");
    sys::symlink("x", d.at("dir/l"))?;
    age(&dir);
    age(d.at("dir/l"));
    sys::readlink(d.at("dir/l"), 10)?;
    sys::names_in(&dir)?;
    assert_eq!((times(&dir).1, times(d.at("dir/l")).1), (OLD.0, OLD.0));
    Ok(())
}

fn following_and_reading_a_link_changes_its_atime_when_it_is_older_than_mtime_or_ctime(d: &Dir) -> Outcome {
    type Use = fn(&Dir) -> sys::Sys<()>;
    d.dir("dir");
    d.file("dir/f", b"");
    sys::symlink("dir", d.at("l"))?;
    let access = || sys::lstat(d.at("l")).map(|stat| (stat.st_atime, stat.st_atime_nsec));
    let uses: [(&str, bool, Use); 9] = [
        ("reading", true, |d| sys::readlink(d.at("l"), 100).map(drop)),
        ("stat", true, |d| sys::stat(d.at("l")).map(drop)),
        ("in the middle", true, |d| sys::lstat(d.at("l/f")).map(drop)),
        ("to what is missing", true, |d| sys::lstat(d.at("l/none/f")).map(drop).or(Ok(()))),
        ("a path", true, |d| sys::open(d.at("l"), libc::O_PATH, 0).map(drop)),
        ("quiet", true, |d| sys::open(d.at("l/f"), libc::O_RDONLY | libc::O_NOATIME, 0).map(drop)),
        ("lstat", false, |d| sys::lstat(d.at("l")).map(drop)),
        ("the link itself", false, |d| sys::open(d.at("l"), libc::O_PATH | libc::O_NOFOLLOW, 0).map(drop)),
        ("not following", false, |d| sys::open(d.at("l"), libc::O_NOFOLLOW, 0).map(drop).or(Ok(()))),
    ];
    for (way, changes, used) in uses {
        // Another process may do it.
        sys::fork(|| age(d.at("l"))).succeeds();
        let before = change(d.at("l"));
        tick();
        used(d)?;
        assert_eq!(access()? > OLD, changes, "{way}");
        assert_eq!((times(d.at("l")).1, change(d.at("l"))), (OLD.0, before), "{way}");
        let first = access()?;
        tick();
        used(d)?;
        assert_eq!(access()?, first, "{way}");
    }
    sys::stat(d.at("l"))?;
    let first = access()?;
    tick();
    sys::rename(d.at("l"), d.at("m"))?;
    sys::rename(d.at("m"), d.at("l"))?;
    tick();
    sys::stat(d.at("l"))?;
    assert!(access()? > first, "its ctime was newer");
    let two_days_ago = (access()?.0 - 2 * 24 * 3600, 0);
    sys::utimensat(d.at("l"), two_days_ago, OLD, AT_SYMLINK_NOFOLLOW)?;
    sys::stat(d.at("l"))?;
    assert!(access()? > two_days_ago);
    Ok(())
}

fn reading_a_directory_changes_atime_when_it_is_older_than_mtime(d: &Dir) -> Outcome {
    type Read = fn(&Path) -> sys::Sys<()>;
    let dir = d.dir("dir");
    d.file("dir/f", b"");
    let ways: [(&str, Read); 3] = [
        ("a stream", |dir| sys::names_in(dir).map(drop)),
        ("a part", |dir| sys::getdirentries(&sys::open(dir, libc::O_RDONLY, 0)?, &mut [0; 100]).map(drop)),
        ("scandir", |dir| sys::scandir(dir).map(drop)),
    ];
    for (way, read) in ways {
        age(&dir);
        let before = change(&dir);
        sys::opendir(&dir)?;
        assert_eq!(times(&dir).0, OLD.0, "opening reads nothing");
        tick();
        read(&dir)?;
        let stat = sys::stat(&dir)?;
        assert!(stat.st_atime > OLD.0, "{way}");
        assert_eq!((stat.st_mtime, change(&dir)), (OLD.0, before), "{way}");
        tick();
        read(&dir)?;
        let again = sys::stat(&dir)?;
        assert_eq!((again.st_atime, again.st_atime_nsec), (stat.st_atime, stat.st_atime_nsec), "{way}");
    }
    age(&dir);
    let quiet = sys::open(&dir, libc::O_RDONLY | libc::O_NOATIME, 0)?;
    sys::getdirentries(&quiet, &mut [0; 100])?;
    assert_eq!(times(&dir).0, OLD.0);
    Ok(())
}

fn new_file_has_all_times_equal_to_now(d: &Dir) -> Outcome {
    sys::creat(d.at("f"), 0o600)?.close()?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.expect("a clock after 1970").as_secs() as i64;
    let stat = sys::stat(d.at("f"))?;
    for time in [stat.st_atime, stat.st_mtime, stat.st_ctime] {
        assert!((now - 5..=now + 1).contains(&time), "{time} at {now}");
    }
    Ok(())
}

fn times_only_move_forward_over_writes(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let mut last = (0, 0);
    for _ in 0..2000 {
        write_all(&fd, b"x");
        let stat = sys::fstatat(AT_FDCWD, d.at("f"), 0)?;
        let now = (stat.st_mtime, stat.st_mtime_nsec);
        assert!(now >= last);
        last = now;
    }
    Ok(())
}

fn writing_through_a_mapping_changes_mtime(d: &Dir) -> Outcome {
    // One that is clean and one that was just written.
    for synced in [true, false] {
        let fd = d.open("f", &[0; 8192]);
        if synced {
            sys::fsync(&fd)?;
        }
        age(d.at("f"));
        let before = change(d.at("f"));
        let map = sys::mmap(&fd, 8192, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, 0)?;
        for (at, flags) in [(0, libc::MS_SYNC), (4096, libc::MS_ASYNC)] {
            tick();
            map.put(at, b"x");
            map.msync(flags)?;
            if at == 0 {
                assert_ne!(times(d.at("f")).1, OLD.0, "synced: {synced}");
                assert!(change(d.at("f")) > before, "synced: {synced}");
                age(d.at("f"));
            }
        }
        drop(map);
        assert_ne!(times(d.at("f")).1, OLD.0, "synced: {synced}");
    }
    Ok(())
}

fn a_store_is_marked_when_its_mapping_ends(d: &Dir) -> Outcome {
    for in_child in [false, true] {
        let fd = d.open("f", &[0; 8192]);
        age(d.at("f"));
        let store = || {
            let map = sys::mmap(&fd, 8192, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, 0).expect("mmap");
            map.put(4096, b"x");
            // Where it ends with its process.
            if in_child {
                std::mem::forget(map);
            }
        };
        if in_child { sys::fork(store).succeeds() } else { store() }
        assert_ne!(times(d.at("f")).1, OLD.0, "in a child: {in_child}");
    }
    Ok(())
}

fn mapping_changes_atime_and_nothing_else(d: &Dir) -> Outcome {
    let fd = d.open("f", &[0; 4096]);
    let whole = || sys::lstat(d.at("f")).map(|s| ((s.st_mtime, s.st_mtime_nsec), (s.st_ctime, s.st_ctime_nsec)));
    for kind in [libc::MAP_SHARED, libc::MAP_PRIVATE] {
        age(d.at("f"));
        let before = whole()?;
        tick();
        let map = sys::mmap(&fd, 4096, libc::PROT_READ | libc::PROT_WRITE, kind, 0)?;
        assert_ne!(times(d.at("f")).0, OLD.0);
        assert_eq!(whole()?, before);
        drop(map);
        assert_eq!(whole()?, before);
    }
    let quiet = sys::open(d.at("f"), libc::O_RDONLY | libc::O_NOATIME, 0)?;
    age(d.at("f"));
    drop(sys::mmap(&quiet, 4096, libc::PROT_READ, libc::MAP_SHARED, 0)?);
    assert_eq!(times(d.at("f")).0, OLD.0);
    Ok(())
}

fn utimensat_that_leaves_both_looks_at_nothing(d: &Dir) -> Outcome {
    sys::utimensat(d.at("none"), sys::OMIT, sys::OMIT, 0)?;
    fails!(ENOENT, sys::utimensat(d.at("none"), sys::NOW, sys::OMIT, 0));
    Ok(())
}

fn utimensat_refuses_unknown_flags(d: &Dir) -> Outcome {
    d.file("f", b"");
    fails!(EINVAL, sys::utimensat(d.at("f"), sys::NOW, sys::NOW, 1));
    fails!(EINVAL, sys::utimensat(d.at("f"), (0, 1_000_000_000), sys::OMIT, 0));
    Ok(())
}
