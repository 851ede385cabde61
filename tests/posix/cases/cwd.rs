//! The working directory.

use crate::case::{Dir, Outcome, cases, content, fails, skip};
use crate::sys;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

cases![
    getcwd_names_the_directory,
    getcwd_into_a_small_buffer_is_erange,
    chdir_through_a_symlink_names_the_target,
    fchdir_enters_an_open_directory,
    getcwd_follows_a_rename_of_the_directory,
    getcwd_follows_a_rename_of_an_ancestor,
    relative_calls_use_it,
    child_inherits_it_and_keeps_its_own,
    exec_keeps_it,
    errors,
    dotdot_walks_up,
    proc_self_cwd_names_it,
    std_sees_it_too,
    a_working_directory_deeper_than_any_path_has_a_name,
    proc_names_that_of_another_process,
    what_dies_in_it_leaves_its_core_there_or_nowhere,
];

fn getcwd_names_the_directory(d: &Dir) -> Outcome {
    assert_eq!(sys::getcwd(4096)?, d.path().as_os_str());
    d.dir("dir");
    sys::chdir("dir")?;
    assert_eq!(sys::getcwd(4096)?, d.at("dir").into_os_string());
    sys::chdir(".")?;
    assert_eq!(sys::getcwd(4096)?, d.at("dir").into_os_string());
    Ok(())
}

fn getcwd_into_a_small_buffer_is_erange(d: &Dir) -> Outcome {
    let length = d.path().as_os_str().len();
    fails!(ERANGE, sys::getcwd(length));
    fails!(ERANGE, sys::getcwd(1));
    fails!(EINVAL, sys::getcwd(0));
    assert_eq!(sys::getcwd(length + 1)?, d.path().as_os_str());
    Ok(())
}

fn chdir_through_a_symlink_names_the_target(d: &Dir) -> Outcome {
    d.dir("dir");
    sys::symlink("dir", d.at("l"))?;
    sys::chdir(d.at("l"))?;
    assert_eq!(sys::getcwd(4096)?, d.at("dir").into_os_string());
    sys::chdir("..")?;
    assert_eq!(sys::getcwd(4096)?, d.path().as_os_str());
    Ok(())
}

