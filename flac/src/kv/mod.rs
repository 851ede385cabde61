//! The metadata KV: an ordered map in shared memory (LMDB). Knows no inode, no record.
