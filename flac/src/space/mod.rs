//! The FLAC space: data by address instead of by name, for programs that keep their own metadata.
//!
//! A pool has one space: [`SPAN`] bytes of addresses, all zeros and without any page at first. A page (4 KiB) exists from the first byte moved into it until
//! [`Space::pfree`]; who uses which addresses is the program's affair. What is moved in is seen at once by every process that has the space
//! open, and is *uncommitted* until a [`FlushHandle`] commits its page, together with changes of the program's own records: the *metalog*, an ordered map of
//! small keys and values that [`Space::init_flac`] hands back. A commit is atomic and durable.
//!
//! Memory that is not the caller's is not noticed here: a transfer faults on it, as `memcpy` would.
//!
//! Beneath, the space is one inode without a name, and an address an offset in it: table, frames, attach, pool and log are those of the file system. It
//! differs in one thing: nobody else's flush touches its pages. What is uncommitted when the last process leaves is gone.

mod flush;
#[cfg(test)]
mod tests;

pub use flush::FlushHandle;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::fs::Fs;
use crate::fs::attr::{Attr, Time};
use crate::fs::io::IoVec;
use crate::fs::open::OpenId;
use crate::fs::record::{self, Inode};
use crate::inode::SlotNo;
use crate::kv::Pair;
use crate::media::{Pool, PoolOptions, default_size};
use crate::metalog::MetaTxn;
use crate::sync::{AtomicU32, Ordering::*, Spin};
use crate::table::Entry;
use crate::units::{Ino, PAGE, PageNo};
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::mem::ManuallyDrop;
use std::path::Path;

/// Bytes of addresses: 64 TiB, more than a pool can hold.
pub const SPAN: u64 = 1 << 46;
/// The longest key of a metalog record.
pub const KEY_MAX: usize = 255;
/// The longest value of a metalog record.
pub const VALUE_MAX: usize = 64 << 10;

/// What the keys of the program's records begin with in the KV.
const PREFIX: &[u8] = b"A";
/// After so many transfers into the program's memory, look which of the buffers are still there.
const SWEEP: u32 = 256;
const SWEEPING: u32 = 1 << 31;

/// How a space is opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct SpaceOptions {
    /// Bytes of data that a pool made here can hold; 0: half of what is free where it lies. Ignored if there is a pool.
    pub pool_size: u64,
    /// Bytes of the DRAM tier, used by whoever opens the pool first; 0: as [`Config::dram`].
    pub dram_size: u64,
}

/// A change of the program's records: `value` for `key`, or `None` to delete it.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// 1 to [`KEY_MAX`] bytes.
    pub key: &'a [u8],
    /// At most [`VALUE_MAX`] bytes.
    pub value: Option<&'a [u8]>,
}

/// How attached pages may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PMode {
    /// Reading only.
    Read,
    /// Reading and writing; a page that is written becomes the program's own copy.
    CopyOnWrite,
}

/// This process's view of the FLAC space of one pool. Threads share it. A process opens a pool once, either here or as [`Fs`].
pub struct Space {
    /// What it maps stays mapped until the process ends: attached pages may be in use.
    fs: ManuallyDrop<Fs>,
    id: OpenId,
    slot: SlotNo,
    /// Hold indices: free ones, and the first that was never used.
    holds: Spin<(Vec<usize>, usize)>,
    forks: AtomicU32,
    transfers: AtomicU32,
    /// How many threads are attaching, or [`SWEEPING`].
    attaching: AtomicU32,
    left: AtomicU32,
}

