//! Stores, writes, syncs, advice, protection, cuts, and mappings that come and go, of two processes: what was synced is in the pool, or something later is. Each page holds a number that only grows.

use super::*;
use crate::fs::open::OpenId;
use crate::media::sim::Random;

/// What is at the beginning of each page.
const ONES: u64 = u64::from_ne_bytes([1; 8]);
const STEPS: u64 = 200;
const ADVICE: [i32; 11] = [
    libc::MADV_DONTNEED,
    libc::MADV_DONTNEED,
    libc::MADV_COLD,
    libc::MADV_PAGEOUT,
    libc::MADV_WILLNEED,
    libc::MADV_FREE,
    libc::MADV_HUGEPAGE,
    libc::MADV_POPULATE_READ,
    libc::MADV_POPULATE_WRITE,
    24, // MADV_DONTNEED_LOCKED
    25, // MADV_COLLAPSE
];

/// A mapping, or a part of one.
#[derive(Clone, Copy)]
struct Map {
    addr: usize,
    from: usize,
    pages: usize,
}

struct Run<'a> {
    fs: &'a Fs,
    ino: Ino,
    random: &'a mut Random,
    /// What is in each page, and what was there when it was last synced.
    now: &'a mut [u64],
    durable: &'a mut [u64],
    maps: Vec<Map>,
    theirs: Option<usize>,
}

impl Run<'_> {
    /// Some pages of a mapping, or all of them.
    fn part(&mut self) -> Map {
        let Map { addr, from, pages } = *self.random.pick(&self.maps);
        let inside = if self.random.below(4) == 0 { 0 } else { self.random.below(pages) };
        let count = if self.random.below(2) == 0 { pages - inside } else { 1 + self.random.below(pages - inside) };
        Map { addr: addr + inside * PAGE, from: from + inside, pages: count }
    }

    fn store(&mut self, addr: usize, page: usize, number: u64) {
        // SAFETY: inside a writable mapping.
        unsafe { (addr as *mut u64).write(number) };
        self.now[page] = number;
    }

    fn map(&self, fs: &Fs, page: usize) -> Result<usize> {
        let len = (self.now.len() - page) * PAGE;
        // SAFETY: a new mapping, anywhere.
        let addr = unsafe { fs.map(self.ino, 0, len, RW, libc::MAP_SHARED, (page * PAGE) as u64) }?;
        // Large holes are SIGBUS until then.
        fs.show_all(addr, len);
        Ok(addr)
    }

    fn sync(&mut self) {
        self.fs.sync(self.ino).expect("a flush");
        self.durable.copy_from_slice(self.now);
    }

    /// One page goes somewhere else and comes back, which ends what the kernel was told of it.
    fn move_away(&self, addr: usize) {
        // SAFETY: a new range, to which and back from which a page of ours is moved.
        unsafe {
            let there = reserve(0, PAGE, 0, PAGE, 0).expect("room") as *mut libc::c_void;
            let moves = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
            // Something stays in its place (Linux 5.13), or another test's thread might map there.
            let moved = |flags| libc::mremap(addr as *mut _, PAGE, PAGE, moves | flags, there) == there;
            assert!(moved(libc::MREMAP_DONTUNMAP) || moved(0));
            assert_eq!(libc::mremap(there, PAGE, PAGE, moves, addr as *mut libc::c_void).addr(), addr);
        }
    }

    /// Both questions to the kernel have the same answer.
    fn ask(&self) {
        for Map { addr, pages, .. } in &self.maps {
            let end = addr + pages * PAGE;
            let Some(written) = self.fs.memory.written(*addr, end).filter(|_| self.fs.cuts.tells_of_holes(&self.fs.memory)) else {
                continue;
            };
            let mut others = Vec::new();
            let mut at = *addr;
            for protected in self.fs.memory.protected(*addr, end) {
                others.extend((at..protected.start).step_by(PAGE));
                at = protected.end;
            }
            others.extend((at..end).step_by(PAGE));
            assert_eq!(written.into_iter().flat_map(|part| part.step_by(PAGE)).collect::<Vec<_>>(), others);
        }
    }

    fn step(&mut self, other: &Fs, id: OpenId, step: u64) {
        let (part, page) = (self.part(), self.random.below(self.now.len()));
        let len = part.pages * PAGE;
        match self.random.below(22) {
            0..4 => self.store(part.addr, part.from, step),
            4 => (0..part.pages).for_each(|i| self.store(part.addr + i * PAGE, part.from + i, step)),
            5 => {
                self.fs.write_bytes(id, &step.to_ne_bytes(), (page * PAGE) as u64).expect("a write");
                self.now[page] = step;
            }
            6..9 => self.sync(),
            9 | 10 => {
                assert_eq!(self.fs.sync_mapped(part.addr, len), Ok(true));
                let pages = part.from..part.from + part.pages;
                self.durable[pages.clone()].copy_from_slice(&self.now[pages]);
            }
            11..14 => {
                let advice = *self.random.pick(&ADVICE);
                // SAFETY: a shared mapping, whose content is the file's.
                unsafe { libc::madvise(part.addr as *mut _, len, advice) };
            }
            14 => {
                let prot = *self.random.pick(&[libc::PROT_READ, libc::PROT_NONE]);
                // SAFETY: our own mapping.
                unsafe { protect(part.addr, len, prot) }.expect("it may");
                self.fs.becomes_writable(part.addr, len);
                // SAFETY: as above.
                unsafe { protect(part.addr, len, RW) }.expect("it may");
            }
            // SAFETY: inside the mapping.
            15 => assert_eq!(unsafe { (part.addr as *const u64).read() }, self.now[part.from]),
            16 if self.maps.len() < 4 => {
                let addr = self.map(self.fs, page).expect("a mapping");
                self.maps.push(Map { addr, from: page, pages: self.now.len() - page });
            }
            16 => {
                let Map { addr, pages, .. } = self.maps.swap_remove(page % self.maps.len());
                self.fs.unmapped(addr, pages * PAGE);
                // SAFETY: nobody uses it any more.
                unsafe { crate::region::unmap_range(addr, pages * PAGE) };
            }
            17 => match self.theirs.take() {
                None => self.theirs = self.map(other, 0).ok(),
                Some(addr) => other.unmapped(addr, self.now.len() * PAGE),
            },
            18 => self.move_away(part.addr),
            19 => {
                // SAFETY: the child does nothing; its parent's page tables were copied meanwhile.
                let child = unsafe { libc::fork() };
                if child == 0 {
                    // SAFETY: it ends.
                    unsafe { libc::_exit(0) };
                }
                // SAFETY: our child.
                assert_eq!(unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) }, child);
            }
            20 => {
                // Behind the new end all mappings are SIGBUS, of which the file's growth is the end when somebody asks.
                let (end, size) = (1 + page, self.now.len());
                self.fs.truncate(self.ino, (end * PAGE) as u64).expect("cut off");
                self.fs.truncate(self.ino, (size * PAGE) as u64).expect("grown");
                self.maps.iter().for_each(|map| self.fs.show_all(map.addr, map.pages * PAGE));
                if let Some(addr) = self.theirs {
                    (end..size).for_each(|page| assert!(other.fault(addr + page * PAGE)));
                }
                self.now[end..].fill(0);
                self.sync();
            }
            _ => {
                if let Some(addr) = self.theirs {
                    self.store(addr + page * PAGE, page, step);
                }
            }
        }
        self.ask();
    }
}

