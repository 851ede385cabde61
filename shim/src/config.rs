//! The environment, read once. The only file that reads it.
//!
//! Read when the library's constructor runs or, earlier, at the first hooked call; by walking `environ`, into static memory: no
//! allocation, no lock. What the program does to its environment later changes nothing here.
#![expect(unsafe_code, reason = "walks environ; static memory written once")]

use crate::log;
use std::cell::UnsafeCell;
use std::ffi::CStr;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU8, Ordering};

/// Where a text lies in [`Settings::texts`].
#[derive(Clone, Copy)]
struct Text {
    start: u16,
    end: u16,
}

impl Text {
    const NONE: Text = Text { start: 0, end: 0 };
}

const PATH: usize = libc::PATH_MAX as usize;
const TEXTS: usize = 3 * PATH;
const _: () = assert!(TEXTS <= u16::MAX as usize);

/// What `FLAC_EXEC` says.
#[derive(Debug, PartialEq, Eq, Clone, Copy, Default)]
pub struct Exec {
    /// The process that called exec.
    pub pid: i32,
    /// Its slot, if it had one.
    pub token: Option<u32>,
    /// The program's file: its directory (0: not known) and itself (0: not in FLAC).
    pub exe: (u64, u64),
    /// Whether the slot may wait until FLAC is used, see `Fs::leaves_nothing`.
    pub idle: bool,
}

/// In the field `MODE` of `FLAC_EXEC`: the environment was cleared.
pub const CLEARED: u8 = 1;
/// In that field: [`Exec::idle`].
pub const IDLE: u8 = 2;

impl Exec {
    /// Reads the value of the variable.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let mut fields = value.split(|b| *b == b':').map(|f| std::str::from_utf8(f).ok());
        let mut next = || fields.next().flatten();
        let (pid, token) = (next()?.parse().ok()?, next()?.parse().ok());
        let mut hex = || u64::from_str_radix(next()?, 16).ok();
        let exe = (hex()?, hex()?);
        // A digit, whose lower bits are its value, and perhaps more.
        let mode = next()?.bytes().next()?;
        Some(Self { pid, token, exe, idle: mode & IDLE != 0 })
    }
}

/// What the environment says.
#[repr(C)]
pub struct Settings {
    root: Text,
    pool: Text,
    stats: Text,
    /// `FLAC_DRAM`: bytes.
    pub dram: Option<u64>,
    /// `FLAC_ATTACH`.
    pub attach: bool,
    /// `FLAC_IO_URING`: whether programs may have rings, whose requests FLAC does not see.
    pub rings: bool,
    /// `FLAC_MALLOC`: whether large blocks of memory are placed where reads into them can be attached.
    pub place: bool,
    /// Whether valgrind executes the program, which warns of each system call that it does not know.
    pub valgrind: bool,
    /// `FLAC_EXEC`, set by ourselves across exec.
    exec: Exec,
    /// What the kernel has there.
    pub covered: Covered,
    /// How many bytes of `texts` are used.
    used: usize,
    /// One after the other: so they take one page of memory, not one each.
    texts: [u8; TEXTS],
}

impl Settings {
    // All zeros: so it costs nothing where FLAC is off.
    const fn new() -> Self {
        Self {
            root: Text::NONE,
            pool: Text::NONE,
            stats: Text::NONE,
            dram: None,
            attach: false,
            rings: false,
            place: false,
            valgrind: false,
            exec: Exec { pid: 0, token: None, exe: (0, 0), idle: false },
            covered: Covered::Nothing,
            used: 0,
            texts: [0; TEXTS],
        }
    }
    /// `FLAC_ROOT`, without a slash at its end.
    pub fn root(&self) -> &[u8] {
        self.text(self.root)
    }
    /// `FLAC_POOL`, or its default.
    pub fn pool(&self) -> &[u8] {
        self.text(self.pool)
    }
    /// `FLAC_STATS`: a file, `stderr`, or empty.
    pub fn stats(&self) -> &[u8] {
        self.text(self.stats)
    }
    fn text(&self, place: Text) -> &[u8] {
        &self.texts[usize::from(place.start)..usize::from(place.end)]
    }
    /// Keeps a path in two parts; `None` if it is too long.
    fn keep(&mut self, a: &[u8], b: &[u8]) -> Option<Text> {
        let (start, len) = (self.used, a.len() + b.len());
        let to = self.texts.get_mut(start..start + len).filter(|_| len < PATH)?;
        to[..a.len()].copy_from_slice(a);
        to[a.len()..].copy_from_slice(b);
        Some(self.kept(len))
    }
    /// The next `len` bytes are a text.
    fn kept(&mut self, len: usize) -> Text {
        let start = self.used;
        self.used += len;
        // All of them fit into 16 bits.
        Text { start: start as u16, end: self.used as u16 }
    }
    /// `FLAC_EXEC`, if it was set.
    pub fn exec(&self) -> Option<Exec> {
        (self.exec.pid != 0).then_some(self.exec)
    }
    /// The process slot that the image before left to this one.
    pub fn slot(&self) -> Option<u32> {
        self.exec().filter(|exec| exec.pid == rustix::process::getpid().as_raw_nonzero().get())?.token
    }
}

