//! As flac's, as far as it is used here.

#[derive(Debug)]
pub enum Error {
    Unusable(String),
}

pub type Result<T> = std::result::Result<T, Error>;
