//! `fsck` finds what is wrong.

use super::fixture::{Tree, owner};
use crate::fs::fsck;
use crate::fs::names::Name;
use crate::fs::record::{self, Dirent, Extent, Inode, NameKey, encode_extents};
use crate::metalog::MetaTxn;
use crate::units::{Ino, PageNo, PoolFrame};

/// A tree with a directory `d` (2) and in it a file `f` (3) and a link `l` (4).
fn tree() -> (Tree, [Ino; 3]) {
    let tree = Tree::new("/mnt/flac");
    let name = |name: &str| Name::new(name.as_bytes()).unwrap();
    let d = tree.mkdir(Ino::ROOT, &name("d"), 0o755, &owner()).unwrap();
    let f = tree.create(d, &name("f"), libc::S_IFREG | 0o644, 0, &owner()).unwrap();
    let l = tree.symlink(d, &name("l"), b"f", &owner()).unwrap();
    (tree, [d, f, l])
}

fn set(txn: &mut MetaTxn<'_>, key: &[u8], value: &[u8]) {
    txn.put(key, value).unwrap();
}

/// Does the damage; all findings, one a line.
fn findings(damage: impl FnOnce(&mut MetaTxn<'_>, [Ino; 3])) -> String {
    let (tree, inos) = tree();
    assert_eq!(fsck::check(&tree, true), Ok(Vec::new()));
    let mut txn = tree.meta.begin().unwrap();
    damage(&mut txn, inos);
    txn.commit().unwrap();
    fsck::check(&tree, false).unwrap().join("\n")
}

fn change(txn: &mut MetaTxn<'_>, ino: Ino, f: impl FnOnce(&mut Inode)) {
    let mut inode = Inode::load(txn, ino).unwrap().unwrap();
    f(&mut inode);
    set(txn, &record::inode_key(ino), &inode.encode());
}

#[test]
fn a_missing_inode_is_found() {
    let found = findings(|txn, [_, f, _]| {
        txn.delete(&record::inode_key(f)).unwrap();
    });
    assert!(found.contains("does not exist"), "{found}");
}

#[test]
fn a_missing_name_is_found() {
    let found = findings(|txn, [d, f, _]| {
        txn.delete(NameKey::dirent(d, b"f").bytes()).unwrap();
        let _ = f;
    });
    assert!(found.contains("counts 1 links but has 0") && found.contains("is a directory of size"), "{found}");
}

#[test]
fn a_wrong_type_is_found() {
    let found = findings(|txn, [d, f, _]| {
        set(txn, NameKey::dirent(d, b"f").bytes(), &Dirent::new(f, libc::S_IFIFO).encode());
    });
    assert!(found.contains("says another type"), "{found}");
}

#[test]
fn a_circle_of_directories_is_found() {
    let found = findings(|txn, [d, ..]| {
        txn.delete(NameKey::dirent(Ino::ROOT, b"d").bytes()).unwrap();
        set(txn, NameKey::dirent(d, b"d").bytes(), &Dirent::new(d, libc::S_IFDIR).encode());
        set(txn, &record::place_key(d), &record::encode_place(d, b"d"));
    });
    assert!(found.contains("lies in itself"), "{found}");
}

#[test]
fn a_wrong_place_is_found() {
    let found = findings(|txn, [d, ..]| set(txn, &record::place_key(d), &record::encode_place(Ino::ROOT, b"x")));
    assert!(found.contains("is not where it says") && found.contains("does not say that it is there"), "{found}");
}

#[test]
fn frames_used_twice_beyond_the_pool_or_beyond_the_size_are_found() {
    let found = findings(|txn, [_, f, _]| {
        let extent = |n| Some(Extent { frame: PoolFrame::new(n), crc: 0 });
        let pages = [extent(5), None, extent(5), extent(u32::MAX - 1)];
        set(txn, &record::extent_key(f, PageNo::new(0)), &encode_extents(&pages));
        change(txn, f, |inode| inode.attr.size = 3 * 4096);
    });
    for wanted in ["which another page uses too", "beyond the pool", "beyond the size", "counts 0 pages but has 3"] {
        assert!(found.contains(wanted), "{wanted} is not in:\n{found}");
    }
}

#[test]
fn an_inode_without_name_that_is_no_orphan_is_found() {
    let found = findings(|txn, [d, f, _]| {
        txn.delete(NameKey::dirent(d, b"f").bytes()).unwrap();
        change(txn, f, |inode| inode.attr.nlink = 0);
    });
    assert!(found.contains("not noted as an orphan"), "{found}");
}

#[test]
fn a_lost_target_and_a_record_of_a_wrong_length_are_found() {
    let found = findings(|txn, [d, _, l]| {
        txn.delete(&record::target_key(l)).unwrap();
        set(txn, NameKey::dirent(d, b"x").bytes(), b"?");
    });
    assert!(found.contains("link without target") && found.contains("wrong length"), "{found}");
}
