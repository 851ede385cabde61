//! mmap and its kin. Mappings of FLAC files are FLAC's; of the rest FLAC only hears what becomes of pages that it has attached.

use crate::abi::{In, fail};
use crate::boundary::{Answer, Escape, Mapped, checked};
use crate::ranges::{READ_ONLY, UNATTACHABLE};
use crate::{fds, space};
use flac::Fs;
use flac::fs::open::OpenId;
use flac::units::{Ino, PAGE};
use libc::{c_int, c_uint, c_void, iovec, off_t, size_t, ssize_t};

/// Whether FLAC is in use, so that some of this process's pages may be its.
fn in_use() -> bool {
    space::opened().is_some()
}

hook! {
    /// `mmap(2)`.
    fn mmap(at: *mut c_void, n: size_t, prot: c_int, flags: c_int, fd: c_int, offset: off_t) -> Mapped, also(mmap64, __mmap),
    when((flags & libc::MAP_ANONYMOUS == 0 && fds::maybe(fd)) || (flags & libc::MAP_FIXED != 0 && in_use())) {
        if flags & libc::MAP_ANONYMOUS == 0 && fds::maybe(fd) {
            match fds::open_file(fd) {
                Ok((fs, id)) => return map(fs, id, at, n, prot, flags, offset),
                Err(Escape::NotOurs) => {}
                Err(e) => return Err(e),
            }
        }
        if flags & libc::MAP_FIXED != 0 {
            forget(at, n);
        }
        Err(Escape::NotOurs)
    }
}

#[allow(unsafe_code, reason = "as mmap")]
fn map(fs: &Fs, id: OpenId, at: *mut c_void, n: size_t, prot: c_int, flags: c_int, from: off_t) -> Answer<Mapped> {
    let opened = fs.open_flags(id);
    if opened & libc::O_PATH != 0 {
        return fail(libc::EBADF);
    }
    let is_shared = matches!(flags & libc::MAP_TYPE, libc::MAP_SHARED | libc::MAP_SHARED_VALIDATE);
    if n == 0 || from & (PAGE as off_t - 1) != 0 || !(is_shared || flags & libc::MAP_TYPE == libc::MAP_PRIVATE) {
        return fail(libc::EINVAL);
    }
    let from = u64::try_from(from).map_err(|_| Escape::Fail(libc::EOVERFLOW))?;
    // A mapping that must be known to be refused: `MAP_SYNC` for one, whose promise is not kept here.
    const LEGACY: c_int = libc::MAP_TYPE
        | libc::MAP_FIXED
        | libc::MAP_ANONYMOUS
        | libc::MAP_DENYWRITE
        | libc::MAP_EXECUTABLE
        | libc::MAP_GROWSDOWN
        | libc::MAP_LOCKED
        | libc::MAP_NORESERVE
        | libc::MAP_POPULATE
        | libc::MAP_NONBLOCK
        | libc::MAP_STACK
        | libc::MAP_HUGETLB;
    if flags & libc::MAP_TYPE == libc::MAP_SHARED_VALIDATE && flags & !(LEGACY | libc::MAP_FIXED_NOREPLACE) != 0 {
        return fail(libc::EOPNOTSUPP);
    }
    if flags & (libc::MAP_HUGETLB | libc::MAP_GROWSDOWN) != 0 {
        return fail(libc::EINVAL);
    }
    let mode = opened & libc::O_ACCMODE;
    if matches!(mode, libc::O_WRONLY | libc::O_ACCMODE) || (is_shared && prot & libc::PROT_WRITE != 0 && mode != libc::O_RDWR) {
        return fail(libc::EACCES);
    }
    let ino = fs.open_ino(id);
    if fs.attr(ino)?.mode & libc::S_IFMT != libc::S_IFREG {
        return fail(libc::ENODEV);
    }
    if flags & (libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE) == libc::MAP_FIXED {
        READ_ONLY.remove(at.addr(), n);
        UNATTACHABLE.remove(at.addr(), n);
    }
    // SAFETY: the program's own arguments to mmap.
    let mapped = || unsafe { fs.map(ino, at.addr(), n, prot, flags, from) };
    let mapped = if is_shared && !fs.watches_cuts() { fds::noting_own(mapped) } else { mapped() }?;
    fs.was_mapped(id);
    if is_shared && mode == libc::O_RDONLY {
        READ_ONLY.add(mapped, n.next_multiple_of(PAGE));
    }
    Ok(Mapped(std::ptr::with_exposed_provenance_mut(mapped)))
}

