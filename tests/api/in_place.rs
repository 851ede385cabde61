//! On media where a load reaches the data, a miss loads nothing: pages are read and shown where they lie in the pool, and nothing that happens to the file later shows in a buffer.

use super::{Fresh, Space, pattern};
use flac::fs::names::Name;
use flac::fs::open::OpenId;
use flac::media::{Medium, Model, PoolOptions};
use flac::units::Ino;

const MIB: usize = 1 << 20;

/// A pool in memory. `slow`: with the cost of a persistent-memory device, so that DRAM is worth something.
fn memory(size: usize, slow: bool) -> Space {
    let dir = tempfile::tempdir_in("/dev/shm").expect("a directory in memory");
    let model = slow.then_some(Model::OptaneDcPmm);
    Space::on(dir, 64 << 20, &PoolOptions { size: size as u64, medium: None, model })
}

/// A file with a pattern that only the pool has.
fn cold(space: Space, len: usize) -> (Space, Ino, OpenId, Vec<u8>) {
    let (ino, id) = space.create("a", 0);
    let data = pattern(len, 1);
    assert_eq!(space.write(id, &data, 0), Ok(len));
    space.fs.sync(ino).expect("it is durable");
    let space = space.reboot();
    let id = space.fs.open_file(ino, libc::O_RDWR, 0).expect("it opens");
    (space, ino, id, data)
}

/// Fresh memory to which the file is attached from the pool.
fn attached(space: &Space, id: OpenId, data: &[u8]) -> Fresh {
    let mut fresh = Fresh::new(data.len());
    let (before, loaded) = (space.counter("bytes attached"), space.counter("bytes loaded from the pool"));
    assert_eq!(space.read_into(id, fresh.bytes(), 0), Ok(data.len()));
    assert_eq!(space.counter("bytes attached") - before, data.len() as u64);
    assert_eq!(space.counter("bytes loaded from the pool"), loaded);
    fresh
}

fn exact(space: &Space) {
    assert_eq!(space.fs.check_counts(), []);
    assert_eq!(space.fs.check(true).expect("it can be checked"), Vec::<String>::new());
}

fn unlink(space: &Space, name: &str) {
    space.fs.unlink(Ino::ROOT, &Name::new(name.as_bytes()).expect("a short name"), &super::ROOT).expect("it goes");
}

/// Writes new files until the pool is full, and makes all of it durable: every frame that may be given out is. How many bytes fitted.
fn fill(space: &Space, prefix: &str) -> usize {
    let block = vec![0xF1; MIB / 4];
    let mut total = 0;
    for i in 0..1000 {
        let (ino, id) = space.create(&format!("{prefix}{i}"), 100);
        let written = space.write(id, &block, 0);
        space.fs.sync(ino).expect("it is durable");
        total += *written.as_ref().unwrap_or(&0);
        if written != Ok(block.len()) {
            return total;
        }
    }
    panic!("the pool never gets full");
}

#[test]
fn a_miss_loads_nothing_on_every_mapped_medium() {
    let disk = || tempfile::tempdir().expect("a temporary directory");
    let shm = || tempfile::tempdir_in("/dev/shm").expect("a directory in memory");
    for (dir, medium) in [(shm(), None), (shm(), Some(Medium::DaxEmulated)), (disk(), Some(Medium::DaxEmulated))] {
        let space = Space::on(dir, 64 << 20, &PoolOptions { size: 64 << 20, medium, model: None });
        let (space, _, id, data) = cold(space, 5 * MIB);
        let mut fresh = attached(&space, id, &data);
        assert!(fresh.bytes() == data);
        for (at, len) in [(0, 100), (4095, 2), (8000, 9000), (5 * MIB - 10, 10)] {
            assert_eq!(space.read(id, len, at as u64).expect("it reads"), data[at..at + len]);
        }
        assert_eq!(space.counter("bytes loaded from the pool"), 0);
        assert_eq!(space.counter("bytes read in place in the pool"), 9112);
        exact(&space);
        fresh.drop_from(&space.fs);
        exact(&space);
    }
}

