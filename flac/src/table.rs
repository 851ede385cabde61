//! The heterogeneous page table: page of a file -> frame in DRAM, frame in the pool, or both. Knows no name and no durability order.
//!
//! A small file's entries lie in its inode slot; a larger one has a radix tree of 512-way nodes in the control segment. A leaf that is absent
//! in a file with pool extents has not been loaded yet (see [`Lookup::Unloaded`]). Changes need the inode's lock; look-ups do not: they run under the
//! inode's sequence counter, may see anything while it is odd, and never leave the control segment.

use crate::region::{Control, INLINE, InodeSlot, Node};
use crate::sync::{AtomicU64, Ordering::*};
use crate::units::{BLOCK_FRAMES, FrameNo, PageNo, PoolFrame};

/// One page's entry: DRAM frame + 1 (28 bits), pool frame + 1 (32 bits), state bits.
///
/// Zero is a hole. The two highest bits count reads of a page that only the pool has; a reader may change them without a lock. DIRTY: the DRAM half (or the hole) is newer than the log. FLUSHING: a flush is writing the DRAM half; the frame has one more reference.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Entry(u64);

const DRAM_BITS: u64 = (1 << 28) - 1;
const POOL_SHIFT: u32 = 28;
const POOL_BITS: u64 = ((1 << 32) - 1) << POOL_SHIFT;

impl Entry {
    /// A hole that the log knows as one.
    pub const HOLE: Entry = Entry(0);
    const DIRTY: u64 = 1 << 60;
    const FLUSHING: u64 = 1 << 61;
    const TOUCH: u64 = 1 << 62;
    const TOUCHES: u64 = 3 << 62;

    /// From its word.
    pub fn from_raw(raw: u64) -> Self {
        Entry(raw)
    }
    /// Its word.
    pub fn raw(self) -> u64 {
        self.0
    }
    /// A page that only the pool has.
    pub fn pooled(frame: PoolFrame) -> Self {
        Entry((frame.get() as u64 + 1) << POOL_SHIFT)
    }
    /// The DRAM frame.
    #[inline]
    pub fn dram(self) -> Option<FrameNo> {
        let n = (self.0 & DRAM_BITS) as u32;
        (n != 0).then(|| FrameNo::new(n - 1))
    }
    /// The pool frame; not valid while the entry is dirty.
    #[inline]
    pub fn pool(self) -> Option<PoolFrame> {
        let n = (self.0 & POOL_BITS) >> POOL_SHIFT;
        (n != 0).then(|| PoolFrame::new((n - 1) as u32))
    }
    /// The log does not know the current content.
    #[inline]
    pub fn is_dirty(self) -> bool {
        self.0 & Self::DIRTY != 0
    }
    /// A flush is writing it.
    #[inline]
    pub fn is_flushing(self) -> bool {
        self.0 & Self::FLUSHING != 0
    }
    /// Nothing is stored: reads give zeros.
    #[inline]
    pub fn is_hole(self) -> bool {
        self.0 & (DRAM_BITS | POOL_BITS) == 0
    }
    /// With `frame` as DRAM half, newer than the log.
    pub fn written(frame: FrameNo) -> Self {
        Entry((frame.get() as u64 + 1) | Self::DIRTY)
    }
    /// A hole newer than the log.
    pub fn punched() -> Self {
        Entry(Self::DIRTY)
    }
    /// How often it was read since only the pool has it: 0 to 3, and no further.
    #[inline]
    pub fn touches(self) -> u64 {
        self.0 / Self::TOUCH
    }
    /// Read once more.
    #[inline]
    pub fn touched(self) -> Self {
        Entry(self.0.checked_add(Self::TOUCH).unwrap_or(self.0))
    }
    /// As if never read.
    pub fn cooled(self) -> Self {
        Entry(self.0 & !Self::TOUCHES)
    }
    /// With `frame` loaded from the pool.
    pub fn loaded(self, frame: FrameNo) -> Self {
        Entry(self.cooled().0 & !DRAM_BITS | (frame.get() as u64 + 1))
    }
    /// Without its DRAM half (only for clean entries).
    pub fn evicted(self) -> Self {
        Entry(self.cooled().0 & !DRAM_BITS)
    }
    /// Marked dirty, the pool half forgotten.
    pub fn dirtied(self) -> Self {
        Entry(self.cooled().0 & !POOL_BITS & !Self::FLUSHING | Self::DIRTY)
    }
    /// Marked as being flushed, no longer dirty.
    pub fn flushing(self) -> Self {
        Entry(self.0 & !Self::DIRTY | Self::FLUSHING)
    }
    /// Clean, with the pool half `frame` (or a known hole).
    pub fn flushed(self, frame: Option<PoolFrame>) -> Self {
        let pool = frame.map_or(0, |f| (f.get() as u64 + 1) << POOL_SHIFT);
        Entry(self.0 & DRAM_BITS | pool)
    }
}

