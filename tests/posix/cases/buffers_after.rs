//! What a program may do with a buffer after a large read into it, or a large write from it. Whatever the mover was,
//! the buffer is the program's own memory, and the file is the file's.

use crate::case::{Dir, Outcome, cases, content, pattern};
use crate::sys::{self, Block, Map};
use libc::{MAP_PRIVATE, PROT_READ, PROT_WRITE};

cases![
    buffer_keeps_its_content_when_the_file_changes,
    buffer_keeps_its_content_when_another_process_changes_the_file,
    file_keeps_its_content_when_the_buffer_changes,
    file_keeps_what_was_written_when_the_buffer_changes,
    realloc_keeps_the_bytes,
    mremap_keeps_the_bytes,
    dontneed_gives_zeros,
    unmapping_a_part_leaves_the_rest,
    protecting_a_part_works,
    fork_copies_the_buffer,
    child_that_writes_to_its_copy_leaves_the_parents,
    exec_drops_the_buffer_but_not_the_file,
    copy_through_a_buffer_shares_nothing_visible,
    second_read_into_the_same_buffer_replaces_the_first,
    freed_and_allocated_again_is_plain_memory,
    many_scattered_reads_do_not_exhaust_mappings,
    a_hundred_thousand_pages_in_one_process,
    buffer_survives_unlink_and_reuse_of_space,
    reading_zeros_of_a_hole_into_a_dirty_buffer,
    partial_overwrite_of_the_buffer_then_write_back,
    every_page_overwritten_then_read_again,
];

const SIZE: usize = 8 << 20;

fn filled(d: &Dir, seed: u8) -> sys::Sys<(sys::Fd, Vec<u8>, Map)> {
    let bytes = pattern(SIZE, seed);
    let fd = d.open("f", &bytes);
    let map = sys::anonymous(SIZE, MAP_PRIVATE)?;
    assert_eq!(sys::pread_to(&fd, map.address(), SIZE, 0)?, SIZE);
    Ok((fd, bytes, map))
}

fn buffer_keeps_its_content_when_the_file_changes(d: &Dir) -> Outcome {
    let (fd, bytes, map) = filled(d, 1)?;
    sys::pwrite(&fd, &[1; 100], 1000)?;
    assert!(map.get(0, SIZE) == bytes);
    sys::pwrite(&fd, &vec![2; SIZE], 0)?;
    assert!(map.get(0, SIZE) == bytes);
    sys::ftruncate(&fd, 0)?;
    assert!(map.get(0, SIZE) == bytes);
    sys::unlink(d.at("f"))?;
    fd.close()?;
    d.file("g", &vec![3; 2 * SIZE]);
    assert!(map.get(0, SIZE) == bytes);
    Ok(())
}

fn buffer_keeps_its_content_when_another_process_changes_the_file(d: &Dir) -> Outcome {
    let (_fd, bytes, map) = filled(d, 2)?;
    let overwrite = || {
        let own = sys::open(d.at("f"), libc::O_RDWR, 0).expect("open");
        assert_eq!(sys::pwrite(&own, &[1; 5000], 77), Ok(5000));
    };
    let steps: [&dyn Fn(); 4] = [
        &overwrite,
        &|| sys::truncate(d.at("f"), 5).expect("truncate"),
        &|| drop(d.file("f", &vec![4; SIZE])),
        &|| sys::unlink(d.at("f")).expect("unlink"),
    ];
    for step in steps {
        sys::fork(step).succeeds();
        assert!(map.get(0, SIZE) == bytes);
    }
    Ok(())
}

fn file_keeps_its_content_when_the_buffer_changes(d: &Dir) -> Outcome {
    let (_fd, bytes, map) = filled(d, 3)?;
    map.put(5000, &[9; 5000]);
    assert!(content(d.at("f")) == bytes);
    map.put(0, &vec![8; SIZE]);
    assert!(content(d.at("f")) == bytes);
    Ok(())
}