impl Space {
    /// Opens the FLAC space of the pool in the directory `dir`, which is made if there is none, and calls `recover` with every metalog record, in
    /// ascending order of the keys. After a crash the space is as the last commit that is durable left it. If other processes have the space open, it is as
    /// they see it.
    ///
    /// # Errors
    /// `Unusable`, `Corrupt`, `Io`: the pool can't be made or opened; `Os(ENFILE)`: too many processes use it.
    pub fn init_flac(dir: &Path, options: &SpaceOptions, recover: &mut dyn FnMut(&[u8], &[u8])) -> Result<Space> {
        make_pool(dir, options)?;
        let dram = Some(options.dram_size).filter(|size| *size > 0);
        let fs = ManuallyDrop::new(Fs::open(&Config { dram, ..Config::new(dir) })?);
        let opened = (|| {
            make_inode(&fs)?;
            // Those who died hold it no more.
            fs.reap_all();
            fs.discard_unused_space();
            let id = fs.open_file(Ino::SPACE, libc::O_RDWR | libc::O_NOATIME, 0)?;
            let slot = fs.hold_inode(Ino::SPACE)?;
            fs.unhold_inode(slot);
            Ok((id, slot))
        })();
        let (id, slot) = opened.inspect_err(|_: &Error| fs.exit())?;
        let zero = || AtomicU32::new(0);
        let holds = Spin::new((Vec::new(), 1));
        let space = Space { fs, id, slot, holds, forks: zero(), transfers: zero(), attaching: zero(), left: zero() };
        space.recover(recover)?;
        Ok(space)
    }

    /// Calls `recover` with every metalog record as of now, in ascending order of the keys.
    pub fn recover(&self, recover: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        // Copied first: the callback may commit.
        let records = self.fs.meta.view(|view| {
            let own = |(key, value): Pair<'_>| (key[PREFIX.len()..].to_vec(), value.to_vec());
            view.scan(PREFIX, PREFIX)?.map(|pair| pair.map(own)).collect::<Result<Vec<_>>>()
        })?;
        records.iter().for_each(|(key, value)| recover(key, value));
        Ok(())
    }

    /// Moves `size` bytes from the address `from` of the space to `to`. Whole pages that fit (`to` and `from` agree modulo 4 KiB, private memory, 64 KiB or more) are
    /// attached, copy-on-write on both sides, if that is faster than copying; the rest is copied. What was never moved in reads as zeros.
    ///
    /// # Errors
    /// `Os(EINVAL)`: beyond [`SPAN`]; `NoFrames`: the cache is full of uncommitted pages; `Corrupt`: a page fails
    /// its checksum. A part may have been moved.
    ///
    /// # Safety
    /// [`to`, `to + size`) is memory of the caller that may be written to.
    #[expect(unsafe_code, reason = "the caller vouches for its buffer")]
    pub unsafe fn zcopy_from_flac(&self, to: *mut u8, from: u64, size: usize) -> Result<()> {
        check_range(from, size as u64)?;
        let _attaching = (size >= crate::fs::ATTACH_MIN).then(|| Attaching::begin(self));
        let mut done = 0;
        while done < size {
            let vector = IoVec { iov_base: to.wrapping_add(done).cast(), iov_len: size - done };
            // SAFETY: the rest of the caller's buffer.
            done += unsafe { self.fs.read(self.id, &[vector], Some(from + done as u64)) }?;
        }
        Ok(())
    }

    /// Moves `size` bytes from `from` to the address `to` of the space: uncommitted, until a [`FlushHandle`] that these pages were added to *afterwards* commits.
    /// Frames that somebody still sees (attached, or in a handle) are replaced, not changed.
    ///
    /// # Errors
    /// `Os(EINVAL)`: beyond [`SPAN`]; `NoSpace`: the pool is full, so the page could never be committed; `NoFrames`:
    /// the cache is full of uncommitted pages. A part may have been moved.
    ///
    /// # Safety
    /// [`from`, `from + size`) is memory of the caller that may be read.
    #[expect(unsafe_code, reason = "the caller vouches for its buffer")]
    pub unsafe fn zcopy_to_flac(&self, to: u64, from: *const u8, size: usize) -> Result<()> {
        check_range(to, size as u64)?;
        let mut done = 0;
        while done < size {
            let vector = IoVec { iov_base: from.wrapping_add(done).cast_mut().cast(), iov_len: size - done };
            // SAFETY: the rest of the caller's buffer.
            done += unsafe { self.fs.write(self.id, &[vector], Some(to + done as u64)) }?;
        }
        Ok(())
    }

