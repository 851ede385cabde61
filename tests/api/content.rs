//! Content of files: what was written is read, across truncation, sharing, flushes and reboots.

use crate::{Fresh, ROOT, Space, pattern};
use flac::fs::names::{Last, Resolved};
use flac::fs::open::OpenId;
use flac::units::Ino;

#[test]
fn what_was_written_is_read_at_any_size_and_offset() {
    let space = Space::new();
    let (_, id) = space.create("f", 0);
    let mut model = vec![0u8; 9 << 20];
    let mut end = 0;
    for (i, (at, len)) in
        [(0, 1), (1, 100), (4090, 20), (4096, 4096), (70_000, 3), (1 << 20, 3 << 20), (100, 1 << 21), ((5 << 20) + 7, 1 << 20)]
            .into_iter()
            .enumerate()
    {
        let bytes = pattern(len, i as u64 + 1);
        assert_eq!(space.write(id, &bytes, at as u64), Ok(len));
        model[at..at + len].copy_from_slice(&bytes);
        end = end.max(at + len);
        assert!(space.read(id, 9 << 20, 0).unwrap() == model[..end], "after write {i} of {len} bytes at {at}");
    }
    for (at, len) in [(3, 50), (4095, 2), (1 << 20, 2 << 20), (end - 5, 100)] {
        assert!(space.read(id, len, at as u64).unwrap() == model[at..end.min(at + len)], "{len} bytes at {at}");
    }
}

#[test]
fn a_shorter_file_that_grows_again_reads_zeros() {
    let space = Space::new();
    let (ino, id) = space.create("f", 0);
    space.write(id, &pattern(3 << 20, 1), 0).unwrap();
    space.fs.truncate(ino, 5000).unwrap();
    space.fs.truncate(ino, 1 << 20).unwrap();
    let bytes = space.read(id, 4 << 20, 0).unwrap();
    assert_eq!(bytes.len(), 1 << 20);
    assert!(bytes[..5000] == pattern(3 << 20, 1)[..5000]);
    assert!(bytes[5000..].iter().all(|b| *b == 0));
}

#[test]
fn an_attached_buffer_and_the_file_are_independent() {
    let space = Space::new();
    let (ino, id) = space.create("f", 0);
    let old = pattern(8 << 20, 1);
    space.write(id, &old, 0).unwrap();
    // Not the allocator's: what other tests free decides where that puts a block, and in an arena nothing is attached.
    let mut fresh = Fresh::new(8 << 20);
    let buffer = fresh.bytes();
    for round in 0..3 {
        assert_eq!(space.read_into(id, buffer, 0), Ok(8 << 20));
        assert!(buffer == old, "round {round}");
        space.write(id, &pattern(8 << 20, 2), 0).unwrap();
        assert!(buffer == old, "after an overwrite, round {round}");
        space.fs.truncate(ino, 0).unwrap();
        space.write(id, &pattern(8 << 20, 3), 0).unwrap();
        assert!(buffer == old, "after truncation, round {round}");
        space.write(id, &old, 0).unwrap();
        buffer.fill(7);
        assert!(space.read(id, 8 << 20, 0).unwrap() == old, "the buffer's change stays out of the file, round {round}");
    }
    let attached = space.fs.stats.list().iter().find(|(name, _)| *name == "bytes attached").unwrap().1;
    assert!(attached > 0 || !space.fs.has_huge_frames(), "nothing was attached");
    fresh.drop_from(&space.fs);
}

#[test]
fn a_read_that_does_not_fit_replaces_the_view_in_its_buffer() {
    let space = Space::new();
    let (_, id) = space.create("f", 0);
    let bytes = pattern((8 << 20) + 5000, 1);
    space.write(id, &bytes, 0).unwrap();
    let mut fresh = Fresh::new(8 << 20);
    let buffer = fresh.bytes();
    for (round, at) in [100, (1 << 20) + 100].into_iter().enumerate() {
        // Each time through a new open file: one that was met with such a read is copied to.
        let (_, id) = space.open("f", round + 1);
        assert_eq!(space.read_into(id, buffer, 0), Ok(8 << 20));
        assert!(space.fs.has_views(buffer.as_ptr().addr(), 8 << 20) || !space.fs.has_huge_frames(), "round {round}");
        let rest = (bytes.len() - at).min(8 << 20);
        assert_eq!(space.read_into(id, buffer, at as u64), Ok(rest));
        assert!(buffer[..rest] == bytes[at..at + rest] && buffer[rest..] == bytes[rest..8 << 20], "round {round}");
        let (start, whole) = (buffer.as_ptr().addr(), rest / 4096 * 4096 - 4096);
        let attached = || space.fs.has_huge_frames() && space.fs.has_views(start, whole);
        assert!(!attached(), "round {round}: a view of old stays below the copy");
        assert_eq!(space.read_into(id, buffer, 0), Ok(8 << 20));
        assert!(!attached(), "round {round}: it goes back and forth");
    }
    fresh.drop_from(&space.fs);
}

