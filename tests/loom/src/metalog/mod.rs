//! What the memtable's tables need of the metalog.

pub mod logs;
pub mod memtable;
mod tests;
