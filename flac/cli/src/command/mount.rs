//! `flac mount`: mounting, unmounting, and the process in between.

use crate::arguments::Mount;
use crate::failure::{Failure, Outcome};
use crate::human;
use crate::mount::Server;
use crate::session::Session;
use fuser::{MountOption, SessionACL};
use rustix::mount::UnmountFlags;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// What the serving process prints when the directory can be used.
const READY: &str = "ready";
/// Requests served at the same time: a few may wait for the medium.
const THREADS: usize = 8;
/// How long after a signal open files may keep the server alive.
const PATIENCE: Duration = Duration::from_secs(5);

pub fn run(pool: &Path, wanted: &Mount) -> Outcome {
    if wanted.unmount {
        return unmount(&wanted.dir);
    }
    if !wanted.foreground && !wanted.background {
        return start(pool, wanted);
    }
    check(&wanted.dir)?;
    if wanted.background {
        rustix::process::setsid().map_err(|e| Failure::new(format!("setsid: {e}")))?;
    }
    let session = Arc::new(Session::open(pool)?);
    let result = serve(pool, wanted, &session);
    match Arc::try_unwrap(session) {
        Ok(session) => session.close()?,
        // A thread still waits for a lock for somebody who is gone: it ends with the process, whose death is a close.
        Err(session) => session.fs().sync_all()?,
    }
    result
}

fn serve(pool: &Path, wanted: &Mount, session: &Arc<Session>) -> Outcome {
    // A thread that panics may hold locks that others wait for, until its process is gone.
    let say = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        say(info);
        std::process::abort();
    }));
    let root = rustix::process::geteuid().is_root();
    let mut options = fuser::Config::default();
    options.mount_options = vec![
        // Preloaded programs know by it that it is their pool.
        MountOption::FSName(canonical(pool).display().to_string().replace(',', "_")),
        MountOption::Subtype("flac".into()),
        MountOption::NoDev,
        MountOption::NoSuid,
    ];
    options.acl = if wanted.allow_other || root { SessionACL::All } else { SessionACL::Owner };
    options.n_threads = Some(THREADS);
    options.clone_fd = true;
    let why = |e: std::io::Error| match e.raw_os_error() {
        _ if !Path::new("/dev/fuse").exists() => Failure::new("there is no /dev/fuse: `modprobe fuse`, or let the container have it"),
        Some(libc::EACCES) if !readable("/dev/fuse") => {
            Failure::new("/dev/fuse may not be used by this user: `chmod 666 /dev/fuse` (as root), as udev does")
        }
        Some(libc::EPERM) => Failure::new(format!("{}: may not mount: install the package fuse3 (fusermount3)", wanted.dir.display())),
        _ => Failure::on(&wanted.dir, e),
    };
    let mut mounted = fuser::Session::new(Server::new(session.clone()), &wanted.dir, &options).map_err(why)?;
    let mut unmounter = mounted.unmount_callable();
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(|e| Failure::new(format!("signals: {e}")))?;
    let (dir, own) = (wanted.dir.clone(), Arc::downgrade(session));
    std::thread::spawn(move || {
        if signals.forever().next().is_none() {
            return;
        }
        if unmounter.unmount().is_err() {
            // Somebody works in it: it leaves the tree now, and ends with its last open file.
            let _ = rustix::mount::unmount(&dir, UnmountFlags::DETACH);
        }
        std::thread::sleep(PATIENCE);
        // Who still has files open there gets ENOTCONN.
        let written = own.upgrade().map_or(Ok(()), |session| session.fs().sync_all());
        std::process::exit(written.is_err() as i32);
    });
    if wanted.background {
        human::to_stdout(&format!("{READY}\n"));
        silence()?;
    }
    mounted.run().map_err(|e| Failure::on(&wanted.dir, e))?;
    Ok(ExitCode::SUCCESS)
}

fn canonical(pool: &Path) -> PathBuf {
    pool.canonicalize().unwrap_or_else(|_| pool.to_owned())
}

fn readable(path: &str) -> bool {
    rustix::fs::access(path, rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK).is_ok()
}

/// The terminal is not ours any more.
fn silence() -> Result<(), Failure> {
    let null = std::fs::File::options().read(true).write(true).open("/dev/null").map_err(|e| Failure::new(format!("/dev/null: {e}")))?;
    let all =
        rustix::stdio::dup2_stdin(&null).and_then(|()| rustix::stdio::dup2_stdout(&null)).and_then(|()| rustix::stdio::dup2_stderr(&null));
    all.map_err(|e| Failure::new(format!("/dev/null: {e}")))
}

/// Starts the server, and waits until the directory can be used.
fn start(pool: &Path, wanted: &Mount) -> Outcome {
    check(&wanted.dir)?;
    let dir = std::path::absolute(&wanted.dir).map_err(|e| Failure::on(&wanted.dir, e))?;
    let program = std::env::current_exe().map_err(|e| Failure::new(format!("can't find this program's file: {e}")))?;
    let mut server = Command::new(program);
    server.arg("--pool").arg(pool).args(["mount", "--background"]).arg(dir).current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped());
    if wanted.allow_other {
        server.arg("--allow-other");
    }
    let mut server = server.spawn().map_err(|e| Failure::new(format!("can't start the server: {e}")))?;
    let mut said = String::new();
    if let Some(output) = server.stdout.take() {
        let _ = BufReader::new(output).read_line(&mut said);
    }
    if said.trim_end() == READY {
        return Ok(ExitCode::SUCCESS);
    }
    // It has said why.
    let status = server.wait().ok().and_then(|status| status.code()).unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(1)))
}

/// Whether something can be mounted there. What a killed server left behind is unmounted first.
fn check(dir: &Path) -> Result<(), Failure> {
    match std::fs::metadata(dir) {
        Err(e) if e.raw_os_error() == Some(libc::ENOTCONN) => unmount(dir).map(drop),
        Err(e) => Err(Failure::on(dir, e)),
        Ok(found) if !found.is_dir() => Err(Failure::on(dir, "is no directory")),
        Ok(_) => Ok(()),
    }
}

fn unmount(dir: &Path) -> Outcome {
    let busy = || Failure::on(dir, "is in use: end the programs that work there");
    match rustix::mount::unmount(dir, UnmountFlags::empty()) {
        Ok(()) => return Ok(ExitCode::SUCCESS),
        Err(rustix::io::Errno::BUSY) => return Err(busy()),
        Err(rustix::io::Errno::INVAL) => return Err(Failure::on(dir, "nothing is mounted there")),
        Err(_) => {}
    }
    let output = Command::new("fusermount3").arg("-u").arg("--").arg(dir).output();
    match output {
        Err(e) => Err(Failure::new(format!("fusermount3: {e}: install the package fuse3"))),
        Ok(output) if output.status.success() => Ok(ExitCode::SUCCESS),
        Ok(output) => Err(Failure::new(String::from_utf8_lossy(&output.stderr).trim_end().to_owned())),
    }
}
