//! The FLAC space from C: `flac.h` compiles without a warning as C and as C++, `examples/logstore` builds with what `ci/install.sh` installs, and its stores keep
//! what they acknowledged when their processes are killed at any moment and when everything in memory is lost.
//!
//! `FLAC_KILL_ROUNDS=N` sets the number of rounds (10 unless said), `FLAC_SEED=N` the moments.

use flac_outside::random::{Random, number};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);
/// Processes at work at once, each on a shard of its own.
const SHARDS: usize = 3;

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn temp() -> TempDir {
    tempfile::Builder::new().prefix("test-of-flac-").tempdir().expect("a temporary directory")
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].concat().escape_ascii().to_string().replace("\\n", "\n")
}

fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, said(&output));
    said(&output)
}

/// What `ci/install.sh` installs, and the example built with it, linked with `libflac.so` and with `libflac.a`.
struct Installed {
    prefix: PathBuf,
    dynamic: PathBuf,
    fixed: PathBuf,
}

fn installed() -> &'static Installed {
    static INSTALLED: OnceLock<Installed> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        // In the build directory: nobody removes what a static owns.
        let exe = std::env::current_exe().expect("a test knows where it is");
        let prefix = exe.ancestors().nth(3).expect("target/PROFILE/deps/TEST").join("logstore");
        let _ = std::fs::remove_dir_all(&prefix);
        succeeds(Command::new(top().join("ci/install.sh")).env("PREFIX", &prefix).env_remove("DESTDIR"));
        let [dynamic, fixed] = ["dynamic", "static"].map(|kind| {
            let out = prefix.join(kind);
            std::fs::create_dir_all(&out).expect("a directory");
            let mut make = Command::new("make");
            make.arg("-C").arg(top().join("examples/logstore")).arg(format!("OUT={}", out.display()));
            make.args(["CC=gcc", "CFLAGS=-O1 -g -Werror"]).env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
            if kind == "static" {
                make.arg("FLAC_STATIC=1");
            }
            succeeds(&mut make);
            out.join("logstore")
        });
        Installed { prefix, dynamic, fixed }
    })
}

/// A pool with a record for each shard.
struct Site {
    dir: TempDir,
    program: PathBuf,
}

impl Site {
    fn new(program: &Path) -> Self {
        Self { dir: temp(), program: program.to_owned() }
    }

    fn pool(&self) -> PathBuf {
        self.dir.path().join("pool")
    }

    fn record(&self, shard: usize) -> PathBuf {
        self.dir.path().join(format!("record-{shard}"))
    }

    fn store(&self, shard: usize, words: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.args(["-k", "1", "60"]).arg(&self.program).arg(self.pool()).arg(shard.to_string()).args(words);
        self.surroundings(&mut command);
        command
    }

    fn surroundings(&self, command: &mut Command) {
        command.env("LD_LIBRARY_PATH", installed().prefix.join("lib")).env_remove("LD_PRELOAD").stdin(Stdio::null());
    }

    fn flac(&self, words: &[&str]) {
        let flac = installed().prefix.join("bin/flac");
        succeeds(Command::new(flac).args(words).arg("--pool").arg(self.pool()).env_remove("LD_PRELOAD"));
    }

    fn start(&self, shard: usize, seed: u64) -> Child {
        let before = std::fs::metadata(self.record(shard)).map_or(0, |m| m.len());
        let mut command = Command::new(&self.program);
        command.arg(self.pool()).arg(shard.to_string()).arg("worker").arg(self.record(shard)).args(["4", &seed.to_string()]);
        self.surroundings(&mut command);
        let mut child = command.spawn().expect("logstore starts");
        let start = Instant::now();
        while std::fs::metadata(self.record(shard)).map_or(0, |m| m.len()) <= before {
            assert!(child.try_wait().expect("a child").is_none(), "the worker ended");
            assert!(start.elapsed() < PATIENCE, "the worker does nothing");
            std::thread::sleep(Duration::from_millis(1));
        }
        child
    }

    fn check(&self, shard: usize, round: u32) {
        let record = self.record(shard);
        let output = self.store(shard, &["check", record.to_str().expect("a plain path")]).output().expect("logstore starts");
        assert!(output.status.success(), "round {round}, shard {shard}: {}\n{}", output.status, said(&output));
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let flac = installed().prefix.join("bin/flac");
        let _ = Command::new(flac).args(["stop", "--discard", "--force", "--pool"]).arg(self.pool()).output();
    }
}

