//! mlock and its kin. Attaching would replace locked memory by memory that is not: nothing is attached there.

use crate::boundary::{Answer, checked};
use crate::ranges::UNATTACHABLE;
use crate::space;
use libc::{c_int, c_uint, c_void, size_t};

/// The range in whole pages.
fn pages(at: *const c_void, n: size_t) -> (usize, usize) {
    let page = flac::units::PAGE;
    let from = at.addr() & !(page - 1);
    (from, (at.addr().saturating_add(n)).next_multiple_of(page) - from)
}

fn lock(at: *const c_void, n: size_t, theirs: impl Fn() -> c_int) -> Answer<c_int> {
    let (from, len) = pages(at, n);
    if let Some(fs) = space::opened() {
        fs.privatize(from, len)?;
        if fs.is_lazy() {
            fs.show_all(from, len);
        }
    }
    checked(theirs())?;
    UNATTACHABLE.add(from, len);
    Ok(0)
}

hook! {
    /// `mlock(2)`.
    fn mlock(at: *const c_void, n: size_t) -> c_int, real(theirs) {
        lock(at, n, || theirs(at, n))
    }
}

hook! {
    /// `mlock2(2)`.
    fn mlock2(at: *const c_void, n: size_t, flags: c_uint) -> c_int, real(theirs) {
        lock(at, n, || theirs(at, n, flags))
    }
}

hook! {
    /// `munlock(2)`.
    fn munlock(at: *const c_void, n: size_t) -> c_int, real(theirs) {
        checked(theirs(at, n))?;
        let (from, len) = pages(at, n);
        UNATTACHABLE.remove(from, len);
        Ok(0)
    }
}

hook! {
    /// `mlockall(2)`: nothing is attached anywhere any more. What is attached already is locked as it is.
    fn mlockall(flags: c_int) -> c_int, real(theirs) {
        crate::locked::all(flags, |flags| checked(theirs(flags)))?;
        UNATTACHABLE.add(0, usize::MAX);
        Ok(0)
    }
}

hook! {
    /// `munlockall(2)`.
    fn munlockall() -> c_int, real(theirs) {
        checked(theirs())?;
        crate::locked::none();
        UNATTACHABLE.remove(0, usize::MAX);
        Ok(0)
    }
}
