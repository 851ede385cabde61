//! Processes that are killed behind any instruction of a call: executed step by step, so that no moment is too short to be found. Another process, which stays, goes on with the same files: no count is too low,
//! each file is what it was or what the call makes of it, there is space for all that was promised some; and whoever opens the pool next when nobody uses it makes all counts exact.
//!
//! `FLAC_STEPS=N` says how many kills (15 unless said), `FLAC_SEED=N` where to begin.
#![expect(unsafe_code, reason = "forks and traces")]

mod cuts;
mod flushes;
mod trace;

use flac::fs::attr::Creds;
use flac::fs::names::{Last, Name, Resolved};
use flac::fs::open::OpenId;
use flac::media::{Pool, PoolOptions};
use flac::units::Ino;
use flac::{Config, Error, Fs};
use flac_outside::random::{Random, number};
use std::sync::{Mutex, MutexGuard, PoisonError};

const ROOT: Creds<'static> = Creds { uid: 0, gid: 0, groups: &[], umask: 0o022 };
const PAGE: usize = 4096;
/// Pages of a file.
const PAGES: usize = 24;
const FILES: [&str; 4] = ["a", "b", "c", "d"];

/// What the child does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Call {
    /// Writes the first pages of a file and syncs it.
    Write(usize, usize),
    /// Syncs what others have written.
    Sync(usize),
    /// Makes durable what is logged, so that pool frames become free.
    Settle,
    /// Makes a file so many bytes long, and syncs it.
    Cut(usize, usize),
    /// Removes a file.
    Remove(usize),
    /// Gives a file the name of another.
    Rename(usize, usize),
    /// Copies a file to another, and syncs that.
    Copy(usize, usize),
    /// Stores to a file through a mapping, and syncs that.
    Store(usize),
    /// Changes a private mapping of a file.
    View(usize),
    /// Makes a hole, and syncs the file.
    Punch(usize),
    /// Makes a file of so many pages with another name, syncs it, and removes it.
    Make(usize),
}

impl Call {
    fn any(random: &mut Random) -> Call {
        let file = random.below(4) as usize;
        let other = (file + 1 + random.below(3) as usize) % 4;
        // What a record carries, and what is written beside it.
        let pages = [1, 3, 12, PAGES][random.below(4) as usize];
        match random.below(16) {
            0..3 => Call::Write(file, pages),
            3..6 => Call::Sync(file),
            6 => Call::Cut(file, [0, 100, PAGE, 11 * PAGE, 11 * PAGE + 100][random.below(5) as usize]),
            7 => Call::Remove(file),
            8 if pages == 1 => Call::Settle,
            8 => Call::Rename(file, other),
            9 => Call::Copy(file, other),
            10 | 11 => Call::Store(file),
            12 => Call::View(file),
            13 => Call::Punch(file),
            _ => Call::Make([2, 300][pages % 2]),
        }
    }

    /// The file that it changes.
    fn file(self) -> usize {
        match self {
            Call::Write(file, _) | Call::Sync(file) | Call::Cut(file, _) | Call::Remove(file) => file,
            Call::Rename(_, file) | Call::Copy(_, file) | Call::Store(file) | Call::View(file) | Call::Punch(file) => file,
            Call::Settle | Call::Make(_) => 0,
        }
    }

    /// Calls that take about as many instructions.
    fn kind(self) -> (u8, usize) {
        match self {
            Call::Write(_, pages) => (0, pages),
            Call::Sync(_) => (1, 0),
            Call::Cut(_, size) => (2, size),
            Call::Remove(_) => (3, 0),
            Call::Rename(..) => (4, 0),
            Call::Copy(..) => (5, 0),
            Call::Settle => (6, 0),
            Call::Store(_) => (7, 0),
            Call::View(_) => (8, 0),
            Call::Punch(_) => (9, 0),
            Call::Make(pages) => (10, pages),
        }
    }
}

/// A pool, a process that stays (this one), and what its files were last made by it: each page is one value throughout.
struct Site {
    fs: Option<Fs>,
    config: Config,
    _dir: tempfile::TempDir,
    value: u8,
    _alone: MutexGuard<'static, ()>,
}

/// One pool at a time: what another test forks would have copies of the descriptors of this one's, and with them the note that somebody uses it, after all its users have left.
static ALONE: Mutex<()> = Mutex::new(());

fn name(file: usize) -> Name {
    Name::new(FILES[file].as_bytes()).expect("a short name")
}

