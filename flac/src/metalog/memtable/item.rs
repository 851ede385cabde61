//! Where a put or a delete lies in a record.

use crate::error::{Error, Result};
use crate::metalog::record::{Part, parts};

/// A put or a delete of a record. The value lies behind the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::metalog) struct Item {
    /// Hash of the key.
    pub hash: u64,
    /// Where the key lies: in the record while that is made, in the log afterwards.
    pub at: u64,
    pub key_len: u16,
    pub value_len: u32,
    pub put: bool,
    /// Hash of the first bytes of the key, as [`prefix_hash`] makes it.
    pub prefix: u32,
}

/// Bytes by which keys that are scanned together agree.
pub(super) const PREFIX: usize = 9;

impl Item {
    /// For the part of a record that ends at byte `end` of it.
    pub(in crate::metalog) fn new(key: &[u8], value: Option<&[u8]>, end: usize) -> Item {
        let value_len = value.map_or(0, <[u8]>::len);
        Item {
            hash: hash(key),
            at: (end - value_len - key.len()) as u64,
            key_len: key.len() as u16,
            value_len: value_len as u32,
            put: value.is_some(),
            prefix: prefix_hash(key),
        }
    }

    /// Bytes of key and value.
    pub(in crate::metalog) fn len(&self) -> u64 {
        u64::from(self.key_len) + u64::from(self.value_len)
    }

    /// Key and value among `bytes`, in which `at` counts.
    pub(in crate::metalog) fn of<'b>(&self, bytes: &'b [u8]) -> (&'b [u8], &'b [u8]) {
        bytes[self.at as usize..][..self.len() as usize].split_at(self.key_len.into())
    }
}

/// The puts and deletes of a payload whose checksum was right; they count from its start.
///
/// # Errors
/// `Corrupt` if it makes no sense all the same.
pub(in crate::metalog) fn items(payload: &[u8]) -> Result<Vec<Item>> {
    let end = |part: &[u8]| part.as_ptr() as usize + part.len() - payload.as_ptr() as usize;
    let mut items = Vec::new();
    for part in parts(payload) {
        match part {
            Some(Part::Put(key, value)) => items.push(Item::new(key, Some(value), end(value))),
            Some(Part::Delete(key)) => items.push(Item::new(key, None, end(key))),
            Some(Part::Guard(..) | Part::Epoch(_) | Part::Data(..)) => {}
            None => return Err(Error::Corrupt("a log record makes no sense: restore the pool from a copy".into())),
        }
    }
    Ok(items)
}

/// A hash of `bytes`; the same in every process.
pub(in crate::metalog) fn hash(bytes: &[u8]) -> u64 {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    let mix = |hash: u64, word: u64| {
        let product = u128::from(hash ^ word) * u128::from(ODD);
        (product as u64) ^ (product >> 64) as u64
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(bytes.len() as u64 ^ ODD, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let last = rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    mix(hash, last)
}

/// A hash of what keys that are scanned together begin with. Shorter keys are scanned by nobody who asks for it.
pub(super) fn prefix_hash(key: &[u8]) -> u32 {
    hash(&key[..key.len().min(PREFIX)]) as u32
}
