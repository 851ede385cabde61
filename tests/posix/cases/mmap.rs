//! Mappings of files.

use crate::case::{Dir, Outcome, cases, content, fails, pattern};
use crate::sys::{self, Ended};
use libc::{MAP_PRIVATE, MAP_SHARED, O_RDONLY, O_WRONLY, PROT_NONE, PROT_READ, PROT_WRITE};

cases![
    shared_mapping_shows_what_is_written,
    stores_to_a_shared_mapping_are_read_back,
    private_stores_stay_private,
    private_mapping_shows_the_file,
    mapping_survives_close_and_unlink,
    shared_between_processes,
    two_shared_mappings_are_one_memory,
    mapping_at_an_offset,
    tail_of_the_last_page_is_zero_and_not_stored,
    touching_beyond_the_end_is_sigbus,
    touching_after_truncation_is_sigbus,
    growing_makes_the_mapping_usable,
    truncation_and_growth_show_zeros,
    what_is_cut_off_takes_no_space,
    writing_a_read_only_mapping_is_sigsegv,
    access_modes_are_checked,
    bad_arguments,
    mprotect_makes_it_writable,
    mprotect_of_a_read_only_file_is_eacces,
    parts_can_be_unmapped,
    mremap_grows_and_moves,
    mremap_keeps_the_protection,
    mremap_of_no_length_maps_it_once_more,
    msync_makes_it_durable_and_checks_flags,
    write_from_a_mapping_of_the_same_file,
    read_into_a_mapping_of_another_file,
    child_inherits_mappings,
    reader_that_read_before_keeps_its_copy,
    large_file_mapped_and_checked,
    promises_that_are_not_kept_are_refused,
    a_mapping_may_be_larger_than_memory_where_the_file_is_hole,
    holes_of_a_large_mapping_serve_all_calls,
    a_large_mapping_outlives_its_file_and_is_shared_with_children,
    what_another_process_cuts_off_a_large_hole_is_sigbus,
];

const RW: i32 = PROT_READ | PROT_WRITE;

fn shared_mapping_shows_what_is_written(d: &Dir) -> Outcome {
    let fd = d.open("f", &[1; 8192]);
    let map = sys::mmap(&fd, 8192, PROT_READ, MAP_SHARED, 0)?;
    assert_eq!(map.get(4000, 200), [1; 200]);
    sys::pwrite(&fd, &[2; 200], 4000)?;
    assert_eq!(map.get(4000, 200), [2; 200]);
    sys::pwrite(&fd, &[3; 8192], 0)?;
    assert!(map.get(0, 8192) == [3; 8192]);
    Ok(())
}

fn stores_to_a_shared_mapping_are_read_back(d: &Dir) -> Outcome {
    let fd = d.open("f", &[1; 8192]);
    let map = sys::mmap(&fd, 8192, RW, MAP_SHARED, 0)?;
    map.put(4090, b"across pages");
    let mut bytes = [0; 12];
    sys::pread(&fd, &mut bytes, 4090)?;
    assert_eq!(&bytes, b"across pages");
    map.put(0, b"again");
    sys::pread(&fd, &mut bytes[..5], 0)?;
    assert_eq!(&bytes[..5], b"again");
    drop(map);
    assert_eq!(content(d.at("f"))[4090..4102], *b"across pages");
    Ok(())
}

fn private_stores_stay_private(d: &Dir) -> Outcome {
    let fd = d.open("f", &[1; 8192]);
    let map = sys::mmap(&fd, 8192, RW, MAP_PRIVATE, 0)?;
    map.put(0, &[9; 8192]);
    assert!(map.get(0, 8192) == [9; 8192]);
    assert!(content(d.at("f")) == [1; 8192]);
    let reader = sys::open(d.at("f"), O_RDONLY, 0)?;
    sys::mmap(&reader, 8192, RW, MAP_PRIVATE, 0)?.put(0, b"x");
    assert!(content(d.at("f")) == [1; 8192]);
    Ok(())
}