#[test]
fn the_header_is_clean_c_and_clean_cpp() {
    let dir = temp();
    let include = top().join("flac/include");
    for (compiler, standard, name) in
        [("gcc", "-std=c99", "a.c"), ("gcc", "-std=c23", "b.c"), ("g++", "-std=c++11", "c.cc"), ("g++", "-std=c++20", "d.cc")]
    {
        let source = dir.path().join(name);
        std::fs::write(&source, "#include <flac.h>\nint main(void) { return init_flac(0, 0) + zcopy_to_flac(FLAC_SPAN, 0, 0); }\n")
            .expect("a file");
        let output = Command::new(compiler)
            .args([
                if standard == "-std=c23" { "-std=c2x" } else { standard },
                "-Wall",
                "-Wextra",
                "-Wpedantic",
                "-Werror",
                "-fsyntax-only",
                "-I",
            ])
            .arg(&include)
            .arg(&source)
            .output();
        match output {
            Err(error) if compiler == "g++" && error.kind() == std::io::ErrorKind::NotFound => println!("skipped: there is no g++"),
            Err(error) => panic!("{compiler}: {error}"),
            Ok(output) => assert!(output.status.success(), "{compiler} {standard}: {}", said(&output)),
        }
    }
}

#[test]
fn a_store_keeps_what_it_was_given() {
    for program in [&installed().dynamic, &installed().fixed] {
        let site = Site::new(program);
        succeeds(&mut site.store(0, &["put", "a", "one"]));
        succeeds(&mut site.store(0, &["put", "b", "two"]));
        succeeds(&mut site.store(1, &["put", "a", "other"]));
        succeeds(&mut site.store(0, &["put", "a", "three"]));
        succeeds(&mut site.store(0, &["delete", "b"]));
        for step in 0..3 {
            assert_eq!(succeeds(&mut site.store(0, &["get", "a"])), "three\n");
            assert_eq!(succeeds(&mut site.store(1, &["get", "a"])), "other\n");
            assert_eq!(succeeds(&mut site.store(0, &["list"])), "a\n");
            assert_eq!(site.store(0, &["get", "b"]).output().expect("logstore").status.code(), Some(3));
            match step {
                0 => drop(succeeds(&mut site.store(0, &["compact"]))),
                _ => site.flac(&["stop", "--discard"]),
            }
        }
        assert_eq!(succeeds(&mut site.store(0, &["size"])), "1 keys, 32 bytes of log\n");
        site.flac(&["fsck", "--data"]);
    }
}

#[test]
fn a_process_with_a_space_may_fork() {
    let site = Site::new(&installed().dynamic);
    let (program, prefix) = (site.dir.path().join("fork"), &installed().prefix);
    let mut compile = Command::new("gcc");
    compile.args(["-std=c11", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g"]);
    compile.arg("-I").arg(prefix.join("include")).arg("-o").arg(&program).arg(top().join("tests/logstore/fork.c"));
    succeeds(compile.arg("-L").arg(prefix.join("lib")).args(["-lflac", "-lpthread"]));
    let mut run = Command::new("timeout");
    run.args(["-k", "1", "60"]).arg(&program).arg(site.pool());
    site.surroundings(&mut run);
    assert_eq!(succeeds(&mut run), "ok\n");
    site.flac(&["fsck", "--data"]);
}

#[test]
fn what_was_acknowledged_survives_kills_and_the_loss_of_memory() {
    let mut random = Random::seeded("logstore");
    let site = Site::new(&installed().dynamic);
    for round in 0..number("FLAC_KILL_ROUNDS").unwrap_or(10) as u32 {
        let mut workers: Vec<Child> = (0..SHARDS).map(|shard| site.start(shard, random.below(u64::MAX))).collect();
        let first = random.below(SHARDS as u64) as usize;
        for i in 0..SHARDS {
            std::thread::sleep(Duration::from_micros(random.below(60_000)));
            let shard = (first + i) % SHARDS;
            workers[shard].kill().expect("it is killed");
            workers[shard].wait().expect("a child");
            // The others are at work while this one is recovered.
            if random.below(3) == 0 {
                site.check(shard, round);
            }
        }
        if random.below(3) == 0 {
            site.flac(&["stop", "--discard"]);
        }
        (0..SHARDS).for_each(|shard| site.check(shard, round));
        if random.below(4) == 0 {
            site.flac(&["fsck"]);
        }
    }
    site.flac(&["fsck", "--data"]);
}
