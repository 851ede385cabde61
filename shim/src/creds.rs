//! Who this process is to FLAC: effective user and groups, asked once and again after a call that changes them; and its umask, learned before the program begins.

use flac::fs::attr::Creds;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// A process's identity at a time. Never freed: a process changes it a few times in its life.
pub struct Who {
    uid: u32,
    gid: u32,
    real_uid: u32,
    real_gid: u32,
    groups: Vec<u32>,
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
    NOW.store(std::ptr::null_mut(), Ordering::Release);
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