/// A file that is made and goes.
fn other() -> Name {
    Name::new(b"other").expect("a short name")
}

impl Site {
    fn new(place: &str) -> Site {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::Builder::new().prefix("test-of-flac-").tempdir_in(place).expect("a temporary directory");
        Pool::create(dir.path(), &PoolOptions { size: 32 << 20, ..Default::default() }).expect("a pool");
        let config = Config { dram: Some(16 << 20), ..Config::new(dir.path()) };
        let site = Site { fs: Some(Fs::open(&config).expect("the pool opens")), config, _dir: dir, value: 0, _alone: alone };
        (0..4).for_each(|file| _ = site.make(file));
        site
    }

    fn fs(&self) -> &Fs {
        self.fs.as_ref().expect("open")
    }

    fn find(&self, file: usize) -> Option<Ino> {
        match self.fs().resolve(Ino::ROOT, FILES[file].as_bytes(), Last::Follow, &ROOT) {
            Ok(Resolved::Found { ino, .. }) => Some(ino),
            Ok(_) => None,
            Err(e) => panic!("{}: {e}", FILES[file]),
        }
    }

    fn make(&self, file: usize) -> Ino {
        self.find(file).unwrap_or_else(|| self.fs().create(Ino::ROOT, &name(file), libc::S_IFREG | 0o644, 0, &ROOT).expect("a file"))
    }

    fn open(&self, file: usize, hold: usize) -> (Ino, OpenId) {
        let ino = self.make(file);
        (ino, self.fs().open_file(ino, libc::O_RDWR, hold).expect("it opens"))
    }

    /// In the child.
    fn call(&self, call: Call, value: u8) {
        let fs = self.fs();
        match call {
            Call::Write(file, pages) => {
                let (ino, id) = self.open(file, 10);
                fs.write_bytes(id, &vec![value; pages * PAGE], 0).expect("a write");
                fs.sync(ino).expect("a sync");
            }
            Call::Sync(file) => fs.sync(self.make(file)).expect("a sync"),
            Call::Settle => fs.sync_all().expect("a sync"),
            Call::Cut(file, size) => {
                let ino = self.make(file);
                fs.truncate(ino, size as u64).expect("a shorter file");
                fs.sync(ino).expect("a sync");
            }
            Call::Remove(file) => fs.unlink(Ino::ROOT, &name(file), &ROOT).expect("it goes"),
            Call::Rename(from, to) => fs.rename((Ino::ROOT, &name(from)), (Ino::ROOT, &name(to)), 0, &ROOT).expect("a new name"),
            Call::Copy(from, to) => {
                let (from, to) = (self.make(from), self.make(to));
                fs.copy_range(from, 0, to, 0, (PAGES * PAGE) as u64).expect("a copy");
                fs.sync(to).expect("a sync");
            }
            Call::Store(file) => self.map(file, libc::MAP_SHARED, value),
            Call::View(file) => self.map(file, libc::MAP_PRIVATE, value),
            Call::Punch(file) => {
                let ino = self.make(file);
                let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
                fs.allocate(ino, mode, 2 * PAGE as u64, 9 * PAGE as u64).expect("a hole");
                fs.sync(ino).expect("a sync");
            }
            Call::Make(pages) => {
                let id = fs.create_open(Ino::ROOT, &other(), libc::S_IFREG | 0o600, &ROOT, libc::O_RDWR, 10).expect("a file");
                fs.write_bytes(id, &vec![value; pages * PAGE], 0).expect("a write");
                fs.sync(fs.open_ino(id)).expect("a sync");
                fs.unlink(Ino::ROOT, &other(), &ROOT).expect("it goes");
                fs.release(10);
            }
        }
    }

    /// Maps a file, stores to some pages, syncs what is mapped and unmaps it.
    fn map(&self, file: usize, flags: i32, value: u8) {
        let (fs, ino, len) = (self.fs(), self.make(file), PAGES * PAGE);
        // SAFETY: a new mapping, anywhere.
        let at = unsafe { fs.map(ino, 0, len, libc::PROT_READ | libc::PROT_WRITE, flags, 0) }.expect("a mapping");
        // SAFETY: it is as long as the file, and nobody else has it.
        (0..len).step_by(5 * PAGE / 2).for_each(|byte| unsafe { (at as *mut u8).add(byte).write_volatile(value) });
        if flags == libc::MAP_SHARED {
            fs.sync_mapped(at, len).expect("a sync");
        }
        fs.unmapped(at, len);
        // SAFETY: as above.
        assert_eq!(unsafe { libc::munmap(at as *mut _, len) }, 0);
    }

