//! How long does a pool of a million files and 10 GB take to open after a power cut?
//!
//! Bound: the checkpoint (200 MB) is read and checked (0.1 s) and put into LMDB in order (3 million pairs at 0.2 us), whose pages must be had from the kernel
//! (80,000 faults at 1 us); no data is read.
//!
//! Run: `cargo bench --bench recovery` (in the directory `FLAC_BENCH_DIR`, default the temporary one; needs 12 GB there); `-- --test` with few files.

mod million;

use std::path::PathBuf;
use std::time::Instant;

fn main() {
    let files = if std::env::args().any(|a| a == "--test") { 3000 } else { 1_000_000 };
    let base = std::env::var_os("FLAC_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let disk = tempfile::tempdir_in(base).expect("a directory on the disk");
    let pool = disk.path().join("pool");
    million::make(&pool, files);
    for _ in 0..3 {
        let begun = Instant::now();
        let fs = million::open(&pool);
        println!("open after a power cut: {:.2} s", begun.elapsed().as_secs_f64());
        fs.exit();
        drop(fs);
        million::cut(&pool);
    }
}
