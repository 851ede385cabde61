#![expect(unsafe_code, reason = "runs the program's function in its thread")]
//! Threads with little stack: what FLAC does for them is done on another one, see [`crate::stack`].

use crate::config;
use crate::thread::{SMALL, flags};
use libc::{c_int, c_void, pthread_attr_t, pthread_t, size_t};

/// Of a stack of this size or less nothing is taken. A change of names that meets everything at once takes 20 KiB.
const LITTLE: usize = 64 << 10;

type Body = extern "C-unwind" fn(*mut c_void) -> *mut c_void;

fn has_little(attributes: *const pthread_attr_t) -> bool {
    unsafe extern "C" {
        fn pthread_attr_getstacksize(attributes: *const pthread_attr_t, size: *mut size_t) -> c_int;
    }
    let mut size = 0;
    // SAFETY: the program's attributes, a place for a number.
    config::on() && !attributes.is_null() && unsafe { pthread_attr_getstacksize(attributes, &mut size) } == 0 && size <= LITTLE
}

hook! {
    /// `pthread_create(3)`: notes that a thread has a small stack.
    fn pthread_create(thread: *mut pthread_t, attributes: *const pthread_attr_t, body: Body, arg: *mut c_void) -> c_int,
    when(has_little(attributes)), real(create) {
        let start = Box::into_raw(Box::new((body, arg)));
        let result = create(thread, attributes, begin, start.cast());
        if result != 0 {
            // SAFETY: no thread has got it.
            drop(unsafe { Box::from_raw(start) });
        }
        Ok(result)
    }
}

extern "C-unwind" fn begin(start: *mut c_void) -> *mut c_void {
    flags().tight.set(SMALL);
    // SAFETY: the box that was made for this thread.
    let (body, arg) = *unsafe { Box::from_raw(start.cast::<(Body, *mut c_void)>()) };
    body(arg)
}