fn private_mapping_shows_the_file(d: &Dir) -> Outcome {
    let bytes = pattern(100_000, 5);
    let fd = d.open("f", &bytes);
    let map = sys::mmap(&fd, 100_000, PROT_READ, MAP_PRIVATE, 0)?;
    assert!(map.get(0, 100_000) == bytes);
    Ok(())
}

fn mapping_survives_close_and_unlink(d: &Dir) -> Outcome {
    let fd = d.open("f", &[1; 4096]);
    let map = sys::mmap(&fd, 4096, RW, MAP_SHARED, 0)?;
    fd.close()?;
    sys::unlink(d.at("f"))?;
    d.file("g", &[5; 100_000]);
    map.put(10, b"x");
    assert_eq!(map.get(9, 3), [1, b'x', 1]);
    Ok(())
}

fn shared_between_processes(d: &Dir) -> Outcome {
    let fd = d.open("f", &[0; 4096]);
    let map = sys::mmap(&fd, 4096, RW, MAP_SHARED, 0)?;
    sys::fork(|| {
        let own = sys::open(d.at("f"), libc::O_RDWR, 0).expect("open");
        let other = sys::mmap(&own, 4096, RW, MAP_SHARED, 0).expect("mmap");
        other.put(5, b"from the child");
        map.put(100, b"inherited");
    })
    .succeeds();
    assert_eq!(map.get(5, 14), b"from the child");
    assert_eq!(map.get(100, 9), b"inherited");
    Ok(())
}

fn two_shared_mappings_are_one_memory(d: &Dir) -> Outcome {
    let fd = d.open("f", &[0; 8192]);
    let one = sys::mmap(&fd, 8192, RW, MAP_SHARED, 0)?;
    let two = sys::mmap(&fd, 4096, RW, MAP_SHARED, 4096)?;
    one.put(4096, b"one");
    assert_eq!(two.get(0, 3), b"one");
    two.put(0, b"two");
    assert_eq!(one.get(4096, 3), b"two");
    Ok(())
}

fn mapping_at_an_offset(d: &Dir) -> Outcome {
    let bytes = pattern(50_000, 6);
    let fd = d.open("f", &bytes);
    let map = sys::mmap(&fd, 10_000, PROT_READ, MAP_SHARED, 8192)?;
    assert!(map.get(0, 10_000) == bytes[8192..18_192]);
    fails!(EINVAL, sys::mmap(&fd, 100, PROT_READ, MAP_SHARED, 100));
    Ok(())
}

fn tail_of_the_last_page_is_zero_and_not_stored(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    let map = sys::mmap(&fd, 4096, RW, MAP_SHARED, 0)?;
    assert_eq!(map.get(0, 10), b"abc\0\0\0\0\0\0\0");
    map.put(2, b"Cdefg");
    assert_eq!(content(d.at("f")), b"abC", "the size does not grow");
    sys::ftruncate(&fd, 10)?;
    assert_eq!(content(d.at("f"))[..3], *b"abC");
    Ok(())
}

fn touch_in_child(map: &sys::Map, offset: usize) -> Ended {
    sys::fork(|| drop(map.get(offset, 1))).wait()
}

fn touching_beyond_the_end_is_sigbus(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    let map = sys::mmap(&fd, 3 * 4096, RW, MAP_SHARED, 0)?;
    assert_eq!(touch_in_child(&map, 4095), Ended::Exit(0));
    assert_eq!(touch_in_child(&map, 4096), Ended::Signal(libc::SIGBUS));
    Ok(())
}

fn touching_after_truncation_is_sigbus(d: &Dir) -> Outcome {
    let fd = d.open("f", &[1; 3 * 4096]);
    let map = sys::mmap(&fd, 3 * 4096, RW, MAP_SHARED, 0)?;
    map.put(8192, b"touched");
    sys::ftruncate(&fd, 4096)?;
    assert_eq!(touch_in_child(&map, 0), Ended::Exit(0));
    assert_eq!(touch_in_child(&map, 4096), Ended::Signal(libc::SIGBUS));
    Ok(())
}

