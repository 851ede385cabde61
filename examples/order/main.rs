//! Which functions of the preload library programs execute first, in that order: what `shim/order.txt` lists, for `shim/build.rs` to have them placed beside each other.
//!
//! A page of code that is touched costs a fault that maps the 16 pages around it, and these have to be unmapped in the end: 5 us together on the test machine. Scattered over 2 MB, the functions that
//! open a pool and a file (240 KB) took 30 of them.
//!
//! ```sh
//! cargo build --release && cargo run --release --example order
//! ```
//!
//! runs some programs instruction by instruction on a fresh pool, which takes some minutes, and writes the list anew. An old list costs speed and nothing else: names that it does not know lie behind the
//! others, and names that are gone stand for nothing.
#![expect(unsafe_code, reason = "a child that lets itself be traced")]

use clap::Parser;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use object::{Object, ObjectSymbol, SymbolKind};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is executed: the start of every program, then what the most of them do. `@` is the pool's root.
const PROGRAMS: [&str; 14] = [
    "true",
    "cat /etc/passwd",
    "cat @/small",
    "ls -l @",
    "cp @/small @/copy",
    "grep -r e @",
    "mv @/copy @/moved",
    "rm @/moved",
    "mkdir @/directory",
    "rmdir @/directory",
    "cp /etc/passwd @/small",
    "cmp /etc/passwd @/small",
    "dash @/script",
    "bash @/script",
];

/// A shell's children fork, redirect and execute.
const SCRIPT: &str = "cd /flac; cat small > other; cat < other | cat >> third; true; rm other third";

/// The instruction pointer is looked at 200,000 times to the loader's end: the library is mapped long before.
const LOOKS_EVERY: u64 = 4096;

/// Of a name that stands for several functions, no more bytes than twice those executed may lie between the others, and this.
const SLACK: u64 = 2000;

#[derive(Parser)]
#[command(about = "Writes shim/order.txt: which functions of the preload library programs execute first")]
struct Options {
    /// Where `libflacshim.so` and `flac` are
    #[arg(long, default_value = "target/release")]
    built: PathBuf,
    /// The file to write
    #[arg(long, default_value = "shim/order.txt")]
    out: PathBuf,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse();
    let library = options.built.join("libflacshim.so").canonicalize()?;
    let place = tempfile::tempdir()?;
    let pool = place.path().join("pool");
    let flac = |arguments: &[&str]| Command::new(options.built.join("flac")).args(arguments).env("FLAC_POOL", &pool).status();
    let started = flac(&["mkfs", "--size", "1G"])?.success() && flac(&["run", "--", "cp", "/etc/passwd", "/flac/small"])?.success();
    assert!(started, "a fresh pool takes a file");
    std::fs::write(place.path().join("script"), SCRIPT)?;
    let script = place.path().join("script");
    assert!(flac(&["run", "--", "cp", &script.to_string_lossy(), "/flac/script"])?.success(), "and another");
    let functions = Functions::of(&library)?;
    let mut found = Found::default();
    for program in PROGRAMS {
        let words: Vec<String> = program.split(' ').map(|word| word.replace('@', "/flac")).collect();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env("LD_PRELOAD", &library).env("FLAC_ROOT", "/flac").env("FLAC_POOL", &pool).stdout(Stdio::null());
        step(command, &library, |at| found.note(&functions, at))?;
        println!("{program}: {} functions by now", found.order.len());
    }
    flac(&["stop"])?;
    std::fs::write(&options.out, found.list(&functions))?;
    Ok(())
}

/// Runs a program, and what it starts, on one processor (on two, each instruction waits for the other one to wake), and tells `saw` each instruction of `library`, by its address in the file.
fn step(mut command: Command, library: &Path, mut saw: impl FnMut(u64)) -> Result<(), Box<dyn std::error::Error>> {
    let mut one = CpuSet::new();
    one.set(0)?;
    sched_setaffinity(Pid::this(), &one)?;
    // SAFETY: one system call between fork and exec.
    unsafe { command.pre_exec(|| ptrace::traceme().map_err(Into::into)) };
    let first = Pid::from_raw(command.spawn()?.id() as i32);
    waitpid(first, None)?;
    use ptrace::Options as Follow;
    ptrace::setoptions(
        first,
        Follow::PTRACE_O_TRACEFORK | Follow::PTRACE_O_TRACEVFORK | Follow::PTRACE_O_TRACECLONE | Follow::PTRACE_O_TRACEEXEC,
    )?;
    ptrace::step(first, None)?;
    // Where each process has the library, once it has.
    let (mut bases, mut nth) = (HashMap::<Pid, u64>::new(), 0);
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::__WALL)) {
        let Some(process) = status.pid() else { continue };
        let pass_on = match status {
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => continue,
            WaitStatus::PtraceEvent(_, _, event) if event == ptrace::Event::PTRACE_EVENT_EXEC as i32 => {
                bases.remove(&process);
                None
            }
            WaitStatus::Stopped(_, signal) if !matches!(signal, Signal::SIGTRAP | Signal::SIGSTOP) => Some(signal),
            _ => None,
        };
        // A forked child begins with a stop, and the library where its parent had it.
        let begins = matches!(status, WaitStatus::Stopped(_, Signal::SIGSTOP));
        nth += 1;
        if (begins || nth % LOOKS_EVERY == 0)
            && let Some(base) = mapped_at(process, library)
        {
            bases.insert(process, base);
        }
        // It may be gone by now.
        if let (Some(base), Ok(at)) = (bases.get(&process), instruction(process)) {
            saw(at.wrapping_sub(*base));
        }
        let _ = ptrace::step(process, pass_on);
    }
    Ok(())
}

