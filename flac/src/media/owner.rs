//! Whose files of a pool are: what root makes in somebody else's pool, by `flac fsck` or a mount, is the owner's of the pool's directory, who could not use the pool any more otherwise.

use rustix::fd::AsFd;
use rustix::fs::{AtFlags, CWD, Gid, Stat, Uid};
use std::path::Path;

/// Who is given what this process makes; nobody, unless it is root's and the pool another's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner(Option<(Uid, Gid)>);

impl Owner {
    /// The owner of what is made in this directory, or for it.
    pub fn of(dir: &Stat) -> Owner {
        let differs = dir.st_uid != 0 && rustix::process::geteuid().is_root();
        Owner(differs.then(|| (Uid::from_raw(dir.st_uid), Gid::from_raw(dir.st_gid))))
    }

    /// Whether there is somebody.
    pub fn is_another(self) -> bool {
        self.0.is_some()
    }

    /// The owner's numbers, or this process's.
    pub fn or_process(self) -> (u32, u32) {
        let own = || (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        self.0.map_or_else(own, |(uid, gid)| (uid.as_raw(), gid.as_raw()))
    }

    /// Gives a file away that was just made. Root in a container may lack the right: then it stays root's.
    pub fn give(self, file: impl AsFd) {
        if let Some((uid, gid)) = self.0 {
            let _ = rustix::fs::fchown(file, Some(uid), Some(gid));
        }
    }

    /// Likewise a directory; what a link leads to is left alone.
    pub fn give_dir(self, path: &Path) {
        if let Some((uid, gid)) = self.0 {
            let _ = rustix::fs::chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::fs::attr::Creds;
    use crate::fs::names::Name;
    use crate::media::{Pool, PoolOptions};
    use crate::units::Ino;
    use crate::{Config, Fs};
    use std::os::unix::fs::{MetadataExt, chown};
    use std::path::Path;

    const OTHER: u32 = 65534;

    /// What lies in `dir` and is not theirs whose pool it is.
    fn strange(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("a name").path());
        let below = entries.flat_map(|path| {
            let is = path.symlink_metadata().expect("it is there");
            let own = (is.uid(), is.gid()) == (OTHER, OTHER) || is.file_type().is_symlink();
            let mut found = if own { Vec::new() } else { vec![path.display().to_string()] };
            found.extend(if is.is_dir() { strange(&path) } else { Vec::new() });
            found
        });
        below.collect()
    }

    /// Root's look at a pool took it from its owner: the cache, a new log, a checkpoint and the tree's root were root's.
    #[test]
    fn regression_what_root_makes_in_anothers_pool_is_the_owners() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::Builder::new().prefix("test-of-flac-").tempdir().expect("a temporary directory");
        Pool::create(dir.path(), &PoolOptions { size: 64 << 20, ..Default::default() }).expect("a pool");
        let owned = || std::fs::read_dir(dir.path()).expect("a directory").map(|entry| entry.expect("a name").path());
        owned().chain([dir.path().to_owned()]).for_each(|path| chown(path, Some(OTHER), Some(OTHER)).expect("root may"));
        let fs = Fs::open(&Config { dram: Some(16 << 20), ..Config::new(dir.path()) }).expect("it opens");
        let who = Creds { uid: 0, gid: 0, groups: &[], umask: 0 };
        let name = Name::new(b"file").expect("a name");
        fs.create(Ino::ROOT, &name, libc::S_IFREG | 0o644, 0, &who).expect("a file");
        fs.sync_all().expect("a sync");
        fs.checkpoint().expect("a checkpoint");
        let (run, huge) = (fs.run_dir().to_owned(), std::fs::read_link(fs.run_dir().join("dram")));
        let found = [strange(dir.path()), strange(&run)].concat();
        let root = fs.attr(Ino::ROOT).expect("the root");
        fs.exit();
        let _ = huge.map(std::fs::remove_file);
        let _ = std::fs::remove_dir_all(&run);
        assert_eq!(found, Vec::<String>::new());
        assert_eq!((root.uid, root.gid), (OTHER, OTHER));
    }
}
