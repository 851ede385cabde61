//! What moving bytes costs is measured once a boot, and that leaves no trace.

use super::Space;
use flac::Cost;

#[test]
fn measuring_takes_little_leaves_no_trace_and_is_done_once() {
    let space = Space::new();
    let free = space.fs.dram_bytes().1;
    assert!(!space.fs.costs().are_measured());
    let start = std::time::Instant::now();
    space.fs.calibrate().expect("a fresh cache has a free block");
    assert!(start.elapsed().as_millis() < 2_000, "{:?}", start.elapsed());
    assert!(space.fs.costs().are_measured());
    let list = space.fs.costs().list();
    println!("{:?} {list:?}", start.elapsed());
    space.fs.calibrate().expect("nothing to do");
    assert_eq!(space.fs.costs().list(), list);
    assert_eq!(space.fs.dram_bytes().1, free);
    assert_eq!(space.fs.check_counts(), []);
    // What is so on any machine: a fault with a copy takes longer than the copy, and touching a block longer than a page.
    let of = |cost| space.fs.costs().of(cost);
    assert!(of(Cost::OwnPage) > of(Cost::SmallCopy), "{list:?}");
    assert!(of(Cost::TouchHuge) > of(Cost::TouchPage), "{list:?}");
}

#[test]
fn a_full_cache_is_not_measured() {
    let space = Space::with_dram(16 << 20);
    let (_, id) = space.create("a", 0);
    space.write(id, &vec![1; 16 << 20], 0).expect("it writes");
    assert_eq!(space.fs.calibrate(), Err(flac::Error::NoFrames));
    assert!(!space.fs.costs().are_measured());
    assert_eq!(space.fs.check_counts(), []);
}
