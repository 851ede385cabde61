//! A program that installs a filter of system calls may be killed for a thread that it knows nothing of: from then on large flushes are done without one.

use super::syscall::Words;
use crate::space;
use libc::{c_int, c_long};

/// Before the filter is there: if there is none in the end, flushes take a little longer.
fn expects_filter() {
    flac::media::work_alone();
    if let Some(fs) = space::opened() {
        fs.note_that_it_works_alone();
    }
}

/// `syscall` with one of their numbers.
pub fn by_number(n: c_long, words: &Words) -> Option<c_long> {
    let installs = match n {
        libc::SYS_seccomp => words[0] == libc::SECCOMP_SET_MODE_FILTER as usize,
        libc::SYS_prctl => words[0] == libc::PR_SET_SECCOMP as usize,
        _ => false,
    };
    if installs {
        expects_filter();
    }
    None
}

export! {
    /// `prctl(2)`: libc's function takes as many words from registers as the option has.
    fn prctl(option: c_int, a: usize, b: usize, c: usize, d: usize) -> c_int, when(option == libc::PR_SET_SECCOMP), real(theirs) {
        expects_filter();
        theirs(option, a, b, c, d)
    }
}
