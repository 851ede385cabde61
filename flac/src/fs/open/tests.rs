//! Joining a pool whose volatile state is not what it was.

use super::*;
use crate::fs::survival::{make_file, open, place_with_pool};
use crate::media::sim::tape::Lower;
use std::path::PathBuf;

/// The control segment names frames of the tier: with a new file in its place they were zeros, and synced files with them.
#[test]
fn regression_a_cache_that_is_gone_is_not_taken_for_zeros() {
    let (_dir, pool) = place_with_pool(Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    let ino = make_file(&fs, b"file");
    let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
    fs.write_bytes(id, b"content", 0).expect("a write");
    fs.sync_all().expect("a flush");
    let refused = || {
        let line = Fs::open(&Config::new(&pool)).map(drop).expect_err("refused").to_string();
        assert!(line.contains("cache of this pool is gone") && line.contains("flac stop --discard"), "{line}");
    };
    let tier = fs.region.run.dram_path();
    let away = tier.with_extension("away");
    std::fs::rename(&tier, &away).expect("a rename");
    refused();
    assert!(!tier.exists());
    std::fs::write(&tier, b"").expect("another file");
    refused();
    std::fs::rename(&away, &tier).expect("a rename");
    let other = Fs::open(&Config::new(&pool)).expect("the pool opens");
    let mut bytes = [0; 7];
    let id = other.open_file(ino, libc::O_RDONLY, 2).expect("it opens");
    assert_eq!(other.read_bytes(id, &mut bytes, 0), Ok(7));
    assert_eq!(&bytes, b"content");
    other.release(2);
    other.exit();
    fs.release(1);
}

fn refused(pool: &Path) -> String {
    Fs::open(&Config { dram: Some(16 << 20), ..Config::new(pool) }).map(drop).expect_err("refused").to_string()
}

/// What is where only others see it.
struct Elsewhere(Vec<PathBuf>);

impl Elsewhere {
    fn path(path: &Path) -> PathBuf {
        PathBuf::from(format!("{}.elsewhere", path.display()))
    }

    /// The volatile state in `run`, whose tier is `tier`.
    fn put(run: &Path, tier: &Path) -> Self {
        let all = if tier.starts_with(run) { vec![run] } else { vec![run, tier] };
        all.iter().for_each(|path| std::fs::rename(path, Self::path(path)).expect("a rename"));
        Elsewhere(all.into_iter().map(Path::to_owned).collect())
    }

    fn bring_back(self) {
        self.0.iter().for_each(|path| std::fs::rename(Self::path(path), path).expect("a rename"));
    }
}

/// Two containers that had the pool, and a /dev/shm each: both wrote to it, and it was damaged.
#[test]
fn regression_a_pool_is_not_used_by_those_who_do_not_see_each_other() {
    let (_dir, pool) = place_with_pool(Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    make_file(&fs, b"file");
    let elsewhere = Elsewhere::put(fs.run_dir(), &fs.region.run.dram_path());
    let line = refused(&pool);
    assert!(line.contains("another /dev/shm"), "{line}");
    assert!(!fs.run_dir().exists());
    elsewhere.bring_back();
    let other = Fs::open(&Config::new(&pool)).expect("whoever sees it uses it, too");
    make_file(&other, b"another");
    other.exit();
}

/// Nobody used it here when it was used there.
#[test]
fn regression_a_pool_that_was_used_elsewhere_is_not_gone_on_with() {
    let (_dir, pool) = place_with_pool(Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    make_file(&fs, b"here");
    let (run, tier) = (fs.run_dir().to_owned(), fs.region.run.dram_path());
    fs.leave();
    let elsewhere = Elsewhere::put(&run, &tier);
    let fs = open(&pool).expect("nobody uses it");
    let there = make_file(&fs, b"there");
    fs.sync_all().expect("a flush");
    drop(fs);
    elsewhere.bring_back();
    let line = refused(&pool);
    assert!(line.contains("another state of the pool"), "{line}");
    let _ = std::fs::remove_file(tier);
    std::fs::remove_dir_all(&run).expect("it goes");
    let fs = open(&pool).expect("the pool opens");
    assert!(fs.attr(there).expect("the file").is_file());
}
