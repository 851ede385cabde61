//! Programs and libraries that are stored in FLAC: copied to a memfd, from which the kernel runs or maps them. Scripts: their interpreter is run with the
//! script's path, as the kernel does it.

use super::exec::{self, Call, Strings};
use super::libraries;
use super::needed::{self, Needed};
use super::script::{HEAD, Line, script_line};
use crate::abi::{CPath, fail};
use crate::boundary::{Answer, Escape};
use crate::{creds, fds};
use flac::Fs;
use flac::fs::io::IoVec;
use flac::fs::running::Program;
use flac::units::Ino;
use libc::{AT_EMPTY_PATH, AT_FDCWD, c_char, c_int};
use rustix::fs::MemfdFlags;
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd};

/// Interpreters that are scripts themselves: the kernel's limit.
const DEEPEST: u32 = 5;

/// Executes the file `ino`, known to the program as `path`. Comes back only with a failure.
pub fn run(fs: &'static Fs, ino: Ino, path: &[u8], call: &Call<'_>) -> Answer<c_int> {
    let attr = fs.attr(ino)?;
    if attr.mode & libc::S_IFMT != libc::S_IFREG {
        return fail(libc::EACCES);
    }
    fs.access(ino, libc::X_OK, &creds::now().creds())?;
    fs.not_written(ino)?;
    let file = File::open(fs, ino)?;
    let mut head = [0; HEAD];
    let n = file.read(&mut head, 0)?;
    if let Some(line) = script_line(&head[..n]) {
        drop(file);
        return Err(run_script(&line?, path, call));
    }
    if !head.starts_with(b"\x7fELF") {
        return fail(libc::ENOEXEC);
    }
    let name = call.script.unwrap_or(path).rsplit(|b| *b == b'/').next().unwrap_or(path);
    let copy = file.copy(attr.size, name)?;
    let libraries =
        needed::of(|to, at| file.read(to, at).ok()).and_then(|n| libraries::ready(path, &n, &call.library_path(), &call.preload()));
    drop(file);
    let program = Program { ino, copy: rustix::fs::fstat(&copy)?.st_ino };
    Err(exec::kernel(copy.as_raw_fd(), c"", AT_EMPTY_PATH, call, libraries.as_ref(), Some(program)))
}

/// Whether `ino` begins as scripts do.
pub fn is_script(fs: &'static Fs, ino: Ino) -> Answer<bool> {
    let mut head = [0; 2];
    let n = File::open(fs, ino)?.read(&mut head, 0)?;
    Ok(&head[..n] == b"#!")
}

/// Executes a script's interpreter. Comes back only with a failure.
pub fn run_script(line: &Line, path: &[u8], call: &Call<'_>) -> Escape {
    if call.depth >= DEEPEST {
        return Escape::Fail(libc::ELOOP);
    }
    let (Ok(interpreter), Ok(script)) = (CString::new(&line.interpreter[..]), CString::new(path)) else {
        return Escape::Fail(libc::ENOEXEC);
    };
    let argument = line.argument.as_ref().and_then(|a| CString::new(&a[..]).ok());
    let mut list: Vec<*const c_char> = vec![interpreter.as_ptr()];
    list.extend(argument.as_ref().map(|a| a.as_ptr()));
    list.push(script.as_ptr());
    list.extend(call.argv.list().iter().skip(1));
    list.push(std::ptr::null());
    let script = call.script.unwrap_or(path);
    let call = Call { argv: Strings(list.as_ptr()), script: Some(script), depth: call.depth + 1, ..*call };
    exec::run(AT_FDCWD, CPath::of(&interpreter), 0, &call)
}

/// What a program of the kernel's needs.
pub fn needed_by_kernel_file(path: &CStr) -> Option<Needed> {
    use rustix::fs::{Mode, OFlags};
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    needed::of(|to, at| rustix::io::pread(&file, to, at).ok())
}

