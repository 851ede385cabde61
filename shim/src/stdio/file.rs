//! The part of `FILE` that programs were always allowed to see (old headers had `getc` as a macro on it), so its layout never changes:
//! glibc 2.1 to today, 64 bits. Behind it, `fopencookie`'s own fields. [`layout_is_known`] asks this libc whether that is true here.
#![expect(unsafe_code, reason = "reads and writes fields of libc's FILE")]

use crate::boundary::CReturn;
use libc::{c_char, c_int, c_void};
use std::mem::offset_of;
use std::ptr::null_mut;

/// What stands in `_flags`.
pub mod flag {
    /// The buffer is not libc's to free.
    pub const USER_BUF: i32 = 0x1;
    /// No buffering.
    pub const UNBUFFERED: i32 = 0x2;
    /// Not open for reading.
    pub const NO_READS: i32 = 0x4;
    /// Not open for writing.
    pub const NO_WRITES: i32 = 0x8;
    /// The end was met.
    pub const EOF_SEEN: i32 = 0x10;
    /// An error was met.
    pub const ERR_SEEN: i32 = 0x20;
    /// The read pointers are in the pushed-back characters.
    pub const IN_BACKUP: i32 = 0x100;
    /// Flushed at each line.
    pub const LINE_BUF: i32 = 0x200;
    /// The write pointers are valid.
    pub const CURRENTLY_PUTTING: i32 = 0x800;
    /// Opened for appending.
    pub const IS_APPENDING: i32 = 0x1000;
    /// In `_flags2`: reading and writing are no points where a thread is cancelled.
    pub const NOT_CANCEL: i32 = 0x2;
    /// In `_flags2`: every character is read and written under the stream's lock.
    pub const NEED_LOCK: i32 = 0x80;
    /// The word's upper half.
    pub const MAGIC: i32 = 0xfbad_0000_u32.cast_signed();
    /// Where it stands.
    pub const MAGIC_MASK: i32 = 0xffff_0000_u32.cast_signed();
}

/// `struct _IO_FILE`, its vtable, and what `fopencookie` has behind it.
#[repr(C)]
pub struct File {
    flags: c_int,
    read_ptr: *mut u8,
    read_end: *mut u8,
    read_base: *mut u8,
    write_base: *mut u8,
    write_ptr: *mut u8,
    write_end: *mut u8,
    buf_base: *mut u8,
    buf_end: *mut u8,
    save_base: *mut u8,
    backup_base: *mut u8,
    save_end: *mut u8,
    markers: *mut c_void,
    chain: *mut File,
    fileno: c_int,
    flags2: c_int,
    old_offset: i64,
    column: u16,
    vtable_offset: i8,
    short_buf: u8,
    lock: *mut c_void,
    offset: i64,
    /// Of streams without libc's wide characters nobody looks at it: see [`super::charset`].
    charset: *mut c_void,
    wide: *mut c_void,
    free_list: *mut c_void,
    free_buf: *mut c_void,
    pad: usize,
    mode: c_int,
    unused: [u8; 20],
    vtable: *const c_void,
    cookie: *mut c_void,
    functions: [usize; 4],
    cookie_lock: [u64; 2],
}

const _: () = {
    assert!(offset_of!(File, fileno) == 112);
    assert!(offset_of!(File, lock) == 136);
    assert!(offset_of!(File, charset) == 152);
    assert!(offset_of!(File, wide) == 160);
    assert!(offset_of!(File, mode) == 192);
    assert!(offset_of!(File, vtable) == 216);
    assert!(offset_of!(File, functions) == 232);
    assert!(size_of::<File>() == 280);
};

/// What a stream may have been used for so far (`_mode`).
const BYTES: c_int = -1;
const UNDECIDED: c_int = 0;
/// In the lowest bits of the cookie, which is the stream's own address: what it is oriented to.
const WIDE_TAG: usize = 1;
const BYTES_TAG: usize = 2;
/// All of these bits.
pub const TAG: usize = 3;
/// What `fopencookie` stores for a stream without wide characters.
pub const NO_WIDE: *mut c_void = usize::MAX as *mut c_void;

/// A program's stream: a pointer that it got from libc or from us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Stream(pub *mut File);

// SAFETY: a pointer; what is behind it is guarded by the stream's own lock, which libc's functions take.
unsafe impl Send for Stream {}
// SAFETY: as above.
unsafe impl Sync for Stream {}

impl CReturn for Stream {
    const FAILED: Self = Stream(null_mut());
    /// The end of a wait for the other end of a FIFO, which is the kernel's.
    fn descriptor(fd: c_int) -> Self {
        if fd < 0 {
            return Self::FAILED;
        }
        // SAFETY: libc's functions; the descriptor is nobody's yet.
        unsafe {
            let flags = libc::fcntl(fd, libc::F_GETFL);
            let mode = match flags & libc::O_ACCMODE {
                libc::O_RDONLY => c"r",
                _ if flags & libc::O_APPEND != 0 => c"a",
                _ => c"w",
            };
            let stream = libc::fdopen(fd, mode.as_ptr());
            if stream.is_null() {
                libc::close(fd);
            }
            Stream(stream.cast())
        }
    }
}

