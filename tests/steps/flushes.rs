//! Flushes that are killed all along their way in a pool that is nearly full: what they have taken comes back while others live.

use super::cuts::each_kill;
use super::{FILES, PAGE, PAGES, ROOT, Site};
use flac::fs::names::Name;
use flac::units::Ino;

/// So many frames are left for the files: what they have, and what a flush of all of them takes, hardly more.
const ROOM: u64 = 2 * (FILES.len() * PAGES) as u64 + PAGES as u64;

/// Pages that a flush writes: more than a record carries.
const WRITTEN: usize = 12;

/// Takes the rest of the pool.
fn fill_up(site: &Site) {
    let fs = site.fs();
    let name = Name::new(b"filler").expect("a short name");
    let id = fs.create_open(Ino::ROOT, &name, libc::S_IFREG | 0o600, &ROOT, libc::O_RDWR, 12).expect("a file");
    let has = (FILES.len() * PAGES) as u64;
    for nth in 0..(fs.stat_fs().free + has - ROOM) / 16 {
        fs.write_bytes(id, &[1; 16 * PAGE], nth * 16 * PAGE as u64).expect("room");
    }
    fs.sync(fs.open_ino(id)).expect("room");
    fs.release(12);
}

#[test]
fn what_a_dead_flusher_has_taken_is_given_back_while_others_live() {
    let (mut lost, mut is_full) = (0, false);
    let work = |site: &Site| site.fs().sync(site.make(0)).expect("a sync");
    let write = |site: &Site| {
        let (_, id) = site.open(0, 10);
        site.fs().write_bytes(id, &[255; WRITTEN * PAGE], 0).expect("a write");
        work(site);
    };
    each_kill(write, |site| {
        if !std::mem::replace(&mut is_full, true) {
            fill_up(site);
        }
        work(site);
        let nothing = site.fs().check_counts().into_iter().find(|d| d.what == "pool frames in use for nothing");
        lost = nothing.map_or(0, |d| d.is);
        println!("{lost} frames are lost");
    });
    // Of those who died in the few instructions between taking frames and noting it, or between the record and freeing what that frees.
    assert!(lost <= 2 * WRITTEN as u64);
}