hook! {
    /// `mprotect(2)`: what is mapped of a file opened for reading can't become writable. The kernel can't tell: to it the file is the tier.
    fn mprotect(at: *mut c_void, n: size_t, prot: c_int) -> c_int, also(__mprotect), when(may_open(prot)), real(theirs) {
        open_for_writing(at, n, || theirs(at, n, prot))
    }
}

hook! {
    /// `pkey_mprotect(2)`.
    fn pkey_mprotect(at: *mut c_void, n: size_t, prot: c_int, key: c_int) -> c_int, when(may_open(prot)), real(theirs) {
        open_for_writing(at, n, || theirs(at, n, prot, key))
    }
}

/// Whether a change of protection lets the program write to what may be a FLAC file.
fn may_open(prot: c_int) -> bool {
    prot & libc::PROT_WRITE != 0 && (!READ_ONLY.is_empty() || space::opened().is_some_and(Fs::has_any_view))
}

fn open_for_writing(at: *mut c_void, n: size_t, change: impl FnOnce() -> c_int) -> Answer<c_int> {
    if READ_ONLY.meets(at.addr(), n) {
        return fail(libc::EACCES);
    }
    let Some(fs) = space::opened() else { return Err(Escape::NotOurs) };
    fs.becomes_writable(at.addr(), n);
    let changed = checked(change());
    fs.becomes_writable(at.addr(), n);
    changed
}

/// The program is about to change this range: FLAC's views in it are none any more.
fn forget(at: *mut c_void, n: size_t) {
    READ_ONLY.remove(at.addr(), n);
    UNATTACHABLE.remove(at.addr(), n);
    if let Some(fs) = space::opened() {
        fs.unmapped(at.addr(), n);
    }
}

hook! {
    /// `munmap(2)`.
    fn munmap(at: *mut c_void, n: size_t) -> c_int, also(__munmap), when(in_use()), real(theirs) {
        if n == 0 || !at.addr().is_multiple_of(PAGE) {
            return Err(Escape::NotOurs);
        }
        let Some(fs) = space::opened() else { return Err(Escape::NotOurs) };
        READ_ONLY.remove(at.addr(), n);
        UNATTACHABLE.remove(at.addr(), n);
        let mut result = -1;
        // Refused ranges stay as they are.
        fs.replacing(at.addr(), n, || {
            result = theirs(at, n);
            result == 0
        });
        checked(result)
    }
}

hook! {
    /// `mremap(2)`: attached pages become ordinary memory first, so that they may move and grow.
    fn mremap(at: *mut c_void, old: size_t, new: size_t, flags: c_int, to: *mut c_void) -> Mapped, when(in_use()), real(theirs) {
        // Of no length: a second mapping of the same.
        if let Some(fs) = space::opened()
            && fs.has_mapping(at.addr(), old.max(1)) {
                fs.privatize(at.addr(), old)?;
                if fs.has_mapping(at.addr(), old.max(1)) && (old > 0 || fs.mapped_at(at.addr()).is_some()) {
                    return remap_file(fs, at, old, new, flags, to);
                }
            }
        if flags & libc::MREMAP_FIXED != 0 {
            forget(to, new);
        }
        checked(theirs(at, old, new, flags, to))
    }
}

