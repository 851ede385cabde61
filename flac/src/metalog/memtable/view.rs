//! What readers see: the KV and the entries on top of it, as of one moment.

use super::item::hash;
use super::kept::Few;
use super::scan::{Found, Scan, merge};
use super::table::{Seen, damaged};
use crate::error::{Error, Result};
use crate::kv::ReadTxn;
use crate::metalog::Meta;
use std::cell::Cell;

/// How often the KV may change between taking a snapshot of it and looking at the note, before the note is taken for nonsense.
const TRIES: usize = 10_000;

/// The committed state of one moment. Slices obtained from it live as long as it does, and never change.
pub struct View<'m> {
    meta: &'m Meta,
    kv: ReadTxn<'m>,
    /// The entries on top of the KV; `None`: there are none.
    seen: Option<Seen>,
    kept: Few,
    gone: Cell<bool>,
}

impl Meta {
    /// Calls `look` with a view of the committed state, once more when it took so long that the view went away meanwhile: then whatever it gave is
    /// dropped. So it must have no effect but its result, and should be quick.
    pub fn view<T>(&self, mut look: impl FnMut(&View<'_>) -> Result<T>) -> Result<T> {
        loop {
            let (kv, seen) = self.snapshot()?;
            let view = View { meta: self, kv, seen, kept: Few::default(), gone: Cell::new(false) };
            let result = look(&view);
            if !view.gone.get() {
                return result;
            }
        }
    }

    /// A snapshot of the KV, and the entries on top of it.
    fn snapshot(&self) -> Result<(ReadTxn<'_>, Option<Seen>)> {
        for _ in 0..TRIES {
            let kv = self.kv.read()?;
            let note = self.memtable.note();
            // A note that is newer than the snapshot may lack what was folded into the KV since.
            if note.base <= kv.number() {
                // One that is older was folded into it as a whole.
                let seen = (note.base == kv.number() && note.entries > 0).then(|| self.memtable.seen(&note));
                return Ok((kv, seen));
            }
        }
        Err(damaged())
    }

    #[cfg(test)]
    pub(super) fn take_view(&self) -> Result<View<'_>> {
        let (kv, seen) = self.snapshot()?;
        Ok(View { meta: self, kv, seen, kept: Few::default(), gone: Cell::new(false) })
    }
}

impl View<'_> {
    /// The value of `key`.
    pub fn get(&self, key: &[u8]) -> Result<Option<&[u8]>> {
        if let Some(seen) = &self.seen {
            let logs = &self.meta.logs;
            let copy = |log, at, len| self.kept.fill(len, |to| logs.copy(log, at, to));
            let found = self.meta.memtable.find(seen, logs, key, hash(key), copy);
            self.check(seen)?;
            if let Some(value) = found? {
                return Ok(value);
            }
        }
        self.kv.get(key)
    }

    /// The keys that start with `prefix` and are not below `from`, in order. Once begun, a scan stays.
    pub fn scan(&self, prefix: &[u8], from: &[u8]) -> Result<Scan<'_>> {
        let mut found = Found::default();
        if let Some(seen) = &self.seen {
            let collected = self.meta.memtable.collect(seen, &self.meta.logs, prefix, from, &mut found);
            self.check(seen)?;
            collected?;
        }
        Ok(merge(self.kv.scan(prefix, from)?, found, self.kept.more()))
    }

    fn check(&self, seen: &Seen) -> Result<()> {
        if self.meta.memtable.has(seen) {
            return Ok(());
        }
        // Whoever called `Meta::view` never sees it.
        self.gone.set(true);
        Err(Error::Os(libc::EAGAIN))
    }
}