    /// Maps the pages of the space from `from` on at `to`, in place of what is mapped there: copy-on-write on both sides, so that what the program sees does not
    /// change when the space does. Runs of fewer than 16 pages whose frames follow each other are copied.
    ///
    /// # Errors
    /// `Os(EINVAL)`: beyond [`SPAN`], size 0, or one of the three is no multiple of 4,096; `Os(ENOMEM)`: too many mappings; `NoFrames`, `Corrupt` as of
    /// [`Space::zcopy_from_flac`]. After an error the range is not mapped.
    ///
    /// # Safety
    /// As for `mmap` with `MAP_FIXED`: [`to`, `to + size`) is the caller's to replace.
    #[expect(unsafe_code, reason = "replaces what is mapped at an address of the caller")]
    pub unsafe fn attach(&self, to: *mut u8, from: u64, size: usize, mode: PMode) -> Result<()> {
        check_pages(from, size as u64)?;
        if !to.addr().is_multiple_of(PAGE) || to.is_null() {
            return Err(Error::Os(libc::EINVAL));
        }
        let _attaching = Attaching::begin(self);
        let prot = match mode {
            PMode::Read => libc::PROT_READ,
            PMode::CopyOnWrite => libc::PROT_READ | libc::PROT_WRITE,
        };
        // SAFETY: the caller's range.
        unsafe { self.fs.map(Ino::SPACE, to.addr(), size, prot, libc::MAP_PRIVATE | libc::MAP_FIXED, from) }.map(drop)
    }

    /// The program is going to unmap [`at`, `at + size`), or to map something else there: pages attached there are given back at once. Without
    /// being told, the space finds out after some more transfers.
    pub fn detached(&self, at: *const u8, size: usize) {
        self.fs.unmapped(at.addr(), size);
    }

    /// Pages that the pool can hold, and pages free in it, shared with its files.
    pub fn pages(&self) -> (u64, u64) {
        let stat = self.fs.stat_fs();
        (stat.total, stat.free)
    }

    /// Counters of what this process moved and how.
    pub fn stats(&self) -> &crate::fs::stats::Stats {
        &self.fs.stats
    }

    /// As dropping it, for a space in a static. No handle is left, and nothing else is called afterwards.
    pub fn leave(&self) {
        if self.left.swap(1, AcqRel) == 0 {
            self.fs.exit();
        }
    }

    /// Before `fork`: a token for [`Space::after_fork_child`].
    ///
    /// # Errors
    /// `Os(ENFILE)`: too many processes.
    pub fn before_fork(&self) -> Result<u32> {
        self.fs.before_fork()
    }

    /// After `fork`, in a child for which there is no token: nothing of the space is its own, neither handles nor what it would leave.
    pub fn after_fork_child_without_slot(&self) {
        self.forks.fetch_add(1, Relaxed);
        self.left.store(1, Release);
    }

    /// After `fork`, in the child, before anything else is called. (The parent has nothing to do.) Handles stay the parent's: the child can't use them.
    pub fn after_fork_child(&self, token: u32) {
        self.fs.after_fork_child(token);
        self.forks.fetch_add(1, Relaxed);
        // Other threads, which may have been in the middle of something, are not here.
        self.attaching.store(0, Relaxed);
        self.holds.after_fork_child();
        for (hold, _) in self.fs.holds().into_iter().filter(|(hold, _)| *hold != 0) {
            self.fs.release(hold);
        }
        self.holds.with(|(free, next)| {
            free.clear();
            *next = 1;
        });
    }
}

/// A transfer that may attach pages. Every so often, before one begins, what is attached to memory that is gone by now is forgotten.
struct Attaching<'s>(&'s Space);

impl<'s> Attaching<'s> {
    fn begin(space: &'s Space) -> Self {
        let state = &space.attaching;
        if space.transfers.fetch_add(1, Relaxed) % SWEEP == SWEEP - 1 && state.compare_exchange(0, SWEEPING, AcqRel, Relaxed).is_ok() {
            space.fs.forget_gone_views();
            state.fetch_and(!SWEEPING, AcqRel);
        }
        while state.fetch_add(1, AcqRel) & SWEEPING != 0 {
            state.fetch_sub(1, AcqRel);
            std::thread::yield_now();
        }
        Attaching(space)
    }
}

