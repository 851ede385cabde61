//! Dispatching streams: made by `fopencookie`, each call of theirs is one of our hooks on the descriptor that the stream has at that moment.
#![expect(unsafe_code, reason = "called by libc, calls libc")]

use super::charset;
use super::file::{CookieFunctions, File, Stream, TAG, fopencookie, layout_is_known};
use super::mode::Mode;
use crate::abi::fail;
use crate::boundary::Answer;
use libc::{c_char, c_int, c_void};
use std::ffi::CStr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// libc's vtable for cookie streams. It accepts no other that is not its own.
static VTABLE: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
/// libc's vtable for streams on descriptors.
static THEIR_VTABLE: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
/// Our four functions as libc stores them: mangled with a number of this process's.
static STORED: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];

const FUNCTIONS: CookieFunctions = CookieFunctions { read: Some(read), write: Some(write), seek: Some(seek), close: Some(close) };

/// The descriptor of a stream that never had one.
const NONE: c_int = -2;

/// The cookie is the stream itself, whose descriptor `dup2`, `freopen` and the program may change.
fn stream(cookie: *mut c_void) -> Stream {
    Stream(cookie.map_addr(|at| at & !TAG).cast::<File>())
}

fn descriptor(cookie: *mut c_void) -> c_int {
    stream(cookie).fileno()
}

/// Reads or writes; no thread is cancelled meanwhile if the stream wants that.
pub fn transfer(stream: Stream, f: impl FnOnce() -> isize) -> isize {
    if stream.is_calm() { crate::boundary::sheltered(f) } else { f() }
}

unsafe extern "C-unwind" fn read(cookie: *mut c_void, to: *mut c_char, len: usize) -> isize {
    // SAFETY: libc gives the stream's buffer. `read` is our hook.
    transfer(stream(cookie), || unsafe { libc::read(descriptor(cookie), to.cast(), len) })
}

unsafe extern "C-unwind" fn write(cookie: *mut c_void, from: *const c_char, len: usize) -> isize {
    let mut done = 0;
    while done < len {
        // SAFETY: libc gives the stream's buffer, or the program's. `write` is our hook.
        let n = transfer(stream(cookie), || unsafe { libc::write(descriptor(cookie), from.add(done).cast(), len - done) });
        if n < 0 {
            break;
        }
        done += n.cast_unsigned();
    }
    // Less than `len` is libc's sign of an error, with errno.
    done.cast_signed()
}

unsafe extern "C-unwind" fn seek(cookie: *mut c_void, at: *mut i64, whence: c_int) -> c_int {
    // SAFETY: libc gives a valid place. `lseek64` is our hook.
    unsafe {
        let now = libc::lseek64(descriptor(cookie), *at, whence);
        if now < 0 {
            return -1;
        }
        *at = now;
    }
    0
}

unsafe extern "C-unwind" fn close(cookie: *mut c_void) -> c_int {
    charset::set(stream(cookie), None);
    if descriptor(cookie) == NONE {
        return 0;
    }
    // SAFETY: the stream's own descriptor. `close` is our hook. A thread that ended here would leave half a stream, so libc's are closed without that, too.
    crate::boundary::sheltered(|| unsafe { libc::close(descriptor(cookie)) })
}

/// Makes a dispatching stream over `fd`; `ENOMEM`.
pub fn make(fd: c_int, mode: Mode) -> Answer<Stream> {
    let stream = raw(mode);
    if stream.is_null() {
        return fail(libc::ENOMEM);
    }
    stream.set_cookie(stream.0.cast());
    // libc leaves there what its memory had.
    stream.set_charset(std::ptr::null_mut());
    stream.set_fileno(fd);
    stream.set_calm(mode.is_calm);
    stream.lock_as_libc_does();
    Ok(stream)
}

fn raw(mode: Mode) -> Stream {
    libcs(std::ptr::null_mut(), mode.plain())
}

type Maker = unsafe extern "C" fn(*mut c_void, *const c_char, CookieFunctions) -> Stream;
/// Libc's own `fopencookie`, where what the loader finds under that name is not: the sanitizers of compilers put something between a stream and its functions.
static MAKER: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

fn libcs(cookie: *mut c_void, mode: &CStr) -> Stream {
    let maker = MAKER.load(Ordering::Relaxed);
    // SAFETY: null, or libc's function of this type.
    let maker = unsafe { std::mem::transmute::<*mut c_void, Option<Maker>>(maker) }.unwrap_or(fopencookie);
    // SAFETY: a C string and four functions of the right types; the cookie is theirs.
    unsafe { maker(cookie, mode.as_ptr(), FUNCTIONS) }
}

/// Looks for `fopencookie` in libc itself; whether it is another than before.
fn look_behind() -> bool {
    // SAFETY: C strings; libc is loaded, and stays.
    let own = unsafe {
        let libc = libc::dlopen(c"libc.so.6".as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD);
        if libc.is_null() { libc } else { libc::dlsym(libc, c"fopencookie".as_ptr()) }
    };
    !own.is_null() && MAKER.swap(own, Ordering::Relaxed) != own
}

/// Learns from libc's own stream of descriptor `fd` and from one that it makes for us what cookie streams look like; false if this libc is not
/// laid out as [`super::file`] says.
pub fn learn(original: Stream, fd: c_int) -> bool {
    let made = libcs(original.0.cast(), c"r");
    if made.is_null() || !layout_is_known(original, fd, made, original.0.cast()) {
        return look_behind() && learn(original, fd);
    }
    VTABLE.store(made.vtable().cast_mut(), Ordering::Relaxed);
    THEIR_VTABLE.store(original.vtable().cast_mut(), Ordering::Relaxed);
    for (stored, function) in STORED.iter().zip(made.functions()) {
        stored.store(function, Ordering::Relaxed);
    }
    made.set_cookie(made.0.cast());
    made.set_charset(std::ptr::null_mut());
    made.set_fileno(NONE);
    // SAFETY: just made.
    unsafe { libc::fclose(made.libc()) };
    true
}

/// Whether dispatching streams can be made at all.
pub fn can_be_made() -> bool {
    !VTABLE.load(Ordering::Relaxed).is_null()
}

/// Whether `stream` is one of ours, and not one oriented to wide characters.
#[inline]
pub fn is_dispatching(stream: Stream) -> bool {
    let vtable = VTABLE.load(Ordering::Relaxed);
    !vtable.is_null()
        && stream.vtable() == vtable.cast_const()
        && stream.functions() == [0, 1, 2, 3].map(|i: usize| STORED[i].load(Ordering::Relaxed))
}

/// Whether `stream` is one of libc's over a descriptor, for bytes.
pub fn is_theirs(stream: Stream) -> bool {
    let vtable = THEIR_VTABLE.load(Ordering::Relaxed);
    !vtable.is_null() && stream.vtable() == vtable.cast_const()
}

/// Turns one of libc's streams, made by `fopen` or `fdopen`, into a dispatching one. Its buffer and position stay.
pub fn convert(stream: Stream) {
    stream.become_cookie(VTABLE.load(Ordering::Relaxed), [0, 1, 2, 3].map(|i: usize| STORED[i].load(Ordering::Relaxed)));
}

/// Makes a stream of ours that libc had oriented to wide characters one of bytes again.
pub fn restore(stream: Stream) {
    stream.set_vtable(VTABLE.load(Ordering::Relaxed));
}