fn file_keeps_what_was_written_when_the_buffer_changes(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let mut block = Block::aligned(2 << 20, SIZE);
    for seed in 0..4 {
        let bytes = pattern(SIZE, seed);
        block.put(0, &bytes);
        sys::lseek(&fd, 0, libc::SEEK_SET)?;
        assert_eq!(sys::write_from(&fd, block.address(), SIZE)?, SIZE);
        block.put(0, &vec![0xaa; SIZE]);
        assert!(content(d.at("f")) == bytes);
        assert!(block.get(0, SIZE).iter().all(|byte| *byte == 0xaa));
    }
    Ok(())
}

fn realloc_keeps_the_bytes(d: &Dir) -> Outcome {
    let bytes = pattern(SIZE, 5);
    let fd = d.open("f", &bytes);
    let block = Block::malloc(SIZE, 1);
    assert_eq!(sys::read_to(&fd, block.address(), SIZE)?, SIZE);
    let block = block.realloc(2 * SIZE);
    assert!(block.get(0, SIZE) == bytes);
    let block = block.realloc(SIZE / 2);
    assert!(block.get(0, SIZE / 2) == bytes[..SIZE / 2]);
    let block = block.realloc(100);
    assert!(block.get(0, 100) == bytes[..100]);
    Ok(())
}

fn mremap_keeps_the_bytes(d: &Dir) -> Outcome {
    let (_fd, bytes, map) = filled(d, 6)?;
    let map = map.resize(2 * SIZE)?;
    assert!(map.get(0, SIZE) == bytes);
    assert!(
        map.get(SIZE, SIZE) == vec![0; SIZE],
        "new anonymous memory is zero"
    );
    let map = map.resize(SIZE / 2)?;
    assert!(map.get(0, SIZE / 2) == bytes[..SIZE / 2]);
    Ok(())
}

fn dontneed_gives_zeros(d: &Dir) -> Outcome {
    let (fd, bytes, map) = filled(d, 7)?;
    map.advise(1 << 20, 2 << 20, libc::MADV_DONTNEED)?;
    assert!(
        map.get(1 << 20, 2 << 20) == vec![0; 2 << 20],
        "anonymous memory starts over"
    );
    assert!(map.get(0, 1 << 20) == bytes[..1 << 20]);
    assert!(map.get(3 << 20, 5 << 20) == bytes[3 << 20..]);
    map.advise(0, SIZE, libc::MADV_DONTNEED)?;
    assert!(map.get(0, SIZE) == vec![0; SIZE]);
    assert_eq!(sys::pread_to(&fd, map.address(), SIZE, 0)?, SIZE);
    assert!(map.get(0, SIZE) == bytes);
    Ok(())
}

fn unmapping_a_part_leaves_the_rest(d: &Dir) -> Outcome {
    let (_fd, bytes, map) = filled(d, 8)?;
    map.unmap_part(4096, 4096)?;
    map.unmap_part(2 << 20, 2 << 20)?;
    let child = sys::fork(|| drop(map.get(3 << 20, 1)));
    assert_eq!(child.wait(), sys::Ended::Signal(libc::SIGSEGV));
    assert!(map.get(0, 4096) == bytes[..4096]);
    assert!(map.get(8192, 100_000) == bytes[8192..108_192]);
    assert!(map.get(4 << 20, 4 << 20) == bytes[4 << 20..]);
    assert!(content(d.at("f")) == bytes);
    Ok(())
}

fn protecting_a_part_works(d: &Dir) -> Outcome {
    let (fd, bytes, map) = filled(d, 9)?;
    map.protect(1 << 20, 1 << 20, PROT_READ)?;
    assert!(map.get(0, SIZE) == bytes);
    let child = sys::fork(|| map.put((1 << 20) + 5, b"x"));
    assert_eq!(child.wait(), sys::Ended::Signal(libc::SIGSEGV));
    map.put(0, b"writable");
    map.protect(1 << 20, 1 << 20, PROT_READ | PROT_WRITE)?;
    map.put((1 << 20) + 5, b"again");
    assert_eq!(sys::pread_to(&fd, map.address(), SIZE, 0)?, SIZE);
    assert!(map.get(0, SIZE) == bytes);
    Ok(())
}

