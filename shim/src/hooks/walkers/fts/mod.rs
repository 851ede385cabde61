//! `fts`, as 4.4BSD describes it. It never changes the working directory (as with `FTS_NOCHDIR`): `fts_accpath` is `fts_path`.
#![expect(unsafe_code, reason = "C structures that the program reads and links that it follows")]

mod entry;

use super::tree::names_in;
use crate::boundary::{self, CReturn};
use entry::{Entry, entry, free, free_list};
use libc::{c_char, c_int, c_ushort, c_void, dev_t};
use std::ffi::CStr;
use std::ptr::null_mut;

const COMFOLLOW: c_int = 0x1;
const LOGICAL: c_int = 0x2;
const SEEDOT: c_int = 0x20;
const XDEV: c_int = 0x40;
const OPTIONS: c_int = 0xff;
const NAMEONLY: c_int = 0x100;

const D: c_ushort = 1;
const DC: c_ushort = 2;
const DEFAULT: c_ushort = 3;
const DNR: c_ushort = 4;
const DOT: c_ushort = 5;
const DP: c_ushort = 6;
const ERR: c_ushort = 7;
const F: c_ushort = 8;
const NS: c_ushort = 10;
const SL: c_ushort = 12;
const SLNONE: c_ushort = 13;

const AGAIN: c_ushort = 1;
const FOLLOW: c_ushort = 2;
const NO_INSTRUCTION: c_ushort = 3;
const SKIP: c_ushort = 4;

/// `FTS`.
#[repr(C)]
pub struct Walk {
    current: *mut Entry,
    child: *mut Entry,
    array: *mut *mut Entry,
    dev: dev_t,
    path: *mut c_char,
    rfd: c_int,
    path_len: c_int,
    items: c_int,
    compare: *const c_void,
    options: c_int,
    order: Option<Compare>,
    first: *mut Entry,
    top: *mut Entry,
    /// `child` came from `fts_children(FTS_NAMEONLY)`: nothing is known about it but names.
    names_only: bool,
}

type Compare = unsafe extern "C-unwind" fn(*const *const Entry, *const *const Entry) -> c_int;

/// What `fts_open` gives.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Handle(*mut Walk);

impl CReturn for Handle {
    const FAILED: Self = Handle(null_mut());
}

impl Walk {
    /// Looks at `e`, following a link if asked; its kind.
    fn look(&self, e: &mut Entry, follow: bool) -> c_ushort {
        // SAFETY: our hooks, a C string and a place of our own.
        unsafe {
            let path = e.own_path.as_ptr();
            if self.options & LOGICAL != 0 || follow {
                if libc::stat(path, &mut e.own_stat) != 0 {
                    let errno = boundary::errno();
                    if libc::lstat(path, &mut e.own_stat) == 0 {
                        boundary::set_errno(0);
                        return SLNONE;
                    }
                    e.errno = errno;
                    return NS;
                }
            } else if libc::lstat(path, &mut e.own_stat) != 0 {
                e.errno = boundary::errno();
                return NS;
            }
        }
        (e.dev, e.ino, e.nlink) = (e.own_stat.st_dev, e.own_stat.st_ino, e.own_stat.st_nlink);
        match e.own_stat.st_mode & libc::S_IFMT {
            libc::S_IFDIR => self.kind_of_directory(e),
            libc::S_IFLNK => SL,
            libc::S_IFREG => F,
            _ => DEFAULT,
        }
    }

    fn kind_of_directory(&self, e: &mut Entry) -> c_ushort {
        let name = &e.name[..e.name_len as usize];
        let is_dots = name.len() <= 2 && !name.is_empty() && name.iter().all(|c| *c == b'.' as c_char);
        if is_dots && e.level > 0 {
            return DOT;
        }
        let mut above = e.parent;
        // SAFETY: parents live as long as their children; the top has level -1.
        while let Some(a) = unsafe { above.as_ref() }.filter(|a| a.level >= 0) {
            if (a.dev, a.ino) == (e.dev, e.ino) {
                e.cycle = above;
                return DC;
            }
            above = a.parent;
        }
        D
    }

