//! Truncations, and writes behind the end, killed all along their way: nothing of the file is gone that it still has, nothing comes that nobody wrote, and who has mapped it sees what it is.

use super::{Call, PAGE, PAGES, Site, number};

/// The file's new size where a page is cut in two.
const WITHIN: usize = 11 * PAGE + 100;
const LEN: usize = PAGES * PAGE;

/// Kills `work`, which the first file is for, `FLAC_STEPS` times, as far apart as they are many, and has `look` find what that left. The file is the pool's before, or only in the cache, by turns.
pub fn each_kill(work: impl Fn(&Site), mut look: impl FnMut(&mut Site)) {
    let mut site = Site::new("/dev/shm");
    let (kills, seed) = (number("FLAC_STEPS").unwrap_or(15), number("FLAC_SEED").unwrap_or(1));
    println!("FLAC_SEED={seed}");
    let mut length = u64::MAX;
    for nth in 0..=kills {
        site.fill();
        if nth % 3 != 1 {
            site.sync();
        }
        // The first is not killed. Those of another seed lie in between.
        let steps = if nth == 0 { u64::MAX } else { (length as f64 / kills as f64 * (nth as f64 - 1.0 / (1 + seed % 97) as f64)) as u64 };
        let killed = site.killed_behind(steps, || work(&site));
        println!("killed behind {steps}: {killed:?}");
        length = killed.err().unwrap_or(length);
        site.no_count_is_too_low();
        look(&mut site);
    }
    site.fill();
    site.reopen();
}

fn cut(site: &Site, size: usize) {
    site.fs().truncate(site.make(0), size as u64).expect("another size");
}

#[test]
fn a_truncation_within_a_page_takes_nothing_before_it_is_one() {
    each_kill(|site| cut(site, WITHIN), |site| site.is_before_or_after(Call::Cut(0, WITHIN)));
}

#[test]
fn nor_of_a_page_that_a_buffer_shows() {
    let mut shown = None;
    let work = |site: &Site| cut(site, WITHIN);
    each_kill(work, |site| {
        site.is_before_or_after(Call::Cut(0, WITHIN));
        cut(site, LEN);
        let fs = site.fs();
        if let Some(at) = shown {
            fs.unmapped(at, LEN);
            // SAFETY: mapped below, the last time.
            assert_eq!(unsafe { libc::munmap(at as *mut _, LEN) }, 0);
        }
        // SAFETY: a new mapping, anywhere.
        shown = Some(unsafe { fs.map(site.make(0), 0, LEN, libc::PROT_READ, libc::MAP_PRIVATE, 0) }.expect("a mapping"));
    });
}

/// What lies at `at`, if there is something.
fn seen(at: usize) -> Option<u8> {
    let mut byte = 0u8;
    let to = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let from = libc::iovec { iov_base: at as *mut _, iov_len: 1 };
    // SAFETY: room for a byte; the kernel finds out whether there is one.
    let n = unsafe { libc::process_vm_readv(libc::getpid(), &to, 1, &from, 1, 0) };
    (n == 1).then_some(byte)
}

/// What a process has mapped while another cuts the file off at `size` and is killed.
fn mapped_while_cut(size: usize) {
    let (mut at, mut cuts) = (0, 0);
    let look = |site: &mut Site| {
        site.is_before_or_after(Call::Cut(0, size));
        let (fs, ino) = (site.fs(), site.make(0));
        let is_cut = site.read(0).expect("it is there").len() == size;
        if at != 0 {
            // Where the kernel can't be told, zeros.
            let is = seen(at + 15 * PAGE);
            assert!(if is_cut { matches!(is, None | Some(0)) } else { is == Some(site.filled(0)[15 * PAGE]) }, "{is_cut}: {is:?}");
            cuts += usize::from(is_cut);
        } else {
            cut(site, LEN);
            // SAFETY: a new mapping, anywhere.
            at = unsafe { fs.map(ino, 0, LEN, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, 0) }.expect("a mapping");
        }
        cut(site, LEN);
        // SAFETY: the mapping is as long as the file.
        unsafe { (at as *mut u8).add(20 * PAGE).write_volatile(77) };
        assert_eq!(site.read(0).expect("it is there")[20 * PAGE], 77);
        site.no_count_is_too_low();
    };
    each_kill(|site| cut(site, size), look);
    assert!(cuts > 0);
}

#[test]
fn who_has_mapped_what_a_dead_process_cut_off_sees_none_of_it_and_what_comes_there_again() {
    mapped_while_cut(12 * PAGE);
}

#[test]
fn nor_the_tail_of_a_page_that_it_has_mapped() {
    mapped_while_cut(WITHIN);
}

/// Writes what ends in the midst of a page behind the file's last page, and begins in that.
#[test]
fn what_a_dead_process_wrote_behind_the_end_does_not_come_with_a_larger_size() {
    let write = |site: &Site| {
        cut(site, WITHIN);
        let (_, id) = site.open(0, 10);
        site.fs().write_bytes(id, &[255; 2 * PAGE], WITHIN as u64).expect("a write");
    };
    each_kill(write, |site| {
        let size = site.read(0).expect("it is there").len();
        assert!([LEN, WITHIN, WITHIN + 2 * PAGE].contains(&size), "{size}");
        cut(site, LEN);
        let found = site.read(0).expect("it is there");
        let (was, end) = (site.filled(0), WITHIN + 2 * PAGE);
        let expected = |at: usize| match size {
            LEN => was[at],
            _ if at < WITHIN => was[at],
            _ if at < end && size == end => 255,
            _ => 0,
        };
        let wrong = (0..LEN).find(|at| found[*at] != expected(*at));
        assert_eq!(wrong, None, "of {size} bytes");
    });
}

/// A write to pages that the pool has as they were, killed; then the file is synced, and everything volatile is lost.
#[test]
fn what_is_seen_of_a_dead_process_and_synced_is_durable() {
    let write = |site: &Site| {
        let (_, id) = site.open(0, 10);
        site.fs().write_bytes(id, &[255; 3 * PAGE], 5 * PAGE as u64).expect("a write");
    };
    each_kill(write, |site| {
        let seen = site.read(0);
        site.fs().sync(site.make(0)).expect("a sync");
        site.reboot();
        assert!(site.read(0) == seen);
    });
}
