//! What was looked up lately: a walk looks up the name that the change behind it looks up again, and all walks the same few directories.
//!
//! An answer holds for one commit of the KV only; a commit is hundreds of changes, see [`crate::metalog`].

use std::sync::Mutex;

/// Answers kept.
const SLOTS: usize = 64;
/// Longer keys are not kept.
const KEY: usize = 64;

/// Answers to look-ups, by the hash of the key.
pub(super) struct Recent {
    /// On the heap: whoever opens an environment may have a stack of 16 KiB.
    slots: Box<[Mutex<Answer>]>,
}

/// Where the value lies in the map, as address and length, if there is one.
pub(super) type Place = Option<(usize, usize)>;

struct Answer {
    /// The number of the commit that was asked; 0: none.
    number: u64,
    len: u8,
    key: [u8; KEY],
    place: Place,
}

impl Recent {
    pub(super) fn new() -> Self {
        const NONE: Answer = Answer { number: 0, len: 0, key: [0; KEY], place: None };
        Self { slots: (0..SLOTS).map(|_| Mutex::new(NONE)).collect() }
    }

    /// What commit `number` has for `key`, if it is known; else what `find` says, which is noted.
    pub(super) fn get<E>(&self, number: u64, key: &[u8], find: impl FnOnce() -> Result<Place, E>) -> Result<Place, E> {
        let slot = &self.slots[hash(key) % SLOTS];
        if key.len() > KEY {
            return find();
        }
        // Whoever has the lock may be a thread that a fork left behind: nobody waits.
        if let Ok(answer) = slot.try_lock()
            && answer.number == number
            && answer.key[..answer.len.into()] == *key
        {
            return Ok(answer.place);
        }
        let place = find()?;
        if let Ok(mut answer) = slot.try_lock() {
            (answer.number, answer.len, answer.place) = (number, key.len() as u8, place);
            answer.key[..key.len()].copy_from_slice(key);
        }
        Ok(place)
    }
}

fn hash(key: &[u8]) -> usize {
    let (words, rest) = key.as_chunks::<8>();
    let last = rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    (words.iter().fold(mix(0, last), |hash, word| mix(hash, u64::from_le_bytes(*word))) >> 32) as usize
}
