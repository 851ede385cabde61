//! Locks on FLAC files.

/// The lock table.
#[repr(C)]
pub struct LocksShared {
    _words: [crate::sync::AtomicU64; 8],
}
