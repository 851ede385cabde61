//! The border of the file system under test: its root, and paths that cross it both ways.

use crate::case::{Dir, Outcome, cases, content, fails, skip};
use crate::sys;
use std::path::{Path, PathBuf};

cases![
    rename_across_is_exdev,
    link_across_is_exdev,
    rename_across_looks_at_the_directories_alone,
    link_across_looks_at_both_names,
    devices_differ,
    dotdot_of_the_root_is_its_kernel_parent,
    paths_climb_out_and_come_back,
    symlink_from_outside_leads_in,
    symlinks_to_the_root_itself_lead_in,
    absolute_symlink_leads_out,
    relative_symlink_climbs_out,
    openat_from_an_outside_directory_reaches_in,
    openat_from_an_inside_directory_reaches_out,
    chdir_crosses_both_ways,
    copying_across_keeps_the_bytes,
    the_root_cannot_be_removed_or_renamed,
    realpath_crosses_both_ways,
    outside_files_are_untouched_by_equal_names,
];

fn rename_across_is_exdev(d: &Dir) -> Outcome {
    let inside = d.file("f", b"abc");
    let outside = d.outside().join("f");
    fails!(EXDEV, sys::rename(&inside, &outside));
    std::fs::write(&outside, b"xyz").map_err(sys::Errno::from)?;
    fails!(EXDEV, sys::rename(&outside, d.at("g")));
    fails!(EXDEV, sys::rename(&outside, &inside));
    fails!(EXDEV, sys::rename(d.dir("dir"), d.outside().join("dir")));
    assert_eq!(
        (content(&inside), content(&outside)),
        (b"abc".to_vec(), b"xyz".to_vec())
    );
    Ok(())
}

fn link_across_is_exdev(d: &Dir) -> Outcome {
    let inside = d.file("f", b"abc");
    fails!(EXDEV, sys::link(&inside, d.outside().join("f")));
    let outside = outside_file(d, "o", b"xyz");
    fails!(EXDEV, sys::link(outside, d.at("g")));
    Ok(())
}

fn rename_across_looks_at_the_directories_alone(d: &Dir) -> Outcome {
    let (inside, outside) = (d.file("f", b""), outside_file(d, "o", b""));
    let beside = |name: &str| d.outside().join(name);
    fails!(EXDEV, sys::rename(d.at("no"), beside("no")));
    fails!(EXDEV, sys::rename(beside("no"), d.at("no")));
    fails!(EXDEV, sys::rename(&inside, beside("o/")));
    fails!(ENOTDIR, sys::rename(&inside, beside("o/x")));
    fails!(ENOENT, sys::rename(beside("no/x"), d.at("f/x")));
    fails!(ENOTDIR, sys::rename(outside, d.at("f/x")));
    fails!(EINVAL, sys::renameat2(&inside, beside("no/x"), 0x100));
    Ok(())
}

fn link_across_looks_at_both_names(d: &Dir) -> Outcome {
    let (inside, outside) = (d.file("f", b""), outside_file(d, "o", b""));
    let beside = |name: &str| d.outside().join(name);
    fails!(EEXIST, sys::link(&inside, &outside));
    fails!(EEXIST, sys::link(&inside, beside("o/")));
    fails!(EEXIST, sys::link(&inside, beside("..")));
    fails!(ENOENT, sys::link(&inside, beside("no/")));
    fails!(EEXIST, sys::link(&outside, &inside));
    fails!(ENOENT, sys::link(&outside, d.at("no/")));
    fails!(ENOENT, sys::link(beside("no"), &inside));
    Ok(())
}

fn devices_differ(d: &Dir) -> Outcome {
    let inside = sys::stat(d.path())?.st_dev;
    assert_ne!(inside, sys::stat(d.outside())?.st_dev);
    assert_eq!(inside, sys::stat(d.root())?.st_dev);
    assert_eq!(inside, sys::fstat(d.open("f", b""))?.st_dev);
    Ok(())
}

fn dotdot_of_the_root_is_its_kernel_parent(d: &Dir) -> Outcome {
    let Some(parent) = d.root().parent() else {
        return skip("the root is /");
    };
    let (climbed, named) = (sys::stat(d.root().join(".."))?, sys::stat(parent)?);
    assert_eq!(
        (climbed.st_dev, climbed.st_ino),
        (named.st_dev, named.st_ino)
    );
    assert_ne!(named.st_dev, sys::stat(d.root())?.st_dev);
    Ok(())
}

