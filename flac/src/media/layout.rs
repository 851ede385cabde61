//! Every byte on the medium, encoded and decoded here and nowhere else: explicit little-endian, pure, safe.
//! `flac/docs/format.md` describes the same in words.

use crate::checksum;
use crate::units::Seq;

/// The version of the format that this code reads and writes.
pub(crate) const VERSION: u32 = 2;
/// Bytes in a header that a CRC32C covers, the CRC in the last four.
pub(crate) const HEADER: usize = 64;
/// Offset of the second copy of the superblock.
pub(crate) const SUPERBLOCK_COPY: u64 = 4096;
/// Offset of the mark that says how far the frames file has grown.
pub(crate) const GROWN_AT: u64 = 8192;
/// Offset of the durable hint in the superblock file.
pub(crate) const HINT_AT: u64 = 12288;
/// Offset of the number of the volatile state that was made of the pool last.
pub(crate) const STATE_AT: u64 = 12288 + 1024;
/// Offset of the mark of a closed log.
pub(crate) const CLOSED_AT: u64 = 12288 + 2048;
/// No pool has fewer frames.
pub(crate) const MIN_FRAMES: u32 = 16;
/// Size of the superblock file.
pub(crate) const SUPERBLOCK_FILE: u64 = 16384;
/// Offset of the second copy of a log's header: written when the first is durable, so that one of them is whole whenever power fails.
pub(crate) const LOG_HEADER_COPY: u64 = 1024;
/// Offset of the first record in a log file.
pub(crate) const LOG_START: u64 = 4096;
/// Records begin at multiples of this.
pub(crate) const RECORD_ALIGN: usize = 8;
/// Bytes in a record's header.
pub(crate) const RECORD_HEADER: usize = 48;

const RECORD_MAGIC: u32 = u32::from_le_bytes(*b"FLR1");

const _: () = assert!(LOG_HEADER_COPY as usize >= HEADER && LOG_HEADER_COPY as usize + HEADER <= LOG_START as usize);
const _: () = assert!(RECORD_HEADER.is_multiple_of(RECORD_ALIGN) && (LOG_START as usize).is_multiple_of(RECORD_ALIGN));
const _: () = assert!(
    GROWN_AT + HEADER as u64 <= HINT_AT
        && HINT_AT + 24 <= STATE_AT
        && STATE_AT + 8 <= CLOSED_AT
        && CLOSED_AT + HEADER as u64 <= SUPERBLOCK_FILE
        && SUPERBLOCK_COPY as usize >= HEADER
);

/// A pool's universally unique identifier.
pub(crate) type Uuid = [u8; 16];

/// A header of 64 bytes in the making: fields one behind the other, zeros, CRC.
struct Writer {
    bytes: [u8; HEADER],
    at: usize,
}

impl Writer {
    fn new(magic: &[u8; 8]) -> Self {
        Self { bytes: [0; HEADER], at: 0 }.put(magic)
    }
    fn put(mut self, field: &[u8]) -> Self {
        self.bytes[self.at..self.at + field.len()].copy_from_slice(field);
        self.at += field.len();
        self
    }
    fn u32(self, v: u32) -> Self {
        self.put(&v.to_le_bytes())
    }
    fn u64(self, v: u64) -> Self {
        self.put(&v.to_le_bytes())
    }
    fn seal(mut self) -> [u8; HEADER] {
        assert!(self.at <= HEADER - 4);
        let crc = checksum::of(&self.bytes[..HEADER - 4]);
        self.bytes[HEADER - 4..].copy_from_slice(&crc.to_le_bytes());
        self.bytes
    }
}

/// The fields of a header whose magic and CRC are right.
struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    fn new(bytes: &'b [u8], magic: &[u8; 8]) -> Option<Self> {
        let bytes = bytes.get(..HEADER)?;
        let crc = u32::from_le_bytes(bytes[HEADER - 4..].try_into().ok()?);
        (&bytes[..8] == magic && checksum::of(&bytes[..HEADER - 4]) == crc).then_some(Self { bytes, at: 8 })
    }
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let field = self.bytes[self.at..self.at + N].try_into().expect("fields lie inside the header");
        self.at += N;
        field
    }
    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }
    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

/// What a pool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Superblock {
    /// Format version.
    pub version: u32,
    /// Features a reader must know; none exist yet.
    pub features: u32,
    /// Identity.
    pub uuid: Uuid,
    /// Frames the pool can hold.
    pub frames: u32,
    /// The medium that mkfs was told to use; 0: what probing finds.
    pub medium: u32,
    /// Bytes in each of the two log files.
    pub log_bytes: u64,
    /// Bytes by which the frames file grows; 0: it has its full size from the start.
    pub grow_bytes: u64,
    /// Whose cost is injected, for experiments; 0: nobody's.
    pub model: u32,
}

impl Superblock {
    const MAGIC: &'static [u8; 8] = b"FLACPOOL";

