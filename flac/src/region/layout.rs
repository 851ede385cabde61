#![expect(unsafe_code, reason = "a view of the mapped control segment")]
//! The layout of the control segment: which arrays it holds and where. Every type here is made of atomics, valid when zero.

mod arrays;
mod backed;

pub use arrays::Control;
use arrays::Segment;

use super::copy::Rivals;
use super::map::{self, Mapping};
use super::node::Marks;
use super::place::RunDir;
use crate::error::{Error, Result};
use crate::fs::locks::LocksShared;
use crate::fs::watch::WatchShared;
use crate::media::{Medium, Pool};
use crate::metalog::LogShared;
use crate::planner::Costs;
use crate::sync::{AtomicI64, AtomicU32, AtomicU64, Ordering, RobustLock};
use crate::units::{BLOCK, BLOCK_FRAMES, PAGE};

/// Process slots. Far more preloaded processes than a machine runs at once.
pub const PROCS: usize = 1024;
/// Holds (descriptors) a process can have on FLAC files.
pub const MAX_HOLDS: usize = 1 << 16;
/// Attached ranges a process can have: well below the kernel's 65,530 mappings.
pub const LEDGER: usize = 8192;
/// Open-file slots.
const OPENS: usize = 1 << 16;
/// Inode slots, and buckets of their hash table.
const INODES: usize = 1 << 20;
/// Page-table nodes.
pub(super) const NODES: usize = 1 << 19;
/// Classes of programs, see `fs::running`.
pub const RUNNING: usize = 64;
/// Programs that the planner remembers; what has a number in common is taken for one.
pub const PROGRAMS: usize = 128;
/// Notes of symbolic links.
pub const LINKS: usize = 128;
/// Pages whose entries lie in the inode slot itself.
pub const INLINE: usize = 8;

/// Runs that a flush takes before it needs a node for them.
pub const TAKEN: usize = 6;

const MAGIC: u64 = u64::from_le_bytes(*b"FLACctl\x15");

/// Sizes chosen when the region is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Frames of the DRAM tier, a multiple of 512.
    pub frames: u32,
    /// Frames of the pool.
    pub pool_frames: u32,
    /// Whether the tier lies on a tmpfs with huge pages.
    pub huge: bool,
}

/// Counters and hints shared by all processes.
#[repr(C)]
pub struct Counters {
    magic: AtomicU64,
    ready: AtomicU32,
    frames: AtomicU32,
    pool_frames: AtomicU32,
    huge: AtomicU32,
    /// The next inode number to give out.
    pub next_ino: AtomicU64,
    /// Pool frames not used by any extent.
    pub pool_free: AtomicU64,
    /// Pool frames promised to dirty pages.
    pub pool_reserved: AtomicU64,
    /// No pool frame below this is free.
    pub pool_hint: AtomicU64,
    /// Below this there is hardly a run of free pool frames that is worth a write of its own.
    pub pool_run_hint: AtomicU64,
    /// Free frames of the DRAM tier.
    pub dram_free: AtomicU64,
    /// Lowest block that may be wholly free.
    pub block_hint: AtomicU32,
    /// Highest block that may have a free frame for single pages.
    pub page_hint: AtomicU32,
    /// Where the search for a free node starts.
    pub node_hint: AtomicU32,
    /// Where the search for a free open-file slot starts.
    pub open_hint: AtomicU32,
    /// First free inode slot (+1), linked by `next`.
    pub free_inodes: AtomicU32,
    /// Inode slots ever used.
    pub used_inodes: AtomicU32,
    /// Protects the hash chains and the free list of inode slots.
    pub table_lock: RobustLock,
    /// Protects the pool allocator.
    pub pool_lock: RobustLock,
    /// Processes that died without releasing what they held, since the last rebuild.
    pub unclean: AtomicU32,
    /// Where the clock hand of eviction stands: inode slot (high half), leaf of its table (low half).
    pub clock: AtomicU64,
    /// Frames that some view shows (a hint for `Frames::viewable`).
    pub viewed: AtomicU32,
    /// Bumped whenever a name may have come to mean something else.
    pub names_generation: AtomicU64,
    /// Frames taken out of circulation because the tmpfs was full.
    pub aside: AtomicU32,
    /// Pool frames that nothing refers to any more, but that some view may still show.
    pub pool_limbo: AtomicU64,
    /// Freed pool frames that wait for the log: how many entries of `pending` are used.
    pub pending: AtomicU32,
    /// Process slots ever used: the first ones.
    pub used_procs: AtomicU32,
    /// Next process slot to look at for reaping.
    pub reap_hint: AtomicU32,
    /// Frames of the pool for which the file system below has set space aside, as far as somebody noted it.
    pub promised: AtomicU64,
    /// 1 once the first opener has recovered what the region needs.
    pub recovered: AtomicU32,
    /// What the processor has, as `cpu::ask` says; 0 until somebody has asked it.
    pub features: AtomicU32,
    /// How to copy much to a program.
    pub copies_out: Rivals,
    /// How to copy much from a program: from 64 KiB on, from 512 KiB on.
    pub copies_in: [Rivals; 2],
    /// What moving bytes costs, once somebody has measured it.
    pub costs: Costs,
    /// What became of attaching in earlier runs of a program, see `planner::program`.
    pub programs: [AtomicU32; PROGRAMS],
    /// How many processes run programs of each class; after a death too many at worst.
    pub running: [AtomicU32; RUNNING],
    /// Symbolic links whose access time needs nothing, see `names::followed`.
    pub links: [AtomicU64; LINKS],
}

