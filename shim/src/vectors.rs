//! The vectors of a call that reads or writes: copied before anything happens, as the kernel copies them, and refused in its order. What another thread does to the program's list meanwhile does not
//! matter, nor at what address it lies.
//!
//! May call `abi`, `transfer`; knows no descriptor.

use crate::abi::{In, fail};
use crate::boundary::Answer;
use crate::transfer::{self, MOST, MOST_VECTORS};
use flac::fs::io::IoVec;
use libc::{c_int, c_void, iovec};

/// So many vectors need no allocation; as many as the kernel keeps on its stack.
const FEW: usize = 8;

/// Vectors of our own.
pub struct Vectors {
    few: [IoVec; FEW],
    many: Vec<IoVec>,
    n: usize,
}

impl Vectors {
    /// Takes `n` vectors at `list`. One alone is cut to what a call moves before its address is looked at, as in the kernel.
    ///
    /// # Errors
    /// `EINVAL` for a count that the kernel refuses and for more bytes than an `ssize_t` counts in one of them; `EFAULT` if the list can't be read or names memory that no program has.
    pub fn take(list: In<iovec>, n: c_int) -> Answer<Self> {
        let n = match usize::try_from(n) {
            Ok(n) if n <= MOST_VECTORS => n,
            _ => return fail(libc::EINVAL),
        };
        let nothing = IoVec { iov_base: std::ptr::null_mut::<c_void>(), iov_len: 0 };
        let mut taken = Self { few: [nothing; FEW], many: if n > FEW { vec![nothing; n] } else { Vec::new() }, n };
        list.copy(taken.all_mut())?;
        if taken.iter().any(|v| v.iov_len > isize::MAX as usize) {
            return fail(libc::EINVAL);
        }
        if let [one] = taken.all_mut() {
            one.iov_len = one.iov_len.min(MOST);
        }
        if transfer::leads_nowhere(&taken) { fail(libc::EFAULT) } else { Ok(taken) }
    }
    /// Whether there is no byte in them.
    pub fn is_nothing(&self) -> bool {
        self.iter().all(|v| v.iov_len == 0)
    }
    fn all_mut(&mut self) -> &mut [IoVec] {
        if self.n > FEW { &mut self.many } else { &mut self.few[..self.n] }
    }
}

impl std::ops::Deref for Vectors {
    type Target = [IoVec];
    fn deref(&self) -> &[IoVec] {
        if self.n > FEW { &self.many } else { &self.few[..self.n] }
    }
}