    /// To bytes.
    pub(crate) fn encode(&self) -> [u8; HEADER] {
        let w = Writer::new(Self::MAGIC).u32(self.version).u32(self.features).put(&self.uuid);
        w.u32(self.frames).u32(self.medium).u64(self.log_bytes).u64(self.grow_bytes).u32(self.model).seal()
    }
    /// From bytes; `None` if they are no superblock or damaged.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::new(bytes, Self::MAGIC)?;
        let (version, features, uuid, frames, medium) = (r.u32(), r.u32(), r.take(), r.u32(), r.u32());
        Some(Self { version, features, uuid, frames, medium, log_bytes: r.u64(), grow_bytes: r.u64(), model: r.u32() })
    }
    /// Whether a pool can be like that: numbers that nobody wrote, but whose checksum is right, must not be worked with.
    pub(crate) fn makes_sense(&self) -> bool {
        let sizes = 2 * LOG_START..=1 << 40;
        self.frames >= MIN_FRAMES && sizes.contains(&self.log_bytes) && self.grow_bytes <= *sizes.end()
    }
    /// Whether `bytes` begin like a superblock, damaged or not.
    pub(crate) fn resembles(bytes: &[u8]) -> bool {
        bytes.starts_with(Self::MAGIC)
    }
}

const GROWN_MAGIC: &[u8; 8] = b"FLACGROW";

/// The mark that bytes up to `grown` of the frames file are written and durable.
pub(crate) fn encode_grown(grown: u64) -> [u8; HEADER] {
    Writer::new(GROWN_MAGIC).u64(grown).seal()
}

/// The mark's value; 0 if there is none.
pub(crate) fn decode_grown(bytes: &[u8]) -> u64 {
    Reader::new(bytes, GROWN_MAGIC).map_or(0, |mut r| r.u64())
}

/// The head of a log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogHeader {
    /// Which generation of the log the file holds; 0: none yet.
    pub generation: u64,
    /// The last record before this generation.
    pub base: Seq,
    /// The salt of the generation's first records.
    pub salt: u64,
    /// The pool.
    pub uuid: Uuid,
}

impl LogHeader {
    const MAGIC: &'static [u8; 8] = b"FLACLOG\x01";

    /// To bytes.
    pub(crate) fn encode(&self) -> [u8; HEADER] {
        Writer::new(Self::MAGIC).u64(self.generation).u64(self.base.get()).u64(self.salt).put(&self.uuid).seal()
    }
    /// From bytes; `None` if they are no header or damaged.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::new(bytes, Self::MAGIC)?;
        Some(Self { generation: r.u64(), base: Seq::new(r.u64()), salt: r.u64(), uuid: r.take() })
    }
    /// The newer of the sound copies in the head of a log file, of which `bytes` are the first [`LOG_START`] bytes or more.
    pub(crate) fn newest(bytes: &[u8]) -> Option<Self> {
        let copies = [Self::decode(bytes), bytes.get(LOG_HEADER_COPY as usize..).and_then(Self::decode)];
        copies.into_iter().flatten().max_by_key(|header| header.generation)
    }
}

/// The mark of a log that was closed at `end`.
pub(crate) fn encode_closed(end: &Position) -> [u8; HEADER] {
    Writer::new(b"FLACclos").u64(end.generation).u64(end.tail).u64(end.seq.get()).u64(end.salt).seal()
}

/// Where a log was closed; `None` if it was not, or has been opened since.
pub(crate) fn decode_closed(bytes: &[u8]) -> Option<Position> {
    let mut r = Reader::new(bytes, b"FLACclos")?;
    let (generation, tail, seq, salt) = (r.u64(), r.u64(), Seq::new(r.u64()), r.u64());
    Some(Position { generation, tail, seq, salt, known: seq })
}

/// The hint that record `seq` was durable: it may be old, never wrong.
pub(crate) fn encode_hint(generation: u64, seq: Seq) -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&generation.to_le_bytes());
    bytes[8..16].copy_from_slice(&seq.get().to_le_bytes());
    let crc = checksum::of(&bytes[..16]);
    bytes[16..20].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The hint's generation and record; `None` if it is torn or was never written.
pub(crate) fn decode_hint(bytes: &[u8]) -> Option<(u64, Seq)> {
    let crc = u32::from_le_bytes(bytes.get(16..20)?.try_into().ok()?);
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    (checksum::of(&bytes[..16]) == crc && word(0) != 0).then(|| (word(0), Seq::new(word(8))))
}

/// A record's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    /// Bytes of payload.
    pub len: u32,
    /// The log's generation.
    pub generation: u64,
    /// Sequence number.
    pub seq: Seq,
    /// The last record that was known to be durable when this one was appended.
    pub known: Seq,
    /// Tells this history from one that a crash cut off; an epoch changes it.
    pub salt: u64,
}

impl RecordHeader {
    /// Bytes that the record takes in the log, padding included.
    pub(crate) fn space(&self) -> u64 {
        (RECORD_HEADER as u64 + u64::from(self.len)).next_multiple_of(RECORD_ALIGN as u64)
    }

