//! Single rules, written out.

use super::fixture::{Tree, owner};
use crate::error::{Error, Result};
use crate::fs::attr::{Creds, SetAttr};
use crate::fs::names::{Last, Name, Resolved};
use crate::fs::record::Inode;
use crate::region::MAX_HOLDS;
use crate::units::Ino;

// Neither of them runs the tests.
const A: Creds<'static> = Creds { uid: 31_001, gid: 31_001, groups: &[], umask: 0 };
const B: Creds<'static> = Creds { uid: 31_002, gid: 31_002, groups: &[], umask: 0 };

fn tree() -> Tree {
    Tree::new("/mnt/flac")
}

fn name(name: &str) -> Name {
    Name::new(name.as_bytes()).unwrap()
}

fn errno<T>(result: Result<T>) -> i32 {
    result.err().expect("this must fail").errno()
}

fn file(tree: &Tree, dir: Ino, called: &str) -> Ino {
    tree.create(dir, &name(called), libc::S_IFREG | 0o644, 0, &owner()).unwrap()
}

fn dir(tree: &Tree, parent: Ino, called: &str) -> Ino {
    tree.mkdir(parent, &name(called), 0o755, &owner()).unwrap()
}

fn link(tree: &Tree, target: &str, called: &str) {
    tree.symlink(Ino::ROOT, &name(called), target.as_bytes(), &owner()).unwrap();
}

fn walk(tree: &Tree, path: &str) -> Result<Resolved> {
    tree.resolve(Ino::ROOT, path.as_bytes(), Last::Follow, &owner())
}

fn outside(tree: &Tree, path: &str) -> String {
    match walk(tree, path).unwrap() {
        Resolved::Outside(rest) => String::from_utf8(rest).unwrap(),
        other => panic!("{path} leads to {other:?}"),
    }
}

fn found(tree: &Tree, path: &str) -> Ino {
    match walk(tree, path).unwrap() {
        Resolved::Found { ino, .. } => ino,
        other => panic!("{path} leads to {other:?}"),
    }
}

fn exists(tree: &Tree, ino: Ino) -> bool {
    Inode::load(&tree.meta.settled().unwrap(), ino).unwrap().is_some()
}

#[test]
fn a_walk_that_leaves_the_tree_tells_what_is_left() {
    let tree = tree();
    dir(&tree, Ino::ROOT, "d");
    link(&tree, "/etc/x", "abs");
    link(&tree, "../up", "rel");
    link(&tree, "/mnt/flacs", "twin");
    assert_eq!(outside(&tree, ".."), "..");
    assert_eq!(outside(&tree, "d/../../a/b/"), "../a/b/");
    assert_eq!(outside(&tree, "abs"), "/etc/x");
    assert_eq!(outside(&tree, "d/../abs/y//z"), "/etc/x/y//z");
    assert_eq!(outside(&tree, "rel/../z"), "../up/../z");
    assert_eq!(outside(&tree, "twin"), "/mnt/flacs");
}

#[test]
fn an_absolute_link_below_the_root_stays_inside() {
    let tree = tree();
    let d = dir(&tree, Ino::ROOT, "d");
    link(&tree, "/mnt/flac/d", "in");
    link(&tree, "/mnt/flac", "root");
    link(&tree, "//mnt/./flac//d/", "odd");
    let f = file(&tree, d, "f");
    assert_eq!(found(&tree, "in/f"), f);
    assert_eq!(found(&tree, "odd/f"), f);
    assert_eq!(found(&tree, "root"), Ino::ROOT);
    assert_eq!(found(&tree, "root/root/in/../d/f"), f);
    assert_eq!(found(&tree, ""), Ino::ROOT);
    assert_eq!(found(&tree, "//"), Ino::ROOT);
}

#[test]
fn forty_links_are_followed_and_not_one_more() {
    let tree = tree();
    let f = file(&tree, Ino::ROOT, "l0");
    for n in 1..=41 {
        link(&tree, &format!("l{}", n - 1), &format!("l{n}"));
    }
    link(&tree, "round", "round");
    assert_eq!(found(&tree, "l40"), f);
    assert_eq!(errno(walk(&tree, "l41")), libc::ELOOP);
    assert_eq!(errno(walk(&tree, "round")), libc::ELOOP);
    assert_eq!(errno(walk(&tree, "round/x")), libc::ELOOP);
}

#[test]
fn names_end_at_255_bytes_and_paths_at_4095() {
    let tree = tree();
    let longest = "n".repeat(255);
    assert!(matches!(walk(&tree, &longest), Ok(Resolved::Missing { .. })));
    assert_eq!(errno(walk(&tree, &format!("{longest}n"))), libc::ENAMETOOLONG);
    let path = format!("{}.", "./".repeat(2047));
    assert_eq!(found(&tree, &path), Ino::ROOT);
    assert_eq!(errno(walk(&tree, &format!("{path}."))), libc::ENAMETOOLONG);
    assert_eq!(errno(tree.symlink(Ino::ROOT, &name("l"), &[b'x'; 4096], &owner())), libc::ENAMETOOLONG);
    tree.symlink(Ino::ROOT, &name("l"), &[b'x'; 4095], &owner()).unwrap();
}