impl Drop for Attaching<'_> {
    fn drop(&mut self) {
        self.0.attaching.fetch_sub(1, AcqRel);
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Fs {
    /// If nobody has the FLAC space open, what is uncommitted in it goes.
    pub(crate) fn discard_unused_space(&self) {
        let Some(slot) = self.inodes.find(Ino::SPACE) else { return };
        self.inodes.remove(slot, Ino::SPACE, &|_| {
            let mut uncommitted = false;
            self.inodes.table(slot).for_each(PageNo::new(0), PageNo::new(u64::MAX), &mut |_, cell| {
                let entry = Entry::from_raw(cell.load(Relaxed));
                uncommitted |= entry.is_dirty() || entry.is_flushing();
            });
            uncommitted
        });
    }
}

/// Makes a pool if there is none; of several processes that try, one does.
fn make_pool(dir: &Path, options: &SpaceOptions) -> Result<()> {
    if dir.join("superblock").exists() {
        return Ok(());
    }
    std::fs::create_dir_all(dir).map_err(|e| Error::Io("make the pool's directory", e.raw_os_error().unwrap_or(libc::EIO)))?;
    let what = "lock the pool's directory";
    let lock = rustix::fs::open(dir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(Error::io(what))?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).map_err(Error::io(what))?;
    if dir.join("superblock").exists() {
        return Ok(());
    }
    let size = if options.pool_size == 0 { default_size(dir)? } else { options.pool_size };
    Pool::create(dir, &PoolOptions { size, ..PoolOptions::default() })
}

/// The space's inode, made if missing.
fn make_inode(fs: &Fs) -> Result<()> {
    if let Some(inode) = fs.meta.view(|view| Inode::load(view, Ino::SPACE))? {
        let sound = inode.attr.is_file() && inode.attr.size == SPAN;
        return if sound { Ok(()) } else { Err(Error::Corrupt("the inode of the FLAC space is none: run `flac fsck`".into())) };
    }
    let mut txn = fs.meta.begin()?;
    if Inode::load(&txn, Ino::SPACE)?.is_some() {
        return Ok(());
    }
    let now = Time::now();
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let mode = libc::S_IFREG | 0o600;
    let attr =
        Attr { ino: Ino::SPACE, mode, uid, gid, nlink: 1, size: SPAN, pages: 0, rdev: 0, atime: now, mtime: now, ctime: now, btime: now };
    txn.put(&record::inode_key(Ino::SPACE), &Inode { attr, flags: 0 }.encode())?;
    txn.commit().map(drop)
}

fn check_range(addr: u64, size: u64) -> Result<()> {
    match addr.checked_add(size) {
        Some(end) if end <= SPAN => Ok(()),
        _ => Err(Error::Os(libc::EINVAL)),
    }
}

/// First page and the one behind the last of a range of whole pages.
fn check_pages(addr: u64, size: u64) -> Result<(PageNo, PageNo)> {
    check_range(addr, size)?;
    let whole = addr.is_multiple_of(PAGE as u64) && size.is_multiple_of(PAGE as u64) && size > 0;
    if whole { Ok((PageNo::of(addr), PageNo::of(addr + size))) } else { Err(Error::Os(libc::EINVAL)) }
}

/// `EINVAL` for an empty key, `E2BIG` for what is too long.
fn check_changes(changes: &[Change<'_>]) -> Result<()> {
    for change in changes {
        match change.key.len() {
            0 => return Err(Error::Os(libc::EINVAL)),
            1..=KEY_MAX if change.value.is_none_or(|value| value.len() <= VALUE_MAX) => {}
            _ => return Err(Error::Os(libc::E2BIG)),
        }
    }
    Ok(())
}

fn apply_changes(txn: &mut MetaTxn<'_>, changes: &[Change<'_>]) -> Result<()> {
    for change in changes {
        let key = [PREFIX, change.key].concat();
        match change.value {
            Some(value) => txn.put(&key, value)?,
            None => drop(txn.delete(&key)?),
        }
    }
    Ok(())
}
