//! Both sides at once.

use super::{GROUP, OTHER, as_other, is_root, mounted, run};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

#[test]
fn each_side_sees_the_others_changes_at_once() {
    let Some(site) = mounted() else { return };
    site.in_static("mkdir d && echo one >d/f && ln -s d/f link && ln d/f hard");
    assert_eq!(site.in_preloaded("cat d/f link hard; stat -c '%h %F' d/f"), "one\none\none\n2 regular file\n");
    for round in 0..10 {
        // The same name, size and inode change under the other's eyes, while the kernel has just seen them.
        site.in_preloaded(&format!(
            "echo round {round} >d/f; rm -f n; if [ $(({round} % 2)) = 0 ]; then touch n; else mkdir n; fi; rmdir n 2>/dev/null; true"
        ));
        assert_eq!(site.in_static("cat d/f; ls; stat -c %s d/f"), site.in_preloaded("cat d/f; ls; stat -c %s d/f"));
        site.in_static(&format!("echo more {round} >>d/f; mv d/f d/g; mv d/g d/f; truncate -s 100 d/f"));
        assert_eq!(site.in_preloaded("od -b d/f; ls d"), site.in_static("od -b d/f; ls d"));
    }
}

#[test]
fn an_open_file_follows_what_the_other_side_does() {
    let Some(site) = mounted() else { return };
    let path = site.mnt().join("f");
    let mut file = std::fs::File::options().read(true).write(true).create_new(true).open(&path).expect("a file");
    file.write_all(&[b'a'; 10_000]).expect("room");
    site.in_preloaded("printf b | dd of=f conv=notrunc bs=1 seek=5000 status=none; printf end >>f");
    assert_eq!(file.metadata().expect("attributes").len(), 10_003);
    let mut all = Vec::new();
    std::fs::File::open(&path).expect("it is there").read_to_end(&mut all).expect("it can be read");
    assert!(all[5000] == b'b' && all.ends_with(b"aend") && all.len() == 10_003);
    site.in_preloaded("truncate -s 5 f");
    assert_eq!(file.metadata().expect("attributes").len(), 5);
    site.in_preloaded("rm f; echo new >f");
    file.write_all(b"still there").expect("an unlinked file can be written");
    assert_eq!(file.metadata().expect("attributes").len(), 10_011);
    assert_eq!(std::fs::read(&path).expect("the new one"), b"new\n");
}

#[test]
fn appends_of_both_sides_do_not_overwrite_each_other() {
    let Some(site) = mounted() else { return };
    let script = |who: &str| format!("i=0; while [ $i -lt 200 ]; do echo {who} $i >>log; i=$((i+1)); done");
    let mut sides = [site.static_shell(&script("s")).spawn().expect("busybox"), site.preloaded_shell(&script("p")).spawn().expect("bash")];
    sides.iter_mut().for_each(|side| assert!(side.wait().expect("a child").success()));
    let log = site.in_preloaded("cat log");
    for who in ["s", "p"] {
        let lines: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix(who)).collect();
        let wanted: Vec<String> = (0..200).map(|i| format!(" {i}")).collect();
        assert_eq!(lines, wanted, "{who}");
    }
    assert_eq!(log.lines().count(), 400);
}

#[test]
fn a_tree_copied_in_on_one_side_is_the_same_on_the_other() {
    let Some(site) = mounted() else { return };
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/flac/src");
    site.in_static(&format!("cp -a {source} from-static && tar c -C {source} . >tree.tar"));
    site.in_preloaded(&format!("cp -a {source} from-preloaded && diff -r {source} from-static"));
    site.in_static("mkdir out && tar x -C out -f tree.tar");
    run(Command::new("diff").arg("-r").arg(source).arg(site.mnt().join("from-preloaded")));
    run(Command::new("diff").arg("-r").arg(source).arg(site.mnt().join("out")));
    assert_eq!(site.in_static("rm -r from-preloaded from-static out tree.tar; ls"), "");
    assert_eq!(site.in_preloaded("ls"), "");
}

#[test]
fn permissions_bind_the_caller() {
    let Some(site) = mounted() else { return };
    if !is_root() {
        return println!("skipped: changing the user needs root");
    }
    site.in_static(&format!(
        "chmod 1777 .; echo s >secret; chmod 600 secret; echo g >group; chgrp {GROUP} group; chmod 640 group; echo o >open; mkdir shut; chmod 700 shut; echo x >shut/f"
    ));
    let other = |script: &str, groups: &str| {
        as_other(&site.static_shell(script), groups).output().expect("setpriv (package util-linux)").status.success()
    };
    for denied in [
        "cat secret",
        "cat group",
        "cat shut/f",
        "ls shut",
        "echo x >open",
        "rm open",
        "chmod 777 open",
        "mv open mine",
        "ln secret mine",
        "mkdir shut/d",
        "chown 0 .",
    ] {
        assert!(!other(denied, ""), "{denied}");
    }
    for allowed in ["cat open", "echo mine >own && chmod 400 own && cat own", "mkdir dir && touch dir/f && rm -r dir"] {
        assert!(other(allowed, ""), "{allowed}");
    }
    assert!(other("cat group", &GROUP.to_string()), "a supplementary group");
    assert_eq!(site.in_preloaded("stat -c '%u %g %a' own"), format!("{OTHER} {OTHER} 400\n"));
    site.in_static("echo x >suid; chmod 4777 suid");
    assert!(other("echo y >>suid", ""));
    assert_eq!(site.in_preloaded("stat -c %a suid"), "777\n");
}

