//! What the random tests found, in short.

use super::cuts::{geometry_on, make_pool, place};
use super::look::WHO;
use super::work::open;
use crate::fs::Fs;
use crate::fs::names::Name;
use crate::media::sim::tape::{Lower, Tape};
use crate::units::{Ino, PAGE};

fn name(name: &str) -> Name {
    Name::new(name.as_bytes()).expect("a short name")
}

/// A new file of so many pages, held and flushed.
fn file(fs: &Fs, called: &str, pages: usize, hold: usize) -> Ino {
    let ino = fs.create(Ino::ROOT, &name(called), libc::S_IFREG | 0o644, 0, &WHO).expect("a file");
    let id = fs.open_file(ino, libc::O_RDWR, hold).expect("it opens");
    fs.write_bytes(id, &vec![hold as u8; pages * PAGE], 0).expect("a write");
    fs.sync(ino).expect("a flush");
    ino
}

/// Recovery deleted the orphan, then counted the frames in use: the orphan's frames were free, and were freed again later, from under whoever had them by then.
#[test]
fn regression_frames_of_an_orphan_that_recovery_deletes_are_freed_once() {
    let dir = place();
    let pool = dir.path().join("pool");
    make_pool(&pool, &geometry_on(Lower::Ext4), Lower::Ext4);
    let _seems_a_disk = Tape::start(&pool, Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    file(&fs, "orphan", 8, 1);
    fs.unlink(Ino::ROOT, &name("orphan"), &WHO).expect("unlinked");
    fs.sync_all().expect("a flush");
    drop(fs);
    let fs = open(&pool).expect("the pool opens");
    for (i, called) in ["a", "b", "c", "d", "e", "f"].into_iter().enumerate() {
        file(&fs, called, 8, 1 + i);
        assert_eq!(fs.check(true).expect("a check"), Vec::<String>::new(), "after {called}");
    }
    drop(fs);
}