/// One freed run of pool frames: reusable once the log is durable up to `seq`.
#[repr(C)]
pub struct PendingFree {
    /// The record that freed it.
    pub seq: AtomicU64,
    /// First frame.
    pub first: AtomicU32,
    /// Number of frames; 0 is an empty entry.
    pub count: AtomicU32,
}
const PENDING: usize = 1 << 14;

/// A hold: open-file slot + 1, or 0.
pub type HoldWord = AtomicU32;

/// About a process: its holds are numbers of its descriptors.
pub const BY_DESCRIPTOR: u32 = 1;
/// About a process: it makes no threads that the program does not know, see `media::beside`.
pub const ALONE: u32 = 2;

/// About a process: it has executed another program, with nothing that this one would have to give up, so it need not come back (see `Fs::leaves_nothing`).
pub const IDLE: u32 = 4;

/// A process that uses the region.
#[repr(C)]
pub struct ProcSlot {
    /// 0 free, 1 being set up or torn down, 2 in use.
    pub state: AtomicU32,
    /// Process id.
    pub pid: AtomicU32,
    /// CLOCK_BOOTTIME in nanoseconds when the slot was taken: a process that started later is another one.
    pub since: AtomicU64,
    /// One past the highest hold ever used.
    pub holds_end: AtomicU32,
    /// One past the highest ledger entry ever used.
    pub ledger_end: AtomicU32,
    /// The pid namespace's inode number: from another namespace the process can't be looked up and counts as alive.
    pub pid_ns: AtomicU64,
    /// How often the slot was taken: tells its users apart in the locks they left behind.
    pub generation: AtomicU32,
    /// [`BY_DESCRIPTOR`], [`ALONE`], [`IDLE`].
    pub about: AtomicU32,
    /// The inode of the program that it runs; 0: one of the kernel's.
    pub program: AtomicU64,
    /// The inode, of the kernel's, of the copy that it runs.
    pub copy: AtomicU64,
    /// 1: what a new process uses first has memory, and keeps it.
    pub backed: AtomicU32,
    _pad: AtomicU32,
}

/// One attached range of a process.
#[repr(C)]
pub struct LedgerEntry {
    /// Start address; 0 is an empty entry. Written last, cleared first.
    pub addr: AtomicU64,
    /// First frame.
    pub first: AtomicU32,
    /// Number of frames.
    pub pages: AtomicU32,
    /// Shared mappings: the inode slot (+1) whose frames these are; 0 is an attached (copy-on-write) view.
    pub inode: AtomicU32,
    /// Shared mappings: the first file page.
    pub page: AtomicU32,
}

