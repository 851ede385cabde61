//! What an ELF file says about the libraries it needs.

/// The dynamic section, as far as finding libraries goes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Needed {
    /// The libraries' names (`DT_NEEDED`).
    pub names: Vec<Vec<u8>>,
    /// Where to look for them: `DT_RUNPATH`, else `DT_RPATH`; directories with `:` between them.
    pub path: Vec<u8>,
}

/// Tables larger than this are no program's.
const MOST: u64 = 4 << 20;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// One program header.
struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    size: u64,
}

/// Reads it through `read` (which fills a buffer from an offset, and says how much there was). `None`: not a 64-bit ELF file of this machine's
/// byte order, or damaged.
pub fn of(read: impl Fn(&mut [u8], u64) -> Option<usize>) -> Option<Needed> {
    let part = |at: u64, len: u64| part(&read, at, len);
    let segments = segments(&read)?;
    let dynamic = segments.iter().find(|s| s.kind == PT_DYNAMIC)?;
    let dynamic = part(dynamic.offset, dynamic.size)?;
    let entries = || dynamic.chunks_exact(16).filter_map(|e| Some((word(e, 0)?, word(e, 8)?))).take_while(|(tag, _)| *tag != 0);
    let value = |wanted: u64| entries().find(|(tag, _)| *tag == wanted).map(|(_, value)| value);
    let address = value(DT_STRTAB)?;
    let holder =
        segments.iter().find(|s| s.kind == PT_LOAD && (s.address..s.address.checked_add(s.size).unwrap_or(0)).contains(&address))?;
    let strings = part(address - holder.address + holder.offset, value(DT_STRSZ)?)?;
    let string = |at: u64| {
        let rest = strings.get(usize::try_from(at).ok()?..)?;
        Some(rest[..rest.iter().position(|b| *b == 0)?].to_vec())
    };
    Some(Needed {
        names: entries().filter(|(tag, _)| *tag == DT_NEEDED).filter_map(|(_, at)| string(at)).collect(),
        path: value(DT_RUNPATH).or_else(|| value(DT_RPATH)).and_then(string).unwrap_or_default(),
    })
}

/// Whether a program, read as by [`of`], is started without the loader, which would preload something.
pub fn is_static(read: impl Fn(&mut [u8], u64) -> Option<usize>) -> bool {
    segments(&read).is_some_and(|all| !all.iter().any(|s| s.kind == PT_INTERP))
}

fn part(read: &impl Fn(&mut [u8], u64) -> Option<usize>, at: u64, len: u64) -> Option<Vec<u8>> {
    if len > MOST {
        return None;
    }
    let mut bytes = vec![0; len as usize];
    (read(&mut bytes, at)? == bytes.len()).then_some(bytes)
}

fn segments(read: &impl Fn(&mut [u8], u64) -> Option<usize>) -> Option<Vec<Segment>> {
    let head = part(read, 0, 64)?;
    if !head.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (size, count) = (u64::from(half(&head, 54)?), u64::from(half(&head, 56)?));
    let table = part(read, word(&head, 32)?, size * count)?;
    Some(table.chunks_exact(size.max(56) as usize).filter_map(segment).collect())
}

fn segment(header: &[u8]) -> Option<Segment> {
    let kind = u32::from_le_bytes(header.get(..4)?.try_into().ok()?);
    Some(Segment { kind, offset: word(header, 8)?, address: word(header, 16)?, size: word(header, 32)? })
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// The directories of a search path, with `$ORIGIN` replaced; an empty one is the working directory.
pub fn directories(path: &[u8], origin: &[u8]) -> Vec<Vec<u8>> {
    if path.is_empty() {
        return Vec::new();
    }
    let one = |dir: &[u8]| match (dir.strip_prefix(b"$ORIGIN"), dir.strip_prefix(b"${ORIGIN}")) {
        (Some(rest), _) | (_, Some(rest)) => [origin, rest].concat(),
        _ if dir.is_empty() => b".".to_vec(),
        _ => dir.to_vec(),
    };
    path.split(|b| matches!(*b, b':' | b';')).map(one).collect()
}
