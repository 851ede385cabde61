//! Which medium a pool lies on: asked of the kernel, not guessed from names.

use super::file::File;
use super::lines::WriteBack;
use super::mapped::Mapped;
use super::{Medium, file};
use crate::error::{Error, Result};
use rustix::fs::{AtFlags, OFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use std::path::Path;

pub(super) const TMPFS: u64 = 0x0102_1994;
const RAMFS: u64 = 0x8584_58f6;
pub(super) const EXT4: u64 = 0xef53;
pub(super) const XFS: u64 = 0x5846_5342;

/// What probing found.
#[derive(Debug, Clone)]
pub(super) struct Probed {
    pub medium: Medium,
    /// The file system's magic number.
    pub fs_type: u64,
    /// Why it is not DAX.
    pub not_dax: Option<String>,
}

/// The number by which the superblock names a medium that was asked for; 0 is probing.
pub(super) fn encode(medium: Option<Medium>) -> u32 {
    match medium {
        None => 0,
        Some(Medium::Dax) => 1,
        Some(Medium::DaxEmulated) => 2,
        Some(Medium::Block) => 3,
        Some(Medium::Memory) => 4,
    }
}

fn decode(number: u32) -> Option<Medium> {
    [Medium::Dax, Medium::DaxEmulated, Medium::Block, Medium::Memory].into_iter().find(|m| encode(Some(*m)) == number)
}

/// The medium of the pool in `dir`, whose files `names` exist and whose superblock asks for `wanted`. A DAX pool on a file system that has lost DAX
/// is a block pool: slower, as durable.
pub(super) fn probe(dir: &Path, names: &[&str], wanted: u32) -> Result<Probed> {
    let fs_type = fs_type(dir)?;
    let memory = matches!(fs_type, TMPFS | RAMFS);
    let plain = if memory { Medium::Memory } else { Medium::Block };
    let found = |medium, not_dax: Option<&str>| Ok(Probed { medium, fs_type, not_dax: not_dax.map(str::to_owned) });
    match decode(wanted) {
        Some(Medium::DaxEmulated) => found(Medium::DaxEmulated, Some("emulated, as mkfs was told; not safe against a power cut by itself")),
        Some(Medium::Block) => found(plain, Some("mkfs was told not to map the pool")),
        _ if memory => found(plain, Some("a tmpfs is memory that does not survive")),
        _ => match not_dax(dir, names, fs_type)? {
            None => found(Medium::Dax, None),
            Some(why) => found(plain, Some(&why)),
        },
    }
}

/// Why the files can't be mapped with `MAP_SYNC`; `None`: they can.
fn not_dax(dir: &Path, names: &[&str], fs_type: u64) -> Result<Option<String>> {
    if !WriteBack::exists() {
        return Ok(Some("this processor has no instruction that writes cache lines back".into()));
    }
    for name in names {
        let path = dir.join(name);
        let elsewhere = match fs_type {
            EXT4 | XFS => "the file system is mounted without DAX (`-o dax`), or its device is no persistent memory",
            _ => "this kind of file system has no DAX",
        };
        if says_no(&path) {
            return Ok(Some(elsewhere.into()));
        }
        let file = File::open_briefly(&path, OFlags::RDWR).map_err(|e| super::pool::damaged_or(dir, name, e))?;
        match Mapped::open_anywhere(&file, crate::units::PAGE, true) {
            Ok(_) => {}
            Err(Errno::OPNOTSUPP | Errno::INVAL) => return Ok(Some(elsewhere.into())),
            Err(e) => return Err(file::unusable(&path, e)),
        }
    }
    Ok(None)
}

/// Whether the kernel says of a file that it is not on DAX, and may then be asked no more: every program that joins a pool probes it. Linux before 5.10 says nothing.
fn says_no(path: &Path) -> bool {
    let stat = rustix::fs::statx(rustix::fs::CWD, path, AtFlags::empty(), StatxFlags::empty());
    stat.is_ok_and(|stat| stat.stx_attributes_mask.contains(StatxAttributes::DAX) && !stat.stx_attributes.contains(StatxAttributes::DAX))
}

fn fs_type(dir: &Path) -> Result<u64> {
    if let Some(simulated) = super::tap::fs_type(dir) {
        return Ok(simulated);
    }
    let stat = rustix::fs::statfs(dir).map_err(|e| file::unusable(dir, e))?;
    // The field's type differs between architectures; magic numbers have 32 bits.
    Ok(stat.f_type as u64 & 0xffff_ffff)
}

/// Refuses a medium that a pool in `dir` can't be on. Whether `dir` lies in memory.
pub(super) fn check_wanted(dir: &Path, wanted: Option<Medium>) -> Result<bool> {
    let memory = matches!(fs_type(dir)?, TMPFS | RAMFS);
    match wanted {
        Some(Medium::Memory) if !memory => {
            Err(Error::Unusable(format!("{} is not on a tmpfs: leave --medium away, or choose another directory", dir.display())))
        }
        Some(Medium::Dax | Medium::Block) if memory => {
            Err(Error::Unusable(format!("{} is on a tmpfs: leave --medium away, or choose another directory", dir.display())))
        }
        _ => Ok(memory),
    }
}

/// Whether what is written in `dir` is gone after a reboot.
pub(super) fn is_volatile(fs_type: u64) -> bool {
    matches!(fs_type, TMPFS | RAMFS)
}
