//! The command `flac`, as a user meets it: pools in temporary directories, exit statuses, one-line errors that leave the pool as it was.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory with a pool in it; what FLAC keeps in shared memory for it goes when this is dropped.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn empty() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary directory") }
    }

    fn new() -> Self {
        let place = Self::empty();
        place.succeeds(&["mkfs", "--size", "64M"]);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn pool(&self) -> PathBuf {
        self.path("pool")
    }

    fn flac(&self, arguments: &[&str]) -> Output {
        self.run(Command::new(env!("CARGO_BIN_EXE_flac")), arguments)
    }

    /// Runs `command`, which is `flac` but for its arguments.
    fn run(&self, mut command: Command, arguments: &[&str]) -> Output {
        command.current_dir(self.dir.path()).arg("--pool").arg(self.pool()).args(arguments);
        command.env_remove("LD_PRELOAD").env_remove("FLAC_ROOT").env("FLAC_DRAM", "32M").output().expect("flac starts")
    }

    /// Standard output of a run that must succeed.
    fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.flac(arguments);
        assert!(output.status.success(), "flac {arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// The one line of a run that must fail with `status`.
    fn fails(&self, arguments: &[&str], status: i32) -> String {
        let output = self.flac(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "flac {arguments:?}: {said}");
        assert!(said.starts_with("flac: ") && said.ends_with('\n') && said.lines().count() == 1, "not one line: {said}");
        said
    }

    /// All bytes of the pool's files.
    fn bytes(&self) -> Vec<(String, Vec<u8>)> {
        let entries = std::fs::read_dir(self.pool()).expect("the pool").flatten();
        let mut files: Vec<_> = entries
            .map(|entry| (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).expect("a file of the pool")))
            .collect();
        files.sort();
        files
    }

    fn flip(&self, file: &str, at: usize) {
        let path = self.pool().join(file);
        let mut bytes = std::fs::read(&path).expect("a file of the pool");
        bytes[at] ^= 0xff;
        std::fs::write(&path, bytes).expect("it can be written");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.flac(&["stop", "--discard"]);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn write(path: &Path, content: &[u8]) {
    std::fs::write(path, content).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

#[test]
fn a_missing_pool_is_one_line_that_names_mkfs() {
    let place = Place::empty();
    for command in ["info", "sync", "stop"] {
        assert!(place.fails(&[command], 1).contains("`flac mkfs`"));
    }
    assert!(place.fails(&["fsck"], 8).contains("`flac mkfs`"));
    std::fs::create_dir(place.pool()).expect("an empty directory");
    for command in ["info", "sync", "stop"] {
        assert!(place.fails(&[command], 1).contains("`flac mkfs`"));
    }
    assert_eq!(place.bytes(), []);
}

#[test]
fn mkfs_does_not_write_over_a_pool_unless_forced() {
    let place = Place::new();
    let before = place.bytes();
    assert!(place.fails(&["mkfs"], 1).contains("--force"));
    assert_eq!(place.bytes(), before);
    place.succeeds(&["mkfs", "--force", "--size", "32M"]);
    assert_ne!(place.bytes(), before);
    assert!(place.succeeds(&["info"]).contains("32.0 MiB"));
}

#[test]
fn wrong_usage_has_status_2() {
    let place = Place::empty();
    for arguments in
        [&["mkfs", "--size", "lots"][..], &["mkfs", "--size", "-1G"], &["frobnicate"], &["export"], &["fsck", "--repair", "yes"]]
    {
        assert_eq!(place.flac(arguments).status.code(), Some(2), "{arguments:?}");
    }
    assert!(!place.pool().exists());
}

#[test]
fn tools_leave_no_shared_memory_where_there_was_none() {
    let place = Place::new();
    for arguments in [&["info"][..], &["info", "--json"], &["fsck", "--data"], &["sync"], &["import", "."]] {
        let _ = place.flac(arguments);
        assert_eq!(place.succeeds(&["stop"]), "nothing to stop\n", "after {arguments:?}");
    }
}

#[test]
fn what_is_imported_comes_out_the_same() {
    let place = Place::new();
    let tree = place.path("tree");
    std::fs::create_dir_all(tree.join("a/empty")).expect("directories");
    write(&tree.join("a/small"), b"small");
    write(&tree.join("large"), &(0..3_000_000u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>());
    std::fs::hard_link(tree.join("a/small"), tree.join("again")).expect("a hard link");
    std::os::unix::fs::symlink("../nowhere", tree.join("a/link")).expect("a symbolic link");
    let sparse = std::fs::File::create(tree.join("sparse")).expect("a file");
    sparse.set_len(50 << 20).expect("a hole");
    std::fs::set_permissions(tree.join("large"), std::fs::Permissions::from_mode(0o4510)).expect("a mode");
    assert!(Command::new("mkfifo").arg(tree.join("fifo")).status().expect("mkfifo starts").success());
    let mut old = Command::new("touch");
    old.args(["-h", "-d", "2001-02-03 04:05:06.789"]).args([tree.join("a/link"), tree.join("a")]);
    assert!(old.status().expect("touch starts").success());

    set_lists(&tree);

    assert!(place.succeeds(&["import", "tree", "/x/y"]).contains("8 names"));
    place.succeeds(&["export", "x/y", "out"]);
    place.succeeds(&["export", "/flac/x/y/a", "part"]);
    assert_same(&tree, &place.path("out"));
    assert_same(&tree.join("a"), &place.path("part"));
    assert_eq!(std::fs::metadata(place.path("out/again")).expect("it is there").nlink(), 2);
    assert!(std::fs::metadata(place.path("out/sparse")).expect("it is there").blocks() < 100);
    assert_eq!(place.succeeds(&["fsck", "--data"]), format!("{}: clean\n", place.pool().display()));
}

const LISTS: [&str; 2] = ["system.posix_acl_access", "system.posix_acl_default"];

/// Gives a file a list of access rights and a directory one for what is made in it, if the file system has such lists.
fn set_lists(tree: &Path) {
    // Owner, user 12, group, mask, others.
    let entry = |tag: u16, perm: u16, id: u32| [&tag.to_le_bytes()[..], &perm.to_le_bytes(), &id.to_le_bytes()].concat();
    let none = u32::MAX;
    let list = [2u32.to_le_bytes().to_vec(), entry(1, 7, none), entry(2, 6, 12), entry(4, 4, none), entry(16, 6, none), entry(32, 0, none)]
        .concat();
    for (path, name) in [(tree.join("a/small"), LISTS[0]), (tree.join("a"), LISTS[1])] {
        match rustix::fs::setxattr(path, name, &list, rustix::fs::XattrFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
            Err(e) => panic!("{name}: {e}"),
        }
    }
}

fn lists(path: &Path) -> [Option<Vec<u8>>; 2] {
    LISTS.map(|name| {
        let mut value = [0; 100];
        rustix::fs::lgetxattr(path, name, &mut value).ok().map(|n: usize| value[..n].to_vec())
    })
}

fn assert_same(a: &Path, b: &Path) {
    let (x, y) = (a.symlink_metadata().expect("the original"), b.symlink_metadata().unwrap_or_else(|e| panic!("{}: {e}", b.display())));
    let seen = |m: &std::fs::Metadata| (m.mode(), m.uid(), m.gid(), m.mtime(), m.mtime_nsec());
    assert_eq!(seen(&x), seen(&y), "{}", b.display());
    assert_eq!(lists(a), lists(b), "{}", b.display());
    if x.is_dir() {
        let names = |dir: &Path| {
            let mut names: Vec<_> = std::fs::read_dir(dir).expect("a directory").flatten().map(|entry| entry.file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(a), names(b));
        names(a).iter().for_each(|name| assert_same(&a.join(name), &b.join(name)));
    } else if x.is_symlink() {
        assert_eq!(std::fs::read_link(a).expect("a link"), std::fs::read_link(b).expect("a link"));
    } else if !x.file_type().is_fifo() {
        assert!(std::fs::read(a).expect("a file") == std::fs::read(b).expect("a file"), "{} differs", b.display());
    }
}

#[test]
fn a_full_pool_is_said_and_stays_sound() {
    let place = Place::new();
    std::fs::create_dir(place.path("tree")).expect("a directory");
    write(&place.path("tree/large"), &vec![7; 80 << 20]);
    assert!(place.fails(&["import", "tree"], 1).contains("full"));
    place.succeeds(&["fsck", "--data"]);
}

#[test]
fn one_damaged_copy_of_the_superblock_is_a_finding() {
    let place = Place::new();
    place.flip("superblock", 20);
    let output = place.flac(&["fsck"]);
    assert_eq!((output.status.code(), text(&output.stdout).lines().count()), (Some(4), 2));
    place.succeeds(&["info"]);
}

#[test]
fn a_damaged_pool_is_refused_and_left_alone() {
    type Damage = fn(&Place);
    let damages: [(&str, Damage); 4] = [
        ("both superblocks", |p| [20, 4116].into_iter().for_each(|at| p.flip("superblock", at))),
        ("short log", |p| {
            std::fs::File::options().write(true).open(p.pool().join("log.1")).and_then(|f| f.set_len(4000)).expect("a shorter log")
        }),
        // Each log has two copies of it.
        ("log header", |p| ["log.0", "log.1"].into_iter().for_each(|log| [30, 1024 + 30].into_iter().for_each(|at| p.flip(log, at)))),
        ("no frames", |p| std::fs::remove_file(p.pool().join("frames")).expect("it goes")),
    ];
    for (what, damage) in damages {
        let place = Place::new();
        damage(&place);
        let before = place.bytes();
        assert!(place.fails(&["info"], 1).contains("damaged"), "{what}");
        assert_eq!(place.flac(&["fsck"]).status.code(), Some(4), "{what}");
        place.succeeds(&["stop", "--discard"]);
        assert!(place.bytes() == before, "{what}: something was written");
    }
}

#[test]
fn a_bad_size_of_the_cache_is_one_line() {
    let place = Place::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_flac"));
    let output = command.arg("info").env("FLAC_POOL", place.pool()).env("FLAC_DRAM", "lots").output().expect("flac starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("flac: FLAC_DRAM=lots: "));
}

#[test]
fn stop_works_on_damaged_volatile_state() {
    let place = Place::new();
    let uuid = place.succeeds(&["info", "--json"]);
    let uuid = uuid.split("\"uuid\": \"").nth(1).and_then(|rest| rest.split('"').next()).expect("an identity");
    let run = Path::new("/dev/shm").join(format!("flac-{uuid}"));
    std::fs::create_dir(&run).expect("a run directory");
    // Another version's: its magic is not ours, and it is marked as ready.
    let mut control = [0; 4096];
    control[..12].copy_from_slice(b"FLACctl?\x01\0\0\0");
    write(&run.join("control"), &control);
    assert!(place.fails(&["stop"], 1).contains("--discard"));
    place.succeeds(&["stop", "--discard"]);
    assert!(!run.exists());
    place.succeeds(&["info"]);
}

#[test]
fn the_map_of_a_file_shows_where_its_pages_lie() {
    let place = Place::new();
    std::fs::create_dir(place.path("in")).expect("a directory");
    let file = std::fs::File::create(place.path("in/f")).expect("a file");
    std::os::unix::fs::FileExt::write_all_at(&file, &[7; 5 * 4096], 0).expect("it writes");
    std::os::unix::fs::FileExt::write_all_at(&file, &[8; 100], 3 << 20).expect("it writes");
    place.succeeds(&["import", "in"]);
    // Everything was written back and the volatile state removed: the pool has it, and the hole is a hole.
    let map = place.succeeds(&["info", "--map", "/f", "--json"]);
    let run = |first: u64, pages: u64, pool: bool| {
        format!("{{\"first\": {first}, \"pages\": {pages}, \"dram\": false, \"huge\": false, \"pool\": {pool}, \"dirty\": false}}")
    };
    assert_eq!(map, format!("[\n  {},\n  {},\n  {}\n]\n", run(0, 5, true), run(5, 763, false), run(768, 1, true)));
    let text = place.succeeds(&["info", "--map", "/f"]);
    assert!(text.lines().any(|line| line.starts_with("0-4 ") && line.ends_with("pool")), "{text}");
    place.fails(&["info", "--map", "/"], 1);
    place.fails(&["info", "--map", "/none"], 1);
}

#[test]
fn a_limit_on_the_size_of_files_is_none_on_the_pool() {
    let place = Place::empty();
    let tree = place.path("tree");
    std::fs::create_dir(&tree).expect("a directory");
    write(&tree.join("f"), &[7; 3_000_000]);
    for arguments in [&["mkfs", "--size", "64M"][..], &["import", "tree", "/"], &["sync"], &["stop"], &["info"], &["fsck", "--data"]] {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -S -f 1 && exec \"$@\"", "sh", env!("CARGO_BIN_EXE_flac")]);
        let output = place.run(command, arguments);
        assert!(output.status.success(), "flac {arguments:?}: {:?}, {}", output.status, text(&output.stderr));
    }
    place.succeeds(&["export", "/", "out"]);
    assert!(std::fs::read(place.path("out/f")).expect("the file") == [7; 3_000_000]);
}