    /// Orders entries as the program wants and links them.
    fn link(&self, mut entries: Vec<*mut Entry>) -> *mut Entry {
        if let Some(order) = self.order {
            entries.sort_by(|a, b| {
                // SAFETY: the program's function on entries of ours.
                let way = unsafe { order((&raw const *a).cast(), (&raw const *b).cast()) };
                way.cmp(&0)
            });
        }
        for pair in entries.windows(2) {
            // SAFETY: entries of ours.
            unsafe { (*pair[0]).link = pair[1] };
        }
        entries.first().copied().unwrap_or(null_mut())
    }

    /// The entries of the directory `e`; null if there are none, or it can't be read, which its kind then says.
    fn children(&self, e: &mut Entry, names_only: bool) -> *mut Entry {
        let Some(mut names) = names_in(libc::AT_FDCWD, &e.own_path) else {
            (e.errno, e.info) = (boundary::errno(), DNR);
            return null_mut();
        };
        if self.options & SEEDOT != 0 {
            names.splice(0..0, [b".".to_vec(), b"..".to_vec()]);
        }
        let dir = e.own_path.to_bytes().to_vec();
        let slash: &[u8] = if dir.ends_with(b"/") { b"" } else { b"/" };
        let (parent, level) = (&raw mut *e, e.level + 1);
        let made = names.iter().map(|name| {
            let child = entry(&[&dir, slash, name].concat(), name, parent, level);
            if !names_only {
                // SAFETY: just made.
                unsafe { (*child).info = self.look(&mut *child, false) };
            }
            child
        });
        self.link(made.collect())
    }
}

export! {
    /// `fts_open(3)`.
    fn fts_open(paths: *const *const c_char, options: c_int, order: Option<Compare>) -> Handle, also(fts64_open) {
        if options & !OPTIONS != 0 {
            boundary::set_errno(libc::EINVAL);
            return Handle(null_mut());
        }
        open(paths, options, order)
    }
}

fn open(paths: *const *const c_char, options: c_int, order: Option<Compare>) -> Handle {
    let top = entry(b"", b"", null_mut(), -1);
    let walk = Box::into_raw(Box::new(Walk {
        current: null_mut(),
        child: null_mut(),
        array: null_mut(),
        dev: 0,
        path: null_mut(),
        rfd: -1,
        path_len: 0,
        items: 0,
        compare: null_mut(),
        options,
        order,
        first: null_mut(),
        top,
        names_only: false,
    }));
    let mut roots = Vec::new();
    for i in 0.. {
        // SAFETY: an array of strings that ends with null.
        let path = unsafe { *paths.add(i) };
        if path.is_null() {
            break;
        }
        // SAFETY: as above.
        let path = unsafe { CStr::from_ptr(path) }.to_bytes();
        // Until the walk comes to it, a root's name is its path: that is what the program's function orders.
        let root = entry(path, path, top, 0);
        // SAFETY: both just made.
        unsafe {
            (*root).info = (*walk).look(&mut *root, options & COMFOLLOW != 0);
            if (*root).info == DOT {
                (*root).info = D;
            }
        }
        roots.push(root);
        if path.is_empty() {
            roots.into_iter().for_each(free);
            close(Handle(walk));
            boundary::set_errno(libc::ENOENT);
            return Handle(null_mut());
        }
    }
    // SAFETY: made above.
    unsafe { (*walk).first = (*walk).link(roots) };
    Handle(walk)
}

export! {
    /// `fts_read(3)`.
    fn fts_read(handle: Handle) -> *mut Entry, also(fts64_read) {
        // SAFETY: the program's handle, and entries in the lists that hang on it.
        unsafe { next(&mut *handle.0) }
    }
}

