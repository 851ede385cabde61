//! Temporary names: mkstemp and its kin, for templates that lead into FLAC. libc makes theirs inside itself.

use crate::abi::{CPath, allocated, fail};
use crate::boundary::{Answer, CReturn, Escape};
use crate::paths::{self, Walked};
use crate::stdio::reopen::kernel_open;
use crate::{creds, files};
use flac::fs::names::{Last, Resolved};
use libc::{AT_FDCWD, c_char, c_int};
use std::ffi::CString;

/// A template that the program wants filled in: `...XXXXXX` and a suffix.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Template(*mut c_char);

impl CReturn for Template {
    const FAILED: Self = Template(std::ptr::null_mut());
}

const MARK: &[u8; 6] = b"XXXXXX";
const LETTERS: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
/// Attempts, as in libc.
const ATTEMPTS: u32 = 62 * 62 * 62;

impl Template {
    /// The same memory as a path.
    fn path(self) -> CPath {
        #[allow(unsafe_code, reason = "a pointer as the type that only C makes")]
        // SAFETY: both are a `char *`; the program vouches for a string.
        unsafe {
            std::mem::transmute::<*mut c_char, CPath>(self.0)
        }
    }

    /// Where the six letters begin; if they are not there it is libc's to refuse.
    fn mark(self, suffix: c_int) -> Answer<usize> {
        let bytes = self.path().bytes()?;
        let suffix = usize::try_from(suffix).map_err(|_| Escape::NotOurs)?;
        let at = bytes.len().checked_sub(suffix + MARK.len()).ok_or(Escape::NotOurs)?;
        if &bytes[at..at + MARK.len()] == MARK { Ok(at) } else { Err(Escape::NotOurs) }
    }

    /// Writes the six letters.
    fn fill(self, at: usize, letters: &[u8; 6]) {
        #[allow(unsafe_code, reason = "the program's own template")]
        // SAFETY: `mark` has seen six bytes there, and the program wants them changed.
        unsafe {
            std::ptr::copy_nonoverlapping(letters.as_ptr().cast::<c_char>(), self.0.add(at), letters.len());
        }
    }

    /// Tries names until `make` does not find them taken. The kernel's templates are left as they were.
    fn each<T>(self, suffix: c_int, mut make: impl FnMut(CPath) -> Answer<T>) -> Answer<T> {
        let at = self.mark(suffix)?;
        for _ in 0..ATTEMPTS {
            self.fill(at, &letters());
            match make(self.path()) {
                Err(Escape::Fail(libc::EEXIST)) => {}
                Err(Escape::NotOurs) => {
                    self.fill(at, MARK);
                    return Err(Escape::NotOurs);
                }
                result => return result,
            }
        }
        fail(libc::EEXIST)
    }
}

/// Six letters that nobody can guess.
fn letters() -> [u8; 6] {
    let mut random = [0u8; 8];
    #[allow(unsafe_code, reason = "getrandom")]
    // SAFETY: room for as many bytes. A kernel without the call leaves zeros: then names are taken in turn, by `EEXIST`.
    let got = unsafe { libc::syscall(libc::SYS_getrandom, random.as_mut_ptr(), random.len(), 0) };
    let mut number = u64::from_ne_bytes(random);
    if got != 8 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        number = now.as_nanos() as u64;
    }
    std::array::from_fn(|_| {
        let letter = LETTERS[(number % 62) as usize];
        number /= 62;
        letter
    })
}

fn open(template: Template, suffix: c_int, flags: c_int) -> Answer<c_int> {
    let flags = flags & !libc::O_ACCMODE | libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
    template.each(suffix, |path| files::open(AT_FDCWD, path, flags, 0o600, |path| kernel_open(path, flags, 0o600)))
}

hook! {
    /// `mkstemp(3)`.
    fn mkstemp(template: Template) -> c_int, also(mkstemp64) {
        open(template, 0, 0)
    }
}

hook! {
    /// `mkostemp(3)`.
    fn mkostemp(template: Template, flags: c_int) -> c_int, also(mkostemp64) {
        open(template, 0, flags)
    }
}

hook! {
    /// `mkstemps(3)`.
    fn mkstemps(template: Template, suffix: c_int) -> c_int, also(mkstemps64) {
        open(template, suffix, 0)
    }
}

