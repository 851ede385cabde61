//! The checkpoint in the making, as all processes see it: whoever comes by writes the next piece of it.

use super::checkpoint::{Stage, Work};
use crate::media::layout::Position;
use crate::sync::{AtomicU32, AtomicU64, Ordering, RobustLock};
use crate::units::Seq;

/// Fewer pairs are not worth a piece of their own.
const PIECE: u64 = if cfg!(test) { 1 } else { 512 };
/// Words that hold the longest key.
const KEY_WORDS: usize = 64;

/// How far it has got. Lives in shared memory; all zero: there is none.
#[derive(Default)]
#[repr(C)]
pub(super) struct Making {
    /// Held by whoever begins, writes a piece, or finishes.
    pub lock: RobustLock,
    /// Which of the notes counts (+1); 0: no checkpoint is in the making. Whoever dies while he writes the other one leaves this one.
    current: AtomicU32,
    notes: [Note; 2],
    /// Pairs that there will be, about, and that there are.
    total: AtomicU64,
    done: AtomicU64,
    /// Bytes of the log that were used when it began.
    begun: AtomicU64,
    /// How many were begun.
    pub count: AtomicU64,
    /// After one that failed: none is begun before the log has so many bytes.
    later: AtomicU64,
}

/// A [`Work`], as words.
#[derive(Default)]
#[repr(C)]
struct Note {
    generation: AtomicU64,
    tail: AtomicU64,
    seq: AtomicU64,
    salt: AtomicU64,
    writer: [AtomicU32; 2],
    stage: AtomicU64,
    whole: AtomicU64,
    at: AtomicU64,
    pairs: AtomicU32,
    key_len: AtomicU32,
    key: [[AtomicU64; KEY_WORDS / 2]; 2],
}

impl Making {
    /// Whether there is one.
    pub(super) fn is_under_way(&self) -> bool {
        self.current.load(Ordering::Acquire) != 0
    }

    /// Notes that one begins, which will have about `total` pairs. Needs the lock, as all that follow.
    pub(super) fn begin(&self, work: &Work, total: u64) {
        self.total.store(total, Ordering::Relaxed);
        self.begun.store(work.position.tail, Ordering::Relaxed);
        self.later.store(0, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.note(work);
    }

    /// Notes how far it has got; what the file holds up to there is written.
    pub(super) fn note(&self, work: &Work) {
        let next = 1 - (self.current.load(Ordering::Relaxed).max(1) - 1) as usize;
        self.notes[next].set(work);
        self.done.store(work.pairs.into(), Ordering::Relaxed);
        self.current.store(next as u32 + 1, Ordering::Release);
    }

    /// How far it has got; `None`: there is none.
    pub(super) fn load(&self) -> Option<Work> {
        let current = self.current.load(Ordering::Acquire).checked_sub(1)?;
        Some(self.notes.get(current as usize)?.get())
    }

    /// It is done, or given up.
    pub(super) fn end(&self) {
        self.current.store(0, Ordering::Release);
    }

    /// It failed: the next one has time until the log has `used` bytes.
    pub(super) fn postpone(&self, used: u64) {
        self.later.store(used, Ordering::Relaxed);
    }

    /// Whether it is time to begin one, in a log of `len` bytes of which `used` are used.
    pub(super) fn is_due(&self, used: u64, len: u64) -> bool {
        used > len / 2 && used >= self.later.load(Ordering::Relaxed)
    }

    /// How many pairs should be written by now that are not, so that it is done long before the log is full, and nobody ever has much to do for it.
    pub(super) fn lag(&self, used: u64, len: u64) -> u64 {
        let begun = self.begun.load(Ordering::Relaxed);
        let budget = ((len / 4 * 3).saturating_sub(begun) / 2).max(len / 16).max(1);
        let (total, done) = (self.total.load(Ordering::Relaxed), self.done.load(Ordering::Relaxed));
        let share = u128::from(total) * u128::from(used.saturating_sub(begun)) / u128::from(budget);
        match u64::try_from(share) {
            // `total` is what it was at the beginning: the end is where the keys end.
            Ok(want) if want < total => Some(want.saturating_sub(done)).filter(|lag| *lag >= PIECE).unwrap_or(0),
            _ => total.saturating_sub(done).max(PIECE),
        }
    }

    /// Whether so much is undone that the log may be full before it is done.
    pub(super) fn is_late(&self, used: u64, len: u64) -> bool {
        used >= len / 4 * 3 || self.is_under_way() && self.lag(used, len) > self.total.load(Ordering::Relaxed) / 8 + PIECE
    }
}

impl Note {
    fn words(&self) -> impl Iterator<Item = &AtomicU64> {
        self.key.iter().flatten()
    }

    fn set(&self, work: &Work) {
        let p = &work.position;
        for (word, value) in
            [(&self.generation, p.generation), (&self.tail, p.tail), (&self.seq, p.seq.get()), (&self.salt, p.salt), (&self.at, work.at)]
        {
            word.store(value, Ordering::Relaxed);
        }
        let (stage, whole) = match work.stage {
            Stage::Write => (0, Seq::new(0)),
            Stage::Log(whole) => (1, whole),
            Stage::Frames(whole) => (2, whole),
            Stage::Name(whole) => (3, whole),
        };
        self.stage.store(stage, Ordering::Relaxed);
        self.whole.store(whole.get(), Ordering::Relaxed);
        self.writer.iter().zip(work.writer).for_each(|(word, value)| word.store(value as u32, Ordering::Relaxed));
        self.pairs.store(work.pairs, Ordering::Relaxed);
        self.key_len.store(work.key.len() as u32, Ordering::Relaxed);
        for (word, bytes) in self.words().zip(work.key.chunks(8)) {
            let mut value = [0; 8];
            value[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(value), Ordering::Relaxed);
        }
    }

    fn get(&self) -> Work {
        let get = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let seq = Seq::new(get(&self.seq));
        let mut key: Vec<u8> = self.words().flat_map(|word| get(word).to_le_bytes()).collect();
        key.truncate(self.key_len.load(Ordering::Relaxed) as usize);
        Work {
            position: Position { generation: get(&self.generation), tail: get(&self.tail), seq, salt: get(&self.salt), known: seq },
            writer: [0, 1].map(|i| self.writer[i].load(Ordering::Relaxed) as i32),
            stage: match (get(&self.stage), Seq::new(get(&self.whole))) {
                (0, _) => Stage::Write,
                (1, whole) => Stage::Log(whole),
                (2, whole) => Stage::Frames(whole),
                (_, whole) => Stage::Name(whole),
            },
            at: get(&self.at),
            pairs: self.pairs.load(Ordering::Relaxed),
            key,
        }
    }
}