/// Where the child executes.
fn instruction(child: Pid) -> nix::Result<u64> {
    let registers = ptrace::getregs(child)?;
    #[cfg(target_arch = "x86_64")]
    return Ok(registers.rip);
    #[cfg(target_arch = "aarch64")]
    return Ok(registers.pc);
}

fn mapped_at(child: Pid, library: &Path) -> Option<u64> {
    let maps = std::fs::read_to_string(format!("/proc/{child}/maps")).ok()?;
    let line = maps.lines().find(|line| line.ends_with(&library.display().to_string()))?;
    u64::from_str_radix(line.split('-').next()?, 16).ok()
}

/// The library's functions: by address, length and name; and how many bytes those have together that one entry of the list stands for.
struct Functions {
    by_address: BTreeMap<u64, (u64, String)>,
    bytes: HashMap<String, u64>,
}

impl Functions {
    fn of(library: &Path) -> Result<Functions, Box<dyn std::error::Error>> {
        let bytes = std::fs::read(library)?;
        let file = object::File::parse(&*bytes)?;
        let text = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0);
        let by_address: BTreeMap<u64, (u64, String)> =
            text.filter_map(|symbol| Some((symbol.address(), (symbol.size(), entry(symbol.name().ok()?))))).collect();
        let mut bytes = HashMap::new();
        by_address.values().for_each(|(len, entry)| *bytes.entry(entry.clone()).or_default() += len);
        Ok(Functions { by_address, bytes })
    }

    fn at(&self, address: u64) -> Option<(u64, &(u64, String))> {
        let (start, function) = self.by_address.range(..=address).next_back()?;
        (address - start < function.0).then_some((*start, function))
    }
}

/// The entries of the list in order, and how many bytes of each were in functions that were executed.
#[derive(Default)]
struct Found {
    seen: HashSet<u64>,
    order: Vec<String>,
    bytes: HashMap<String, u64>,
}

impl Found {
    fn note(&mut self, functions: &Functions, address: u64) {
        let Some((start, (len, entry))) = functions.at(address) else { return };
        if !self.seen.insert(start) {
            return;
        }
        let bytes = self.bytes.entry(entry.clone()).or_default();
        if *bytes == 0 {
            self.order.push(entry.clone());
        }
        *bytes += len;
    }

    fn list(&self, functions: &Functions) -> String {
        let mut list = String::from(
            "# Functions in the order in which programs execute them first, written by `cargo run --release --example order`.\n",
        );
        for entry in &self.order {
            if functions.bytes[entry] <= 2 * self.bytes[entry] + SLACK {
                let _ = writeln!(list, "{entry}");
            }
        }
        list
    }
}

/// What the list says for a symbol: its name, with `*` for what changes from compiler to compiler: the hashes of crates (`Cs..._`), and how far back in the name something was said before (`B..._`).
fn entry(name: &str) -> String {
    let name = name.split(".llvm.").next().unwrap_or(name);
    if !name.starts_with("_R") {
        return name.to_owned();
    }
    let (mut entry, mut rest) = (String::new(), name);
    while let Some(at) = rest.find(['C', 'B']) {
        let (before, mark) = rest.split_at(at);
        let begin = if mark.starts_with("Cs") { "Cs" } else { &mark[..1] };
        let tail = &mark[begin.len()..];
        let end = tail.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(tail.len());
        let is_number = tail[end..].starts_with('_') && end <= if begin == "Cs" { 13 } else { 3 } && begin != "C";
        entry += before;
        entry += begin;
        rest = tail;
        if is_number {
            entry += "*_";
            rest = &tail[end + 1..];
        }
    }
    entry + rest
}