#[test]
fn a_file_replaced_by_renaming_is_there_at_every_moment() {
    let Some(site) = mounted() else { return };
    site.in_static("echo 0 >target");
    let mut writer = site.preloaded_shell("for i in $(seq 300); do echo $i >new; mv new target; done").spawn().expect("bash");
    let mut reads = 0;
    while reads < 50 || writer.try_wait().expect("a child").is_none() {
        let content = std::fs::read_to_string(site.mnt().join("target"));
        assert!(content.as_ref().is_ok_and(|text| text.ends_with('\n')), "{content:?}");
        reads += 1;
    }
    assert_eq!(site.in_static("cat target"), "300\n");
    // What is looked up is held for a moment only: the space of removed files comes back.
    let used = |site: &super::Site| site.in_static("df -P . | tail -n 1 | awk '{ print $3 }'").trim().parse::<u64>().expect("a number");
    let before = used(&site);
    site.in_static("dd if=/dev/zero of=big bs=1M count=20 2>/dev/null; cat big >/dev/null");
    assert!(used(&site) >= before + 20_000);
    site.in_preloaded("rm big");
    site.wait_until("the space is free", || used(&site) <= before + 1000);
}

/// A program that takes a record lock, says so, and holds it until its standard input ends.
const HOLDER: &str = "import fcntl,sys
f=open(sys.argv[1],'r+')
fcntl.lockf(f,fcntl.LOCK_EX,10,5)
print('held',flush=True)
sys.stdin.read()";
const TRIER: &str = "import fcntl,sys
f=open(sys.argv[1],'r+')
def tries(length,start):
    try: fcntl.lockf(f,fcntl.LOCK_EX|fcntl.LOCK_NB,length,start); fcntl.lockf(f,fcntl.LOCK_UN,length,start); return 'free'
    except OSError as e: return 'held' if e.errno in (11,13) else str(e)
print(tries(5,0),tries(1,14),tries(0,15))";
const WAITER: &str = "import fcntl,sys
f=open(sys.argv[1],'r+')
print('waiting',flush=True)
fcntl.lockf(f,fcntl.LOCK_EX,10,5)
print('got it',flush=True)";

#[test]
fn record_locks_are_shared_by_both_sides() {
    let Some(site) = mounted() else { return };
    site.in_static("echo 0123456789012345678901234567890 >f");
    let python = |program: &str, preloaded: bool| {
        let mut command = Command::new("python3");
        command.args(["-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped());
        match preloaded {
            true => {
                site.preload(&mut command);
                command.arg("/flac/f")
            }
            false => command.arg(site.mnt().join("f")),
        };
        command
    };
    for (holder, other) in [(false, true), (true, false), (false, false)] {
        let mut held = python(HOLDER, holder).spawn().expect("python3");
        let mut lines = BufReader::new(held.stdout.take().expect("a pipe")).lines();
        assert_eq!(lines.next().expect("a line").expect("text"), "held");
        let seen = run(&mut python(TRIER, other));
        assert_eq!(seen, "free held free\n", "held by a preloaded one: {holder}, tried by one: {other}");
        let mut waits = python(WAITER, other).spawn().expect("python3");
        let mut said = BufReader::new(waits.stdout.take().expect("a pipe")).lines();
        assert_eq!(said.next().expect("a line").expect("text"), "waiting");
        // Who waits for a lock can be killed.
        let mut killed = python(WAITER, other).spawn().expect("python3");
        let mut line = String::new();
        BufReader::new(killed.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("text");
        std::thread::sleep(std::time::Duration::from_millis(100));
        killed.kill().expect("a kill");
        killed.wait().expect("it is gone");
        held.kill().expect("a kill");
        held.wait().expect("it is gone");
        assert_eq!(said.next().expect("a line").expect("text"), "got it");
        assert!(waits.wait().expect("a child").success());
        assert_eq!(run(&mut python(TRIER, other)), "free free free\n");
    }
}

#[test]
fn holes_attributes_and_ranges_pass_through() {
    let Some(site) = mounted() else { return };
    let script = "truncate -s 1M sparse; printf x | dd of=sparse bs=1 seek=500000 conv=notrunc 2>/dev/null; fallocate -l 8192 full; touch -d @1234567890 full";
    run(Command::new("bash").args(["-c", script]).current_dir(site.mnt()));
    let facts = "import os,sys
os.chdir(sys.argv[1]); f=os.open('sparse',os.O_RDWR); s=os.stat('sparse'); u=os.stat('full')
d=os.lseek(f,0,os.SEEK_DATA); h=os.lseek(f,d,os.SEEK_HOLE)
os.setxattr('full','user.a',b'1'); os.setxattr('full','user.b',b'2'*1000); os.removexattr('full','user.a')
g=os.open('copy',os.O_RDWR|os.O_CREAT); n=os.copy_file_range(f,g,1<<20)
print(d,h,s.st_size,s.st_blocks,u.st_size,u.st_blocks,u.st_mtime,os.listxattr('full'),len(os.getxattr('full','user.b')),n)
v=os.statvfs('.'); print(v.f_bsize,v.f_blocks,v.f_namemax); os.unlink('copy')
os.symlink('x'*300,'long'); print(os.readlink('long')=='x'*300); os.unlink('long')
os.mkfifo('fifo'); print(oct(os.stat('fifo').st_mode)); os.unlink('fifo')
for name in ('n'*256,): 
    try: os.mkdir(name)
    except OSError as e: print(e.errno)";
    let direct = run(Command::new("python3").args(["-c", facts]).arg(site.mnt()));
    let mut command = Command::new("python3");
    command.args(["-c", facts, "/flac"]);
    site.preload(&mut command);
    assert_eq!(direct, run(&mut command));
}
