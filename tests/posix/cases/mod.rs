//! The claims, a topic a file.

use crate::case::{Dir, Outcome};

macro_rules! topics {
    ($($topic:ident)*) => {
        $(mod $topic;)*

        /// Every case, as `topic::name`.
        pub fn all() -> Vec<(String, fn(&Dir) -> Outcome)> {
            let mut all = Vec::new();
            $(all.extend($topic::CASES.iter().map(|(name, body)| (format!("{}::{name}", stringify!($topic)), *body)));)*
            all
        }
    };
}

topics! {
    open
    open_errors
    openat2
    readwrite
    small
    vectors
    refusals
    control
    handles
    seek
    append
    offsets
    truncate
    fallocate
    holes
    unlink
    rename
    border
    directories
    modes
    permissions
    stat
    times
    symlinks
    cwd
    readdir
    walks
    descriptors
    exec
    running
    posix_locks
    ofd_locks
    flock
    mmap
    mmap_cuts
    transfer
    xattr
    acl
    stdio
    stdio_process
    temporary
    filesystem
    names
    sockets
    inotify
    inotify_order
    signals
    threads
    clones
    buffers
    buffers_after
}
