//! Memory of every kind given to `read` and `write`.

use crate::case::{Dir, Outcome, cases, content, fails, pattern, skip};
use crate::sys::{self, page};
use libc::{MAP_PRIVATE, MAP_SHARED, PROT_NONE, PROT_READ, PROT_WRITE};

cases![
    stack_buffer,
    heap_buffer,
    brk_buffer,
    shared_anonymous_buffer_is_seen_by_the_parent,
    file_backed_private_buffer,
    file_backed_shared_buffer,
    read_only_buffer_is_efault_and_stays,
    unmapped_buffer_is_efault,
    partly_unmapped_buffer_is_a_short_read_or_efault,
    partly_unmapped_source_is_a_short_write_or_efault,
    inaccessible_source_is_efault,
    locked_buffer,
    locking_all_memory_locks_the_programs,
    buffer_across_two_mappings,
    unaligned_buffers_and_offsets,
    zero_length_anywhere,
    write_from_a_read_only_buffer,
    advised_buffers_keep_their_advice,
    neighbours_of_the_buffer_stay,
    large_stack_of_a_thread,
    read_into_the_middle_of_a_filled_buffer,
    a_kernel_call_sees_the_bytes,
];

const SIZE: usize = 8 << 20;

fn whole(d: &Dir, seed: u8) -> (sys::Fd, Vec<u8>) {
    let bytes = pattern(SIZE, seed);
    (d.open("f", &bytes), bytes)
}

fn stack_buffer(d: &Dir) -> Outcome {
    let (fd, bytes) = whole(d, 1);
    let mut buffer = [0; 100_000];
    assert_eq!(sys::read(&fd, &mut buffer)?, 100_000);
    assert!(buffer[..] == bytes[..100_000]);
    Ok(())
}

fn heap_buffer(d: &Dir) -> Outcome {
    let (fd, bytes) = whole(d, 2);
    let mut buffer = vec![0; SIZE];
    for _ in 0..3 {
        assert_eq!(sys::pread(&fd, &mut buffer, 0)?, SIZE);
        assert!(buffer == bytes);
        buffer.fill(1);
    }
    assert!(
        content(d.at("f")) == bytes,
        "changing the buffer does not change the file"
    );
    Ok(())
}

fn brk_buffer(d: &Dir) -> Outcome {
    let (fd, bytes) = whole(d, 3);
    let address = sys::sbrk(SIZE)?;
    assert_eq!(sys::read_to(&fd, address, SIZE)?, SIZE);
    assert!(sys::peek(address, SIZE) == bytes);
    Ok(())
}

fn shared_anonymous_buffer_is_seen_by_the_parent(d: &Dir) -> Outcome {
    let (fd, bytes) = whole(d, 4);
    let map = sys::anonymous(SIZE, MAP_SHARED)?;
    sys::fork(|| assert_eq!(sys::read_to(&fd, map.address(), SIZE), Ok(SIZE))).succeeds();
    assert!(map.get(0, SIZE) == bytes, "the memory stays shared");
    sys::fork(|| map.put(100, b"after")).succeeds();
    assert_eq!(map.get(100, 5), b"after");
    assert_eq!(sys::pread_to(&fd, map.address(), SIZE, 0)?, SIZE);
    sys::fork(|| assert!(map.get(0, SIZE) == bytes)).succeeds();
    Ok(())
}

fn outside_mapping(d: &Dir, flags: i32) -> sys::Sys<(std::path::PathBuf, sys::Map)> {
    let backing = d.outside().join("backing");
    std::fs::write(&backing, vec![1; SIZE])?;
    let other = sys::open(&backing, libc::O_RDWR, 0)?;
    Ok((
        backing,
        sys::mmap(&other, SIZE, PROT_READ | PROT_WRITE, flags, 0)?,
    ))
}

fn file_backed_private_buffer(d: &Dir) -> Outcome {
    let (fd, bytes) = whole(d, 5);
    let (backing, map) = outside_mapping(d, MAP_PRIVATE)?;
    assert_eq!(sys::read_to(&fd, map.address(), SIZE)?, SIZE);
    assert!(map.get(0, SIZE) == bytes);
    assert!(content(backing).iter().all(|byte| *byte == 1));
    Ok(())
}

