//! Keys and records of the metadata KV. The only place that encodes or decodes them.
//!
//! Numbers in keys are big-endian, so that a scan meets them in order; numbers in values are little-endian.
//!
//! | key | value |
//! |---|---|
//! | `I` inode(8) | inode record, [`INODE_LEN`] bytes |
//! | `D` directory(8) name | inode(8) `DT_*`(1) |
//! | `P` directory(8) | parent(8) name; kept while a removed directory is still held |
//! | `S` inode(8) | target of the symbolic link |
//! | `X` inode(8) name | value of the extended attribute |
//! | `E` inode(8) chunk(8) | extents of [`EXTENT_PAGES`] pages: pool frame + 1 (0 is a hole, 4) CRC32C (4), up to the last page that is no hole |
//! | `O` inode(8) | empty: the inode has no name and goes with its last holder |
//! | `A` key | a metalog record of the program that uses the FLAC space, whose pages are those of inode 2^56 |
//!
//! Size, pages and content of a regular file are those of its last flush; so may its owner and mode be before its first one. Everything else is always current.

use super::attr::{Attr, Time};
use crate::error::{Error, Result};
use crate::inode::flag;
use crate::kv::{Pair, ReadTxn};
use crate::metalog::{self, MetaTxn};
use crate::units::{Ino, PAGE, PageNo, PoolFrame};

/// Bytes of an inode record.
pub const INODE_LEN: usize = 96;
/// Pages that one extent record describes.
pub const EXTENT_PAGES: usize = 64;
/// Bytes of one page in an extent record.
const ENTRY: usize = 8;
const VERSION: u8 = 1;
/// The largest size a file can have, as on every file system of Linux.
const SIZE_MAX: u64 = i64::MAX as u64;
/// The longest file name, as `NAME_MAX`.
pub const NAME_MAX: usize = 255;

/// [`Inode::flags`]: the inode was made without a name and may still get one (`O_TMPFILE`).
pub const LINKABLE: u8 = 1;
/// [`Inode::flags`]: the inode may have extended attributes.
pub const XATTRS: u8 = 2;

/// What the three kinds of transaction have in common.
pub trait View {
    /// The value of `key`.
    fn get(&self, key: &[u8]) -> Result<Option<&[u8]>>;
    /// The keys that start with `prefix` and are not below `from`, in order.
    fn scan(&self, prefix: &[u8], from: &[u8]) -> Result<impl Iterator<Item = Result<Pair<'_>>>>;
}

impl View for ReadTxn<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<&[u8]>> {
        ReadTxn::get(self, key)
    }
    fn scan(&self, prefix: &[u8], from: &[u8]) -> Result<impl Iterator<Item = Result<Pair<'_>>>> {
        ReadTxn::scan(self, prefix, from)
    }
}

impl View for metalog::View<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<&[u8]>> {
        metalog::View::get(self, key)
    }
    fn scan(&self, prefix: &[u8], from: &[u8]) -> Result<impl Iterator<Item = Result<Pair<'_>>>> {
        metalog::View::scan(self, prefix, from)
    }
}

impl View for MetaTxn<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<&[u8]>> {
        MetaTxn::get(self, key)
    }
    fn scan(&self, prefix: &[u8], from: &[u8]) -> Result<impl Iterator<Item = Result<Pair<'_>>>> {
        MetaTxn::scan(self, prefix, from)
    }
}

const fn numbered(letter: u8, ino: Ino) -> [u8; 9] {
    let n = ino.get().to_be_bytes();
    [letter, n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7]]
}

