//! Unix sockets with names in FLAC. FLAC stores the node, and with it who may connect; the socket itself is the kernel's, bound to
//! `<run dir>/sock/<inode number>.b` and then moved to `<run dir>/sock/<inode number>`, where those who connect find it. The kernel goes on calling it by the first name, in every
//! process: the link `<inode number>.n` beside it has the name that the program gave, for `getsockname` and its like.
//!
//! A node whose socket is gone (its process, the machine) has nothing there: `ECONNREFUSED`, as the kernel says of a socket that nobody has bound.
#![expect(unsafe_code, reason = "socket addresses")]

use crate::abi::{In, Out, fail};
use crate::boundary::{self, Answer, CReturn, Escape};
use crate::paths::{self, Walked};
use crate::{creds, space};
use flac::Fs;
use flac::fs::names::{Last, Resolved};
use flac::units::Ino;
use libc::{c_int, sockaddr, sockaddr_storage, sockaddr_un, socklen_t};
use rustix::fs::{CWD, Mode};
use rustix::io::Errno;
use std::cell::Cell;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Where the path begins in an address.
const PATH: usize = std::mem::offset_of!(sockaddr_un, sun_path);

/// An address of ours, to hand to the kernel.
#[derive(Clone, Copy)]
struct Address {
    un: sockaddr_un,
    len: socklen_t,
}

impl Address {
    /// `ENAMETOOLONG` if the path does not fit.
    fn of(path: &[u8]) -> Answer<Self> {
        // SAFETY: plain data, for which zero is valid.
        let mut un: sockaddr_un = unsafe { std::mem::zeroed() };
        if path.len() >= un.sun_path.len() {
            return fail(libc::ENAMETOOLONG);
        }
        un.sun_family = libc::AF_UNIX as libc::sa_family_t;
        for (to, byte) in un.sun_path.iter_mut().zip(path) {
            *to = byte.cast_signed();
        }
        Ok(Self { un, len: (PATH + path.len() + 1) as socklen_t })
    }
    fn ptr(&self) -> *const sockaddr {
        (&raw const self.un).cast()
    }
}

/// The path in an address of `len` bytes; `None` if it has none: another family, unnamed, abstract, or of a length that the kernel refuses.
fn path_in<'a>(address: *const sockaddr, len: socklen_t) -> Option<&'a [u8]> {
    let len = len as usize;
    if address.is_null() || len <= PATH || len > size_of::<sockaddr_un>() {
        return None;
    }
    let bytes = In::<u8>::at(address.cast()).array(len).ok()?;
    let (family, path) = bytes.split_at(PATH);
    let path = &path[..path.iter().position(|b| *b == 0).unwrap_or(path.len())];
    (family == (libc::AF_UNIX as libc::sa_family_t).to_ne_bytes() && !path.is_empty()).then_some(path)
}

/// `<run dir>/sock/<number><suffix>`.
fn stub(fs: &Fs, ino: Ino, suffix: &str) -> PathBuf {
    fs.run_dir().join("sock").join(format!("{:x}{suffix}", ino.get()))
}

/// Where the kernel finds the socket that the program calls `path`, which it may write to.
fn target(path: &[u8]) -> Answer<Address> {
    match paths::walk_bytes(libc::AT_FDCWD, path, Last::Follow)? {
        Walked::Kernel(path) => Address::of(path.to_bytes()),
        Walked::Flac(_, Resolved::Found { kind, slash: true, .. }) if kind != libc::S_IFDIR => fail(libc::ENOTDIR),
        Walked::Flac(fs, Resolved::Found { ino, kind, .. }) => {
            fs.access(ino, libc::W_OK, &creds::now().creds())?;
            if kind != libc::S_IFSOCK {
                return fail(libc::ECONNREFUSED);
            }
            let stub = stub(fs, ino, "");
            match rustix::fs::lstat(&stub) {
                Ok(_) => Address::of(stub.as_os_str().as_bytes()),
                Err(_) => fail(libc::ECONNREFUSED),
            }
        }
        Walked::Flac(..) => fail(libc::ENOENT),
    }
}

