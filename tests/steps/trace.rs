//! A child that is executed instruction by instruction.

/// Runs `work` in a child of this process, which `fork` makes, and kills it behind so many instructions. `Ok`: it was killed. `Err`: it has ended before, behind so many.
pub fn killed_behind(steps: u64, fork: impl FnOnce() -> libc::pid_t, work: impl FnOnce()) -> Result<(), u64> {
    let child = fork();
    assert!(child >= 0, "no child");
    if child == 0 {
        // SAFETY: the child is traced by its parent, and stops until that goes on with it; nothing of the parent's is run at its end.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
            libc::raise(libc::SIGSTOP);
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_ok();
            libc::_exit(i32::from(!done));
        }
    }
    let mut done = 0;
    let mut status = wait(child);
    while libc::WIFSTOPPED(status) && done < steps {
        let signal = match libc::WSTOPSIG(status) {
            libc::SIGTRAP | libc::SIGSTOP => 0,
            other => other,
        };
        // SAFETY: a child of ours that has stopped.
        let result = unsafe { libc::ptrace(libc::PTRACE_SINGLESTEP, child, 0, signal) };
        assert_eq!(result, 0, "a step: {}", std::io::Error::last_os_error());
        status = wait(child);
        done += 1;
    }
    if libc::WIFSTOPPED(status) {
        // SAFETY: as above.
        unsafe { libc::kill(child, libc::SIGKILL) };
        assert!(libc::WIFSIGNALED(wait(child)));
        return Ok(());
    }
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "the child failed: {status:#x}");
    Err(done)
}

fn wait(child: libc::pid_t) -> i32 {
    let mut status = 0;
    // SAFETY: a child of ours; the status is ours.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    status
}
