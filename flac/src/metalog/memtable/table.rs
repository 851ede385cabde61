//! The tables in shared memory, and which of them counts. `tests/loom` checks this file.

use super::item::{Item, PREFIX, prefix_hash};
use super::scan::{Found, Newest, head};
use crate::error::{Error, Result};
use crate::media::layout::{LOG_START, Position, RECORD_ALIGN};
use crate::media::mapped::Mapped;
use crate::metalog::logs::Logs;
use crate::sync::{AtomicU64, Ordering, fence};
use crate::units::Seq;
use std::collections::BTreeMap;

/// Entries of a table: puts and deletes that are folded together. More save work where the same keys change again and again; a fold stops all writers.
pub(in crate::metalog) const ENTRIES: usize = if cfg!(test) { 24 } else { 512 };
/// Entries that one change may take, and bytes of its keys and values; what needs more goes to the KV directly.
pub(in crate::metalog) const ROOM: (usize, u64) = if cfg!(test) { (6, 4 << 10) } else { (64, 32 << 10) };
/// Bytes of keys and values in a table, after which it is folded.
const BYTES: u64 = 256 << 10;
/// Tables, used in turn.
const TABLES: usize = 4;
/// Generations after its own for which a table stays as it is.
const STAYS: u32 = TABLES as u32 - 2;
const BUCKETS: usize = ENTRIES.next_power_of_two();
/// Words of an entry: hash, place, lengths, chains.
const WORDS: usize = 4;
const NOTES: usize = 4;
const NOTE_WORDS: usize = 8;
/// Where things lie in the file, in words.
const WORD: usize = 0;
const UNFINISHED: usize = 1;
const MENDS: usize = 2;
const NOTE: usize = 8;
const FIRST_TABLE: usize = 64;
const TABLE: usize = BUCKETS + ENTRIES * WORDS;
/// Bytes of all tables.
pub(in crate::metalog) const LEN: usize = (FIRST_TABLE + TABLES * TABLE) * 8;

const PUT: u64 = 1 << 16;

/// What counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::metalog) struct Note {
    pub generation: u32,
    /// Entries that count, and the bytes of their keys and values.
    pub entries: usize,
    pub bytes: u64,
    /// The KV's transaction that the entries come on top of.
    pub base: u64,
    /// The place in the log behind the last entry.
    pub position: Position,
}

/// The entries that a reader has seen: always the same ones.
#[derive(Debug, Clone, Copy)]
pub(in crate::metalog) struct Seen {
    generation: u32,
    entries: usize,
    /// The generation of the log that they lie in.
    log: u64,
    /// How often the tables had been mended.
    mends: u64,
}

impl Note {
    /// Whether the position is one that a log of `len` bytes can have.
    pub(in crate::metalog) fn is_sound(&self, len: u64) -> bool {
        let Position { generation, tail, seq, .. } = self.position;
        let counted = (1..1 << 32).contains(&generation) && seq.get() < 1 << 62;
        counted && self.bytes <= BYTES && (LOG_START..=len).contains(&tail) && tail.is_multiple_of(RECORD_ALIGN as u64)
    }

    /// Whether a change of any size up to [`ROOM`] fits behind the entries.
    pub(in crate::metalog) fn has_room(&self) -> bool {
        self.entries + ROOM.0 <= ENTRIES && self.bytes + ROOM.1 <= BYTES
    }
}

/// The shared tables, mapped.
pub(in crate::metalog) struct Memtable {
    map: Mapped,
}

/// One table of the four.
struct Table<'m> {
    buckets: &'m [AtomicU64],
    entries: &'m [AtomicU64],
}

impl Memtable {
    /// The tables in `map`, which has [`LEN`] bytes.
    pub(in crate::metalog) fn of(map: Mapped) -> Memtable {
        Memtable { map }
    }

    /// The whole file, to damage it.
    #[cfg(test)]
    pub(super) fn words(&self) -> &[AtomicU64] {
        self.map.words()
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        &self.map.words()[at]
    }