fn growing_makes_the_mapping_usable(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let map = sys::mmap(&fd, 16_384, RW, MAP_SHARED, 0)?;
    assert_eq!(touch_in_child(&map, 0), Ended::Signal(libc::SIGBUS));
    sys::ftruncate(&fd, 16_384)?;
    map.put(10_000, b"usable");
    assert_eq!(content(d.at("f"))[10_000..10_006], *b"usable");
    Ok(())
}

fn truncation_and_growth_show_zeros(d: &Dir) -> Outcome {
    let fd = d.open("f", &[1; 8192]);
    let map = sys::mmap(&fd, 8192, RW, MAP_SHARED, 0)?;
    sys::ftruncate(&fd, 100)?;
    sys::ftruncate(&fd, 8192)?;
    assert!(map.get(100, 8092) == vec![0; 8092]);
    assert_eq!(map.get(0, 100), [1; 100]);
    Ok(())
}

fn what_is_cut_off_takes_no_space(d: &Dir) -> Outcome {
    let fd = d.open("f", &[1; 65536]);
    let map = sys::mmap(&fd, 65536, RW, MAP_SHARED, 0)?;
    map.put(0, &[2; 65536]);
    sys::ftruncate(&fd, 4096)?;
    assert_eq!(sys::fstat(&fd)?.st_blocks, 8);
    sys::ftruncate(&fd, 65536)?;
    assert_eq!(sys::fstat(&fd)?.st_blocks, 8);
    assert!(map.get(4096, 61440) == [0; 61440]);
    assert_eq!(map.get(0, 4096), [2; 4096]);
    Ok(())
}

fn writing_a_read_only_mapping_is_sigsegv(d: &Dir) -> Outcome {
    let fd = d.open("f", &[1; 4096]);
    let map = sys::mmap(&fd, 4096, PROT_READ, MAP_SHARED, 0)?;
    assert_eq!(
        sys::fork(|| map.put(0, b"x")).wait(),
        Ended::Signal(libc::SIGSEGV)
    );
    Ok(())
}

fn access_modes_are_checked(d: &Dir) -> Outcome {
    let path = d.file("f", &[1; 4096]);
    let (reader, writer) = (
        sys::open(&path, O_RDONLY, 0)?,
        sys::open(&path, O_WRONLY, 0)?,
    );
    fails!(EACCES, sys::mmap(&reader, 4096, RW, MAP_SHARED, 0));
    sys::mmap(&reader, 4096, RW, MAP_PRIVATE, 0)?;
    fails!(EACCES, sys::mmap(&writer, 4096, PROT_READ, MAP_SHARED, 0));
    fails!(EACCES, sys::mmap(&writer, 4096, PROT_WRITE, MAP_SHARED, 0));
    let path_only = sys::open(&path, libc::O_PATH, 0)?;
    fails!(
        EBADF,
        sys::mmap(&path_only, 4096, PROT_READ, MAP_PRIVATE, 0)
    );
    Ok(())
}

fn bad_arguments(d: &Dir) -> Outcome {
    let fd = d.open("f", &[1; 4096]);
    fails!(EINVAL, sys::mmap(&fd, 0, PROT_READ, MAP_SHARED, 0));
    fails!(EBADF, sys::mmap(-1, 4096, PROT_READ, MAP_SHARED, 0));
    fails!(EINVAL, sys::mmap(&fd, 4096, PROT_READ, 0, 0));
    let dir = sys::open(d.path(), O_RDONLY, 0)?;
    fails!(ENODEV, sys::mmap(&dir, 4096, PROT_READ, MAP_PRIVATE, 0));
    Ok(())
}

fn mprotect_makes_it_writable(d: &Dir) -> Outcome {
    let fd = d.open("f", &[1; 8192]);
    let map = sys::mmap(&fd, 8192, PROT_NONE, MAP_SHARED, 0)?;
    map.protect(0, 4096, RW)?;
    map.put(0, b"now");
    assert_eq!(content(d.at("f"))[..3], *b"now");
    assert_eq!(touch_in_child(&map, 4096), Ended::Signal(libc::SIGSEGV));
    Ok(())
}

