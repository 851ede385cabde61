//! A child that is executed instruction by instruction. What it calls of other libraries, which copy and fill memory and ask the kernel, is one step to be quick, but kills lie in the midst of that, too.

use std::ops::Range;

/// Runs `work` in a child of this process, which `fork` makes, and kills it behind so many instructions. `Ok`: it was killed. `Err`: it has ended before, behind so many.
pub fn killed_behind(steps: u64, fork: impl FnOnce() -> libc::pid_t, work: impl FnOnce()) -> Result<(), u64> {
    on_one_processor();
    let own = own_instructions();
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
    let child = Child(child);
    let mut status = child.wait();
    let (mut done, mut was_own) = (0, false);
    while libc::WIFSTOPPED(status) && done < steps {
        let is_own = own.contains(&child.registers().rip);
        status = if was_own && !is_own { child.return_from_call() } else { child.go(libc::PTRACE_SINGLESTEP, status) };
        was_own = is_own;
        done += 1;
    }
    // Where a call begins, somewhere in it.
    for _ in 0..steps % 61 {
        if libc::WIFSTOPPED(status) && !own.contains(&child.registers().rip) {
            status = child.go(libc::PTRACE_SINGLESTEP, status);
        }
    }
    if libc::WIFSTOPPED(status) {
        // SAFETY: a child of ours that has stopped.
        unsafe { libc::kill(child.0, libc::SIGKILL) };
        assert!(libc::WIFSIGNALED(child.wait()));
        return Ok(());
    }
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "the child failed: {status:#x}");
    Err(done)
}

/// A child of ours that is traced.
struct Child(libc::pid_t);

impl Child {
    fn wait(&self) -> i32 {
        let mut status = 0;
        // SAFETY: a child of ours; the status is ours.
        assert_eq!(unsafe { libc::waitpid(self.0, &mut status, 0) }, self.0);
        status
    }

    /// Goes on with it until it stops or ends.
    fn go(&self, request: libc::c_uint, status: i32) -> i32 {
        let signal = match libc::WSTOPSIG(status) {
            libc::SIGTRAP | libc::SIGSTOP => 0,
            other => other,
        };
        self.ask(request, 0, signal as u64);
        self.wait()
    }

    /// A request that answers with a status only.
    fn ask(&self, request: libc::c_uint, at: u64, value: u64) {
        // SAFETY: a child of ours that has stopped; what it changes is the child's alone.
        let result = unsafe { libc::ptrace(request, self.0, at, value) };
        assert_eq!(result, 0, "ptrace: {}", std::io::Error::last_os_error());
    }

    fn registers(&self) -> libc::user_regs_struct {
        // SAFETY: numbers.
        let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        self.ask(libc::PTRACE_GETREGS, 0, (&raw mut registers) as u64);
        registers
    }

    fn word(&self, at: u64) -> u64 {
        // SAFETY: as in `ask`.
        unsafe { libc::ptrace(libc::PTRACE_PEEKDATA, self.0, at, 0) as u64 }
    }

    /// It is at the first instruction of a function, and goes on to behind the call.
    fn return_from_call(&self) -> i32 {
        const BREAKPOINT: u64 = 0xcc;
        let to = self.word(self.registers().rsp);
        let was = self.word(to);
        self.ask(libc::PTRACE_POKEDATA, to, was & !0xff | BREAKPOINT);
        let status = self.go(libc::PTRACE_CONT, 0);
        if libc::WIFSTOPPED(status) {
            self.ask(libc::PTRACE_POKEDATA, to, was);
            let mut registers = self.registers();
            if registers.rip == to + 1 {
                registers.rip = to;
                self.ask(libc::PTRACE_SETREGS, 0, (&raw const registers) as u64);
            }
        }
        status
    }
}

/// Where this program's own instructions lie, those of FLAC among them.
fn own_instructions() -> Range<u64> {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("the mappings");
    let here = own_instructions as *const () as u64;
    let ranges = maps.lines().filter_map(|line| {
        let (start, end) = line.split_once(' ')?.0.split_once('-')?;
        Some(u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?)
    });
    ranges.into_iter().find(|range| range.contains(&here)).expect("this function")
}

/// Tracer and traced take turns: on two processors each step has one wake the other, which takes four times as long.
fn on_one_processor() {
    // SAFETY: a set of no processors, and what is added to it; this thread's alone is changed.
    unsafe {
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(usize::try_from(libc::sched_getcpu()).expect("a processor"), &mut one);
        assert_eq!(libc::sched_setaffinity(0, size_of_val(&one), &one), 0, "a processor that this thread runs on");
    }
}