    fn table(&self, generation: u32) -> Table<'_> {
        let first = FIRST_TABLE + generation as usize % TABLES * TABLE;
        let (buckets, entries) = self.map.words()[first..first + TABLE].split_at(BUCKETS);
        Table { buckets, entries }
    }

    /// What counts now.
    pub(in crate::metalog) fn note(&self) -> Note {
        loop {
            let word = self.word(WORD).load(Ordering::Acquire);
            let note = self.note_of(word);
            fence(Ordering::Acquire);
            let later = (self.word(WORD).load(Ordering::Relaxed) as u32).wrapping_sub(word as u32);
            if later < NOTES as u32 - 1 {
                return note;
            }
        }
    }

    fn note_of(&self, word: u64) -> Note {
        let words = &self.map.words()[NOTE + word as usize % NOTES * NOTE_WORDS..][..NOTE_WORDS];
        let get = |i: usize| words[i].load(Ordering::Relaxed);
        let position = Position { generation: get(3), tail: get(4), seq: Seq::new(get(5)), salt: get(6), known: Seq::new(get(7)) };
        Note { generation: (word >> 32) as u32, entries: (get(0) as usize).min(ENTRIES), bytes: get(1), base: get(2), position }
    }

    /// The entries of `note`, for whoever looks at them from now on.
    pub(in crate::metalog) fn seen(&self, note: &Note) -> Seen {
        let mends = self.word(MENDS).load(Ordering::Acquire);
        Seen { generation: note.generation, entries: note.entries, log: note.position.generation, mends }
    }

    /// Makes `note` count. Needs the writer lock, as all that follow.
    fn publish(&self, note: &Note) {
        let word = self.word(WORD).load(Ordering::Relaxed);
        let count = (word as u32).wrapping_add(1);
        let words = &self.map.words()[NOTE + count as usize % NOTES * NOTE_WORDS..][..NOTE_WORDS];
        let p = &note.position;
        let values = [note.entries as u64, note.bytes, note.base, p.generation, p.tail, p.seq.get(), p.salt, p.known.get()];
        for (word, value) in words.iter().zip(values) {
            word.store(value, Ordering::Release);
        }
        super::step();
        self.word(WORD).store(u64::from(note.generation) << 32 | u64::from(count), Ordering::Release);
        // Before what a later generation stores into the tables.
        fence(Ordering::Release);
    }

    /// Begins an empty generation on top of the KV's transaction `base`, which is applied up to `position`.
    pub(in crate::metalog) fn begin(&self, base: u64, position: Position) -> Note {
        let old = self.note();
        // When the log was changed, the file of the one before the last will be written over: nobody may look there any more. (Five, not four: the
        // table to be emptied must be one that nobody looks at.)
        let steps = if old.position.generation == position.generation { 1 } else { TABLES as u32 + 1 };
        let note = Note { generation: old.generation.wrapping_add(steps), entries: 0, bytes: 0, base, position };
        self.table(note.generation).buckets.iter().for_each(|bucket| bucket.store(0, Ordering::Release));
        self.word(UNFINISHED).store(0, Ordering::Release);
        super::step();
        self.publish(&note);
        note
    }

    /// Takes out of the chains what a writer entered who died before it counted: another record may get its place.
    pub(in crate::metalog) fn mend(&self, note: &Note) -> Result<()> {
        if self.word(UNFINISHED).load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        let table = self.table(note.generation);
        for bucket in table.buckets {
            let heads = bucket.load(Ordering::Relaxed);
            let key = table.first_before(heads as u32, note.entries, 0)?;
            let prefix = table.first_before((heads >> 32) as u32, note.entries, 32)?;
            bucket.store(u64::from(prefix) << 32 | u64::from(key), Ordering::Release);
        }
        // A reader who has come as far as such an entry would go on from there in the chain of another key. Not before the chains are mended: who begins to look in between may
        // come there, too.
        self.word(MENDS).fetch_add(1, Ordering::AcqRel);
        // Before what is entered in the place.
        fence(Ordering::Release);
        self.word(UNFINISHED).store(0, Ordering::Release);
        Ok(())
    }

    /// Enters `items`, which begin at byte `start` of the log, and makes them count, with `position` behind them. There is room for them.
    pub(in crate::metalog) fn enter(&self, note: &Note, items: &[Item], start: u64, position: Position) -> Note {
        let table = self.table(note.generation);
        self.word(UNFINISHED).store(1, Ordering::Release);
        for (i, item) in (note.entries..).zip(items) {
            let (bucket, by_prefix) = (&table.buckets[item.hash as usize % BUCKETS], &table.buckets[item.prefix as usize % BUCKETS]);
            let lengths = u64::from(item.value_len) << 32 | if item.put { PUT } else { 0 } | u64::from(item.key_len);
            let chains = by_prefix.load(Ordering::Relaxed) >> 32 << 32 | bucket.load(Ordering::Relaxed) & u64::from(u32::MAX);
            for (word, value) in table.entries[i * WORDS..].iter().zip([item.hash, start + item.at, lengths, chains]) {
                word.store(value, Ordering::Release);
            }
            let number = i as u64 + 1;
            super::step();
            bucket.store(bucket.load(Ordering::Relaxed) >> 32 << 32 | number, Ordering::Release);
            super::step();
            by_prefix.store(number << 32 | by_prefix.load(Ordering::Relaxed) & u64::from(u32::MAX), Ordering::Release);
            super::step();
        }
        let bytes = note.bytes + items.iter().map(Item::len).sum::<u64>();
        let note = Note { entries: note.entries + items.len(), bytes, position, ..*note };
        self.publish(&note);
        super::step();
        self.word(UNFINISHED).store(0, Ordering::Release);
        note
    }

    /// Whether the tables still have what was seen. What was read of them and of the log before this call was right then.
    pub(in crate::metalog) fn has(&self, seen: &Seen) -> bool {
        fence(Ordering::Acquire);
        let now = (self.word(WORD).load(Ordering::Relaxed) >> 32) as u32;
        now.wrapping_sub(seen.generation) <= STAYS && self.word(MENDS).load(Ordering::Relaxed) == seen.mends
    }

    /// The newest entry of `key`, whose hash is `hash`, as `value` makes it of where it lies (it fails if that is nowhere); the inner `None`: it was deleted.
    ///
    /// # Errors
    /// `Corrupt`: the tables make no sense, or are no longer what was seen.
    pub(in crate::metalog) fn find<V>(
        &self,
        seen: &Seen,
        logs: &Logs,
        key: &[u8],
        hash: u64,
        value: impl FnOnce(u64, u64, usize) -> Option<V>,
    ) -> Result<Option<Option<V>>> {
        let table = self.table(seen.generation);
        let mut number = table.buckets[hash as usize % BUCKETS].load(Ordering::Acquire) as u32;
        while number != 0 {
            let (item, next) = table.entry(number, 0)?;
            if number as usize <= seen.entries && item.hash == hash && usize::from(item.key_len) == key.len() {
                let same = logs.compare(seen.log, item.at, key).ok_or_else(damaged)?;
                if same && !item.put {
                    return Ok(Some(None));
                }
                if same {
                    logs.contains(item.at, item.len()).ok_or_else(damaged)?;
                    let found = value(seen.log, item.at + key.len() as u64, item.value_len as usize);
                    return found.map(|value| Some(Some(value))).ok_or_else(damaged);
                }
            }
            number = next;
        }
        Ok(None)
    }

    /// Adds the entries with keys that begin with `prefix` and are not below `from`, newest first.
    ///
    /// # Errors
    /// As of [`Memtable::find`].
    pub(in crate::metalog) fn collect(&self, seen: &Seen, logs: &Logs, prefix: &[u8], from: &[u8], found: &mut Found) -> Result<()> {
        let table = self.table(seen.generation);
        let mut add = |item: &Item| {
            logs.contains(item.at, item.len())?;
            found.add(item, |to| logs.copy(seen.log, item.at, to), |key| key.starts_with(prefix) && key >= from)
        };
        if prefix.len() < PREFIX {
            for number in (1..=seen.entries as u32).rev() {
                add(&table.entry(number, 0)?.0).ok_or_else(damaged)?;
            }
            return Ok(());
        }
        let hash = prefix_hash(prefix);
        let mut number = (table.buckets[hash as usize % BUCKETS].load(Ordering::Acquire) >> 32) as u32;
        while number != 0 {
            let (item, next) = table.entry(number, 32)?;
            if number as usize <= seen.entries {
                add(&item).ok_or_else(damaged)?;
            }
            number = next;
        }
        Ok(())
    }
}

