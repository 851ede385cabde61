//! An LMDB environment: opening it without harm to the processes that use it already, and leaving it after a fork.
#![expect(unsafe_code, reason = "with txn.rs the only callers of LMDB")]

use super::recent::Recent;
use super::txn::check;
use crate::error::{Error, Result};
use crate::media::aside::{Full, with_room};
use crate::media::fd::{self, Fd, FileId};
use crate::media::file::pause;
use crate::sync::{AtomicU32, AtomicUsize, Ordering};
use lmdb_master_sys as lmdb;
use rustix::fd::{BorrowedFd, RawFd};
use rustix::fs::{Mode, OFlags};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::atomic::AtomicPtr;

/// Snapshots that may exist at once, over all processes: for each of a thousand as many as it keeps. They take memory when they are first used, and not before.
const READERS: u32 = 1024 * CACHED as u32;
/// The database without a name; LMDB reserves 0 for its free list.
pub(super) const MAIN: lmdb::MDB_dbi = 1;
/// Finished read transactions kept for the next reader.
pub(super) const CACHED: usize = 16;

/// An open environment.
pub(super) struct Env {
    pub(super) raw: *mut lmdb::MDB_env,
    /// Read transactions that were reset and can be renewed without a lock or an allocation.
    pub(super) cache: [AtomicPtr<lmdb::MDB_txn>; CACHED],
    /// What was looked up in it.
    pub(super) recent: Recent,
    /// The data file's and the lock file's descriptors.
    fds: [(RawFd, FileId); 2],
    /// The thread that holds the writer lock in this process ([`super::txn::this_thread`]); 0: none.
    pub(super) writer: AtomicUsize,
    /// Threads of this process that write or wait for it.
    pub(super) writers: AtomicUsize,
    /// Holds the lock on the lock file, see [`guard_lock_file`].
    guard: Option<Fd>,
}

// SAFETY: LMDB allows an environment to be used by all threads; the pointers are not changed after `open`.
unsafe impl Send for Env {}
// SAFETY: as above; transactions are handed out to one thread at a time by `cache`.
unsafe impl Sync for Env {}

impl Env {
    /// Opens the environment in `dir`. `fresh`: this process makes it, and nobody else knows it yet.
    pub(super) fn open(dir: &Path, map_size: usize, fresh: bool) -> Result<Env> {
        if fresh {
            make_files(dir)?;
        }
        match Env::open_files(dir, map_size, fresh) {
            Err(e) if e.is_full() => fd::beyond_the_limit(|| Env::open_files(dir, map_size, fresh)),
            opened => opened,
        }
    }

    fn open_files(dir: &Path, map_size: usize, fresh: bool) -> Result<Env> {
        let lock_path = dir.join("lock.mdb");
        let guard = guard_lock_file(&lock_path, !fresh)?;
        let path = CString::new(dir.as_os_str().as_bytes()).map_err(|_| Error::Os(libc::EINVAL))?;
        let raw = with_room(|| create(&path, map_size))?;
        let mut env = Env {
            raw,
            cache: Default::default(),
            recent: Recent::new(),
            fds: [(-1, (0, 0)); 2],
            writer: AtomicUsize::new(0),
            writers: AtomicUsize::new(0),
            guard: Some(guard),
        };
        if fresh {
            // From now on nobody may set up the lock file again; those who join see to it themselves.
            env.guard = Some(guard_lock_file(&lock_path, true)?);
        }
        env.move_descriptors(dir)?;
        env.set_comparison()?;
        Ok(env)
    }

