//! The heterogeneous page table: page of a file -> frame in DRAM, frame in the pool, or both. Knows no name and no durability order.
//!
//! A small file's entries lie in its inode slot; a larger one has a radix tree of 512-way nodes in the control segment. A leaf that is absent
//! in a file with pool extents has not been loaded yet (see [`Lookup::Unloaded`]). Changes need the inode's lock; look-ups do not: they run under the
//! inode's sequence counter, may see anything while it is odd, and never leave the control segment.
//!
//! Files: `entry` (a page's word), `walk`, `nodes` (their allocator), `marks` (where the dirty entries are).

mod entry;
mod marks;
mod nodes;
#[cfg(test)]
mod tests;
mod walk;

pub use entry::Entry;
pub use marks::Marked;

use crate::region::{Control, INLINE, InodeSlot, Node};
use crate::sync::{AtomicU64, Ordering::*};
use crate::units::{BLOCK_FRAMES, PageNo};

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
    #[inline(always)]
    pub fn lookup(&self, page: PageNo) -> Lookup {
        match self.cell(page) {
            Some(cell) => Lookup::Entry(Entry::from_raw(cell.load(Acquire))),
            // A small file's slot holds all there is.
            None if self.height() == 0 => Lookup::Entry(Entry::HOLE),
            None => Lookup::Unloaded,
        }
    }

    /// The entry's word, if its leaf exists.
    #[inline(always)]
    pub fn cell(&self, page: PageNo) -> Option<&'static AtomicU64> {
        let (root, height) = self.tree();
        if height == 0 {
            return self.slot.inline.get(page.get() as usize);
        }
        // Stale values may be anything: a shift of 63 or more would be undefined, and no tree is that high.
        if height > 6 || height < 6 && page.get() >> (9 * height) != 0 {
            return None;
        }
        let mut node = self.node(root)?;
        for level in (1..height).rev() {
            let child = node.0[(page.get() >> (9 * level) & (FAN - 1)) as usize].load(Acquire);
            node = self.node(child as u32)?;
        }
        Some(&node.0[(page.get() & (FAN - 1)) as usize])
    }

    /// The leaf of `page` as a slice of 512 entries, if there is one.
    pub fn leaf(&self, page: PageNo) -> Option<&'static [AtomicU64; BLOCK_FRAMES]> {
        let first = PageNo::new(page.get() & !(FAN - 1));
        let cell = (self.height() > 0).then(|| self.cell(first))??;
        let offset = cell as *const AtomicU64 as usize - self.control.nodes().as_ptr() as usize;
        self.control.nodes().get(offset / size_of::<Node>()).map(|n| &n.0)
    }

    /// The words of `page` and of those behind it in the same leaf, if the leaf exists.
    pub fn cells(&self, page: PageNo) -> Option<&'static [AtomicU64]> {
        if self.height() == 0 {
            return self.slot.inline.get(page.get() as usize..);
        }
        self.leaf(page).map(|leaf| &leaf[(page.get() % FAN) as usize..])
    }

    /// Root node (+1) and height: one word, so that whoever dies while the tree grows leaves the old one or the new one.
    #[inline]
    fn tree(&self) -> (u32, u32) {
        let word = self.slot.tree.load(Acquire);
        (word as u32, (word >> 32) as u32)
    }

    /// Whether all entries lie in the inode slot: there are no leaves, in the KV either.
    #[inline]
    pub fn is_small(&self) -> bool {
        self.height() == 0
    }

    #[inline]
    fn height(&self) -> u32 {
        self.tree().1
    }

    fn set_tree(&self, root: u32, height: u32) {
        self.slot.tree.store((height as u64) << 32 | root as u64, Release);
    }

    /// The node `index` (+1), whosever it is.
    #[inline]
    pub fn node(&self, index: u32) -> Option<&'static Node> {
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
        let (root, height) = self.tree();
        if height == 0 {
            return Ok(self.cell(page));
        }
        let Some(mut node) = self.node(root) else { return Ok(None) };
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
        if self.height() == 0 {
            if (page.get() as usize) < INLINE {
                return true;
            }
            let Some((index, leaf)) = self.alloc_node() else { return false };
            for (to, from) in leaf.0.iter().zip(&self.slot.inline) {
                to.store(from.load(Relaxed), Relaxed);
            }
            // Not worth asking which are dirty.
            self.mark_first(index, INLINE as u64);
            self.set_tree(index, 1);
            self.slot.inline.iter().for_each(|e| e.store(0, Relaxed));
        }
        loop {
            let (root, height) = self.tree();
            if height >= 6 || page.get() >> (9 * height) == 0 {
                return true;
            }
            let Some((index, top)) = self.alloc_node() else { return false };
            top.0[0].store(root as u64, Relaxed);
            self.mark_first(index, 1);
            self.set_tree(index, height + 1);
        }
    }

    /// For a slot just loaded from the KV: a tree for a file whose extents are loaded leaf by leaf when needed. `false`: no node is free.
    pub fn plant(&self, last: PageNo) -> bool {
        let Some((index, _)) = self.alloc_node() else { return false };
        // Height 2 at least: a root that is a leaf would count as loaded.
        let mut height = 2;
        while height < 6 && last.get() >> (9 * height) != 0 {
            height += 1;
        }
        self.set_tree(index, height);
        true
    }
}
