#![expect(unsafe_code, reason = "advises the program's memory")]
//! Pages for fresh memory that a copy fills: huge ones where the kernel leaves that to programs (`transparent_hugepage/enabled` is `madvise`) and the planner finds them at hand.

use super::Fs;
use crate::inode::SlotNo;
use crate::planner::{self, Cost, FILL_MIN, Filling, explain};
use crate::sync::{AtomicU32, Ordering::Relaxed};
use crate::units::{BLOCK, BLOCK_FRAMES};

/// A copy into fresh memory.
pub(super) struct Fill {
    pages: Filling,
    /// The address where what is read ends.
    end: usize,
}

impl Fs {
    /// A read of `len` bytes from `offset` on is about to be copied to fresh memory at `addr`. `None` if that is not worth measuring, or small pages are to be taken.
    pub(super) fn begin_fill(&self, slot: SlotNo, addr: usize, len: usize, offset: u64) -> Option<Fill> {
        let len = len.min(self.inodes.slot(slot).size.load(Relaxed).saturating_sub(offset) as usize);
        let end = addr.checked_add(len)?;
        let inside = len >= FILL_MIN && self.memory.vma(addr).is_some_and(|vma| vma.private_rw && vma.inode == 0 && vma.end >= end);
        if inside { Filling::begin(self.fills()).map(|pages| Fill { pages, end }) } else { None }
    }

    /// What is copied next begins at `addr`: asks for a huge page there if the planner says so. Only where the copy fills all of it, so that no memory is used that the program would not have
    /// used.
    pub(super) fn fill_on(&self, fill: &mut Option<Fill>, addr: usize) {
        let Some(Fill { pages, end }) = fill else { return };
        if !addr.is_multiple_of(BLOCK) || addr + BLOCK > *end {
            return;
        }
        let now = now();
        if let Some(took) = pages.took(now) {
            self.costs().learned(Cost::FreshPage, took / BLOCK_FRAMES as u64);
        }
        match pages.next(now, self.fills()) {
            Some(false) => {}
            Some(true) => {
                // SAFETY: changes no content. What another thread maps there meanwhile is at worst advised like that.
                let _ =
                    unsafe { rustix::mm::madvise(std::ptr::with_exposed_provenance_mut(addr), BLOCK, rustix::mm::Advice::LinuxHugepage) };
            }
            None => {
                explain(format_args!("fresh huge pages take longer than small ones here: the rest goes to small ones"));
                *fill = None;
            }
        }
    }

    /// How huge pages have turned out in fills of all processes.
    fn fills(&self) -> &AtomicU32 {
        planner::of_no_program(self.programs())
    }
}

/// Nanoseconds.
fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::survival::{make_file, make_pool, open, place};
    use crate::media::create::Geometry;
    use crate::media::sim::tape::{Lower, Tape};
    use crate::region::reserve;

    const LEN: usize = 16 * BLOCK;

    /// Whether the memory at `at` may have huge pages because somebody has asked for them.
    fn may_be_huge(at: usize) -> bool {
        let maps = std::fs::read_to_string("/proc/self/smaps").expect("smaps");
        let mut is_there = false;
        let flags = maps.lines().find(|line| {
            let range = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
            let number = |hex: &str| usize::from_str_radix(hex, 16).ok();
            if let Some((from, to)) = range.and_then(|(from, to)| number(from).zip(number(to))) {
                is_there = (from..to).contains(&at);
            }
            is_there && line.starts_with("VmFlags:")
        });
        flags.expect("mapped").split(' ').any(|flag| flag == "hg")
    }

    #[test]
    fn whole_blocks_of_what_is_read_are_asked_for_once_small_ones_were_measured() {
        let dir = place();
        let pool = dir.path().join("pool");
        make_pool(&pool, &Geometry::of(64 << 20), Lower::Ext4);
        let _seems_a_disk = Tape::start(&pool, Lower::Ext4);
        let fs = open(&pool).expect("the pool opens");
        let ino = make_file(&fs, b"file");
        let size = LEN - 5;
        fs.truncate(ino, size as u64).expect("a size");
        let slot = fs.hold_inode(ino).expect("a slot");
        // SAFETY: new memory.
        let at = unsafe { reserve(0, LEN, libc::MAP_PRIVATE, BLOCK, 0) }.expect("memory");
        // SAFETY: the same.
        unsafe { crate::region::map_anonymous(at, LEN) }.expect("memory");
        assert!(fs.begin_fill(slot, at, FILL_MIN - 1, 0).is_none(), "too little");
        assert!(fs.begin_fill(slot, at, LEN, (size - FILL_MIN) as u64 + 1).is_none(), "the file ends");
        let mut fill = fs.begin_fill(slot, at, LEN, 0);
        if !fs.can_attach() || !std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
            return;
        }
        let pages = &mut fill.as_mut().expect("fresh memory").pages;
        let begin = now() - 6_000_000;
        assert_eq!([0, 2_000_000].map(|after| pages.next(begin + after, fs.fills())), [Some(false); 2]);
        let block = |n: usize| at + n * BLOCK;
        fs.fill_on(&mut fill, block(2) + BLOCK / 2);
        assert!(!may_be_huge(block(2)), "in the middle of one");
        fs.fill_on(&mut fill, block(2));
        fs.fill_on(&mut fill, block(15));
        assert_eq!([1, 2, 3, 15].map(|n| may_be_huge(block(n))), [false, true, false, false], "the last one is not filled");
        fs.unhold_inode(slot);
    }
}