/// Key of the inode record.
pub const fn inode_key(ino: Ino) -> [u8; 9] {
    numbered(b'I', ino)
}
/// Key of the place of a directory: where its one name is.
pub const fn place_key(dir: Ino) -> [u8; 9] {
    numbered(b'P', dir)
}
/// Key of the target of a symbolic link.
pub const fn target_key(ino: Ino) -> [u8; 9] {
    numbered(b'S', ino)
}
/// Key of the note that an inode has no name.
pub const fn orphan_key(ino: Ino) -> [u8; 9] {
    numbered(b'O', ino)
}
/// What the keys of all entries of a directory start with.
pub const fn dirent_prefix(dir: Ino) -> [u8; 9] {
    numbered(b'D', dir)
}
/// What the keys of all extended attributes of an inode start with.
pub const fn xattr_prefix(ino: Ino) -> [u8; 9] {
    numbered(b'X', ino)
}
/// What the keys of all extents of an inode start with.
pub const fn extent_prefix(ino: Ino) -> [u8; 9] {
    numbered(b'E', ino)
}
/// Key of the extents of the chunk that holds `page`.
pub fn extent_key(ino: Ino, page: PageNo) -> [u8; 17] {
    let mut key = [0; 17];
    key[..9].copy_from_slice(&extent_prefix(ino));
    key[9..].copy_from_slice(&(page.get() / EXTENT_PAGES as u64).to_be_bytes());
    key
}
/// The first page of the chunk whose extents have the key `key`. Every byte of the chunk has an offset that a file can have.
pub fn extent_start(key: &[u8]) -> Result<PageNo> {
    let chunk = key.last_chunk().filter(|_| key.len() == 17).map(|chunk| u64::from_be_bytes(*chunk));
    match chunk {
        Some(chunk) if chunk <= (SIZE_MAX / PAGE as u64) / EXTENT_PAGES as u64 => Ok(PageNo::new(chunk * EXTENT_PAGES as u64)),
        _ => Err(bad("the key of an extent record")),
    }
}
/// The inode number in any key but that of another layout.
pub fn key_ino(key: &[u8]) -> Result<Ino> {
    match key.get(1..9).and_then(|n| n.first_chunk()) {
        Some(n) => Ok(Ino::new(u64::from_be_bytes(*n))),
        None => Err(bad("a key")),
    }
}

/// The key of a directory entry or an extended attribute, built in place.
pub struct NameKey {
    len: usize,
    bytes: [u8; 9 + NAME_MAX],
}

impl NameKey {
    /// Key of the entry `name` (at most [`NAME_MAX`] bytes) in `dir`.
    pub fn dirent(dir: Ino, name: &[u8]) -> Self {
        Self::new(dirent_prefix(dir), name)
    }
    /// Key of the extended attribute `name` (at most [`NAME_MAX`] bytes) of `ino`.
    pub fn xattr(ino: Ino, name: &[u8]) -> Self {
        Self::new(xattr_prefix(ino), name)
    }
    fn new(prefix: [u8; 9], name: &[u8]) -> Self {
        let mut key = Self { len: 9 + name.len(), bytes: [0; 9 + NAME_MAX] };
        key.bytes[..9].copy_from_slice(&prefix);
        key.bytes[9..key.len].copy_from_slice(name);
        key
    }
    /// The bytes of the key.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// What a directory entry points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dirent {
    /// The inode.
    pub ino: Ino,
    /// Its type, as `DT_*`.
    pub dtype: u8,
}

impl Dirent {
    /// The entry for an inode of this mode.
    pub fn new(ino: Ino, mode: u32) -> Self {
        Self { ino, dtype: ((mode & libc::S_IFMT) >> 12) as u8 }
    }
    /// The type as `S_IFMT` bits.
    pub fn kind(self) -> u32 {
        (self.dtype as u32) << 12
    }
    /// Whether it points at a directory.
    pub fn is_dir(self) -> bool {
        self.dtype == libc::DT_DIR
    }
    /// The record.
    pub fn encode(self) -> [u8; 9] {
        let mut value = [0; 9];
        value[..8].copy_from_slice(&self.ino.get().to_le_bytes());
        value[8] = self.dtype;
        value
    }
    /// From the record.
    pub fn decode(value: &[u8]) -> Result<Self> {
        match value {
            [ino @ .., dtype] if ino.len() == 8 => Ok(Self { ino: Ino::new(u64_at(ino, 0)), dtype: *dtype }),
            _ => Err(bad("a directory entry")),
        }
    }
    /// The entry `name` of `dir`, if there is one.
    pub fn load(view: &impl View, dir: Ino, name: &[u8]) -> Result<Option<Self>> {
        view.get(NameKey::dirent(dir, name).bytes())?.map(Self::decode).transpose()
    }
}

