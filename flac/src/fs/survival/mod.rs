//! What survives: random work on a small pool, power cuts at every step of it, damaged pools, full pools; each compared with a model.
//!
//! `model` is what the tree must be after each step, `work` does the same to a real pool, `look` reads a pool back and compares. `cuts`, `fuzz` and
//! `full` are the tests, `regression` has what they found; `crowd` runs the long ones in processes of their own, so that a hang or a crash is found and memory is given back. `child` is for tests elsewhere of what a process leaves that dies.

mod child;
mod crowd;
mod cuts;
mod full;
mod fuzz;
mod look;
mod model;
mod regression;
mod work;

pub use child::in_child;
pub use cuts::{geometry_on, make_file, make_pool, place, place_with_pool};
pub use look::WHO;
pub use work::open;