/// Calls `real` with the address that the program gave, or with the kernel's for it. Nothing of ours is held meanwhile: it may wait.
pub fn outgoing<R: CReturn + Default>(address: *const sockaddr, len: socklen_t, real: impl Fn(*const sockaddr, socklen_t) -> R) -> R {
    let Some(path) = path_in(address, len) else { return real(address, len) };
    let found = Cell::new(None);
    let note = || {
        found.set(Some(target(path)?));
        Ok(R::default())
    };
    let result = boundary::cross(note, || real(address, len), |_| false);
    match found.take() {
        Some(there) => real(there.ptr(), there.len),
        None => result,
    }
}

/// `bind(2)`.
pub fn bind(fd: c_int, address: *const sockaddr, len: socklen_t, theirs: impl Fn(*const sockaddr, socklen_t) -> c_int) -> Answer<c_int> {
    let path = path_in(address, len).filter(|_| is_unix(fd)).ok_or(Escape::NotOurs)?;
    let call = |to: &Address| boundary::checked(theirs(to.ptr(), to.len));
    match paths::walk_bytes(libc::AT_FDCWD, path, Last::Entry)? {
        Walked::Kernel(path) => call(&Address::of(path.to_bytes())?),
        Walked::Flac(_, Resolved::Missing { slash: true, .. }) => fail(libc::ENOENT),
        Walked::Flac(fs, Resolved::Missing { parent, name, .. }) => {
            let mode = rustix::fs::fstat(crate::fds::borrow(fd)?)?.st_mode & 0o7777;
            let who = creds::now().creds();
            let ino = fs.create(parent, &name, libc::S_IFSOCK | mode, 0, &who).map_err(|e| match e.errno() {
                libc::EEXIST => Escape::Fail(libc::EADDRINUSE),
                _ => e.into(),
            })?;
            let bound = bind_stub(fs, ino, path, call);
            if bound.is_err() {
                // A socket that has an address already, for one. It is unbound, so nobody has met it.
                let _ = fs.unlink(parent, &name, &who);
                for suffix in ["", ".b", ".n"] {
                    let _ = rustix::fs::unlink(stub(fs, ino, suffix));
                }
            }
            bound
        }
        Walked::Flac(..) => fail(libc::EADDRINUSE),
    }
}

/// Binds to a stub that all may connect to, since permission is FLAC's business, and shows it only then.
fn bind_stub(fs: &Fs, ino: Ino, path: &[u8], call: impl Fn(&Address) -> Answer<c_int>) -> Answer<c_int> {
    let (first, name) = (stub(fs, ino, ".b"), stub(fs, ino, ".n"));
    if let Err(Errno::NOENT) = rustix::fs::symlink(path, &name) {
        crate::nodes::make_directory(&fs.run_dir().join("sock"));
        rustix::fs::symlink(path, &name)?;
    }
    call(&Address::of(first.as_os_str().as_bytes())?)?;
    rustix::fs::chmod(&first, Mode::from_raw_mode(0o777))?;
    rustix::fs::rename(&first, stub(fs, ino, ""))?;
    Ok(0)
}

fn is_unix(fd: c_int) -> bool {
    let mut domain: c_int = 0;
    let mut len = size_of::<c_int>() as socklen_t;
    // SAFETY: a place of that length; the kernel answers for any number.
    let got = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_DOMAIN, (&raw mut domain).cast(), &mut len) };
    got == 0 && domain == libc::AF_UNIX
}

