//! Runs a command in a session of its own, with a time limit that holds for everything it started.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With this exit status.
    Exit(i32),
    /// Killed by this signal.
    Signal(i32),
    /// Still running at the limit, and killed.
    TimedOut,
    /// Killed because the machine was running out of memory, which on tmpfs is what files are made of.
    OutOfMemory,
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exit(status) => write!(f, "exit status {status}"),
            Self::Signal(signal) => write!(f, "killed by signal {signal}"),
            Self::OutOfMemory => write!(f, "killed: less than a tenth of the machine's memory was left"),
            Self::TimedOut => write!(f, "hung: killed at the time limit"),
        }
    }
}

/// What a run did.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// All it wrote to standard output.
    pub stdout: Vec<u8>,
    /// All it wrote to standard error.
    pub stderr: Vec<u8>,
    /// How long it took.
    pub took: Duration,
}

/// Runs `command` (which must start with `setsid`, so that its process id names its session) for at most `limit`.
/// Afterwards nothing of its session is alive.
pub fn run(mut command: Command, limit: Duration) -> Outcome {
    let start = Instant::now();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stdout = collect(child.stdout.take().expect("piped"));
    let stderr = collect(child.stderr.take().expect("piped"));
    let end = wait(&mut child, start + limit);
    kill_session(child.id());
    drop(child.wait());
    let patience = Duration::from_secs(5);
    Outcome {
        end,
        stdout: stdout.recv_timeout(patience).unwrap_or_else(|_| b"(the output pipe was never closed)\n".to_vec()),
        stderr: stderr.recv_timeout(patience).unwrap_or_else(|_| b"(the error pipe was never closed)\n".to_vec()),
        took: start.elapsed(),
    }
}

/// Reads `pipe` to its end on a thread of its own.
fn collect(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A torn pipe shows as missing output, which the comparison reports.
        drop(pipe.read_to_end(&mut bytes));
        drop(sender.send(bytes));
    });
    receiver
}

fn wait(child: &mut Child, deadline: Instant) -> End {
    use std::os::unix::process::ExitStatusExt;
    let mut next_look = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            return status.code().map_or_else(|| End::Signal(status.signal().unwrap_or(0)), End::Exit);
        }
        if Instant::now() > deadline {
            return End::TimedOut;
        }
        if Instant::now() > next_look {
            next_look = Instant::now() + Duration::from_millis(100);
            if memory_is_low() {
                return End::OutOfMemory;
            }
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// Whether less than a tenth of the memory is available.
fn memory_is_low() -> bool {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes =
        |name: &str| -> Option<u64> { text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok() };
    let (available, total) = (kilobytes("MemAvailable:"), kilobytes("MemTotal:"));
    available.zip(total).is_some_and(|(available, total)| available < total / 10)
}

/// Kills every process of session `session`, again until none is left (they may be forking).
fn kill_session(session: u32) {
    for _ in 0..20 {
        let members = session_members(session);
        if members.is_empty() {
            return;
        }
        let kill = Command::new("bash").args(["-c", "kill -9 \"$@\" 2>/dev/null; true", "kill"]).args(&members).status();
        assert!(kill.is_ok_and(|status| status.success()), "bash can't kill");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The living processes of a session, from `/proc/PID/stat`; zombies do not count.
fn session_members(session: u32) -> Vec<String> {
    let mut members = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc is there").flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // After the command name in parentheses: state, parent, group, session.
        let Some((_, rest)) = stat.rsplit_once(") ") else { continue };
        let fields: Vec<&str> = rest.split_whitespace().collect();
        if fields.get(3).is_some_and(|id| *id == session.to_string()) && fields[0] != "Z" {
            members.push(pid);
        }
    }
    members
}