#[test]
fn a_synced_file_survives_a_reboot() {
    let space = Space::new();
    let (ino, id) = space.create("f", 0);
    let bytes = pattern((5 << 20) + 123, 9);
    space.write(id, &bytes, 0).unwrap();
    space.fs.sync(ino).unwrap();
    space.write(id, b"changed", 100).unwrap();
    space.fs.sync(ino).unwrap();
    let mut model = bytes;
    model[100..107].copy_from_slice(b"changed");
    let space = space.reboot();
    let Resolved::Found { ino, .. } = space.fs.resolve(Ino::ROOT, b"f", Last::Follow, &ROOT).unwrap() else { panic!("f is gone") };
    assert_eq!(space.fs.attr(ino).unwrap().size, model.len() as u64);
    let id = space.fs.open_file(ino, libc::O_RDWR, 0).unwrap();
    assert!(space.read(id, 6 << 20, 0).unwrap() == model);
    space.fs.truncate(ino, 4097).unwrap();
    space.fs.sync(ino).unwrap();
    let space = space.reboot();
    let id = space.fs.open_file(ino, libc::O_RDWR, 0).unwrap();
    assert!(space.read(id, 6 << 20, 0).unwrap() == model[..4097]);
}

#[test]
fn files_larger_than_the_cache_are_written_and_read_back() {
    let space = Space::with_dram(16 << 20);
    let (_, id) = space.create("big", 0);
    for i in 0..48u64 {
        assert_eq!(space.write(id, &pattern(1 << 20, i + 1), i << 20), Ok(1 << 20), "MiB {i}");
    }
    for i in (0..48u64).rev() {
        assert!(space.read(id, 1 << 20, i << 20).unwrap() == pattern(1 << 20, i + 1), "MiB {i}");
    }
}

#[test]
fn a_copied_range_shares_and_then_diverges() {
    let space = Space::new();
    let (a, a_id) = space.create("a", 0);
    let (b, b_id) = space.create("b", 1);
    let old = pattern((3 << 20) + 500, 4);
    space.write(a_id, &old, 0).unwrap();
    assert_eq!(space.fs.copy_range(a, 0, b, 0, u64::MAX >> 1), Ok(old.len() as u64));
    assert!(space.read(b_id, 4 << 20, 0).unwrap() == old);
    space.write(a_id, b"xyz", 4095).unwrap();
    assert!(space.read(b_id, 4 << 20, 0).unwrap() == old, "a write to the source shows in the copy");
    space.write(b_id, b"abc", 8000).unwrap();
    assert!(space.read(a_id, 3, 8000).unwrap() == old[8000..8003]);
}

#[test]
fn no_frame_leaks_when_files_come_and_go() {
    let space = Space::new();
    let free = space.fs.dram_bytes().1;
    let pool_free = space.fs.stat_fs().free;
    for round in 0..20u64 {
        let name = format!("f{round}");
        let (ino, id) = space.create(&name, 0);
        space.write(id, &pattern(100_000 * (round as usize + 1), round), 0).unwrap();
        let (copy, _) = space.create("copy", 1);
        space.fs.copy_range(ino, 0, copy, 0, 1 << 30).unwrap();
        if round % 3 == 0 {
            space.fs.sync(ino).unwrap();
        }
        space.fs.truncate(ino, 50_000).unwrap();
        for name in [name.as_str(), "copy"] {
            let name = flac::fs::names::Name::new(name.as_bytes()).unwrap();
            space.fs.unlink(Ino::ROOT, &name, &ROOT).unwrap();
        }
        space.fs.release(0);
        space.fs.release(1);
    }
    space.fs.sync_all().unwrap();
    assert_eq!(space.fs.dram_bytes().1, free, "frames of the cache");
    assert_eq!(space.fs.stat_fs().free, pool_free, "frames of the pool");
}

#[test]
fn a_copied_range_moves_no_data() {
    let space = Space::new();
    let (a, a_id) = space.create("a", 0);
    let (b, _) = space.create("b", 1);
    let len = 6 << 20;
    space.write(a_id, &pattern(len, 5), 0).unwrap();
    let before = space.counter("bytes copied from the program") + space.counter("bytes copied by the kernel");
    assert_eq!(space.fs.copy_range(a, 0, b, 0, len as u64), Ok(len as u64));
    let after = space.counter("bytes copied from the program") + space.counter("bytes copied by the kernel");
    assert_eq!(after, before, "bytes were copied");
    assert_eq!(space.counter("bytes shared"), len as u64);
}

#[test]
fn a_large_read_into_fresh_memory_is_attached() {
    let space = Space::new();
    let (_, id) = space.create("a", 0);
    let len = 8 << 20;
    let bytes = pattern(len, 6);
    space.write(id, &bytes, 0).unwrap();
    let mut memory = Fresh::new(len);
    let buffer = memory.bytes();
    assert_eq!(space.read_into(id, buffer, 0), Ok(len));
    assert!(buffer == bytes);
    // Kernels before 6.11 can't say cheaply what a buffer is: there everything is copied.
    if space.fs.can_attach() {
        assert_eq!(space.counter("bytes attached"), len as u64);
    }
    memory.drop_from(&space.fs);
}

