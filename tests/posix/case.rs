//! What a case is, and how one runs in a process of its own.

use crate::sys::{self, Errno, Raw};
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The exit code of a case that can't be judged here.
pub const SKIPPED: u8 = 77;
/// The exit code of a FLAC case where the shim does not serve the root.
pub const NOT_SERVED: u8 = 78;

/// One semantic claim: its name and the function that checks it.
pub type Case = (&'static str, fn(&Dir) -> Outcome);

/// How a case ends.
pub type Outcome = Result<(), Stop>;

/// Why a case ended early.
#[derive(Debug)]
pub enum Stop {
    /// A call that had to succeed did not.
    Failed(String),
    /// The claim can't be judged here, and why.
    Skipped(String),
}

impl From<Errno> for Stop {
    #[track_caller]
    fn from(errno: Errno) -> Stop {
        let place = Location::caller();
        Stop::Failed(format!("{}:{}: unexpected {errno:?}", place.file(), place.line()))
    }
}

/// Ends a case that can't be judged here.
pub fn skip(reason: impl Into<String>) -> Outcome {
    Err(Stop::Skipped(reason.into()))
}

/// Asserts that a call fails with the given errno.
macro_rules! fails {
    ($errno:ident, $call:expr $(,)?) => {
        match $call {
            Err(errno) => assert_eq!(errno, $crate::sys::$errno, "{}", stringify!($call)),
            Ok(_) => panic!("{} succeeded instead of {}", stringify!($call), stringify!($errno)),
        }
    };
}
pub(crate) use fails;

/// Lists the functions of a topic as its cases.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        /// The claims of this topic.
        pub const CASES: &[$crate::case::Case] = &[$((stringify!($name), $name)),*];
    };
}
pub(crate) use cases;

/// Where a case works.
pub struct Dir {
    path: PathBuf,
    root: PathBuf,
    outside: PathBuf,
}

impl Dir {
    /// A name in the empty directory that belongs to this case alone. It is also the working directory at the start.
    pub fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The directory that belongs to this case alone.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The root of the file system under test: `FLAC_ROOT`, or the mount point of the tmpfs.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// An empty directory in another kernel file system.
    pub fn outside(&self) -> &Path {
        &self.outside
    }

    /// Makes a file of these bytes and returns its path.
    #[track_caller]
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.at(name);
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC;
        let fd = sys::open(&path, flags, 0o644).expect("a new file");
        write_all(&fd, bytes);
        fd.close().expect("close");
        path
    }

    /// Makes a directory and returns its path.
    #[track_caller]
    pub fn dir(&self, name: &str) -> PathBuf {
        let path = self.at(name);
        sys::mkdir(&path, 0o755).expect("a new directory");
        path
    }

    /// A file of these bytes, open for reading and writing at offset 0.
    #[track_caller]
    pub fn open(&self, name: &str, bytes: &[u8]) -> sys::Fd {
        let path = self.file(name, bytes);
        sys::open(path, libc::O_RDWR, 0).expect("an open file")
    }
}

/// Writes all bytes.
#[track_caller]
pub fn write_all(fd: impl Raw, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let written = sys::write(fd.raw(), bytes).expect("write");
        bytes = &bytes[written..];
    }
}

/// The whole content of a file.
#[track_caller]
pub fn content(path: impl AsRef<Path>) -> Vec<u8> {
    let fd = sys::open(path.as_ref(), libc::O_RDONLY, 0).expect("an open file");
    let mut bytes = Vec::new();
    let mut buffer = vec![0_u8; 1 << 16];
    loop {
        match sys::read(&fd, &mut buffer).expect("read") {
            0 => return bytes,
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

/// `length` bytes that differ from place to place and by seed.
pub fn pattern(length: usize, seed: u8) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32 ^ (u32::from(seed) << 8);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// Runs the named case: `NAME DIR ROOT OUTSIDE [KERNEL_ROOT_ID]`. With the last one, the root must not be the kernel's.
pub fn run(arguments: &[String]) -> ExitCode {
    let [name, path, root, outside, rest @ ..] = arguments else {
        eprintln!("--case NAME DIR ROOT OUTSIDE [KERNEL_ROOT_ID]");
        return ExitCode::FAILURE;
    };
    let Some((_, body)) = crate::cases::all().into_iter().find(|(known, _)| known == name) else {
        eprintln!("no case is called {name}");
        return ExitCode::FAILURE;
    };
    if rest.first().is_some_and(|kernel| *kernel == identity(Path::new(root))) {
        eprintln!("{root} is the kernel's directory: the shim does not serve it");
        return ExitCode::from(NOT_SERVED);
    }
    let dir = Dir { path: path.into(), root: root.into(), outside: outside.into() };
    match enter(&dir).map_err(Stop::from).and_then(|()| body(&dir)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::Skipped(reason)) => {
            println!("skipped: {reason}");
            ExitCode::from(SKIPPED)
        }
        Err(Stop::Failed(reason)) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

/// Device and inode of a directory, as text.
pub fn identity(path: &Path) -> String {
    sys::stat(path).map_or_else(|errno| format!("{errno:?}"), |stat| format!("{}:{}", stat.st_dev, stat.st_ino))
}

fn enter(dir: &Dir) -> sys::Sys<()> {
    sys::umask(0o022);
    sys::mkdir(&dir.path, 0o755)?;
    sys::chdir(&dir.path)
}
