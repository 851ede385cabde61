//! Shared mappings of files that another process cuts off, and parts of mappings that are guarded.

use crate::case::{Dir, Outcome, cases, content, fails, skip};
use crate::sys::{self, Ended};
use libc::{MAP_SHARED, PROT_READ, PROT_WRITE};

cases![
    what_is_written_anew_shows,
    touching_is_sigbus,
    to_the_kernel_it_is_efault,
    touching_in_a_child_is_sigbus,
    what_grows_again_is_usable,
    many_pages_can_go,
    a_mapping_that_was_synced_takes_guards,
    removing_makes_a_hole,
    a_large_hole_is_removed_as_quickly,
    what_is_mapped_beside_is_not_removed,
    a_process_may_advise_itself_by_its_descriptor,
    another_part_of_the_file_takes_the_place,
    no_part_of_the_file_lies_beyond_all_numbers,
    what_may_not_be_touched_stays_so_when_it_is_replaced,
    what_may_not_be_touched_stays_so_beside_what_is_shown,
    what_may_not_be_touched_stays_so_when_it_is_cut_off,
];

const RW: i32 = PROT_READ | PROT_WRITE;

fn touch_in_child(map: &sys::Map, offset: usize) -> Ended {
    sys::fork(|| drop(map.get(offset, 1))).wait()
}

/// Containers may forbid what FLAC needs to see them.
fn cuts_can_be_seen() -> Outcome {
    if sys::has_userfaultfd() { Ok(()) } else { skip("no userfaultfd here") }
}

fn what_is_written_anew_shows(d: &Dir) -> Outcome {
    let fd = d.open("f", &[1; 5 * 4096]);
    let map = sys::mmap(&fd, 5 * 4096, RW, MAP_SHARED, 0)?;
    map.put(2 * 4096, b"touched");
    for round in 2..5 {
        sys::fork(|| {
            let own = sys::open(d.at("f"), libc::O_RDWR, 0).expect("open");
            sys::ftruncate(&own, 100).expect("ftruncate");
            sys::pwrite(&own, &[round; 4096], 3 * 4096).expect("pwrite");
        })
        .succeeds();
        assert_eq!(map.get(99, 2), [1, 0], "round {round}");
        assert!(map.get(4096, 2 * 4096) == vec![0; 2 * 4096], "round {round}");
        assert!(map.get(3 * 4096, 4096) == vec![round; 4096], "round {round}");
        // And the other way round.
        map.put(2 * 4096 + 5, &[round]);
        assert_eq!(content(d.at("f"))[2 * 4096 + 5], round);
    }
    Ok(())
}

fn touching_is_sigbus(d: &Dir) -> Outcome {
    cuts_can_be_seen()?;
    let fd = d.open("f", &[1; 3 * 4096]);
    let map = sys::mmap(&fd, 3 * 4096, RW, MAP_SHARED, 0)?;
    map.put(8192, b"touched");
    let toucher = sys::fork(|| {
        let own = sys::mmap(&fd, 3 * 4096, RW, MAP_SHARED, 0).expect("mmap");
        own.put(8192, b"touched");
        sys::fork(|| sys::truncate(d.at("f"), 4097).expect("truncate")).succeeds();
        sys::fsync(&fd).expect("fsync");
        assert_eq!(own.get(4096, 2), [1, 0], "the last page stays");
        own.get(8191, 1);
        own.put(8192, b"not there");
    });
    assert_eq!(toucher.wait(), Ended::Signal(libc::SIGBUS));
    assert_eq!(map.get(4096, 2), [1, 0]);
    Ok(())
}

fn to_the_kernel_it_is_efault(d: &Dir) -> Outcome {
    cuts_can_be_seen()?;
    let fd = d.open("f", &[1; 3 * 4096]);
    let map = sys::mmap(&fd, 3 * 4096, RW, MAP_SHARED, 0)?;
    let other = d.open("other", &[2; 8192]);
    let (read_end, write_end) = sys::pipe(0)?;
    sys::fork(|| sys::ftruncate(&fd, 4096).expect("ftruncate")).succeeds();
    fails!(EFAULT, sys::write_from(&write_end, map.address() + 4096, 100));
    fails!(EFAULT, sys::write_from(&other, map.address() + 8192, 100));
    assert_eq!(sys::write_from(&write_end, map.address() + 4000, 96)?, 96);
    drop(read_end);
    sys::ftruncate(&fd, 8192)?;
    assert_eq!(sys::write_from(&other, map.address() + 4096, 100)?, 100, "it grew");
    Ok(())
}