fn mprotect_of_a_read_only_file_is_eacces(d: &Dir) -> Outcome {
    let path = d.file("f", &[1; 4096]);
    let fd = sys::open(path, O_RDONLY, 0)?;
    let map = sys::mmap(&fd, 4096, PROT_READ, MAP_SHARED, 0)?;
    fails!(EACCES, map.protect(0, 4096, RW));
    Ok(())
}

fn parts_can_be_unmapped(d: &Dir) -> Outcome {
    let fd = d.open("f", &[1; 3 * 4096]);
    let map = sys::mmap(&fd, 3 * 4096, RW, MAP_SHARED, 0)?;
    map.unmap_part(4096, 4096)?;
    assert_eq!(touch_in_child(&map, 4096), Ended::Signal(libc::SIGSEGV));
    map.put(8192, b"still here");
    assert_eq!(content(d.at("f"))[8192..8202], *b"still here");
    Ok(())
}

fn mremap_grows_and_moves(d: &Dir) -> Outcome {
    let bytes = pattern(1 << 20, 7);
    let fd = d.open("f", &bytes);
    let map = sys::mmap(&fd, 4096, RW, MAP_SHARED, 0)?.resize(1 << 20)?;
    assert!(map.get(0, 1 << 20) == bytes);
    map.put(500_000, b"x");
    assert_eq!(content(d.at("f"))[500_000], b'x');
    let map = map.resize(8192)?;
    assert_eq!(map.get(0, 100), bytes[..100]);
    Ok(())
}

fn mremap_of_no_length_maps_it_once_more(d: &Dir) -> Outcome {
    let fd = d.open("f", &[b'f'; 8192]);
    let map = sys::mmap(&fd, 8192, RW, MAP_SHARED, 0)?;
    let again = map.again()?;
    drop(map);
    // What other files share is not changed.
    let copy = d.open("copy", b"");
    assert_eq!(sys::copy_file_range(&fd, &mut Some(0), &copy, &mut Some(0), 8192)?, 8192);
    again.put(0, b"x");
    sys::pwrite(&fd, b"y", 1)?;
    assert_eq!(again.get(0, 3), b"xyf");
    assert!(content(d.at("copy")) == [b'f'; 8192]);
    sys::ftruncate(&fd, 0)?;
    sys::ftruncate(&fd, 8192)?;
    let next = d.open("next", &[b'n'; 8192]);
    again.put(0, &[b'!'; 8192]);
    assert!(content(d.at("next")) == [b'n'; 8192]);
    assert!(content(d.at("f")) == [b'!'; 8192]);
    next.close()?;
    Ok(())
}

fn mremap_keeps_the_protection(d: &Dir) -> Outcome {
    let path = d.file("f", &pattern(1 << 20, 8));
    for flags in [libc::O_RDONLY, libc::O_RDWR] {
        let fd = sys::open(&path, flags, 0)?;
        let map = sys::mmap(&fd, 4096, libc::PROT_READ, MAP_SHARED, 0)?.resize(1 << 20)?;
        let child = sys::fork(|| map.put(100_000, b"x"));
        assert_eq!(child.wait(), Ended::Signal(libc::SIGSEGV));
        let opened = map.protect(0, 1 << 20, RW);
        assert_eq!(opened.err(), (flags == libc::O_RDONLY).then_some(sys::EACCES));
    }
    Ok(())
}

fn msync_makes_it_durable_and_checks_flags(d: &Dir) -> Outcome {
    let fd = d.open("f", &[1; 4096]);
    let map = sys::mmap(&fd, 4096, RW, MAP_SHARED, 0)?;
    map.put(0, b"x");
    map.msync(libc::MS_SYNC)?;
    map.msync(libc::MS_ASYNC)?;
    fails!(EINVAL, map.msync(libc::MS_SYNC | libc::MS_ASYNC));
    map.unmap_part(0, 4096)?;
    fails!(ENOMEM, map.msync(libc::MS_SYNC));
    Ok(())
}