fn file_backed_shared_buffer(d: &Dir) -> Outcome {
    let (fd, bytes) = whole(d, 6);
    let (backing, map) = outside_mapping(d, MAP_SHARED)?;
    assert_eq!(sys::read_to(&fd, map.address(), SIZE)?, SIZE);
    assert!(
        content(backing) == bytes,
        "what is read into a shared mapping is in its file"
    );
    Ok(())
}

fn read_only_buffer_is_efault_and_stays(d: &Dir) -> Outcome {
    let (fd, _) = whole(d, 7);
    for length in [100, page(), SIZE] {
        let map = sys::anonymous(SIZE, MAP_PRIVATE)?;
        map.put(0, &vec![9; SIZE]);
        map.protect(0, SIZE, PROT_READ)?;
        fails!(EFAULT, sys::read_to(&fd, map.address(), length));
        assert!(map.get(0, SIZE) == vec![9; SIZE]);
        assert_eq!(sys::lseek(&fd, 0, libc::SEEK_CUR)?, 0);
    }
    Ok(())
}

fn unmapped_buffer_is_efault(d: &Dir) -> Outcome {
    let (fd, bytes) = whole(d, 8);
    let map = sys::anonymous(SIZE, MAP_PRIVATE)?;
    // Inaccessible instead of unmapped: nobody else can be given the addresses meanwhile.
    map.protect(0, SIZE, PROT_NONE)?;
    fails!(EFAULT, sys::read_to(&fd, map.address(), SIZE));
    fails!(EFAULT, sys::read_to(&fd, map.address(), 10));
    fails!(EFAULT, sys::write_from(&fd, map.address(), SIZE));
    fails!(EFAULT, sys::read_to(&fd, 1 << 46, SIZE));
    assert!(content(d.at("f")) == bytes);
    Ok(())
}

fn partly_unmapped_buffer_is_a_short_read_or_efault(d: &Dir) -> Outcome {
    let (fd, bytes) = whole(d, 9);
    let map = sys::anonymous(4 << 20, MAP_PRIVATE)?;
    map.protect(1 << 20, 1 << 20, PROT_NONE)?;
    match sys::read_to(&fd, map.address(), 4 << 20) {
        Err(errno) => assert_eq!(errno, sys::EFAULT),
        Ok(count) => {
            assert!(count <= 1 << 20, "{count}");
            assert!(map.get(0, count) == bytes[..count]);
            assert_eq!(sys::lseek(&fd, 0, libc::SEEK_CUR)?, count as i64);
        }
    }
    assert!(
        map.get(2 << 20, 2 << 20) == vec![0; 2 << 20],
        "nothing beyond the gap"
    );
    Ok(())
}

fn partly_unmapped_source_is_a_short_write_or_efault(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let map = sys::anonymous(4 << 20, MAP_PRIVATE)?;
    map.put(0, &vec![9; 4 << 20]);
    map.protect(1 << 20, 1 << 20, PROT_NONE)?;
    let written = match sys::write_from(&fd, map.address(), 4 << 20) {
        Err(errno) => {
            assert_eq!(errno, sys::EFAULT);
            0
        }
        Ok(count) => count,
    };
    assert!(written <= 1 << 20);
    assert!(content(d.at("f")) == vec![9; written], "as much as it said");
    Ok(())
}

fn inaccessible_source_is_efault(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    let map = sys::anonymous(1 << 20, MAP_PRIVATE)?;
    map.protect(0, 1 << 20, PROT_NONE)?;
    for length in [1, 5000, 1 << 20] {
        fails!(EFAULT, sys::write_from(&fd, map.address(), length));
        fails!(EFAULT, sys::read_to(&fd, map.address(), length));
    }
    assert_eq!(content(d.at("f")), b"abc");
    Ok(())
}