/// An open file (POSIX: open file description).
#[repr(C)]
#[derive(Default)]
pub struct OpenSlot {
    /// Holds of all processes; 0 is a free slot.
    pub refs: AtomicU32,
    /// Told apart from an earlier use of the slot by this.
    pub generation: AtomicU32,
    /// Inode slot.
    pub inode: AtomicU32,
    /// Flags as of `F_GETFL`, plus O_PATH and O_DIRECTORY.
    pub flags: AtomicU32,
    /// File offset.
    pub offset: AtomicU64,
    /// Makes read/write + offset atomic.
    pub lock: RobustLock,
    /// The planner's memory: how attaching turned out (see `planner`).
    pub habit: AtomicU32,
    /// The last attached address and its length in pages.
    pub last_addr: AtomicU64,
    /// Pages of the last attach.
    pub last_pages: AtomicU32,
    /// So many more small reads do not look whether the atime is a day old.
    pub same_day: AtomicU32,
    /// End of the last read, to see a sequential reader.
    pub read_end: AtomicU64,
    /// Where the last read was copied to because that memory was in use; low bits: how many more may be without asking again (see `planner`).
    pub copied_to: AtomicU64,
}

/// A time in shared memory; written under the inode's lock.
#[repr(C)]
#[derive(Default)]
pub struct TimeCell {
    /// Seconds.
    pub sec: AtomicI64,
    /// Nanoseconds.
    pub nsec: AtomicU64,
}

/// A cached inode: the truth about it while it is cached.
#[repr(C, align(64))]
pub struct InodeSlot {
    /// Serialises writers.
    pub lock: RobustLock,
    /// `inode::flag` bits.
    pub flags: AtomicU32,
    /// Odd while a writer is at work; readers retry when it moved.
    pub version: AtomicU64,
    /// Inode number; 0 is a free slot.
    pub ino: AtomicU64,
    /// Next slot (+1) in the hash chain or the free list.
    pub next: AtomicU32,
    /// Open files, maps and flushes that need the slot.
    pub opens: AtomicU32,
    /// Size in bytes.
    pub size: AtomicU64,
    /// Type and permissions.
    pub mode: AtomicU32,
    /// Owner.
    pub uid: AtomicU32,
    /// Group.
    pub gid: AtomicU32,
    /// Names.
    pub nlink: AtomicU32,
    /// Device number.
    pub rdev: AtomicU64,
    /// Allocated pages.
    pub pages: AtomicU64,
    /// Last access.
    pub atime: TimeCell,
    /// Last change of content.
    pub mtime: TimeCell,
    /// Last change of the inode.
    pub ctime: TimeCell,
    /// Creation.
    pub btime: TimeCell,
    /// The page table: root node (+1; low half) and height (high half), 0 being `inline`.
    pub tree: AtomicU64,
    /// Entries of a file of at most [`INLINE`] pages.
    pub inline: [AtomicU64; INLINE],
    /// Held throughout a flush.
    pub flush_lock: RobustLock,
    /// Block (+1) of which the pages of `cur_leaf` get their frames.
    pub cur_block: AtomicU32,
    /// The 2 MiB piece of the file that `cur_block` serves.
    pub cur_leaf: AtomicU64,
    /// One bit for each frame of `cur_block` that no page has taken.
    pub spare: [AtomicU64; BLOCK_FRAMES / 64],
    /// Lowest page cut off since the last flush, plus one; 0 is none.
    pub cut: AtomicU64,
    /// `cut` as the flush at work took it.
    pub flush_cut: AtomicU64,
    /// The size (+1) that a truncation is about to give the file, while pages go; 0: none is at work. Who finds it of a dead process does the rest.
    pub shrinking: AtomicU64,
    /// Shared mappings: their pages may change at any time.
    pub shared_maps: AtomicU32,
    /// Of the pages that the flush at work took, so many still have their promise of pool space; the others have frames for it. After a death too few at worst.
    pub flush_promises: AtomicU32,
    /// Runs of pool frames that the flush at work has taken, see `fs::taken`: the first ones, how many, and the node (+1) that has the last of the others.
    pub taken: [AtomicU64; TAKEN],
    /// How many runs there are; only the flush at work goes by it.
    pub taken_runs: AtomicU32,
    /// As above.
    pub taken_node: AtomicU32,
    /// Those of the shared mappings that can be written, or could be.
    pub writable_maps: AtomicU32,
    _pad: AtomicU32,
}