impl Memtable {
    /// The newest entry of each key, in key order. Needs the writer lock.
    pub(in crate::metalog) fn newest<'m>(&self, note: &Note, logs: &'m Logs) -> Result<Vec<Newest<'m>>> {
        let table = self.table(note.generation);
        let log = note.position.generation;
        let key_of = |item: &Item| logs.bytes(log, item.at, item.key_len.into()).ok_or_else(damaged);
        let mut older = [false; ENTRIES];
        // By their first byte: what was made in order comes in order then, which the sort sees; one list of all that changes by turns it would have to sort.
        let mut lists: BTreeMap<u8, Vec<(u128, Newest<'m>)>> = BTreeMap::new();
        for number in (1..=note.entries as u32).rev() {
            if older[number as usize - 1] {
                continue;
            }
            let (item, mut next) = table.entry(number, 0)?;
            let key = key_of(&item)?;
            while next != 0 {
                let (other, after) = table.entry(next, 0)?;
                older[next as usize - 1] |= other.hash == item.hash && key_of(&other)? == key;
                next = after;
            }
            let value = logs.bytes(log, item.at, item.len() as usize).ok_or_else(damaged)?.split_at(key.len()).1;
            let list = lists.entry(*key.first().ok_or_else(damaged)?).or_insert_with(|| Vec::with_capacity(note.entries));
            list.push((head(key), (key, item.put.then_some(value))));
        }
        let mut newest = Vec::with_capacity(note.entries);
        for mut list in lists.into_values() {
            list.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.0.cmp(b.1.0)));
            newest.extend(list.into_iter().map(|(_, pair)| pair));
        }
        Ok(newest)
    }
}

