//! The process table: who uses the region, what each holds, and who is dead. Knows no file: a hold is a number of an open-file slot.

use crate::error::{Error, Result};
use crate::media::aside::with_room;
use crate::namespace::pid_namespace;
use crate::region::{BY_DESCRIPTOR, Control, HoldWord, IDLE, PROCS, ProcSlot, SHM_DIR};
use crate::sync::{AtomicU32, AtomicU64, Liveness, Ordering::*};

/// This process's place in the process table.
pub struct Procs {
    control: Control,
    me: AtomicU32,
    token: AtomicU32,
    /// The inode of this process's pid namespace, see [`pid_namespace`].
    namespace: AtomicU64,
}

/// Bits of a token that hold the slot; the rest is its generation.
const SLOT_BITS: u32 = PROCS.ilog2();
const GENERATIONS: u32 = 1 << (31 - SLOT_BITS);

/// What the process in `slot` writes into locks. A lock is a word that the kernel sleeps on, so there are 21 bits for the generation, and after 2^21 - 1 uses of the slot it comes round. Then a lock that a
/// process left behind that long ago, and that nobody has wanted since (whoever had would have taken it over), is taken for that of the process that has the slot now, by those who want it before that one
/// ends: they wait for its end, and it waits for itself. The lock must be wanted in this very one of two million uses for the first time, so nothing is done about it. Locks on files
/// (`fs::locks`), holds and views do not go by tokens.
fn token_of(control: &Control, slot: u32) -> u32 {
    let generation = control.procs()[slot as usize].generation.load(Acquire);
    // Never 0: that is a free lock.
    (generation % (GENERATIONS - 1) + 1) << SLOT_BITS | slot
}

const FREE: u32 = 0;
const BUSY: u32 = 1;
const USED: u32 = 2;

impl Procs {
    /// Takes a process slot for this process.
    pub fn join(control: Control) -> Result<Procs> {
        let namespace = pid_namespace();
        let me = take_slot(&control, namespace)?;
        Ok(Self::at(control, me, namespace))
    }

    fn at(control: Control, me: u32, namespace: u64) -> Procs {
        let token = AtomicU32::new(token_of(&control, me));
        Procs { control, me: AtomicU32::new(me), token, namespace: AtomicU64::new(namespace) }
    }

    /// Takes over slot `token` if it belongs to this process (same pid, before an exec), else joins afresh. The threads of the old image are gone: locks that one of
    /// them held are those of a dead owner.
    pub fn rejoin(control: Control, token: u32) -> Result<Procs> {
        let known = control.procs().get(token as usize);
        match known {
            Some(slot) if slot.state.load(Acquire) == USED && slot.pid.load(Relaxed) == my_pid() => {
                slot.generation.fetch_add(1, AcqRel);
                slot.about.fetch_and(!IDLE, AcqRel);
                // Exec changes no namespace; looking at it takes 25 us.
                Ok(Self::at(control, token, slot.pid_ns.load(Relaxed)))
            }
            _ => Self::join(control),
        }
    }

