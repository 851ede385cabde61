//! Going through a page table, and cutting it.

use super::{Entry, FAN, Table};
use crate::region::Node;
use crate::sync::{AtomicU64, Ordering::*};
use crate::units::PageNo;

impl Table {
    /// Calls `f` with each existing entry of [`from`, `to`), in order; absent leaves are skipped.
    pub fn for_each(&self, from: PageNo, to: PageNo, f: &mut dyn FnMut(PageNo, &'static AtomicU64)) {
        let (root, height) = self.tree();
        if height == 0 {
            for (i, cell) in self.slot.inline.iter().enumerate() {
                let page = PageNo::new(i as u64);
                if page >= from && page < to {
                    f(page, cell);
                }
            }
            return;
        }
        if let Some(root) = self.node(root) {
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
        let (root, height) = self.tree();
        if height == 0 {
            return (from.get() == 0).then_some((from, &self.slot.inline[..]));
        }
        let from = from.get() & !(FAN - 1);
        self.leaf_below(self.node(root)?, height, 0, from)
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
                drop(page, Entry::from_raw(raw));
            }
        };
        self.for_each(from, PageNo::new(u64::MAX), &mut clear);
        let (root, height) = self.tree();
        if height == 0 {
            return;
        }
        if from.get() == 0 {
            // Whoever died while the tree was made may have left them.
            self.slot.inline.iter().for_each(|e| e.store(0, Relaxed));
            self.set_tree(0, 0);
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

    /// Calls `f` with the number (from 0 on) of each node that the table has.
    pub fn each_node(&self, f: &mut dyn FnMut(usize)) {
        if let (root, height @ 1..) = self.tree() {
            self.each_below(root as u64, height, f);
        }
    }

    fn each_below(&self, index: u64, level: u32, f: &mut dyn FnMut(usize)) {
        let Some(node) = self.node(index as u32) else { return };
        f(index as usize - 1);
        let children = node.0.iter().map(|link| link.load(Relaxed)).filter(|link| level > 1 && *link != 0);
        children.for_each(|link| self.each_below(link, level - 1, f));
    }
}
