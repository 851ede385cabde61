//! A pool that is mounted at `FLAC_ROOT` itself: what preloaded programs start that can't be preloaded finds their working directory.

use super::{Site, mounted, run};
use std::process::Command;

/// A shell command by preloaded programs, in the directory `d` of the pool, which is mounted at their root or would be.
fn at_root(site: &Site, script: &str) -> String {
    let mut command = Command::new("bash");
    command.args(["-c", &format!("cd $FLAC_ROOT && mkdir -p d && cd d && {script}")]);
    site.preload(&mut command);
    run(command.env("FLAC_ROOT", site.mnt()).env("BUSYBOX", super::usable().expect("asked before")))
}

#[test]
fn static_programs_find_the_working_directory_of_who_starts_them() {
    let Some(site) = mounted() else { return };
    let script = "echo one >f; $BUSYBOX cat f; $BUSYBOX sh -c 'echo two >g; pwd'; cat g; readlink -f . /proc/self/cwd";
    let here = site.mnt().join("d").display().to_string();
    assert_eq!(at_root(&site, script), format!("one\n{here}\ntwo\n{here}\n{here}\n"));
    // And those that they start, preloaded again, are where they are.
    let deeper = at_root(&site, "mkdir e; cd e; $BUSYBOX sh -c 'cat ../g; cd ..; bash -c \"pwd; cat f; rm f g; rmdir e; ls\"'");
    assert_eq!(deeper, format!("two\n{here}\none\n"));
}

#[test]
fn a_static_program_stored_in_the_pool_finds_it_too() {
    let Some(site) = mounted() else { return };
    assert_eq!(at_root(&site, "cp $BUSYBOX busybox; echo one >f; ./busybox cat f; ln -s busybox cat; ./cat f"), "one\none\n");
}

#[test]
fn an_exec_that_fails_leaves_the_working_directory_alone() {
    let Some(site) = mounted() else { return };
    let script = "python3 -c '
import os
def now(): return os.getcwd(), os.stat(\".\").st_ino, os.stat(\"/proc/self/cwd/.\").st_ino
before = now()
try: os.execv(os.environ[\"BUSYBOX\"], [\"x\"] + [\"y\" * 100000] * 100)
except OSError as e: print(e.strerror, now() == before)
open(\"f\", \"w\").write(\"one\")'; cat f";
    assert_eq!(at_root(&site, script), "Argument list too long True\none");
}

#[test]
fn without_the_mount_they_find_nothing_and_make_nothing() {
    let Some(site) = mounted() else { return };
    assert!(site.flac(&["mount", "--unmount", site.mnt_str()]).status.success());
    let script = "echo one >f; $BUSYBOX cat f || $BUSYBOX touch g || true; ls";
    let script = format!("({script}) 2>/dev/null");
    let seen = at_root(&site, &script);
    // Root may make files in what stands for the directory; they are in nobody's way.
    assert_eq!(seen, "f\n");
}