fn fork_copies_the_buffer(d: &Dir) -> Outcome {
    let (fd, bytes, map) = filled(d, 10)?;
    let child = sys::fork(|| {
        assert!(map.get(0, SIZE) == bytes);
        std::thread::sleep(std::time::Duration::from_millis(150));
        assert!(
            map.get(0, SIZE) == bytes,
            "whatever the parent does meanwhile"
        );
    });
    sys::pwrite(&fd, &vec![1; SIZE], 0)?;
    map.put(0, &vec![2; SIZE]);
    drop(map);
    sys::ftruncate(&fd, 0)?;
    d.file("g", &vec![3; SIZE]);
    child.succeeds();
    Ok(())
}

fn child_that_writes_to_its_copy_leaves_the_parents(d: &Dir) -> Outcome {
    let (_fd, bytes, map) = filled(d, 11)?;
    sys::fork(|| {
        map.put(0, &vec![1; SIZE]);
        assert!(map.get(0, SIZE) == vec![1; SIZE]);
    })
    .succeeds();
    assert!(map.get(0, SIZE) == bytes);
    assert!(content(d.at("f")) == bytes);
    Ok(())
}

fn exec_drops_the_buffer_but_not_the_file(d: &Dir) -> Outcome {
    let (fd, bytes, map) = filled(d, 12)?;
    let number = sys::Raw::raw(&fd).to_string();
    sys::lseek(&fd, 0, libc::SEEK_END)?;
    sys::fork_with(|| sys::exec_role(&["write", &number, "tail"]).0).succeeds();
    assert!(map.get(0, SIZE) == bytes);
    assert!(content(d.at("f"))[..SIZE] == bytes);
    Ok(())
}

fn copy_through_a_buffer_shares_nothing_visible(d: &Dir) -> Outcome {
    let (_fd, bytes, map) = filled(d, 13)?;
    let copy = d.open("copy", b"");
    assert_eq!(sys::write_from(&copy, map.address(), SIZE)?, SIZE);
    assert!(content(d.at("copy")) == bytes);
    sys::pwrite(&copy, &[1; 10_000], 1_000_000)?;
    assert!(content(d.at("f")) == bytes);
    assert!(map.get(0, SIZE) == bytes);
    map.put(2_000_000, &[2; 10_000]);
    let mut expected = bytes.clone();
    expected[1_000_000..1_010_000].fill(1);
    assert!(content(d.at("copy")) == expected);
    sys::truncate(d.at("f"), 0)?;
    assert!(content(d.at("copy")) == expected);
    Ok(())
}

fn second_read_into_the_same_buffer_replaces_the_first(d: &Dir) -> Outcome {
    let (_fd, _, map) = filled(d, 14)?;
    for seed in 20..30 {
        let bytes = pattern(SIZE, seed);
        let other = d.open("other", &bytes);
        assert_eq!(sys::read_to(&other, map.address(), SIZE)?, SIZE);
        assert!(map.get(0, SIZE) == bytes);
    }
    Ok(())
}

fn freed_and_allocated_again_is_plain_memory(d: &Dir) -> Outcome {
    let bytes = pattern(SIZE, 15);
    let fd = d.open("f", &bytes);
    for _ in 0..20 {
        let block = Block::malloc(SIZE, 0);
        assert_eq!(sys::pread_to(&fd, block.address(), SIZE, 0)?, SIZE);
        assert!(block.get(0, SIZE) == bytes);
        drop(block);
        let zeros = vec![0_u8; SIZE];
        assert!(zeros.iter().all(|byte| *byte == 0), "calloc gives zeros");
        let out = d.open("zeros", b"");
        assert_eq!(sys::write(&out, &zeros)?, SIZE);
        assert!(content(d.at("zeros")) == zeros);
    }
    Ok(())
}

