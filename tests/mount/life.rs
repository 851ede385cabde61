//! How a mount begins and ends.

use super::{OTHER, Site, as_other, is_root, mounted, run, said, usable};
use std::process::{Command, Stdio};

fn kill(signal: &str, pid: u32) {
    run(Command::new("kill").args([signal, &pid.to_string()]));
}

fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

#[test]
fn a_signal_and_an_unmount_end_it_cleanly_and_everything_is_written_back() {
    for signal in [Some("-TERM"), Some("-INT"), None] {
        let Some(site) = mounted() else { return };
        site.in_static("echo kept >f");
        let server = site.server();
        match signal {
            Some(signal) => kill(signal, server),
            None => assert!(site.flac(&["mount", "--unmount", site.mnt_str()]).status.success()),
        }
        site.wait_until("the server has ended", || !is_running(server));
        assert!(!site.is_mounted(), "{signal:?}");
        // It was alone: it has taken the shared memory down, and lost nothing.
        let info = String::from_utf8_lossy(&site.flac(&["info"]).stdout).into_owned();
        assert!(info.contains("users        none"), "{info}");
        site.flac(&["stop", "--discard"]);
        assert_eq!(site.in_preloaded("cat f"), "kept\n");
    }
}

#[test]
fn a_signal_ends_it_also_while_files_are_open_there() {
    let Some(site) = mounted() else { return };
    let mut user = site.static_shell("exec 3>f; echo x >&3; sleep 60").stdin(Stdio::null()).spawn().expect("busybox");
    site.wait_until("the file is there", || site.mnt().join("f").exists());
    let server = site.server();
    kill("-TERM", server);
    site.wait_until("the server has ended", || !is_running(server));
    assert!(!site.is_mounted());
    user.kill().expect("a kill");
    user.wait().expect("it is gone");
    assert_eq!(site.in_preloaded("cat f"), "x\n");
}

#[test]
fn a_killed_server_leaves_nothing_that_others_wait_for() {
    let Some(site) = mounted() else { return };
    site.in_preloaded("echo before >f");
    let mut writer = site.static_shell("while echo line >>log; do :; done").stderr(Stdio::null()).spawn().expect("busybox");
    site.wait_until("there is work", || site.mnt().join("log").exists());
    kill("-KILL", site.server());
    writer.wait().expect("it ends with an error");
    let output = site.preloaded_shell("timeout 10 sh -c 'cat f; echo after >>f; rm log; ls'").output().expect("bash");
    assert_eq!(said(&output), "before\nf\n");
    // What is left of the mount is replaced.
    assert!(site.is_mounted());
    site.mount();
    assert_eq!(site.in_static("cat f"), "before\nafter\n");
    assert!(site.flac(&["fsck"]).status.success());
}

#[test]
fn what_can_not_be_mounted_is_said_in_one_line() {
    if let Err(why) = usable() {
        return println!("skipped: {}", why.trim_end());
    }
    let site = Site::unmounted();
    let file = site.dir.path().join("file");
    std::fs::write(&file, "").expect("a file");
    for (words, wanted) in [
        (vec!["mount", "/nowhere/at/all"], "No such file"),
        (vec!["mount", file.to_str().expect("a plain path")], "no directory"),
        (vec!["mount", "--unmount", site.mnt_str()], "nothing is mounted"),
    ] {
        let output = site.flac(&words);
        let said = said(&output);
        assert!(output.status.code() == Some(1) && said.contains(wanted) && said.lines().count() == 1, "{words:?}: {said}");
    }
}

#[test]
fn a_user_without_rights_mounts_a_pool_of_its_own() {
    if let Err(why) = usable() {
        return println!("skipped: {}", why.trim_end());
    }
    if !is_root() {
        return println!("skipped: the other tests have run without rights");
    }
    let site = Site::unmounted();
    run(Command::new("chown").arg("-R").arg(format!("{OTHER}:{OTHER}")).arg(site.dir.path()));
    let flac = site.shim.flac.clone().expect("flac is built");
    let other = |words: &[&str]| {
        let mut command = Command::new(&flac);
        command.args(words).env("FLAC_POOL", site.pool()).env("FLAC_DRAM", "64M").current_dir("/").stdin(Stdio::null());
        as_other(&command, "").output().expect("setpriv (package util-linux)")
    };
    let output = other(&["mount", site.mnt_str()]);
    if !output.status.success() {
        return println!("skipped: {}", said(&output).trim_end());
    }
    // Root may not even go there: the shell itself must.
    let shell = |script: &str| {
        let mut command = Command::new(usable().expect("asked before"));
        command.args(["sh", "-c", &format!("cd {} && {script}", site.mnt().display())]).current_dir("/");
        run(&mut as_other(&command, ""))
    };
    assert_eq!(shell("echo mine >f; cat f; stat -c %u f"), format!("mine\n{OTHER}\n"));
    // Root is another user.
    assert!(!site.static_shell("cat f").output().is_ok_and(|output| output.status.success()));
    let server = site.server();
    let output = other(&["mount", "--unmount", site.mnt_str()]);
    assert!(output.status.success(), "{}", said(&output));
    site.wait_until("the server has ended", || !is_running(server));
}
