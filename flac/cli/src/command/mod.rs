//! The subcommands, a file each.

pub mod check;
pub mod export;
pub mod fsck;
pub mod import;
pub mod info;
pub mod map;
pub mod mkfs;
pub mod mount;
pub mod run;
pub mod setup;
pub mod stop;
pub mod sync;
pub mod writeback;
