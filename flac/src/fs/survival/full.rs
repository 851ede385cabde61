//! No space, in the pool or on the disk below it: the call that asks says so, nothing has changed by it, everything else goes on, and what is removed can
//! be used again.

use super::crowd;
use super::cuts::{geometry_on, make_pool, place};
use super::model::Tree;
use super::work::Work;
use crate::media::create::Geometry;
use crate::media::sim::Random;
use crate::media::sim::tape::{Lower, Tape};

fn run(seed: u64) {
    let mut random = Random(seed ^ 0xF011);
    let dir = place();
    let pool = dir.path().join("pool");
    let lower = [Lower::Ext4, Lower::Dax, Lower::Other][(seed % 3) as usize];
    let frames = 16 + random.below(60) as u64;
    let geometry = Geometry { size: frames * 4096, log_bytes: 16 << 10, grow_bytes: 64 << 10, ..geometry_on(lower) };
    make_pool(&pool, &geometry, lower);
    let tape = Tape::start(&pool, lower);
    let mut work = Work::start(&pool, Tree::default(), random.next());
    work.tight = true;
    work.calm = true;
    for _ in 0..6 {
        // The disk below has room for a few more files or blocks, then for none.
        let room = 1 << random.below(18);
        tape.limit(random.once_in(2).then(|| random.below(room) as u64));
        for _ in 0..random.below(40) {
            work.act();
        }
        tape.limit(None);
        work.compare();
        work.sync_all();
        assert_eq!(
            work.floor,
            work.steps.len() - 1,
            "seed {seed}: with room on the disk again everything can be flushed\n{}",
            work.story.join("\n")
        );
        work.restart(true);
        // Emptied, the pool takes as much as at first.
        while !work.tree.names.is_empty() {
            work.unlink();
        }
        work.sync_all();
        let free = work.fs().stat_fs().free;
        assert_eq!(free, frames, "seed {seed}: frames are lost\n{}", work.story.join("\n"));
        tape.take();
    }
    crowd::report(work.full.max(1), &format!("{lower:?}, {frames} frames"));
    work.end();
}

/// `FLAC_FULL` says how often there must be no space.
#[test]
fn without_space_the_call_that_asks_fails_and_nothing_else() {
    match crowd::seed() {
        Some(seed) => run(seed),
        None => {
            let wanted = std::env::var("FLAC_FULL").map_or(60, |text| text.parse().expect("FLAC_FULL is a number"));
            crowd::gather("fs::survival::full::without_space_the_call_that_asks_fails_and_nothing_else", wanted);
        }
    }
}