fn write_from_a_mapping_of_the_same_file(d: &Dir) -> Outcome {
    let bytes = pattern(65_536, 8);
    let fd = d.open("f", &bytes);
    let map = sys::mmap(&fd, 65_536, RW, MAP_SHARED, 0)?;
    sys::lseek(&fd, 65_536, libc::SEEK_SET)?;
    assert_eq!(sys::write_from(&fd, map.address(), map.len())?, 65_536);
    map.put(0, b"changed");
    let all = content(d.at("f"));
    assert!(all[65_536..] == bytes, "the second half is a copy");
    assert_eq!(all[..7], *b"changed");
    Ok(())
}

fn read_into_a_mapping_of_another_file(d: &Dir) -> Outcome {
    let bytes = pattern(100_000, 9);
    let (from, to) = (d.open("from", &bytes), d.open("to", &[0; 100_000]));
    let map = sys::mmap(&to, 100_000, RW, MAP_SHARED, 0)?;
    assert_eq!(sys::read_to(&from, map.address(), 100_000)?, 100_000);
    assert!(content(d.at("to")) == bytes);
    sys::pwrite(&from, b"later", 0)?;
    assert!(content(d.at("to")) == bytes);
    Ok(())
}

fn child_inherits_mappings(d: &Dir) -> Outcome {
    let fd = d.open("f", &[1; 8192]);
    let shared = sys::mmap(&fd, 8192, RW, MAP_SHARED, 0)?;
    let private = sys::mmap(&fd, 8192, RW, MAP_PRIVATE, 0)?;
    private.put(0, b"mine");
    sys::fork(|| {
        assert_eq!(private.get(0, 4), b"mine");
        private.put(0, b"ours");
        shared.put(4096, b"seen");
    })
    .succeeds();
    assert_eq!(private.get(0, 4), b"mine");
    assert_eq!(shared.get(4096, 4), b"seen");
    Ok(())
}

fn reader_that_read_before_keeps_its_copy(d: &Dir) -> Outcome {
    let bytes = pattern(2 << 20, 10);
    let fd = d.open("f", &bytes);
    let map = sys::mmap(&fd, 2 << 20, RW, MAP_SHARED, 0)?;
    let buffer = sys::Block::aligned(2 << 20, 2 << 20);
    assert_eq!(sys::pread_to(&fd, buffer.address(), 2 << 20, 0)?, 2 << 20);
    map.put(0, &vec![9; 2 << 20]);
    assert!(
        buffer.get(0, 2 << 20) == bytes,
        "a store through a mapping is not a store to a buffer"
    );
    Ok(())
}

fn large_file_mapped_and_checked(d: &Dir) -> Outcome {
    let size = 20 << 20;
    let bytes = pattern(size, 11);
    let fd = d.open("f", &bytes);
    let map = sys::mmap(&fd, size, RW, MAP_SHARED, 0)?;
    assert!(map.get(0, size) == bytes);
    for offset in (0..size).step_by(1_000_003) {
        map.put(offset, b"!");
    }
    let after = content(d.at("f"));
    assert!(
        (0..size)
            .step_by(1_000_003)
            .all(|offset| after[offset] == b'!')
    );
    Ok(())
}

fn promises_that_are_not_kept_are_refused(d: &Dir) -> Outcome {
    let fd = d.open("f", b"bytes");
    let map = |flags| sys::mmap(&fd, sys::page(), libc::PROT_READ, flags, 0);
    fails!(EOPNOTSUPP, map(libc::MAP_SHARED_VALIDATE | libc::MAP_SYNC));
    map(libc::MAP_SHARED_VALIDATE | libc::MAP_POPULATE)?;
    map(libc::MAP_SHARED | libc::MAP_SYNC)?;
    fails!(EINVAL, map(libc::MAP_SHARED | libc::MAP_HUGETLB));
    fails!(EINVAL, map(libc::MAP_PRIVATE | libc::MAP_GROWSDOWN));
    Ok(())
}

const GIB: usize = 1 << 30;

