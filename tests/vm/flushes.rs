//! In the machine: every `fsync` that returns has flushed the disk, also when the file system below has nothing to write by itself.

use std::path::Path;

use flac::fs::attr::Creds;
use flac::fs::names::Name;
use flac::units::Ino;
use flac::{Config, Fs, Result};

const SYNCS: u64 = 500;
const ROOT: Creds<'static> = Creds { uid: 0, gid: 0, groups: &[], umask: 0o022 };

/// How often the disk of which `stat` is the kernel's account was flushed.
fn flushes(stat: &Path) -> u64 {
    let text = std::fs::read_to_string(stat).expect("the disk's account");
    text.split_whitespace().nth(15).and_then(|word| word.parse().ok()).expect("the number of flushes")
}

/// Overwrites a page and syncs it, as fast as can be; `false` if a sync did without a flush.
pub fn each_sync_has_one(pool: &Path, stat: &Path) -> Result<bool> {
    let fs = Fs::open(&Config::new(pool))?;
    let name = Name::new(b"flushed")?;
    let ino = fs.create(Ino::ROOT, &name, libc::S_IFREG | 0o644, 0, &ROOT)?;
    let id = fs.open_file(ino, libc::O_RDWR, 0)?;
    let mut without = 0;
    for i in 0..SYNCS {
        fs.write_bytes(id, &i.to_le_bytes(), 0)?;
        let before = flushes(stat);
        fs.sync(ino)?;
        without += u64::from(flushes(stat) == before);
    }
    fs.release(0);
    fs.unlink(Ino::ROOT, &name, &ROOT)?;
    fs.sync(Ino::ROOT)?;
    fs.exit();
    println!("{without} of {SYNCS} syncs without a flush of the disk");
    Ok(without == 0)
}
