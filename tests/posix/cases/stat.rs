//! What the stat family says.

use crate::case::{Dir, Outcome, cases, content, fails, skip};
use crate::sys::{self, Stat};
use libc::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, S_IFMT};

cases![
    each_type_has_its_type_bits,
    size_of_a_symlink_is_the_length_of_its_target,
    all_calls_agree,
    old_entry_points_agree,
    statx_agrees_with_stat,
    statx_honours_its_flags,
    statx_reports_a_birth_time_not_after_now,
    inode_numbers_are_stable_and_distinct,
    readdir_and_stat_agree_on_inodes,
    blocks_follow_what_is_stored,
    block_size_is_positive,
    fstatat_is_relative_and_takes_empty_paths,
    errors,
    standard_descriptors_say_what_they_are,
    size_is_seen_by_others_without_fsync,
    statx_refuses_both_ways_of_synchronising,
    statx_tells_the_mount,
];

fn each_type_has_its_type_bits(d: &Dir) -> Outcome {
    d.file("f", b"");
    d.dir("dir");
    sys::symlink("f", d.at("l"))?;
    sys::mkfifo(d.at("p"), 0o600)?;
    let types = [
        ("f", libc::S_IFREG),
        ("dir", libc::S_IFDIR),
        ("l", libc::S_IFLNK),
        ("p", libc::S_IFIFO),
    ];
    for (name, kind) in types {
        assert_eq!(sys::lstat(d.at(name))?.st_mode & S_IFMT, kind, "{name}");
    }
    assert_eq!(sys::stat(d.at("l"))?.st_mode & S_IFMT, libc::S_IFREG);
    Ok(())
}

fn size_of_a_symlink_is_the_length_of_its_target(d: &Dir) -> Outcome {
    sys::symlink("twelve-bytes", d.at("l"))?;
    assert_eq!(sys::lstat(d.at("l"))?.st_size, 12);
    Ok(())
}

fn key(stat: &Stat) -> impl PartialEq + std::fmt::Debug + use<> {
    let times = [
        (stat.st_atime, stat.st_atime_nsec),
        (stat.st_mtime, stat.st_mtime_nsec),
        (stat.st_ctime, stat.st_ctime_nsec),
    ];
    let owner = (stat.st_uid, stat.st_gid, stat.st_mode, stat.st_nlink);
    (
        stat.st_dev,
        stat.st_ino,
        owner,
        stat.st_size,
        stat.st_blocks,
        stat.st_blksize,
        times,
    )
}

fn all_calls_agree(d: &Dir) -> Outcome {
    let fd = d.open("f", &[1; 5000]);
    let expected = key(&sys::stat(d.at("f"))?);
    assert_eq!(key(&sys::lstat(d.at("f"))?), expected);
    assert_eq!(key(&sys::fstat(&fd)?), expected);
    assert_eq!(key(&sys::fstatat(AT_FDCWD, d.at("f"), 0)?), expected);
    assert_eq!(
        key(&sys::fstatat(AT_FDCWD, "f", AT_SYMLINK_NOFOLLOW)?),
        expected
    );
    assert_eq!(key(&sys::fstatat(&fd, "", AT_EMPTY_PATH)?), expected);
    let path = format!("/proc/self/fd/{}", sys::Raw::raw(&fd));
    assert_eq!(key(&sys::stat(path)?), expected);
    Ok(())
}

fn old_entry_points_agree(d: &Dir) -> Outcome {
    d.file("f", &[1; 5000]);
    sys::symlink("f", d.at("l"))?;
    let old = match sys::old_stat("__xstat", d.at("l")) {
        Err(sys::ENOSYS) => return skip("this libc has no __xstat"),
        old => old?,
    };
    assert_eq!(key(&old), key(&sys::stat(d.at("l"))?));
    assert_eq!(
        key(&sys::old_stat("__lxstat", d.at("l"))?),
        key(&sys::lstat(d.at("l"))?)
    );
    assert_eq!(
        key(&sys::old_stat("__xstat64", d.at("f"))?),
        key(&sys::stat(d.at("f"))?)
    );
    fails!(ENOENT, sys::old_stat("__xstat", d.at("no")));
    Ok(())
}

