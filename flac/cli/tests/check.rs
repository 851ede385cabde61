//! `flac check`, on programs made for it.

use std::path::Path;
use std::process::Command;

/// Exit status and output of `flac check ARGUMENTS` in `dir`.
fn check(dir: &Path, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_flac")).current_dir(dir).arg("check").args(arguments).output().expect("flac starts");
    (output.status.code().expect("it exits"), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// Compiles `source` with `options` (words) to `name` in `dir`; `false` where that can't be done here.
fn compiled(dir: &Path, name: &str, options: &str, source: &str) -> bool {
    std::fs::write(dir.join("source.c"), source).expect("a file");
    let status = Command::new("gcc").current_dir(dir).args(["-o", name, "source.c"]).args(options.split_whitespace()).status();
    status.is_ok_and(|status| status.success())
}

#[test]
fn a_program_and_its_libraries_are_followed() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path();
    std::fs::create_dir(dir.join("sub")).expect("a directory");
    let library = "#include <sys/fanotify.h>\nint lib(void) { return fanotify_mark(0, 0, 0, 0, \"x\"); }";
    assert!(compiled(dir, "sub/libwatch.so", "-shared -fPIC", library));
    assert!(compiled(dir, "plain", "", "#include <fcntl.h>\nint main(void) { return open(\"x\", O_RDONLY); }"));
    assert!(compiled(dir, "user", "-Lsub -lwatch -Wl,-rpath,$ORIGIN/sub", "int lib(void); int main(void) { return lib(); }"));
    let (status, said) = check(dir, &["./plain", "--all"]);
    assert!(status == 0 && said.contains(" open") && said.contains("works on FLAC files, as far as"), "{said}");
    let (status, said) = check(dir, &["./user"]);
    assert!(status == 3 && said.contains("fanotify_mark (libwatch.so) fails with ENOSYS"), "{said}");
    std::fs::remove_file(dir.join("sub/libwatch.so")).expect("it is there");
    let (status, said) = check(dir, &["./user"]);
    assert!(status == 3 && said.contains("libwatch.so is not found"), "{said}");
}

#[test]
fn what_the_library_can_not_serve_is_said() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path();
    if compiled(dir, "static", "-static", "int main(void) { return 0; }") {
        let (status, said) = check(dir, &["./static"]);
        assert!(status == 4 && said.contains("linked statically") && said.contains("instead"), "{said}");
    }
    let raw = "int main(void) { long n = 257; __asm__ volatile(\"mov $257, %%eax\\n syscall\\n test %%eax, %%eax\" : \"=a\"(n) : : \"rcx\", \"r11\", \"memory\"); return n < 0; }";
    if cfg!(target_arch = "x86_64") && compiled(dir, "raw", "", raw) {
        let (status, said) = check(dir, &["./raw"]);
        assert!(status == 3 && said.contains("raw likely makes system calls past libc (openat 1)"), "{said}");
    }
    let uring = "#include <unistd.h>\nint main(void) { return syscall(425, 1, 0) + syscall(426, 3, 1, 1, 0, 0) < 0; }";
    if cfg!(target_arch = "x86_64") && compiled(dir, "uring", "-O1", uring) {
        let (status, said) = check(dir, &["./uring"]);
        assert!(status == 3 && said.contains("uses io_uring"), "{said}");
    }
    // A symbol that libc might get one day.
    let future = "int open_anew(void); int main(void) { return open_anew(); }";
    std::fs::write(dir.join("map"), "GLIBC_9.9 { global: open_anew; };").expect("a file");
    assert!(compiled(
        dir,
        "libc.so.6",
        "-shared -fPIC -nostdlib -Wl,-soname,libc.so.6 -Wl,--version-script=map",
        "int open_anew(void) { return 1; }"
    ));
    assert!(compiled(dir, "future", "./libc.so.6 -nostdlib -e main", future));
    let (status, said) = check(dir, &["./future"]);
    assert!(status == 3 && said.contains("open_anew (future) is not covered"), "{said}");
}

#[test]
fn scripts_lead_to_their_interpreters_and_names_to_programs() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path();
    std::fs::write(dir.join("script"), "#!/usr/bin/env -S cat -n\n").expect("a file");
    std::fs::write(dir.join("text"), "no program\n").expect("a file");
    let (status, said) = check(dir, &["./script", "--json"]);
    assert!(status == 0 && said.contains("\"scripts\": [\"./script\"]") && said.contains("/cat\""), "{said}");
    assert_eq!(check(dir, &["cat"]).0, 0);
    let (status, said) = check(dir, &["./text"]);
    assert!(status == 1 && said.ends_with("neither an ELF program nor a script\n"), "{said}");
    assert_eq!(check(dir, &["./absent"]).0, 1);
    assert_eq!(check(dir, &[]).0, 2);
}

#[test]
fn a_damaged_program_is_refused_not_believed() {
    let dir = tempfile::tempdir().expect("a directory");
    let whole = std::fs::read("/bin/cat").expect("cat");
    for step in 0..200 {
        let mut bytes = whole.clone();
        let at = step * 7919 % bytes.len().min(4096);
        bytes[at] ^= 1 << (step % 8);
        bytes.truncate(if step % 2 == 0 { bytes.len() } else { bytes.len() * step / 200 });
        std::fs::write(dir.path().join("damaged"), bytes).expect("a file");
        let (status, said) = check(dir.path(), &["./damaged"]);
        assert!([0, 1, 3, 4].contains(&status) && !said.contains("internal error"), "step {step}: {status} {said}");
    }
}