impl Stream {
    /// Whether reading and writing are no points where a thread is cancelled: libc says so of what it writes itself (`perror`, `getopt`), too.
    pub fn is_calm(self) -> bool {
        // SAFETY: a live stream.
        unsafe { (*self.0).flags2 & flag::NOT_CANCEL != 0 }
    }
    /// Says whether they are.
    pub fn set_calm(self, calm: bool) {
        // SAFETY: a live stream, locked or new.
        unsafe { (*self.0).flags2 = (*self.0).flags2 & !flag::NOT_CANCEL | if calm { flag::NOT_CANCEL } else { 0 } };
    }
}

macro_rules! field {
    ($get:ident, $set:ident, $field:ident: $ty:ty) => {
        #[doc = concat!("Reads `", stringify!($field), "`.")]
        pub fn $get(self) -> $ty {
            // SAFETY: whoever has a Stream vouches for it as to libc; the layout was checked.
            unsafe { (*self.0).$field }
        }
        #[doc = concat!("Writes `", stringify!($field), "`.")]
        pub fn $set(self, value: $ty) {
            // SAFETY: as for reading.
            unsafe { (*self.0).$field = value }
        }
    };
}

impl Stream {
    /// No stream.
    pub const NULL: Stream = Stream(null_mut());

    field!(fileno, set_fileno, fileno: c_int);
    field!(flags, set_flags, flags: c_int);
    field!(mode, set_mode, mode: c_int);
    field!(wide_data, set_wide_data, wide: *mut c_void);
    field!(vtable, set_vtable, vtable: *const c_void);
    field!(cookie, set_cookie, cookie: *mut c_void);
    field!(charset, set_charset, charset: *mut c_void);

