//! Who lives, asked of the kernel alone.

use super::Liveness;

/// [`Liveness`] by process number alone, for users without a process table (benchmarks, tests): numbers are used again, and mean nothing in other
/// namespaces.
#[derive(Debug, Clone, Copy, Default)]
pub struct ByPid;

impl Liveness for ByPid {
    fn me(&self) -> u32 {
        self.token()
    }
    fn alive(&self, slot: u32) -> bool {
        let pid = rustix::process::Pid::from_raw(slot as i32);
        pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
    }
    fn token(&self) -> u32 {
        rustix::process::getpid().as_raw_nonzero().get() as u32
    }
    fn token_alive(&self, token: u32) -> bool {
        self.alive(token)
    }
}
