#![expect(unsafe_code, reason = "mmap for the program")]
//! `mmap` of FLAC files. A private mapping is attached views (or a copy, where the frames lie scattered); a shared mapping shows the
//! file's frames themselves, which from then on are written in place.

use super::Fs;
use super::absent::Tail;
use super::stats::Stats;
use crate::attach::View;
use crate::error::{Error, Result};
use crate::inode::SlotNo;
use crate::region::{LEDGER, map_anonymous, map_fixed, protect, reserve};
use crate::sync::Ordering::*;
use crate::table::Entry;
use crate::units::{BLOCK, BLOCK_FRAMES, FrameNo, Ino, PAGE, PageNo};
use std::ops::Range;

/// In a private mapping, runs shorter than this are copied: a mapping of their own costs more.
const RUN_MIN: u32 = 16;

impl Fs {
    /// Maps file pages into this process as `mmap` does: `addr`, `prot` and `flags` (`MAP_SHARED`, `MAP_PRIVATE`, `MAP_FIXED`, ...) as given.
    /// Returns the address. The access mode was checked by the caller. Pages behind the end of the file answer with SIGBUS.
    ///
    /// # Safety
    /// As for `mmap`.
    pub unsafe fn map(&self, ino: Ino, addr: usize, len: usize, prot: i32, flags: i32, offset: u64) -> Result<usize> {
        if len == 0 || !offset.is_multiple_of(PAGE as u64) {
            return Err(Error::Os(libc::EINVAL));
        }
        let len = len.checked_next_multiple_of(PAGE).ok_or(Error::Os(libc::ENOMEM))?;
        let slot = self.hold_inode(ino)?;
        let s = self.inodes.slot(slot);
        if s.mode.load(Relaxed) & libc::S_IFMT != libc::S_IFREG {
            self.unhold_inode(slot);
            return Err(Error::Os(libc::ENODEV));
        }
        let align = if len >= BLOCK { BLOCK } else { PAGE };
        // SAFETY: as for mmap: the program asked for this.
        let take = || unsafe { reserve(addr, len, flags, align, offset as usize % align) };
        let mut place = Err(Error::Os(libc::EINVAL));
        if flags & libc::MAP_FIXED != 0 {
            self.replacing(addr, len, || {
                place = take();
                place.is_ok()
            });
        } else {
            place = take();
        }
        let result = place.and_then(|at| {
            // SAFETY: the range was just reserved for this mapping.
            unsafe { self.fill_mapping(slot, at, len, prot, flags, offset) }.map(|()| at).inspect_err(|_| {
                self.unmapped(at, len);
                // SAFETY: ours, and nobody has been told of it.
                unsafe { crate::region::unmap_range(at, len) };
            })
        });
        self.unhold_inode(slot);
        result
    }

    unsafe fn fill_mapping(&self, slot: SlotNo, at: usize, len: usize, prot: i32, flags: i32, offset: u64) -> Result<()> {
        let shared = flags & (libc::MAP_SHARED | libc::MAP_PRIVATE) != libc::MAP_PRIVATE;
        let size = self.inodes.slot(slot).size.load(Acquire);
        let first = PageNo::of(offset);
        let inside = (size.div_ceil(PAGE as u64).saturating_sub(first.get())).min((len / PAGE) as u64);
        let tail = len - inside as usize * PAGE;
        if tail > 0 {
            let ino = Ino::new(self.inodes.slot(slot).ino.load(Acquire));
            let addr = at + inside as usize * PAGE;
            // SAFETY: part of the reserved range.
            unsafe { self.map_nothing(Tail { addr, len: tail, prot, shared, ino, page: first.plus(inside) })? };
        }
        // SAFETY: parts of the reserved range.
        unsafe {
            match shared {
                true => self.map_shared(slot, at, first, inside, prot),
                false => self.map_private(slot, at, first, inside, prot),
            }
        }
    }

    /// Whether this process has mapped before, so that the next shared mapping will open no descriptor.
    pub fn watches_cuts(&self) -> bool {
        self.cuts.is_asked()
    }