/// What the table says about a page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// The entry.
    Entry(Entry),
    /// No entry: a hole, unless the file has extents that were not loaded yet.
    Unloaded,
}

/// One inode's page table.
#[derive(Clone, Copy)]
pub struct Table {
    control: Control,
    slot: &'static InodeSlot,
}

const FAN: u64 = BLOCK_FRAMES as u64;

impl Table {
    /// The table of the inode in `slot`.
    #[inline]
    pub fn new(control: Control, slot: &'static InodeSlot) -> Self {
        Table { control, slot }
    }

    /// What `page` is.
    #[inline]
    pub fn lookup(&self, page: PageNo) -> Lookup {
        match self.cell(page) {
            Some(cell) => Lookup::Entry(Entry(cell.load(Acquire))),
            // A small file's slot holds all there is.
            None if self.slot.height.load(Acquire) == 0 => Lookup::Entry(Entry::HOLE),
            None => Lookup::Unloaded,
        }
    }

    /// The entry's word, if its leaf exists.
    #[inline]
    pub fn cell(&self, page: PageNo) -> Option<&'static AtomicU64> {
        let height = self.slot.height.load(Acquire);
        if height == 0 {
            return self.slot.inline.get(page.get() as usize);
        }
        // Stale values may be anything: a shift of 63 or more would be undefined, and no tree is that high.
        if height > 6 || height < 6 && page.get() >> (9 * height) != 0 {
            return None;
        }
        let mut node = self.node(self.slot.root.load(Acquire))?;
        for level in (1..height).rev() {
            let child = node.0[(page.get() >> (9 * level) & (FAN - 1)) as usize].load(Acquire);
            node = self.node(child as u32)?;
        }
        Some(&node.0[(page.get() & (FAN - 1)) as usize])
    }

    /// The leaf of `page` as a slice of 512 entries, if there is one.
    pub fn leaf(&self, page: PageNo) -> Option<&'static [AtomicU64; BLOCK_FRAMES]> {
        let first = PageNo::new(page.get() & !(FAN - 1));
        let cell = (self.slot.height.load(Acquire) > 0).then(|| self.cell(first))??;
        let offset = cell as *const AtomicU64 as usize - self.control.nodes().as_ptr() as usize;
        self.control.nodes().get(offset / size_of::<Node>()).map(|n| &n.0)
    }

    /// The words of `page` and of those behind it in the same leaf, if the leaf exists.
    pub fn cells(&self, page: PageNo) -> Option<&'static [AtomicU64]> {
        if self.slot.height.load(Acquire) == 0 {
            return self.slot.inline.get(page.get() as usize..);
        }
        self.leaf(page).map(|leaf| &leaf[(page.get() % FAN) as usize..])
    }

    #[inline]
    fn node(&self, index: u32) -> Option<&'static Node> {
        // 0 is "none"; a stale number beyond the array is none, too.
        self.control.nodes().get((index as usize).wrapping_sub(1))
    }

    /// The entry's word, its leaf made if missing. `load` fills a new leaf's 512 entries, given its first page. `None`: no node is free.
    /// Needs the inode's lock.
    pub fn cell_mut<E>(&self, page: PageNo, load: impl Fn(PageNo, &Node) -> Result<(), E>) -> Result<Option<&'static AtomicU64>, E> {
        if let Some(cell) = self.cell(page) {
            return Ok(Some(cell));
        }
        if !self.grow(page) {
            return Ok(None);
        }
        let height = self.slot.height.load(Relaxed);
        if height == 0 {
            return Ok(self.cell(page));
        }
        let Some(mut node) = self.node(self.slot.root.load(Relaxed)) else { return Ok(None) };
        for level in (1..height).rev() {
            let link = &node.0[(page.get() >> (9 * level) & (FAN - 1)) as usize];
            if link.load(Relaxed) == 0 {
                let Some((index, child)) = self.alloc_node() else { return Ok(None) };
                if level == 1
                    && let Err(e) = load(PageNo::new(page.get() & !(FAN - 1)), child)
                {
                    self.free_node(index);
                    return Err(e);
                }
                link.store(index as u64, Release);
                node = child;
                if level == 1 {
                    break;
                }
            } else if let Some(child) = self.node(link.load(Relaxed) as u32) {
                node = child;
            }
        }
        Ok(Some(&node.0[(page.get() & (FAN - 1)) as usize]))
    }

    /// Makes the tree high enough for `page`.
    fn grow(&self, page: PageNo) -> bool {
        let height = self.slot.height.load(Relaxed);
        if height == 0 {
            if (page.get() as usize) < INLINE {
                return true;
            }
            let Some((index, leaf)) = self.alloc_node() else { return false };
            for (to, from) in leaf.0.iter().zip(&self.slot.inline) {
                to.store(from.load(Relaxed), Relaxed);
            }
            self.slot.root.store(index, Relaxed);
            self.slot.height.store(1, Release);
            self.slot.inline.iter().for_each(|e| e.store(0, Relaxed));
        }
        loop {
            let height = self.slot.height.load(Relaxed);
            if height >= 6 || page.get() >> (9 * height) == 0 {
                return true;
            }
            let Some((index, top)) = self.alloc_node() else { return false };
            top.0[0].store(self.slot.root.load(Relaxed) as u64, Relaxed);
            self.slot.root.store(index, Relaxed);
            self.slot.height.store(height + 1, Release);
        }
    }

    /// For a slot just loaded from the KV: a tree for a file whose extents are loaded leaf by leaf when needed. `false`: no node is free.
    pub fn plant(&self, last: PageNo) -> bool {
        let Some((index, _)) = self.alloc_node() else { return false };
        self.slot.root.store(index, Relaxed);
        // Height 2 at least: a root that is a leaf would count as loaded.
        let mut height = 2;
        while height < 6 && last.get() >> (9 * height) != 0 {
            height += 1;
        }
        self.slot.height.store(height, Release);
        true
    }

    /// Calls `f` with each existing entry of [`from`, `to`), in order; absent leaves are skipped.
    pub fn for_each(&self, from: PageNo, to: PageNo, f: &mut dyn FnMut(PageNo, &'static AtomicU64)) {
        let height = self.slot.height.load(Acquire);
        if height == 0 {
            for (i, cell) in self.slot.inline.iter().enumerate() {
                let page = PageNo::new(i as u64);
                if page >= from && page < to {
                    f(page, cell);
                }
            }
            return;
        }
        if let Some(root) = self.node(self.slot.root.load(Acquire)) {
            self.walk(root, height, 0, from.get(), to.get(), f);
        }
    }

    fn walk(&self, node: &'static Node, level: u32, base: u64, from: u64, to: u64, f: &mut dyn FnMut(PageNo, &'static AtomicU64)) {
        let span = 1u64 << (9 * (level - 1));
        let start = from.saturating_sub(base) / span;
        for i in start..FAN {
            let at = base + i * span;
            if at >= to {
                break;
            }
            let cell = &node.0[i as usize];
            if level == 1 {
                f(PageNo::new(at), cell);
            } else if let Some(child) = self.node(cell.load(Acquire) as u32) {
                self.walk(child, level - 1, at, from, to, f);
            }
        }
    }

    /// The first leaf that has page `from` or a later one: its first page, and its entries.
    pub fn leaf_from(&self, from: PageNo) -> Option<(PageNo, &'static [AtomicU64])> {
        let height = self.slot.height.load(Acquire);
        if height == 0 {
            return (from.get() == 0).then_some((from, &self.slot.inline[..]));
        }
        let from = from.get() & !(FAN - 1);
        self.leaf_below(self.node(self.slot.root.load(Acquire))?, height, 0, from)
    }

    fn leaf_below(&self, node: &'static Node, level: u32, base: u64, from: u64) -> Option<(PageNo, &'static [AtomicU64])> {
        if level == 1 {
            return (base >= from).then_some((PageNo::new(base), &node.0[..]));
        }
        let span = 1u64 << (9 * (level - 1));
        let start = from.saturating_sub(base) / span;
        (start..FAN).find_map(|i| self.leaf_below(self.node(node.0[i as usize].load(Acquire) as u32)?, level - 1, base + i * span, from))
    }

    /// Takes every entry from page `from` on out of the table, giving each one that is not zero to `drop`, and frees the nodes. Needs the inode's lock.
    pub fn cut(&self, from: PageNo, drop: &mut dyn FnMut(PageNo, Entry)) {
        let mut clear = |page: PageNo, cell: &'static AtomicU64| {
            let raw = cell.swap(0, AcqRel);
            if raw != 0 {
                drop(page, Entry(raw));
            }
        };
        self.for_each(from, PageNo::new(u64::MAX), &mut clear);
        let height = self.slot.height.load(Relaxed);
        if height == 0 {
            return;
        }
        let root = self.slot.root.load(Relaxed);
        if from.get() == 0 {
            self.slot.height.store(0, Release);
            self.slot.root.store(0, Relaxed);
            self.free_tree(root, height);
        } else if let Some(node) = self.node(root) {
            self.prune(node, height, 0, from.get());
        }
    }

    /// Frees the subtrees that lie wholly at or behind page `from`.
    fn prune(&self, node: &'static Node, level: u32, base: u64, from: u64) {
        if level == 1 {
            return;
        }
        let span = 1u64 << (9 * (level - 1));
        for i in 0..FAN {
            let at = base + i * span;
            if at + span <= from {
                continue;
            }
            let child = node.0[i as usize].load(Relaxed) as u32;
            if child == 0 {
                continue;
            }
            if at >= from {
                node.0[i as usize].store(0, Release);
                self.free_tree(child, level - 1);
            } else if let Some(below) = self.node(child) {
                self.prune(below, level - 1, at, from);
            }
        }
    }

    fn free_tree(&self, index: u32, level: u32) {
        if let Some(node) = self.node(index)
            && level > 1
        {
            for link in &node.0 {
                let child = link.load(Relaxed) as u32;
                if child != 0 {
                    self.free_tree(child, level - 1);
                }
            }
        }
        self.free_node(index);
    }

    /// How many nodes the table has.
    pub fn count_nodes(&self) -> u64 {
        fn below(table: &Table, index: u64, level: u32) -> u64 {
            let Some(node) = table.node(index as u32) else { return 0 };
            let children = node.0.iter().map(|link| link.load(Relaxed)).filter(|link| level > 1 && *link != 0);
            1 + children.map(|link| below(table, link, level - 1)).sum::<u64>()
        }
        match self.slot.height.load(Acquire) {
            0 => 0,
            height => below(self, self.slot.root.load(Acquire) as u64, height),
        }
    }

    fn alloc_node(&self) -> Option<(u32, &'static Node)> {
        let bits = self.control.node_bits();
        let hint = &self.control.counters().node_hint;
        let start = hint.load(Relaxed) as usize % bits.len();
        for w in (start..bits.len()).chain(0..start) {
            let mut seen = bits[w].load(Relaxed);
            while seen != !0 {
                let bit = (!seen).trailing_zeros();
                match bits[w].compare_exchange_weak(seen, seen | 1 << bit, AcqRel, Relaxed) {
                    Ok(_) => {
                        hint.store(w as u32, Relaxed);
                        let index = w as u32 * 64 + bit;
                        let node = &self.control.nodes()[index as usize];
                        node.0.iter().for_each(|e| e.store(0, Relaxed));
                        return Some((index + 1, node));
                    }
                    Err(now) => seen = now,
                }
            }
        }
        None
    }

    fn free_node(&self, index: u32) {
        let i = index as usize - 1;
        self.control.node_bits()[i / 64].fetch_and(!(1 << (i % 64)), AcqRel);
        self.control.counters().node_hint.fetch_min((i / 64) as u32, Relaxed);
    }
}
