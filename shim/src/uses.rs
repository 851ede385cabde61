//! The open files that this thread's call is about: noted while it lasts, so that no other thread's close gives the slot of one to the next file (`Fs::begin_use`). What waits lets go of them: who closes the
//! file may be who ends the wait.

use crate::boundary;
use crate::space;
use crate::thread::flags;
use flac::Fs;
use flac::fs::open::OpenId;
use std::num::NonZeroU64;

/// The call under way is about `id`, held at `fd`. `false`: it is closed meanwhile.
#[inline]
pub fn begin(fs: &Fs, fd: usize, id: OpenId) -> bool {
    if flac::sync::is_single_threaded() || !boundary::inside() {
        return true;
    }
    let raw = NonZeroU64::new(id.to_raw());
    for place in &flags().uses {
        match place.get() {
            None => {
                let begun = fs.begin_use(fd, id);
                place.set(raw.filter(|_| begun));
                return begun;
            }
            known if known == raw => return true,
            _ => {}
        }
    }
    true
}

/// The call is over, or about to wait.
#[inline]
pub fn end() {
    if flags().uses[0].get().is_some() {
        end_all();
    }
}

fn end_all() {
    let Some(fs) = space::opened() else { return };
    flags().uses.iter().filter_map(std::cell::Cell::take).for_each(|id| fs.end_use(OpenId::from_raw(id.get())));
}
