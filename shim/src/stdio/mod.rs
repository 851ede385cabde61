//! Streams (`FILE`) over descriptors that are, or may become, FLAC's.
//!
//! libc makes the system calls of its streams inside itself, where no symbol reaches. So a stream on a FLAC file is a *dispatching stream*: one
//! made by `fopencookie`, whose four functions call the hooks `read`, `write`, `lseek64` and `close` on its `_fileno`. Each call looks at
//! what the descriptor is at that moment, so the stream follows a `dup2` to a file of the kernel and back.
//!
//! * [`file`]: the part of `FILE`'s layout that we use, and the check that this libc has it.
//! * [`cookie`]: makes dispatching streams, and turns one of libc's into one (`freopen` must return the same pointer).
//! * [`standard`]: stdin, stdout and stderr, replaced at start-up. [`last`]: the moment after the last flush. [`mode`]: mode strings.
//! * [`reopen`]: `freopen`. [`transfer`]: large `fread`s without the stream's buffer. [`wide`]: wide characters, [`charset`]: in a set of their own; [`scan`]: their `scanf`. [`command`]: `popen`.
//!
//! Nothing here runs under [`boundary::Inside`](crate::boundary::Inside) while libc works on a stream: its functions would find the thread inside,
//! and go to the kernel.

pub mod charset;
pub mod command;
pub mod cookie;
pub mod file;
pub mod last;
pub mod mode;
pub mod reopen;
pub mod scan;
pub mod standard;
pub mod transfer;
pub mod wide;
