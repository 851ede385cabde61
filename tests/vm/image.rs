//! What the machine boots: an archive with the kernel's modules, busybox, the programs that run there with their libraries, and what is tested.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::shim::Shim;

/// Programs of the distribution that the guest's scripts run; they lie in /usr/local/bin there.
const PROGRAMS: [&str; 20] = [
    "bash", "cat", "cmp", "cp", "dd", "env", "grep", "head", "ls", "mkdir", "mv", "rm", "seq", "sleep", "sqlite3", "sync", "tail", "tar",
    "tr", "wc",
];

/// Makes the archive below `dir`, where `ci/vm.sh` has put the kernel, its modules and busybox.
pub fn build(dir: &Path, shim: &Shim) -> PathBuf {
    let (stage, archive) = (dir.join("stage"), dir.join("initrd"));
    let _ = std::fs::remove_dir_all(&stage);
    for folder in ["bin", "usr/local/bin", "lib", "proc", "sys", "dev", "mnt", "tmp", "modules"] {
        std::fs::create_dir_all(stage.join(folder)).expect("a directory");
    }
    let put = |from: &Path, to: &str| {
        std::fs::copy(from, stage.join(to)).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    };
    let source = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    put(&dir.join("busybox"), "bin/busybox");
    for module in std::fs::read_dir(dir.join("modules")).expect("the kernel's modules").flatten() {
        put(&module.path(), &format!("modules/{}", module.file_name().display()));
    }
    for script in ["init", "real.sh"] {
        put(&source("vm").join(script), script);
        std::fs::set_permissions(stage.join(script), std::fs::Permissions::from_mode(0o755)).expect("a mode");
    }
    let worker = stage.join("bin/worker");
    let compiled = Command::new("gcc").arg("-O1").arg("-o").arg(&worker).arg(source("kill/worker.c")).status();
    assert!(compiled.is_ok_and(|status| status.success()), "worker.c needs gcc");
    put(&std::env::current_exe().expect("a test knows where it is"), "bin/api-worker");
    put(shim.flac.as_deref().expect("the command flac is built"), "bin/flac");
    put(&shim.library, "lib/libflacshim.so");
    let mut wanted: Vec<PathBuf> = ["bin/worker", "bin/api-worker", "bin/flac", "lib/libflacshim.so"].map(|name| stage.join(name)).into();
    for program in PROGRAMS {
        let found = find(program);
        put(&found, &format!("usr/local/bin/{program}"));
        wanted.push(found);
    }
    for library in libraries(&wanted) {
        let to = stage.join(library.strip_prefix("/").expect("an absolute path"));
        std::fs::create_dir_all(to.parent().expect("a directory")).expect("a directory");
        std::fs::copy(&library, to).unwrap_or_else(|error| panic!("{}: {error}", library.display()));
    }
    for name in ["bin/api-worker", "bin/flac", "lib/libflacshim.so"] {
        let _ = Command::new("strip").arg("--strip-debug").arg(stage.join(name)).status();
    }
    pack(&stage, &archive);
    archive
}

fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").expect("PATH");
    let mut places = std::env::split_paths(&path).map(|dir| dir.join(program));
    places.find(|file| file.is_file()).unwrap_or_else(|| panic!("{program} is not installed (ci/setup.sh does it)"))
}

/// The libraries that the loader finds for `programs`, and the loader, by the paths at which it looks.
fn libraries(programs: &[PathBuf]) -> BTreeSet<PathBuf> {
    let output = Command::new("ldd").args(programs).stderr(Stdio::null()).output().expect("ldd");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains("not found"), "a library is missing:\n{text}");
    text.split_whitespace().filter(|word| word.starts_with('/') && !word.ends_with(':')).map(PathBuf::from).collect()
}

fn pack(stage: &Path, archive: &Path) {
    let command = "find . | cpio --quiet -o -H newc -R 0:0 >\"$1\"";
    let status = Command::new("bash").args(["-c", command, "pack"]).arg(archive).current_dir(stage).status();
    assert!(status.is_ok_and(|status| status.success()), "cpio (ci/vm.sh installs it)");
}