    /// Moves the two descriptors that LMDB opened to high numbers: programs expect the low ones for themselves.
    ///
    /// # Errors
    /// `EMFILE` if LMDB opened them [aside](crate::media::aside), so that they are gone, and none was left open.
    fn move_descriptors(&mut self, dir: &Path) -> Result<()> {
        // `MDB_env` begins with the numbers of the data file and of the lock file. Only the first can be asked for, so both
        // are believed only if one is what it should be; else they stay where they are.
        let fields = self.raw.cast::<RawFd>();
        // SAFETY: the structure is larger than two ints.
        let found = unsafe { [fields.read(), fields.add(1).read()] };
        let mut data = -1;
        // SAFETY: an open environment and an out-pointer.
        if unsafe { lmdb::mdb_env_get_fd(self.raw, &mut data) } != 0 || found[0] != data {
            return Ok(());
        }
        for (i, name) in ["data.mdb", "lock.mdb"].into_iter().enumerate() {
            let low = found[i];
            let stat = match fd::is_trusted() {
                // SAFETY: LMDB opened it just now, and nobody has closed it meanwhile.
                true => rustix::fs::fstat(unsafe { BorrowedFd::borrow_raw(low) }),
                false => rustix::fs::stat(dir.join(name)),
            };
            let stat = stat.map_err(Error::io("opening the metadata KV"))?;
            let id = (stat.st_dev, stat.st_ino);
            let is_here = fd::is_trusted() || fd::refers_to(low, id);
            self.fds[i] = (if is_here { low } else { -1 }, id);
            let high = if is_here {
                // SAFETY: open, checked just now.
                let low = unsafe { BorrowedFd::borrow_raw(low) };
                fd::duplicate_high(low, id)
            } else {
                fd::taken_over(id, OFlags::RDWR)
            };
            if high.is_some() || !is_here {
                // SAFETY: the field holds a descriptor number that LMDB reads at each use; no other thread has the environment. LMDB does not close a negative one.
                // Closing the low number drops LMDB's lock on the lock file's first byte, whose purpose the guard serves.
                unsafe { fields.add(i).write(high.unwrap_or(-1)) };
                self.fds[i] = (high.unwrap_or(-1), id);
                fd::lends(self.fds[i].0);
            }
            if high.is_some() && is_here {
                fd::close_if_ours(low, id);
            }
        }
        if self.fds.iter().all(|(raw, _)| *raw >= 0) { Ok(()) } else { Err(Error::Os(libc::EMFILE)) }
    }

    /// Gives the database its key order in this environment; LMDB wants one transaction for it.
    fn set_comparison(&self) -> Result<()> {
        unsafe extern "C" fn compare(a: *const lmdb::MDB_val, b: *const lmdb::MDB_val) -> c_int {
            // SAFETY: LMDB passes two keys, which stay as they are during the call; none of them lies nowhere.
            let [a, b] = unsafe { [&*a, &*b].map(|key| std::slice::from_raw_parts(key.mv_data.cast::<u8>(), key.mv_size)) };
            super::order::compare(a, b) as c_int
        }
        let txn = super::txn::begin_read(self)?;
        let mut dbi = 0;
        // SAFETY: a live transaction, a null name (the main database), an out-pointer; nobody else has the environment yet, and the order is that in which LMDB itself would keep
        // the keys.
        let rc = unsafe {
            match lmdb::mdb_dbi_open(txn, ptr::null(), 0, &mut dbi) {
                0 => lmdb::mdb_set_compare(txn, dbi, Some(compare)),
                rc => rc,
            }
        };
        super::txn::end_read(self, txn);
        check(rc)?;
        assert_eq!(dbi, MAIN);
        Ok(())
    }

