//! Sharing on write: pages that are still an attached view move no data, and nobody can tell.

use super::{Fresh, Space, pattern};

const MIB: usize = 1 << 20;

/// A file with a pattern, and fresh memory of that length to which it is attached.
fn attached(space: &Space, name: &str, len: usize, hold: usize) -> (flac::fs::open::OpenId, Vec<u8>, Fresh) {
    let (_, id) = space.create(name, hold);
    let data = pattern(len, hold as u64 + 1);
    assert_eq!(space.write(id, &data, 0), Ok(len));
    let mut fresh = Fresh::new(len);
    let before = space.counter("bytes attached");
    assert_eq!(space.read_into(id, fresh.bytes(), 0), Ok(len));
    assert_eq!(space.counter("bytes attached") - before, (len & !4095) as u64);
    (id, data, fresh)
}

fn exact(space: &Space) {
    assert_eq!(space.fs.check_counts(), []);
}

#[test]
fn writing_what_was_read_moves_no_data() {
    let space = Space::new();
    let (_, data, mut fresh) = attached(&space, "a", 8 * MIB, 0);
    let (_, to) = space.create("b", 1);
    let copied = space.counter("bytes copied from the program") + space.counter("bytes copied by the kernel");
    assert_eq!(space.write(to, fresh.bytes(), 0), Ok(8 * MIB));
    assert_eq!(space.counter("bytes shared"), 8 * MIB as u64);
    assert_eq!(space.counter("bytes copied from the program") + space.counter("bytes copied by the kernel"), copied);
    assert_eq!(space.read(to, 8 * MIB, 0).expect("it reads"), data);
    exact(&space);
    fresh.drop_from(&space.fs);
    exact(&space);
}

#[test]
fn files_and_buffer_go_their_own_ways_after_sharing() {
    let space = Space::new();
    let (from, mut data, mut fresh) = attached(&space, "a", 2 * MIB, 0);
    let original = data.clone();
    let (_, to) = space.create("b", 1);
    assert_eq!(space.write(to, fresh.bytes(), 0), Ok(2 * MIB));
    space.write(from, b"source", 5000).expect("it writes");
    space.write(to, b"target", 9000).expect("it writes");
    fresh.bytes()[100] ^= 1;
    data[9000..9006].copy_from_slice(b"target");
    assert_eq!(space.read(to, 2 * MIB, 0).expect("it reads"), data);
    data.copy_from_slice(&original);
    data[5000..5006].copy_from_slice(b"source");
    assert_eq!(space.read(from, 2 * MIB, 0).expect("it reads"), data);
    fresh.bytes()[100] ^= 1;
    assert!(fresh.bytes() == original);
    exact(&space);
}

#[test]
fn changed_pages_are_copied_and_the_rest_is_shared() {
    let space = Space::new();
    let (_, mut data, mut fresh) = attached(&space, "a", 4 * MIB, 0);
    let (_, to) = space.create("b", 1);
    for at in [0, 300 << 10, (2 << 20) + 77, (4 << 20) - 1] {
        fresh.bytes()[at] = !fresh.bytes()[at];
        data[at] = !data[at];
    }
    assert_eq!(space.write(to, fresh.bytes(), 0), Ok(4 * MIB));
    assert_eq!(space.read(to, 4 * MIB, 0).expect("it reads"), data);
    let shared = space.counter("bytes shared");
    assert!(shared > MIB as u64 && shared < 4 * MIB as u64, "{shared}");
    exact(&space);
}

/// A training program: part of what it has loaded changes, and each tensor is a write of its own.
#[test]
fn what_never_changed_is_shared_however_often_the_rest_did() {
    let space = Space::new();
    let (_, _, mut fresh) = attached(&space, "a", 24 * MIB, 0);
    for round in 1..4u8 {
        for at in (16 * MIB..24 * MIB).step_by(4096) {
            fresh.bytes()[at] = round;
        }
        let (_, to) = space.create(&format!("checkpoint {round}"), round as usize);
        let before = space.counter("bytes shared");
        for at in (0..24 * MIB).step_by(MIB) {
            assert_eq!(space.write(to, &fresh.bytes()[at..at + MIB], at as u64), Ok(MIB));
        }
        assert_eq!((space.counter("bytes shared") - before) as usize, 16 * MIB, "round {round}");
        assert!(space.read(to, 24 * MIB, 0).expect("it reads") == fresh.bytes());
    }
    exact(&space);
}

/// As one write: what changed lies here and there.
#[test]
fn one_large_write_shares_what_lies_between_changes() {
    let space = Space::new();
    let (_, _, mut fresh) = attached(&space, "a", 32 * MIB, 0);
    for at in (0..32 * MIB).step_by(2 * MIB) {
        // Two changes too near to each other to share what lies between.
        fresh.bytes()[at] ^= 1;
        fresh.bytes()[at + 8 * 4096] ^= 1;
    }
    let (_, to) = space.create("b", 1);
    assert_eq!(space.write(to, fresh.bytes(), 0), Ok(32 * MIB));
    assert!(space.counter("bytes shared") as usize > 30 * MIB, "{}", space.counter("bytes shared"));
    assert!(space.read(to, 32 * MIB, 0).expect("it reads") == fresh.bytes());
    exact(&space);
}

