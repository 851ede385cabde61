//! Processes that die at any moment: the others go on, the next one finds a consistent tree, and what `fsync` has
//! acknowledged is there and whole; also after everything in memory is gone.
//!
//! Three workers (`worker.c`) change files and write down, in a file of the kernel's, what they begin and what was
//! acknowledged; `verify.py` compares. `FLAC_KILL_ROUNDS=N` sets the number of rounds (20 and 10 unless said), `FLAC_SEED=N`
//! the moments, and `FLAC_TEST_SELF=kernel` works on tmpfs without the shim: this checks the test itself.

#[path = "../programs/shim.rs"]
mod shim;
mod site;

use flac_outside::random::{Random, number};
use std::time::Duration;

use site::{Crash, Site};

/// When to kill.
fn moment(random: &mut Random) -> Duration {
    Duration::from_micros(random.below(80_000))
}

fn rounds(default: u32) -> u32 {
    number("FLAC_KILL_ROUNDS").map_or(default, |rounds| rounds as u32)
}

#[test]
fn the_others_go_on_after_a_kill_and_nothing_acknowledged_is_lost() {
    let mut random = Random::seeded("kill");
    let site = Site::new();
    for round in 0..rounds(20) {
        let mut workers = site.start_workers(|| random.below(u64::MAX));
        let first = random.below(3) as usize;
        // Mostly one dies; sometimes two or all three, one after the other.
        let deaths = [1, 1, 1, 2, 3][random.below(5) as usize];
        for death in 0..deaths {
            std::thread::sleep(moment(&mut random));
            workers[(first + death) % 3].kill();
        }
        for survivor in (first + deaths)..(first + 3) {
            workers[survivor % 3].must_make_progress();
        }
        for survivor in (first + deaths)..(first + 3) {
            workers[survivor % 3].stop();
        }
        site.check(Crash::Kill, round);
    }
}

#[test]
fn everything_acknowledged_survives_the_loss_of_memory() {
    let mut random = Random::seeded("reboot");
    let site = Site::new();
    for round in 0..rounds(10) {
        let mut workers = site.start_workers(|| random.below(u64::MAX));
        std::thread::sleep(moment(&mut random));
        workers.iter_mut().for_each(site::Worker::kill);
        let crash = site.lose_memory();
        site.check(crash, round);
    }
}

/// Each of these breaks what the workers left on a plain tmpfs, as a bug in FLAC would, and must be found.
#[test]
fn the_verifier_notices_what_is_lost_torn_or_resurrected() {
    let damages = [
        ("nothing", "true", true),
        ("a lost append", "for f in w?/a?; do sed -i '$d' $f; done", false),
        ("a torn append", "for f in w?/a?; do truncate -s -3 $f; done", false),
        ("a changed byte", "for f in w?/o?; do printf z | dd of=$f bs=1 seek=70000 conv=notrunc status=none; done", false),
        ("a shorter file", "for f in w?/r?; do truncate -s 90000 $f; done", false),
        ("a lost file", "rm w0/r? w0/o? w0/a?", false),
        ("a stranger", "touch w1/unknown", false),
        ("a lost log", "rm shared/log", false),
        ("a log record twice", "tail -n1 shared/log >>shared/log", false),
        ("a file in two places", "for i in 0 1 2; do touch w$i/m shared/m$i; done", false),
        ("a file in no place", "rm -f w?/m shared/m?", false),
        ("a lost or resurrected directory", "for d in w0/d0 w1/d0 w2/d0; do rmdir $d 2>/dev/null || mkdir $d; done", false),
    ];
    for (name, command, fine) in damages {
        let site = Site::on_tmpfs();
        let mut workers = site.start_workers(|| 7);
        std::thread::sleep(Duration::from_millis(60));
        workers.iter_mut().for_each(site::Worker::stop);
        site.damage(command);
        assert_eq!(site.verify(Crash::Reboot).is_ok(), fine, "{name}");
    }
}
