//! `mkdir` and `rmdir`.

use crate::case::{Dir, Outcome, cases, fails};
use crate::sys;

cases![
    new_directory_is_empty_and_has_two_links,
    subdirectories_count_as_links,
    mkdir_over_anything_is_eexist,
    mkdir_errors,
    mkdir_with_a_trailing_slash_works,
    rmdir_removes_an_empty_directory,
    rmdir_of_a_full_directory_is_enotempty,
    rmdir_of_dot_is_einval_and_of_dotdot_enotempty,
    rmdir_of_a_file_or_symlink_is_enotdir,
    removed_directory_stays_open_but_takes_no_files,
    removed_working_directory_is_enoent,
    mkdirat_and_unlinkat_are_relative,
    deep_trees_can_be_built_and_torn_down,
    size_and_blocks_of_a_directory_make_sense,
];

fn new_directory_is_empty_and_has_two_links(d: &Dir) -> Outcome {
    let dir = d.dir("dir");
    let stat = sys::stat(&dir)?;
    assert_eq!(stat.st_mode, libc::S_IFDIR | 0o755);
    assert_eq!(stat.st_nlink, 2);
    assert!(sys::names_in(dir)?.is_empty());
    Ok(())
}

fn subdirectories_count_as_links(d: &Dir) -> Outcome {
    d.dir("dir");
    d.dir("dir/one");
    d.dir("dir/two");
    d.file("dir/file", b"");
    assert_eq!(sys::stat(d.at("dir"))?.st_nlink, 4);
    sys::rmdir(d.at("dir/one"))?;
    assert_eq!(sys::stat(d.at("dir"))?.st_nlink, 3);
    Ok(())
}

fn mkdir_over_anything_is_eexist(d: &Dir) -> Outcome {
    d.file("f", b"");
    d.dir("dir");
    sys::symlink("no", d.at("dangling"))?;
    for name in ["f", "dir", "dangling", ".", "dir/.."] {
        fails!(EEXIST, sys::mkdir(d.at(name), 0o755));
    }
    fails!(EEXIST, sys::mkdir("/", 0o755));
    fails!(EEXIST, sys::mkdir(d.root(), 0o755));
    Ok(())
}

fn mkdir_errors(d: &Dir) -> Outcome {
    d.file("f", b"");
    fails!(ENOENT, sys::mkdir(d.at("no/dir"), 0o755));
    fails!(ENOTDIR, sys::mkdir(d.at("f/dir"), 0o755));
    fails!(ENOENT, sys::mkdir("", 0o755));
    Ok(())
}

fn mkdir_with_a_trailing_slash_works(d: &Dir) -> Outcome {
    sys::mkdir(d.at("one/"), 0o755)?;
    sys::mkdir(d.at("two///"), 0o755)?;
    sys::rmdir(d.at("one/"))?;
    assert_eq!(sys::names_in(d.path())?, ["two"]);
    Ok(())
}

fn rmdir_removes_an_empty_directory(d: &Dir) -> Outcome {
    d.dir("dir");
    sys::rmdir(d.at("dir"))?;
    fails!(ENOENT, sys::stat(d.at("dir")));
    fails!(ENOENT, sys::rmdir(d.at("dir")));
    Ok(())
}

fn rmdir_of_a_full_directory_is_enotempty(d: &Dir) -> Outcome {
    d.dir("dir");
    d.file("dir/.hidden", b"");
    fails!(ENOTEMPTY, sys::rmdir(d.at("dir")));
    fails!(ENOTEMPTY, sys::rmdir(d.path()));
    Ok(())
}

fn rmdir_of_dot_is_einval_and_of_dotdot_enotempty(d: &Dir) -> Outcome {
    d.dir("dir");
    fails!(EINVAL, sys::rmdir(d.at("dir/.")));
    fails!(ENOTEMPTY, sys::rmdir(d.at("dir/..")));
    fails!(EINVAL, sys::rmdir("."));
    fails!(ENOTEMPTY, sys::rmdir(".."));
    Ok(())
}

fn rmdir_of_a_file_or_symlink_is_enotdir(d: &Dir) -> Outcome {
    d.file("f", b"");
    d.dir("dir");
    sys::symlink("dir", d.at("l"))?;
    fails!(ENOTDIR, sys::rmdir(d.at("f")));
    fails!(ENOTDIR, sys::rmdir(d.at("l")));
    fails!(ENOTDIR, sys::rmdir(d.at("f/x")));
    Ok(())
}

fn removed_directory_stays_open_but_takes_no_files(d: &Dir) -> Outcome {
    d.dir("dir");
    let fd = sys::open(d.at("dir"), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    sys::rmdir(d.at("dir"))?;
    assert_eq!(sys::fstat(&fd)?.st_nlink, 0);
    fails!(
        ENOENT,
        sys::openat(&fd, "f", libc::O_RDWR | libc::O_CREAT, 0o600)
    );
    fails!(ENOENT, sys::mkdirat(&fd, "sub", 0o755));
    assert!(sys::fdopendir(fd)?.rest()?.is_empty());
    Ok(())
}

fn removed_working_directory_is_enoent(d: &Dir) -> Outcome {
    d.dir("dir");
    sys::chdir(d.at("dir"))?;
    sys::rmdir(d.at("dir"))?;
    fails!(ENOENT, sys::getcwd(4096));
    fails!(ENOENT, sys::creat("f", 0o600));
    sys::stat(".")?;
    sys::chdir("..")?;
    assert_eq!(sys::getcwd(4096)?, d.path().as_os_str());
    Ok(())
}

fn mkdirat_and_unlinkat_are_relative(d: &Dir) -> Outcome {
    d.dir("dir");
    let fd = sys::open(d.at("dir"), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    sys::mkdirat(&fd, "sub", 0o755)?;
    assert_eq!(sys::names_in(d.at("dir"))?, ["sub"]);
    fails!(EISDIR, sys::unlinkat(&fd, "sub", 0));
    sys::unlinkat(&fd, "sub", libc::AT_REMOVEDIR)?;
    assert!(sys::names_in(d.at("dir"))?.is_empty());
    Ok(())
}

fn deep_trees_can_be_built_and_torn_down(d: &Dir) -> Outcome {
    let mut path = d.path().to_owned();
    for level in 0..100 {
        path.push(format!("level-{level}"));
        sys::mkdir(&path, 0o755)?;
    }
    while path != d.path() {
        sys::rmdir(&path)?;
        path.pop();
    }
    assert!(sys::names_in(d.path())?.is_empty());
    Ok(())
}

fn size_and_blocks_of_a_directory_make_sense(d: &Dir) -> Outcome {
    let stat = sys::stat(d.path())?;
    assert!(stat.st_size >= 0 && stat.st_blocks >= 0 && stat.st_blksize > 0);
    Ok(())
}