fn run(seed: u64, pages: usize) {
    let state = std::cell::RefCell::new((Random(seed), vec![ONES; pages], vec![ONES; pages]));
    let found = mapped_pages(pages, RW, |fs, ino, addr, _| {
        let (random, now, durable) = &mut *state.borrow_mut();
        let other = open(fs.pool.dir()).expect("the pool opens");
        let id = fs.open_file(ino, libc::O_RDWR, 2).expect("it opens");
        let mut run = Run { fs, ino, random, now, durable, maps: vec![Map { addr, from: 0, pages }], theirs: None };
        (ONES + 1..ONES + STEPS).for_each(|step| run.step(&other, id, step));
        other.leave();
    });
    let (_, now, durable) = &*state.borrow();
    for page in 0..pages {
        let number = u64::from_ne_bytes(found[page * PAGE..][..8].try_into().expect("8 bytes"));
        let is_right = (durable[page]..=now[page]).contains(&number);
        assert!(is_right, "FLAC_SEED={seed}: page {page} of {pages} is {number}, not {} to {}", durable[page], now[page]);
    }
}

#[test]
fn whatever_is_done_to_mappings_what_was_synced_is_in_the_pool() {
    let first = std::env::var("FLAC_SEED").map_or(1, |text| text.parse().expect("FLAC_SEED is a number"));
    for seed in first..first + 12 {
        // Some of more than one page table.
        run(seed, if seed % 4 == 3 { 3 * BLOCK / PAGE } else { PAGES });
    }
}
