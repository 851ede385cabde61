//! Where cargo puts things, and the preload library built.

use std::path::{Path, PathBuf};
use std::process::Command;

/// `target/release` or `target/debug`: two levels above this program, which is in `examples`.
#[must_use]
pub fn profile_directory() -> PathBuf {
    let program = std::env::current_exe().expect("the path of this program");
    program.ancestors().nth(2).expect("a target directory").to_owned()
}

/// Another example of the same profile.
#[must_use]
pub fn sibling(example: &str) -> PathBuf {
    profile_directory().join("examples").join(example)
}

pub(crate) fn target_directory() -> PathBuf {
    profile_directory().parent().map_or_else(std::env::temp_dir, Path::to_owned)
}

/// Builds the preload library and the command `flac` in this program's profile: cargo does not, for a program that only loads one at run time.
pub(crate) fn build_shim() -> Result<PathBuf, String> {
    let directory = profile_directory();
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let top = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let mut build = Command::new(cargo);
    build.current_dir(top).args(["build", "-q", "-p", "flac-shim", "-p", "flac-cli", "--profile", profile, "--target-dir"]);
    let output = build.arg(target_directory()).output().map_err(|error| format!("cargo build: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo build -p flac-shim failed:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(directory.join("libflacshim.so"))
}
