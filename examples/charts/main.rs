//! Draws what the benchmarks measured: a chart for each question as SVG, and a table in Markdown.
//!
//! `cargo run --release --example charts -- --results target/bench --out target/bench`
//! `cargo run --release --example charts -- --results target/bench --out flac/docs/figures --readme README.md`

mod applications;
mod bars;
mod lines;
mod micro;
mod table;

use clap::Parser;
use flac_harness::Results;
use std::path::PathBuf;
use std::process::ExitCode;

/// Draws charts of the rows in results.json.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// The directory with results.json.
    #[arg(long, default_value = "target/bench")]
    results: PathBuf,
    /// Where the charts and the table go.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
    /// A Markdown file whose text between `<!-- figures -->` and `<!-- end of figures -->` is replaced by the table of targets.
    #[arg(long)]
    readme: Option<PathBuf>,
}

fn main() -> ExitCode {
    match draw(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("charts: {message}");
            ExitCode::FAILURE
        }
    }
}

fn draw(options: &Options) -> Result<(), String> {
    let results = Results::open(&options.results)?;
    if results.rows.is_empty() {
        return Err(format!("no results in {}", options.results.display()));
    }
    std::fs::create_dir_all(&options.out).map_err(|error| format!("{}: {error}", options.out.display()))?;
    let mut drawn = applications::draw(&results, &options.out)?;
    drawn.extend(micro::draw(&results, &options.out)?);
    let table = options.out.join("figures.md");
    std::fs::write(&table, table::page(&results, &drawn)).map_err(|error| format!("{}: {error}", table.display()))?;
    if let Some(readme) = &options.readme {
        let text = std::fs::read_to_string(readme).map_err(|error| format!("{}: {error}", readme.display()))?;
        std::fs::write(readme, table::replace(&text, &results)?).map_err(|error| format!("{}: {error}", readme.display()))?;
    }
    println!("{}: {} charts and {}", options.out.display(), drawn.len(), table.display());
    Ok(())
}
