//! The end of a process.

use crate::boundary::Escape;
use libc::c_int;

/// The process ends: nothing of FLAC is used after this.
pub fn end() {
    crate::space::end();
}

hook! {
    /// `_exit(2)`. Does not return.
    fn _exit(status: c_int) -> (), also(_Exit) {
        end();
        Err(Escape::NotOurs)
    }
}

hook! {
    /// `quick_exit(3)`: its handlers run in libc, and nothing of ours runs after them; so they find FLAC's holds given up.
    fn quick_exit(status: c_int) -> () {
        end();
        Err(Escape::NotOurs)
    }
}
