//! Opening: what `open` and everything that opens (`fopen`, `mkstemp`, `creat`, ...) does with a path.

use crate::abi::{CPath, fail};
use crate::boundary::{self, Answer, Escape, checked};
use crate::config::{self, Covered};
use crate::paths::{self, Walked};
use crate::{creds, fds, mounts, nodes, stats, transfer};
use flac::Fs;
use flac::fs::names::{Last, Name, Resolved};
use flac::units::Ino;
use libc::{O_ACCMODE, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_PATH, O_RDONLY, O_TMPFILE, O_TRUNC, O_WRONLY, c_int, mode_t};

/// As [`open_or_wait`], where what waits for the other end of a FIFO does so inside.
pub fn open(dirfd: c_int, path: CPath, flags: c_int, mode: mode_t, theirs: impl Fn(CPath) -> c_int) -> Answer<c_int> {
    nodes::wait_here(open_or_wait(dirfd, path, flags, mode, theirs))
}

/// `openat`. `theirs` opens a path of the kernel's with the same flags. `NotOurs` if the path is the kernel's as it is.
pub fn open_or_wait(dirfd: c_int, path: CPath, flags: c_int, mode: mode_t, theirs: impl Fn(CPath) -> c_int) -> Answer<c_int> {
    if let Ok(text) = path.bytes()
        && let Some(fd) = mounts::open(text, flags)?
    {
        fds::note_kernel(fd);
        return Ok(fd);
    }
    open_by(|last| paths::walk(dirfd, path, last), dirfd, path, flags, mode, theirs)
}

/// As [`open_or_wait`], where `walk` goes to `path`.
pub fn open_by(
    walk: impl Fn(Last) -> Answer<Walked>,
    dirfd: c_int,
    path: CPath,
    flags: c_int,
    mode: mode_t,
    theirs: impl Fn(CPath) -> c_int,
) -> Answer<c_int> {
    // Only these mean anything with it.
    let flags = if flags & O_PATH != 0 { flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW | libc::O_CLOEXEC) } else { flags };
    // A file without a name is made to be written, and means no other.
    const UNNAMED: c_int = O_TMPFILE & !O_DIRECTORY;
    if flags & UNNAMED != 0 && (flags & (O_TMPFILE | O_CREAT) != O_TMPFILE || flags & O_ACCMODE == O_RDONLY) {
        return fail(libc::EINVAL);
    }
    let last = if flags & O_NOFOLLOW != 0 || flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL { Last::Keep } else { Last::Follow };
    // Again when another process made or removed the name between our looking and our making it.
    for _ in 0..100 {
        let mut walked = walk(last);
        if flags & (O_CREAT | O_EXCL) == O_CREAT && matches!(walked, Err(Escape::NotOurs)) && may_lead_to_root(dirfd, path) {
            boundary::walk_by_hand();
            walked = walk(last);
        }
        if flags & O_CREAT != 0 && !matches!(walked, Err(Escape::NotOurs) | Ok(Walked::Kernel(_))) {
            may_create(&walk, path, flags)?;
        }
        match walked? {
            Walked::Kernel(path) => {
                let fd = checked(theirs(CPath::of(&path)))?;
                fds::note_kernel(fd);
                return Ok(fd);
            }
            Walked::Flac(fs, at) => {
                let existed = matches!(at, Resolved::Found { .. });
                match open_here(fs, at, flags, mode) {
                    Ok(Some(fd)) => {
                        stats::add(stats::Counter::Opens, 1);
                        return Ok(fd);
                    }
                    Ok(None) => {}
                    // Removed or replaced since it was found.
                    Err(Escape::Fail(libc::ENOENT)) if existed => {}
                    Err(e) => return Err(e),
                }
            }
        }
    }
    fail(libc::ENOENT)
}

/// Whether the kernel, which has nothing at the root, might follow a link there and make a file.
fn may_lead_to_root(dirfd: c_int, path: CPath) -> bool {
    if config::covered() != Covered::Nothing || boundary::by_hand() {
        return false;
    }
    let mut room = [const { std::mem::MaybeUninit::uninit() }; 1];
    let dir = if dirfd == libc::AT_FDCWD { Ok(rustix::fs::CWD) } else { fds::borrow(dirfd) };
    matches!((dir, path.bytes()), (Ok(dir), Ok(path)) if rustix::fs::readlinkat_raw(dir, path, &mut room).is_ok())
}