    /// Shows pages of the file as they are now.
    ///
    /// # Safety
    /// The range is the caller's.
    pub(super) unsafe fn map_private(&self, slot: SlotNo, at: usize, first: PageNo, pages: u64, prot: i32) -> Result<()> {
        let mut done = 0;
        while done < pages {
            let (page, addr) = (first.plus(done), at + done as usize * PAGE);
            // A large hole is memory that nobody has touched.
            let hole = self.next_content(slot, page, first.plus(pages))?.get() - page.get();
            if hole >= BLOCK_FRAMES as u64 {
                // SAFETY: part of the reserved range.
                unsafe {
                    map_anonymous(addr, hole as usize * PAGE)?;
                    protect(addr, hole as usize * PAGE, prot)?;
                }
                done += hole;
                continue;
            }
            let view = self.with_frames(|| {
                let _write = self.inodes.lock(slot);
                // The pool's file system may forbid programs.
                let view = match prot & libc::PROT_EXEC {
                    0 => self.view_of(slot, addr, page, pages - done)?,
                    _ => self.dram_view_of(slot, addr, page, pages - done)?,
                };
                // Frames that a shared mapping shows change in place: copy those.
                let stable = self.inodes.slot(slot).shared_maps.load(Relaxed) == 0;
                let view = view.filter(|view| view.pages >= RUN_MIN && stable && self.ledger.len() + 64 < LEDGER);
                view.inspect(|view| self.pin_view(view));
                Ok(view)
            })?;
            let count = match view {
                Some(view) => {
                    if !self.ledger.add(view) {
                        self.unpin_view(&view);
                        return Err(Error::Os(libc::ENOMEM));
                    }
                    // SAFETY: part of the reserved range.
                    unsafe { self.show_view(&view, prot)? };
                    view.pages as u64
                }
                None => {
                    let count = RUN_MIN as u64 * 16;
                    let count = count.min(pages - done);
                    // SAFETY: part of the reserved range.
                    unsafe { self.map_copy(slot, addr, page, count as usize * PAGE, prot)? };
                    count
                }
            };
            done += count;
        }
        Ok(())
    }

    /// Fresh memory with a copy of the file's content.
    unsafe fn map_copy(&self, slot: SlotNo, addr: usize, page: PageNo, len: usize, prot: i32) -> Result<()> {
        // SAFETY: part of the reserved range.
        unsafe {
            map_anonymous(addr, len)?;
            self.read_at(slot, None, addr as *mut u8, len, page.start())?;
            protect(addr, len, prot)
        }
    }

    /// Shows pages of the file, all of which exist; a large mapping's large holes only when they are touched.
    ///
    /// # Safety
    /// The range is the caller's.
    pub(super) unsafe fn map_shared(&self, slot: SlotNo, at: usize, first: PageNo, pages: u64, prot: i32) -> Result<()> {
        if pages <= self.most_at_once() {
            // SAFETY: the caller's range.
            return unsafe { self.map_now(slot, at, first, pages, prot) };
        }
        let (end, ino) = (first.plus(pages), Ino::new(self.inodes.slot(slot).ino.load(Acquire)));
        let addr = |page: PageNo| at + (page.get() - first.get()) as usize * PAGE;
        let count = |from: PageNo, to: PageNo| to.get() - from.get();
        // One view at least holds the file, whatever becomes of its names and descriptors.
        let mut page = first.plus(1);
        // SAFETY: parts of the caller's range.
        unsafe { self.map_now(slot, at, first, 1, prot)? };
        while page < end {
            let mut upto = page;
            let hole = loop {
                let data = self.next_content(slot, upto, end)?;
                if count(upto, data) >= BLOCK_FRAMES as u64 {
                    break data;
                }
                if data == end {
                    upto = end;
                    break end;
                }
                upto = self.next_hole(slot, data, end)?;
            };
            // SAFETY: as above.
            unsafe {
                self.map_now(slot, addr(page), page, count(page, upto), prot)?;
                if hole > upto {
                    let len = count(upto, hole) as usize * PAGE;
                    self.map_nothing(Tail { addr: addr(upto), len, prot, shared: true, ino, page: upto })?;
                    self.lazy.store(1, Release);
                }
            }
            page = hole;
        }
        Ok(())
    }

