//! The nodes of page tables, as they lie in the control segment.

use super::layout::{Control, NODES};
use crate::sync::AtomicU64;
use crate::units::{BLOCK_FRAMES, PAGE};

/// A node of a page table: 512 entries, or 512 nodes (+1).
#[repr(C, align(4096))]
pub struct Node(pub [AtomicU64; BLOCK_FRAMES]);

/// The dirty marks of a node: one bit for each of its words (see `table::marks`).
#[repr(C, align(64))]
pub struct Marks(pub [AtomicU64; BLOCK_FRAMES / 64]);

const _: () = assert!(size_of::<Node>() == PAGE);
const _: () = assert!(size_of::<Marks>() == 64);

impl Control {
    /// One bit for each node: set while it is used.
    pub fn node_bits(&self) -> &'static [AtomicU64] {
        self.array(self.at.node_bits, NODES / 64)
    }
    /// The page-table nodes.
    #[inline]
    pub fn nodes(&self) -> &'static [Node] {
        self.array(self.at.nodes, NODES)
    }
    /// The nodes' dirty marks.
    #[inline]
    pub fn marks(&self) -> &'static [Marks] {
        self.array(self.at.marks, NODES)
    }
}
