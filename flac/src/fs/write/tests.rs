//! What a writer leaves that dies, or gets no further.
#![expect(unsafe_code, reason = "writes from memory that ends")]

use super::*;
use crate::fs::survival::{in_child, make_file, open, place_with_pool};
use crate::media::sim::tape::{Lower, Tape};
use crate::region::UNWRITABLE;

/// What it had written to a page that the pool has was taken for what the pool has, and was gone when the page was next loaded.
#[test]
fn regression_what_a_killed_writer_has_written_stays_written() {
    let (_dir, pool) = place_with_pool(Lower::Ext4);
    let _seems_a_disk = Tape::start(&pool, Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    let ino = make_file(&fs, b"file");
    let read = |fs: &Fs| {
        let id = fs.open_file(ino, libc::O_RDONLY, 2).expect("it opens");
        let mut bytes = vec![0; 4 * PAGE];
        assert_eq!(fs.read_bytes(id, &mut bytes, 0), Ok(4 * PAGE));
        fs.release(2);
        bytes
    };
    let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
    fs.write_bytes(id, &[1; 4 * PAGE], 0).expect("a write");
    fs.sync(ino).expect("a flush");
    let writes = || {
        // SAFETY: two pages of memory, of which the second can't be read: the write ends the process there.
        unsafe {
            let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            let from = libc::mmap(std::ptr::null_mut(), 2 * PAGE, access, kind, -1, 0);
            from.cast::<u8>().write_bytes(9, 2 * PAGE);
            libc::mprotect(from.byte_add(PAGE), PAGE, libc::PROT_NONE);
            fs.write(id, &[libc::iovec { iov_base: from, iov_len: 2 * PAGE }], Some(0)).is_ok()
        }
    };
    let status = in_child(&fs, writes);
    assert!(libc::WIFSIGNALED(status), "{status}");
    fs.reap_all();
    let seen = read(&fs);
    assert_eq!((seen[0], seen[2 * PAGE]), (9, 1));
    fs.sync_all().expect("a flush");
    assert_eq!(fs.check(true).expect("a check"), Vec::<String>::new());
    fs.release(1);
    drop(fs);
    assert!(read(&open(&pool).expect("the pool opens")) == seen);
}

/// The rest of its last page was written before memory for the next ones was missing; a file that became longer later showed it.
#[test]
fn regression_an_append_that_finds_no_memory_says_what_it_has_written() {
    const LEN: usize = 100;
    let (_dir, pool) = place_with_pool(Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    let ino = make_file(&fs, b"file");
    let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
    fs.write_bytes(id, &[1; LEN], 0).expect("a write");
    // The next frame is another file's.
    let beside = fs.open_file(make_file(&fs, b"beside"), libc::O_RDWR, 1).expect("it opens");
    fs.write_bytes(beside, &[3; 20 * PAGE], 0).expect("a write");
    let more = vec![2u8; 100 * PAGE];
    UNWRITABLE.set(true);
    // SAFETY: the vector's memory.
    let written =
        unsafe { fs.write(id, &[libc::iovec { iov_base: more.as_ptr().cast_mut().cast(), iov_len: more.len() }], Some(LEN as u64)) };
    UNWRITABLE.set(false);
    let size = LEN + written.as_ref().copied().unwrap_or(0);
    assert_eq!(fs.attr(ino).expect("attributes").size, size as u64);
    let mut bytes = vec![9; 128 * PAGE];
    fs.truncate(ino, bytes.len() as u64).expect("longer");
    assert_eq!(fs.read_bytes(id, &mut bytes, 0), Ok(128 * PAGE));
    assert_eq!(bytes.iter().position(|byte| *byte != 1), Some(LEN));
    assert!(bytes[LEN..size].iter().all(|byte| *byte == 2) && bytes[size..].iter().all(|byte| *byte == 0), "{written:?}");
    fs.release(1);
    assert_eq!(fs.check(true).expect("a check"), Vec::<String>::new());
}
