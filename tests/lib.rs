//! The outside of FLAC: see `tests/` and `examples/`.

pub mod random;