/// Whether the kernel's program at `path`, or at the descriptor `fd` if that is empty, is started without the loader. What may not be read is not.
pub fn is_static(fd: c_int, path: &CStr) -> bool {
    use rustix::fs::{Mode, OFlags};
    let dir = if fd == AT_FDCWD { Ok(rustix::fs::CWD) } else { fds::borrow(fd) };
    let Ok(dir) = dir else { return false };
    if path.is_empty() {
        return needed::is_static(|to, at| rustix::io::pread(dir, to, at).ok());
    }
    rustix::fs::openat(dir, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .is_ok_and(|file| needed::is_static(|to, at| rustix::io::pread(&file, to, at).ok()))
}

/// The first line of a script of the kernel's.
pub fn first_line_of_kernel_file(path: &CStr) -> Option<Line> {
    use rustix::fs::{Mode, OFlags};
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut head = [0; HEAD];
    let n = rustix::io::read(&file, &mut head).ok()?;
    script_line(&head[..n])?.ok()
}

/// A FLAC file, open for us alone.
struct File {
    fd: c_int,
}

impl File {
    /// Opens it whatever its permissions: to execute a program is not to read it.
    fn open(fs: &'static Fs, ino: Ino) -> Answer<Self> {
        Ok(Self { fd: fds::open(fs, libc::O_CLOEXEC, |hold| fs.open_file(ino, libc::O_RDONLY | libc::O_CLOEXEC, hold))? })
    }

    fn read(&self, to: &mut [u8], at: u64) -> Answer<usize> {
        let (fs, id) = fds::open_file(self.fd)?;
        let to = IoVec { iov_base: to.as_mut_ptr().cast(), iov_len: to.len() };
        #[allow(unsafe_code, reason = "Fs::read takes the caller's word for its buffers")]
        // SAFETY: our own buffer.
        let n = unsafe { fs.read(id, &[to], Some(at)) }?;
        Ok(n)
    }

    /// Copies it to a memfd.
    fn copy(&self, size: u64, name: &[u8]) -> Answer<OwnedFd> {
        /// `MFD_EXEC`: where the administrator makes memfds not executable by default.
        const EXEC: MemfdFlags = MemfdFlags::from_bits_retain(0x10);
        let name = CString::new(&name[..name.len().min(200)]).unwrap_or_default();
        let copy = rustix::fs::memfd_create(&name, MemfdFlags::CLOEXEC | EXEC)
            .or_else(|_| rustix::fs::memfd_create(&name, MemfdFlags::CLOEXEC))?;
        let mut buffer = vec![0; (1 << 20).min(size.max(1) as usize)];
        let mut at = 0;
        loop {
            let n = self.read(&mut buffer, at)?;
            if n == 0 {
                return Ok(copy);
            }
            let mut part = &buffer[..n];
            while !part.is_empty() {
                let written = flac::media::lifted(|| rustix::io::write(&copy, part))?;
                part = &part[written..];
            }
            at += n as u64;
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        fds::release(self.fd);
        #[allow(unsafe_code, reason = "close")]
        // SAFETY: our own descriptor; this thread is inside, so it is libc's function.
        unsafe {
            libc::close(self.fd)
        };
    }
}

/// In a new image: if it came from a memfd, the process is named after the program, not after the descriptor.
pub fn take_name() {
    #[allow(unsafe_code, reason = "the loader's string")]
    // SAFETY: 0, or a C string for ever.
    let path = unsafe {
        match libc::getauxval(libc::AT_EXECFN) {
            0 => return,
            at => CStr::from_ptr(at as *const c_char),
        }
    };
    if !path.to_bytes().starts_with(b"/dev/fd/") {
        return;
    }
    let Ok(link) = rustix::fs::readlink("/proc/self/exe", Vec::new()) else { return };
    let name = link.to_bytes().strip_prefix(b"/memfd:").map(|n| n.strip_suffix(b" (deleted)").unwrap_or(n));
    if let Some(name) = name.and_then(|n| CString::new(&n[..n.len().min(15)]).ok()) {
        let _ = rustix::thread::set_name(&name);
    }
}

/// The process is named after the file at `path`.
pub fn take_name_of(path: &CStr) {
    let name = path.to_bytes().rsplit(|b| *b == b'/').next().unwrap_or_default();
    if let Ok(name) = CString::new(&name[..name.len().min(15)]) {
        let _ = rustix::thread::set_name(&name);
    }
}

/// What the file `ino` needs, if it is a program or library.
pub fn needed(fs: &'static Fs, ino: Ino) -> Option<Needed> {
    let file = File::open(fs, ino).ok()?;
    needed::of(|to, at| file.read(to, at).ok())
}

/// A memfd with the content of `ino`, a library or another file that libc opens inside itself.
pub fn library(fs: &'static Fs, ino: Ino, name: &[u8]) -> Answer<OwnedFd> {
    let size = fs.attr(ino)?.size;
    fs.access(ino, libc::R_OK, &creds::now().creds())?;
    File::open(fs, ino)?.copy(size, name)
}
