//! The next definition of a symbol behind ours, read from the tables of the libraries themselves. `dlsym` would do, but it forgets what the loader has to say of a failure of the program's
//! own (`dlerror`), and comes in the middle of `dlerror` itself, which then writes to memory that was freed.
//!
//! Libraries are asked in the loader's order, from the one after ours to libc: all of these were loaded when the program was started, and stay. What none of them has
//! is left to `dlsym`.
#![expect(unsafe_code, reason = "reads the loader's list of libraries and their tables")]

use libc::{c_char, c_void};
use std::ffi::CStr;
use std::mem::size_of;
use std::ptr::{null, null_mut};

/// The part of the loader's `struct link_map` that everybody may know (`link.h`).
#[repr(C)]
struct Library {
    base: usize,
    name: *const c_char,
    dynamic: *const Dynamic,
    next: *const Library,
}

/// `struct r_debug`, its beginning.
#[repr(C)]
struct Debug {
    version: libc::c_int,
    first: *const Library,
}

unsafe extern "C" {
    static _r_debug: Debug;
}

/// `Elf64_Dyn`.
#[repr(C)]
struct Dynamic {
    tag: i64,
    value: usize,
}

/// `Elf64_Sym`.
#[repr(C)]
struct Entry {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    value: usize,
    size: u64,
}

const DT_NULL: i64 = 0;
const DT_STRTAB: i64 = 5;
const DT_SYMTAB: i64 = 6;
const DT_VERSYM: i64 = 0x6fff_fff0;
const DT_GNU_HASH: i64 = 0x6fff_fef5;
/// What there are addresses of: variables and functions.
const PLAIN: [u8; 2] = [1, 2];
/// An older version of a symbol, for programs that were linked with it.
const HIDDEN: u16 = 0x8000;

/// The address of `name` in the first library behind ours that has it; null if none has. `None`: it must be asked otherwise.
pub fn address(name: &CStr) -> Option<*mut c_void> {
    for library in behind_us()? {
        let Some(tables) = Tables::of(library) else {
            // The kernel's has none of ours.
            if library.file().starts_with(b"linux-vdso") {
                continue;
            }
            return None;
        };
        match tables.find(name) {
            Found::At(at) => return Some(std::ptr::with_exposed_provenance_mut(library.base.wrapping_add(at))),
            Found::Other => return None,
            Found::Nothing => {}
        }
    }
    Some(null_mut())
}

/// All libraries up to libc, the program first.
fn up_to_libc() -> impl Iterator<Item = &'static Library> {
    // SAFETY: the loader's list; it is not changed before libc.
    let mut next = unsafe { _r_debug.first };
    std::iter::from_fn(move || {
        // SAFETY: an entry of the list, which stays; null at the end.
        let library = unsafe { next.as_ref() }?;
        next = if library.is_libc() { null() } else { library.next };
        Some(library)
    })
}

/// Those behind ours. `None`: ours is not before libc.
fn behind_us() -> Option<impl Iterator<Item = &'static Library>> {
    let here = address as *const () as usize;
    let ours = up_to_libc().filter(|library| library.base <= here).max_by_key(|library| library.base)?;
    let is_preloaded = !ours.is_libc() && !ours.next.is_null();
    is_preloaded.then(|| up_to_libc().skip_while(move |library| !std::ptr::eq(*library, ours)).skip(1))
}

impl Library {
    fn is_libc(&self) -> bool {
        self.file().starts_with(b"libc.so")
    }

    /// The last part of its path.
    fn file(&self) -> &[u8] {
        if self.name.is_null() {
            return b"";
        }
        // SAFETY: the loader's name of it, a C string.
        let path = unsafe { CStr::from_ptr(self.name) }.to_bytes();
        path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
    }
}

/// What a library has for a name.
enum Found {
    Nothing,
    /// How far behind its base.
    At(usize),
    /// What has no plain address.
    Other,
}

/// Where a library's tables of symbols lie.
struct Tables {
    names: usize,
    entries: usize,
    versions: usize,
    hash: usize,
}

/// The `index`th `T` of the table at `at`.
///
/// # Safety
/// The table is a loaded library's, and has so many.
unsafe fn load<T: Copy>(at: usize, index: usize) -> T {
    // SAFETY: as the caller says.
    unsafe { std::ptr::with_exposed_provenance::<T>(at).add(index).read() }
}

impl Tables {
    fn of(library: &Library) -> Option<Tables> {
        let mut tables = Tables { names: 0, entries: 0, versions: 0, hash: 0 };
        let mut at = library.dynamic;
        // SAFETY: a loaded library's list, which ends with `DT_NULL`.
        while let Some(it) = unsafe { at.as_ref() }.filter(|it| it.tag != DT_NULL) {
            // The loader has made addresses of them, where it may write to the list.
            let address = if it.value < library.base { library.base.wrapping_add(it.value) } else { it.value };
            match it.tag {
                DT_STRTAB => tables.names = address,
                DT_SYMTAB => tables.entries = address,
                DT_VERSYM => tables.versions = address,
                DT_GNU_HASH => tables.hash = address,
                _ => {}
            }
            at = at.wrapping_add(1);
        }
        (tables.names != 0 && tables.entries != 0 && tables.hash != 0).then_some(tables)
    }

    fn find(&self, name: &CStr) -> Found {
        let wanted = name.to_bytes().iter().fold(5381_u32, |hash, byte| hash.wrapping_mul(33).wrapping_add(u32::from(*byte)));
        // The head of the table: the number of buckets, the first symbol that is in it, the words of the filter, its shift.
        // SAFETY: a table of this form (`DT_GNU_HASH`): filter, buckets, and a word for each symbol, the lowest bit of the last of a bucket being set.
        unsafe {
            let [buckets, first, filter, shift]: [u32; 4] = load(self.hash, 0);
            let words = self.hash + size_of::<[u32; 4]>();
            let word: usize = load(words, ((wanted / usize::BITS) & (filter - 1)) as usize);
            let bits = (1 << (wanted % usize::BITS)) | (1 << ((wanted >> shift) % usize::BITS));
            if word & bits != bits {
                return Found::Nothing;
            }
            let list = words + filter as usize * size_of::<usize>();
            let mut index: u32 = load(list, (wanted % buckets) as usize);
            while index >= first {
                let hash: u32 = load(list, (buckets + index - first) as usize);
                if hash | 1 == wanted | 1
                    && let Some(found) = self.is(index as usize, name)
                {
                    return found;
                }
                if hash & 1 == 1 {
                    break;
                }
                index += 1;
            }
        }
        Found::Nothing
    }

    /// What the `index`th symbol is, if it is defined, newest and called `name`.
    fn is(&self, index: usize, name: &CStr) -> Option<Found> {
        // SAFETY: a symbol of the table, its name, and its version where there are versions.
        let (entry, called, version) = unsafe {
            let entry = &*std::ptr::with_exposed_provenance::<Entry>(self.entries).add(index);
            let called = CStr::from_ptr(std::ptr::with_exposed_provenance(self.names + entry.name as usize));
            (entry, called, if self.versions == 0 { 1 } else { load::<u16>(self.versions, index) })
        };
        if called != name || entry.section == 0 || version & HIDDEN != 0 {
            return None;
        }
        Some(if PLAIN.contains(&(entry.info & 0xf)) && entry.value != 0 { Found::At(entry.value) } else { Found::Other })
    }
}
