//! The marks never miss a dirty entry, whatever happens to the table and wherever a process dies.

use super::{Entry, Table};
use crate::fs::names::tests::fixture::Tree;
use crate::sync::Ordering::*;
use crate::units::{FrameNo, PageNo};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[derive(Debug, Clone)]
enum Op {
    /// Makes pages of one leaf dirty; only the first so many of them, if the writer dies half-way.
    Write { page: u64, count: usize, die_after: Option<usize> },
    /// Cuts the table at a page.
    Cut { page: u64 },
    /// Flushes; the flusher dies at so manieth entry.
    Flush { die_at: Option<usize> },
    /// Flushes so many pages at the most, the first ones behind a page.
    Some { from: u64, most: usize },
}

/// Pages of a small file, of a leaf, of many leaves and of a higher tree.
fn page() -> impl Strategy<Value = u64> {
    prop_oneof![0..8u64, 0..1500u64, 0..(512 * 512 * 3u64), 0..(1u64 << 40)]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (page(), 1..600usize, prop::option::weighted(0.2, 0..8usize)).prop_map(|(page, count, die_after)| Op::Write { page, count, die_after }),
        1 => page().prop_map(|page| Op::Cut { page }),
        1 => Just(Op::Cut { page: 0 }),
        2 => prop::option::weighted(0.3, 0..200usize).prop_map(|die_at| Op::Flush { die_at }),
        2 => (page(), 0..700usize).prop_map(|(from, most)| Op::Some { from, most }),
    ]
}

fn write(table: &Table, page: u64, count: usize, die_after: Option<usize>, dirty: &mut BTreeSet<u64>) {
    table.cell_mut(PageNo::new(page), |_, _| Ok::<_, ()>(())).expect("nothing is loaded").expect("a node");
    let cells = table.cells(PageNo::new(page)).expect("the leaf is there");
    let count = count.min(cells.len());
    let marked = table.mark(PageNo::new(page), count);
    for (cell, i) in cells.iter().zip(0..).take(die_after.unwrap_or(count).min(count)) {
        cell.store(Entry::written(FrameNo::new(1), marked).raw(), Release);
        dirty.insert(page + i);
    }
}

/// Takes the dirty pages. Whoever dies at it leaves the others dirty.
fn flush(table: &Table, die_at: Option<usize>, dirty: &mut BTreeSet<u64>) {
    let mut calls = 0;
    let _ = catch_unwind(AssertUnwindSafe(|| {
        table.take_marked(&mut |page, cell| {
            let entry = Entry::from_raw(cell.load(Relaxed));
            if entry.is_dirty() {
                cell.store(entry.flushing().flushed(None).raw(), Release);
                assert!(dirty.remove(&page.get()), "{page:?} was not dirty");
            }
            calls += 1;
            if die_at.is_some_and(|at| calls > at) {
                std::panic::resume_unwind(Box::new("dead"));
            }
            true
        });
    }));
    if die_at.is_none() {
        assert!(dirty.is_empty(), "missed {dirty:?}");
        let mut again = 0;
        table.take_marked(&mut |_, _| {
            again += 1;
            true
        });
        assert!(again <= 8, "{again} marks are left of clean pages");
    }
}

/// Takes some of the dirty pages; the others stay as they are.
fn flush_some(table: &Table, from: u64, most: usize, dirty: &mut BTreeSet<u64>) {
    let expected: Vec<u64> = dirty.range(from..).take(most).copied().collect();
    let mut taken = Vec::new();
    let all = table.take_marked(&mut |page, cell| {
        let entry = Entry::from_raw(cell.load(Relaxed));
        if entry.is_dirty() && (page.get() < from || taken.len() == most) {
            return false;
        }
        if entry.is_dirty() {
            cell.store(entry.flushing().flushed(None).raw(), Release);
            taken.push(page.get());
        }
        true
    });
    assert_eq!(taken, expected);
    taken.iter().for_each(|page| assert!(dirty.remove(page)));
    assert_eq!(all, dirty.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn marks_never_miss_a_dirty_page(ops in prop::collection::vec(op(), 1..60)) {
        thread_local!(static TREE: Tree = Tree::new("/marks"));
        TREE.with(|fs| {
            let slot = fs.region.control.inodes().last().expect("inode slots");
            let table = Table::new(fs.region.control, slot);
            let mut dirty = BTreeSet::new();
            for op in ops {
                match op {
                    Op::Write { page, count, die_after } => write(&table, page, count, die_after, &mut dirty),
                    Op::Cut { page } => {
                        table.cut(PageNo::new(page), &mut |_, _| {});
                        dirty.split_off(&page);
                    }
                    Op::Flush { die_at } => flush(&table, die_at, &mut dirty),
                    Op::Some { from, most } => flush_some(&table, from, most, &mut dirty),
                }
                assert_eq!(table.count_unmarked(), 0);
                let mut seen = 0;
                table.look_at_marked(&mut |cell| seen += Entry::from_raw(cell.load(Relaxed)).is_dirty() as usize);
                assert!(seen == if table.is_small() { 0 } else { dirty.len() });
            }
            flush(&table, None, &mut dirty);
            table.cut(PageNo::new(0), &mut |_, _| {});
        });
    }
}