/// Four runs of a program that overwrites what it reads of a file that `write` has filled: the first one's read is attached, the others are copied.
fn only_the_first_run_is_attached_to(len: usize, write: impl Fn(&Space, OpenId, &[u8])) {
    let mut space = Space::new();
    let (_, id) = space.create("a", 0);
    let bytes = pattern(len, 7);
    write(&space, id, &bytes);
    let mut attached = Vec::new();
    for round in 0..4 {
        let (_, id) = space.open("a", 0);
        let mut memory = Fresh::new(len);
        let buffer = memory.bytes();
        assert_eq!(space.read_into(id, buffer, 0), Ok(len));
        assert!(buffer == bytes, "round {round}");
        buffer.iter_mut().step_by(4096).for_each(|b| *b = round);
        memory.drop_from(&space.fs);
        attached.push(space.counter("bytes attached"));
        space = space.next_process();
    }
    if space.fs.can_attach() {
        assert_eq!(attached, [len as u64 / 4096 * 4096, 0, 0, 0]);
    }
}

#[test]
fn what_a_program_has_overwritten_is_copied_when_it_runs_again() {
    only_the_first_run_is_attached_to((32 << 20) + 5 * 4096, |space, id, bytes| _ = space.write(id, bytes, 0).unwrap());
}

/// What was attached by several views, because the file's first frames do not follow each other, was never looked at again.
#[test]
fn regression_so_is_what_lies_in_scattered_frames() {
    const PIECE: usize = 64 << 10;
    only_the_first_run_is_attached_to(32 << 20, |space, id, bytes| {
        let (_, other) = space.create("b", 0);
        let (start, rest) = bytes.split_at(8 * PIECE);
        for (at, piece) in (0..).step_by(PIECE).zip(start.chunks(PIECE)) {
            space.write(id, piece, at).unwrap();
            space.write(other, piece, at).unwrap();
        }
        space.write(id, rest, start.len() as u64).unwrap();
    });
}

#[test]
fn regression_a_view_split_after_its_file_is_gone_keeps_its_content() {
    let space = Space::with_dram(32 << 20);
    let (ino, id) = space.create("a", 0);
    let len = 6 << 20;
    let bytes = pattern(len, 7);
    space.write(id, &bytes, 0).unwrap();
    let mut memory = Fresh::new(len);
    let buffer = memory.bytes();
    assert_eq!(space.read_into(id, buffer, 0), Ok(len));
    space.fs.truncate(ino, 0).unwrap();
    // A read into the middle of the buffer splits the view; the pages around it still show frames that no file has any more.
    let (_, other) = space.create("b", 1);
    space.write(other, &pattern(1 << 20, 8), 0).unwrap();
    let middle = (2 << 20) + (512 << 10)..(3 << 20) + (512 << 10);
    assert_eq!(space.read_into(other, &mut buffer[middle.clone()], 0), Ok(1 << 20));
    // Whoever takes frames now must not get those.
    for i in 0..20u64 {
        space.write(other, &pattern(1 << 20, 100 + i), (1 + i) << 20).unwrap();
    }
    assert!(buffer[..middle.start] == bytes[..middle.start], "before the middle");
    assert!(buffer[middle.end..] == bytes[middle.end..], "behind the middle");
    assert!(buffer[middle] == pattern(1 << 20, 8), "the middle");
    memory.drop_from(&space.fs);
}

#[test]
fn times_set_on_a_cached_file_are_in_the_log_with_its_next_flush() {
    use flac::fs::attr::{SetAttr, Time};
    let space = Space::new();
    let (ino, id) = space.create("f", 0);
    space.write(id, b"x", 0).unwrap();
    space.fs.sync(ino).unwrap();
    let then = Time { sec: 1_000_000_000, nsec: 123_456_789 };
    let change = SetAttr { atime: Some(Some(then)), mtime: Some(Some(then)), ..Default::default() };
    let mode = space.fs.attr(ino).unwrap().mode;
    space.fs.set_attr(ino, &change, &ROOT).unwrap();
    // Owner and mode as they are change nothing but ctime, and must not undo the times.
    let same = SetAttr { mode: Some(mode & 0o7777), uid: Some(0), gid: Some(0), ..Default::default() };
    space.fs.set_attr(ino, &same, &ROOT).unwrap();
    assert_eq!((space.fs.attr(ino).unwrap().mtime, space.fs.attr(ino).unwrap().atime), (then, then));
    space.fs.sync(ino).unwrap();
    let space = space.reboot();
    let attr = space.fs.attr(ino).unwrap();
    assert_eq!((attr.mtime, attr.atime, attr.mode), (then, then, mode));
}