hook! {
    /// `mkostemps(3)`.
    fn mkostemps(template: Template, suffix: c_int, flags: c_int) -> c_int, also(mkostemps64) {
        open(template, suffix, flags)
    }
}

hook! {
    /// `mkdtemp(3)`.
    fn mkdtemp(template: Template) -> Template {
        template.each(0, |path| match paths::walk(AT_FDCWD, path, Last::Keep)? {
            Walked::Flac(fs, Resolved::Missing { parent, name, .. }) => {
                fs.mkdir(parent, &name, 0o700, &creds::now().creds())?;
                Ok(template)
            }
            Walked::Flac(..) => fail(libc::EEXIST),
            Walked::Kernel(path) => {
                rustix::fs::mkdir(&path, rustix::fs::Mode::RWXU)?;
                Ok(template)
            }
        })
    }
}

hook! {
    /// `mktemp(3)`: a name that is not there, whether its directory is or not. On failure the template becomes an empty string, which libc sees to.
    fn mktemp(template: Template) -> Template {
        template.each(0, |path| match paths::walk(AT_FDCWD, path, Last::Keep) {
            Ok(Walked::Flac(_, Resolved::Found { .. })) => fail(libc::EEXIST),
            Ok(Walked::Flac(..)) | Err(Escape::Fail(libc::ENOENT)) => Ok(template),
            // The kernel's after all.
            _ => Err(Escape::NotOurs),
        })
    }
}

hook! {
    /// `tempnam(3)`. The directory is `TMPDIR`, else `dir`, else `/tmp`, whichever is there first.
    fn tempnam(dir: CPath, prefix: CPath) -> Template {
        #[allow(unsafe_code, reason = "getenv")]
        // SAFETY: a C string; the program changes its environment in no other thread now (as for libc's).
        let tmpdir = unsafe { std::mem::transmute::<*mut c_char, CPath>(libc::getenv(c"TMPDIR".as_ptr())) };
        for dir in [tmpdir, dir] {
            let Ok(bytes) = dir.bytes() else { continue };
            match paths::walk(AT_FDCWD, dir, Last::Follow) {
                Ok(Walked::Flac(_, Resolved::Found { kind: libc::S_IFDIR, .. })) => return name_in(bytes, prefix),
                Err(Escape::NotOurs) if rustix::fs::stat(bytes).is_ok_and(|s| s.st_mode & libc::S_IFMT == libc::S_IFDIR) => break,
                _ => {}
            }
        }
        Err(Escape::NotOurs)
    }
}

/// A name in the directory `dir` that nobody has, in memory from `malloc`.
fn name_in(dir: &[u8], prefix: CPath) -> Answer<Template> {
    let prefix = prefix.bytes().unwrap_or(b"file");
    let text = CString::new([dir, b"/", &prefix[..prefix.len().min(5)], MARK].concat()).map_err(|_| Escape::Fail(libc::EINVAL))?;
    let template = Template(allocated(text.as_bytes_with_nul())?.cast());
    template.each(0, |path| match paths::walk(AT_FDCWD, path, Last::Keep)? {
        Walked::Flac(_, Resolved::Found { .. }) => fail(libc::EEXIST),
        _ => Ok(template),
    })
}

hook! {
    /// `tmpnam(3)`: in `/tmp`, which libc looks at itself; ours only if that is in FLAC.
    fn tmpnam(to: Template) -> Template {
        match paths::walk(AT_FDCWD, CPath::of(c"/tmp"), Last::Follow)? {
            Walked::Flac(_, Resolved::Found { .. }) => {}
            _ => return Err(Escape::NotOurs),
        }
        let name = name_in(b"/tmp", CPath::of(c"file"))?;
        if to.0.is_null() {
            return Ok(name);
        }
        let bytes = name.path().bytes()?;
        #[allow(unsafe_code, reason = "the program's buffer of L_tmpnam bytes, and memory from malloc")]
        // SAFETY: 15 bytes and a NUL fit into L_tmpnam (20).
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr().cast::<c_char>(), to.0, bytes.len() + 1);
            libc::free(name.0.cast());
        }
        Ok(to)
    }
}