fn locked_buffer(d: &Dir) -> Outcome {
    let (fd, bytes) = whole(d, 10);
    let map = sys::anonymous(2 << 20, MAP_PRIVATE)?;
    if map.lock().is_err() {
        return skip("mlock of 2 MiB is not allowed");
    }
    assert_eq!(sys::read_to(&fd, map.address(), 2 << 20)?, 2 << 20);
    assert!(map.get(0, 2 << 20) == bytes[..2 << 20]);
    Ok(())
}

fn locking_all_memory_locks_the_programs(d: &Dir) -> Outcome {
    let (fd, bytes) = whole(d, 15);
    let file = sys::mmap(&fd, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, 0)?;
    for later in [false, true] {
        let map = sys::anonymous(2 << 20, MAP_PRIVATE)?;
        if sys::lock_all(later).is_err() {
            return skip("mlockall is not allowed");
        }
        // What is locked is there: the program's mappings, and nothing that is larger than them.
        assert_eq!((map.resident()?, file.resident()?), (512, 256));
        let locked = sys::locked_bytes();
        assert!((3 << 20..200 << 20).contains(&locked), "{locked}");
        assert_eq!(sys::read_to(&fd, map.address(), 2 << 20)?, 2 << 20);
        assert!(map.get(0, 2 << 20) == bytes[..2 << 20]);
        let new = sys::anonymous(1 << 20, MAP_PRIVATE)?;
        assert_eq!(new.resident()?, if later { 256 } else { 0 });
        sys::unlock_all()?;
        assert_eq!(sys::locked_bytes(), 0);
        sys::lseek(&fd, 0, libc::SEEK_SET)?;
    }
    Ok(())
}

fn buffer_across_two_mappings(d: &Dir) -> Outcome {
    let (fd, bytes) = whole(d, 11);
    let map = sys::anonymous(4 << 20, MAP_PRIVATE)?;
    let flags = MAP_SHARED | libc::MAP_ANONYMOUS;
    map.replace(2 << 20, 2 << 20, PROT_READ | PROT_WRITE, flags, -1)?;
    assert_eq!(sys::read_to(&fd, map.address(), 4 << 20)?, 4 << 20);
    assert!(map.get(0, 4 << 20) == bytes[..4 << 20]);
    sys::fork(|| {
        map.put(0, b"private");
        map.put(3 << 20, b"shared");
    })
    .succeeds();
    assert_eq!(map.get(0, 7), bytes[..7]);
    assert_eq!(map.get(3 << 20, 6), b"shared");
    Ok(())
}

fn unaligned_buffers_and_offsets(d: &Dir) -> Outcome {
    let (fd, bytes) = whole(d, 12);
    let map = sys::anonymous(SIZE, MAP_PRIVATE)?;
    for (skip, offset, length) in [
        (1, 0, 1 << 20),
        (0, 1, 1 << 20),
        (17, 4097, (2 << 20) + 5),
        (4095, 4095, 3 << 20),
        (32, 0, 4 << 20),
        (100, 100, 1 << 20),
    ] {
        let address = map.address() + skip;
        assert_eq!(sys::pread_to(&fd, address, length, offset as i64)?, length);
        let same = map.get(skip, length) == bytes[offset..offset + length];
        assert!(same, "{skip} {offset} {length}");
    }
    Ok(())
}

fn zero_length_anywhere(d: &Dir) -> Outcome {
    let fd = d.open("f", b"abc");
    let map = sys::anonymous(page(), MAP_PRIVATE)?;
    assert_eq!(sys::read_to(&fd, map.address(), 0)?, 0);
    map.protect(0, page(), PROT_NONE)?;
    assert_eq!(sys::read_to(&fd, map.address(), 0)?, 0);
    assert_eq!(sys::write_from(&fd, map.address(), 0)?, 0);
    Ok(())
}

fn write_from_a_read_only_buffer(d: &Dir) -> Outcome {
    let fd = d.open("f", b"");
    let bytes = pattern(4 << 20, 13);
    let map = sys::anonymous(4 << 20, MAP_PRIVATE)?;
    map.put(0, &bytes);
    map.protect(0, 4 << 20, PROT_READ)?;
    assert_eq!(sys::write_from(&fd, map.address(), 4 << 20)?, 4 << 20);
    assert!(content(d.at("f")) == bytes);
    Ok(())
}