fn touching_in_a_child_is_sigbus(d: &Dir) -> Outcome {
    cuts_can_be_seen()?;
    let fd = d.open("f", &[1; 3 * 4096]);
    let map = sys::mmap(&fd, 3 * 4096, RW, MAP_SHARED, 0)?;
    map.put(8192, b"touched");
    // Inherited before the cut, by children of a process that does not look before they do.
    let (read_end, write_end) = sys::pipe(0)?;
    let child = sys::fork(|| {
        sys::read(&read_end, &mut [0]).expect("read");
        assert_eq!(touch_in_child(&map, 8192), Ended::Signal(libc::SIGBUS));
        map.get(8192, 1);
    });
    sys::fork(|| sys::truncate(d.at("f"), 0).expect("truncate")).succeeds();
    sys::write(&write_end, b"x")?;
    assert_eq!(child.wait(), Ended::Signal(libc::SIGBUS));
    Ok(())
}

fn what_grows_again_is_usable(d: &Dir) -> Outcome {
    let fd = d.open("f", &[1; 4 * 4096]);
    let map = sys::mmap(&fd, 4 * 4096, RW, MAP_SHARED, 0)?;
    let grow: [&dyn Fn(); 3] = [
        &|| sys::ftruncate(&fd, 4 * 4096).expect("ftruncate"),
        &|| assert_eq!(sys::pwrite(&fd, b"end", 4 * 4096 - 3), Ok(3)),
        &|| sys::fallocate(&fd, 0, 0, 4 * 4096).expect("fallocate"),
    ];
    for grow in grow {
        map.put(0, &[1; 4 * 4096]);
        sys::fork(|| {
            sys::ftruncate(&fd, 10).expect("ftruncate");
            sys::fork(grow).succeeds();
        })
        .succeeds();
        assert_eq!(map.get(0, 12)[8..], [1, 1, 0, 0]);
        assert!(map.get(4096, 2 * 4096) == vec![0; 2 * 4096]);
        map.put(8192, b"usable");
        assert_eq!(content(d.at("f"))[8190..8198], *b"\0\0usable");
    }
    Ok(())
}

fn many_pages_can_go(d: &Dir) -> Outcome {
    cuts_can_be_seen()?;
    const LEN: usize = 6 << 20;
    let fd = d.open("f", &vec![1; LEN]);
    let map = sys::mmap(&fd, LEN, RW, MAP_SHARED, 0)?;
    map.put(0, &vec![2; LEN]);
    sys::fork(|| sys::ftruncate(&fd, 3 << 20).expect("ftruncate")).succeeds();
    assert!(map.get(0, 3 << 20) == vec![2; 3 << 20]);
    for at in [3 << 20, (3 << 20) + 4096, 5 << 20, LEN - 1] {
        assert_eq!(touch_in_child(&map, at), Ended::Signal(libc::SIGBUS), "at {at}");
    }
    assert_eq!(content(d.at("f")).len(), 3 << 20);
    Ok(())
}

fn a_mapping_that_was_synced_takes_guards(d: &Dir) -> Outcome {
    const GUARD: i32 = 102;
    const NO_GUARD: i32 = 103;
    let fd = d.open("f", &[1; 5 * 4096]);
    let map = sys::mmap(&fd, 5 * 4096, RW, MAP_SHARED, 0)?;
    map.put(4096, b"stored");
    sys::fsync(&fd)?;
    if map.advise(4096, 2 * 4096, GUARD).is_err() {
        return skip("no guards in mappings of files here");
    }
    assert_eq!(touch_in_child(&map, 4096), Ended::Signal(libc::SIGSEGV));
    map.put(0, b"before");
    map.put(3 * 4096, b"behind");
    sys::fsync(&fd)?;
    map.advise(4096, 4096, NO_GUARD)?;
    assert_eq!(map.get(4096, 7), b"stored\x01");
    map.put(4096, b"again");
    sys::fsync(&fd)?;
    let content = content(d.at("f"));
    assert_eq!((&content[..6], &content[4096..4102], &content[3 * 4096..3 * 4096 + 6]), (&b"before"[..], &b"againd"[..], &b"behind"[..]));
    Ok(())
}

