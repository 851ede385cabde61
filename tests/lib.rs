//! The outside of FLAC: see `tests/` and `examples/`.
