//! Sorts a file of unsigned 32-bit integers: the whole of it is read into fresh memory, sorted there by radix, and written.
//!
//! `cargo run --release --example bigsort -- --count 134217728 UNSORTED SORTED` makes the input first.
//! `cargo run --release --example bigsort -- UNSORTED SORTED`

use clap::Parser;
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Sorts a file of integers of 4 bytes in the order of this machine.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Make the input first, with so many integers that look random.
    #[arg(long)]
    count: Option<usize>,
    /// Sort nothing: fail unless the output is sorted and has as many integers, with the same sum, as the input.
    #[arg(long)]
    check: bool,
    /// What is sorted.
    input: PathBuf,
    /// What comes out.
    output: PathBuf,
}

fn main() -> ExitCode {
    match sort_file(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bigsort: {error}");
            ExitCode::FAILURE
        }
    }
}

fn sort_file(options: &Options) -> std::io::Result<()> {
    if let Some(count) = options.count {
        write(&options.input, &random(count))?;
    }
    let numbers = read(&options.input)?;
    if options.check {
        return check(&numbers, &read(&options.output)?);
    }
    write(&options.output, &sort(numbers))
}

fn check(before: &[u32], after: &[u32]) -> std::io::Result<()> {
    let sum = |numbers: &[u32]| numbers.iter().map(|number| u64::from(*number)).sum::<u64>();
    match after.is_sorted() && before.len() == after.len() && sum(before) == sum(after) {
        true => Ok(()),
        false => Err(std::io::Error::other("the output is not the input, sorted")),
    }
}

fn read(path: &PathBuf) -> std::io::Result<Vec<u32>> {
    let mut file = File::open(path)?;
    let length = usize::try_from(file.metadata()?.len()).map_err(std::io::Error::other)?;
    if length % 4 != 0 {
        return Err(std::io::Error::other("no whole number of integers"));
    }
    let mut numbers = vec![0_u32; length / 4];
    file.read_exact(bytes_of(&mut numbers))?;
    Ok(numbers)
}

const BITS: usize = 11;
const BUCKETS: usize = 1 << BITS;

/// Least significant digit first: three passes of 11 bits, from one array to another.
fn sort(mut numbers: Vec<u32>) -> Vec<u32> {
    let mut other = vec![0_u32; numbers.len()];
    let mut counts = [[0_usize; BUCKETS]; 3];
    for &number in &numbers {
        for (pass, count) in counts.iter_mut().enumerate() {
            count[digit(number, pass)] += 1;
        }
    }
    for (pass, count) in counts.iter_mut().enumerate() {
        let mut place = 0;
        for bucket in count.iter_mut() {
            place += std::mem::replace(bucket, place);
        }
        for &number in &numbers {
            let bucket = &mut count[digit(number, pass)];
            other[*bucket] = number;
            *bucket += 1;
        }
        std::mem::swap(&mut numbers, &mut other);
    }
    numbers
}

fn digit(number: u32, pass: usize) -> usize {
    (number >> (pass * BITS)) as usize % BUCKETS
}

fn random(count: usize) -> Vec<u32> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let roll = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u32
    };
    std::iter::repeat_with(roll).take(count).collect()
}

fn write(path: &PathBuf, numbers: &[u32]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(zerocopy::IntoBytes::as_bytes(numbers))
}

fn bytes_of(numbers: &mut [u32]) -> &mut [u8] {
    zerocopy::IntoBytes::as_mut_bytes(numbers)
}
