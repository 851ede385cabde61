//! Streams: opening, closing, large reads, `popen`, and what writes to a descriptor or a standard stream inside libc.

use crate::abi::{CPath, fail};
use crate::boundary::{self, Answer, CReturn, Escape};
use crate::stdio::file::Stream;
use crate::stdio::mode::Mode;
use crate::stdio::{charset, command, cookie, reopen, standard, transfer};
use crate::variadic::VaList;
use crate::{fds, files};
use libc::{AT_FDCWD, c_char, c_int, c_void, size_t};

mod scan;
mod wide;

/// Opens a path of FLAC's as a stream; `NotOurs` for the kernel's.
fn open_stream(path: CPath, mode: CPath) -> Answer<Stream> {
    let text = mode.bytes()?;
    let mode = Mode::parse(text).ok_or(Escape::Fail(libc::EINVAL))?;
    if mode.flags & libc::O_CREAT == 0 {
        // Of a directory nothing can be read, whosever it is.
        boundary::kernel_first();
    }
    let fd = files::open_or_wait(AT_FDCWD, path, mode.flags, 0o666, |path| reopen::kernel_open(path, mode.flags, 0o666))?;
    let set = charset::wanted(text).map_err(Escape::Fail);
    let made = set.and_then(|set| {
        let stream = on_descriptor(fd, mode, mode.starts_at_end())?;
        charset::set(stream, set);
        Ok(stream)
    });
    made.inspect_err(|_| discard(fd))
}

/// A dispatching stream on `fd`.
fn on_descriptor(fd: c_int, mode: Mode, at_end: bool) -> Answer<Stream> {
    if !cookie::can_be_made() {
        crate::log::warn(format_args!("a stream on a FLAC file is refused: this libc's streams are not known"));
        return fail(libc::ENOSYS);
    }
    if at_end && let Ok((fs, id)) = fds::open_file(fd) {
        fs.seek(id, 0, libc::SEEK_END)?;
    }
    cookie::make(fd, mode)
}

/// Closes a descriptor that was opened for a stream in vain.
fn discard(fd: c_int) {
    fds::release(fd);
    #[allow(unsafe_code, reason = "close")]
    // SAFETY: opened by the caller; this thread is inside, so it is libc's function.
    unsafe {
        libc::close(fd)
    };
}

hook! {
    /// `fopen(3)`.
    fn fopen(path: CPath, mode: CPath) -> Stream, also(fopen64) {
        open_stream(path, mode)
    }
}

hook! {
    /// `setmntent(3)`, which opens a file inside libc.
    fn setmntent(path: CPath, mode: CPath) -> Stream, also(__setmntent) {
        open_stream(path, mode)
    }
}

hook! {
    /// `fdopen(3)`.
    fn fdopen(fd: c_int, mode: CPath) -> Stream, when(fds::maybe(fd)) {
        let (fs, id) = fds::open_file(fd)?;
        let mode = Mode::parse(mode.bytes()?).ok_or(Escape::Fail(libc::EINVAL))?;
        let flags = fs.open_flags(id);
        let allowed = match flags & libc::O_ACCMODE {
            libc::O_RDONLY => !mode.writes(),
            libc::O_WRONLY => !mode.reads(),
            _ => true,
        };
        if !allowed {
            return fail(libc::EINVAL);
        }
        // One that appends already stays where it is.
        let begins = mode.appends() && flags & libc::O_APPEND == 0;
        if begins {
            fs.set_open_flags(id, flags | libc::O_APPEND);
        }
        on_descriptor(fd, mode, begins && mode.starts_at_end())
    }
}

export! {
    /// `freopen(3)`.
    fn freopen(path: CPath, mode: CPath, stream: Stream) -> Stream, also(freopen64), real(theirs) {
        reopen::reopen(path, mode, stream, |path, mode| theirs(path, mode, stream))
    }
}

export! {
    /// `fclose(3)`. One of libc's streams whose descriptor has become FLAC's is made to write there first.
    fn fclose(stream: Stream) -> c_int, when(!stream.is_null()), real(theirs) {
        if standard::number(stream).is_some() {
            return standard::close(stream);
        }
        if cookie::is_theirs(stream) && fds::is_flac(stream.fileno()) {
            cookie::convert(stream);
        }
        theirs(stream)
    }
}

/// What `fread` returns: whole items.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Count(size_t);

impl CReturn for Count {
    const FAILED: Self = Count(0);
}

export! {
    /// `fread(3)`.
    fn fread(to: *mut c_void, size: size_t, n: size_t, stream: Stream) -> Count,
    when(transfer::is_large(stream, size.saturating_mul(n))) {
        match size.checked_mul(n) {
            #[allow(unsafe_code, reason = "fread's own contract")]
            // SAFETY: the program's buffer and stream.
            Some(len) => unsafe { Count(transfer::read(to.cast(), len, stream) / size) },
            None => Count(0),
        }
    }
}

export! {
    /// `fread_unlocked(3)`.
    fn fread_unlocked(to: *mut c_void, size: size_t, n: size_t, stream: Stream) -> Count,
    when(transfer::is_large(stream, size.saturating_mul(n))) {
        match size.checked_mul(n) {
            #[allow(unsafe_code, reason = "fread_unlocked's own contract")]
            // SAFETY: the program's buffer and stream.
            Some(len) => unsafe { Count(transfer::read_locked(to.cast(), len, stream) / size) },
            None => Count(0),
        }
    }
}