    /// The data file's descriptor, if it is still what it was.
    pub(super) fn data(&self) -> Option<BorrowedFd<'_>> {
        let (raw, id) = self.fds[0];
        // SAFETY: the environment's, open while it is.
        fd::refers_to(raw, id).then(|| unsafe { BorrowedFd::borrow_raw(raw) })
    }

    /// Numbers about the committed state.
    pub(super) fn info(&self) -> lmdb::MDB_envinfo {
        let mut info = std::mem::MaybeUninit::zeroed();
        // SAFETY: an open environment and an out-pointer; the structure is plain numbers, valid when zero.
        unsafe {
            lmdb::mdb_env_info(self.raw, info.as_mut_ptr());
            info.assume_init()
        }
    }

    /// Forgets the snapshots of dead processes.
    pub(super) fn clear_dead_readers(&self) -> Result<()> {
        let mut dead = 0;
        // SAFETY: an open environment and an out-pointer.
        check(unsafe { lmdb::mdb_reader_check(self.raw, &mut dead) })
    }

    /// Whether the reader table names this process. Just after opening, such entries are left over from the image that ran before an exec, or
    /// from a dead process with the same number; LMDB takes them for alive as long as this process is.
    pub(super) fn has_own_readers(&self) -> bool {
        extern "C" fn visit(line: *const c_char, found: *mut c_void) -> c_int {
            // SAFETY: LMDB passes a terminated string and the pointer given below.
            let (line, found) = unsafe { (CStr::from_ptr(line), &mut *found.cast::<(i32, u32)>()) };
            let pid = line.to_str().ok().and_then(|l| l.split_whitespace().next()).and_then(|w| w.parse::<i32>().ok());
            found.1 += u32::from(pid == Some(found.0));
            0
        }
        let mut found = (rustix::process::getpid().as_raw_nonzero().get(), 0u32);
        // SAFETY: an open environment; the callback runs before the call returns.
        unsafe { lmdb::mdb_reader_list(self.raw, Some(visit), (&raw mut found).cast()) };
        // One is ours: the transaction that `set_comparison` cached.
        found.1 > 1
    }

    /// Closes it, for another to be opened by the same process.
    pub(super) fn close(mut self) {
        self.leave_descriptors();
    }

    /// In a forked child: gives up the parent's environment. What is returned is to be [closed](Env::close_left) later: LMDB frees memory then, and the program's `malloc` may have locks that its own
    /// handler of the fork has yet to open; and a child that executes another program never has to.
    fn abandon(mut self: Box<Self>) -> Option<Box<Self>> {
        // The cached transactions hold reader slots of the parent: not ours to free.
        self.cache = Default::default();
        if self.writers.load(Ordering::Acquire) != 0 {
            // Another thread of the parent was writing, so the environment's heap may be half changed. It stays, with its mappings.
            self.close_descriptors();
            self.raw = ptr::null_mut();
            return None;
        }
        Some(self)
    }

    /// Closes what [`Env::abandon`] left.
    fn close_left(mut self: Box<Self>) {
        self.close_descriptors();
    }

    /// In a forked child: closes what it has of the parent's environment, and LMDB will not.
    fn close_descriptors(&mut self) {
        self.leave_descriptors();
        self.guard = None;
        let fields = self.raw.cast::<RawFd>();
        for (i, (raw, id)) in self.fds.iter_mut().enumerate().filter(|(_, (raw, _))| *raw >= 0) {
            fd::close_if_ours(*raw, *id);
            // SAFETY: as in `move_descriptors`. LMDB does not close a negative number.
            unsafe { fields.add(i).write(-1) };
            *raw = -1;
        }
    }

    /// Before closing: takes from LMDB the descriptors that the next environment will need (see [`fd`]), and those whose numbers are the program's by now.
    fn leave_descriptors(&mut self) {
        // Otherwise it is closed after LMDB's, whose closing would end the lock for all if nobody else held it.
        if self.guard.as_ref().is_some_and(Fd::leave_open) {
            std::mem::forget(self.guard.take());
        }
        let fields = self.raw.cast::<RawFd>();
        for (i, (raw, id)) in self.fds.iter_mut().enumerate() {
            if *raw >= 0 && (!fd::refers_to(*raw, *id) || fd::leave_open(*raw, *id)) {
                // SAFETY: as in `move_descriptors`. LMDB does not close a negative number.
                unsafe { fields.add(i).write(-1) };
                *raw = -1;
            }
        }
    }
}

impl Drop for Env {
    fn drop(&mut self) {
        if self.raw.is_null() {
            return;
        }
        for slot in &self.cache {
            let txn = slot.swap(ptr::null_mut(), Ordering::AcqRel);
            if !txn.is_null() {
                // SAFETY: a transaction in the cache belongs to nobody else.
                unsafe { lmdb::mdb_txn_abort(txn) };
            }
        }
        self.fds.iter().for_each(|(raw, _)| fd::takes_back(*raw));
        // SAFETY: `Env` is dropped when no transaction borrows it.
        unsafe { lmdb::mdb_env_close(self.raw) };
    }
}

/// A place for an environment that is opened at its first use, again after a fork, and again after a thread died in it.
pub(super) struct EnvCell {
    env: AtomicPtr<Env>,
    /// What a fork has left to be closed before another is opened.
    left: AtomicPtr<Env>,
    /// 1 while a thread opens. A spin lock, because a forked child must be able to reset it.
    opening: AtomicU32,
}

impl EnvCell {
    /// A place with an open environment.
    pub(super) fn new(env: Env) -> Self {
        Self { env: AtomicPtr::new(Box::into_raw(Box::new(env))), left: AtomicPtr::new(ptr::null_mut()), opening: AtomicU32::new(0) }
    }

    /// The environment, opened with `open` if there is none.
    pub(super) fn get(&self, open: impl FnOnce() -> Result<Env>) -> Result<&Env> {
        let env = self.env.load(Ordering::Acquire);
        if !env.is_null() {
            // SAFETY: an environment is freed only by `abandon_after_fork`, whose caller holds no reference, and by dropping `self`.
            return Ok(unsafe { &*env });
        }
        self.open(open)
    }

