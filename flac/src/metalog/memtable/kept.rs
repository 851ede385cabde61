//! Values copied out of the log, which live as long as the transaction that asked for them.

use std::cell::{Cell, OnceCell};

/// Values of up to so many bytes are kept without an allocation: an inode record, an entry of a directory.
const SMALL: usize = 103;
/// So many of them.
const FEW: usize = 4;
/// Places in the first allocation, and how many times more each next one has.
const FIRST: usize = 16;
const MORE: usize = 8;

struct Small {
    len: u8,
    bytes: [u8; SMALL],
}

/// Copies that stay where they are. Grows only.
#[derive(Default)]
pub(in crate::metalog) struct Kept {
    levels: OnceCell<Box<[Level; 8]>>,
    used: Cell<usize>,
}

type Level = OnceCell<Box<[OnceCell<Box<[u8]>>]>>;

/// The same, with room for a few small ones in itself.
#[derive(Default)]
pub(super) struct Few {
    small: [OnceCell<Small>; FEW],
    used: Cell<usize>,
    more: Kept,
}

impl Few {
    /// The copies that found no room.
    pub(super) fn more(&self) -> &Kept {
        &self.more
    }

    /// Keeps `len` bytes, which `fill` writes; `None` if it fails.
    pub(super) fn fill(&self, len: usize, fill: impl FnOnce(&mut [u8]) -> Option<()>) -> Option<&[u8]> {
        let used = self.used.get();
        if len > SMALL || used == FEW {
            let mut bytes = vec![0; len].into_boxed_slice();
            fill(&mut bytes)?;
            return Some(self.more.keep(bytes));
        }
        let mut small = Small { len: len as u8, bytes: [0; SMALL] };
        fill(&mut small.bytes[..len])?;
        self.used.set(used + 1);
        let small = self.small[used].get_or_init(|| small);
        Some(&small.bytes[..small.len.into()])
    }
}

impl Kept {
    /// Keeps `bytes`.
    pub(in crate::metalog) fn keep(&self, bytes: Box<[u8]>) -> &[u8] {
        let nth = self.used.get();
        self.used.set(nth + 1);
        let (mut level, mut within, mut len) = (0, nth, FIRST);
        while within >= len {
            (level, within, len) = (level + 1, within - len, len * MORE);
        }
        let cells = self.levels.get_or_init(Box::default)[level].get_or_init(|| (0..len).map(|_| OnceCell::new()).collect());
        cells[within].get_or_init(|| bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_stays() {
        let kept = Few::default();
        let len = |i: usize| i * 7 % 300;
        let all: Vec<&[u8]> = (0..1000)
            .map(|i| {
                let fill = |to: &mut [u8]| {
                    to.fill(i as u8);
                    Some(())
                };
                assert_eq!(kept.fill(len(i), |_| None), None);
                kept.fill(len(i), fill).expect("filled")
            })
            .collect();
        for (i, bytes) in all.into_iter().enumerate() {
            assert_eq!(bytes, vec![i as u8; len(i)]);
        }
    }
}
