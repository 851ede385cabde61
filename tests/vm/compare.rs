//! In the machine: the time of some operations on files in one directory; run with and without the preload library, in turns.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

const FILE: u64 = 48 << 20;
const SMALL: usize = 4 << 10;
const LARGE: usize = 2 << 20;
/// How long one operation is repeated.
const ROUND: Duration = Duration::from_millis(400);

/// Says, on lines of its own, how many nanoseconds each operation takes in `dir`, which is called `name`.
pub fn run(name: &str, dir: &Path) -> std::io::Result<()> {
    let path = dir.join("compared");
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
    let mut buffer = vec![7u8; LARGE];
    for at in (0..FILE).step_by(LARGE) {
        file.write_all_at(&buffer, at)?;
    }
    file.sync_all()?;
    let say = |what: &str, time: Duration| println!("VM: time {name} {what}: {}", time.as_nanos());
    for (size, text) in [(SMALL, "4 KiB"), (LARGE, "2 MiB")] {
        let place = |n: u64| n * size as u64 % FILE;
        say(&format!("read {text}"), repeat(|n| file.read_exact_at(&mut buffer[..size], place(n)))?);
        let looked_at = |n| {
            file.read_exact_at(&mut buffer[..size], place(n))?;
            black_box(buffer[..size].as_chunks::<8>().0.iter().fold(0, |sum, bytes| sum ^ u64::from_ne_bytes(*bytes)));
            Ok(())
        };
        say(&format!("read {text} and look at all of it"), repeat(looked_at)?);
        say(&format!("overwrite {text}"), repeat(|n| file.write_all_at(&buffer[..size], place(n)))?);
        let durable = |n| file.write_all_at(&buffer[..size], place(n)).and_then(|()| file.sync_all());
        say(&format!("overwrite {text} and fsync"), repeat(durable)?);
    }
    let appended = File::options().append(true).create(true).open(dir.join("appended"))?;
    let append = |_| std::io::Write::write_all(&mut &appended, &buffer[..SMALL]).and_then(|()| appended.sync_all());
    say("append 4 KiB and fsync", repeat(append)?);
    std::fs::remove_file(dir.join("appended"))?;
    std::fs::remove_file(path)
}

/// The time of one call of `operation`, which is told its number.
fn repeat(mut operation: impl FnMut(u64) -> std::io::Result<()>) -> std::io::Result<Duration> {
    let mut number = 0;
    for _ in 0..3 {
        operation(number)?;
        number += 1;
    }
    let (start, first) = (Instant::now(), number);
    while start.elapsed() < ROUND && number < first + 2000 {
        operation(number)?;
        number += 1;
    }
    Ok(start.elapsed() / (number - first) as u32)
}