/// What the kernel refuses to make whether it exists or not: a file called a directory, by flag or by a slash at its end.
fn may_create(walk: &impl Fn(Last) -> Answer<Walked>, path: CPath, flags: c_int) -> Answer<()> {
    if flags & O_DIRECTORY != 0 {
        return fail(libc::EINVAL);
    }
    // What leads there comes first.
    if path.bytes()?.ends_with(b"/") && matches!(walk(Last::Entry), Ok(Walked::Flac(_, at)) if has_name(&at)) {
        return fail(libc::EISDIR);
    }
    Ok(())
}

fn has_name(at: &Resolved) -> bool {
    !matches!(at, Resolved::Found { name, .. } if name.as_bytes().is_empty())
}

/// `None`: the name has changed meanwhile.
fn open_here(fs: &'static Fs, at: Resolved, flags: c_int, mode: mode_t) -> Answer<Option<c_int>> {
    let unnamed = flags & O_TMPFILE == O_TMPFILE;
    match at {
        Resolved::Found { ino, kind, .. } if unnamed => open_unnamed(fs, ino, kind, flags, mode).map(Some),
        Resolved::Found { ino, kind, slash, .. } => {
            if flags & O_CREAT != 0 && flags & O_EXCL != 0 {
                return fail(libc::EEXIST);
            }
            open_found(fs, ino, kind, slash, flags).map(Some)
        }
        Resolved::Missing { parent, name, slash } if flags & O_CREAT != 0 && !unnamed => create(fs, parent, &name, slash, flags, mode),
        _ => fail(libc::ENOENT),
    }
}

fn create(fs: &'static Fs, parent: Ino, name: &Name, slash: bool, flags: c_int, mode: mode_t) -> Answer<Option<c_int>> {
    if slash {
        return fail(libc::EISDIR);
    }
    if flags & O_DIRECTORY != 0 {
        return fail(libc::EINVAL);
    }
    let who = creds::now();
    // Whoever makes a file may open it in any mode.
    match fds::open(fs, flags, |hold| fs.create_open(parent, name, mode, &who.creds(), flags, hold)) {
        Ok(fd) => Ok(Some(fd)),
        Err(Escape::Fail(libc::EEXIST)) if flags & O_EXCL == 0 => Ok(None),
        Err(e) => Err(e),
    }
}

fn open_unnamed(fs: &'static Fs, dir: Ino, kind: u32, flags: c_int, mode: mode_t) -> Answer<c_int> {
    if kind != libc::S_IFDIR {
        return fail(libc::ENOTDIR);
    }
    let (linkable, who) = (flags & O_EXCL == 0, creds::now());
    fds::open(fs, flags, |hold| fs.create_unnamed(dir, mode, linkable, &who.creds(), flags, hold))
}

/// Opens an inode that was found without a path.
pub fn open_inode(fs: &'static Fs, ino: Ino, kind: u32, flags: c_int) -> Answer<c_int> {
    open_found(fs, ino, kind, false, flags & !(O_CREAT | O_EXCL))
}

fn open_found(fs: &'static Fs, ino: Ino, kind: u32, slash: bool, flags: c_int) -> Answer<c_int> {
    let is_dir = kind == libc::S_IFDIR;
    if kind == libc::S_IFLNK && flags & (O_PATH | O_DIRECTORY) == 0 {
        return fail(libc::ELOOP);
    }
    if !is_dir && (flags & O_DIRECTORY != 0 || slash) {
        return fail(libc::ENOTDIR);
    }
    if flags & O_PATH != 0 {
        return fds::open(fs, flags, |hold| fs.open_file(ino, flags, hold));
    }
    let writes = flags & O_ACCMODE != O_RDONLY || flags & O_TRUNC != 0;
    if is_dir && (writes || flags & O_CREAT != 0) {
        return fail(libc::EISDIR);
    }
    let mut want = 0;
    if flags & O_ACCMODE != O_WRONLY {
        want |= libc::R_OK;
    }
    if writes {
        want |= libc::W_OK;
    }
    let who = creds::now().creds();
    fs.access(ino, want, &who)?;
    if flags & libc::O_NOATIME != 0 && !fs.attr(ino)?.owned_by(&who) {
        return fail(libc::EPERM);
    }
    match kind {
        libc::S_IFDIR if flags & libc::O_DIRECT != 0 => fail(libc::EINVAL),
        libc::S_IFREG | libc::S_IFDIR => {
            let fd = fds::open(fs, flags, |hold| fs.open_file(ino, flags, hold))?;
            if flags & O_TRUNC != 0 {
                fs.tell_modified(ino);
                let _ = transfer::drop_set_ids(fs, ino);
            }
            Ok(fd)
        }
        libc::S_IFSOCK => fail(libc::ENXIO),
        _ => nodes::open(fs, ino, kind, flags),
    }
}
