//! flac's own source files, compiled with loom's atomics and a control segment of a few words: what the tests below say holds under every interleaving
//! (and every reordering that the memory orders allow) of the threads in them. Whole frames are one cell here, so that a write to a frame that
//! somebody sees is a data race, which loom reports.
#![cfg(test)]
#![allow(dead_code, reason = "only a part of each file is called")]

mod error;
#[path = "../../../flac/src/frame.rs"]
mod frame;
#[path = "../../../flac/src/inode/guard.rs"]
mod guard;
mod media;
mod metalog;
mod region;
mod sync;
mod units;

mod frames;
mod locks;