    /// Writes all files anew, each page with its value; not yet durable.
    fn fill(&mut self) {
        self.value = self.value % 200 + 1;
        for (file, shown) in FILES.iter().enumerate() {
            let (ino, id) = self.open(file, 1);
            self.fs().truncate(ino, (PAGES * PAGE) as u64).expect("a size");
            self.fs().write_bytes(id, &self.filled(file), 0).unwrap_or_else(|e| panic!("{shown}: {e}"));
            self.fs().release(1);
        }
    }

    /// Has the files' pages lie one here and one there, and removes them: each of their frames waits by itself for the log.
    fn scatter_and_remove(&self) {
        for page in 0..PAGES {
            for file in 0..4 {
                let (ino, id) = self.open(file, 1);
                self.fs().write_bytes(id, &[254; PAGE], (page * PAGE) as u64).expect("a write");
                self.fs().sync(ino).expect("a sync");
                self.fs().release(1);
            }
        }
        (0..4).for_each(|file| self.fs().unlink(Ino::ROOT, &name(file), &ROOT).expect("it goes"));
    }

    /// What a file is now; `None`: it is not there.
    fn read(&self, file: usize) -> Option<Vec<u8>> {
        let id = self.fs().open_file(self.find(file)?, libc::O_RDONLY, 1).expect("it opens");
        let mut bytes = vec![0; 2 * PAGES * PAGE];
        let n = self.fs().read_bytes(id, &mut bytes, 0).expect("it reads");
        bytes.truncate(n);
        self.fs().release(1);
        Some(bytes)
    }

    /// What `fill` made of a file.
    fn filled(&self, file: usize) -> Vec<u8> {
        (0..PAGES).flat_map(|page| [self.value.wrapping_add((file * PAGES + page) as u8); PAGE]).collect()
    }

    /// Whether the files are what `call` makes of them, or what they were before, or for what is no single step, some of both.
    fn is_before_or_after(&self, call: Call) {
        let is: Vec<_> = (0..4).map(|file| self.read(file)).collect();
        let was: Vec<_> = (0..4).map(|file| Some(self.filled(file))).collect();
        let partly = |file: usize, to: &dyn Fn(usize) -> u8| {
            let (is, was) = (is[file].as_ref().expect("it is there"), was[file].as_ref().expect("it was there"));
            assert_eq!(is.len(), was.len());
            let wrong = (0..is.len()).find(|i| is[*i] != was[*i] && is[*i] != to(*i));
            assert_eq!(wrong, None, "{call:?}: a byte of {} is of neither content", FILES[file]);
        };
        let mut after = was.clone();
        match call {
            Call::Sync(_) | Call::View(_) | Call::Make(_) => {}
            Call::Settle => after.fill(None),
            Call::Write(file, pages) => {
                partly(file, &|at| if at < pages * PAGE { 255 } else { was[file].as_ref().expect("it was there")[at] });
                after[file].clone_from(&is[file]);
            }
            Call::Store(file) => {
                partly(file, &|at| if at % (5 * PAGE / 2) == 0 { 255 } else { was[file].as_ref().expect("it was there")[at] });
                after[file].clone_from(&is[file]);
            }
            Call::Punch(file) => {
                partly(file, &|at| if (2..11).contains(&(at / PAGE)) { 0 } else { was[file].as_ref().expect("it was there")[at] });
                after[file].clone_from(&is[file]);
            }
            Call::Copy(from, to) => {
                partly(to, &|at| was[from].as_ref().expect("it was there")[at]);
                after[to].clone_from(&is[to]);
            }
            Call::Cut(file, size) => after[file].as_mut().expect("it was there").truncate(size),
            Call::Remove(file) => after[file] = None,
            Call::Rename(from, to) => after[to] = after[from].take(),
        }
        if is != after {
            let before = if call == Call::Settle { vec![None; 4] } else { was };
            let wrong = (0..4).find(|file| is[*file] != before[*file]);
            let size = |file: usize| is[file].as_ref().map(Vec::len);
            assert_eq!(wrong.map(|file| (FILES[file], size(file))), None, "{call:?}: neither done nor not done");
        }
    }

    fn compare(&self) {
        for (file, shown) in FILES.iter().enumerate() {
            assert!(self.read(file) == Some(self.filled(file)), "{shown}");
        }
    }

