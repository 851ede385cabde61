//! Processes: fork, exec, spawn, and their end. Descriptors are the kernel's business; what goes along here is the process's holds.

pub mod clone;
pub mod environment;
pub mod exec;
pub mod fork;
pub mod image;
pub mod leave;
pub mod libraries;
pub mod library;
mod needed;
mod preload;
mod script;
pub mod shell;
pub mod spawn;
pub mod threads;