    /// This process's holds.
    #[inline]
    pub fn holds(&self) -> &'static [HoldWord] {
        self.control.holds(self.me.load(Relaxed))
    }

    /// This process's slot.
    #[inline]
    pub fn slot(&self) -> &'static ProcSlot {
        &self.control.procs()[self.me.load(Relaxed) as usize]
    }

    /// Takes a slot for a child about to be forked. Holds and ledger are copied by the caller.
    pub fn prepare_child(&self) -> Result<u32> {
        let child = take_slot(&self.control, self.namespace.load(Relaxed))?;
        // The child will have started later than now: until it says when, its pid alone counts, or others would take it for dead and clean up after it.
        self.control.procs()[child as usize].since.store(0, Release);
        Ok(child)
    }

    /// In the parent: the child's slot gets its pid, or is given back.
    pub fn child_is(&self, child: u32, pid: Option<i32>) {
        let slot = &self.control.procs()[child as usize];
        match pid {
            // Unless the child has said so itself by now, or is gone and its slot another's.
            Some(pid) => drop(slot.pid.compare_exchange(my_pid(), pid as u32, AcqRel, Relaxed)),
            None => slot.state.store(FREE, Release),
        }
    }

    /// In the child: from now on this process is `child`.
    pub fn become_child(&self, child: u32) {
        let parent = self.slot().pid.load(Relaxed);
        self.me.store(child, Relaxed);
        self.token.store(token_of(&self.control, child), Relaxed);
        // A child can be the first of a new namespace, or be born into another one: then it can't see its parent.
        if rustix::process::getppid().is_none_or(|pid| pid.as_raw_nonzero().get() as u32 != parent) {
            self.namespace.store(pid_namespace(), Relaxed);
        }
        own(&self.control.procs()[child as usize], self.namespace.load(Relaxed));
    }

    /// Whether the caller is the process in this process's slot.
    pub fn is_this_process(&self) -> bool {
        self.slot().pid.load(Relaxed) == my_pid()
    }

    /// Gives this process's slot back; holds and ledger are empty by now.
    pub fn leave(&self) {
        self.slot().state.store(FREE, Release);
    }

    /// Slots in use besides this process's own.
    pub fn others(&self) -> impl Iterator<Item = u32> + '_ {
        let me = self.me();
        self.in_use().filter(move |i| *i != me)
    }

    /// Whether there is a process with the number of the one in `slot`: one system call, and nearly always [`Liveness::alive`].
    pub fn is_number_used(&self, slot: u32) -> bool {
        let p = &self.control.procs()[slot as usize];
        let pid = rustix::process::Pid::from_raw(p.pid.load(Relaxed) as i32);
        p.pid_ns.load(Relaxed) != self.namespace.load(Relaxed)
            || pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
    }

    /// Whether the process in `slot` runs the copy of a program that has this inode number of the kernel's. Who may not look goes by what its slot says.
    pub fn runs_copy(&self, slot: u32, copy: u64) -> bool {
        let Some(pid) = self.visible_pid(slot) else { return true };
        match rustix::fs::stat(format!("/proc/{pid}/exe")) {
            Ok(file) => file.st_ino == copy,
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::SRCH)
                if rustix::fs::access("/proc/self/exe", rustix::fs::Access::EXISTS).is_ok() =>
            {
                false
            }
            Err(_) => self.alive(slot),
        }
    }

    /// Whether the process in `slot` has a file of the directory `run` open at the number `hold`, where its holds are such numbers; as above.
    pub fn has_descriptor(&self, slot: u32, hold: usize, run: &[u8]) -> bool {
        let Some(pid) = self.visible_pid(slot) else { return true };
        if self.control.procs()[slot as usize].about.load(Relaxed) & BY_DESCRIPTOR == 0 {
            return self.alive(slot);
        }
        match rustix::fs::readlink(format!("/proc/{pid}/fd/{hold}"), Vec::new()) {
            Ok(target) => target.to_bytes().starts_with(run),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::SRCH) => false,
            Err(_) => self.alive(slot),
        }
    }

    /// The slot of the process `pid`, whose holds are numbers of its descriptors.
    pub fn slot_of(&self, pid: u32) -> Option<u32> {
        let is = |slot: &u32| {
            self.visible_pid(*slot) == Some(pid) && self.control.procs()[*slot as usize].about.load(Relaxed) & BY_DESCRIPTOR != 0
        };
        self.in_use().find(is)
    }

    /// The number of the process in `slot`, unless it belongs to another namespace.
    fn visible_pid(&self, slot: u32) -> Option<u32> {
        let p = &self.control.procs()[slot as usize];
        (p.pid_ns.load(Relaxed) == self.namespace.load(Relaxed)).then(|| p.pid.load(Relaxed))
    }

    /// Whether the image in `slot` has left with nothing: what is then to be cleaned up is no sign of an unclean death.
    pub fn is_idle(&self, slot: u32) -> bool {
        self.control.procs()[slot as usize].about.load(Acquire) & IDLE != 0
    }

    /// The slots that [`Procs::prepare_child`] would go past.
    pub fn before_the_first_free(&self) -> impl Iterator<Item = u32> + '_ {
        (0..PROCS as u32).take_while(|i| self.control.procs()[*i as usize].state.load(Acquire) != FREE)
    }

    /// Claims the slot of a dead process so that nobody else cleans it up; [`Procs::reaped`] frees it.
    pub fn claim_dead(&self, slot: u32) -> bool {
        !self.alive(slot) && self.control.procs()[slot as usize].state.compare_exchange(USED, BUSY, AcqRel, Relaxed).is_ok()
    }

    /// A claimed slot is clean.
    pub fn reaped(&self, slot: u32) {
        let slot = &self.control.procs()[slot as usize];
        slot.holds_end.store(0, Relaxed);
        slot.ledger_end.store(0, Relaxed);
        slot.state.store(FREE, Release);
    }

    /// Slots that somebody had begun to clean up, or to take, who died.
    pub fn half_clean(&self) -> impl Iterator<Item = u32> + '_ {
        self.in_state(BUSY)
    }

    /// Frees every slot but this process's own: left over from processes that died while they cleaned up after others.
    pub fn free_others(&self) {
        let me = self.me();
        for (i, slot) in self.control.procs().iter().enumerate() {
            if i as u32 != me && slot.state.load(Acquire) != FREE {
                slot.program.store(0, Relaxed);
                slot.state.store(FREE, Release);
            }
        }
    }

    /// All slots in use.
    pub fn in_use(&self) -> impl Iterator<Item = u32> + '_ {
        self.in_state(USED)
    }

    /// Of the slots ever used: whoever joins a pool looks through them, and the others would be a thousand cache lines.
    fn in_state(&self, state: u32) -> impl Iterator<Item = u32> + '_ {
        let slots = self.control.procs().iter().take(self.control.counters().used_procs.load(Acquire) as usize);
        (0..).zip(slots).filter(move |(_, slot)| slot.state.load(Acquire) == state).map(|(i, _)| i)
    }

    /// The pids of all processes in the table.
    pub fn pids(&self) -> Vec<u32> {
        self.in_use().map(|slot| self.control.procs()[slot as usize].pid.load(Relaxed)).collect()
    }
}