    fn sync(&self) {
        // A pool that dead processes left full of what nobody needs any more.
        match self.fs().sync_all() {
            Ok(()) => {}
            Err(Error::NoSpace) => panic!("there was a promise of space"),
            Err(e) => panic!("a sync: {e}"),
        }
    }

    fn no_count_is_too_low(&self) {
        let wrong = self.fs().check_counts();
        let is_free = |what: &str| what.starts_with("free ");
        let too_low: Vec<_> = wrong.iter().filter(|d| if is_free(&d.what) { d.is > d.should } else { d.is < d.should }).collect();
        assert!(too_low.is_empty(), "{too_low:?}");
    }

    /// Runs `work` in a child and kills it behind so many instructions. What it held is given up.
    fn killed_behind(&self, steps: u64, work: impl FnOnce()) -> Result<(), u64> {
        let fs = self.fs();
        let token = fs.before_fork().expect("a slot for the child");
        let fork = || {
            // SAFETY: the child calls nothing that needs another thread.
            let child = unsafe { libc::fork() };
            if child == 0 {
                fs.after_fork_child(token);
                fs.reopen();
            } else {
                fs.after_fork_parent(token, (child > 0).then_some(child));
            }
            child
        };
        let killed = trace::killed_behind(steps, fork, work);
        fs.reap_all();
        killed
    }

    /// The child's death behind so many instructions, and what comes after it.
    fn die(&mut self, call: Call, steps: u64, reboots: bool) -> Result<(), u64> {
        self.fill();
        if !matches!(call, Call::Sync(_)) {
            self.sync();
        }
        if call == Call::Settle {
            self.scatter_and_remove();
        }
        let killed = self.killed_behind(steps, || self.call(call, 255));
        self.no_count_is_too_low();
        self.is_before_or_after(call);
        // First to the very file, alone: what its flusher has left is flushed, and no more.
        self.fs().sync(self.make(call.file())).expect("a sync");
        match self.fs().unlink(Ino::ROOT, &other(), &ROOT) {
            Ok(()) | Err(Error::Os(libc::ENOENT)) => {}
            Err(e) => panic!("the other file: {e}"),
        }
        self.no_count_is_too_low();
        if reboots {
            let seen: Vec<_> = (0..4).map(|file| self.read(file)).collect();
            self.sync();
            self.reboot();
            (0..4).for_each(|file| assert!(self.read(file) == seen[file], "{call:?}: {} is another after a reboot", FILES[file]));
        }
        self.fill();
        self.compare();
        self.sync();
        self.compare();
        self.no_count_is_too_low();
        assert_eq!(self.fs().check(true).expect("a check"), Vec::<String>::new());
        killed
    }

    /// Everybody leaves, and the next one counts anew.
    fn reopen(&mut self) {
        self.fs.take().expect("open").exit();
        self.fs = Some(Fs::open(&self.config).expect("the pool opens"));
        assert_eq!(self.fs().check_counts(), []);
        self.compare();
    }

    /// Everything volatile is lost.
    fn reboot(&mut self) {
        self.end();
        self.fs = Some(Fs::open(&self.config).expect("the pool opens"));
    }

    fn end(&mut self) {
        if let Some(fs) = self.fs.take() {
            fs.exit();
            let run = fs.run_dir().to_owned();
            let _ = std::fs::read_link(run.join("dram")).map(std::fs::remove_file);
            let _ = std::fs::remove_dir_all(run);
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.end();
    }
}

fn kills(place: &str) {
    let seed = number("FLAC_SEED").unwrap_or(1);
    println!("FLAC_SEED={seed}");
    let mut random = Random(seed);
    let mut site = Site::new(place);
    let mut lengths = std::collections::HashMap::new();
    let mut killed = 0;
    while killed < number("FLAC_STEPS").unwrap_or(15) {
        let call = Call::any(&mut random);
        let steps = lengths.get(&call.kind()).map_or(u64::MAX, |length| random.below(*length));
        println!("{call:?}, killed behind {steps}");
        match site.die(call, steps, random.below(4) == 0) {
            Ok(()) => killed += 1,
            Err(length) => drop(lengths.insert(call.kind(), length)),
        }
        if random.below(4) == 0 {
            site.reopen();
        }
    }
    site.reopen();
}

#[test]
fn a_kill_behind_any_instruction_leaves_the_others_a_sound_pool_on_a_disk() {
    kills(&std::env::temp_dir().to_string_lossy());
}

#[test]
fn a_kill_behind_any_instruction_leaves_the_others_a_sound_pool_in_memory() {
    kills("/dev/shm");
}