fn removing_makes_a_hole(d: &Dir) -> Outcome {
    const SIZE: usize = 64 * 4096;
    let fd = d.open("f", &[1; SIZE]);
    let map = sys::mmap(&fd, SIZE, RW, MAP_SHARED, 0)?;
    let reader = sys::open(d.at("f"), libc::O_RDONLY, 0)?;
    let other = sys::mmap(&reader, SIZE, PROT_READ, MAP_SHARED, 0)?;
    map.put(4096, b"stored");
    map.advise(4096, SIZE - 3 * 4096, libc::MADV_REMOVE)?;
    fails!(EACCES, other.advise(0, 4096, libc::MADV_REMOVE));
    assert_eq!(sys::fstat(&fd)?.st_size as usize, SIZE);
    for bytes in [map.get(0, SIZE), other.get(0, SIZE), content(d.at("f"))] {
        assert!(bytes[..4096].iter().chain(&bytes[SIZE - 2 * 4096..]).all(|b| *b == 1));
        assert!(bytes[4096..SIZE - 2 * 4096].iter().all(|b| *b == 0));
    }
    map.put(2 * 4096, b"again");
    assert_eq!(&content(d.at("f"))[2 * 4096..2 * 4096 + 6], b"again\0");
    sys::fsync(&fd)?;
    assert_eq!(other.get(2 * 4096, 5), b"again");
    Ok(())
}

fn a_process_may_advise_itself_by_its_descriptor(d: &Dir) -> Outcome {
    const SIZE: usize = 16 * 4096;
    let fd = d.open("f", &[1; SIZE]);
    let map = sys::mmap(&fd, SIZE, RW, MAP_SHARED, 0)?;
    match map.advise_by_process([(4096, 4096), (3 * 4096, 2 * 4096)], libc::MADV_REMOVE) {
        Err(sys::EINVAL | sys::ENOSYS) => return skip("a kernel before 6.13"),
        advised => assert_eq!(advised?, 3 * 4096),
    }
    let holes: Vec<usize> = (0..16).filter(|page| map.get(page * 4096, 1) == [0]).collect();
    assert_eq!(holes, [1, 3, 4]);
    assert_eq!(content(d.at("f")), map.get(0, SIZE));
    let read_only = sys::mmap(sys::open(d.at("f"), libc::O_RDONLY, 0)?, SIZE, PROT_READ, MAP_SHARED, 0)?;
    fails!(EACCES, read_only.advise_by_process([(5 * 4096, 4096), (7 * 4096, 4096)], libc::MADV_REMOVE));
    // What was read into its memory is gone afterwards.
    const MUCH: usize = 1 << 20;
    let (other, own) = (d.open("g", &[1; MUCH]), sys::anonymous(MUCH, libc::MAP_PRIVATE)?);
    assert_eq!(sys::pread_to(&other, own.address(), MUCH, 0)?, MUCH);
    assert_eq!(own.advise_by_process([(0, 4096), (2 * 4096, 4096)], libc::MADV_DONTNEED)?, 2 * 4096);
    let gone: Vec<usize> = (0..MUCH / 4096).filter(|page| own.get(page * 4096, 1) == [0]).collect();
    assert_eq!(gone, [0, 2]);
    fails!(EINVAL, map.advise_by_process([(0, 4096), (8192, 4096)], 9999));
    assert_eq!(content(d.at("f")), map.get(0, SIZE));
    Ok(())
}

fn another_part_of_the_file_takes_the_place(d: &Dir) -> Outcome {
    for (name, first) in [("f", b'a'), ("g", b'A'), ("h", b'0')] {
        let bytes: Vec<u8> = (0..8).flat_map(|page| [first + page; 4096]).collect();
        let fd = d.open(name, &bytes);
        let map = sys::mmap(&fd, 8 * 4096, RW, MAP_SHARED, 0)?;
        map.put(7 * 4096, b"!");
        map.remap(4096, 2 * 4096, 5)?;
        for (page, shown) in [(0, 0), (1, 5), (2, 6), (3, 3)] {
            assert_eq!(map.get(page * 4096, 1), [first + shown], "page {page} of {name}");
        }
        map.put(4096 + 1, b"stored");
        sys::fsync(&fd)?;
        let mut expected = bytes;
        expected[5 * 4096 + 1..][..6].copy_from_slice(b"stored");
        expected[7 * 4096] = b'!';
        assert!(content(d.at(name)) == expected);
    }
    Ok(())
}

fn a_large_hole_is_removed_as_quickly(d: &Dir) -> Outcome {
    const SIZE: usize = 1 << 40;
    let fd = d.open("f", b"first");
    sys::ftruncate(&fd, SIZE as i64)?;
    let map = sys::mmap(&fd, SIZE, RW, MAP_SHARED, 0)?;
    map.put(SIZE - 4096, b"last");
    map.put(SIZE / 2, b"middle");
    map.advise(4096, SIZE - 2 * 4096, libc::MADV_REMOVE)?;
    assert_eq!((map.get(0, 5), map.get(SIZE / 2, 6), map.get(SIZE - 4096, 4)), (b"first".to_vec(), vec![0; 6], b"last".to_vec()));
    Ok(())
}

