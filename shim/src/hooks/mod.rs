//! The calls, one file a family. A body is safe code: where does this go (`paths`, `fds`), then one call of `flac`.

pub mod close;
pub mod descriptor;
pub mod open;
pub mod process;
pub mod stdio;
pub mod temp;
pub mod walkers;