impl Table<'_> {
    /// Entry `number` (from 1) and the number of the next one in one of its chains: that of its key (`shift` 0) or of its prefix (32).
    fn entry(&self, number: u32, shift: u32) -> Result<(Item, u32)> {
        if number as usize > ENTRIES {
            return Err(damaged());
        }
        let words = &self.entries[(number as usize - 1) * WORDS..][..WORDS];
        let [hash, at, lengths, chains] = [0, 1, 2, 3].map(|i: usize| words[i].load(Ordering::Relaxed));
        let next = (chains >> shift) as u32;
        // Chains go from new to old, so each comes to its end.
        if next >= number {
            return Err(damaged());
        }
        let item = Item { hash, at, key_len: lengths as u16, value_len: (lengths >> 32) as u32, put: lengths & PUT != 0, prefix: 0 };
        Ok((item, next))
    }

    /// The first number in a chain that is among the first `entries`.
    fn first_before(&self, mut number: u32, entries: usize, shift: u32) -> Result<u32> {
        while number as usize > entries {
            number = self.entry(number, shift)?.1;
        }
        Ok(number)
    }
}

pub(in crate::metalog) fn damaged() -> Error {
    Error::Unusable(
        "the index of the log in the run directory is damaged: end all programs that use the pool, then remove the run directory".into(),
    )
}