#[test]
fn the_program_and_the_file_go_their_own_ways() {
    let (space, ino, id, mut data) = cold(memory(64 << 20, false), 4 * MIB);
    let original = data.clone();
    let mut fresh = attached(&space, id, &data);
    fresh.bytes()[5000] ^= 1;
    // In part, whole, and cut.
    for (at, len) in [(5000, 10), (MIB, MIB), (3 * MIB - 77, 300)] {
        let new = pattern(len, at as u64);
        assert_eq!(space.write(id, &new, at as u64), Ok(len));
        data[at..at + len].copy_from_slice(&new);
    }
    space.fs.truncate(ino, 3 * MIB as u64 + 5).expect("it is cut");
    data.truncate(3 * MIB + 5);
    space.fs.sync(ino).expect("it is durable");
    assert!(space.read(id, 4 * MIB, 0).expect("it reads") == data);
    fresh.bytes()[5000] ^= 1;
    assert!(fresh.bytes() == original);
    exact(&space);
    let space = space.reboot();
    let id = space.fs.open_file(ino, libc::O_RDWR, 0).expect("it opens");
    assert!(space.read(id, 4 * MIB, 0).expect("it reads") == data);
}

/// The frames of a view are given to nobody, however full the pool gets, and to somebody afterwards.
#[test]
fn frames_that_a_view_shows_are_not_given_out_until_it_is_gone() {
    let (space, ino, id, data) = cold(memory(32 << 20, false), 8 * MIB);
    let mut fresh = attached(&space, id, &data);
    space.fs.truncate(ino, 6 * MIB as u64).expect("it is cut");
    assert_eq!(space.write(id, &vec![1; 2 * MIB], 0), Ok(2 * MIB));
    space.fs.sync(ino).expect("it is durable");
    space.fs.release(0);
    unlink(&space, "a");
    let fitted = fill(&space, "x");
    assert!((20 * MIB..=24 * MIB).contains(&fitted), "{fitted}");
    assert!(fresh.bytes() == data);
    exact(&space);
    fresh.drop_from(&space.fs);
    let more = fill(&space, "y");
    assert!(more >= 8 * MIB - 2 * MIB / 4, "{more}");
    exact(&space);
}

#[test]
fn a_forked_child_keeps_the_view_and_its_death_frees_it() {
    let (space, _, id, data) = cold(memory(32 << 20, false), 8 * MIB);
    let mut fresh = attached(&space, id, &data);
    space.fs.release(0);
    let token = space.fs.before_fork().expect("a slot for the child");
    // SAFETY: the child only waits to be killed, and is when this thread ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: neither call touches memory.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            libc::alarm(60);
            loop {
                libc::pause();
            }
        }
    }
    assert!(child > 0);
    space.fs.after_fork_parent(token, Some(child));
    assert!(fresh.bytes() == data);
    fresh.drop_from(&space.fs);
    unlink(&space, "a");
    let fitted = fill(&space, "x");
    assert!(fitted <= 24 * MIB, "the child's view was not kept: {fitted}");
    // SAFETY: our own child.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
    }
    // Who finds the pool full cleans up after the dead.
    let more = fill(&space, "y");
    assert!(more >= 8 * MIB - MIB / 2, "{more}");
    exact(&space);
}

#[test]
fn pages_read_again_and_again_move_to_dram() {
    let (space, _, id, data) = cold(memory(64 << 20, true), 2 * MIB);
    let read = || assert_eq!(space.read(id, 8192, 65536).expect("it reads"), data[65536..65536 + 8192]);
    read();
    read();
    assert_eq!(space.counter("bytes loaded from the pool"), 0);
    read();
    assert_eq!(space.counter("bytes loaded from the pool"), 8192);
    let in_place = space.counter("bytes read in place in the pool");
    read();
    assert_eq!(space.counter("bytes read in place in the pool"), in_place);
    exact(&space);
}

#[test]
fn attached_pages_move_when_a_helper_has_time() {
    let (space, _, id, data) = cold(memory(64 << 20, true), 4 * MIB);
    let mut first = attached(&space, id, &data);
    assert_eq!(space.fs.move_hot(), Ok(0));
    let mut second = attached(&space, id, &data);
    assert_eq!(space.fs.move_hot(), Ok(1024));
    assert_eq!(space.fs.move_hot(), Ok(0));
    assert_eq!(space.counter("bytes loaded from the pool"), 4 * MIB as u64);
    assert!(first.bytes() == data && second.bytes() == data);
    assert!(space.read(id, 4 * MIB, 0).expect("it reads") == data);
    exact(&space);
}