fn fchdir_enters_an_open_directory(d: &Dir) -> Outcome {
    d.dir("dir");
    let dir = sys::open("dir", libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    let path = sys::open(".", libc::O_PATH | libc::O_DIRECTORY, 0)?;
    sys::fchdir(&dir)?;
    assert_eq!(sys::getcwd(4096)?, d.at("dir").into_os_string());
    sys::fchdir(&path)?;
    assert_eq!(sys::getcwd(4096)?, d.path().as_os_str());
    Ok(())
}

fn getcwd_follows_a_rename_of_the_directory(d: &Dir) -> Outcome {
    d.dir("old");
    sys::chdir("old")?;
    sys::rename(d.at("old"), d.at("new"))?;
    assert_eq!(sys::getcwd(4096)?, d.at("new").into_os_string());
    sys::creat("f", 0o600)?.close()?;
    sys::stat(d.at("new/f"))?;
    Ok(())
}

fn getcwd_follows_a_rename_of_an_ancestor(d: &Dir) -> Outcome {
    d.dir("old");
    d.dir("old/sub");
    sys::chdir("old/sub")?;
    sys::fork(|| sys::rename(d.at("old"), d.at("new")).expect("rename")).succeeds();
    assert_eq!(sys::getcwd(4096)?, d.at("new/sub").into_os_string());
    sys::stat("../sub")?;
    Ok(())
}

fn relative_calls_use_it(d: &Dir) -> Outcome {
    d.dir("dir");
    sys::chdir("dir")?;
    sys::creat("f", 0o600)?.close()?;
    sys::mkdir("sub", 0o755)?;
    sys::symlink("f", "l")?;
    sys::link("f", "g")?;
    sys::rename("g", "sub/h")?;
    assert_eq!(sys::names_in(d.at("dir"))?, ["f", "l", "sub"]);
    assert_eq!(sys::names_in(".")?, ["f", "l", "sub"]);
    sys::unlink("l")?;
    sys::unlink("sub/h")?;
    sys::rmdir("sub")?;
    assert_eq!(sys::names_in(d.at("dir"))?, ["f"]);
    Ok(())
}

fn child_inherits_it_and_keeps_its_own(d: &Dir) -> Outcome {
    d.dir("one");
    d.dir("two");
    sys::chdir("one")?;
    sys::fork(|| {
        assert_eq!(
            sys::getcwd(4096).expect("getcwd"),
            d.at("one").into_os_string()
        );
        sys::chdir("../two").expect("chdir");
        sys::creat("of-the-child", 0o600).expect("creat");
    })
    .succeeds();
    assert_eq!(sys::getcwd(4096)?, d.at("one").into_os_string());
    assert_eq!(sys::names_in(d.at("two"))?, ["of-the-child"]);
    Ok(())
}

fn exec_keeps_it(d: &Dir) -> Outcome {
    d.dir("dir");
    d.file("dir/here", b"");
    sys::chdir("dir")?;
    let path = d.at("dir").into_os_string().into_string().expect("UTF-8");
    sys::fork_with(|| sys::exec_role(&["expect-directory", &path]).0).succeeds();
    sys::fork_with(|| sys::exec_role(&["expect-file-here", "here"]).0).succeeds();
    let child = sys::fork_with(|| {
        sys::exec(
            c"/bin/sh",
            &[
                c"sh".into(),
                c"-c".into(),
                c"echo made >by-the-shell".into(),
            ],
        )
        .0
    });
    child.succeeds();
    assert_eq!(content("by-the-shell"), b"made\n");
    Ok(())
}

fn errors(d: &Dir) -> Outcome {
    d.file("f", b"");
    fails!(ENOENT, sys::chdir(d.at("no")));
    fails!(ENOTDIR, sys::chdir(d.at("f")));
    fails!(ENOENT, sys::chdir(""));
    fails!(EBADF, sys::fchdir(-1));
    let file = sys::open("f", libc::O_RDONLY, 0)?;
    fails!(ENOTDIR, sys::fchdir(&file));
    assert_eq!(sys::getcwd(4096)?, d.path().as_os_str());
    Ok(())
}

fn dotdot_walks_up(d: &Dir) -> Outcome {
    d.dir("a");
    d.dir("a/b");
    d.dir("a/b/c");
    sys::chdir("a/b/c")?;
    for expected in ["a/b", "a"] {
        sys::chdir("..")?;
        assert_eq!(sys::getcwd(4096)?, d.at(expected).into_os_string());
    }
    sys::chdir("b/../b/c/..")?;
    assert_eq!(sys::getcwd(4096)?, d.at("a/b").into_os_string());
    Ok(())
}

fn proc_self_cwd_names_it(d: &Dir) -> Outcome {
    d.file("f", b"abc");
    assert_eq!(sys::readlink("/proc/self/cwd", 4096)?, d.path().as_os_str());
    assert_eq!(content("/proc/self/cwd/f"), b"abc");
    Ok(())
}

fn std_sees_it_too(d: &Dir) -> Outcome {
    let dir = d.dir("dir");
    std::env::set_current_dir(&dir).map_err(sys::Errno::from)?;
    assert_eq!(std::env::current_dir().map_err(sys::Errno::from)?, dir);
    std::fs::write("f", b"abc").map_err(sys::Errno::from)?;
    assert_eq!(
        std::fs::canonicalize("f").map_err(sys::Errno::from)?,
        d.at("dir/f")
    );
    Ok(())
}

fn a_working_directory_deeper_than_any_path_has_a_name(d: &Dir) -> Outcome {
    let name = "n".repeat(200);
    let mut path = d.path().to_path_buf();
    for _ in 0..25 {
        sys::mkdir(&name, 0o755)?;
        sys::chdir(&name)?;
        path.push(&name);
    }
    assert_eq!(sys::getcwd(8192)?, path.as_os_str());
    fails!(ERANGE, sys::getcwd(4096));
    sys::make_file("here")?;
    sys::unlink("here")?;
    for _ in 0..25 {
        sys::chdir("..")?;
        sys::rmdir(&name)?;
    }
    assert_eq!(sys::getcwd(8192)?, d.path().as_os_str());
    Ok(())
}

fn proc_names_that_of_another_process(d: &Dir) -> Outcome {
    d.dir("sub");
    sys::chdir("sub")?;
    let link = format!("/proc/{}/cwd", std::process::id());
    sys::fork(|| {
        sys::chdir("/").expect("chdir");
        assert_eq!(sys::readlink(&link, 4096).expect("readlink"), d.at("sub").as_os_str());
        assert_eq!(sys::readlink(&link, 5).expect("readlink").len(), 5);
    })
    .succeeds();
    Ok(())
}

fn what_dies_in_it_leaves_its_core_there_or_nowhere(d: &Dir) -> Outcome {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if pattern.starts_with(['|', '/']) || sys::is_root() {
        return skip("core dumps do not go to the working directory, or root may write anywhere");
    }
    let unseen = |command: &str| {
        let done = Command::new("/usr/bin/env")
            .args(["-u", "LD_PRELOAD", "sh", "-c", command])
            .current_dir("/")
            .output();
        String::from_utf8_lossy(&done.expect("a shell").stdout).into_owned()
    };
    let mut dying = Command::new("/bin/sh")
        .args(["-c", "ulimit -c unlimited; read x; kill -ABRT $$"])
        .stdin(Stdio::piped())
        .spawn()
        .map_err(sys::Errno::from)?;
    let place = unseen(&format!("readlink /proc/{}/cwd", dying.id()));
    drop(dying.stdin.take());
    let status = dying.wait().map_err(sys::Errno::from)?;
    assert_eq!(status.signal(), Some(libc::SIGABRT));
    let is_here = Path::new(place.trim_end()) == d.path();
    let left = unseen(&format!("ls -A {}", place.trim_end()));
    assert!(is_here || left.is_empty(), "{place}: {left}");
    Ok(())
}