impl Liveness for Procs {
    #[inline]
    fn me(&self) -> u32 {
        self.me.load(Relaxed)
    }

    #[inline]
    fn token(&self) -> u32 {
        self.token.load(Relaxed)
    }

    fn token_alive(&self, token: u32) -> bool {
        let slot = token & (PROCS as u32 - 1);
        token_of(&self.control, slot) == token && self.alive(slot)
    }

    fn alive(&self, slot: u32) -> bool {
        let Some(p) = self.control.procs().get(slot as usize) else { return false };
        if p.state.load(Acquire) == FREE {
            return false;
        }
        // Another namespace's pids mean nothing here: never take from them.
        if p.pid_ns.load(Relaxed) != self.namespace.load(Relaxed) {
            return true;
        }
        let pid = p.pid.load(Relaxed);
        pid != 0 && is_running(pid, p.since.load(Relaxed))
    }
}

/// `/proc/PID/stat`: the kernel's line about a process, as far as the fields needed here.
fn stat_line(pid: u32) -> Option<Vec<u8>> {
    let how = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    let open = || rustix::fs::open(format!("/proc/{pid}/stat"), how, rustix::fs::Mode::empty());
    let mut line = vec![0; 512];
    let len = with_room(|| rustix::io::read(open()?, &mut line)).ok()?;
    line.truncate(len);
    Some(line)
}

/// Whether process `pid` runs (a zombie does not) and started no later than `since` (nanoseconds since boot).
fn is_running(pid: u32, since: u64) -> bool {
    let Some(raw) = rustix::process::Pid::from_raw(pid as i32) else { return false };
    if rustix::process::test_kill_process(raw) == Err(rustix::io::Errno::SRCH) {
        return false;
    }
    let Some(stat) = stat_line(pid) else {
        // No procfs, or gone just now: the signal test alone decides.
        return rustix::process::test_kill_process(raw) != Err(rustix::io::Errno::SRCH);
    };
    // The command name may hold anything; fields count from behind its closing parenthesis: state is the first.
    let Some(close) = stat.iter().rposition(|b| *b == b')') else { return true };
    let text = String::from_utf8_lossy(&stat[close + 2..]).into_owned();
    let field: Vec<&str> = text.split(' ').collect();
    let threads = field.get(17).and_then(|n| n.parse::<u32>().ok()).unwrap_or(1);
    if matches!(field[0], "X" | "x") || field[0] == "Z" && threads <= 1 {
        return false;
    }
    // Field 22 counts ticks of 10 ms since boot; one tick of slack for rounding.
    let started = field.get(19).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    since == 0 || started * 10_000_000 <= since + 10_000_000
}

fn take_slot(control: &Control, namespace: u64) -> Result<u32> {
    for (i, slot) in control.procs().iter().enumerate() {
        if control.counters().used_procs.load(Acquire) as usize <= i {
            control.counters().used_procs.fetch_max(i as u32 + 1, AcqRel);
        }
        if slot.state.load(Relaxed) == FREE && slot.state.compare_exchange(FREE, BUSY, AcqRel, Relaxed).is_ok() {
            if slot.backed.load(Relaxed) == 0 && !control.back_process(i as u32) {
                slot.state.store(FREE, Release);
                return Err(Error::Unusable(format!(
                    "{SHM_DIR} is full: there is no memory for another process's part of the control segment"
                )));
            }
            slot.backed.store(1, Relaxed);
            slot.generation.fetch_add(1, AcqRel);
            slot.holds_end.store(0, Relaxed);
            slot.ledger_end.store(0, Relaxed);
            slot.about.store(0, Relaxed);
            own(slot, namespace);
            slot.state.store(USED, Release);
            return Ok(i as u32);
        }
    }
    Err(Error::Unusable(format!("{PROCS} processes already use this pool")))
}

/// This process is the one in `slot`, from now on.
fn own(slot: &ProcSlot, namespace: u64) {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    slot.since.store(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64, Relaxed);
    slot.pid_ns.store(namespace, Relaxed);
    slot.pid.store(my_pid(), Release);
}

fn my_pid() -> u32 {
    rustix::process::getpid().as_raw_nonzero().get() as u32
}