/// The name of a socket was removed. The stub goes, and, if nobody has the socket any more, what it was called.
pub fn unlinked(fs: &Fs, ino: Ino) {
    if fs.attr(ino).is_ok() {
        return;
    }
    let path = stub(fs, ino, "");
    // To connect a datagram socket changes nothing at the other end, and fails otherwise where there is one that is not of datagrams.
    let is_dead = Address::of(path.as_os_str().as_bytes()).is_ok_and(|address| {
        // SAFETY: a new socket, connected to a valid address and closed.
        unsafe {
            let probe = libc::socket(libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
            let failed = probe >= 0 && libc::connect(probe, address.ptr(), address.len) != 0;
            let errno = boundary::errno();
            if probe >= 0 {
                libc::close(probe);
            }
            failed && matches!(errno, libc::ECONNREFUSED | libc::ENOENT)
        }
    });
    let _ = rustix::fs::unlink(path);
    if is_dead {
        let _ = rustix::fs::unlink(stub(fs, ino, ".n"));
    }
}

/// What the program called the socket whose address the kernel gives as `path`; `None` if that is not one of ours.
fn name_of(path: &[u8]) -> Option<Vec<u8>> {
    let (dir, stub) = path.split_at(path.iter().rposition(|b| *b == b'/')?);
    let run = dir.strip_suffix(b"/sock").filter(|run| run.windows(6).any(|w| w == b"/flac-"))?;
    let number = stub.strip_suffix(b".b")?.strip_prefix(b"/")?;
    let _guard = boundary::Inside::enter()?;
    let fs = space::fs().ok().filter(|fs| fs.run_dir().as_os_str().as_bytes() == run)?;
    let ino = u64::from_str_radix(std::str::from_utf8(number).ok()?, 16).ok()?;
    rustix::fs::readlinkat(CWD, self::stub(fs, Ino::new(ino), ".n"), Vec::new()).ok().map(std::ffi::CString::into_bytes)
}

/// If an address from the kernel, of `len` bytes, is that of a socket of ours, puts in what the program called it.
pub fn rename(address: &mut sockaddr_storage, len: &mut socklen_t) {
    let before = boundary::errno();
    if let Some(name) = path_in((&raw const *address).cast(), *len).and_then(name_of) {
        let (mut named, _) = room();
        named.ss_family = libc::AF_UNIX as libc::sa_family_t;
        // SAFETY: a `sockaddr_storage` has room for every address: `bind` took no more than 108 bytes, and the kernel counts a NUL behind them.
        unsafe { std::ptr::copy_nonoverlapping(name.as_ptr(), (&raw mut named).cast::<u8>().add(PATH), name.len().min(108)) };
        (*address, *len) = (named, (PATH + name.len() + 1) as socklen_t);
    }
    boundary::set_errno(before);
}

/// Room for any address.
pub fn room() -> (sockaddr_storage, socklen_t) {
    // SAFETY: plain data, for which zero is valid.
    (unsafe { std::mem::zeroed() }, size_of::<sockaddr_storage>() as socklen_t)
}

/// Calls `real`, which fills in an address, and shows the program what it knows by that address.
pub fn incoming<R: CReturn>(to: *mut sockaddr, len: *mut socklen_t, real: impl FnOnce(*mut sockaddr, *mut socklen_t) -> R) -> R {
    let Some(room_there) = room_at(to, len) else { return real(to, len) };
    let (mut own, mut got) = room();
    let result = real((&raw mut own).cast(), &mut got);
    if result == R::FAILED {
        return result;
    }
    rename(&mut own, &mut got);
    // SAFETY: the program's memory; no more is copied than there is room for.
    match unsafe { fill(to, room_there, (&raw const own).cast(), got) }.and_then(|()| Out::at(len.cast()).put(got)) {
        Ok(()) => result,
        Err(_) => {
            boundary::set_errno(libc::EFAULT);
            R::FAILED
        }
    }
}

/// How much room for an address the program says there is. `None` if there is none, or what the kernel refuses.
fn room_at(to: *const sockaddr, len: *const socklen_t) -> Option<socklen_t> {
    let room = In::<socklen_t>::at(len.cast()).get().ok()??;
    (!to.is_null() && room.cast_signed() >= 0 && In::<u8>::at(to.cast()).array(room as usize).is_ok()).then_some(room)
}

/// Copies an address of `got` bytes to where there is room for `room`; `EFAULT`.
///
/// # Safety
/// The program vouches for the room, the caller for the address.
pub unsafe fn fill(to: *mut sockaddr, room: socklen_t, address: *const sockaddr, got: socklen_t) -> Answer<()> {
    // SAFETY: as the caller says.
    unsafe { crate::abi::transfer(to.cast(), address.cast(), room.min(got) as usize) }
}
