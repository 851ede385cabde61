//! Reads and writes within a page, which FLAC serves by a way of their own where nothing stands against it; here much does, by turns.

use crate::case::{Dir, Outcome, cases, content, pattern};
use crate::sys::{self, Fd, Raw};
use flac_outside::random::Random;
use libc::{O_APPEND, O_RDONLY, O_RDWR, O_WRONLY, SEEK_CUR, SEEK_SET};
use std::time::{Duration, Instant};

cases![small_calls_agree_with_a_model, a_handler_that_writes_by_the_same_offset_overwrites_nothing];

/// What an open file may be used for, and where it is.
struct Open {
    fds: Vec<Fd>,
    flags: i32,
    offset: usize,
}

impl Open {
    fn of(d: &Dir, flags: i32) -> Open {
        Open { fds: vec![sys::open(d.at("f"), flags, 0).expect("open")], flags, offset: 0 }
    }

    /// Puts bytes into the model as a write of `bytes` at `at` does, or one by the offset. How many; `None`: it is not open for that.
    fn write(&mut self, file: &mut Vec<u8>, bytes: &[u8], at: Option<usize>) -> Option<usize> {
        if self.flags & libc::O_ACCMODE == O_RDONLY {
            return None;
        }
        let start = if self.flags & O_APPEND != 0 { file.len() } else { at.unwrap_or(self.offset) };
        if !bytes.is_empty() {
            file.resize(file.len().max(start + bytes.len()), 0);
            file[start..start + bytes.len()].copy_from_slice(bytes);
            self.offset = if at.is_none() { start + bytes.len() } else { self.offset };
        }
        Some(bytes.len())
    }

    /// What a read of `len` bytes gives.
    fn read<'f>(&mut self, file: &'f [u8], len: usize, at: Option<usize>) -> Option<&'f [u8]> {
        if self.flags & libc::O_ACCMODE == O_WRONLY {
            return None;
        }
        let start = at.unwrap_or(self.offset).min(file.len());
        let bytes = &file[start..(start + len).min(file.len())];
        self.offset += if at.is_none() { bytes.len() } else { 0 };
        Some(bytes)
    }
}

fn small_calls_agree_with_a_model(d: &Dir) -> Outcome {
    const LARGEST: u64 = 40_000;
    let mut random = Random::seeded("small");
    let mut file = pattern(20_000, 3);
    d.file("f", &file);
    let mut opens = [O_RDWR, O_RDWR, O_RDWR | O_APPEND, O_RDONLY, O_WRONLY].map(|flags| Open::of(d, flags));
    let source = pattern(1 << 16, 4);
    for step in 0..30_000 {
        let open = &mut opens[random.below(5) as usize];
        let fd = open.fds[random.below(open.fds.len() as u64) as usize].raw();
        let at = (random.below(2) == 0).then(|| random.below(LARGEST) as usize);
        let len = match random.below(10) {
            0 => 0,
            1 => 4096,
            2 => 9000,
            3..6 => random.below(4096) as usize,
            _ => random.below(100) as usize,
        };
        match random.below(20) {
            0 => {
                let size = random.below(LARGEST);
                if sys::truncate(d.at("f"), size as i64).is_ok() {
                    file.resize(size as usize, 0);
                }
            }
            1 => sys::fsync(fd)?,
            2 => open.fds.push(sys::dup(fd)?),
            3 if open.fds.len() > 1 => open.fds.pop().expect("one").close()?,
            4 => {
                open.offset = random.below(LARGEST) as usize;
                sys::lseek(fd, open.offset as i64, SEEK_SET)?;
            }
            5..12 => {
                let from = random.below(1 << 15) as usize;
                let bytes = &source[from..from + len];
                let written = match at {
                    Some(at) => sys::pwrite(fd, bytes, at as i64),
                    None => sys::write(fd, bytes),
                };
                assert_eq!(written.ok(), open.write(&mut file, bytes, at), "step {step}: write of {len} at {at:?}");
            }
            _ => {
                let mut buffer = vec![0xa5; len];
                let read = match at {
                    Some(at) => sys::pread(fd, &mut buffer, at as i64),
                    None => sys::read(fd, &mut buffer),
                };
                let expected = open.read(&file, len, at);
                assert_eq!(read.ok(), expected.map(<[u8]>::len), "step {step}: read of {len} at {at:?}");
                assert!(expected.is_none_or(|expected| buffer.starts_with(expected)), "step {step}: read of {len} at {at:?}");
            }
        }
        assert_eq!(sys::lseek(&open.fds[0], 0, SEEK_CUR)?, open.offset as i64, "step {step}");
    }
    assert!(content(d.at("f")) == file);
    Ok(())
}

/// A write and the move of the offset are one step to a handler, too.
fn a_handler_that_writes_by_the_same_offset_overwrites_nothing(d: &Dir) -> Outcome {
    let fd = d.open("f", &[0; 1 << 16]);
    sys::write_on_alarm(fd.raw(), 100)?;
    let start = Instant::now();
    let mut rounds = 0;
    while start.elapsed() < Duration::from_millis(800) {
        (0..100).for_each(|_| assert_eq!(sys::write(&fd, b"abc"), Ok(3)));
        rounds += 100;
    }
    let (writes, failures) = sys::stop_alarm()?;
    assert!(writes > 10 && failures == 0, "{writes} {failures}");
    let all = content(d.at("f"));
    let count = |byte: u8| all.iter().filter(|b| **b == byte).count();
    assert_eq!([b'a', b'b', b'c', sys::HANDLER_BYTE].map(count), [rounds, rounds, rounds, writes as usize]);
    assert_eq!(sys::lseek(&fd, 0, SEEK_CUR)?, 3 * rounds as i64 + i64::from(writes));
    Ok(())
}
