//! The nodes of all page tables: who has which, one bit each.

use super::Table;
use crate::region::Node;
use crate::sync::Ordering::*;

impl Table {
    /// A node of zeros without marks, and its number (+1). `None`: all are used, or there is no memory for one.
    pub fn alloc_node(&self) -> Option<(u32, &'static Node)> {
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
                        if !self.control.back_node(index as usize) {
                            bits[w].fetch_and(!(1 << bit), AcqRel);
                            return None;
                        }
                        let node = &self.control.nodes()[index as usize];
                        node.0.iter().for_each(|e| e.store(0, Relaxed));
                        self.control.marks()[index as usize].0.iter().for_each(|w| w.store(0, Relaxed));
                        return Some((index + 1, node));
                    }
                    Err(now) => seen = now,
                }
            }
        }
        None
    }

    /// Gives a node (+1) back that no tree has any more.
    pub fn free_node(&self, index: u32) {
        let i = index as usize - 1;
        self.control.node_bits()[i / 64].fetch_and(!(1 << (i % 64)), AcqRel);
        self.control.counters().node_hint.fetch_min((i / 64) as u32, Relaxed);
    }
}
