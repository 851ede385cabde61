//! The operations that make durable: fsync, write-back, checkpoints, and files that are held meanwhile.

use super::*;
use crate::fs::survival::look::{adopt, fits};

impl Work {
    pub(super) fn holds(&self) -> Vec<usize> {
        self.held.iter().flatten().copied().collect()
    }

    /// Keeps a file open, in place of another.
    pub(super) fn hold(&mut self) {
        let Some(path) = self.file() else { return };
        let Node::File(id) = self.tree.names[&path] else { return };
        let at = self.random.below(3);
        self.tell(format!("hold {path} at {at}"));
        self.fs().open_file(self.ino(&path), libc::O_RDWR, LONGER + at).expect("it opens");
        self.held[at] = Some(id);
        self.tree.bury(&self.holds());
        self.step();
    }

    /// A flush has come to its end. One that found the disk full may have flushed some files all the same.
    pub(super) fn synced(&mut self, what: &str, result: Result<()>, ids: &[usize]) {
        self.tell(format!("{what} of files {ids:?}"));
        let surely = self.done(what, result).is_some();
        ids.iter().for_each(|id| self.tree.flushed(*id, surely));
        self.step();
        if surely {
            self.floor = self.steps.len() - 1;
        }
    }

    pub(super) fn fsync(&mut self) {
        let Some(path) = self.file() else { return };
        let Node::File(id) = self.tree.names[&path] else { return };
        let synced = self.fs().sync(self.ino(&path));
        self.synced("fsync", synced, &[id]);
    }

    /// Flushes a file and makes nothing durable, as a process does that wants its frames.
    pub(super) fn write_back(&mut self) {
        let Some(path) = self.file() else { return };
        let Node::File(id) = self.tree.names[&path] else { return };
        self.tell(format!("write back {path}"));
        let flushed = self.fs().flush(self.ino(&path));
        let surely = self.done("a flush", flushed).is_some();
        self.tree.flushed(id, surely);
        self.step();
    }

    pub(super) fn fsync_held(&mut self) {
        let at = self.random.below(3);
        let (Some(open), Some(id)) = (self.fs().held(LONGER + at), self.held[at]) else { return };
        let synced = self.fs().sync(self.fs().open_ino(open));
        self.synced("fsync", synced, &[id]);
    }

    pub fn sync_all(&mut self) {
        self.steps.push(self.tree.step(true));
        let synced = self.fs().sync_all();
        let all: Vec<usize> = self.tree.files.keys().copied().collect();
        self.synced("sync", synced, &all);
    }

    pub(super) fn checkpoint(&mut self) {
        self.tell("checkpoint".to_owned());
        let made = self.fs().meta.checkpoint();
        self.done("checkpoint", made);
    }

    pub(super) fn settle(&mut self) {
        self.tell("settle".to_owned());
        let settled = self.fs().meta.settle();
        if self.done("settle", settled).is_some() {
            self.floor = self.steps.len() - 1;
        }
        self.fs().space.settle(&self.fs().meta, &self.fs().procs);
    }

    /// All processes die; with `reboot` what was in memory goes, too, as if power had failed after the kernel wrote back what it had.
    pub fn restart(&mut self, reboot: bool) {
        self.tell(format!("restart, reboot: {reboot}"));
        let fs = self.fs.take().expect("open");
        self.held = [None; 3];
        self.tree.bury(&[]);
        if reboot {
            drop(fs);
        } else {
            fs.leave();
        }
        let opened = open(&self.pool);
        self.fs = Some(opened.unwrap_or_else(|e| panic!("opening again: {e}")));
        self.step();
        if reboot {
            let sight = look(self.fs()).expect("a tree");
            let last = self.steps.len() - 1;
            let found = (self.floor..=last).rev().any(|step| fits(&sight, &self.steps[step], false).is_ok());
            let story = || self.story[self.story.len().saturating_sub(40)..].join("\n");
            assert!(found, "{}\nafter a reboot: {:?}", story(), fits(&sight, &self.steps[last], false));
            self.tree = adopt(&sight);
            self.step();
            self.floor = self.steps.len() - 1;
        }
    }
}
