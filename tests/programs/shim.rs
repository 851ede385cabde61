//! Finds and builds what is tested: the preload library and the `flac` command.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The built library, and the command where there is one.
#[derive(Debug, Clone)]
pub struct Shim {
    /// `libflacshim.so`.
    pub library: PathBuf,
    /// The `flac` command.
    pub flac: Option<PathBuf>,
}

/// The profile's directory, such as `target/debug`: this test lives in its `deps`.
pub fn profile_dir() -> PathBuf {
    let exe = std::env::current_exe().expect("a test knows where it is");
    exe.parent().and_then(Path::parent).expect("target/PROFILE/deps/TEST").to_owned()
}

/// Builds the shim and the `flac` command in the profile of this test. A cdylib can't be a dev-dependency, so cargo would
/// not do it for us.
pub fn build() -> Shim {
    let dir = profile_dir();
    let profile = match dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target = dir.parent().expect("target/PROFILE");
    let status = Command::new(cargo)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--quiet", "-p", "flac-shim", "-p", "flac-cli", "--profile", profile, "--target-dir"])
        .arg(target)
        .status()
        .expect("cargo starts");
    assert!(status.success(), "the shim does not build");
    let flac = dir.join("flac");
    Shim { library: dir.join("libflacshim.so"), flac: flac.exists().then_some(flac) }
}

impl Shim {
    /// Makes a pool in `dir`: room for what a case writes, and logs that are soon made.
    pub fn make_pool(&self, dir: &Path) {
        let Some(output) = self.command(&["mkfs", "--size", "2G"], dir) else { return };
        assert!(output.status.success(), "flac mkfs: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    }

    /// Runs `flac ARGS --pool POOL` outside the shim; `None` where the command does not exist.
    pub fn command(&self, args: &[&str], pool: &Path) -> Option<std::process::Output> {
        let flac = self.flac.as_ref()?;
        let output = Command::new(flac).args(args).arg("--pool").arg(pool).env_remove("LD_PRELOAD").output();
        Some(output.unwrap_or_else(|error| panic!("{}: {error}", flac.display())))
    }
}