/// `path` as seen from the directory of the case, climbing up to the root of everything.
fn climbing(d: &Dir, path: &Path) -> PathBuf {
    let ups: PathBuf = d.path().components().skip(1).map(|_| "..").collect();
    ups.join(path.strip_prefix("/").expect("an absolute path"))
}

fn outside_file(d: &Dir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = d.outside().join(name);
    std::fs::write(&path, bytes).expect("an outside file");
    path
}

fn paths_climb_out_and_come_back(d: &Dir) -> Outcome {
    let outside = outside_file(d, "o", b"outside");
    let inside = d.file("f", b"inside");
    assert_eq!(content(climbing(d, &outside)), b"outside");
    assert_eq!(content(climbing(d, &inside)), b"inside");
    let ups: PathBuf = d.outside().components().skip(1).map(|_| "..").collect();
    let from_outside = d
        .outside()
        .join(ups)
        .join(inside.strip_prefix("/").expect("absolute"));
    assert_eq!(content(from_outside), b"inside");
    Ok(())
}

fn symlink_from_outside_leads_in(d: &Dir) -> Outcome {
    d.file("f", b"inside");
    sys::symlink(d.at("f"), d.outside().join("file"))?;
    sys::symlink(d.path(), d.outside().join("dir"))?;
    assert_eq!(content(d.outside().join("file")), b"inside");
    assert_eq!(content(d.outside().join("dir/f")), b"inside");
    let through = d.outside().join("dir/new");
    sys::creat(&through, 0o600)?.close()?;
    assert_eq!(sys::names_in(d.path())?, ["f", "new"]);
    sys::unlink(through)?;
    assert_eq!(
        sys::stat(d.outside().join("file"))?.st_ino,
        sys::stat(d.at("f"))?.st_ino
    );
    Ok(())
}

fn symlinks_to_the_root_itself_lead_in(d: &Dir) -> Outcome {
    let (root, link) = (d.root().to_path_buf(), d.outside().join("root"));
    sys::symlink(&root, &link)?;
    let there = |is: libc::stat| (is.st_dev, is.st_ino);
    let wanted = there(sys::stat(&root)?);
    let own = d.path().strip_prefix(&root).expect("below the root").iter().next().expect("a name").to_owned();
    let dotted = d.outside().join("./root/.");
    for path in [&link, &dotted] {
        assert_eq!(there(sys::stat(path)?), wanted);
        assert_eq!(there(sys::fstat(&sys::open(path, libc::O_RDONLY, 0)?)?), wanted);
        assert_eq!(there(sys::fstat(&sys::open(path, libc::O_PATH | libc::O_DIRECTORY, 0)?)?), wanted);
        // Other cases come and go there.
        assert!(sys::names_in(path)?.contains(&own), "{own:?} is not in {}", path.display());
    }
    assert_eq!(there(sys::lstat(&dotted)?), wanted);
    assert_ne!(there(sys::lstat(&link)?), wanted);
    assert_eq!(sys::readlink(&link, 4096)?, root);
    let (name, new) = (d.path().join("new"), link.join(d.path().strip_prefix(&root).expect("below the root")));
    for make in [false, true] {
        match make {
            false => sys::creat(new.join("new"), 0o600)?.close()?,
            true => sys::mkdir(new.join("new"), 0o700)?,
        }
        assert_eq!(there(sys::stat(&name)?), there(sys::stat(new.join("new"))?));
        match make {
            false => sys::unlink(new.join("new"))?,
            true => sys::rmdir(new.join("new"))?,
        }
    }
    assert_eq!(sys::open(link.join("nothing"), libc::O_RDONLY, 0).err(), Some(sys::ENOENT));
    sys::unlink(link)?;
    Ok(())
}

fn absolute_symlink_leads_out(d: &Dir) -> Outcome {
    let outside = outside_file(d, "o", b"outside");
    sys::symlink(&outside, d.at("l"))?;
    sys::symlink(d.outside(), d.at("dir"))?;
    assert_eq!(content(d.at("l")), b"outside");
    assert_eq!(content(d.at("dir/o")), b"outside");
    assert_eq!(sys::stat(d.at("l"))?.st_dev, sys::stat(&outside)?.st_dev);
    sys::creat(d.at("dir/new"), 0o600)?.close()?;
    assert!(d.outside().join("new").exists());
    Ok(())
}