/// The record that tells where a directory's name is.
pub fn encode_place(parent: Ino, name: &[u8]) -> Vec<u8> {
    [&parent.get().to_le_bytes(), name].concat()
}
/// Parent and name from the record of [`encode_place`].
pub fn decode_place(value: &[u8]) -> Result<(Ino, &[u8])> {
    match value.split_first_chunk::<8>() {
        Some((parent, name)) => Ok((Ino::new(u64::from_le_bytes(*parent)), name)),
        None => Err(bad("the place of a directory")),
    }
}
/// Parent and name of the directory `dir`; `None` for the root and for what is no directory.
pub fn place(view: &impl View, dir: Ino) -> Result<Option<(Ino, &[u8])>> {
    view.get(&place_key(dir))?.map(decode_place).transpose()
}

/// The directories above `dir`, each with the name that what lies in it has there.
pub struct Above<'v, V> {
    view: &'v V,
    at: Ino,
    /// One that was passed, how many came since, and after how many the next takes its place: who goes in a circle comes by again.
    passed: Ino,
    since: u64,
    most: u64,
}

/// The directories above `dir`, up to the root or one that has been removed. `Corrupt` if they lead in a circle.
pub fn above<V: View>(view: &V, dir: Ino) -> Above<'_, V> {
    Above { view, at: dir, passed: dir, since: 0, most: 1 }
}

impl<'v, V: View> Iterator for Above<'v, V> {
    type Item = Result<(Ino, &'v [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at == Ino::ROOT {
            return None;
        }
        let found = place(self.view, self.at).transpose()?;
        if let Ok((parent, _)) = found {
            (self.at, self.since) = (parent, self.since + 1);
            if parent == self.passed {
                return Some(Err(Error::Corrupt(format!("directory {} lies in itself: run `flac fsck`", parent.get()))));
            }
            if self.since == self.most {
                (self.passed, self.since, self.most) = (parent, 0, self.most * 2);
            }
        }
        Some(found)
    }
}

/// An inode as the KV has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inode {
    /// Its attributes; size and pages as of the last flush.
    pub attr: Attr,
    /// [`LINKABLE`], [`XATTRS`].
    pub flags: u8,
}

impl Inode {
    /// The inode `ino`, if there is one.
    pub fn load(view: &impl View, ino: Ino) -> Result<Option<Self>> {
        view.get(&inode_key(ino))?.map(|value| Self::decode(ino, value)).transpose()
    }

    /// From the record.
    pub fn decode(ino: Ino, value: &[u8]) -> Result<Self> {
        let v: &[u8; INODE_LEN] = value.try_into().map_err(|_| bad("an inode record"))?;
        if v[0] != VERSION {
            return Err(bad("an inode record"));
        }
        let time = |at: usize| Time { sec: u64_at(v, at) as i64, nsec: u32_at(v, at + 8) };
        let attr = Attr {
            ino,
            mode: u32_at(v, 4),
            uid: u32_at(v, 8),
            gid: u32_at(v, 12),
            nlink: u32_at(v, 16),
            size: u64_at(v, 20),
            pages: u64_at(v, 28),
            rdev: u64_at(v, 36),
            atime: time(44),
            mtime: time(56),
            ctime: time(68),
            btime: time(80),
        };
        if attr.size > SIZE_MAX {
            return Err(bad("the size in an inode record"));
        }
        Ok(Self { attr, flags: v[1] })
    }

