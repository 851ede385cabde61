//! What walks directories inside libc: glob, wordexp, ftw, nftw, fts. Served over our own `opendir`, `readdir` and `stat` hooks, whatever the path: a walk
//! that begins outside may lead into FLAC.

mod fts;
mod glob;
mod tree;
mod words;