fn advised_buffers_keep_their_advice(d: &Dir) -> Outcome {
    let (fd, bytes) = whole(d, 14);
    let advices = [
        libc::MADV_DONTFORK,
        libc::MADV_MERGEABLE,
        libc::MADV_HUGEPAGE,
        libc::MADV_DONTDUMP,
    ];
    for advice in advices {
        let map = sys::anonymous(4 << 20, MAP_PRIVATE)?;
        // A kernel without the feature refuses the advice, which is fine.
        let _ = map.advise(0, 4 << 20, advice);
        assert_eq!(sys::pread_to(&fd, map.address(), 4 << 20, 0)?, 4 << 20);
        assert!(map.get(0, 4 << 20) == bytes[..4 << 20]);
        if advice == libc::MADV_DONTFORK {
            let child = sys::fork(|| drop(map.get(0, 1)));
            assert_eq!(
                child.wait(),
                sys::Ended::Signal(libc::SIGSEGV),
                "the child has no such memory"
            );
        }
    }
    Ok(())
}

fn neighbours_of_the_buffer_stay(d: &Dir) -> Outcome {
    let (fd, bytes) = whole(d, 15);
    let map = sys::anonymous(6 << 20, MAP_PRIVATE)?;
    map.put(0, &vec![0xee; 6 << 20]);
    let (start, length) = ((1 << 20) + 123, (3 << 20) + 456);
    assert_eq!(sys::read_to(&fd, map.address() + start, length)?, length);
    assert!(map.get(0, start) == vec![0xee; start]);
    assert!(map.get(start, length) == bytes[..length]);
    let rest = (6 << 20) - start - length;
    assert!(map.get(start + length, rest) == vec![0xee; rest]);
    Ok(())
}

fn large_stack_of_a_thread(d: &Dir) -> Outcome {
    let (fd, bytes) = whole(d, 16);
    let thread = std::thread::Builder::new()
        .stack_size(8 << 20)
        .spawn(move || {
            let mut buffer = [0_u8; 2 << 20];
            assert_eq!(sys::read(&fd, &mut buffer), Ok(2 << 20));
            assert!(buffer[..] == bytes[..2 << 20]);
        });
    thread.map_err(sys::Errno::from)?.join().expect("no panic");
    Ok(())
}

fn read_into_the_middle_of_a_filled_buffer(d: &Dir) -> Outcome {
    let (fd, bytes) = whole(d, 17);
    let map = sys::anonymous(SIZE, MAP_PRIVATE)?;
    assert_eq!(sys::pread_to(&fd, map.address(), SIZE, 0)?, SIZE);
    let mut expected = bytes.clone();
    for (at, offset, length) in [
        (3 << 20, 0, 1 << 20),
        ((1 << 20) + 5, 777, 100_000),
        (0, 5 << 20, 4096),
    ] {
        assert_eq!(
            sys::pread_to(&fd, map.address() + at, length, offset as i64)?,
            length
        );
        expected[at..at + length].copy_from_slice(&bytes[offset..offset + length]);
    }
    assert!(map.get(0, SIZE) == expected);
    Ok(())
}

fn a_kernel_call_sees_the_bytes(d: &Dir) -> Outcome {
    let (fd, bytes) = whole(d, 18);
    let map = sys::anonymous(SIZE, MAP_PRIVATE)?;
    assert_eq!(sys::read_to(&fd, map.address(), SIZE)?, SIZE);
    let flags = libc::O_RDWR | libc::O_CREAT;
    let outside = sys::open(d.outside().join("copy"), flags, 0o600)?;
    assert_eq!(sys::write_from(&outside, map.address(), SIZE)?, SIZE);
    assert!(content(d.outside().join("copy")) == bytes);
    assert_eq!(sys::pread_to(&outside, map.address(), 1000, 5000)?, 1000);
    assert!(map.get(0, 1000) == bytes[5000..6000]);
    assert!(content(d.at("f")) == bytes);
    Ok(())
}