fn many_scattered_reads_do_not_exhaust_mappings(d: &Dir) -> Outcome {
    const PIECE: usize = 16 << 10;
    const PIECES: usize = 40_000;
    let bytes = pattern(PIECE * 4, 16);
    let fd = d.open("f", &bytes);
    // As much room again between the pieces, so that no two of them are neighbours.
    let map = sys::anonymous(PIECES * PIECE * 2, MAP_PRIVATE | libc::MAP_NORESERVE)?;
    for number in 0..PIECES {
        let (at, offset) = (number * PIECE * 2, number % 4 * PIECE);
        assert_eq!(
            sys::pread_to(&fd, map.address() + at, PIECE, offset as i64)?,
            PIECE
        );
    }
    for number in (0..PIECES).step_by(997) {
        let offset = number % 4 * PIECE;
        assert!(map.get(number * PIECE * 2, PIECE) == bytes[offset..offset + PIECE]);
    }
    assert_eq!(
        Block::malloc(50 << 20, 1).get(0, 1),
        [1],
        "malloc still works"
    );
    Ok(())
}

fn buffer_survives_unlink_and_reuse_of_space(d: &Dir) -> Outcome {
    let (fd, bytes, map) = filled(d, 17)?;
    sys::unlink(d.at("f"))?;
    fd.close()?;
    for round in 0..5 {
        d.file("filler", &vec![round; 2 * SIZE]);
        sys::unlink(d.at("filler"))?;
    }
    assert!(map.get(0, SIZE) == bytes);
    Ok(())
}

fn reading_zeros_of_a_hole_into_a_dirty_buffer(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    sys::ftruncate(&fd, SIZE as i64)?;
    sys::pwrite(&fd, b"island", 3 << 20)?;
    let map = sys::anonymous(SIZE, MAP_PRIVATE)?;
    map.put(0, &vec![0xff; SIZE]);
    assert_eq!(sys::pread_to(&fd, map.address(), SIZE, 0)?, SIZE);
    let mut expected = vec![0; SIZE];
    expected[3 << 20..(3 << 20) + 6].copy_from_slice(b"island");
    assert!(map.get(0, SIZE) == expected);
    map.put(0, b"hole no more");
    assert!(content(d.at("f")) == expected);
    Ok(())
}

fn partial_overwrite_of_the_buffer_then_write_back(d: &Dir) -> Outcome {
    let (fd, mut bytes, map) = filled(d, 18)?;
    for at in [10, 4096, 1 << 20, (2 << 20) + 4095, 7 << 20] {
        map.put(at, b"changed");
        bytes[at..at + 7].copy_from_slice(b"changed");
    }
    sys::lseek(&fd, 0, libc::SEEK_SET)?;
    assert_eq!(sys::write_from(&fd, map.address(), SIZE)?, SIZE);
    assert!(content(d.at("f")) == bytes);
    assert!(map.get(0, SIZE) == bytes);
    Ok(())
}

fn every_page_overwritten_then_read_again(d: &Dir) -> Outcome {
    let (fd, bytes, map) = filled(d, 19)?;
    for round in 0..5_u8 {
        for at in (0..SIZE).step_by(4096) {
            map.put(at, &[round; 8]);
        }
        assert_eq!(map.get(SIZE - 4096, 8), [round; 8]);
        assert_eq!(sys::pread_to(&fd, map.address(), SIZE, 0)?, SIZE);
        assert!(map.get(0, SIZE) == bytes);
    }
    Ok(())
}

fn a_hundred_thousand_pages_in_one_process(d: &Dir) -> Outcome {
    const PIECE: usize = 256 << 10;
    const PIECES: usize = 100_000 * 4096 / PIECE;
    const IN_FILE: usize = 96;
    let bytes = pattern(IN_FILE * PIECE, 21);
    let fd = d.open("f", &bytes);
    let map = sys::anonymous(PIECES * PIECE, MAP_PRIVATE)?;
    // No two neighbours in memory are neighbours in the file.
    let from = |number: usize| number * 37 % IN_FILE * PIECE;
    for number in 0..PIECES {
        let offset = i64::try_from(from(number)).expect("an offset");
        assert_eq!(sys::pread_to(&fd, map.address() + number * PIECE, PIECE, offset)?, PIECE);
    }
    sys::pwrite(&fd, &vec![0xff; IN_FILE * PIECE], 0)?;
    for number in 0..PIECES {
        assert!(map.get(number * PIECE, PIECE) == bytes[from(number)..][..PIECE], "piece {number}");
    }
    Ok(())
}