#[test]
fn a_removed_directory_that_is_held_is_empty_and_stays_so() {
    let tree = tree();
    let d = dir(&tree, Ino::ROOT, "d");
    let e = dir(&tree, d, "e");
    assert_eq!(tree.path_of(e).unwrap(), b"/d/e");
    tree.open_file(e, libc::O_PATH | libc::O_DIRECTORY, 0).unwrap();
    tree.rmdir(d, &name("e"), &owner()).unwrap();
    assert_eq!(tree.attr(e).unwrap().nlink, 0);
    assert_eq!(errno(tree.path_of(e)), libc::ENOENT);
    assert_eq!(errno(tree.list_dir(e)), libc::ENOENT);
    assert_eq!(errno(tree.create(e, &name("f"), libc::S_IFREG, 0, &owner())), libc::ENOENT);
    assert_eq!(errno(tree.mkdir(e, &name("f"), 0o755, &owner())), libc::ENOENT);
    assert_eq!(errno(tree.resolve(e, b"f", Last::Follow, &owner())), libc::ENOENT);
    let up = tree.resolve(e, b"..", Last::Follow, &owner()).unwrap();
    assert!(matches!(up, Resolved::Found { ino, dot: 2, .. } if ino == d));
    tree.release(0);
    assert!(!exists(&tree, e), "it goes with its last holder");
}

#[test]
fn an_unlinked_file_goes_with_its_last_holder() {
    let tree = tree();
    let f = file(&tree, Ino::ROOT, "f");
    tree.set_xattr(f, b"user.a", b"v", 0, &owner()).unwrap();
    tree.open_file(f, libc::O_RDWR, 0).unwrap();
    tree.open_file(f, libc::O_RDONLY, 1).unwrap();
    tree.unlink(Ino::ROOT, &name("f"), &owner()).unwrap();
    assert_eq!(tree.attr(f).unwrap().nlink, 0);
    assert_eq!(errno(tree.link(f, Ino::ROOT, &name("again"), &owner())), libc::ENOENT);
    tree.release(0);
    assert!(exists(&tree, f));
    tree.release(1);
    assert!(!exists(&tree, f));
    assert!(tree.meta.settled().unwrap().scan(b"X", b"X").unwrap().next().is_none(), "attributes go with their inode");
}

#[test]
fn what_lost_its_name_and_was_not_held_goes_at_once() {
    let tree = tree();
    let f = file(&tree, Ino::ROOT, "f");
    tree.link(f, Ino::ROOT, &name("g"), &owner()).unwrap();
    tree.unlink(Ino::ROOT, &name("f"), &owner()).unwrap();
    assert_eq!(tree.attr(f).unwrap().nlink, 1);
    let other = file(&tree, Ino::ROOT, "f");
    tree.rename((Ino::ROOT, &name("f")), (Ino::ROOT, &name("g")), 0, &owner()).unwrap();
    assert!(!exists(&tree, f), "the replaced file is gone");
    assert_eq!(found(&tree, "g"), other);
}

/// A file that has no name, open at 0.
fn unnamed(tree: &Tree) -> Ino {
    tree.open_ino(tree.create_unnamed(Ino::ROOT, 0o600, true, &owner(), libc::O_RDWR, 0).unwrap())
}

/// It was made first and opened then.
#[test]
fn regression_a_file_without_a_name_that_can_not_be_opened_is_not_made() {
    let tree = tree();
    assert_eq!(tree.create_unnamed(Ino::ROOT, 0o600, true, &owner(), libc::O_RDWR, MAX_HOLDS), Err(Error::Os(libc::EMFILE)));
    assert_eq!(tree.create_open(Ino::ROOT, &name("f"), 0o600, &owner(), libc::O_RDWR, MAX_HOLDS), Err(Error::Os(libc::EMFILE)));
    let settled = tree.meta.settled().unwrap();
    assert_eq!(settled.scan(b"O", b"O").unwrap().count(), 0);
    assert!(!matches!(walk(&tree, "f"), Ok(Resolved::Found { .. })));
}

#[test]
fn a_file_made_without_a_name_can_get_one() {
    let tree = tree();
    let f = unnamed(&tree);
    tree.link(f, Ino::ROOT, &name("f"), &owner()).unwrap();
    tree.release(0);
    assert_eq!(found(&tree, "f"), f);
    assert_eq!(tree.attr(f).unwrap().nlink, 1);
    tree.unlink(Ino::ROOT, &name("f"), &owner()).unwrap();
    assert!(!exists(&tree, f));
}

#[test]
fn a_file_that_never_got_a_name_goes_with_its_holder() {
    let tree = tree();
    let f = unnamed(&tree);
    tree.release(0);
    assert!(!exists(&tree, f));
}

