//! What is counted anew when nobody else is alive.
#![expect(unsafe_code, reason = "maps a file, and stores to it")]

use crate::fs::survival::{in_child, make_file, open, place_with_pool};
use crate::media::sim::tape::{Lower, Tape};
use crate::units::PAGE;

/// Whoever began to clean up after it was killed, too: what it had stored was taken for clean.
#[test]
fn regression_what_a_dead_process_has_stored_is_kept_though_whoever_cleans_up_dies() {
    const RW: i32 = libc::PROT_READ | libc::PROT_WRITE;
    let (_dir, pool) = place_with_pool(Lower::Ext4);
    let _seems_a_disk = Tape::start(&pool, Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    let ino = make_file(&fs, b"file");
    let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
    fs.write_bytes(id, &[1; 4 * PAGE], 0).expect("a write");
    fs.sync(ino).expect("a flush");
    let stores = || {
        // SAFETY: a new mapping, anywhere, and a store to it.
        unsafe {
            let at = fs.map(ino, 0, 4 * PAGE, RW, libc::MAP_SHARED, 0).unwrap_or(0);
            if at != 0 {
                (at as *mut u8).add(2 * PAGE).write(9);
            }
            at != 0
        }
    };
    assert_eq!(in_child(&fs, stores), 0);
    let dead = fs.procs.others().next().expect("it is still in the table");
    assert!(fs.procs.claim_dead(dead), "as by somebody who dies right after");
    fs.rebuild().expect("counted anew");
    fs.sync_all().expect("a flush");
    fs.release(1);
    drop(fs);
    let fs = open(&pool).expect("the pool opens");
    let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
    let mut bytes = [0; 4 * PAGE];
    assert_eq!(fs.read_bytes(id, &mut bytes, 0), Ok(4 * PAGE));
    assert_eq!((bytes[PAGE], bytes[2 * PAGE]), (1, 9));
    fs.release(1);
}