/// A shared mapping of a FLAC file is mapped anew where and as long as it shall be.
#[allow(unsafe_code, reason = "as mremap")]
fn remap_file(fs: &Fs, at: *mut c_void, old: size_t, new: size_t, flags: c_int, to: *mut c_void) -> Answer<Mapped> {
    let Some((ino, from)) = fs.mapped_at(at.addr()) else { return fail(libc::EFAULT) };
    let (old, new) = (old.next_multiple_of(PAGE), new.next_multiple_of(PAGE));
    if new == 0 || flags & !(libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) != 0 {
        return fail(libc::EINVAL);
    }
    let unmap = |at: *mut c_void, n: usize| {
        let mut result = Ok(());
        fs.replacing(at.addr(), n, || {
            // SAFETY: the program gave this range away by its call.
            result = unsafe { rustix::mm::munmap(at, n) };
            result.is_ok()
        });
        READ_ONLY.remove(at.addr(), n);
        result.map_err(Escape::from)
    };
    if new <= old && flags & libc::MREMAP_FIXED == 0 {
        if new < old {
            unmap(at.wrapping_byte_add(new), old - new)?;
        }
        return Ok(Mapped(at));
    }
    if flags & libc::MREMAP_MAYMOVE == 0 {
        return fail(libc::ENOMEM);
    }
    let fixed = if flags & libc::MREMAP_FIXED != 0 { (to.addr(), libc::MAP_FIXED) } else { (0, 0) };
    // A new mapping, anywhere or where the program wants it.
    let prot = fs.protections(at.addr(), at.addr() + PAGE)[0].1;
    // SAFETY: as above.
    let mapped = unsafe { fs.map(ino, fixed.0, new, prot, libc::MAP_SHARED | fixed.1, from) }?;
    if READ_ONLY.meets(at.addr(), old.max(1)) {
        READ_ONLY.add(mapped, new);
    }
    if old > 0 {
        unmap(at, old)?;
    }
    Ok(Mapped(std::ptr::with_exposed_provenance_mut(mapped)))
}

hook! {
    /// `remap_file_pages(2)`: another part of the file that is mapped there. The kernel would take that part of the tier, which is anybody's.
    fn remap_file_pages(at: *mut c_void, n: size_t, prot: c_int, page: size_t, flags: c_int) -> c_int, when(in_use()) {
        let _ = flags;
        let (from, n) = (at.addr() & !(PAGE - 1), n & !(PAGE - 1));
        let Some(fs) = space::opened().filter(|fs| n != 0 && fs.has_mapping(from, n)) else { return Err(Escape::NotOurs) };
        // Pages are counted as numbers that do not wrap; the kernel looks at this first.
        let (Some(_), 0, Some(parts)) = (page.checked_add(n / PAGE), prot, mapped_parts(fs, from, n)) else { return fail(libc::EINVAL) };
        let file = parts[0].0;
        if parts.iter().any(|(ino, _, _)| *ino != file) {
            return fail(libc::EINVAL);
        }
        let protections = fs.protections(from, from + n);
        let prot = protections[0].1;
        if protections.iter().any(|(_, other)| *other != prot) {
            return fail(libc::EINVAL);
        }
        let offset = page.checked_mul(PAGE).filter(|first| first.checked_add(n).is_some_and(|end| i64::try_from(end).is_ok()));
        let Some(offset) = offset else { return fail(libc::EOVERFLOW) };
        // SAFETY: the program gives the range another part of the file that it has mapped there.
        #[expect(unsafe_code, reason = "as mmap")]
        unsafe { fs.map(file, from, n, prot, libc::MAP_SHARED | libc::MAP_FIXED, offset as u64) }?;
        Ok(0)
    }
}

hook! {
    /// `madvise(2)`. `MADV_DONTNEED` and its like on attached pages must give zeros, and `MADV_DONTFORK` must hold for the memory that the program means.
    fn madvise(at: *mut c_void, n: size_t, advice: c_int) -> c_int,
    also(__madvise), when((in_use() && changes_content(advice)) || (is_lasting(advice) && crate::config::on())), real(theirs) {
        let len = n.next_multiple_of(PAGE);
        match advice {
            _ if is_lasting(advice) => UNATTACHABLE.add(at.addr(), len),
            libc::MADV_DOFORK | libc::MADV_KEEPONFORK => UNATTACHABLE.remove(at.addr(), len),
            _ => {}
        }
        if let Some(fs) = space::opened()
            && n != 0 && at.addr().is_multiple_of(PAGE) {
                if advice == libc::MADV_REMOVE && remove(fs, at.addr(), len)? {
                    return Ok(0);
                }
                fs.privatize(at.addr(), n)?;
                if advice == MADV_GUARD_INSTALL {
                    fs.end_protection(at.addr(), len);
                }
            }
        checked(theirs(at, n, advice))
    }
}

