//! The promises of `flac::Fs`, through its public interface only.
#![expect(unsafe_code, reason = "read and write take raw buffers")]

mod address_space;
mod ahead;
mod content;
mod costs;
mod in_place;
mod pristine;

use flac::fs::attr::Creds;
use flac::fs::names::{Last, Name, Resolved};
use flac::fs::open::OpenId;
use flac::media::{Pool, PoolOptions};
use flac::units::Ino;
use flac::{Config, Fs, Result};

const ROOT: Creds<'static> = Creds { uid: 0, gid: 0, groups: &[], umask: 0o022 };

/// A pool of its own in a temporary directory; what is volatile goes when it is dropped.
struct Space {
    fs: Fs,
    dir: tempfile::TempDir,
}

impl Space {
    fn new() -> Self {
        Self::with_dram(256 << 20)
    }

    fn with_dram(dram: u64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Self::on(dir, dram, &PoolOptions { size: 1 << 30, ..Default::default() })
    }

    fn on(dir: tempfile::TempDir, dram: u64, options: &PoolOptions) -> Self {
        Pool::create(dir.path(), options).expect("a pool");
        let mut config = Config::new(dir.path());
        config.dram = Some(dram);
        Space { fs: Fs::open(&config).expect("the pool opens"), dir }
    }

    /// As after a reboot: everything volatile is gone.
    fn reboot(mut self) -> Self {
        let dram = Some(self.fs.dram_bytes().0);
        self.fs.exit();
        remove_volatile(&self.fs);
        let fs = Fs::open(&Config { dram, ..Config::new(self.dir.path()) }).expect("the pool opens again");
        std::mem::forget(std::mem::replace(&mut self.fs, fs));
        self
    }

    /// As another process, once this one has ended: what is shared stays.
    fn next_process(mut self) -> Self {
        let dram = Some(self.fs.dram_bytes().0);
        self.fs.exit();
        let fs = Fs::open(&Config { dram, ..Config::new(self.dir.path()) }).expect("the pool opens again");
        std::mem::forget(std::mem::replace(&mut self.fs, fs));
        self
    }

    fn counter(&self, name: &str) -> u64 {
        self.fs.stats.list().iter().find(|(n, _)| *n == name).expect("a counter of this name").1
    }

    fn create(&self, name: &str, hold: usize) -> (Ino, OpenId) {
        let name = Name::new(name.as_bytes()).expect("a short name");
        let ino = self.fs.create(Ino::ROOT, &name, libc::S_IFREG | 0o644, 0, &ROOT).expect("a file");
        (ino, self.fs.open_file(ino, libc::O_RDWR, hold).expect("it opens"))
    }

    fn open(&self, name: &str, hold: usize) -> (Ino, OpenId) {
        let found = self.fs.resolve(Ino::ROOT, name.as_bytes(), Last::Follow, &ROOT).expect("a look-up");
        let Resolved::Found { ino, .. } = found else { panic!("{name} is gone") };
        (ino, self.fs.open_file(ino, libc::O_RDWR, hold).expect("it opens"))
    }

    fn write(&self, id: OpenId, bytes: &[u8], at: u64) -> Result<usize> {
        let iov = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        // SAFETY: the vector describes `bytes`, which is only read.
        unsafe { self.fs.write(id, &[iov], Some(at)) }
    }

    fn read(&self, id: OpenId, len: usize, at: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0xAAu8; len];
        let n = self.read_into(id, &mut bytes, at)?;
        bytes.truncate(n);
        Ok(bytes)
    }

    fn read_into(&self, id: OpenId, bytes: &mut [u8], at: u64) -> Result<usize> {
        let iov = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        // SAFETY: the vector describes `bytes`.
        unsafe { self.fs.read(id, &[iov], Some(at)) }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.fs.exit();
        remove_volatile(&self.fs);
    }
}

/// What a reboot takes: the run directory, and the tier's file where that lies on a tmpfs of its own.
fn remove_volatile(fs: &Fs) {
    if let Ok(dram) = std::fs::read_link(fs.run_dir().join("dram")) {
        let _ = std::fs::remove_file(dram);
    }
    std::fs::remove_dir_all(fs.run_dir()).expect("the run directory goes");
}

/// Memory straight from the kernel that nobody has touched, aligned to 2 MiB.
struct Fresh {
    mapping: *mut u8,
    len: usize,
}

const ALIGN: usize = 2 << 20;

impl Fresh {
    fn new(len: usize) -> Self {
        let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping where the kernel chooses.
        let mapping = unsafe { libc::mmap(std::ptr::null_mut(), len + ALIGN, prot, flags, -1, 0) };
        assert_ne!(mapping, libc::MAP_FAILED);
        Fresh { mapping: mapping.cast(), len }
    }

    fn bytes(&mut self) -> &mut [u8] {
        let skip = self.mapping.addr().next_multiple_of(ALIGN) - self.mapping.addr();
        // SAFETY: `skip` < ALIGN, so the range lies inside the mapping, which `self` owns.
        unsafe { std::slice::from_raw_parts_mut(self.mapping.add(skip), self.len) }
    }

    /// Unmaps the memory, as a program would under the shim.
    fn drop_from(self, fs: &Fs) {
        fs.unmapped(self.mapping.addr(), self.len + ALIGN);
        // SAFETY: the mapping is ours and nothing refers to it any more.
        unsafe { libc::munmap(self.mapping.cast(), self.len + ALIGN) };
    }
}

/// Bytes that tell their position.
fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..len)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x as u8
        })
        .collect()
}
