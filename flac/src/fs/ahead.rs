//! Read-ahead on block media: how much a miss loads, and what the kernel is asked to fetch meanwhile.
//!
//! A miss that no other led up to loads what the program wants (on the test machine's disk 4 KiB take 78 us, 64 KiB 158, 512 KiB 341). A miss where the last one of its *stream* ended is that of a program which reads on and on. What lies behind it is asked for ([`Pool::ask`](crate::media::Pool::ask)): the kernel reads it into its page
//! cache while the program works, and the miss that gets there takes it from the cache and drops it there. So what is under way is the kernel's and only clean copies of the pool: a death, a fork, a
//! truncation or an eviction has nothing to undo, and nothing to wait for. A copy that is out of date fails its checksum, and the page is read past the cache then.
//!
//! That pays on a device that is slower than the detour; on a fast one a miss reads past the cache and waits ([`FAST`]). Which it is, the loads past the cache tell.
//!
//! A stream is a guess of this process, not shared, and no lock but its own guards it: a wrong one costs a read too many. Hits cost nothing: a stream sees only misses, and asks far enough ahead
//! that the device is never idle between two of them.

use super::Fs;
use crate::inode::SlotNo;
use crate::sync::{Ordering::*, Spin};
use crate::table::Entry;
use crate::units::{Ino, PAGE, PageNo, PoolFrame};
use std::time::Duration;

/// Pages that a miss loads at the most: 512 KiB, where the throughput of a single read is near its best.
const LOAD_MOST: u64 = 128;
/// As that, for one read of the program that wants more: 2 MiB (1,340 to 1,610 MB/s on the test machine's disk, 512 KiB at a time 1,280 to 1,310).
const LOAD_WANTED: u64 = 512;
/// Pages asked for ahead of a stream at first; doubled with each miss.
const WINDOW_LEAST: u64 = 32;
/// And at the most: 4 MiB, eight misses ahead (1 MiB ahead it gave 872 MB/s, 2 MiB 1,203, 4 MiB 1,240 to 1,540, 8 MiB as much).
const WINDOW_MOST: u64 = 1024;
/// Pages that one call asks for at the most, when the program itself says what it will need: 32 MiB of the kernel's cache.
const ADVICE_MOST: u64 = 8192;
/// A device that takes less for [`LOAD_MOST`] pages, in microseconds, is not worth asking ahead: through the kernel's cache they cost 310 us of the processor's time (asking 140, copying
/// 100, dropping 70), past it next to none. So the slower device gains the most, and one of 1 GB/s nothing.
const FAST: u64 = 500;
/// After so many loads through the kernel's cache (128 MiB) one goes past it, to see whether the device is as slow as it was: its bandwidth may be shared or metered.
const ASKED_MOST: u32 = 256;
/// Streams that a process remembers.
const STREAMS: usize = 16;

/// One reader that goes on and on. All numbers are pages of the file.
#[derive(Clone, Copy, Default)]
struct Stream {
    ino: u64,
    /// [`start`, `asked`) may be in the kernel's cache.
    start: u64,
    asked: u64,
    /// Where the next miss is expected.
    next: u64,
    window: u64,
    /// When it was used last; also tells it from another in the same place.
    used: u64,
}

/// The streams of a process.
pub(super) struct Streams(Spin<Known>);

#[derive(Default)]
struct Known {
    streams: [Stream; STREAMS],
    now: u64,
    /// Microseconds that [`LOAD_MOST`] pages take past the kernel's cache, smoothed; 0 is unknown.
    cost: u64,
    /// Loads through the kernel's cache since that was measured.
    asked: u32,
}

/// What a miss shall do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    /// Pages to load now, at the most.
    pub load: u64,
    /// File pages to ask the kernel for first.
    pub ask: (u64, u64),
    /// Whether the page is in the kernel's cache or on its way there.
    pub asked: bool,
    stream: (usize, u64),
}

impl Default for Streams {
    fn default() -> Self {
        Streams(Spin::new(Known::default()))
    }
}

