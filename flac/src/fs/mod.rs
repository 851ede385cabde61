//! FlacFS: names, inodes, permissions, file I/O. Knows no descriptor, no libc symbol, no environment variable.
//!
//! [`Fs`] is one process's view of one pool. Its methods are grouped by file:
//! `names` (resolve, create, remove, rename), `attr` (attributes), `dirs`, `xattr`, `open` (open-file slots and holds), `io`, `map`, `locks`.

pub mod attr;
pub mod open;
pub mod io;
pub mod names;

/// One process's view of one pool. Threads share it; after a fork the child calls [`Fs::after_fork_child`].
pub struct Fs {
    _private: (),
}