fn statx_agrees_with_stat(d: &Dir) -> Outcome {
    d.file("f", &[1; 5000]);
    let (new, old) = (
        sys::statx(AT_FDCWD, d.at("f"), 0, libc::STATX_BASIC_STATS)?,
        sys::stat(d.at("f"))?,
    );
    assert_eq!(
        new.stx_mask & libc::STATX_BASIC_STATS,
        libc::STATX_BASIC_STATS
    );
    assert_eq!(u32::from(new.stx_mode), old.st_mode);
    assert_eq!(
        (new.stx_ino, new.stx_size),
        (old.st_ino, old.st_size as u64)
    );
    assert_eq!(
        (u64::from(new.stx_nlink), new.stx_blocks),
        (old.st_nlink, old.st_blocks as u64)
    );
    assert_eq!((new.stx_uid, new.stx_gid), (old.st_uid, old.st_gid));
    assert_eq!(
        (new.stx_mtime.tv_sec, new.stx_ctime.tv_sec),
        (old.st_mtime, old.st_ctime)
    );
    assert_eq!(i64::from(new.stx_mtime.tv_nsec), old.st_mtime_nsec);
    assert_eq!(
        libc::makedev(new.stx_dev_major, new.stx_dev_minor),
        old.st_dev
    );
    Ok(())
}

fn statx_honours_its_flags(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    sys::symlink("f", d.at("l"))?;
    let basic = libc::STATX_BASIC_STATS;
    assert_eq!(sys::statx(&fd, "", AT_EMPTY_PATH, basic)?.stx_size, 3);
    let link = sys::statx(AT_FDCWD, "l", AT_SYMLINK_NOFOLLOW, basic)?;
    assert_eq!(u32::from(link.stx_mode) & S_IFMT, libc::S_IFLNK);
    fails!(ENOENT, sys::statx(&fd, "", 0, basic));
    fails!(EINVAL, sys::statx(AT_FDCWD, "f", 0, 0x8000_0000));
    fails!(EINVAL, sys::statx(AT_FDCWD, "f", 0x4000_0000, basic));
    Ok(())
}

fn statx_reports_a_birth_time_not_after_now(d: &Dir) -> Outcome {
    d.file("f", b"abc");
    let found = sys::statx(AT_FDCWD, d.at("f"), 0, libc::STATX_BTIME)?;
    if found.stx_mask & libc::STATX_BTIME == 0 {
        return skip("no birth times here");
    }
    let change = sys::stat(d.at("f"))?.st_ctime;
    assert!((change - 60..=change).contains(&found.stx_btime.tv_sec));
    Ok(())
}

fn inode_numbers_are_stable_and_distinct(d: &Dir) -> Outcome {
    let mut seen = std::collections::HashSet::new();
    for number in 0..200 {
        let path = d.file(&format!("f{number}"), b"");
        assert!(seen.insert(sys::stat(path)?.st_ino), "{number}");
    }
    let before = sys::stat(d.at("f7"))?;
    sys::rename(d.at("f7"), d.at("moved"))?;
    sys::fork(|| {
        let after = sys::stat(d.at("moved")).expect("stat");
        assert_eq!((after.st_dev, after.st_ino), (before.st_dev, before.st_ino));
    })
    .succeeds();
    Ok(())
}

fn readdir_and_stat_agree_on_inodes(d: &Dir) -> Outcome {
    d.file("f", b"");
    d.dir("dir");
    sys::symlink("f", d.at("l"))?;
    for entry in sys::opendir(d.path())?.rest()? {
        if entry.name != ".." {
            let path = d.path().join(&entry.name);
            assert_eq!(entry.inode, sys::lstat(path)?.st_ino, "{entry:?}");
        }
    }
    Ok(())
}

fn blocks_follow_what_is_stored(d: &Dir) -> Outcome {
    let fd = d.open("f", &vec![1; 1 << 20]);
    sys::fsync(&fd)?;
    assert!((2048..2200).contains(&sys::fstat(&fd)?.st_blocks));
    let sparse = d.open("sparse", b"");
    sys::pwrite(&sparse, b"x", 100 << 20)?;
    sys::fsync(&sparse)?;
    let blocks = sys::fstat(&sparse)?.st_blocks;
    assert!(
        (1..=8192).contains(&blocks),
        "{blocks} for one page, or one huge page"
    );
    assert_eq!(sys::stat(d.file("empty", b""))?.st_blocks, 0);
    Ok(())
}