    /// Mappings of more pages than this get frames for large holes only when those are touched.
    fn most_at_once(&self) -> u64 {
        self.frames.total() as u64 / 8
    }

    /// The first page of [page, end) that is no hole, or `end`.
    fn next_content(&self, slot: SlotNo, page: PageNo, end: PageNo) -> Result<PageNo> {
        let _write = self.inodes.lock(slot);
        Ok(self.find_content(slot, page, end, true)?.unwrap_or(end))
    }

    /// The first hole in [page, end), or `end`.
    fn next_hole(&self, slot: SlotNo, page: PageNo, end: PageNo) -> Result<PageNo> {
        let _write = self.inodes.lock(slot);
        Ok(self.find_content(slot, page, end, false)?.unwrap_or(end))
    }

    unsafe fn map_now(&self, slot: SlotNo, at: usize, first: PageNo, pages: u64, prot: i32) -> Result<()> {
        if pages == 0 {
            return Ok(());
        }
        self.with_frames(|| self.begin_shared(slot))?;
        // SAFETY: the reserved range.
        let result = unsafe { self.map_frames(slot, at, first, pages, prot) };
        self.inodes.slot(slot).shared_maps.fetch_sub(1, AcqRel);
        result
    }

    /// Counts a shared mapping of the file. The first one gives every page that a copy-on-write view can see a frame of its own: from then on
    /// pages are written where they are, and no view is made of them.
    fn begin_shared(&self, slot: SlotNo) -> Result<()> {
        let s = self.inodes.slot(slot);
        let _write = self.inodes.lock(slot);
        if s.shared_maps.load(Relaxed) == 0 {
            let mut seen = Vec::new();
            self.inodes.table(slot).for_each(PageNo::new(0), PageNo::new(u64::MAX), &mut |page, cell| {
                let entry = Entry::from_raw(cell.load(Relaxed));
                if entry.dram().is_some_and(|frame| !self.frames.is_exclusive(frame)) {
                    seen.push((page, entry));
                }
            });
            for (page, entry) in seen {
                self.renew(slot, page, entry)?;
            }
        }
        s.shared_maps.fetch_add(1, AcqRel);
        Ok(())
    }

    unsafe fn map_frames(&self, slot: SlotNo, at: usize, first: PageNo, pages: u64, prot: i32) -> Result<()> {
        let (s, writable) = (self.inodes.slot(slot), prot & libc::PROT_WRITE != 0);
        let mut done = 0;
        while done < pages {
            let (page, addr) = (first.plus(done), at + done as usize * PAGE);
            let number = u32::try_from(page.get()).map_err(|_| Error::Os(libc::EOVERFLOW))?;
            let (frame, count) = self.with_frames(|| {
                let _write = self.inodes.lock(slot);
                let leaf = BLOCK_FRAMES as u64 - page.get() % BLOCK_FRAMES as u64;
                let most = leaf.min(pages - done);
                let run = self.own_frames(slot, page, most)?;
                self.frames.get_run(run.0, run.1);
                s.shared_maps.fetch_add(1, AcqRel);
                s.writable_maps.fetch_add(writable.into(), AcqRel);
                s.opens.fetch_add(1, AcqRel);
                Ok(run)
            })?;
            let view = View { addr, first: frame, pool: false, pages: count, inode: slot + 1, page: number, writable };
            if self.ledger.len() + 64 > LEDGER || !self.ledger.add(view) {
                self.put_view(&view);
                return Err(Error::Os(libc::ENOMEM));
            }
            // SAFETY: part of the reserved range.
            unsafe { map_fixed(&self.region.dram, addr, frame, count, prot, true)? };
            done += count as u64;
        }
        self.cuts.watch(at, pages as usize * PAGE);
        Ok(())
    }