export! {
    /// `fread` as compiled with `_FORTIFY_SOURCE`; libc reports the overflow.
    fn __fread_chk(to: *mut c_void, room: size_t, size: size_t, n: size_t, stream: Stream) -> Count,
    when(transfer::is_large(stream, size.saturating_mul(n)) && size.saturating_mul(n) <= room) {
        #[allow(unsafe_code, reason = "fread's own contract")]
        // SAFETY: the program's buffer and stream.
        unsafe { Count(transfer::read(to.cast(), size * n, stream) / size) }
    }
}

export! {
    /// `fread_unlocked` as compiled with `_FORTIFY_SOURCE`; libc reports the overflow.
    fn __fread_unlocked_chk(to: *mut c_void, room: size_t, size: size_t, n: size_t, stream: Stream) -> Count,
    when(transfer::is_large(stream, size.saturating_mul(n)) && size.saturating_mul(n) <= room) {
        #[allow(unsafe_code, reason = "fread_unlocked's own contract")]
        // SAFETY: the program's buffer and stream.
        unsafe { Count(transfer::read_locked(to.cast(), size * n, stream) / size) }
    }
}

/// libc's `fread_unlocked` for a byte count, past our hook.
///
/// # Safety
/// As for `fread_unlocked`.
#[allow(unsafe_code, reason = "calls libc")]
pub unsafe fn fread_unlocked_of_libc(to: *mut u8, len: usize, stream: Stream) -> usize {
    type Function = unsafe extern "C-unwind" fn(*mut u8, usize, usize, Stream) -> usize;
    static REAL: crate::real::Symbol = crate::real::Symbol::new();
    // SAFETY: libc's function has this type; the rest is the caller's promise.
    unsafe { std::mem::transmute::<*mut c_void, Function>(REAL.get(c"fread_unlocked"))(to, 1, len, stream) }
}

export! {
    /// `popen(3)`: libc's makes its child past our hooks, so once FLAC is in use it is our own.
    fn popen(command: CPath, kind: CPath) -> Stream, when(crate::space::opened().is_some()) {
        command::open(command, kind)
    }
}

export! {
    /// `pclose(3)`.
    fn pclose(stream: Stream) -> c_int, when(command::is_ours(stream)) {
        command::close(stream)
    }
}

hook! {
    /// `tmpfile(3)`: libc's directory for it is `/tmp`, and only if that is in FLAC the file is.
    fn tmpfile() -> Stream, also(tmpfile64) {
        let flags = libc::O_RDWR | libc::O_EXCL | libc::O_TMPFILE;
        let fd = files::open(AT_FDCWD, CPath::of(c"/tmp"), flags, 0o600, |path| reopen::kernel_open(path, flags, 0o600))?;
        on_descriptor(fd, Mode { flags: libc::O_RDWR, is_calm: false }, false).inspect_err(|_| discard(fd))
    }
}

export! {
    /// `perror(3)`: libc's writes to a duplicate of stderr's descriptor.
    fn perror(text: CPath) -> (), when(fds::maybe(2) && fds::is_flac(2)) {
        complain(text);
    }
}

#[allow(unsafe_code, reason = "calls libc")]
fn complain(text: CPath) {
    let errno = boundary::errno();
    let prefix = text.bytes().ok().filter(|t| !t.is_empty());
    let mut buffer = [0; 256];
    // SAFETY: strings end with NUL; libc's stderr is a live stream. `strerror` would overwrite what the program holds of it.
    unsafe {
        libc::strerror_r(errno, buffer.as_mut_ptr(), buffer.len());
        let why = buffer.as_ptr();
        let stream = crate::stdio::file::stderr.libc();
        match prefix {
            Some(_) => libc::fprintf(stream, c"%s: %s\n".as_ptr(), text.ptr(), why),
            None => libc::fprintf(stream, c"%s\n".as_ptr(), why),
        };
    }
    boundary::set_errno(errno);
}

export! {
    /// `vdprintf(3)`, which writes inside libc.
    fn vdprintf(fd: c_int, format: CPath, args: VaList) -> c_int, when(fds::maybe(fd) && fds::is_flac(fd)) {
        print_to(fd, format, args)
    }
}

export! {
    /// `vdprintf` as compiled with `_FORTIFY_SOURCE`.
    fn __vdprintf_chk(fd: c_int, flag: c_int, format: CPath, args: VaList) -> c_int, when(fds::maybe(fd) && fds::is_flac(fd)) {
        print_to(fd, format, args)
    }
}

variadic! {
    /// `dprintf(3)`.
    fn dprintf(2) => vdprintf
}

variadic! {
    /// `dprintf` as compiled with `_FORTIFY_SOURCE`.
    fn __dprintf_chk(3) => __vdprintf_chk
}

#[allow(unsafe_code, reason = "calls libc")]
fn print_to(fd: c_int, format: CPath, args: VaList) -> c_int {
    unsafe extern "C" {
        fn vasprintf(to: *mut *mut c_char, format: *const c_char, args: VaList) -> c_int;
    }
    let mut text: *mut c_char = std::ptr::null_mut();
    // SAFETY: the program vouches for format and arguments.
    let len = unsafe { vasprintf(&mut text, format.ptr(), args) };
    let Ok(wanted) = usize::try_from(len) else { return -1 };
    let mut done = 0;
    while done < wanted {
        // SAFETY: `wanted` bytes are there; `write` is our hook.
        match unsafe { libc::write(fd, text.add(done).cast(), wanted - done) } {
            n if n > 0 => done += n.cast_unsigned(),
            _ => break,
        }
    }
    // SAFETY: vasprintf's own.
    unsafe { libc::free(text.cast()) };
    if done == wanted { len } else { -1 }
}
