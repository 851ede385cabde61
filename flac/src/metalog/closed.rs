//! The mark of a log that was closed: who takes the volatile state down notes where the log ends, and whoever opens the pool next need not look behind that end for records that should not be there
//! (all of the log's 32 MiB: more than all the rest of opening a small pool).
//!
//! It counts for one end of the log only, and must be gone from the medium before another record is there: else one that rotted away would not be missed.

use crate::error::{Error, Result};
use crate::media::Pool;
use crate::media::file::File;
use crate::media::layout::{self, HEADER, Position};

/// Notes, durably, that the log ends at `end` and all of it is durable. Nobody else uses the pool.
pub(super) fn mark(pool: &Pool, end: &Position) -> Result<()> {
    write(pool, &layout::encode_closed(end))
}

/// Where the log was closed, if it was and has not been opened since. `marks` is the pool's superblock file.
pub(super) fn end(marks: &File) -> Result<Option<Position>> {
    Ok(layout::decode_closed(&read(marks)?))
}

/// Takes the mark away, durably; nearly always there is none.
pub(super) fn clear(pool: &Pool) -> Result<()> {
    if read(&pool.marks())? == [0; HEADER] { Ok(()) } else { write(pool, &[0; HEADER]) }
}

fn read(marks: &File) -> Result<[u8; HEADER]> {
    let mut bytes = [0; HEADER];
    marks.read_at(&mut bytes, layout::CLOSED_AT).map_err(Error::io("reading the superblock"))?;
    Ok(bytes)
}

fn write(pool: &Pool, bytes: &[u8; HEADER]) -> Result<()> {
    let marks = pool.marks();
    marks.write_at(bytes, layout::CLOSED_AT).and_then(|()| marks.sync_data()).map_err(Error::io("writing the superblock"))
}