    /// Gives every hole in the range a frame. Returns the first run of frames that follow each other: (frame, pages). Needs the inode's lock.
    fn own_frames(&self, slot: SlotNo, page: PageNo, most: u64) -> Result<(FrameNo, u32)> {
        let mut start = None;
        let mut count = 0;
        for i in 0..most {
            let entry = self.resident(slot, page.plus(i), most - i)?;
            let frame = match entry.dram() {
                // No view sees it (`begin_shared`), but another shared mapping may: it stays where it is.
                Some(frame) => frame,
                None => self.renew(slot, page.plus(i), entry)?,
            };
            match start {
                None => start = Some(frame),
                Some(first) if frame == FrameNo::plus(first, count) => {}
                Some(_) => break,
            }
            count += 1;
        }
        start.map(|first| (first, count)).ok_or(Error::Os(libc::EINVAL))
    }

    /// Moves a page (or hole) to a frame of its own. Needs the inode's lock.
    fn renew(&self, slot: SlotNo, page: PageNo, entry: Entry) -> Result<FrameNo> {
        let cell = self.cell(slot, page)?;
        let was_dirty = entry.is_dirty() && entry.dram().is_some();
        if !was_dirty && !self.reserve(1) {
            return Err(Error::NoSpace);
        }
        let frame = self.frame_for(slot, page, true).inspect_err(|_| self.space.unreserve(!was_dirty as u64))?;
        self.ready(frame, 1).inspect_err(|_| {
            self.frames.put(frame);
            self.space.unreserve(!was_dirty as u64);
        })?;
        let to = self.region.dram.at(frame);
        match entry.dram() {
            // SAFETY: both frames lie in the tier; the fresh one is ours alone.
            Some(from) => unsafe { std::ptr::copy_nonoverlapping(self.region.dram.at(from), to, PAGE) },
            // SAFETY: as above.
            None => unsafe { std::ptr::write_bytes(to, 0, PAGE) },
        }
        let s = self.inodes.slot(slot);
        if entry.is_hole() {
            s.pages.fetch_add(1, Relaxed);
        }
        self.replace(cell, entry, Entry::written(frame, self.inodes.mark(slot, page, 1)));
        Ok(frame)
    }

    /// Makes changes through shared mappings in this range durable (`msync(MS_SYNC)`). `Ok(false)`: no FLAC file is mapped there.
    pub fn sync_mapped(&self, addr: usize, len: usize) -> Result<bool> {
        let (mut at, end) = (addr & !(PAGE - 1), (addr + len).next_multiple_of(PAGE));
        let mut parts: Vec<(Ino, Range<PageNo>)> = Vec::new();
        while let Some(view) = self.ledger.first_in(at, end) {
            if let Some(slot) = view.inode.checked_sub(1) {
                let page = |addr: usize| PageNo::new(view.page as u64 + ((addr - view.addr) / PAGE) as u64);
                let (from, to) = (page(at.max(view.addr)), page(end.min(view.end())));
                let ino = Ino::new(self.inodes.slot(slot).ino.load(Acquire));
                match parts.last_mut() {
                    Some((last, pages)) if *last == ino && pages.end == from => pages.end = to,
                    _ => parts.push((ino, from..to)),
                }
            }
            at = view.end();
        }
        if parts.is_empty() {
            return Ok(false);
        }
        Stats::add(&self.stats.syncs, 1);
        for (ino, pages) in parts {
            self.flush_mapped(ino, pages)?;
        }
        self.sync_log().map(|()| true)
    }

    /// The program is about to make this range writable, or has done so: what it has mapped there shared may change from now on. To be said before and after: another thread may show pages of it meanwhile.
    pub fn becomes_writable(&self, addr: usize, len: usize) {
        self.splitting.with(|_| self.ledger.make_writable(addr, addr.saturating_add(len)));
    }