    /// The record.
    pub fn encode(&self) -> [u8; INODE_LEN] {
        let mut v = [0; INODE_LEN];
        let a = &self.attr;
        v[0] = VERSION;
        v[1] = self.flags;
        for (at, word) in [(4, a.mode), (8, a.uid), (12, a.gid), (16, a.nlink)] {
            v[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        for (at, long) in [(20, a.size), (28, a.pages), (36, a.rdev)] {
            v[at..at + 8].copy_from_slice(&long.to_le_bytes());
        }
        for (at, time) in [(44, a.atime), (56, a.mtime), (68, a.ctime), (80, a.btime)] {
            v[at..at + 8].copy_from_slice(&time.sec.to_le_bytes());
            v[at + 8..at + 12].copy_from_slice(&time.nsec.to_le_bytes());
        }
        v
    }

    /// What its slot begins with.
    pub fn slot_flags(&self) -> u32 {
        let has_pool = if self.attr.pages > 0 && self.attr.is_file() { flag::HAS_POOL } else { 0 };
        has_pool | if self.flags & XATTRS != 0 { flag::OWNED_BY_LOG } else { 0 }
    }

    /// With the owner and mode that a cached file has ([`Fs::set_attr`](crate::Fs::set_attr)).
    pub fn owned_as(mut self, cached: &Attr) -> Self {
        (self.attr.mode, self.attr.uid, self.attr.gid) = (cached.mode, cached.uid, cached.gid);
        self
    }

    /// What a flush writes: size, pages, times, owner and mode of `cached` (read from the inode slot inside the transaction that writes
    /// the record, or a later `utimes` is lost), everything else as the KV has it.
    pub fn flushed(mut self, cached: &Attr) -> Self {
        let a = &mut self.attr;
        (a.size, a.pages) = (cached.size, cached.pages);
        (a.atime, a.mtime, a.ctime) = (cached.atime, cached.mtime, cached.ctime);
        self.owned_as(cached)
    }
}

/// Where one page of a file lies in the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The pool frame.
    pub frame: PoolFrame,
    /// CRC32C of its content.
    pub crc: u32,
}

/// The pages of an extent record, in order; `None` is a hole. Pages behind the end of the record are holes.
pub fn decode_extents(value: &[u8]) -> Result<impl ExactSizeIterator<Item = Option<Extent>> + '_> {
    if !value.len().is_multiple_of(ENTRY) || value.len() > EXTENT_PAGES * ENTRY {
        return Err(bad("an extent record"));
    }
    Ok(value.chunks_exact(ENTRY).map(entry_at))
}

/// The extent record of at most [`EXTENT_PAGES`] pages; empty if all are holes: such a record is deleted, not written.
pub fn encode_extents(pages: &[Option<Extent>]) -> Vec<u8> {
    assert!(pages.len() <= EXTENT_PAGES, "an extent record describes at most {EXTENT_PAGES} pages");
    let used = pages.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    let mut value = Vec::with_capacity(used * ENTRY);
    for page in &pages[..used] {
        let (frame, crc) = page.map_or((0, 0), |e| (e.frame.get() + 1, e.crc));
        value.extend_from_slice(&frame.to_le_bytes());
        value.extend_from_slice(&crc.to_le_bytes());
    }
    value
}

/// An extent record being changed: the bytes of the record, not taken apart.
pub struct Extents {
    bytes: [u8; EXTENT_PAGES * ENTRY],
}

impl Extents {
    /// From the record; without one all pages are holes.
    pub fn of(record: Option<&[u8]>) -> Result<Self> {
        let (mut bytes, record) = ([0; EXTENT_PAGES * ENTRY], record.unwrap_or_default());
        decode_extents(record).map(drop)?;
        bytes[..record.len()].copy_from_slice(record);
        Ok(Self { bytes })
    }

    /// Sets a page; what it was. Panics unless `at` is below [`EXTENT_PAGES`].
    pub fn replace(&mut self, at: usize, to: Option<Extent>) -> Option<Extent> {
        let entry = &mut self.bytes[at * ENTRY..][..ENTRY];
        let old = entry_at(entry);
        let (frame, crc) = to.map_or((0, 0), |e| (e.frame.get() + 1, e.crc));
        entry[..4].copy_from_slice(&frame.to_le_bytes());
        entry[4..].copy_from_slice(&crc.to_le_bytes());
        old
    }