#[test]
fn a_page_that_another_page_of_the_file_is_read_at_is_written_where_it_belongs() {
    let space = Space::new();
    let (_, data, mut fresh) = attached(&space, "a", 4 * MIB, 0);
    let (_, to) = space.create("b", 1);
    // Congruent mod 4 KiB but not mod 2 MiB; ragged at both ends; over older content.
    space.write(to, &pattern(3 * MIB, 99), 0).expect("it writes");
    let (from, len, at) = (4096 + 100, 2 * MIB + 333, 40960 + 100);
    assert_eq!(space.write(to, &fresh.bytes()[from..from + len], at as u64), Ok(len));
    let mut expected = pattern(3 * MIB, 99);
    expected[at..at + len].copy_from_slice(&data[from..from + len]);
    assert_eq!(space.read(to, 4 * MIB, 0).expect("it reads"), expected);
    assert!(space.counter("bytes shared") > MIB as u64);
    exact(&space);
}

#[test]
fn memory_mapped_behind_our_back_is_not_taken_for_a_view() {
    let space = Space::new();
    let (_, _, mut fresh) = attached(&space, "a", 2 * MIB, 0);
    let (_, to) = space.create("b", 1);
    let at = fresh.bytes().as_mut_ptr();
    let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED);
    // SAFETY: inside `fresh`; as libc does it for itself, without telling the library.
    assert_ne!(unsafe { libc::mmap(at.cast(), MIB, prot, flags, -1, 0) }, libc::MAP_FAILED);
    assert_eq!(space.write(to, fresh.bytes(), 0), Ok(2 * MIB));
    assert!(space.read(to, MIB, 0).expect("it reads").iter().all(|b| *b == 0));
    assert_eq!(space.read(to, MIB, MIB as u64).expect("it reads"), fresh.bytes()[MIB..]);
}

#[test]
fn frames_of_a_deleted_file_are_copied() {
    let space = Space::new();
    let (_, data, mut fresh) = attached(&space, "a", 2 * MIB, 0);
    let (_, to) = space.create("b", 1);
    space.fs.release(0);
    let name = flac::fs::names::Name::new(b"a").expect("a short name");
    space.fs.unlink(flac::units::Ino::ROOT, &name, &super::ROOT).expect("it goes");
    exact(&space);
    assert_eq!(space.write(to, fresh.bytes(), 0), Ok(2 * MIB));
    assert_eq!(space.counter("bytes shared"), 0);
    assert_eq!(space.read(to, 2 * MIB, 0).expect("it reads"), data);
    exact(&space);
}

#[test]
fn a_shared_mapping_of_the_target_forbids_sharing() {
    let space = Space::new();
    let (_, data, mut fresh) = attached(&space, "a", 2 * MIB, 0);
    let (ino, to) = space.create("b", 1);
    space.write(to, &vec![7; 2 * MIB], 0).expect("it writes");
    // SAFETY: a new mapping where there is room.
    let map = unsafe { space.fs.map(ino, 0, 2 * MIB, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, 0) }.expect("it maps");
    assert_eq!(space.write(to, fresh.bytes(), 0), Ok(2 * MIB));
    // SAFETY: mapped above.
    let seen = unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance::<u8>(map), 2 * MIB) };
    assert!(seen == data);
    assert_eq!(space.counter("bytes shared"), 0);
    exact(&space);
}

#[test]
fn a_thread_that_changes_the_buffer_meanwhile_changes_no_file() {
    let space = Space::new();
    let (from, data, mut fresh) = attached(&space, "a", 2 * MIB, 0);
    let (_, to) = space.create("b", 1);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let address = fresh.bytes().as_mut_ptr().addr();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut at = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                // SAFETY: inside `fresh`, which outlives the thread.
                unsafe { std::ptr::with_exposed_provenance_mut::<u8>(address + at).write_volatile(0) };
                at = (at + 40961) % (2 * MIB);
            }
        });
        for _ in 0..200 {
            // Attached again and again, so that there is something to share.
            assert_eq!(space.read_into(from, fresh.bytes(), 0), Ok(2 * MIB));
            assert_eq!(space.write(to, fresh.bytes(), 0), Ok(2 * MIB));
            let seen = space.read(to, 2 * MIB, 0).expect("it reads");
            assert!(seen.iter().zip(&data).all(|(is, was)| is == was || *is == 0));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(space.read(from, 2 * MIB, 0).expect("it reads") == data);
    exact(&space);
}
