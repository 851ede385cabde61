//! FLAC.