    /// Writes the header into the head of `record`, whose payload lies behind it, and seals the whole.
    pub(crate) fn seal(&self, record: &mut [u8]) {
        assert_eq!(record.len(), RECORD_HEADER + self.len as usize);
        record[0..4].copy_from_slice(&RECORD_MAGIC.to_le_bytes());
        record[8..12].copy_from_slice(&self.len.to_le_bytes());
        record[12..16].fill(0);
        record[16..24].copy_from_slice(&self.generation.to_le_bytes());
        record[24..32].copy_from_slice(&self.seq.get().to_le_bytes());
        record[32..40].copy_from_slice(&self.known.get().to_le_bytes());
        record[40..48].copy_from_slice(&self.salt.to_le_bytes());
        let crc = checksum::of(&record[8..]);
        record[4..8].copy_from_slice(&crc.to_le_bytes());
    }

    /// The header in `bytes` (at least [`RECORD_HEADER`] long), unchecked but for its magic.
    pub(crate) fn peek(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..RECORD_HEADER)?;
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        let half = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        (half(0) == RECORD_MAGIC).then(|| Self {
            len: half(8),
            generation: word(16),
            seq: Seq::new(word(24)),
            known: Seq::new(word(32)),
            salt: word(40),
        })
    }

    /// The header and payload of the record at the head of `bytes`; `None` if there is none or it is torn.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let header = Self::peek(bytes)?;
        let record = bytes.get(..RECORD_HEADER.checked_add(header.len as usize)?)?;
        let crc = u32::from_le_bytes(record[4..8].try_into().expect("4 bytes"));
        (checksum::of(&record[8..]) == crc).then(|| (header, &record[RECORD_HEADER..]))
    }
}

/// Where in the log a state lies: behind record `seq`, which ends at byte `tail` of generation `generation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// Generation of the log.
    pub generation: u64,
    /// Byte offset at which the next record begins.
    pub tail: u64,
    /// The last record.
    pub seq: Seq,
    /// The salt the next record carries.
    pub salt: u64,
    /// What the last record says is durable.
    pub known: Seq,
}

impl Position {
    /// Bytes of an encoded position.
    pub(crate) const LEN: usize = 40;

    /// To bytes.
    pub(crate) fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let words = [self.generation, self.tail, self.seq.get(), self.salt, self.known.get()];
        for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
    /// From bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().ok()?;
        let word = |i: usize| u64::from_le_bytes(bytes[i * 8..i * 8 + 8].try_into().expect("8 bytes"));
        Some(Self { generation: word(0), tail: word(1), seq: Seq::new(word(2)), salt: word(3), known: Seq::new(word(4)) })
    }
}

/// The head of a checkpoint file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CheckpointHeader {
    /// Where it was begun: from here on records are to be applied. `known` is not stored.
    pub position: Position,
    /// The pool's identity, folded to 32 bits: a checkpoint of another pool is not loaded.
    pub pool: u32,
    /// The record that the log behind the position must reach: none of the pairs is newer.
    pub whole: Seq,
}

impl CheckpointHeader {
    const MAGIC: &'static [u8; 8] = b"FLACCKP\x01";

    /// To bytes.
    pub(crate) fn encode(&self) -> [u8; HEADER] {
        let p = &self.position;
        let w = Writer::new(Self::MAGIC).u32(self.pool).u32(0);
        w.u64(p.generation).u64(p.tail).u64(p.seq.get()).u64(p.salt).u64(self.whole.get()).seal()
    }
    /// From bytes; `None` if they are no header or damaged.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::new(bytes, Self::MAGIC)?;
        let pool = r.u32();
        r.u32();
        let (generation, tail, seq, salt) = (r.u64(), r.u64(), Seq::new(r.u64()), r.u64());
        let whole = Seq::new(r.u64());
        Some(Self { position: Position { generation, tail, seq, salt, known: seq }, pool, whole })
    }
}

/// The head of a block of a checkpoint: bytes that follow, pairs in them, CRC32C of both and the bytes. A block of no bytes ends
/// the file; its pair count is that of the whole file (modulo 2^32).
pub(crate) const BLOCK_HEADER: usize = 12;

/// Seals `block`, whose content lies behind the header.
pub(crate) fn seal_block(block: &mut [u8], pairs: u32) {
    let len = u32::try_from(block.len() - BLOCK_HEADER).expect("blocks are small");
    block[0..4].copy_from_slice(&len.to_le_bytes());
    block[4..8].copy_from_slice(&pairs.to_le_bytes());
    let crc = checksum::append(checksum::of(&block[..8]), &block[BLOCK_HEADER..]);
    block[8..12].copy_from_slice(&crc.to_le_bytes());
}

/// Length, pair count and CRC of a block's header.
pub(crate) fn peek_block(header: &[u8; BLOCK_HEADER]) -> (u32, u32, u32) {
    let half = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("4 bytes"));
    (half(0), half(4), half(8))
}

/// Whether `content` is what the block's header says.
pub(crate) fn block_is_sound(header: &[u8; BLOCK_HEADER], content: &[u8]) -> bool {
    checksum::append(checksum::of(&header[..8]), content) == peek_block(header).2
}
