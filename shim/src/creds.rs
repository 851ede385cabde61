//! Who this process is to FLAC: its user and groups, asked once and again after a call that changes them; and its umask, learned before the program begins.
//!
//! To the kernel each thread is somebody by itself. Libc's calls change all threads together, but for `setfsuid` and `setfsgid`, which are about file systems alone; bare system calls change one thread.
//! Once a program has made such a call, each of its threads is asked for itself.

use flac::fs::attr::Creds;
use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// An identity at a time. Never freed: a process has few, though its threads may change between them often.
#[derive(PartialEq, Eq)]
pub struct Who {
    uid: u32,
    gid: u32,
    real_uid: u32,
    real_gid: u32,
    groups: Vec<u32>,
}

/// Whether threads may differ.
static APART: AtomicBool = AtomicBool::new(false);
/// How often somebody has changed who he is, while threads may differ.
static CHANGES: AtomicU64 = AtomicU64::new(1);
/// Who has been seen while threads may differ.
static SEEN: Mutex<Vec<&'static Who>> = Mutex::new(Vec::new());

thread_local! {
    /// Who this thread is, and at how many changes it was asked.
    static MINE: Cell<(Option<&'static Who>, u64)> = const { Cell::new((None, 0)) };
}

static NOW: AtomicPtr<Who> = AtomicPtr::new(std::ptr::null_mut());
/// The umask; until it is [learned](learn_umask) the usual one.
static UMASK: AtomicU32 = AtomicU32::new(0o022);

impl Who {
    /// As `flac` wants it, with effective ids.
    pub fn creds(&self) -> Creds<'_> {
        Creds { uid: self.uid, gid: self.gid, groups: &self.groups, umask: umask() }
    }
    /// With real ids, for `access`.
    pub fn real(&self) -> Creds<'_> {
        Creds { uid: self.real_uid, gid: self.real_gid, ..self.creds() }
    }
}

/// Who this process is now.
#[expect(unsafe_code, reason = "a pointer published once and never freed")]
#[inline]
pub fn now() -> &'static Who {
    if APART.load(Ordering::Relaxed) {
        return mine();
    }
    let who = NOW.load(Ordering::Acquire);
    // SAFETY: made from a Box that is never freed.
    unsafe { &*if who.is_null() { ask() } else { who } }
}

#[cold]
fn ask() -> *mut Who {
    use rustix::process as p;
    let fresh = Who {
        uid: p::geteuid().as_raw(),
        gid: p::getegid().as_raw(),
        real_uid: p::getuid().as_raw(),
        real_gid: p::getgid().as_raw(),
        groups: groups(),
    };
    let who = Box::into_raw(Box::new(fresh));
    NOW.store(who, Ordering::Release);
    who
}

/// Who the calling thread is.
#[cold]
fn mine() -> &'static Who {
    let changes = CHANGES.load(Ordering::Acquire);
    if let (Some(who), at) = MINE.get()
        && at == changes
    {
        return who;
    }
    let fresh = ask_thread();
    // A signal handler that comes now is put off, and a forked child has one thread: where another thread of its parent was here, it goes on without the list.
    let who = match SEEN.try_lock() {
        Ok(mut seen) => match seen.iter().find(|who| ***who == fresh) {
            Some(who) => who,
            None => {
                let who: &'static Who = Box::leak(Box::new(fresh));
                seen.push(who);
                who
            }
        },
        Err(_) => Box::leak(Box::new(fresh)),
    };
    MINE.set((Some(who), changes));
    who
}

#[expect(unsafe_code, reason = "system calls that tell who a thread is to file systems")]
fn ask_thread() -> Who {
    use rustix::process as p;
    const NOBODY: usize = u32::MAX as usize;
    // SAFETY: plain numbers. Nobody can be set to that one, so both only tell who it is.
    let [uid, gid] = [libc::SYS_setfsuid, libc::SYS_setfsgid].map(|n| unsafe { crate::real::system_call(n, [NOBODY, 0, 0, 0, 0, 0]) });
    Who {
        // A program may have forbidden itself these calls.
        uid: u32::try_from(uid).unwrap_or_else(|_| p::geteuid().as_raw()),
        gid: u32::try_from(gid).unwrap_or_else(|_| p::getegid().as_raw()),
        real_uid: p::getuid().as_raw(),
        real_gid: p::getgid().as_raw(),
        groups: groups(),
    }
}

#[expect(unsafe_code, reason = "getgroups")]
fn groups() -> Vec<u32> {
    let mut groups = vec![0u32; 32];
    loop {
        // SAFETY: room for as many as are asked for.
        let n = unsafe { libc::getgroups(groups.len() as i32, groups.as_mut_ptr()) };
        if let Ok(n) = usize::try_from(n) {
            groups.truncate(n);
            return groups;
        }
        if groups.len() >= 1 << 16 {
            return Vec::new();
        }
        groups = vec![0; groups.len() * 4];
    }
}

/// The process has changed its ids or groups.
pub fn changed() {
    CHANGES.fetch_add(1, Ordering::AcqRel);
    NOW.store(std::ptr::null_mut(), Ordering::Release);
}

/// This thread alone has changed them, or what it is to file systems.
pub fn changed_apart() {
    APART.store(true, Ordering::Relaxed);
    changed();
}

/// The permission bits that new files do not get.
pub fn umask() -> u32 {
    UMASK.load(Ordering::Relaxed)
}

/// Learns the umask. The kernel tells it only to who sets another one, and for that moment it is everybody's: so this is done before the program can have a second thread.
pub fn learn_umask() {
    let mask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    rustix::process::umask(mask);
    set_umask(mask.as_raw_mode());
}

/// The process has set its umask.
pub fn set_umask(mask: u32) {
    UMASK.store(mask & 0o777, Ordering::Relaxed);
}
