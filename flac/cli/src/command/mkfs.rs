//! `flac mkfs`.

use crate::arguments::{self, Device, Mkfs};
use crate::failure::{Failure, Outcome};
use crate::human;
use flac::fs::admin::Volatile;
use flac::media::{Medium, Model, Pool, PoolOptions};
use std::path::Path;
use std::process::ExitCode;

pub fn run(pool: &Path, wanted: &Mkfs) -> Outcome {
    if pool.join("superblock").exists() {
        if !wanted.force {
            return Err(Failure::new(format!(
                "{} holds a pool already: choose another directory, or destroy that pool with --force",
                pool.display()
            )));
        }
        destroy(pool)?;
    }
    let options = PoolOptions {
        size: wanted.size.map_or_else(|| flac::media::default_size(pool), Ok)?,
        medium: wanted.medium.map(medium),
        model: wanted.inject.map(|Device::Optane| Model::OptaneDcPmm),
    };
    Pool::create(pool, &options)?;
    let size = options.size;
    human::to_stdout(&format!("made a pool for {} in {}\n", human::size(size), pool.display()));
    Ok(ExitCode::SUCCESS)
}

/// Makes a pool of the usual size on whatever medium is there.
pub fn make(pool: &Path) -> Result<(), Failure> {
    Pool::create(pool, &PoolOptions { size: flac::media::default_size(pool)?, ..PoolOptions::default() })?;
    Ok(())
}

fn medium(name: arguments::Medium) -> Medium {
    match name {
        arguments::Medium::Dax => Medium::Dax,
        arguments::Medium::Block => Medium::Block,
        arguments::Medium::Memory => Medium::Memory,
        arguments::Medium::DaxEmulated => Medium::DaxEmulated,
    }
}

/// Removes the pool and its volatile state; refused while somebody uses it.
fn destroy(pool: &Path) -> Result<(), Failure> {
    if let Ok(Some(state)) = Volatile::of(pool) {
        let lock = state.lock()?;
        let users = state.mapped_by();
        if !users.is_empty() {
            return Err(super::stop::in_use(pool, &users));
        }
        state.remove(lock)?;
    }
    let names = std::fs::read_dir(pool).map_err(|e| Failure::on(pool, e))?;
    let mut names: Vec<_> = names.flatten().map(|entry| entry.file_name()).filter(|name| name.to_str().is_some_and(is_pool_file)).collect();
    // The superblock first: without it the rest is no pool.
    names.sort_by_key(|name| name != "superblock");
    for name in names {
        let path = pool.join(name);
        std::fs::remove_file(&path).map_err(|e| Failure::on(&path, e))?;
    }
    Ok(())
}

fn is_pool_file(name: &str) -> bool {
    matches!(name, "superblock" | "superblock.new" | "frames") || name.starts_with("log.") || name.starts_with("checkpoint.")
}