#[test]
fn orphans_do_not_survive_recovery() {
    let tree = tree();
    let f = unnamed(&tree);
    assert!(exists(&tree, f));
    tree.recover_orphans().unwrap();
    assert!(!exists(&tree, f));
}

#[test]
fn in_a_sticky_directory_only_owners_remove() {
    let tree = tree();
    let tmp = tree.mkdir(Ino::ROOT, &name("tmp"), 0, &owner()).unwrap();
    tree.set_attr(tmp, &SetAttr { mode: Some(0o1777), ..Default::default() }, &owner()).unwrap();
    tree.create(tmp, &name("a"), libc::S_IFREG | 0o666, 0, &A).unwrap();
    tree.create(tmp, &name("b"), libc::S_IFREG | 0o666, 0, &B).unwrap();
    assert_eq!(errno(tree.unlink(tmp, &name("a"), &B)), libc::EPERM);
    assert_eq!(errno(tree.rename((tmp, &name("b")), (tmp, &name("a")), 0, &B)), libc::EPERM);
    assert_eq!(errno(tree.rename((tmp, &name("a")), (Ino::ROOT, &name("a")), 0, &B)), libc::EPERM);
    tree.unlink(tmp, &name("a"), &A).unwrap();
}

#[test]
fn a_list_has_dots_first_and_then_the_names_in_order() {
    let tree = tree();
    let d = dir(&tree, Ino::ROOT, "d");
    for n in ["z", "B", "a", "\u{e9}", "a b"] {
        file(&tree, d, n);
    }
    let list = tree.list_dir(d).unwrap();
    let names: Vec<&[u8]> = list.iter().map(|(_, _, name)| name).collect();
    assert_eq!(names, [&b"."[..], b"..", b"B", b"a", b"a b", b"z", "\u{e9}".as_bytes()]);
    assert_eq!(list.len(), 7);
    let slow: Vec<(Ino, u8)> = tree.read_dir(d).unwrap().iter().map(|(ino, dtype, _)| (*ino, *dtype)).collect();
    assert_eq!(slow, list.iter().map(|(ino, dtype, _)| (ino, dtype)).collect::<Vec<_>>());
    assert_eq!(slow[..2], [(d, libc::DT_DIR), (Ino::ROOT, libc::DT_DIR)]);
}

#[test]
fn a_dangling_link_tells_where_its_target_would_be() {
    let tree = tree();
    let d = dir(&tree, Ino::ROOT, "d");
    link(&tree, "d/new", "l");
    match walk(&tree, "l").unwrap() {
        Resolved::Missing { parent, name, slash: false } => assert_eq!((parent, name.as_bytes()), (d, &b"new"[..])),
        other => panic!("{other:?}"),
    }
    let kept = tree.resolve(Ino::ROOT, b"l/", Last::Entry, &owner()).unwrap();
    assert!(matches!(kept, Resolved::Found { kind: libc::S_IFLNK, slash: true, .. }));
}

#[test]
fn a_failed_operation_changes_nothing() {
    let tree = tree();
    let f = file(&tree, Ino::ROOT, "f");
    let before = tree.attr(Ino::ROOT).unwrap();
    assert_eq!(tree.link(f, Ino::ROOT, &name("f"), &owner()), Err(Error::Os(libc::EEXIST)));
    assert_eq!(errno(tree.rmdir(Ino::ROOT, &name("f"), &owner())), libc::ENOTDIR);
    assert_eq!(errno(tree.rename((Ino::ROOT, &name("f")), (f, &name("x")), 0, &owner())), libc::ENOTDIR);
    assert_eq!(errno(tree.create(f, &name("x"), libc::S_IFREG, 0, &owner())), libc::ENOTDIR);
    assert_eq!(tree.attr(Ino::ROOT).unwrap(), before);
    assert_eq!(tree.attr(f).unwrap().nlink, 1);
}

#[test]
fn opening_and_unlinking_at_once_leaves_nothing_behind() {
    let tree = tree();
    let done = std::sync::atomic::AtomicBool::new(false);
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    std::thread::scope(|scope| {
        for hold in 0..2 {
            let (tree, done) = (&tree, &done);
            scope.spawn(move || {
                while !done.load(relaxed) {
                    if let Ok(Resolved::Found { ino, .. }) = walk(tree, "f")
                        && tree.open_file(ino, libc::O_RDWR, hold).is_ok()
                    {
                        let _ = tree.attr(ino);
                        tree.release(hold);
                    }
                }
            });
        }
        for _ in 0..5_000 {
            file(&tree, Ino::ROOT, "f");
            std::thread::yield_now();
            tree.unlink(Ino::ROOT, &name("f"), &owner()).unwrap();
        }
        done.store(true, relaxed);
    });
    let txn = tree.meta.settled().unwrap();
    assert_eq!(txn.scan(b"O", b"O").unwrap().count(), 0, "orphans that nobody holds");
    assert_eq!(txn.scan(b"I", b"I").unwrap().count(), 1, "only the root is left");
}
