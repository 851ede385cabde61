//! The command line: what libtest understands, as far as it makes sense here, and where to run.

use super::place::Kind;

/// What to run.
pub struct Options {
    /// Print the names only.
    pub list: bool,
    /// A fresh place (on FLAC: a fresh pool) for every case.
    pub isolate: bool,
    /// Cases that run at the same time.
    pub threads: usize,
    exact: bool,
    disk: bool,
    only: Option<Kind>,
    filters: Vec<String>,
}

impl Options {
    /// # Errors
    /// A message for the user.
    pub fn parse(arguments: &[String]) -> Result<Options, String> {
        let threads = std::thread::available_parallelism().map_or(2, |count| count.get());
        let mut options = Options { list: false, isolate: false, threads, exact: false, disk: false, only: None, filters: Vec::new() };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let (name, mut value) = match argument.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (argument.as_str(), None),
            };
            let mut value = || value.take().or_else(|| rest.next().cloned()).ok_or(format!("{name} wants a value"));
            match name {
                "--list" => options.list = true,
                "--isolate" => options.isolate = true,
                "--exact" => options.exact = true,
                "--disk" => options.disk = true,
                "--only" => options.only = Some(Kind::parse(&value()?)?),
                "--test-threads" => options.threads = value()?.parse().map_err(|_| "--test-threads wants a number")?,
                "--format" | "--color" => drop(value()?),
                "--nocapture" | "--no-capture" | "--quiet" | "-q" | "--show-output" => {}
                flag if flag.starts_with('-') => return Err(format!("unknown option {flag}")),
                filter => options.filters.push(filter.to_owned()),
            }
        }
        options.threads = options.threads.max(1);
        Ok(options)
    }

    /// The places to run in: the oracle first.
    pub fn kinds(&self) -> Vec<Kind> {
        match self.only {
            Some(kind) => vec![kind],
            None if self.disk => vec![Kind::Tmpfs, Kind::Disk, Kind::Flac],
            None => vec![Kind::Tmpfs, Kind::Flac],
        }
    }

    /// Whether the filters let this case through.
    pub fn wants(&self, kind: Kind, name: &str) -> bool {
        let full = format!("{kind}::{name}");
        let matches = |filter: &String| {
            if self.exact { full == *filter } else { full.contains(filter.as_str()) }
        };
        self.filters.is_empty() || self.filters.iter().any(matches)
    }
}
