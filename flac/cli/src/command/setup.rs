//! `flac setup`: a tmpfs with huge pages for the caches of all users; `--undo` takes it away again. The mount carries our mark as its source.

use crate::advice;
use crate::arguments::Setup;
use crate::failure::{Failure, Outcome};
use crate::human;
use crate::location;
use flac::region::{HUGE_DIR, SHM_DIR};
use rustix::mount::{MountFlags, UnmountFlags};
use std::ffi::CString;
use std::path::Path;
use std::process::ExitCode;

/// The source of our mount, to tell it from others.
const MARK: &str = "flac-setup";

/// What is mounted on [`HUGE_DIR`]: its source and options.
struct Mounted {
    source: String,
    options: String,
}

pub fn run(wanted: &Setup) -> Outcome {
    let done = if wanted.undo { undo()? } else { mount(wanted.size)? };
    human::to_stdout(&format!("{done}\n"));
    Ok(ExitCode::SUCCESS)
}

fn mounted() -> Result<Option<Mounted>, Failure> {
    let path = Path::new("/proc/self/mountinfo");
    let mounts = std::fs::read_to_string(path).map_err(|e| Failure::on(path, e))?;
    // The last mount on a place covers the ones before.
    Ok(mounts.lines().rev().find_map(|line| {
        let (front, back) = line.split_once(" - ")?;
        let (dir, mut back) = (front.split(' ').nth(4)?, back.split(' '));
        let found = Mounted { source: back.nth(1)?.to_owned(), options: back.next()?.to_owned() };
        (dir == HUGE_DIR).then_some(found)
    }))
}

fn needs_root(undo: bool) -> Result<(), Failure> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let program = std::env::current_exe().map_or_else(|_| "flac".into(), |path| path.display().to_string());
    let option = if undo { " --undo" } else { "" };
    Err(Failure::new(format!("mounting needs root: run `sudo {program} setup{option}`")))
}

fn mount(size: Option<u64>) -> Result<String, Failure> {
    match mounted()? {
        Some(it) if it.options.contains("huge=always") || it.options.contains("huge=within_size") => {
            return Ok(format!("{HUGE_DIR} is a tmpfs with huge pages already: nothing to do"));
        }
        Some(it) => return Err(Failure::new(format!("{} is mounted on {HUGE_DIR}, without huge pages: unmount it first", it.source))),
        None => {}
    }
    needs_root(false)?;
    std::fs::create_dir_all(HUGE_DIR).map_err(|e| Failure::on(Path::new(HUGE_DIR), e))?;
    let size = size.unwrap_or(location::memory() / 4 * 3);
    let options = format!("huge=always,size={size},mode=1777");
    let data = CString::new(options.as_str()).map_err(|e| Failure::new(e.to_string()))?;
    rustix::mount::mount(MARK, HUGE_DIR, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, data.as_c_str()).map_err(|e| match e {
        rustix::io::Errno::INVAL => Failure::new("this kernel has no huge pages for tmpfs: FLAC works without, more slowly"),
        rustix::io::Errno::PERM => Failure::new("may not mount here (a container?): FLAC works without huge pages, more slowly"),
        e => Failure::new(format!("can't mount a tmpfs on {HUGE_DIR}: {e}")),
    })?;
    let advice = advice::frames(None);
    let note = if advice.huge { String::new() } else { format!("\nbut {}; {}", advice.why, advice.cure.unwrap_or("nothing can be done")) };
    Ok(format!("mounted a tmpfs with huge pages on {HUGE_DIR} ({options}); `flac setup --undo` unmounts it{note}"))
}

fn undo() -> Result<String, Failure> {
    let Some(it) = mounted()? else {
        return Ok(format!("nothing is mounted on {HUGE_DIR}: nothing to do"));
    };
    if it.source != MARK {
        return Err(Failure::new(format!("what is mounted on {HUGE_DIR} ({}) is not by `flac setup`: left alone", it.source)));
    }
    needs_root(true)?;
    let names = std::fs::read_dir(HUGE_DIR).map_err(|e| Failure::on(Path::new(HUGE_DIR), e))?;
    for name in names.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()) {
        let state = Path::new(SHM_DIR).join(name.trim_end_matches(".dram"));
        if state.exists() {
            return Err(Failure::new(format!("the cache of a pool is in {HUGE_DIR}/{name}: `flac stop` that pool first")));
        }
    }
    rustix::mount::unmount(HUGE_DIR, UnmountFlags::empty()).map_err(|e| match e {
        rustix::io::Errno::BUSY => Failure::new(format!("{HUGE_DIR} is in use: end the programs that use a pool first")),
        e => Failure::new(format!("can't unmount {HUGE_DIR}: {e}")),
    })?;
    // The directory stays: removing it would unmount what another mount namespace has there.
    Ok(format!("unmounted {HUGE_DIR}"))
}
