//! Who asks: the kernel tells user, group and thread; the supplementary groups are in procfs.

use flac::fs::attr::Creds;
use fuser::Request;

/// The credentials of a request.
pub struct Caller {
    uid: u32,
    gid: u32,
    umask: u32,
    groups: Vec<u32>,
}

impl Caller {
    pub fn of(request: &Request) -> Self {
        Self::making(request, 0)
    }

    /// That of a request that makes something.
    pub fn making(request: &Request, umask: u32) -> Self {
        // Root needs none.
        let groups = if request.uid() == 0 { Vec::new() } else { groups_of(request.pid()) };
        Caller { uid: request.uid(), gid: request.gid(), umask, groups }
    }

    pub fn creds(&self) -> Creds<'_> {
        Creds { uid: self.uid, gid: self.gid, groups: &self.groups, umask: self.umask }
    }

    pub fn is_root(&self) -> bool {
        self.uid == 0
    }
}

/// The line of `/proc/THREAD/status` that begins with `name`, without it.
fn status_line(thread: u32, name: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned)
}

/// The supplementary groups of a thread; none if it can't be seen (another container).
fn groups_of(thread: u32) -> Vec<u32> {
    let line = status_line(thread, "Groups:").unwrap_or_default();
    line.split_whitespace().filter_map(|group| group.parse().ok()).collect()
}

/// Whether a signal waits to be delivered to the thread. It waits in the kernel for our answer.
pub fn is_interrupted(thread: u32) -> bool {
    let mask = |name| status_line(thread, name).and_then(|line| u64::from_str_radix(line.trim(), 16).ok()).unwrap_or(0);
    (mask("SigPnd:") | mask("ShdPnd:")) & !(mask("SigBlk:") | mask("SigIgn:")) != 0
}