    /// A cookie stream's functions as libc stores them.
    pub fn functions(self) -> [usize; 4] {
        // SAFETY: as in `field`; the caller knows by the vtable that it is a cookie stream.
        unsafe { (*self.0).functions }
    }
    /// The next stream of libc's list.
    pub fn next(self) -> Stream {
        // SAFETY: as in `field`; the caller holds the list's lock.
        Stream(unsafe { (*self.0).chain })
    }
    /// For libc's functions.
    pub fn libc(self) -> *mut libc::FILE {
        self.0.cast()
    }
    /// Whether there is none.
    pub fn is_null(self) -> bool {
        self.0.is_null()
    }
    /// Sets some flags and clears others.
    pub fn change_flags(self, set: c_int, clear: c_int) {
        self.set_flags(self.flags() & !clear | set);
    }
    /// While the process has one thread, no lock is taken for each character, as on libc's own streams. libc changes that when it makes a thread.
    pub fn lock_as_libc_does(self) {
        unsafe extern "C" {
            static __libc_single_threaded: c_char;
        }
        // SAFETY: libc's variable; the stream is new, nobody else knows it.
        unsafe {
            if __libc_single_threaded != 0 {
                (*self.0).flags2 &= !flag::NEED_LOCK;
            }
        }
    }
    /// Whether nothing was read or written yet, nor the orientation chosen.
    pub fn is_fresh(self) -> bool {
        self.mode() == UNDECIDED
    }
    /// The stream is one of bytes.
    pub fn choose_bytes(self) {
        if self.mode() == UNDECIDED {
            self.set_mode(BYTES);
        }
    }
    /// What the stream is oriented to, as `fwide` says it: 1 wide characters, -1 bytes, 0 neither yet. Of streams without libc's wide characters libc has -1 from the start, because its wide functions
    /// would crash on them; what they were used for stands in the lowest bits of the cookie, and bytes leave their traces.
    pub fn orientation(self) -> c_int {
        match self.cookie().addr() & TAG {
            WIDE_TAG => 1,
            BYTES_TAG => -1,
            _ if self.wide_data() != NO_WIDE => self.mode().signum(),
            _ => -c_int::from(self.flags() & (flag::CURRENTLY_PUTTING | flag::EOF_SEEN | flag::IN_BACKUP) != 0 || self.has_read()),
        }
    }
    fn has_read(self) -> bool {
        // SAFETY: as in `field`.
        unsafe { (*self.0).read_end != (*self.0).read_base }
    }
    /// Notes that the stream is one of wide characters, or of bytes.
    pub fn orient(self, wide: bool) {
        let tag = if wide { WIDE_TAG } else { BYTES_TAG };
        self.set_cookie(self.0.cast::<c_void>().map_addr(|at| at | tag));
    }
    /// The orientation is open again, where wide characters are possible at all.
    pub fn forget_orientation(self) {
        self.set_cookie(self.0.cast());
        self.set_mode(if self.wide_data() == NO_WIDE { BYTES } else { UNDECIDED });
    }
    /// The buffer's first byte and size; null and 0 if there is none yet.
    pub fn buffer(self) -> (*mut u8, usize) {
        // SAFETY: as in `field`.
        let (base, end) = unsafe { ((*self.0).buf_base, (*self.0).buf_end) };
        (base, end as usize - base as usize)
    }
    /// The bytes that were read ahead: where, and how many.
    pub fn ahead(self) -> (*mut u8, usize) {
        // SAFETY: as in `field`.
        let (at, end) = unsafe { ((*self.0).read_ptr, (*self.0).read_end) };
        (at, (end as usize).saturating_sub(at as usize))
    }
    /// Takes `n` of the bytes that were read ahead.
    pub fn consume(self, n: usize) {
        // SAFETY: as in `field`; the caller takes at most what `ahead` said.
        unsafe { (*self.0).read_ptr = (*self.0).read_ptr.add(n) }
    }
    /// Nothing is in the buffer.
    pub fn drop_contents(self) {
        // SAFETY: as in `field`.
        unsafe {
            let f = &mut *self.0;
            (f.read_base, f.read_ptr, f.read_end) = (f.buf_base, f.buf_base, f.buf_base);
            (f.write_base, f.write_ptr, f.write_end) = (f.buf_base, f.buf_base, f.buf_base);
        }
    }
    /// There is no buffer (it was libc's own one byte, or somebody else's memory): the next use makes one.
    pub fn forget_buffer(self) {
        // SAFETY: as in `field`.
        unsafe {
            (*self.0).buf_base = null_mut();
            (*self.0).buf_end = null_mut();
        }
        self.drop_contents();
        self.change_flags(0, flag::UNBUFFERED | flag::LINE_BUF | flag::USER_BUF);
    }
    /// Puts `vtable` and `functions` of a cookie stream into a stream that libc made with `fopen`. Its block is larger than a cookie stream's: behind
    /// the `FILE` it has lock and wide data, so the lock moves behind the functions, where `fopencookie` has it, and wide characters are given up.
    pub fn become_cookie(self, vtable: *const c_void, functions: [usize; 4]) {
        // SAFETY: as in `field`; `fopen` allocates 224 + 16 + 232 bytes, of which we use 280. The caller uses the stream alone.
        unsafe {
            let f = &mut *self.0;
            f.cookie_lock = [0; 2];
            f.lock = (&raw mut f.cookie_lock).cast();
            f.functions = functions;
            f.cookie = self.0.cast::<c_void>().map_addr(|at| if f.mode == BYTES { at | BYTES_TAG } else { at });
            f.wide = NO_WIDE;
            f.charset = null_mut();
            f.mode = BYTES;
            f.vtable = vtable;
        }
    }
}

unsafe extern "C" {
    /// libc's variables. Assigning to them is allowed by its manual; programs and libc itself read them at each use.
    pub static mut stdin: Stream;
    /// See `stdin`.
    pub static mut stdout: Stream;
    /// See `stdin`.
    pub static mut stderr: Stream;
    /// libc's.
    pub fn fopencookie(cookie: *mut c_void, mode: *const c_char, functions: CookieFunctions) -> Stream;
    /// libc's: drops what is buffered in either direction.
    pub fn __fpurge(stream: Stream);
    /// libc's: takes the stream's lock.
    pub fn flockfile(stream: Stream);
    /// libc's: gives it back.
    pub fn funlockfile(stream: Stream);
}

/// `cookie_io_functions_t`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct CookieFunctions {
    /// Reads; 0 at the end, -1 and errno.
    pub read: Option<unsafe extern "C-unwind" fn(*mut c_void, *mut c_char, usize) -> isize>,
    /// Writes; how many, with errno if fewer.
    pub write: Option<unsafe extern "C-unwind" fn(*mut c_void, *const c_char, usize) -> isize>,
    /// Seeks, and says where to.
    pub seek: Option<unsafe extern "C-unwind" fn(*mut c_void, *mut i64, c_int) -> c_int>,
    /// Closes.
    pub close: Option<unsafe extern "C-unwind" fn(*mut c_void) -> c_int>,
}

/// Whether `original` (libc's own standard stream number `fd`) and `made` (from `fopencookie` with `cookie`) look as this file says.
pub fn layout_is_known(original: Stream, fd: c_int, made: Stream, cookie: *mut c_void) -> bool {
    let magic = |s: Stream| s.flags() & flag::MAGIC_MASK == flag::MAGIC;
    magic(original)
        && original.fileno() == fd
        && magic(made)
        && made.cookie() == cookie
        && made.vtable() != original.vtable()
        && made.fileno() < 0
        && made.functions().iter().all(|f| *f != 0)
}
