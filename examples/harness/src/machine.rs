//! Where and when figures were taken; no name of machine or user.

use serde::{Deserialize, Serialize};
use std::process::Command;

/// What the figures depend on.
#[derive(Clone, Serialize, Deserialize, Default, PartialEq, Eq)]
pub struct Machine {
    /// The processor's model.
    pub processor: String,
    /// Its cores that this machine has.
    pub cores: usize,
    /// Memory in GiB.
    pub memory_gib: u64,
    /// The kernel's release.
    pub kernel: String,
    /// Whether it runs under a hypervisor.
    pub virtual_machine: bool,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn here() -> Machine {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field =
            |name: &str| cpuinfo.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(": ")).map(|(_, value)| value);
        let info = rustix::system::sysinfo();
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let version = release.trim().split(['-', '+']).next().unwrap_or_default();
        Machine {
            processor: field("model name").unwrap_or("unknown").to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: (info.totalram as u64 * u64::from(info.mem_unit)).div_ceil(1 << 30),
            kernel: version.to_owned(),
            virtual_machine: field("flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
        }
    }
}

/// The day, as in `2026-11-28` (UTC).
#[must_use]
pub fn today() -> String {
    said_by("date", &["-u", "+%F"]).unwrap_or_default()
}

/// The commit that was built, as far as git knows.
#[must_use]
pub fn commit() -> String {
    said_by("git", &["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "--short=9", "HEAD"]).unwrap_or_else(|| "unknown".to_owned())
}

fn said_by(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
