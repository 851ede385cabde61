//! Where things are: the pool, the root, the preload library; and what the environment says about them.

use crate::failure::Failure;
use crate::{LIBRARY, human};
use std::path::{Path, PathBuf};

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The pool's directory, absolute: `given`, else `FLAC_POOL`, else `$XDG_DATA_HOME/flac`, else `~/.local/share/flac`.
pub fn pool(given: Option<&Path>) -> Result<PathBuf, Failure> {
    let data = || variable("XDG_DATA_HOME").filter(|d| d.is_absolute()).map(|d| d.join("flac"));
    let home = || variable("HOME").map(|h| h.join(".local/share/flac"));
    let found = given.map(Path::to_owned).or_else(|| variable("FLAC_POOL")).or_else(data).or_else(home);
    let pool = found.ok_or_else(|| Failure::new("neither FLAC_POOL nor HOME is set: name the pool's directory with --pool"))?;
    std::path::absolute(&pool).map_err(|e| Failure::new(format!("--pool {}: {e}", pool.display())).with_status(2))
}

/// The path under which programs see the tree: `FLAC_ROOT`, else `/flac`.
pub fn root() -> PathBuf {
    variable("FLAC_ROOT").unwrap_or_else(|| "/flac".into())
}

/// The size of the DRAM tier, if this process makes it: `FLAC_DRAM`.
pub fn dram() -> Result<Option<u64>, Failure> {
    let Some(value) = variable("FLAC_DRAM") else { return Ok(None) };
    let text = value.to_string_lossy();
    let percent = text.strip_suffix('%').and_then(|n| n.parse::<u64>().ok()).filter(|n| (1..=100).contains(n));
    let bytes = match percent {
        Some(n) => Some(memory() / 100 * n),
        None => human::parse_size(&text).ok(),
    };
    match bytes.filter(|n| *n >= 16 << 20) {
        None => Err(Failure::new(format!("FLAC_DRAM={text}: must be a size as in 512M, 4G or 25%, of 16M at least"))),
        some => Ok(some),
    }
}

/// Bytes of memory that the machine has.
pub fn memory() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram as u64 * u64::from(info.mem_unit)
}

/// The preload library: beside this program, or in the `lib` beside its directory.
pub fn library() -> Result<PathBuf, Failure> {
    let program = std::env::current_exe().map_err(|e| Failure::new(format!("can't find this program's file: {e}")))?;
    let program = program.canonicalize().unwrap_or(program);
    let dir = program.parent().unwrap_or(Path::new("/"));
    let places = [dir.join(LIBRARY), dir.join("../lib").join(LIBRARY), dir.join("../lib/flac").join(LIBRARY)];
    let found = places.iter().find(|path| path.is_file()).and_then(|path| path.canonicalize().ok());
    found.ok_or_else(|| {
        Failure::new(format!(
            "{LIBRARY} is neither in {} nor in ../lib beside it: build it with `cargo build --release -p flac-shim`",
            dir.display()
        ))
    })
}
