//! The namespace against the kernel's: every operation is done on a tree in FLAC and on one in a tmpfs, and the results are compared.

mod damage;
pub(crate) mod fixture;
mod flac_side;
mod kernel_side;
mod op;
mod random;
mod rules;
mod times;
