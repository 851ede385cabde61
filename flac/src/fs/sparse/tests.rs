//! Of what the KV alone has, too.

use super::*;
use crate::fs::open::OpenId;
use crate::fs::survival::{make_file, open, place_with_pool};
use crate::media::sim::tape::{Lower, Tape};

const SIZE: u64 = 1 << 45;
const FAR: u64 = 1 << 44;
const PUNCH: i32 = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;

/// A file with a page at its start and one far away, of which nothing is in the cache.
fn reopened(check: impl Fn(&Fs, Ino, OpenId)) {
    let (_dir, pool) = place_with_pool(Lower::Ext4);
    let _seems_a_disk = Tape::start(&pool, Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    let ino = make_file(&fs, b"file");
    let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
    fs.truncate(ino, SIZE).expect("longer");
    fs.write_bytes(id, &[1; PAGE], 0).expect("a write");
    fs.write_bytes(id, &[2; PAGE], FAR).expect("a write");
    fs.sync_all().expect("a flush");
    fs.release(1);
    drop(fs);
    let fs = open(&pool).expect("the pool opens");
    let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
    check(&fs, ino, id);
    fs.sync_all().expect("a flush");
    assert_eq!(fs.check(true).expect("a check"), Vec::<String>::new());
    let mut nodes = 0;
    fs.inodes.table(fs.hold_inode(ino).expect("cached")).each_node(&mut |_| nodes += 1);
    assert!(nodes < 40);
}

fn data(fs: &Fs, id: OpenId, at: u64) -> Result<u64> {
    fs.seek(id, at as i64, libc::SEEK_DATA)
}

#[test]
fn what_only_the_pool_has_is_found() {
    reopened(|fs, _, id| {
        assert_eq!(data(fs, id, 1), Ok(1));
        assert_eq!(data(fs, id, PAGE as u64), Ok(FAR));
        assert_eq!(fs.seek(id, FAR as i64, libc::SEEK_HOLE), Ok(FAR + PAGE as u64));
        assert_eq!(data(fs, id, FAR + PAGE as u64), Err(Error::Os(libc::ENXIO)));
    });
}

#[test]
fn what_only_the_pool_has_is_cut_off() {
    reopened(|fs, ino, id| {
        fs.truncate(ino, FAR).expect("shorter");
        assert_eq!(fs.attr(ino).expect("attributes").pages, 1);
        fs.truncate(ino, SIZE).expect("longer");
        assert_eq!(data(fs, id, PAGE as u64), Err(Error::Os(libc::ENXIO)));
    });
}

#[test]
fn what_only_the_pool_has_is_punched() {
    reopened(|fs, ino, id| {
        fs.allocate(ino, PUNCH, PAGE as u64, SIZE - PAGE as u64).expect("a hole");
        assert_eq!(fs.attr(ino).expect("attributes").pages, 1);
        assert_eq!(data(fs, id, PAGE as u64), Err(Error::Os(libc::ENXIO)));
        let mut bytes = [7; 3 * PAGE];
        assert_eq!(fs.read_bytes(id, &mut bytes, FAR - PAGE as u64), Ok(3 * PAGE));
        assert_eq!(bytes, [0; 3 * PAGE]);
    });
}

#[test]
fn reading_holes_makes_no_leaves() {
    reopened(|fs, _, id| {
        let mut bytes = [7; 3 * PAGE];
        for i in 1..1000 {
            bytes.fill(7);
            assert_eq!(fs.read_bytes(id, &mut bytes, i << 22), Ok(3 * PAGE));
            assert_eq!(bytes, [0; 3 * PAGE]);
        }
        assert_eq!(fs.read_bytes(id, &mut bytes, FAR - PAGE as u64), Ok(3 * PAGE));
        assert!(bytes[..PAGE] == [0; PAGE] && bytes[PAGE..2 * PAGE] == [2; PAGE] && bytes[2 * PAGE..] == [0; PAGE]);
    });
}
