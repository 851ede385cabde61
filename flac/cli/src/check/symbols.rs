//! What the preload library does with a symbol of libc: its own tables, compiled in.

use std::collections::{HashMap, HashSet};

/// symbol, what, why.
const HOOKS: &str = include_str!("../../../../shim/HOOKS.txt");
/// Symbols that need no hook.
const OTHERS: &str = include_str!("../../../../shim/OTHERS.txt");

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Works on FLAC files.
    Served,
    /// libc's own, on purpose; why.
    Passed(&'static str),
    /// Fails on FLAC files with this errno; why.
    Refused(&'static str, &'static str),
    /// Works on streams that were opened by a call that is served.
    Stream,
    /// Has nothing to do with FLAC's files.
    Nothing,
    /// In no table: not known to work.
    Unknown,
}

/// Both tables.
pub struct Symbols {
    hooks: HashMap<&'static str, Fate>,
    streams: HashSet<&'static str>,
    others: HashSet<&'static str>,
    /// Beginnings of names.
    families: Vec<&'static str>,
}

impl Symbols {
    /// The tables of this version.
    pub fn new() -> Self {
        let lines = |text: &'static str| text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let hooks = lines(HOOKS).filter_map(hook).collect();
        let (mut streams, mut others, mut families) = (HashSet::new(), HashSet::new(), Vec::new());
        for line in lines(OTHERS) {
            let (kind, names) = line.split_once(' ').unwrap_or((line, ""));
            for name in names.split(' ') {
                match name.strip_suffix('*') {
                    Some(family) => families.push(family),
                    None if kind == "stream" => _ = streams.insert(name),
                    None => _ = others.insert(name),
                }
            }
        }
        Self { hooks, streams, others, families }
    }

    /// What becomes of calls of `symbol`.
    pub fn fate(&self, symbol: &str) -> Fate {
        if let Some(fate) = self.hooks.get(symbol) {
            fate.clone()
        } else if self.streams.contains(symbol) {
            Fate::Stream
        } else if self.others.contains(symbol) || self.families.iter().any(|family| symbol.starts_with(family)) {
            Fate::Nothing
        } else {
            Fate::Unknown
        }
    }

    /// Whether a symbol whose library is not known is one of libc's file symbols.
    pub fn is_listed(&self, symbol: &str) -> bool {
        self.hooks.contains_key(symbol)
    }
}

fn hook(line: &'static str) -> Option<(&'static str, Fate)> {
    let mut fields = line.split('\t');
    let (name, what, why) = (fields.next()?, fields.next()?, fields.next().unwrap_or_default());
    let fate = match what.split_once(' ') {
        None if what == "served" => Fate::Served,
        None => Fate::Passed(why),
        Some((_, errno)) => Fate::Refused(errno, why),
    };
    Some((name, fate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_say_what_becomes_of_a_symbol() {
        let symbols = Symbols::new();
        assert_eq!(symbols.fate("openat"), Fate::Served);
        assert!(matches!(symbols.fate("poll"), Fate::Passed(_)));
        assert!(matches!(symbols.fate("fanotify_mark"), Fate::Refused("ENOSYS", _)));
        assert_eq!(symbols.fate("fgets"), Fate::Stream);
        assert_eq!(symbols.fate("pthread_join"), Fate::Nothing);
        assert_eq!(symbols.fate("open_in_some_new_way"), Fate::Unknown);
    }

    #[test]
    fn no_symbol_is_in_both_tables() {
        let symbols = Symbols::new();
        let twice: Vec<_> = symbols.streams.iter().chain(&symbols.others).filter(|name| symbols.hooks.contains_key(**name)).collect();
        assert!(twice.is_empty(), "{twice:?}");
    }
}