/// A file of 6 GiB with a few bytes in the middle, and a mapping of all of it.
fn large(d: &Dir) -> sys::Sys<(sys::Fd, sys::Map)> {
    let fd = d.open("large", b"");
    sys::ftruncate(&fd, 6 * GIB as i64)?;
    sys::pwrite(&fd, b"middle", 3 * GIB as i64)?;
    let map = sys::mmap(&fd, 6 * GIB, PROT_READ | PROT_WRITE, MAP_SHARED, 0)?;
    Ok((fd, map))
}

fn a_mapping_may_be_larger_than_memory_where_the_file_is_hole(d: &Dir) -> Outcome {
    let (fd, map) = large(d)?;
    assert_eq!(map.get(3 * GIB, 6), b"middle");
    for place in [0, 4095, GIB - 2, 4 * GIB + 12_345, 6 * GIB - 5] {
        assert_eq!(map.get(place, 5), [0; 5]);
        map.put(place, b"hello");
        let mut bytes = [0; 5];
        sys::pread(&fd, &mut bytes, place as i64)?;
        assert_eq!(&bytes, b"hello", "{place}");
    }
    sys::pwrite(&fd, b"later", 2 * GIB as i64)?;
    assert_eq!(map.get(2 * GIB, 5), b"later");
    assert!(sys::fstat(&fd)?.st_blocks * 512 < 64 << 20, "holes stay holes");
    map.msync(libc::MS_SYNC)?;
    let private = sys::mmap(&fd, 6 * GIB, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0)?;
    assert_eq!((private.get(3 * GIB, 6), private.get(5 * GIB, 3)), (b"middle".to_vec(), vec![0; 3]));
    private.put(5 * GIB, b"own");
    assert_eq!(map.get(5 * GIB, 3), [0; 3]);
    Ok(())
}

fn holes_of_a_large_mapping_serve_all_calls(d: &Dir) -> Outcome {
    let (fd, map) = large(d)?;
    let (out, into) = sys::pipe(0)?;
    let other = d.open("other", b"0123456789");
    // From and to memory that nobody has touched.
    assert_eq!(sys::write_from(&into, map.address() + GIB, 100)?, 100);
    assert_eq!(sys::write_from(&other, map.address() + 2 * GIB + 1, 5)?, 5);
    assert_eq!(content(d.at("other")), b"\0\0\0\0\x0056789");
    assert_eq!(sys::read_to(&out, map.address() + 4 * GIB, 100)?, 100);
    assert_eq!(sys::pread_to(&other, map.address() + 5 * GIB, 10, 0)?, 10);
    let mut bytes = [0; 10];
    sys::pread(&fd, &mut bytes, 5 * GIB as i64)?;
    assert_eq!(&bytes, b"\0\0\0\0\x0056789");
    map.protect(0, 4096, PROT_READ)?;
    map.unmap_part(GIB, GIB)?;
    map.put(4 * GIB - 3, b"across");
    assert_eq!(map.get(4 * GIB - 3, 6), b"across");
    Ok(())
}

fn a_large_mapping_outlives_its_file_and_is_shared_with_children(d: &Dir) -> Outcome {
    let (fd, map) = large(d)?;
    sys::unlink(d.at("large"))?;
    fd.close()?;
    sys::fork(|| map.put(4 * GIB, b"child")).succeeds();
    assert_eq!(map.get(4 * GIB, 5), b"child");
    map.put(5 * GIB, b"parent");
    sys::fork(|| assert_eq!(map.get(5 * GIB, 6), b"parent")).succeeds();
    Ok(())
}

fn what_another_process_cuts_off_a_large_hole_is_sigbus(d: &Dir) -> Outcome {
    let (_fd, map) = large(d)?;
    sys::fork(|| sys::truncate(d.at("large"), 4096).expect("truncate")).succeeds();
    assert_eq!(map.get(0, 3), [0; 3]);
    let child = sys::fork(|| drop(map.get(4 * GIB, 1)));
    assert_eq!(child.wait(), Ended::Signal(libc::SIGBUS));
    Ok(())
}