/// # Safety
/// The walk's lists are whole.
unsafe fn next(walk: &mut Walk) -> *mut Entry {
    // SAFETY: the caller's promise; what is freed is left by every list.
    unsafe {
        if walk.current.is_null() {
            let first = std::mem::replace(&mut walk.first, null_mut());
            return arrive(walk, first);
        }
        let e = &mut *walk.current;
        let instruction = std::mem::replace(&mut e.instruction, NO_INSTRUCTION);
        if instruction == AGAIN {
            e.info = walk.look(e, false);
            return e;
        }
        if instruction == FOLLOW && matches!(e.info, SL | SLNONE) {
            e.info = walk.look(e, true);
            return e;
        }
        if e.info == D {
            if instruction == SKIP || (walk.options & XDEV != 0 && e.dev != walk.dev) {
                free_list(std::mem::replace(&mut walk.child, null_mut()));
                e.info = DP;
                return e;
            }
            let mut child = std::mem::replace(&mut walk.child, null_mut());
            if std::mem::take(&mut walk.names_only) {
                free_list(std::mem::replace(&mut child, null_mut()));
            }
            if child.is_null() {
                child = walk.children(e, false);
            }
            if !child.is_null() {
                return arrive(walk, child);
            }
            if e.info == D {
                e.info = DP;
            }
            return e;
        }
        leave(walk)
    }
}

/// Comes to `e`, or past it if the program wants it skipped.
///
/// # Safety
/// As for [`next`].
unsafe fn arrive(walk: &mut Walk, e: *mut Entry) -> *mut Entry {
    walk.current = e;
    // SAFETY: the caller's promise.
    let Some(entry) = (unsafe { e.as_mut() }) else { return e };
    if entry.level == 0 {
        walk.dev = entry.dev;
        let path = entry.own_path.to_bytes().to_vec();
        let base = path.iter().rposition(|b| *b == b'/').filter(|i| i + 1 < path.len()).map_or(0, |i| i + 1);
        entry.set_name(&path[base..]);
    }
    match entry.instruction {
        // SAFETY: as above.
        SKIP => unsafe { leave(walk) },
        FOLLOW => {
            entry.instruction = NO_INSTRUCTION;
            entry.info = walk.look(entry, true);
            e
        }
        _ => e,
    }
}

/// Goes on behind the current entry: to the next one beside it, or back to its directory.
///
/// # Safety
/// As for [`next`].
unsafe fn leave(walk: &mut Walk) -> *mut Entry {
    // SAFETY: the caller's promise; the entry is freed after the lists have left it.
    unsafe {
        let (link, parent) = ((*walk.current).link, (*walk.current).parent);
        free(walk.current);
        if !link.is_null() {
            return arrive(walk, link);
        }
        walk.current = parent;
        if (*parent).level < 0 {
            // The end; the next call finds it again.
            walk.current = null_mut();
            boundary::set_errno(0);
            return null_mut();
        }
        (*parent).info = if (*parent).errno != 0 { ERR } else { DP };
        parent
    }
}

export! {
    /// `fts_children(3)`.
    fn fts_children(handle: Handle, names: c_int) -> *mut Entry, also(fts64_children) {
        if names != 0 && names != NAMEONLY {
            boundary::set_errno(libc::EINVAL);
            return null_mut();
        }
        boundary::set_errno(0);
        // SAFETY: the program's handle, and entries that hang on it.
        unsafe {
            let walk = &mut *handle.0;
            let Some(current) = walk.current.as_mut() else { return walk.first };
            if current.info != D {
                return null_mut();
            }
            free_list(std::mem::replace(&mut walk.child, null_mut()));
            walk.names_only = names == NAMEONLY;
            walk.child = walk.children(current, walk.names_only);
            walk.child
        }
    }
}

export! {
    /// `fts_set(3)`.
    fn fts_set(handle: Handle, entry: *mut Entry, instruction: c_int) -> c_int, also(fts64_set) {
        if instruction < 0 || instruction > c_int::from(SKIP) {
            boundary::set_errno(libc::EINVAL);
            return 1;
        }
        // SAFETY: an entry that we gave.
        unsafe { (*entry).instruction = if instruction == 0 { NO_INSTRUCTION } else { instruction as c_ushort } };
        0
    }
}

export! {
    /// `fts_close(3)`.
    fn fts_close(handle: Handle) -> c_int, also(fts64_close) {
        close(handle);
        0
    }
}

fn close(handle: Handle) {
    // SAFETY: the program gives it up; its entries hang on `first`, `child`, and the current one's list and parents.
    unsafe {
        let walk = Box::from_raw(handle.0);
        free_list(walk.first);
        free_list(walk.child);
        let mut level = walk.current;
        while !level.is_null() && (*level).level >= 0 {
            let parent = (*level).parent;
            free_list(level);
            level = parent;
        }
        free(walk.top);
    }
}