struct Once(UnsafeCell<Settings>);
// SAFETY: written only by the thread that moved STATE from UNREAD to READING, read only in later states.
unsafe impl Sync for Once {}
#[unsafe(link_section = ".sbss.large")]
static SETTINGS: Once = Once(UnsafeCell::new(Settings::new()));

const UNREAD: u8 = 0;
const READING: u8 = 1;
const OFF: u8 = 2;
const ON: u8 = 3;
const BAD: u8 = 4;
static STATE: AtomicU8 = AtomicU8::new(UNREAD);

/// Whether this process uses FLAC at all: `FLAC_ROOT` is set. The first test of every hook.
#[inline(always)]
pub fn on() -> bool {
    match STATE.load(Ordering::Acquire) {
        OFF => false,
        ON | BAD => true,
        _ => first(),
    }
}

/// Whether a variable has a bad value (it was reported when it was read).
pub fn bad() -> bool {
    on() && STATE.load(Ordering::Acquire) == BAD
}

/// What the environment says; `None` when FLAC is off.
#[inline]
pub fn settings() -> Option<&'static Settings> {
    // SAFETY: `on` is true only after the writer has finished; nobody writes again.
    on().then(|| unsafe { &*SETTINGS.0.get() })
}

/// The absolute path under which the tree appears, without a slash at its end; empty when FLAC is off.
#[inline]
pub fn root() -> &'static [u8] {
    settings().map_or(&[], |s| s.root())
}

/// What the kernel had at `root()` when the process began, where FLAC's tree covers it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Covered {
    /// Nothing: it does not find what is in FLAC.
    Nothing,
    /// A directory with nothing in it: it finds this itself and nothing below it, but would make files there.
    Empty {
        /// Its device.
        dev: u64,
        /// Its inode number.
        ino: u64,
    },
    /// Something else: its answers don't show where a path enters FLAC.
    Files,
}

fn what_is_at(root: &[u8]) -> Covered {
    use rustix::fs::{CWD, Mode, OFlags};
    let how = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = match rustix::fs::openat(CWD, root, how, Mode::empty()) {
        Ok(dir) => dir,
        Err(rustix::io::Errno::NOENT) => return Covered::Nothing,
        Err(_) => return Covered::Files,
    };
    let covered = what_is_in(&dir);
    // Not by libc's function, which is hooked: it would wait for what this thread is about to know.
    // SAFETY: nobody else has it.
    unsafe { rustix::io::close(dir.into_raw_fd()) };
    covered
}

fn what_is_in(dir: &OwnedFd) -> Covered {
    let mut room = [std::mem::MaybeUninit::uninit(); 1024];
    let mut entries = rustix::fs::RawDir::new(dir, &mut room);
    let own = |name: &std::ffi::CStr| matches!(name.to_bytes(), b"." | b"..");
    while let Some(entry) = entries.next() {
        if !entry.is_ok_and(|entry| own(entry.file_name())) {
            return Covered::Files;
        }
    }
    rustix::fs::fstat(dir).map_or(Covered::Files, |is| Covered::Empty { dev: is.st_dev, ino: is.st_ino })
}

/// What the kernel has at `root()`.
pub fn covered() -> Covered {
    settings().map_or(Covered::Nothing, |s| s.covered)
}

/// Whether this is the directory that FLAC covers, as far as the kernel's answers may show it.
pub fn is_covered(device: u64, inode: u64) -> bool {
    matches!(covered(), Covered::Empty { dev, ino } if (dev, ino) == (device, inode))
}

/// What `flac` needs to know.
pub fn flac_config(s: &Settings) -> flac::Config {
    let path = |b: &[u8]| std::path::PathBuf::from(std::ffi::OsStr::from_bytes(b));
    flac::Config { root: Some(path(s.root())), dram: s.dram, attach: s.attach, ..flac::Config::new(path(s.pool())) }
}

