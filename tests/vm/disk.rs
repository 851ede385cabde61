//! A disk with a volatile write cache: an NBD server for one client. What was written since the last flush lives in this process's memory only, and a cut of
//! the power keeps any subset of its sectors.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread::JoinHandle;

use flac_outside::random::Random;

const SECTOR: usize = 512;
/// A device writes back by itself when its cache is full.
const CACHE_SECTORS: usize = (64 << 20) / SECTOR;

/// The image and what has not reached it.
pub struct Disk {
    image: File,
    cache: BTreeMap<u64, [u8; SECTOR]>,
    /// Flushes and writes with forced unit access.
    pub flushes: u64,
    /// Whether it does what a flush asks for.
    honest: bool,
}

impl Disk {
    /// The disk whose durable content is the file `image`; one that is not `honest` ignores flushes.
    pub fn open(image: &Path, honest: bool) -> io::Result<Self> {
        Ok(Self { image: File::options().read(true).write(true).open(image)?, cache: BTreeMap::new(), flushes: 0, honest })
    }

    /// Serves one client that connects to `socket`, until it goes away.
    pub fn serve(mut self, socket: &Path) -> io::Result<JoinHandle<Self>> {
        let listener = UnixListener::bind(socket)?;
        Ok(std::thread::spawn(move || {
            let served = listener.accept().and_then(|(client, _)| self.talk(&client));
            // A client that was killed just stops in the middle.
            let gone = [io::ErrorKind::UnexpectedEof, io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
            if let Err(error) = served
                && !gone.contains(&error.kind())
            {
                panic!("the disk: {error}");
            }
            self
        }))
    }

    /// The power is gone: of what was not flushed a random part has reached the medium, in whole sectors. Returns sectors kept and lost.
    pub fn cut(mut self, random: &mut Random) -> io::Result<(usize, usize)> {
        // All, nothing, or any of them; a disk that lies does it to lose something.
        let kept_of_four = if self.honest { [0, 2, 4][random.below(3) as usize] } else { 0 };
        let all = self.cache.len();
        self.cache.retain(|_, _| random.below(4) < kept_of_four);
        let kept = self.cache.len();
        self.write_back()?;
        Ok((kept, all - kept))
    }

    fn write_back(&mut self) -> io::Result<()> {
        for (sector, bytes) in std::mem::take(&mut self.cache) {
            self.image.write_all_at(&bytes, sector * SECTOR as u64)?;
        }
        Ok(())
    }

    fn read(&self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.image.read_exact_at(bytes, at)?;
        let first = at / SECTOR as u64;
        for (sector, cached) in self.cache.range(first..first + (bytes.len() / SECTOR) as u64) {
            let within = (sector - first) as usize * SECTOR;
            bytes[within..within + SECTOR].copy_from_slice(cached);
        }
        Ok(())
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        for (n, sector) in bytes.as_chunks::<SECTOR>().0.iter().enumerate() {
            self.cache.insert(at / SECTOR as u64 + n as u64, *sector);
        }
        if self.cache.len() > CACHE_SECTORS { self.write_back() } else { Ok(()) }
    }

    fn talk(&mut self, client: &UnixStream) -> io::Result<()> {
        let mut from = BufReader::new(client);
        let mut to = client;
        self.agree(&mut from, &mut to)?;
        loop {
            assert_eq!(u32_of(&mut from)?, 0x2560_9513, "a request");
            let forced = u16_of(&mut from)? & 1 != 0;
            let command = u16_of(&mut from)?;
            let (handle, at, len) = (u64_of(&mut from)?, u64_of(&mut from)?, u32_of(&mut from)? as usize);
            assert!(at.is_multiple_of(SECTOR as u64) && len.is_multiple_of(SECTOR), "{len} bytes at {at} are not whole sectors");
            let mut reply = [&0x6744_6698u32.to_be_bytes()[..], &[0; 4], &handle.to_be_bytes()].concat();
            match command {
                0 => {
                    let head = reply.len();
                    reply.resize(head + len, 0);
                    self.read(at, &mut reply[head..])?;
                }
                1 => {
                    let mut bytes = vec![0; len];
                    from.read_exact(&mut bytes)?;
                    self.write(at, &bytes)?;
                }
                2 => return Ok(()),
                3 => {}
                other => panic!("request {other} was not offered"),
            }
            if command == 3 || forced {
                self.flushes += 1;
                if self.honest {
                    self.write_back()?;
                }
            }
            to.write_all(&reply)?;
        }
    }

    /// The fixed new-style negotiation; there is one export, whatever its name.
    fn agree(&self, from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
        const HAS_FLAGS_FLUSH_FUA: u16 = 1 | 4 | 8;
        to.write_all(b"NBDMAGICIHAVEOPT\0\x03")?;
        u32_of(from)?;
        loop {
            u64_of(from)?;
            let option = u32_of(from)?;
            let mut data = vec![0; u32_of(from)? as usize];
            from.read_exact(&mut data)?;
            let mut reply = |kind: u32, data: &[u8]| {
                let head = [&0x0003_e889_0455_65a9u64.to_be_bytes()[..], &option.to_be_bytes(), &kind.to_be_bytes()].concat();
                to.write_all(&[&head, &(data.len() as u32).to_be_bytes()[..], data].concat())
            };
            match option {
                6 | 7 => {
                    let size = self.image.metadata()?.len();
                    reply(3, &[&[0; 2][..], &size.to_be_bytes(), &HAS_FLAGS_FLUSH_FUA.to_be_bytes()].concat())?;
                    reply(1, &[])?;
                    if option == 7 {
                        return Ok(());
                    }
                }
                _ => reply(1 << 31 | 1, &[])?,
            }
        }
    }
}

fn array<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).map(|()| bytes)
}

fn u16_of(from: &mut impl Read) -> io::Result<u16> {
    array(from).map(u16::from_be_bytes)
}

fn u32_of(from: &mut impl Read) -> io::Result<u32> {
    array(from).map(u32::from_be_bytes)
}

fn u64_of(from: &mut impl Read) -> io::Result<u64> {
    array(from).map(u64::from_be_bytes)
}