    /// The record; empty if all are holes: such a record is deleted, not written.
    pub fn record(&self) -> &[u8] {
        let used = self.bytes.chunks_exact(ENTRY).rposition(|entry| entry[..4] != [0; 4]).map_or(0, |last| last + 1);
        &self.bytes[..used * ENTRY]
    }
}

fn entry_at(entry: &[u8]) -> Option<Extent> {
    let frame = u32_at(entry, 0).checked_sub(1)?;
    Some(Extent { frame: PoolFrame::new(frame), crc: u32_at(entry, 4) })
}

/// The part of a dirent or xattr key behind the inode number.
pub fn key_name<'k>((key, _): &Pair<'k>) -> &'k [u8] {
    key.get(9..).unwrap_or_default()
}

fn bad(what: &str) -> Error {
    Error::Corrupt(format!("{what} of the metadata has a wrong length, version or number: run `flac fsck`"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u32_at(bytes, at) as u64 | (u32_at(bytes, at + 4) as u64) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attr() -> Attr {
        let time = |sec| Time { sec, nsec: 999_999_999 };
        Attr {
            ino: Ino::new(7),
            mode: libc::S_IFREG | 0o4755,
            uid: 1,
            gid: u32::MAX - 1,
            nlink: 3,
            size: i64::MAX as u64,
            pages: 1 << 40,
            rdev: 0x0103,
            atime: time(-1),
            mtime: time(i64::MAX),
            ctime: time(0),
            btime: time(i64::MIN),
        }
    }

    #[test]
    fn an_inode_record_decodes_to_what_was_encoded() {
        let inode = Inode { attr: attr(), flags: XATTRS };
        assert_eq!(Inode::decode(inode.attr.ino, &inode.encode()), Ok(inode));
        assert!(Inode::decode(inode.attr.ino, &inode.encode()[1..]).is_err());
    }

    #[test]
    fn numbers_that_no_file_has_are_damage() {
        let attr = Attr { size: 1 << 63, ..attr() };
        assert!(Inode::decode(attr.ino, &Inode { attr, flags: 0 }.encode()).is_err());
        let mut key = extent_key(Ino::new(1), PageNo::of(i64::MAX as u64));
        assert!(extent_start(&key).is_ok());
        key[9] = 0x80;
        assert!(extent_start(&key).is_err());
        key[9] = 0x01;
        assert!(extent_start(&key).is_err());
    }

    #[test]
    fn extents_end_at_the_last_page_that_is_no_hole() {
        let extent = |n| Some(Extent { frame: PoolFrame::new(n), crc: n ^ 0xffff });
        let pages = [None, extent(0), None, extent(u32::MAX - 1), None];
        let value = encode_extents(&pages);
        assert_eq!(value.len(), 4 * ENTRY);
        assert_eq!(decode_extents(&value).unwrap().collect::<Vec<_>>(), pages[..4]);
        assert!(encode_extents(&[None; 64]).is_empty());
        let mut changed = Extents::of(Some(&value)).unwrap();
        assert_eq!(changed.replace(3, extent(9)), extent(u32::MAX - 1));
        assert_eq!((changed.replace(1, None), changed.replace(63, None)), (extent(0), None));
        assert_eq!(changed.record(), encode_extents(&[None, None, None, extent(9)]));
        assert_eq!(changed.replace(3, None), extent(9));
        assert!(changed.record().is_empty() && Extents::of(None).unwrap().record().is_empty());
        assert!(Extents::of(Some(&value[1..])).is_err());
        assert!(decode_extents(&value[1..]).is_err());
    }

    #[test]
    fn keys_of_one_directory_sort_together_and_by_name() {
        let key = |dir, name: &[u8]| NameKey::dirent(Ino::new(dir), name).bytes().to_vec();
        assert!(key(1, b"zz") < key(2, b"a"));
        assert!(key(255, b"") < key(256, b""));
        assert!(key(1, b"a") < key(1, b"a\0"));
        assert_eq!(extent_start(&extent_key(Ino::new(1), PageNo::new(129))), Ok(PageNo::new(128)));
    }
}