fn relative_symlink_climbs_out(d: &Dir) -> Outcome {
    let outside = outside_file(d, "o", b"outside");
    sys::symlink(climbing(d, &outside), d.at("l"))?;
    assert_eq!(content(d.at("l")), b"outside");
    assert_eq!(content("l"), b"outside");
    Ok(())
}

fn openat_from_an_outside_directory_reaches_in(d: &Dir) -> Outcome {
    let inside = d.file("f", b"inside");
    let dir = sys::open(d.outside(), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    let ups: PathBuf = d.outside().components().skip(1).map(|_| "..").collect();
    let name = ups.join(inside.strip_prefix("/").expect("absolute"));
    let mut bytes = [0; 6];
    sys::read(sys::openat(&dir, &name, libc::O_RDONLY, 0)?, &mut bytes)?;
    assert_eq!(&bytes, b"inside");
    Ok(())
}

fn openat_from_an_inside_directory_reaches_out(d: &Dir) -> Outcome {
    let outside = outside_file(d, "o", b"outside");
    let dir = sys::open(d.path(), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    let mut bytes = [0; 7];
    sys::read(
        sys::openat(&dir, climbing(d, &outside), libc::O_RDONLY, 0)?,
        &mut bytes,
    )?;
    assert_eq!(&bytes, b"outside");
    Ok(())
}

fn chdir_crosses_both_ways(d: &Dir) -> Outcome {
    outside_file(d, "o", b"outside");
    d.file("f", b"inside");
    sys::chdir(d.outside())?;
    assert_eq!(content("o"), b"outside");
    fails!(ENOENT, sys::stat("f"));
    sys::chdir(d.path())?;
    assert_eq!(content("f"), b"inside");
    fails!(ENOENT, sys::stat("o"));
    sys::chdir(d.root())?;
    if d.root() == Path::new("/") {
        return skip("the root is /");
    }
    sys::chdir("..")?;
    assert_eq!(Some(Path::new(&sys::getcwd(4096)?)), d.root().parent());
    Ok(())
}

fn copying_across_keeps_the_bytes(d: &Dir) -> Outcome {
    let bytes = crate::case::pattern(1_000_000, 4);
    let inside = d.file("f", &bytes);
    let outside = d.outside().join("copy");
    std::fs::copy(&inside, &outside).map_err(sys::Errno::from)?;
    std::fs::copy(&outside, d.at("back")).map_err(sys::Errno::from)?;
    assert!(content(outside) == bytes);
    assert!(content(d.at("back")) == bytes);
    Ok(())
}

fn the_root_cannot_be_removed_or_renamed(d: &Dir) -> Outcome {
    if d.root() == Path::new("/") {
        return skip("the root is /");
    }
    let answer = sys::rmdir(d.root()).err();
    assert!(
        answer == Some(sys::EBUSY) || answer == Some(sys::EACCES),
        "{answer:?}"
    );
    let answer = sys::rename(d.root(), d.root().with_extension("moved")).err();
    let refusals = [sys::EBUSY, sys::EXDEV, sys::EACCES];
    assert!(
        answer.is_some_and(|errno| refusals.contains(&errno)),
        "{answer:?}"
    );
    Ok(())
}

fn realpath_crosses_both_ways(d: &Dir) -> Outcome {
    let outside = outside_file(d, "o", b"");
    sys::symlink(&outside, d.at("l"))?;
    sys::symlink(d.path(), d.outside().join("dir"))?;
    d.file("f", b"");
    assert_eq!(sys::realpath(d.at("l"))?, outside.into_os_string());
    assert_eq!(
        sys::realpath(d.outside().join("dir/f"))?,
        d.at("f").into_os_string()
    );
    Ok(())
}

fn outside_files_are_untouched_by_equal_names(d: &Dir) -> Outcome {
    if std::env::var_os("FLAC_ROOT").is_none() {
        return skip("nobody may write beside a mount point of the kernel");
    }
    // A name that begins like the root is not in it.
    let beside = PathBuf::from(format!("{}-beside", d.root().display()));
    let fd = sys::creat(&beside, 0o600)?;
    assert_ne!(sys::fstat(&fd)?.st_dev, sys::stat(d.root())?.st_dev);
    sys::unlink(beside)?;
    Ok(())
}
