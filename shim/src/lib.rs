//! `libflacshim.so`: programs that nobody changed use a FLAC pool, by `LD_PRELOAD`.
//!
//! Owns what a process has of its own: descriptors, the working directory, streams, the environment. Calls `flac` for
//! everything else, and stores no file data. In the order of dependence:
//!
//! * [`real`], [`next`]: the functions of libc behind ours. [`log`]: lines for people. [`config`]: the environment, read once.
//! * [`thread`]: what each thread has of ours. [`boundary`]: the one way from C into our code and back; [`hook`]: the one macro that exports a symbol.
//! * [`abi`]: what C hands us, in types that only C can make.
//! * [`space`]: the process's one `flac::Fs`. [`fds`], [`stubs`]: kernel descriptors that stand for open files; [`uses`]: which ones a call is about. [`cwd`], [`paths`]: names.
//! * [`hooks`]: the calls, one file a family. `HOOKS.txt` lists every symbol.

#![cfg_attr(test, allow(dead_code, unused_macros, reason = "the hooks are left out: the test runner would call them"))]

#[macro_use]
mod hook;
#[macro_use]
mod export;
#[macro_use]
mod variadic;

mod abi;
mod attributes;
mod blocks;
mod boundary;
mod config;
mod copying;
mod creds;
mod cwd;
mod fds;
mod files;
#[cfg(not(test))]
mod hooks;
mod limits;
mod locked;
mod log;
mod memory;
mod mounts;
mod next;
mod nodes;
mod paths;
mod patterns;
mod pipes;
mod quick;
mod ranges;
mod real;
mod requests;
mod signals;
mod sockets;
mod space;
mod stack;
#[cfg(not(test))]
mod start;
mod stats;
#[cfg(not(test))]
mod stdio;
mod streams;
mod stubs;
mod thread;
mod transfer;
#[cfg(test)]
mod unhooked;
mod uses;
#[cfg(not(test))]
mod vectors;
