//! The end of a process.

use libc::c_int;

/// The process ends: nothing of FLAC is used after this.
pub fn end() {
    let _guard = crate::boundary::Inside::enter();
    crate::space::end();
}

export! {
    /// `_exit(2)`. Does not return.
    fn _exit(status: c_int) -> (), also(_Exit) {
        end();
        crate::real::exit(status)
    }
}

/// Registers for `quick_exit`; handlers run in reverse order, so this is the last. `exit` comes by way of [`crate::stdio::last`].
#[allow(unsafe_code, reason = "at_quick_exit")]
pub fn register() {
    unsafe extern "C" {
        fn at_quick_exit(handler: extern "C" fn()) -> c_int;
    }
    extern "C" fn handler() {
        end();
    }
    // SAFETY: a function that lives as long as the library, which is never unloaded.
    unsafe { at_quick_exit(handler) };
}
