//! The third worker, in the machine: the changes of `tests/kill/worker.c`, made through `flac::Fs` without the preload library. `verify.py` knows the rules.
#![expect(unsafe_code, reason = "write takes raw buffers")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use flac::fs::attr::Creds;
use flac::fs::names::{Last, Name, Resolved};
use flac::units::Ino;
use flac::{Config, Fs, Result};

use flac_outside::random::{Random, mix};

const ROOT: Creds<'static> = Creds { uid: 0, gid: 0, groups: &[], umask: 0o022 };
const OVERWRITE_LENGTH: usize = 24 * 4096 + 100;
/// Where this program holds the one file that it has open.
const HOLD: usize = 0;

struct Worker {
    fs: Fs,
    id: u64,
    number: u64,
    own: Ino,
    shared: Ino,
    /// The machine's ports: a byte written at offset N goes out at port N, and is with the host when the write returns.
    ports: File,
    port: u64,
}

/// Works until it is killed: `ID SEED POOL PORT NUMBER`.
pub fn work(args: &[String]) -> Result<()> {
    let [id, seed, pool, port, number] = args else { panic!("worker ID SEED POOL PORT NUMBER") };
    let parse = |text: &String| text.parse::<u64>().expect("a number");
    let fs = Fs::open(&Config::new(Path::new(pool)))?;
    let dir = |name: &str| match fs.resolve(Ino::ROOT, name.as_bytes(), Last::Follow, &ROOT) {
        Ok(Resolved::Found { ino, .. }) => ino,
        other => panic!("{name} is not there: {other:?}"),
    };
    let (own, shared) = (dir(&format!("w{id}")), dir("shared"));
    let ports = File::options().write(true).open("/dev/port").expect("the ports");
    let port = u64::from_str_radix(port.trim_start_matches("0x"), 16).expect("a port");
    let mut worker = Worker { fs, id: parse(id), number: parse(number), own, shared, ports, port };
    let mut random = Random(parse(seed));
    loop {
        worker.step(&mut random)?;
    }
}

impl Worker {
    fn step(&mut self, random: &mut Random) -> Result<()> {
        let which = random.below(4);
        self.number += 1;
        match random.below(16) {
            0..=4 => self.append(self.own, "append", &format!("a{which}")),
            5..=7 => self.append(self.shared, "log", "log"),
            8..=11 => self.overwrite(&format!("o{which}")),
            12..=14 => self.replace(&format!("r{which}")),
            _ => self.unlink(&format!("{}{which}", ["a", "o", "r"][random.below(3) as usize])),
        }
    }

    fn note(&self, kind: char, op: &str, name: &str) {
        for byte in format!("{kind} {op} {name} {}\n", self.number).bytes() {
            self.ports.write_all_at(&[byte], self.port).expect("a byte to the host");
        }
    }

    fn letters(&self, length: usize) -> Vec<u8> {
        let bits = mix(self.number);
        (0..length).map(|at| b'a' + (bits >> (at % 8 * 8) & 15) as u8).collect()
    }

    fn find(&self, dir: Ino, name: &str) -> Result<Option<Ino>> {
        match self.fs.resolve(dir, name.as_bytes(), Last::Keep, &ROOT)? {
            Resolved::Found { ino, .. } => Ok(Some(ino)),
            _ => Ok(None),
        }
    }

    /// Writes `bytes` at `at`, or at the end, to the file `name`, which is made if it is not there; durable afterwards.
    fn put(&self, dir: Ino, name: &str, bytes: &[u8], at: Option<u64>, truncate: bool) -> Result<()> {
        let ino = match self.find(dir, name)? {
            Some(ino) => ino,
            // Another worker can be faster.
            None => match self.fs.create(dir, &Name::new(name.as_bytes())?, libc::S_IFREG | 0o644, 0, &ROOT) {
                Err(error) if error.errno() == libc::EEXIST => self.find(dir, name)?.expect("it is there"),
                made => made?,
            },
        };
        let flags = libc::O_WRONLY | if at.is_none() { libc::O_APPEND } else { 0 } | if truncate { libc::O_TRUNC } else { 0 };
        let file = self.fs.open_file(ino, flags, HOLD)?;
        let iov = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        // SAFETY: the vector describes `bytes`, which is only read.
        let written = unsafe { self.fs.write(file, &[iov], at) }?;
        assert_eq!(written, bytes.len());
        self.fs.sync(ino)?;
        self.fs.release(HOLD);
        Ok(())
    }

    fn append(&self, dir: Ino, op: &str, name: &str) -> Result<()> {
        self.note('I', op, name);
        let length = 1 + mix(self.number + 77) as usize % 3900;
        let mut line = format!("{}:{}:{length}:", self.id, self.number).into_bytes();
        line.extend(self.letters(length));
        line.push(b'\n');
        self.put(dir, name, &line, None, false)?;
        self.note('K', op, name);
        Ok(())
    }

    fn overwrite(&self, name: &str) -> Result<()> {
        self.note('I', "overwrite", name);
        self.put(self.own, name, &self.letters(OVERWRITE_LENGTH), Some(0), false)?;
        self.note('K', "overwrite", name);
        Ok(())
    }

    fn replace(&self, name: &str) -> Result<()> {
        self.note('I', "replace", name);
        self.put(self.own, "tmp", &self.letters(OVERWRITE_LENGTH), Some(0), true)?;
        self.fs.rename((self.own, &Name::new(b"tmp")?), (self.own, &Name::new(name.as_bytes())?), 0, &ROOT)?;
        self.fs.sync(self.own)?;
        self.note('K', "replace", name);
        Ok(())
    }

    fn unlink(&self, name: &str) -> Result<()> {
        if self.find(self.own, name)?.is_none() {
            return Ok(());
        }
        self.note('I', "unlink", name);
        self.fs.unlink(self.own, &Name::new(name.as_bytes())?, &ROOT)?;
        self.fs.sync(self.own)?;
        self.note('K', "unlink", name);
        Ok(())
    }
}