    /// What the program may do in [addr, end) (`PROT_READ`, ...), part by part: it may have changed that since it mapped it. Reading and writing where nobody can tell.
    pub fn protections(&self, addr: usize, end: usize) -> Vec<(Range<usize>, i32)> {
        let (mut at, mut parts) = (addr, Vec::new());
        while at < end {
            let (upto, prot) = self.memory.vma(at).map_or((end, libc::PROT_READ | libc::PROT_WRITE), |vma| (vma.end.min(end), vma.prot));
            parts.push((at..upto, prot));
            at = upto;
        }
        parts
    }

    /// The shared mapping of a FLAC file at `addr`, if there is one: (inode, offset in the file of `addr`).
    pub fn mapped_at(&self, addr: usize) -> Option<(Ino, u64)> {
        self.mapped_part(addr, addr + 1).map(|(ino, offset, _)| (ino, offset))
    }

    /// The part of a shared mapping of a FLAC file that begins at `addr`: (inode, offset in the file of `addr`, bytes). What follows up to `end` in the memory need not follow in
    /// the file; a part may be less than what does.
    pub fn mapped_part(&self, addr: usize, end: usize) -> Option<(Ino, u64, usize)> {
        match self.ledger.first_in(addr, end) {
            Some(view) if view.addr <= addr => {
                let slot = view.inode.checked_sub(1)?;
                let offset = view.page as u64 * PAGE as u64 + (addr - view.addr) as u64;
                Some((Ino::new(self.inodes.slot(slot).ino.load(Acquire)), offset, end.min(view.end()) - addr))
            }
            Some(view) => self.absent_part(addr, view.addr),
            None => self.absent_part(addr, end),
        }
    }

    /// Whether a part of the range belongs to a shared mapping of a FLAC file. Views of what was read are none.
    pub fn shows_a_file(&self, addr: usize, len: usize) -> bool {
        let (mut at, end) = (addr, addr.saturating_add(len));
        while let Some(view) = self.ledger.first_in(at, end) {
            if view.inode != 0 {
                return true;
            }
            at = view.end();
        }
        self.has_absent(addr, len)
    }

    /// Whether any page in the range is a view of ours (attached or mapped): it must not be moved behind our back.
    pub fn has_views(&self, addr: usize, len: usize) -> bool {
        self.ledger.first_in(addr, addr.saturating_add(len)).is_some()
    }

    /// Whether any page in the range belongs to a shared mapping of a FLAC file, shown or not.
    pub fn has_mapping(&self, addr: usize, len: usize) -> bool {
        self.has_views(addr, len) || self.has_absent(addr, len)
    }

    /// Whether this process has any view at all; cheap.
    #[inline]
    pub fn has_any_view(&self) -> bool {
        !self.ledger.is_empty()
    }

    /// Turns attached views in the range into ordinary memory with the same content, so that the program may move or split it.
    pub fn privatize(&self, addr: usize, len: usize) -> Result<()> {
        let (from, to) = (addr & !(PAGE - 1), (addr + len).next_multiple_of(PAGE));
        let mut at = from;
        while let Some(view) = self.ledger.first_in(at, to) {
            at = view.end();
            let Some(part) = view.clip(from, to).filter(|v| v.inode == 0) else { continue };
            let bytes = part.end() - part.addr;
            let vma = self.memory.vma(part.addr);
            if vma.is_some_and(|v| !self.is_view(&v)) {
                self.unmapped(part.addr, bytes);
                continue;
            }
            let mut copy = vec![0u8; bytes];
            // SAFETY: the view is mapped (checked where the kernel can tell), and `copy` is as long.
            let left = unsafe { crate::region::copy::copy(copy.as_mut_ptr(), part.addr as *const u8, bytes) };
            // SAFETY: a view of ours; its content is put back below.
            unsafe { map_anonymous(part.addr, bytes)? };
            // SAFETY: fresh memory of that length.
            unsafe { crate::region::copy::copy(part.addr as *mut u8, copy.as_ptr(), bytes - left) };
            self.unmapped(part.addr, bytes);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