#[cold]
#[inline(never)]
fn first() -> bool {
    unsafe extern "C" {
        static environ: *const *const libc::c_char;
    }
    // SAFETY: libc's own variable; null until libc has started.
    let list = unsafe { environ };
    if list.is_null() {
        return false;
    }
    if STATE.compare_exchange(UNREAD, READING, Ordering::Acquire, Ordering::Acquire).is_err() {
        // Another thread reads: a few microseconds. Or a signal handler interrupted the reader: then FLAC is off for it.
        for _ in 0..100_000 {
            std::hint::spin_loop();
            match STATE.load(Ordering::Acquire) {
                UNREAD | READING => {}
                state => return state != OFF,
            }
        }
        return false;
    }
    // SAFETY: this thread alone moved STATE to READING.
    let s = unsafe { &mut *SETTINGS.0.get() };
    let mut env = Environment::default();
    for i in 0.. {
        // SAFETY: environ is an array of C strings, ended by null, and this process changes it in no other thread now (as for getenv).
        let entry = unsafe { *list.add(i) };
        if entry.is_null() {
            break;
        }
        // SAFETY: as above.
        env.take(unsafe { CStr::from_ptr(entry) }.to_bytes());
    }
    let state = env.settle(s);
    STATE.store(state, Ordering::Release);
    state != OFF
}

/// The variables as they stand in the environment.
#[derive(Default)]
struct Environment<'a> {
    root: Option<&'a [u8]>,
    pool: Option<&'a [u8]>,
    dram: Option<&'a [u8]>,
    attach: Option<&'a [u8]>,
    malloc: Option<&'a [u8]>,
    rings: Option<&'a [u8]>,
    log: Option<&'a [u8]>,
    stats: Option<&'a [u8]>,
    exec: Option<&'a [u8]>,
    data_home: Option<&'a [u8]>,
    home: Option<&'a [u8]>,
    preload: Option<&'a [u8]>,
    unknown: Option<&'a [u8]>,
}

impl<'a> Environment<'a> {
    fn take(&mut self, entry: &'a [u8]) {
        if !matches!(entry.first(), Some(b'F' | b'X' | b'H' | b'L')) {
            return;
        }
        let Some(eq) = entry.iter().position(|b| *b == b'=') else { return };
        let (name, value) = (&entry[..eq], &entry[eq + 1..]);
        let place = match name {
            b"FLAC_ROOT" => &mut self.root,
            b"FLAC_POOL" => &mut self.pool,
            b"FLAC_DRAM" => &mut self.dram,
            b"FLAC_ATTACH" => &mut self.attach,
            b"FLAC_MALLOC" => &mut self.malloc,
            b"FLAC_IO_URING" => &mut self.rings,
            b"FLAC_LOG" => &mut self.log,
            b"FLAC_STATS" => &mut self.stats,
            b"FLAC_EXEC" => &mut self.exec,
            b"XDG_DATA_HOME" => &mut self.data_home,
            b"HOME" => &mut self.home,
            b"LD_PRELOAD" => &mut self.preload,
            // A seed for the project's random tests: not for us.
            b"FLAC_SEED" => return,
            _ if name.starts_with(b"FLAC_") => {
                self.unknown = Some(name);
                return;
            }
            _ => return,
        };
        // The first of several wins, as in getenv; an empty value is none.
        if place.is_none() && !value.is_empty() {
            *place = Some(value);
        }
    }

    /// Fills in the settings and returns the state that follows.
    fn settle(&self, s: &mut Settings) -> u8 {
        if let Some(name) = self.unknown {
            log::fatal(format_args!(
                "{} is not a variable of FLAC (there are FLAC_ROOT, _POOL, _DRAM, _ATTACH, _MALLOC, _LOG, _STATS)",
                Shown(name)
            ));
        }
        let Some(root) = self.root else { return OFF };
        match self.fill(root, s) {
            Ok(()) => ON,
            Err((name, value, cure)) => {
                log::fatal(format_args!("{name}={} {cure}", Shown(value)));
                // Without a root no path is FLAC's.
                if s.root().is_empty() { OFF } else { BAD }
            }
        }
    }

