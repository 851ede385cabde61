//! Scans of the KV and of the entries on top of it, as one.

use super::item::Item;
use super::kept::Kept;
use crate::error::Result;
use crate::kv::{self, Pair};
use std::iter::Peekable;

/// The newest entry of a key: `None` was deleted.
pub(in crate::metalog) type Newest<'t> = (&'t [u8], Option<&'t [u8]>);

/// Entries found for a scan, newest first, copied.
#[derive(Default)]
pub(in crate::metalog) struct Found {
    bytes: Vec<u8>,
    /// Where key and value begin and end, and whether there is a value.
    places: Vec<(usize, usize, usize, bool)>,
}

impl Found {
    /// Adds `item`, whose key and value `copy` gives, if its key is `wanted`; `None` if `copy` fails.
    pub(in crate::metalog) fn add(
        &mut self,
        item: &Item,
        copy: impl FnOnce(&mut [u8]) -> Option<()>,
        wanted: impl FnOnce(&[u8]) -> bool,
    ) -> Option<()> {
        let start = self.bytes.len();
        self.bytes.resize(start + item.len() as usize, 0);
        copy(&mut self.bytes[start..])?;
        let middle = start + usize::from(item.key_len);
        if wanted(&self.bytes[start..middle]) {
            self.places.push((start, middle, self.bytes.len(), item.put));
        } else {
            self.bytes.truncate(start);
        }
        Some(())
    }

    /// The newest of each key, in key order.
    fn settle(self, kept: &Kept) -> Vec<Newest<'_>> {
        if self.places.is_empty() {
            return Vec::new();
        }
        let bytes = kept.keep(self.bytes.into_boxed_slice());
        let mut places: Vec<_> = self.places.into_iter().map(|place| (head(&bytes[place.0..place.1]), place)).collect();
        let key = |(_, (start, middle, ..)): &(u128, (usize, usize, usize, bool))| &bytes[*start..*middle];
        // Stable: of those with one key the newest stays first.
        places.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| key(a).cmp(key(b))));
        places.dedup_by(|a, b| a.0 == b.0 && key(a) == key(b));
        let pair =
            |(_, (start, middle, end, put)): (u128, (usize, usize, usize, bool))| (&bytes[start..middle], put.then(|| &bytes[middle..end]));
        places.into_iter().map(pair).collect()
    }
}

/// The first bytes of a key as a number, by which most keys can be told apart.
pub(super) fn head(key: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    let len = key.len().min(16);
    bytes[..len].copy_from_slice(&key[..len]);
    u128::from_be_bytes(bytes)
}

/// The pairs of a range of keys, in order.
pub struct Scan<'t> {
    below: Peekable<kv::Scan<'t>>,
    above: Peekable<std::vec::IntoIter<Newest<'t>>>,
}

/// `below` with `found` on top.
pub(in crate::metalog) fn merge<'t>(below: kv::Scan<'t>, found: Found, kept: &'t Kept) -> Scan<'t> {
    Scan { below: below.peekable(), above: found.settle(kept).into_iter().peekable() }
}

impl<'t> Iterator for Scan<'t> {
    type Item = Result<Pair<'t>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some((key, value)) = self.above.peek().copied() else { return self.below.next() };
            match self.below.peek() {
                Some(Ok((other, _))) if *other < key => return self.below.next(),
                Some(Ok((other, _))) if *other == key => drop(self.below.next()),
                Some(Err(_)) => return self.below.next(),
                _ => {}
            }
            self.above.next();
            if let Some(value) = value {
                return Some(Ok((key, value)));
            }
        }
    }
}
