//! A process that dies in the middle of something, for tests of what it leaves.
#![expect(unsafe_code, reason = "forks")]

use crate::fs::Fs;

/// Forks a child that uses the pool, too, does `work`, and ends at once as one that was killed does; how, as `waitpid` has it: 0 if `work` said yes.
pub fn in_child(fs: &Fs, work: impl FnOnce() -> bool) -> i32 {
    let token = fs.before_fork().expect("a slot for the child");
    // SAFETY: the child calls nothing that needs another thread.
    let child = unsafe { libc::fork() };
    if child == 0 {
        fs.after_fork_child(token);
        let done = work();
        // SAFETY: it ends.
        unsafe { libc::_exit(i32::from(!done)) };
    }
    fs.after_fork_parent(token, Some(child));
    let mut status = 1;
    // SAFETY: our child, and room for a number.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    status
}
