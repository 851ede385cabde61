//! The payload of a record: puts, deletes, guards, data, or an epoch, one behind the other. The bytes are described in `flac/docs/format.md`.

use crate::media::layout::{Position, RECORD_HEADER, RecordHeader};
use crate::units::{PAGE, PoolFrame, Seq};

const PUT: u8 = 1;
const DELETE: u8 = 2;
const GUARD: u8 = 3;
const EPOCH: u8 = 4;
const DATA: u8 = 5;

/// One part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'b> {
    /// Sets a key.
    Put(&'b [u8], &'b [u8]),
    /// Removes a key.
    Delete(&'b [u8]),
    /// The record counts only if this frame has this CRC32C.
    Guard(PoolFrame, u32),
    /// Records from here on carry this salt.
    Epoch(u64),
    /// This frame has this content, and zeros behind it up to a page.
    Data(PoolFrame, &'b [u8]),
}

/// Bytes that a put takes in a record.
pub(crate) const fn put_space(key: usize, value: usize) -> usize {
    7 + key + value
}

/// Bytes that a delete takes.
pub(crate) const fn delete_space(key: usize) -> usize {
    3 + key
}

/// Bytes that a guard takes.
pub(crate) const GUARD_SPACE: usize = 9;

/// A record in the making.
#[derive(Debug, Clone, Default)]
pub(crate) struct Builder {
    /// The header's place, then the payload.
    bytes: Vec<u8>,
}

impl Builder {
    /// An empty record.
    pub(crate) fn new() -> Self {
        let mut record = Self::default();
        record.clear();
        record
    }

    /// Makes it an empty record, in the memory that it has.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.reserve(1024);
        self.bytes.resize(RECORD_HEADER, 0);
    }

    /// Whether nothing was added yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.len() == RECORD_HEADER
    }

    /// The parts that were added.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.bytes[RECORD_HEADER..]
    }

    /// Bytes of payload.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - RECORD_HEADER
    }

    /// The header's place and the payload.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds a part. Keys have at most 65,535 bytes, values fewer than 4 GiB.
    pub(crate) fn add(&mut self, part: Part<'_>) {
        let key_len = |key: &[u8]| u16::try_from(key.len()).expect("the KV took the key, so it is short").to_le_bytes();
        let out = &mut self.bytes;
        match part {
            Part::Put(key, value) => {
                out.push(PUT);
                out.extend_from_slice(&key_len(key));
                out.extend_from_slice(&u32::try_from(value.len()).expect("the KV took the value").to_le_bytes());
                out.extend_from_slice(key);
                out.extend_from_slice(value);
            }
            Part::Delete(key) => {
                out.push(DELETE);
                out.extend_from_slice(&key_len(key));
                out.extend_from_slice(key);
            }
            Part::Guard(frame, crc) => {
                out.push(GUARD);
                out.extend_from_slice(&frame.get().to_le_bytes());
                out.extend_from_slice(&crc.to_le_bytes());
            }
            Part::Epoch(salt) => {
                out.push(EPOCH);
                out.extend_from_slice(&salt.to_le_bytes());
            }
            Part::Data(frame, bytes) => {
                assert!(bytes.len() <= PAGE, "a frame is a page");
                out.push(DATA);
                out.extend_from_slice(&frame.get().to_le_bytes());
                out.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
                out.extend_from_slice(bytes);
            }
        }
    }

    /// The header that this record gets behind `position`.
    pub(crate) fn header(&self, position: &Position, known: Seq) -> RecordHeader {
        RecordHeader {
            len: u32::try_from(self.len()).expect("a record fits into the log, checked by the caller"),
            generation: position.generation,
            seq: Seq::new(position.seq.get() + 1),
            known,
            salt: position.salt,
        }
    }

    /// The record's bytes, sealed with `header`.
    pub(crate) fn seal(&mut self, header: &RecordHeader) -> &[u8] {
        header.seal(&mut self.bytes);
        &self.bytes
    }

    /// Bytes of memory that it has.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

/// The parts of a payload whose checksum was right; `None` marks bytes that make no sense all the same.
pub(crate) fn parts(payload: &[u8]) -> impl Iterator<Item = Option<Part<'_>>> {
    let mut rest = payload;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let part = take_part(&mut rest);
        if part.is_none() {
            rest = &[];
        }
        Some(part)
    })
}

fn take_part<'b>(rest: &mut &'b [u8]) -> Option<Part<'b>> {
    fn bytes<'b>(rest: &mut &'b [u8], n: usize) -> Option<&'b [u8]> {
        let (head, tail) = rest.split_at_checked(n)?;
        *rest = tail;
        Some(head)
    }
    fn number<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
        bytes(rest, N)?.try_into().ok()
    }
    match number::<1>(rest)?[0] {
        PUT => {
            let key_len = u16::from_le_bytes(number(rest)?) as usize;
            let value_len = u32::from_le_bytes(number(rest)?) as usize;
            Some(Part::Put(bytes(rest, key_len)?, bytes(rest, value_len)?))
        }
        DELETE => {
            let key_len = u16::from_le_bytes(number(rest)?) as usize;
            Some(Part::Delete(bytes(rest, key_len)?))
        }
        GUARD => Some(Part::Guard(PoolFrame::new(u32::from_le_bytes(number(rest)?)), u32::from_le_bytes(number(rest)?))),
        EPOCH => Some(Part::Epoch(u64::from_le_bytes(number(rest)?))),
        DATA => {
            let frame = PoolFrame::new(u32::from_le_bytes(number(rest)?));
            let len = u16::from_le_bytes(number(rest)?) as usize;
            if len <= PAGE { Some(Part::Data(frame, bytes(rest, len)?)) } else { None }
        }
        _ => None,
    }
}

/// Whether the record `header` is the one that belongs behind `position`.
pub(crate) fn follows(position: &Position, header: &RecordHeader) -> bool {
    header.generation == position.generation
        && header.seq.get() == position.seq.get() + 1
        && header.salt == position.salt
        && header.known <= position.seq
}

/// The position behind the record.
pub(crate) fn advance(position: &Position, header: &RecordHeader, payload: &[u8]) -> Position {
    let epoch = parts(payload).find_map(|part| match part {
        Some(Part::Epoch(salt)) => Some(salt),
        _ => None,
    });
    Position {
        generation: position.generation,
        tail: position.tail + header.space(),
        seq: header.seq,
        salt: epoch.unwrap_or(position.salt),
        known: header.known,
    }
}
