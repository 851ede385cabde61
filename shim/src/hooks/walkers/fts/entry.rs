//! The entries of a walk: what the program sees of a file, and what we keep behind it.
#![expect(unsafe_code, reason = "entries are shared with C by pointer")]

use super::{NO_INSTRUCTION, NS};
use libc::{c_char, c_int, c_long, c_short, c_ushort, c_void, dev_t, ino_t, nlink_t, stat};
use std::ffi::CString;
use std::mem::zeroed;
use std::ptr::null_mut;

/// `FTSENT`. Ours has more behind what the program sees.
#[repr(C)]
pub struct Entry {
    pub(super) cycle: *mut Entry,
    pub(super) parent: *mut Entry,
    pub(super) link: *mut Entry,
    pub(super) number: c_long,
    pub(super) pointer: *mut c_void,
    pub(super) accpath: *mut c_char,
    pub(super) path: *mut c_char,
    pub(super) errno: c_int,
    pub(super) symfd: c_int,
    pub(super) path_len: c_ushort,
    pub(super) name_len: c_ushort,
    pub(super) ino: ino_t,
    pub(super) dev: dev_t,
    pub(super) nlink: nlink_t,
    pub(super) level: c_short,
    pub(super) info: c_ushort,
    pub(super) flags: c_ushort,
    pub(super) instruction: c_ushort,
    pub(super) stat: *mut stat,
    /// The program declares it as an array at the end.
    pub(super) name: [c_char; 256],
    pub(super) own_path: CString,
    pub(super) own_stat: stat,
}

const _: () = assert!(std::mem::offset_of!(Entry, name) == 112);

/// A new entry for `path`, whose last component is `name`.
pub fn entry(path: &[u8], name: &[u8], parent: *mut Entry, level: c_short) -> *mut Entry {
    let own_path = CString::new(path).unwrap_or_default();
    // SAFETY: plain data.
    let own_stat = unsafe { zeroed() };
    let mut made = Box::new(Entry {
        cycle: null_mut(),
        parent,
        link: null_mut(),
        number: 0,
        pointer: null_mut(),
        accpath: own_path.as_ptr().cast_mut(),
        path: own_path.as_ptr().cast_mut(),
        errno: 0,
        symfd: -1,
        path_len: path.len() as c_ushort,
        name_len: 0,
        ino: 0,
        dev: 0,
        nlink: 0,
        level,
        info: NS,
        flags: 0,
        instruction: NO_INSTRUCTION,
        stat: null_mut(),
        name: [0; 256],
        own_path,
        own_stat,
    });
    made.set_name(name);
    let made = Box::into_raw(made);
    // SAFETY: just made.
    unsafe { (*made).stat = &raw mut (*made).own_stat };
    made
}

impl Entry {
    /// Sets the name, cut to what fits.
    pub fn set_name(&mut self, name: &[u8]) {
        let name = &name[..name.len().min(self.name.len() - 1)];
        for (to, from) in self.name.iter_mut().zip(name) {
            *to = *from as c_char;
        }
        self.name[name.len()] = 0;
        self.name_len = name.len() as c_ushort;
    }
}

/// Frees an entry that is in no list.
pub fn free(entry: *mut Entry) {
    // SAFETY: made by `entry`, and out of every list.
    drop(unsafe { Box::from_raw(entry) });
}

/// Frees a list of entries.
pub fn free_list(mut head: *mut Entry) {
    while !head.is_null() {
        // SAFETY: a list of ours.
        let next = unsafe { (*head).link };
        free(head);
        head = next;
    }
}
