//! A control segment of one block, of which two frames are ever used, and one inode slot.

use crate::sync::{AtomicU32, AtomicU64, RobustLock};
use crate::units::BLOCK_FRAMES;

pub struct Geometry {
    pub frames: u32,
}

#[derive(Default)]
pub struct Counters {
    pub dram_free: AtomicU64,
    pub block_hint: AtomicU32,
    pub page_hint: AtomicU32,
    pub viewed: AtomicU32,
    pub aside: AtomicU32,
}

pub struct State {
    counters: Counters,
    refs: [AtomicU32; 2],
    views: [AtomicU64; 2],
    bits: [AtomicU64; 1],
    pins: [AtomicU64; 1],
}

#[derive(Clone, Copy)]
pub struct Control(&'static State);

impl Control {
    /// With `refs` references on frame 0. All other frames are used by somebody.
    pub fn new(refs: u32) -> Self {
        let bits = if refs == 0 { !1 } else { !0 };
        Control(Box::leak(Box::new(State {
            counters: Counters::default(),
            refs: [AtomicU32::new(refs), AtomicU32::new(1)],
            views: [AtomicU64::new(0), AtomicU64::new(0)],
            bits: [AtomicU64::new(bits)],
            pins: [AtomicU64::new(0)],
        })))
    }
    pub fn geometry(&self) -> Geometry {
        Geometry { frames: BLOCK_FRAMES as u32 }
    }
    pub fn counters(&self) -> &'static Counters {
        &self.0.counters
    }
    pub fn refs(&self) -> &'static [AtomicU32] {
        &self.0.refs
    }
    pub fn views(&self) -> &'static [AtomicU64] {
        &self.0.views
    }
    pub fn frame_bits(&self) -> &'static [AtomicU64] {
        &self.0.bits
    }
    pub fn pins(&self) -> &'static [AtomicU64] {
        &self.0.pins
    }
}

#[derive(Default)]
pub struct InodeSlot {
    pub lock: RobustLock,
    pub version: AtomicU64,
}
