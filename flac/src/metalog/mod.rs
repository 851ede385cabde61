//! The metalog: redo records, checkpoints, recovery. Knows no inode: a record is puts and deletes of keys.
