//! A program that shuts itself in. With a filter of system calls it may be killed for a thread that it knows nothing of: from then on large flushes are done without one. With Landlock it could
//! not join a pool any more, so it does that before: `xz` shuts itself in before it opens its first file. (Not before a filter: who uses no file of ours might be killed for how he leaves.)

use super::syscall::Words;
use crate::{config, space, stubs};
use libc::{c_int, c_long};
use rustix::fs::Access;

/// Joins the pool, if there is one; if that fails, whoever uses a FLAC path will hear of it.
fn joins() {
    if space::opened().is_none()
        && let Some(settings) = config::settings().filter(|_| !config::bad())
        && rustix::fs::access(config::flac_config(settings).pool.join("superblock"), Access::READ_OK | Access::WRITE_OK).is_ok()
        && let Ok(fs) = space::fs()
    {
        stubs::prepare(fs);
    }
}

/// Before the filter is there: if there is none in the end, flushes take a little longer.
fn expects_filter() {
    flac::media::work_alone();
    if let Some(fs) = space::opened() {
        fs.note_that_it_works_alone();
    }
}

/// `syscall` with one of their numbers.
pub fn by_number(n: c_long, words: &Words) -> Option<c_long> {
    match n {
        libc::SYS_seccomp if words[0] == libc::SECCOMP_SET_MODE_FILTER as usize => expects_filter(),
        libc::SYS_prctl if words[0] == libc::PR_SET_SECCOMP as usize => expects_filter(),
        libc::SYS_landlock_restrict_self => joins(),
        _ => {}
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
