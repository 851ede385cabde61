//! Where the loader finds libraries: the rules of ld.so(8).

use super::cache;
use super::elf::Binary;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where libraries lie if nothing else is said.
pub const DEFAULT_DIRS: [&str; 8] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
];

/// A library that a program needs: read, or missing.
pub struct Library {
    /// As `DT_NEEDED` has it.
    pub name: Vec<u8>,
    /// What there is, or why not.
    pub binary: Result<Binary, String>,
}

/// All libraries that `main` needs, directly or not, each once, in the loader's order.
pub fn libraries(main: &Binary) -> Vec<Library> {
    let known = std::fs::read("/etc/ld.so.cache").unwrap_or_default();
    let mut found: Vec<Library> = Vec::new();
    // Who is to be looked at next: what it needs, and the run paths of those that loaded it, itself first.
    let mut rest = std::collections::VecDeque::from([(main.needed.clone(), vec![Paths::of(main)])]);
    while let Some((needed, chain)) = rest.pop_front() {
        for name in needed {
            if found.iter().any(|library| library.name == name || library.binary.as_ref().is_ok_and(|b| b.soname.as_ref() == Some(&name))) {
                continue;
            }
            let fits = |file: &PathBuf| Binary::read(file, true).ok().filter(|binary| binary.same_kind(main));
            let binary = candidates(&name, &chain, &known).iter().find_map(fits).ok_or_else(|| "not found".to_owned());
            if let Ok(binary) = &binary {
                let chain = std::iter::once(Paths::of(binary)).chain(chain.iter().cloned()).collect();
                rest.push_back((binary.needed.clone(), chain));
            }
            found.push(Library { name, binary });
        }
    }
    found
}

/// The search paths that a file brings along.
#[derive(Clone)]
struct Paths {
    rpath: Vec<PathBuf>,
    runpath: Vec<PathBuf>,
}

impl Paths {
    fn of(binary: &Binary) -> Self {
        let origin = binary.path.canonicalize().ok().and_then(|path| Some(path.parent()?.to_owned())).unwrap_or_default();
        let split = |list: &Option<Vec<u8>>| {
            list.iter().flat_map(|list| list.split(|b| *b == b':')).map(|dir| expand(dir, &origin)).collect::<Vec<_>>()
        };
        // With a RUNPATH the RPATH is ignored.
        let runpath = split(&binary.runpath);
        Self { rpath: if runpath.is_empty() { split(&binary.rpath) } else { Vec::new() }, runpath }
    }
}

fn expand(dir: &[u8], origin: &Path) -> PathBuf {
    let library_dir = if Path::new("/lib/x86_64-linux-gnu").exists() { "lib/x86_64-linux-gnu" } else { "lib64" };
    let mut text = String::from_utf8_lossy(dir).into_owned();
    for (token, value) in [("ORIGIN", origin.to_string_lossy().as_ref()), ("LIB", library_dir), ("PLATFORM", std::env::consts::ARCH)] {
        text = text.replace(&format!("${{{token}}}"), value).replace(&format!("${token}"), value);
    }
    PathBuf::from(text)
}

/// The files that may be the library `name`, in the order in which the loader tries them.
fn candidates(name: &[u8], chain: &[Paths], known: &[u8]) -> Vec<PathBuf> {
    let file = Path::new(OsStr::from_bytes(name));
    if name.contains(&b'/') {
        return vec![file.to_owned()];
    }
    let environment = std::env::var_os("LD_LIBRARY_PATH").map_or_else(Vec::new, |list| std::env::split_paths(&list).collect());
    let own = &chain[0];
    let rpaths = if own.runpath.is_empty() { chain.iter().flat_map(|paths| paths.rpath.iter().cloned()).collect() } else { Vec::new() };
    let dirs = rpaths.into_iter().chain(environment).chain(own.runpath.iter().cloned());
    let mut files: Vec<PathBuf> = dirs.map(|dir| dir.join(file)).collect();
    files.extend(cache::find(known, name));
    files.extend(DEFAULT_DIRS.map(|dir| Path::new(dir).join(file)));
    files.retain(|file| file.is_file());
    files
}
