//! What is counted anew when nobody else is alive.
#![expect(unsafe_code, reason = "forks")]

use crate::fs::survival::{make_file, open, place_with_pool};
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
    let token = fs.before_fork().expect("a slot for the child");
    // SAFETY: the child calls nothing that needs another thread.
    let child = unsafe { libc::fork() };
    if child == 0 {
        fs.after_fork_child(token);
        // SAFETY: a new mapping, anywhere, and a store to it; then the process ends.
        unsafe {
            let at = fs.map(ino, 0, 4 * PAGE, RW, libc::MAP_SHARED, 0).unwrap_or(0);
            if at != 0 {
                (at as *mut u8).add(2 * PAGE).write(9);
            }
            libc::_exit(i32::from(at == 0));
        }
    }
    fs.after_fork_parent(token, Some(child));
    let mut status = 1;
    // SAFETY: our child.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0);
    assert!(fs.procs.claim_dead(token), "as by somebody who dies right after");
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