    fn fill(&self, root: &'a [u8], s: &mut Settings) -> Result<(), (&'static str, &'a [u8], &'static str)> {
        let Some(len) = normal_root(root, &mut s.texts[s.used..][..PATH]) else {
            return Err(("FLAC_ROOT", root, "must be an absolute path below /, without `..`: FLAC is not used"));
        };
        s.root = s.kept(len);
        s.covered = what_is_at(s.root());
        if let Some(v) = self.log {
            log::set_level(level(v).ok_or(("FLAC_LOG", v, "must be off, error, warn, info or planner"))?);
        }
        if let Some(v) = self.dram {
            s.dram = Some(size(v, memory).ok_or(("FLAC_DRAM", v, "must be a size as in 512M, 4G or 25%, of 16M at least"))?);
        }
        s.attach = match self.attach {
            None | Some(b"on") => true,
            Some(b"off") => false,
            Some(v) => return Err(("FLAC_ATTACH", v, "must be on or off")),
        };
        s.rings = match self.rings {
            None | Some(b"off") => false,
            Some(b"on") => true,
            Some(v) => return Err(("FLAC_IO_URING", v, "must be on or off")),
        };
        s.place = match self.malloc {
            None | Some(b"large") => true,
            Some(b"off") => false,
            Some(v) => return Err(("FLAC_MALLOC", v, "must be large or off")),
        };
        s.valgrind = self.preload.is_some_and(|list| list.windows(11).any(|w| w == b"/vgpreload_"));
        let fits = "is too long";
        s.stats = s.keep(self.stats.unwrap_or_default(), b"").ok_or(("FLAC_STATS", &[][..], fits))?;
        s.exec = self.exec.and_then(Exec::parse).unwrap_or_default();
        let (path, rest): (&[u8], &[u8]) = match (self.pool, self.data_home, self.home) {
            (Some(p), ..) => (p, b""),
            (None, Some(d), _) if d[0] == b'/' => (d, b"/flac"),
            (None, _, Some(h)) => (h, b"/.local/share/flac"),
            (None, _, None) => return Err(("FLAC_POOL", b"", "is not set, and neither is HOME: set it to the pool's directory")),
        };
        s.pool = s.keep(path, rest).ok_or(("FLAC_POOL", self.pool.unwrap_or(b""), fits))?;
        Ok(())
    }
}

/// Text for people: bytes that are not printable ASCII are shown as `?`.
struct Shown<'a>(&'a [u8]);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use std::fmt::Write;
        self.0.iter().take(200).try_for_each(|b| f.write_char(if (32..127).contains(b) { *b as char } else { '?' }))
    }
}

/// Writes `root` without doubled, trailing and `.` components; its length, or `None` if it is relative, `/`, or has `..`.
fn normal_root(root: &[u8], to: &mut [u8]) -> Option<usize> {
    if root.first() != Some(&b'/') {
        return None;
    }
    let mut len = 0;
    for part in root.split(|b| *b == b'/').filter(|p| !p.is_empty() && *p != b".") {
        if part == b".." || len + 1 + part.len() >= to.len() {
            return None;
        }
        to[len] = b'/';
        to[len + 1..len + 1 + part.len()].copy_from_slice(part);
        len += 1 + part.len();
    }
    (len > 0).then_some(len)
}

fn level(v: &[u8]) -> Option<log::Level> {
    Some(match v {
        b"off" | b"0" => log::Level::Off,
        b"error" => log::Level::Error,
        b"warn" | b"1" => log::Level::Warn,
        b"info" => log::Level::Info,
        b"planner" => log::Level::Planner,
        _ => return None,
    })
}

/// Parses `512M`, `4G`, `25%` (of `whole()`), `67108864`; `None` for garbage, overflow, and less than 16 MiB.
fn size(v: &[u8], whole: impl Fn() -> u64) -> Option<u64> {
    const LEAST: u64 = 16 << 20;
    let (digits, unit) = match v.split_last()? {
        (unit, rest) if !unit.is_ascii_digit() => (rest, Some(*unit)),
        _ => (v, None),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let n = digits.iter().try_fold(0u64, |n, d| n.checked_mul(10)?.checked_add(u64::from(d - b'0')))?;
    let bytes = match unit {
        None => n,
        Some(b'K' | b'k') => n.checked_mul(1 << 10)?,
        Some(b'M' | b'm') => n.checked_mul(1 << 20)?,
        Some(b'G' | b'g') => n.checked_mul(1 << 30)?,
        Some(b'T' | b't') => n.checked_mul(1 << 40)?,
        Some(b'%') if (1..=100).contains(&n) => whole() / 100 * n,
        Some(_) => return None,
    };
    (bytes >= LEAST).then_some(bytes)
}

fn memory() -> u64 {
    rustix::system::sysinfo().totalram * u64::from(rustix::system::sysinfo().mem_unit)
}

#[cfg(test)]
mod tests;