/// The parts of files that are mapped shared in [at, at + len), in order: (inode, offset, bytes). `None` if something else, or nothing, is mapped in between.
fn mapped_parts(fs: &Fs, at: usize, len: usize) -> Option<Vec<(Ino, u64, u64)>> {
    let end = at.checked_add(len)?;
    let (mut at, mut parts) = (at, Vec::<(Ino, u64, u64)>::new());
    while at < end {
        let (ino, offset, bytes) = fs.mapped_part(at, end)?;
        match parts.last_mut() {
            Some((last, from, len)) if *last == ino && *from + *len == offset => *len += bytes as u64,
            _ => parts.push((ino, offset, bytes as u64)),
        }
        at += bytes;
    }
    Some(parts)
}

hook! {
    /// `process_madvise(2)`: on this process, and with advice that changes what is there, it is `madvise` of each part.
    fn process_madvise(process: c_int, parts: *const iovec, n: size_t, advice: c_int, flags: c_uint) -> ssize_t,
    when((in_use() && changes_content(advice)) || (is_lasting(advice) && crate::config::on())), real(theirs) {
        // Of no parts the kernel says whether it takes such advice at all.
        if theirs(process, parts, 0, advice, flags) < 0 {
            return Err(Escape::Fail(crate::boundary::errno()));
        }
        if !is_this_process(process) {
            return Err(Escape::NotOurs);
        }
        if n > crate::transfer::MOST_VECTORS {
            return fail(libc::EINVAL);
        }
        let parts = In::<iovec>::at(parts.cast()).array(n)?;
        let mut done = 0;
        for part in parts {
            // SAFETY: the program's own memory and advice.
            #[expect(unsafe_code, reason = "as madvise")]
            let advised = crate::boundary::call_out(|| unsafe { madvise(part.iov_base, part.iov_len, advice) });
            if advised != 0 {
                let error = crate::boundary::errno();
                return if done == 0 { fail(error) } else { Ok(done) };
            }
            done += part.iov_len as ssize_t;
        }
        Ok(done)
    }
}

/// Whether this descriptor of a process, or number that stands for one, means the caller.
fn is_this_process(process: c_int) -> bool {
    /// `PIDFD_SELF_THREAD` and `PIDFD_SELF_THREAD_GROUP`.
    const SELF: std::ops::RangeInclusive<c_int> = -10001..=-10000;
    let own = rustix::process::getpid().as_raw_nonzero().get();
    SELF.contains(&process) || fds::process_behind(process) == Some(own)
}

/// `MADV_REMOVE`: a hole in the file that is mapped there; the kernel would make it in the tier, under everybody's feet. `false`: no FLAC file is.
fn remove(fs: &Fs, at: usize, len: usize) -> Answer<bool> {
    let Some(holes) = mapped_parts(fs, at, len) else {
        return if fs.shows_a_file(at, len) { fail(libc::EINVAL) } else { Ok(false) };
    };
    if READ_ONLY.meets(at, len) {
        return fail(libc::EACCES);
    }
    for (ino, offset, len) in holes {
        fs.allocate(ino, libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE, offset, len)?;
    }
    Ok(true)
}

/// Advice that the kernel remembers with the mapping, and that changes what a child has.
fn is_lasting(advice: c_int) -> bool {
    matches!(advice, libc::MADV_DONTFORK | libc::MADV_WIPEONFORK)
}

const MADV_GUARD_INSTALL: c_int = 102;

fn changes_content(advice: c_int) -> bool {
    const MADV_DONTNEED_LOCKED: c_int = 24;
    matches!(
        advice,
        libc::MADV_DONTNEED
            | libc::MADV_FREE
            | libc::MADV_REMOVE
            | libc::MADV_DONTFORK
            | libc::MADV_WIPEONFORK
            | libc::MADV_DOFORK
            | libc::MADV_KEEPONFORK
            | libc::MADV_PAGEOUT
            | MADV_DONTNEED_LOCKED
            | MADV_GUARD_INSTALL
    )
}
