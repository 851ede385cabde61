//! A slot that is there is found, whatever else changes in its chain.

use super::*;
use crate::fs::survival::{open, place_with_pool};
use crate::media::sim::tape::Lower;
use std::sync::atomic::AtomicBool;

#[test]
fn a_held_inode_is_found_while_others_come_and_go_in_its_chain() {
    let (_dir, pool) = place_with_pool(Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    let inodes = &fs.inodes;
    let attr = |ino| Attr { ino, ..fs.attr(Ino::ROOT).expect("a root") };
    let held = Ino::new(1 << 40);
    let same = |other: &Ino| inodes.bucket(*other).expect("memory").as_ptr() == inodes.bucket(held).expect("memory").as_ptr();
    let others: Vec<Ino> = (1..).map(|i| Ino::new((1 << 40) + i)).filter(same).take(3).collect();
    inodes.insert(&attr(held), 0).expect("a slot");
    let all: Vec<Attr> = others.iter().map(|ino| attr(*ino)).collect();
    let (done, mut missed, mut looks) = (AtomicBool::new(false), 0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..100_000 {
                let slots: Vec<SlotNo> = all.iter().map(|attr| inodes.insert(attr, 0).expect("a slot")).collect();
                for (slot, ino) in slots.into_iter().zip(&others) {
                    inodes.unhold(slot);
                    assert!(inodes.remove(slot, *ino, &|_| true));
                }
            }
            done.store(true, Release);
        });
        while !done.load(Acquire) {
            looks += 1;
            missed += u64::from(inodes.find(held).is_none());
        }
    });
    assert_eq!(missed, 0, "of {looks} looks");
    let slot = inodes.find(held).expect("a slot");
    inodes.unhold(slot);
    assert!(inodes.remove(slot, held, &|_| true));
}