    #[cold]
    #[inline(never)]
    fn open(&self, open: impl FnOnce() -> Result<Env>) -> Result<&Env> {
        while self.opening.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            pause();
        }
        let mut result = Ok(());
        if self.env.load(Ordering::Acquire).is_null() {
            self.close_left();
            result = open().map(|env| self.env.store(Box::into_raw(Box::new(env)), Ordering::Release));
        }
        self.opening.store(0, Ordering::Release);
        result?;
        // SAFETY: as above; it is not null now.
        Ok(unsafe { &*self.env.load(Ordering::Acquire) })
    }

    /// Withdraws `env`, in which a thread died while writing. It stays in memory for those who still read.
    pub(super) fn retire(&self, env: &Env) {
        let old = ptr::from_ref(env).cast_mut();
        let _ = self.env.compare_exchange(old, ptr::null_mut(), Ordering::AcqRel, Ordering::Relaxed);
    }

    /// In a forked child, where no transaction of the parent may be in use: leaves the parent's environment.
    pub(super) fn abandon_after_fork(&self) {
        self.opening.store(0, Ordering::Release);
        let env = self.env.swap(ptr::null_mut(), Ordering::AcqRel);
        if !env.is_null() {
            // SAFETY: made by `Box::into_raw`, withdrawn from the place just now, and not referred to in this process.
            let left = unsafe { Box::from_raw(env) }.abandon();
            // None is there already: it was closed when this one was opened.
            self.left.store(left.map_or(ptr::null_mut(), Box::into_raw), Ordering::Release);
        }
    }

    fn close_left(&self) {
        let left = self.left.swap(ptr::null_mut(), Ordering::AcqRel);
        if !left.is_null() {
            // SAFETY: made by `Box::into_raw` after the fork, and referred to by nobody.
            unsafe { Box::from_raw(left) }.close_left();
        }
    }
}

impl Drop for EnvCell {
    fn drop(&mut self) {
        self.close_left();
        let env = self.env.swap(ptr::null_mut(), Ordering::AcqRel);
        if !env.is_null() {
            // SAFETY: made by `Box::into_raw`; whoever drops the place has no transaction left.
            drop(unsafe { Box::from_raw(env) });
        }
    }
}

/// Opens LMDB's part of an environment.
fn create(path: &CStr, map_size: usize) -> Result<*mut lmdb::MDB_env> {
    let mut raw = ptr::null_mut();
    // SAFETY: an out-pointer.
    check(unsafe { lmdb::mdb_env_create(&mut raw) })?;
    let flags = lmdb::MDB_NOSYNC | lmdb::MDB_WRITEMAP | lmdb::MDB_NOTLS | lmdb::MDB_NOMETASYNC | lmdb::MDB_NOMEMINIT;
    // SAFETY: `raw` was created above and is not open yet.
    let opened = unsafe {
        check(lmdb::mdb_env_set_mapsize(raw, map_size))
            .and_then(|()| check(lmdb::mdb_env_set_maxreaders(raw, READERS)))
            .and_then(|()| check(lmdb::mdb_env_open(raw, path.as_ptr(), flags, 0o600)))
    };
    // SAFETY: closing is what LMDB asks for after a failed open; nobody else has `raw`.
    opened.map(|()| raw).inspect_err(|_| unsafe { lmdb::mdb_env_close(raw) })
}

/// Makes the two files with the permissions their directory suggests: LMDB's would be the creator's alone.
fn make_files(dir: &Path) -> Result<()> {
    for name in ["data.mdb", "lock.mdb"] {
        crate::media::file::File::create_new(&dir.join(name)).map_err(Error::io("making the metadata KV"))?;
    }
    Ok(())
}

/// Opens the lock file and, if `lock`, holds a shared lock on its first byte for as long as the result lives.
///
/// LMDB sets the lock file up anew, mutexes and reader table included, whenever it can lock that byte exclusively. The byte is guarded by locks
/// that a process loses as soon as anything in it closes a descriptor of the file, and that a forked child never has: so the file could be wiped
/// under the feet of living users. Locks of open file descriptions have neither weakness, and conflict with LMDB's even within one process.
fn guard_lock_file(path: &Path, lock: bool) -> Result<Fd> {
    let guard = Fd::open(path, OFlags::RDWR, Mode::empty()).map_err(Error::io("opening the metadata KV"))?;
    if lock {
        // SAFETY: plain numbers, valid when zero.
        let mut region: libc::flock = unsafe { std::mem::zeroed() };
        region.l_type = libc::F_RDLCK as _;
        region.l_whence = libc::SEEK_SET as _;
        region.l_len = 1;
        // SAFETY: an open descriptor and a valid structure. (rustix has no locks of open file descriptions. LMDB calls `fcntl` too, so
        // whoever interposes it lets these calls pass.)
        if unsafe { libc::fcntl(guard.raw(), libc::F_OFD_SETLKW, &region) } != 0 {
            return Err(Error::Io("locking the metadata KV", std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)));
        }
    }
    Ok(guard)
}
