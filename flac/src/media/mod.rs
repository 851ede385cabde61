//! The pool's files: superblock and data frames on a block or memory medium. Knows no file, no inode, no record.
