//! Programs of ours that run: they are not written meanwhile, and what is being written is not executed (`ETXTBSY`, as on Linux).
//!
//! A process notes in its slot which inode it runs, and the kernel's number of the copy that it runs: whoever asks compares that with what `/proc` says, so a note
//! that has been overtaken (by an exec that we do not see) means nothing. To open a file for writing is to look at one counter, unless a program of its class runs.
//! The opener says that the file is open and then looks whether it runs, whoever executes it says so and then looks whether it is open: not both go on.

use super::Fs;
use super::files::open_slot_of;
use crate::error::{Error, Result};
use crate::region::{BY_DESCRIPTOR, RUNNING};
use crate::sync::{Liveness, Ordering::*, fence};
use crate::units::Ino;
use std::os::unix::ffi::OsStrExt;

/// A program, and the copy of it that the kernel runs: its inode number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program {
    /// Which file.
    pub ino: Ino,
    /// Of the copy.
    pub copy: u64,
}

/// Whether an open file with these flags is written through.
pub(super) fn is_writer(flags: i32) -> bool {
    matches!(flags & libc::O_ACCMODE, libc::O_WRONLY | libc::O_RDWR)
}

impl Fs {
    /// This process's holds are numbers of its descriptors.
    pub fn hold_by_descriptor(&self) {
        self.procs.slot().about.fetch_or(BY_DESCRIPTOR, Relaxed);
    }

    /// What this process has noted that it runs.
    pub(super) fn program(&self) -> Option<Program> {
        let slot = self.procs.slot();
        let ino = slot.program.load(Acquire);
        (ino != 0).then(|| Program { ino: Ino::new(ino), copy: slot.copy.load(Acquire) })
    }

    /// This process is about to execute `program`, or one that is not ours. Returns what [`Fs::go_on`] wants if that fails.
    ///
    /// # Errors
    /// `ETXTBSY`: it is open for writing; nothing is noted.
    pub fn execute(&self, program: Option<Program>) -> Result<Option<Program>> {
        let before = self.program();
        self.note_program(self.procs.me(), program);
        fence(SeqCst);
        program.map_or(Ok(()), |p| self.not_written(p.ino)).inspect_err(|_| self.go_on(before))?;
        Ok(before)
    }

    /// This process runs what it ran before [`Fs::execute`].
    pub fn go_on(&self, before: Option<Program>) {
        self.note_program(self.procs.me(), before);
    }

    pub(super) fn note_program(&self, slot: u32, program: Option<Program>) {
        let slot = &self.region.control.procs()[slot as usize];
        if program.is_none() && slot.program.load(Relaxed) == 0 {
            return;
        }
        if let Some(Program { ino, copy }) = program {
            self.class(ino.get()).fetch_add(1, AcqRel);
            slot.copy.store(copy, Release);
        }
        let old = slot.program.swap(program.map_or(0, |p| p.ino.get()), AcqRel);
        if old != 0 {
            self.class(old).fetch_sub(1, AcqRel);
        }
    }

    fn class(&self, ino: u64) -> &'static crate::sync::AtomicU32 {
        &self.region.control.counters().running[ino as usize % RUNNING]
    }

    /// When nobody else is in the table.
    pub(super) fn recount_programs(&self) {
        self.region.control.counters().running.iter().for_each(|count| count.store(0, Relaxed));
        if let Some(Program { ino, .. }) = self.program() {
            self.class(ino.get()).store(1, Release);
        }
    }

    /// `ETXTBSY` if `ino` is a program that runs.
    #[inline]
    pub fn not_running(&self, ino: Ino) -> Result<()> {
        if self.class(ino.get()).load(Acquire) != 0 && self.runs_somewhere(ino) {
            return Err(Error::Os(libc::ETXTBSY));
        }
        Ok(())
    }

    #[cold]
    fn runs_somewhere(&self, ino: Ino) -> bool {
        let procs = self.region.control.procs();
        let runs = |slot: u32| {
            let slot_of = &procs[slot as usize];
            slot_of.program.load(Acquire) == ino.get() && self.procs.runs_copy(slot, slot_of.copy.load(Acquire))
        };
        self.procs.in_use().any(runs)
    }

    /// `ETXTBSY` if `ino` is open for writing.
    pub fn not_written(&self, ino: Ino) -> Result<()> {
        let Some(inode) = self.inodes.find(ino) else { return Ok(()) };
        if self.inodes.slot(inode).opens.load(Acquire) == 0 {
            return Ok(());
        }
        let control = self.region.control;
        let opens = control.opens();
        let writes = |word: u32| {
            let open = word.checked_sub(1).map(|_| &opens[open_slot_of(word)]);
            open.is_some_and(|open| open.inode.load(Acquire) == inode && is_writer(open.flags.load(Acquire) as i32))
        };
        let run = self.region.run.dir().as_os_str().as_bytes();
        for slot in self.procs.in_use() {
            let end = control.procs()[slot as usize].holds_end.load(Acquire) as usize;
            let mut holds = control.holds(slot)[..end].iter().enumerate();
            if holds.any(|(hold, word)| writes(word.load(Acquire)) && self.procs.has_descriptor(slot, hold, run)) {
                return Err(Error::Os(libc::ETXTBSY));
            }
        }
        Ok(())
    }
}