fn what_is_mapped_beside_is_not_removed(d: &Dir) -> Outcome {
    let fd = d.open("f", &[1; 4 * 4096]);
    let map = sys::mmap(&fd, 4 * 4096, RW, MAP_SHARED, 0)?;
    map.put(2 * 4096, b"stored");
    map.replace_part(2 * 4096, 4096)?;
    map.put(2 * 4096, b"memory");
    fails!(EINVAL, map.advise(2 * 4096, 2 * 4096, libc::MADV_REMOVE));
    assert_eq!((map.get(2 * 4096, 6), map.get(3 * 4096, 1)), (b"memory".to_vec(), vec![1]));
    assert_eq!(&content(d.at("f"))[2 * 4096..2 * 4096 + 7], b"stored\x01");
    Ok(())
}

fn no_part_of_the_file_lies_beyond_all_numbers(d: &Dir) -> Outcome {
    let fd = d.open("f", &[1; 4 * 4096]);
    let map = sys::mmap(&fd, 4 * 4096, RW, MAP_SHARED, 0)?;
    fails!(EINVAL, map.remap(4096, 4096, usize::MAX));
    fails!(EOVERFLOW, map.remap(4096, 4096, usize::MAX / 4096));
    assert_eq!(map.get(0, 4 * 4096), vec![1; 4 * 4096]);
    Ok(())
}

fn what_may_not_be_touched_stays_so_when_it_is_replaced(d: &Dir) -> Outcome {
    let fd = d.open("f", &[1; 8 * 4096]);
    let map = sys::mmap(&fd, 8 * 4096, RW, MAP_SHARED, 0)?;
    map.protect(4096, 4096, libc::PROT_NONE)?;
    map.remap(4096, 4096, 5)?;
    assert_eq!(touch_in_child(&map, 4096), Ended::Signal(libc::SIGSEGV));
    fails!(EINVAL, map.remap(0, 2 * 4096, 5));
    map.protect(4096, 4096, RW)?;
    map.put(4096, b"stored");
    assert_eq!(&content(d.at("f"))[5 * 4096..5 * 4096 + 7], b"stored\x01");
    Ok(())
}

fn what_may_not_be_touched_stays_so_beside_what_is_shown(d: &Dir) -> Outcome {
    const SIZE: usize = 1 << 40;
    let fd = d.open("f", b"first");
    sys::ftruncate(&fd, SIZE as i64)?;
    let map = sys::mmap(&fd, SIZE, RW, MAP_SHARED, 0)?;
    let middle = SIZE / 2;
    map.protect(middle + 2 * 4096, 2 * 4096, libc::PROT_NONE)?;
    map.protect(middle + 5 * 4096, 4096, PROT_READ)?;
    map.put(middle + 4096, b"stored");
    map.put(middle + 4 * 4096, b"stored");
    let (_read_end, write_end) = sys::pipe(0)?;
    for page in [2, 3] {
        fails!(EFAULT, sys::write_from(&write_end, map.address() + middle + page * 4096, 100));
        assert_eq!(touch_in_child(&map, middle + page * 4096), Ended::Signal(libc::SIGSEGV), "page {page}");
    }
    assert_eq!(map.get(middle + 5 * 4096, 1), [0]);
    let store = sys::fork(|| map.put(middle + 5 * 4096, b"x"));
    assert_eq!(store.wait(), Ended::Signal(libc::SIGSEGV));
    Ok(())
}

fn what_may_not_be_touched_stays_so_when_it_is_cut_off(d: &Dir) -> Outcome {
    let fd = d.open("f", &[1; 4 * 4096]);
    let map = sys::mmap(&fd, 4 * 4096, RW, MAP_SHARED, 0)?;
    map.protect(2 * 4096, 4096, libc::PROT_NONE)?;
    map.protect(3 * 4096, 4096, PROT_READ)?;
    sys::ftruncate(&fd, 10)?;
    sys::ftruncate(&fd, 4 * 4096)?;
    map.put(4096, b"stored");
    assert_eq!(touch_in_child(&map, 2 * 4096), Ended::Signal(libc::SIGSEGV));
    assert_eq!(map.get(3 * 4096, 1), [0]);
    let store = sys::fork(|| map.put(3 * 4096, b"x"));
    assert_eq!(store.wait(), Ended::Signal(libc::SIGSEGV));
    map.protect(2 * 4096, 2 * 4096, RW)?;
    map.put(2 * 4096, b"again");
    assert_eq!(&content(d.at("f"))[2 * 4096..2 * 4096 + 6], b"again\0");
    Ok(())
}
