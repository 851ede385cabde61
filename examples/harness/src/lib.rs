//! What the benchmarks share: the file systems they compare (`arena`, `mounts`, `system`), and the file of results that each run
//! adds its rows to (`results`, `machine`). `charts` draws that file.

mod arena;
mod build;
mod machine;
mod mounts;
mod results;
mod system;

pub use arena::{Arena, ArenaOptions, Frames, identity};
pub use build::{profile_directory, sibling};
pub use machine::{Machine, commit, today};
pub use results::{Entry, Limit, Results, Sample, Target, median};
pub use system::System;