/// Eviction takes DRAM halves away, and what is nearly full takes none in.
#[test]
fn a_full_dram_tier_leaves_pages_in_the_pool() {
    let dir = tempfile::tempdir_in("/dev/shm").expect("a directory in memory");
    let options = PoolOptions { size: 128 << 20, medium: None, model: Some(Model::OptaneDcPmm) };
    let (space, _, id, data) = cold(Space::on(dir, 16 << 20, &options), 40 * MIB);
    for _ in 0..4 {
        for at in (0..40 * MIB).step_by(MIB / 2) {
            assert!(space.read(id, MIB / 2, at as u64).expect("it reads") == data[at..at + MIB / 2]);
        }
    }
    space.fs.move_hot().expect("hot pages move");
    assert!(space.counter("bytes loaded from the pool") < 60 * MIB as u64);
    let (total, free) = space.fs.dram_bytes();
    assert!(free >= total / 32, "{free}");
    exact(&space);
}

#[test]
fn a_damaged_page_is_not_made_to_look_sound() {
    let (space, ino, id, data) = cold(memory(64 << 20, true), 64 << 10);
    let frames = std::fs::read(space.dir.path().join("frames")).expect("the frames");
    let at = frames.windows(64).position(|w| w == &data[40960..41024]).expect("page 10 lies somewhere");
    let file = std::fs::File::options().write(true).open(space.dir.path().join("frames")).expect("the frames");
    std::os::unix::fs::FileExt::write_all_at(&file, &[!data[40960]], at as u64).expect("a flipped byte");
    // Written in part it would get a new checksum.
    assert!(space.write(id, b"x", 41000).is_err());
    space.fs.sync(ino).expect("nothing to flush");
    for _ in 0..2 {
        let _ = space.read(id, 100, 40960);
    }
    assert!(space.read(id, 100, 40960).is_err());
    assert_eq!(space.fs.check_counts(), []);
    assert_eq!(space.fs.check(true).expect("it can be checked").len(), 1);
}

/// Reads, writes, cuts, deletes, syncs and views in random order, in a pool that is often full: every view keeps what was read.
#[test]
fn random_work_keeps_every_view_and_every_count() {
    let seed = std::env::var("FLAC_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(7u64);
    println!("FLAC_SEED={seed}");
    let space = memory(16 << 20, true);
    let mut x = seed;
    let mut random = move |below: usize| {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (x >> 33) as usize % below
    };
    let mut files: Vec<Option<(Ino, OpenId, Vec<u8>)>> = (0..4).map(|_| None).collect();
    let mut views: Vec<(Fresh, Vec<u8>)> = Vec::new();
    for step in 0..1500 {
        let n = random(4);
        let name = format!("f{n}");
        let Some((ino, id, data)) = &mut files[n] else {
            let (ino, id) = space.create(&name, n);
            files[n] = Some((ino, id, Vec::new()));
            continue;
        };
        match random(10) {
            0..4 => {
                let (at, len) = (random(4 * MIB), random(MIB) + 1);
                let new = pattern(len, step);
                let done = space.write(*id, &new, at as u64).unwrap_or(0);
                if done > 0 {
                    data.resize(data.len().max(at + done), 0);
                    data[at..at + done].copy_from_slice(&new[..done]);
                }
            }
            4 => drop(space.fs.sync(*ino)),
            5 if random(4) == 0 => {
                space.fs.truncate(*ino, (data.len() / 2) as u64).expect("it is cut");
                data.truncate(data.len() / 2);
            }
            6 if random(4) == 0 => {
                space.fs.release(n);
                unlink(&space, &name);
                files[n] = None;
            }
            7 if !views.is_empty() => {
                let (mut fresh, expected) = views.swap_remove(random(views.len()));
                assert!(fresh.bytes() == expected, "step {step}");
                fresh.drop_from(&space.fs);
            }
            8 => drop(space.fs.move_hot()),
            _ if !data.is_empty() && views.len() < 6 => {
                let mut fresh = Fresh::new(data.len());
                assert_eq!(space.read_into(*id, fresh.bytes(), 0), Ok(data.len()));
                assert!(fresh.bytes() == *data, "step {step}");
                views.push((fresh, data.clone()));
            }
            _ => {}
        }
        if step % 100 == 0 {
            assert_eq!(space.fs.check_counts(), [], "step {step}");
            assert!(views.iter_mut().all(|(fresh, expected)| fresh.bytes() == *expected), "step {step}");
        }
    }
    for (mut fresh, expected) in views {
        assert!(fresh.bytes() == expected);
        fresh.drop_from(&space.fs);
    }
    exact(&space);
}
