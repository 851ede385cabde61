//! What happens to a file while it is flushed.

use super::*;
use crate::fs::survival::{WHO, geometry_on, in_child, make_file, make_pool, open, place, place_with_pool};
use crate::media::create::Geometry;
use crate::media::sim::tape::{Event, Lower, Tape, sorted_names as names};
use crate::media::tests::WRITING;
use crate::table::Entry;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// A file of twelve pages of ones, whose first flush finds it changed by `change` when it has taken its snapshot. What it is then, after the next flush and in the pool.
fn changed_while_flushed(change: impl Fn(&Fs, Ino)) -> [Vec<u8>; 2] {
    let (_dir, pool) = place_with_pool(Lower::Ext4);
    let _seems_a_disk = Tape::start(&pool, Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    let ino = make_file(&fs, b"file");
    let read = |fs: &Fs| {
        fs.truncate(ino, 12 * PAGE as u64).expect("as long as it was");
        let id = fs.open_file(ino, libc::O_RDWR, 2).expect("it opens");
        let mut bytes = vec![7; 12 * PAGE];
        assert_eq!(fs.read_bytes(id, &mut bytes, 0), Ok(12 * PAGE));
        fs.release(2);
        bytes
    };
    let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
    fs.write_bytes(id, &[1; 12 * PAGE], 0).expect("a write");
    let slot = fs.hold_inode(ino).expect("cached");
    {
        let _flusher = fs.inodes.slot(slot).flush_lock.lock(&*fs.procs);
        let mut snapshot = fs.take_snapshot(slot, PageNo::new(0)..PageNo::new(u64::MAX), PageNo::new(0)).expect("dirty");
        change(&fs, ino);
        fs.write_pages(&mut snapshot).expect("written");
        let (seq, freed) = fs.log_pages(slot, ino, &snapshot).expect("logged").expect("the file is there");
        fs.pool_free(&freed, seq);
        fs.finish(slot, &snapshot, true);
        fs.taken(slot).forget();
    }
    fs.unhold_inode(slot);
    fs.sync_all().expect("a flush");
    assert_eq!(fs.check(true).expect("a check"), Vec::<String>::new());
    let first = read(&fs);
    fs.sync_all().expect("a flush");
    fs.release(1);
    drop(fs);
    let fs = open(&pool).expect("the pool opens");
    [first, read(&fs)]
}

/// The pages that the first flush of a file writes were taken for never written: what was cut off meanwhile came back.
#[test]
fn regression_what_is_cut_off_during_the_first_flush_is_gone() {
    for found in changed_while_flushed(|fs, ino| fs.truncate(ino, 3 * PAGE as u64).expect("shorter")) {
        assert!(found[..3 * PAGE] == [1; 3 * PAGE] && found[3 * PAGE..] == [0; 9 * PAGE]);
    }
}

#[test]
fn regression_what_is_punched_during_the_first_flush_is_zeros() {
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    for found in changed_while_flushed(|fs, ino| fs.allocate(ino, mode, 2 * PAGE as u64, 8 * PAGE as u64).expect("a hole")) {
        assert!(found[2 * PAGE..10 * PAGE] == [0; 8 * PAGE] && found[..2 * PAGE] == [1; 2 * PAGE] && found[10 * PAGE..] == [1; 2 * PAGE]);
    }
}

/// A flush logged what it found of the attributes while another was changing them: after a power cut a file had the seconds of one time and the rest of another.
#[test]
fn regression_no_time_is_logged_in_halves() {
    let (_dir, pool) = place_with_pool(Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    let ino = make_file(&fs, b"file");
    let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
    fs.write_bytes(id, &[1; PAGE], 0).expect("a write");
    let slot = fs.hold_inode(ino).expect("cached");
    let s = fs.inodes.slot(slot);
    {
        let _flusher = s.flush_lock.lock(&*fs.procs);
        let mut snapshot = fs.take_snapshot(slot, PageNo::new(0)..PageNo::new(u64::MAX), PageNo::new(0)).expect("dirty");
        fs.write_pages(&mut snapshot).expect("written");
        std::thread::scope(|scope| {
            let changing = fs.inodes.lock(slot);
            s.mtime.sec.store(1 << 33, Relaxed);
            let logging = scope.spawn(|| fs.log_pages(slot, ino, &snapshot).expect("logged").expect("the file is there"));
            std::thread::sleep(Duration::from_millis(50));
            s.mtime.nsec.store(123_456_789, Relaxed);
            drop(changing);
            let (seq, freed) = logging.join().expect("it ends");
            fs.pool_free(&freed, seq);
        });
        fs.finish(slot, &snapshot, true);
        fs.taken(slot).forget();
    }
    let logged = fs.meta.view(|view| Inode::load(view, ino)).expect("a view").expect("the file").attr.mtime;
    assert!(logged.sec != 1 << 33 || logged.nsec == 123_456_789, "{logged:?}");
    fs.unhold_inode(slot);
    fs.release(1);
}

/// Each write to a page that was being flushed took a frame from the far end, where none had memory, and left the file's own to others.
#[test]
fn a_file_that_is_written_to_while_it_is_flushed_keeps_to_its_frames() {
    const PAGES: usize = 1024;
    let dir = place();
    let pool = dir.path().join("pool");
    make_pool(&pool, &Geometry::of(16 << 20), Lower::Ext4);
    let _seems_a_disk = Tape::start(&pool, Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    let ino = make_file(&fs, b"file");
    let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
    fs.write_bytes(id, &vec![1; PAGES * PAGE], 0).expect("a write");
    let slot = fs.hold_inode(ino).expect("cached");
    let frame = |page| Entry::from_raw(fs.cell(slot, PageNo::new(page)).expect("a leaf").load(Relaxed)).dram().expect("cached");
    let frames = || (0..PAGES as u64).map(frame).collect::<std::collections::BTreeSet<_>>();
    let own = frames();
    for round in 0..20u8 {
        let write = || fs.write_bytes(id, &[round; 16 * PAGE], u64::from(round) * 16 * PAGE as u64).expect("a write");
        write();
        {
            let _flusher = fs.inodes.slot(slot).flush_lock.lock(&*fs.procs);
            let mut snapshot = fs.take_snapshot(slot, PageNo::new(0)..PageNo::new(u64::MAX), PageNo::new(0)).expect("dirty");
            write();
            fs.write_pages(&mut snapshot).expect("written");
            let (seq, freed) = fs.log_pages(slot, ino, &snapshot).expect("logged").expect("the file is there");
            fs.pool_free(&freed, seq);
            fs.finish(slot, &snapshot, true);
            fs.taken(slot).forget();
        }
    }
    assert_eq!(frames().difference(&own).count(), 16);
    fs.unhold_inode(slot);
    fs.sync_all().expect("a flush");
    assert_eq!(fs.check(true).expect("a check"), Vec::<String>::new());
    let mut bytes = vec![0; PAGES * PAGE];
    assert_eq!(fs.read_bytes(id, &mut bytes, 0), Ok(PAGES * PAGE));
    let expected = |page: usize| if page < 320 { (page / 16) as u8 } else { 1 };
    assert!(bytes.chunks(PAGE).enumerate().all(|(page, bytes)| bytes.iter().all(|byte| *byte == expected(page))));
    fs.release(1);
}

/// How far several threads have come.
#[derive(Default)]
struct Stage(Mutex<u32>, Condvar);

impl Stage {
    fn is_done_by_one_more(&self) {
        *self.0.lock().expect("nobody failed") += 1;
        self.1.notify_all();
    }

    fn await_done_by(&self, count: u32) {
        let done = self.0.lock().expect("nobody failed");
        let (_done, timeout) = self.1.wait_timeout_while(done, Duration::from_secs(20), |done| *done < count).expect("nobody failed");
        assert!(!timeout.timed_out(), "one waits for the other");
    }
}

/// No write to the device ends before all have begun, and before others have read and written the files that are being flushed, and changed names.
#[test]
fn flushes_of_different_files_write_at_the_same_time_and_nobody_waits_for_them() {
    const PAGES: usize = 64;
    const NAMES: [&[u8]; 4] = [b"a", b"b", b"c", b"d"];
    let dir = place();
    let pool = dir.path().join("pool");
    make_pool(&pool, &Geometry::of(16 << 20), Lower::Ext4);
    let _seems_a_disk = Tape::start(&pool, Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    let create = |name: &[u8]| make_file(&fs, name);
    let files: Vec<_> = NAMES.into_iter().zip(1..).map(|(name, hold)| (create(name), hold)).collect();
    for (ino, hold) in &files {
        let id = fs.open_file(*ino, libc::O_RDWR, *hold).expect("it opens");
        fs.write_bytes(id, &[*hold as u8; PAGES * PAGE], 0).expect("a write");
    }
    let stage = Arc::new(Stage::default());
    std::thread::scope(|scope| {
        for (ino, _) in &files {
            let (stage, fs) = (stage.clone(), &fs);
            scope.spawn(move || {
                WRITING.set(Some(Box::new(move || {
                    stage.is_done_by_one_more();
                    stage.await_done_by(NAMES.len() as u32 + 1);
                })));
                fs.sync(*ino).expect("a sync");
            });
        }
        stage.await_done_by(NAMES.len() as u32);
        for (ino, hold) in &files {
            let id = fs.open_file(*ino, libc::O_RDWR, 10 + hold).expect("it opens");
            let mut bytes = [0; PAGES * PAGE];
            assert_eq!(fs.read_bytes(id, &mut bytes, 0), Ok(bytes.len()));
            assert_eq!(bytes, [*hold as u8; PAGES * PAGE]);
            fs.write_bytes(id, &[9; 2 * PAGE], PAGE as u64).expect("a write");
            fs.release(10 + hold);
        }
        create(b"made meanwhile");
        stage.is_done_by_one_more();
    });
    fs.sync_all().expect("a flush");
    assert_eq!(fs.check(true).expect("a check"), Vec::<String>::new());
    files.iter().for_each(|(_, hold)| fs.release(*hold));
}

/// All of it was written twice, first as zeros.
#[test]
fn regression_a_large_flush_writes_what_is_new_in_the_pool_once() {
    let dir = place();
    let pool = dir.path().join("pool");
    make_pool(&pool, &Geometry { size: 16 << 20, grow_bytes: 64 << 10, ..geometry_on(Lower::Ext4) }, Lower::Ext4);
    let numbers = names(&pool);
    let number = |name: &str| numbers.iter().position(|n| n == name).expect("a file of the pool");
    let tape = Tape::start(&pool, Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    let ino = make_file(&fs, b"file");
    let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
    if rustix::fs::open(pool.join("frames"), rustix::fs::OFlags::DIRECT, rustix::fs::Mode::empty()).is_err() {
        println!("skipped: nothing can be written past the page cache here");
        return;
    }
    let _before = tape.take();
    let mut written = 0;
    for pages in [40, 10, 100] {
        fs.write_bytes(id, &vec![1; pages * PAGE], written as u64).expect("a write");
        fs.sync(ino).expect("a sync");
        written += pages * PAGE;
        let events = tape.take();
        let of = |at: &usize| matches!(&events[*at], Event::Wrote { file, .. } if *file == number("frames"));
        let bytes = |at: usize| if let Event::Wrote { bytes, .. } = &events[at] { bytes.len() } else { 0 };
        assert_eq!((0..events.len()).filter(of).map(bytes).sum::<usize>(), pages * PAGE);
        // How long the file is was durable before the log said what is in it.
        let settled = |e: &Event| matches!(e, Event::Flushed { file, to: u64::MAX, .. } if *file == number("frames"));
        let logged = |e: &Event| matches!(e, Event::Wrote { file, direct: true, .. } if [number("log.0"), number("log.1")].contains(file));
        assert!(events.iter().position(settled).expect("settled") < events.iter().position(logged).expect("logged"));
    }
    let mut back = vec![0; written];
    assert_eq!(fs.read_bytes(id, &mut back, 0), Ok(written));
    assert!(back.iter().all(|byte| *byte == 1));
    assert_eq!(fs.check(true).expect("a check"), Vec::<String>::new());
}

/// Its pages were neither clean nor dirty, so nobody flushed them again to evict them, and there was no memory for others.
#[test]
fn regression_what_a_dead_process_was_flushing_is_evicted() {
    const ALL: usize = 16 << 20;
    let dir = place();
    let pool = dir.path().join("pool");
    make_pool(&pool, &Geometry::of(64 << 20), Lower::Ext4);
    let fs = open(&pool).expect("the pool opens");
    let write = |name: &[u8], hold: usize, value: u8| {
        let id = fs.open_file(make_file(&fs, name), libc::O_RDWR, hold).expect("it opens");
        fs.write_bytes(id, &vec![value; ALL], 0).map(|()| id)
    };
    let id = write(b"first", 1, 1).expect("a write");
    let begins = || {
        let slot = fs.hold_inode(fs.open_ino(id)).expect("cached");
        std::mem::forget(fs.inodes.slot(slot).flush_lock.lock(&*fs.procs));
        fs.take_snapshot(slot, PageNo::new(0)..PageNo::new(u64::MAX), PageNo::new(0)).is_some()
    };
    assert_eq!(in_child(&fs, begins), 0);
    write(b"second", 2, 2).expect("there is memory");
    let mut bytes = vec![0; ALL];
    assert_eq!(fs.read_bytes(id, &mut bytes, 0), Ok(ALL));
    assert!(bytes.iter().all(|byte| *byte == 1));
    assert_eq!(fs.check(true).expect("a check"), Vec::<String>::new());
    (1..=2).for_each(|hold| fs.release(hold));
}

/// One record was to name all that was dirty: where that was more than a log holds, each flush was `EFBIG`, and so was each write that needed the memory.
#[test]
fn regression_a_flush_may_be_larger_than_a_record() {
    let dir = place();
    let pool = dir.path().join("pool");
    make_pool(&pool, &Geometry { size: 64 << 20, log_bytes: 16 << 10, ..geometry_on(Lower::Ext4) }, Lower::Ext4);
    let _seems_a_disk = Tape::start(&pool, Lower::Ext4);
    let mut fs = open(&pool).expect("the pool opens");
    // In a row, and where each makes a record of extents long.
    for (name, count, step) in [(&b"dense"[..], 3000u64, 1), (b"sparse", 700, 64)] {
        let ino = make_file(&fs, name);
        let pages = || (0..count).map(|i| (i, (i + 1) * step - 1));
        let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
        let write =
            |byte: u8| pages().for_each(|(i, page)| fs.write_bytes(id, &[i as u8 ^ byte; PAGE], page * PAGE as u64).expect("a write"));
        write(0);
        fs.sync(ino).expect("a flush");
        write(7);
        fs.sync(ino).expect("a flush");
        assert!(!fs.is_dirty());
        fs.truncate(ino, PAGE as u64).expect("shorter");
        fs.truncate(ino, count * step * PAGE as u64).expect("longer");
        write(9);
        fs.sync(ino).expect("a flush");
        assert_eq!(fs.check(true).expect("a check"), Vec::<String>::new());
        assert_eq!(fs.check_counts(), []);
        fs.release(1);
        drop(fs);
        fs = open(&pool).expect("the pool opens");
        let id = fs.open_file(ino, libc::O_RDWR, 1).expect("it opens");
        for (i, page) in pages() {
            let mut bytes = [0; PAGE];
            assert_eq!(fs.read_bytes(id, &mut bytes, page * PAGE as u64), Ok(PAGE));
            assert!(bytes == [i as u8 ^ 9; PAGE], "page {page}");
        }
        fs.release(1);
        fs.unlink(Ino::ROOT, &crate::fs::names::Name::new(name).expect("a name"), &WHO).expect("unlinked");
        fs.sync_all().expect("a flush");
        assert_eq!(fs.check(true).expect("a check"), Vec::<String>::new());
        assert_eq!(fs.check_counts(), []);
    }
}