const _: () = assert!(size_of::<ProcSlot>() == 64);
const _: () = assert!(size_of::<InodeSlot>().is_multiple_of(64));
const _: () = assert!(size_of::<Counters>() <= PAGE);
const _: () = assert!(size_of::<OpenSlot>() <= 64);
const _: () = assert!(size_of::<LogShared>() <= PAGE);

#[derive(Clone, Copy)]
pub(super) struct Offsets {
    log: usize,
    locks: usize,
    pending: usize,
    procs: usize,
    holds: usize,
    ledger: usize,
    opens: usize,
    buckets: usize,
    inodes: usize,
    pub node_bits: usize,
    pub nodes: usize,
    pub marks: usize,
    refs: usize,
    frame_bits: usize,
    pins: usize,
    views: usize,
    hot: usize,
    fresh: usize,
    pool_bits: usize,
    limbo: usize,
    pool_pins: usize,
    watch: usize,
    end: usize,
}

impl Offsets {
    fn new(g: Geometry) -> Self {
        let mut end = PAGE;
        let mut take = |bytes: usize| {
            let at = end;
            end += bytes.next_multiple_of(PAGE);
            at
        };
        let frames = g.frames as usize;
        Offsets {
            log: take(PAGE),
            locks: take(size_of::<LocksShared>()),
            pending: take(PENDING * size_of::<PendingFree>()),
            procs: take(PROCS * size_of::<ProcSlot>()),
            holds: take(PROCS * MAX_HOLDS * 4),
            ledger: take(PROCS * LEDGER * size_of::<LedgerEntry>()),
            opens: take(OPENS * size_of::<OpenSlot>()),
            buckets: take(INODES * 4),
            inodes: take(INODES * size_of::<InodeSlot>()),
            node_bits: take(NODES / 8),
            nodes: take(NODES * PAGE),
            marks: take(NODES * size_of::<Marks>()),
            refs: take(frames * 4),
            frame_bits: take(frames / 8),
            pins: take(frames / BLOCK_FRAMES * 8),
            views: take(frames * 8),
            hot: take(frames / 8),
            fresh: take(frames / 8),
            pool_bits: take(pool_blocks(g) * BLOCK_FRAMES / 8),
            limbo: take(pool_blocks(g) * BLOCK_FRAMES / 8),
            pool_pins: take(pool_blocks(g) * 4),
            watch: take(size_of::<WatchShared>()),
            end: take(0),
        }
    }
}

/// 2 MiB pieces of the pool, the last one perhaps not whole.
fn pool_blocks(g: Geometry) -> usize {
    (g.pool_frames as usize).div_ceil(BLOCK_FRAMES)
}

/// Bytes of a log that has an image in memory.
fn log_images(pool: &Pool) -> u64 {
    if pool.medium() == Medium::Block { pool.log_bytes() } else { 0 }
}

impl Control {
    /// It stays mapped until the process ends, and so does what is known of it.
    fn new(geometry: Geometry, base: *const u8, at: Offsets) -> Control {
        Control(Box::leak(Box::new(Segment { geometry, base, at, known: backed::Known::of_new() })))
    }

    /// Maps the control segment of the run directory, laying it out if it is new. The caller holds the run directory's lock. There is room in the address space for the
    /// tier, too, and for `beside` bytes.
    pub fn open(run: &RunDir, pool: &Pool, dram: Option<u64>, beside: usize) -> Result<Control> {
        let file = run.open_briefly("control")?;
        if let Some(control) = Self::whole(&file, pool)? {
            return Ok(control);
        }
        Self::take_head(&file, run, pool)?;
        let head = map::shared(&file, PAGE)?;
        // SAFETY: the mapping is a page, page-aligned, and stays; `Counters` fits and is all atomics.
        let counters: &'static Counters = unsafe { &*head.base.cast() };
        let laid_out = counters.ready.load(Ordering::Acquire) == 1;
        let geometry = if laid_out { Self::known(counters, pool)? } else { Self::lay_out(counters, &file, run, pool, dram)? };
        let at = Offsets::new(geometry);
        map::ensure_address_space(at.end + geometry.frames as usize * PAGE + BLOCK + beside)?;
        let Mapping { base, .. } = map::shared(&file, at.end)?;
        let control = Self::new(geometry, base, at);
        if !laid_out && let Err(full) = control.back_fixed() {
            return run.room_beside(log_images(pool)).and(Err(full));
        }
        control.counters().ready.store(1, Ordering::Release);
        map::unmap(head);
        Ok(control)
    }