fn block_size_is_positive(d: &Dir) -> Outcome {
    let size = sys::stat(d.file("f", b""))?.st_blksize;
    assert!(size >= 512 && size.count_ones() == 1, "{size}");
    Ok(())
}

fn fstatat_is_relative_and_takes_empty_paths(d: &Dir) -> Outcome {
    d.dir("dir");
    d.file("dir/f", b"abc");
    let dir = sys::open(d.at("dir"), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    assert_eq!(sys::fstatat(&dir, "f", 0)?.st_size, 3);
    assert_eq!(
        sys::fstatat(&dir, "", AT_EMPTY_PATH)?.st_ino,
        sys::stat(d.at("dir"))?.st_ino
    );
    assert_eq!(
        sys::fstatat(AT_FDCWD, "", AT_EMPTY_PATH)?.st_ino,
        sys::stat(d.path())?.st_ino
    );
    fails!(ENOENT, sys::fstatat(&dir, "", 0));
    fails!(EBADF, sys::fstatat(-1, "f", 0));
    fails!(EINVAL, sys::fstatat(&dir, "f", 0x4000_0000));
    Ok(())
}

fn errors(d: &Dir) -> Outcome {
    d.file("f", b"");
    sys::symlink("no", d.at("l"))?;
    fails!(ENOENT, sys::stat(d.at("no")));
    fails!(ENOENT, sys::stat(d.at("l")));
    sys::lstat(d.at("l"))?;
    fails!(ENOTDIR, sys::stat(d.at("f/x")));
    fails!(EBADF, sys::fstat(-1));
    Ok(())
}

fn standard_descriptors_say_what_they_are(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    sys::dup2(&fd, 0)?;
    assert_eq!(key(&sys::fstat(0)?), key(&sys::fstat(&fd)?));
    assert_eq!(key(&sys::stat("/dev/stdin")?), key(&sys::fstat(&fd)?));
    Ok(())
}

fn size_is_seen_by_others_without_fsync(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    for size in [1, 100, 5000, 100_000] {
        sys::pwrite(&fd, b"x", size - 1)?;
        sys::fork(|| assert_eq!(sys::stat(d.at("f")).expect("stat").st_size, size)).succeeds();
    }
    Ok(())
}

fn statx_refuses_both_ways_of_synchronising(d: &Dir) -> Outcome {
    d.file("f", b"");
    let both = libc::AT_STATX_FORCE_SYNC | libc::AT_STATX_DONT_SYNC;
    fails!(EINVAL, sys::statx(libc::AT_FDCWD, d.at("f"), both, libc::STATX_BASIC_STATS));
    sys::statx(libc::AT_FDCWD, d.at("f"), libc::AT_STATX_DONT_SYNC, libc::STATX_BASIC_STATS)?;
    Ok(())
}

fn statx_tells_the_mount(d: &Dir) -> Outcome {
    d.file("f", b"");
    let (file, root) = (sys::statx(AT_FDCWD, d.at("f"), 0, libc::STATX_MNT_ID)?, sys::statx(AT_FDCWD, d.root(), 0, libc::STATX_MNT_ID)?);
    if file.stx_mask & libc::STATX_MNT_ID == 0 {
        return skip("a kernel before 5.8");
    }
    assert_eq!(file.stx_mnt_id, root.stx_mnt_id);
    let is_root = libc::STATX_ATTR_MOUNT_ROOT as u64;
    assert_eq!((file.stx_attributes_mask & is_root, root.stx_attributes_mask & is_root), (is_root, is_root));
    assert_eq!((file.stx_attributes & is_root, root.stx_attributes & is_root), (0, is_root));
    let table = String::from_utf8(content("/proc/self/mountinfo")).expect("text");
    let device = format!("{}:{}", file.stx_dev_major, file.stx_dev_minor);
    let numbers: Vec<&str> = table.lines().filter(|line| line.split(' ').nth(2) == Some(&device)).filter_map(|line| line.split(' ').next()).collect();
    assert!(numbers.contains(&file.stx_mnt_id.to_string().as_str()), "{numbers:?} {}", file.stx_mnt_id);
    Ok(())
}