impl Streams {
    /// A miss at `page`; the program wants `want` pages from there on.
    fn miss(&self, ino: Ino, page: u64, want: u64) -> Plan {
        self.0.with(|known| {
            known.now += 1;
            let now = known.now;
            let goes_on = |s: &Stream| s.used != 0 && s.ino == ino.get() && (s.next == page || (s.start..s.asked).contains(&page));
            let found = known.streams.iter().position(goes_on);
            let at = found.unwrap_or_else(|| (0..STREAMS).min_by_key(|i| known.streams[*i].used).unwrap_or(0));
            let s = &mut known.streams[at];
            if found.is_none() {
                *s = Stream { ino: ino.get(), start: page, asked: page, next: page, window: 0, used: now };
            }
            s.used = now;
            // Who begins at the beginning is taken to go on.
            if found.is_some() || page == 0 {
                s.window = (s.window * 2).clamp(WINDOW_LEAST, WINDOW_MOST);
            }
            let most = if known.cost <= FAST && page >= s.asked { LOAD_WANTED } else { LOAD_MOST };
            let load = s.window.min(LOAD_MOST).max(want).clamp(1, most);
            let end = (page + load + s.window).max(page + want.min(WINDOW_MOST));
            let pays = known.cost > FAST && known.asked < ASKED_MOST && end > page + load;
            let ask = if pays { (s.asked.clamp(page, end), end) } else { (page, page) };
            s.asked = s.asked.max(ask.1);
            s.next = page + load;
            Plan { load, ask, asked: page < s.asked, stream: (at, now) }
        })
    }

    /// The miss with `plan` loaded `count` pages, up to `next`, in `took`.
    fn loaded(&self, plan: &Plan, next: u64, count: u64, took: Duration) {
        self.0.with(|known| {
            if plan.asked {
                known.asked += 1;
            } else if count >= LOAD_MOST / 2 {
                let cost = (took.as_micros() as u64 * LOAD_MOST / count).max(1);
                known.cost = if known.cost == 0 { cost } else { (known.cost + cost) / 2 };
                known.asked = 0;
            }
            let s = &mut known.streams[plan.stream.0];
            if s.used == plan.stream.1 {
                s.next = next;
            }
        });
    }

    /// The program says that it will need [`from`, `to`).
    fn advised(&self, ino: Ino, from: u64, to: u64) {
        self.0.with(|known| {
            known.now += 1;
            if let Some(oldest) = known.streams.iter_mut().min_by_key(|s| s.used) {
                *oldest = Stream { ino: ino.get(), start: from, asked: to, next: from, window: WINDOW_LEAST, used: known.now };
            }
        });
    }

    pub(super) fn after_fork_child(&self) {
        self.0.after_fork_child();
    }
}

impl Fs {
    /// A miss at `page` of which the program wants `want` pages: asks for what it will need next, and says what to load now. Needs the inode's lock.
    pub(super) fn plan_load(&self, slot: SlotNo, page: PageNo, want: u64) -> Plan {
        let ino = Ino::new(self.inodes.slot(slot).ino.load(Relaxed));
        let left = self.pages_behind(slot, page);
        let plan = self.streams.miss(ino, page.get(), want.min(left));
        self.ask(slot, plan.ask.0, plan.ask.1.min(page.get() + left));
        plan
    }

    /// The miss at `page` with `plan` loaded `count` pages in `took`.
    pub(super) fn went_on(&self, plan: &Plan, page: PageNo, count: u64, took: Duration) {
        self.streams.loaded(plan, page.plus(count).get(), count, took);
    }

    /// Pages from `page` to the end of the file.
    fn pages_behind(&self, slot: SlotNo, page: PageNo) -> u64 {
        self.inodes.slot(slot).size.load(Relaxed).div_ceil(PAGE as u64).saturating_sub(page.get())
    }

    /// Asks the kernel for the pages of [`from`, `to`) that only the pool has. Needs the inode's lock.
    fn ask(&self, slot: SlotNo, from: u64, to: u64) {
        let mut run: Option<(PoolFrame, u32)> = None;
        let mut page = from;
        while page < to {
            // Behind a leaf that can't be loaded nothing is asked for: whoever reads there hears why.
            let leaf = self.cell_if_any(slot, PageNo::new(page)).ok().flatten();
            let Some(cells) = leaf.and_then(|_| self.inodes.table(slot).cells(PageNo::new(page))) else {
                break;
            };
            for cell in cells.iter().take((to - page) as usize) {
                let entry = Entry::from_raw(cell.load(Relaxed));
                let frame = entry.pool().filter(|_| entry.dram().is_none());
                page += 1;
                run = match (run, frame) {
                    (Some((first, n)), Some(frame)) if frame.get() == first.get() + n => Some((first, n + 1)),
                    (before, frame) => {
                        before.inspect(|(first, n)| self.pool.ask(*first, *n));
                        frame.map(|frame| (frame, 1))
                    }
                };
            }
        }
        run.inspect(|(first, n)| self.pool.ask(*first, *n));
    }