    /// What others have laid out already, in one mapping; `None` where it has to be looked at in steps.
    fn whole(file: &rustix::fd::OwnedFd, pool: &Pool) -> Result<Option<Control>> {
        let size = map::size(file)?;
        if size <= PAGE || map::is_address_space_limited() {
            return Ok(None);
        }
        let whole = map::shared(file, size)?;
        // SAFETY: the mapping is more than a page, page-aligned, and stays; `Counters` fits and is all atomics.
        let counters: &'static Counters = unsafe { &*whole.base.cast() };
        let known = if counters.ready.load(Ordering::Acquire) == 1 { Self::known(counters, pool).map(Some) } else { Ok(None) };
        match known {
            Ok(Some(geometry)) if Offsets::new(geometry).end == size => Ok(Some(Self::new(geometry, whole.base, Offsets::new(geometry)))),
            known => {
                map::unmap(whole);
                known.map(|_| None)
            }
        }
    }

    fn known(c: &Counters, pool: &Pool) -> Result<Geometry> {
        if c.magic.load(Ordering::Relaxed) != MAGIC {
            return Err(Error::Unusable(
                "the shared memory of this pool was made by another version of FLAC: run that version's `flac stop`".into(),
            ));
        }
        let geometry = Geometry {
            frames: c.frames.load(Ordering::Relaxed),
            pool_frames: c.pool_frames.load(Ordering::Relaxed),
            huge: c.huge.load(Ordering::Relaxed) == 1,
        };
        if geometry.pool_frames != pool.frames() {
            return Err(Error::Unusable("the pool was replaced under its shared memory: run `flac stop --discard`".into()));
        }
        Ok(geometry)
    }

    /// Takes memory for the first page: where the tmpfs is full, a look at it is a SIGBUS.
    fn take_head(file: &rustix::fd::OwnedFd, run: &RunDir, pool: &Pool) -> Result<()> {
        match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, PAGE as u64) {
            Err(rustix::io::Errno::NOSPC) => run.room_beside(log_images(pool)).and(Err(Error::NoSpace)),
            // Not every file system can; then the first touch tells.
            Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            taken => taken.map_err(Error::io("take memory for the control segment")),
        }
    }

    fn lay_out(c: &Counters, file: &rustix::fd::OwnedFd, run: &RunDir, pool: &Pool, dram: Option<u64>) -> Result<Geometry> {
        let frames = run.dram_frames(dram, log_images(pool))?;
        let geometry = Geometry { frames, pool_frames: pool.frames(), huge: run.huge() };
        // A creator that died half-way leaves bytes behind: start from zeros.
        rustix::fs::ftruncate(file, 0).map_err(Error::io("shrink the control segment"))?;
        Self::take_head(file, run, pool)?;
        rustix::fs::ftruncate(file, Offsets::new(geometry).end as u64).map_err(Error::io("size the control segment"))?;
        rustix::fs::ftruncate(run.make_dram()?, u64::from(frames) * PAGE as u64).map_err(Error::io("size the DRAM tier"))?;
        c.magic.store(MAGIC, Ordering::Relaxed);
        c.frames.store(frames, Ordering::Relaxed);
        c.pool_frames.store(geometry.pool_frames, Ordering::Relaxed);
        c.huge.store(geometry.huge as u32, Ordering::Relaxed);
        c.dram_free.store(frames as u64, Ordering::Relaxed);
        c.page_hint.store(frames / BLOCK_FRAMES as u32 - 1, Ordering::Relaxed);
        c.pool_free.store(geometry.pool_frames as u64, Ordering::Relaxed);
        c.next_ino.store(2, Ordering::Relaxed);
        Ok(geometry)
    }

    /// The sizes.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }
}
