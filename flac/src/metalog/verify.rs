//! Checking the files of a pool without changing them.

use super::recover::{self, History};
use super::{Meta, checkpoint};
use crate::error::{Error, Result};
use crate::media::file::File;
use crate::media::{Pool, pool};
use rustix::fs::OFlags;
use std::path::Path;

impl Meta {
    /// Checks superblock, checkpoints and log of the pool in `dir`; one line a finding, none if all is well. Changes nothing, and is meant for a
    /// pool that nobody writes to.
    ///
    /// # Errors
    /// `Unusable` if there is no pool; `Io`.
    pub fn verify(dir: &Path) -> Result<Vec<String>> {
        let mut findings = Vec::new();
        let pool = match Pool::open(dir) {
            Err(Error::Corrupt(why)) => return Ok(vec![why]),
            other => other?,
        };
        let file = File::open(&dir.join("superblock"), OFlags::RDONLY).map_err(Error::io("reading the superblock"))?;
        if pool::read_superblock(dir, &file)?.1 {
            findings.push(format!("{}: one of the two copies is damaged", dir.join("superblock").display()));
        }
        let mut start = None;
        for generation in checkpoint::list(dir)? {
            note(&mut findings, checkpoint::read(dir, &pool.uuid(), generation, |_, _| Ok(())))?.inspect(|found| start = Some(*found));
        }
        if start.is_none() {
            start = note(&mut findings, recover::first_start(&pool))?.map(|start| (start, start.seq));
        }
        if let Some(start) = start
            && let Some(mut history) = note(&mut findings, History::read(dir, pool.log_bytes(), &pool.uuid(), start))?
        {
            let logged = history.end().seq;
            history.check_data(&pool)?;
            if history.end().seq < logged {
                let lost = format!(
                    "records {} to {logged:?} have no data and will be dropped (they were never durable)",
                    history.end().seq.get() + 1
                );
                findings.push(lost);
            }
        }
        Ok(findings)
    }
}

/// Takes damage down as a finding.
fn note<T>(findings: &mut Vec<String>, result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Corrupt(why)) => {
            findings.push(why);
            Ok(None)
        }
        Err(e) => Err(e),
    }
}