    /// The program will need `len` bytes from `offset` on, 0 being all to the end: on block media they begin to come, up to 32 MiB of them, while this returns. Advice: what
    /// can't be done is not done. Where data is read in place there is nothing to do.
    pub fn will_need(&self, ino: Ino, offset: u64, len: u64) {
        if self.pool.medium().is_mapped() {
            return;
        }
        let Ok(slot) = self.hold_inode(ino) else { return };
        let first = PageNo::of(offset);
        let len = if len == 0 { u64::MAX } else { len };
        let wanted = offset.saturating_add(len).div_ceil(PAGE as u64).saturating_sub(first.get());
        {
            let _write = self.inodes.lock(slot);
            let count = wanted.min(self.pages_behind(slot, first)).min(ADVICE_MOST);
            if count > 0 {
                self.ask(slot, first.get(), first.get() + count);
                self.streams.advised(ino, first.get(), first.get() + count);
            }
        }
        self.unhold_inode(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INO: Ino = Ino::new(7);
    const SLOW: Duration = Duration::from_millis(5);

    /// Streams of a process that has seen its device load [`LOAD_MOST`] pages in `took`.
    fn on_device(took: Duration) -> Streams {
        let streams = Streams::default();
        let plan = streams.miss(Ino::new(8), 1 << 40, LOAD_MOST);
        streams.loaded(&plan, 1 << 41, LOAD_MOST, took);
        streams
    }

    /// A miss at `page` that loads all it should, in no time if it was asked for, else as the device does. Where the next one will be.
    fn miss(streams: &Streams, page: u64, device: Duration) -> (Plan, u64) {
        let plan = streams.miss(INO, page, 1);
        let next = page + plan.load;
        streams.loaded(&plan, next, plan.load, if plan.asked { Duration::ZERO } else { device * plan.load as u32 / LOAD_MOST as u32 });
        (plan, next)
    }

    #[test]
    fn a_stream_is_asked_for_before_it_is_read() {
        let streams = on_device(SLOW);
        let mut page = 0;
        for n in 0..40 {
            let (plan, next) = miss(&streams, page, SLOW);
            assert!(plan.asked, "miss {n}: the page comes through the kernel's cache");
            assert!(plan.ask.0 >= page && plan.ask.1 >= next, "miss {n}: {plan:?}");
            assert!(n < 8 || plan.ask == (page + WINDOW_MOST, page + WINDOW_MOST + LOAD_MOST), "steady: {plan:?}");
            page = next;
        }
    }

    #[test]
    fn a_fast_device_is_read_past_the_kernels_cache() {
        let streams = on_device(Duration::from_micros(340));
        let mut page = 0;
        for _ in 0..100 {
            let (plan, next) = miss(&streams, page, Duration::from_micros(340));
            assert_eq!((plan.asked, plan.ask.1 - plan.ask.0), (false, 0));
            page = next;
        }
        assert_eq!(streams.miss(INO, page, 512).load, LOAD_WANTED);
    }

    #[test]
    fn a_device_that_changes_its_speed_is_noticed() {
        let fast = Duration::from_micros(300);
        let streams = on_device(SLOW);
        let mut page = 0;
        let mut run = |device, count| {
            (0..count)
                .filter(|_| {
                    let (plan, next) = miss(&streams, page, device);
                    page = next;
                    plan.asked
                })
                .count()
        };
        assert!(run(SLOW, 1000) > 980, "slow: nearly all through the kernel's cache");
        run(fast, 2500);
        assert!(run(fast, 1000) == 0, "fast: none");
        run(SLOW, 10);
        assert!(run(SLOW, 1000) > 980, "slow again");
    }

    #[test]
    fn random_reads_load_what_they_want_and_ask_for_nothing() {
        let streams = on_device(SLOW);
        for n in 1..1000 {
            let (plan, _) = miss(&streams, n * 7919 % 100_003 + 1, SLOW);
            assert_eq!((plan.load, plan.ask.1 - plan.ask.0, plan.asked), (1, 0, false), "miss {n}");
        }
    }

    #[test]
    fn one_large_read_is_asked_for_at_once() {
        let plan = on_device(SLOW).miss(INO, 1000, 512);
        assert_eq!((plan.load, plan.ask, plan.asked), (LOAD_MOST, (1000, 1512), true));
    }

    #[test]
    fn interleaved_readers_are_streams_of_their_own() {
        let streams = on_device(SLOW);
        let mut at: Vec<u64> = (0..8).map(|n| n * 100_000 + 1).collect();
        for _ in 0..10 {
            at.iter_mut().for_each(|page| *page = miss(&streams, *page, SLOW).1);
        }
        assert!((0..8).all(|n| streams.miss(INO, at[n], 1).load == LOAD_MOST));
    }

    #[test]
    fn what_was_advised_is_taken_from_the_kernels_cache_in_any_order() {
        let streams = Streams::default();
        streams.advised(INO, 100, 1000);
        assert!([900, 100, 500].iter().all(|page| streams.miss(INO, *page, 1).asked));
        assert!(!streams.miss(INO, 20_000, 1).asked);
    }
}
