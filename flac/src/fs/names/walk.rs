//! Walking a path: one snapshot of the KV, no allocation unless the walk follows a link in the middle of a path, or leaves the tree.

use super::followed::Followed;
use super::{Last, Name, Resolved, fail};
use crate::error::{Error, Result};
use crate::fs::Fs;
use crate::fs::attr::{Attr, Creds};
use crate::fs::record::{self, Dirent, Inode, NAME_MAX, View, place};
use crate::units::Ino;

/// Symbolic links followed in one walk, as on Linux.
const MAX_LINKS: usize = 40;

impl Fs {
    /// Walks `path` (bytes, no NUL; may be empty: `base` itself is found; a leading slash is ignored) from the directory `base`, checking
    /// search permission of every directory for `who`. The links that it follows are accessed, as far as `relatime` cares.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR` (also for what is followed to its end, has a trailing slash and is no directory), `EACCES`, `ELOOP` (beyond 40 links),
    /// `ENAMETOOLONG` (a name beyond 255 bytes, `path` beyond 4,095).
    pub fn resolve(&self, base: Ino, path: &[u8], last: Last, who: &Creds<'_>) -> Result<Resolved> {
        let followed = Followed::new(self);
        let found = self.meta.view(|view| Walk::new(view, self.root(), who, &followed).run(base, path, last));
        followed.finish(self);
        found
    }

    /// As [`Fs::resolve`], but a walk that does what `rules` forbid fails: `EXDEV` for leaving, `ELOOP` for a symbolic link. All of it is one snapshot, so nobody moves a directory out of
    /// the way meanwhile.
    pub fn resolve_within(&self, base: Ino, path: &[u8], last: Last, who: &Creds<'_>, rules: Rules) -> Result<Resolved> {
        let followed = Followed::new(self);
        let found = self.meta.view(|view| Walk { rules, ..Walk::new(view, self.root(), who, &followed) }.run(base, path, last));
        followed.finish(self);
        let found = found?;
        if rules.no_leaving && matches!(found, Resolved::Outside(_)) { fail(libc::EXDEV) } else { Ok(found) }
    }

    /// [`Fs::resolve`] and [`Fs::attr`] of what was found, in one snapshot.
    pub fn resolve_attr(&self, base: Ino, path: &[u8], last: Last, who: &Creds<'_>) -> Result<(Resolved, Option<Attr>)> {
        let followed = Followed::new(self);
        let found = self.meta.view(|view| {
            let found = Walk::new(view, self.root(), who, &followed).run(base, path, last)?;
            let Resolved::Found { ino, kind, .. } = found else {
                return Ok((found, None));
            };
            let cached = if kind == libc::S_IFREG { self.cached_attr(ino) } else { None };
            match cached {
                Some(attr) => Ok((found, Some(attr))),
                None => Ok((found, Some(load(view, ino)?.attr))),
            }
        });
        followed.finish(self);
        found
    }
}

fn load(view: &impl View, ino: Ino) -> Result<Inode> {
    Inode::load(view, ino)?.ok_or(Error::Os(libc::ENOENT))
}

/// What a walk must not do (`openat2`).
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    /// The directory that it does not lead above: it fails if it would.
    pub top: Option<Ino>,
    /// `top` is the root: what leads above it, and what is absolute, begins there.
    pub is_root: bool,
    /// No symbolic link is followed.
    pub no_links: bool,
    /// It does not leave the tree; nor does it by an absolute link that leads back.
    pub no_leaving: bool,
}

struct Walk<'t, V> {
    rules: Rules,
    view: &'t V,
    root: Option<&'t [u8]>,
    who: &'t Creds<'t>,
    followed: &'t Followed<'t>,
    /// What is left of the path, or of the link that was followed last.
    rest: &'t [u8],
    /// What follows that, innermost last.
    outer: Vec<&'t [u8]>,
    links: usize,
    dir: Ino,
    /// Whether `dir` is known to be a directory that may be searched.
    searchable: bool,
}

/// The last component, or one in the middle.
struct Component<'t> {
    name: &'t [u8],
    last: bool,
    /// Whether a slash follows it.
    slash: bool,
}

impl<'t, V: View> Walk<'t, V> {
    fn new(view: &'t V, root: Option<&'t [u8]>, who: &'t Creds<'t>, followed: &'t Followed<'t>) -> Self {
        Self {
            rules: Rules::default(),
            view,
            root,
            who,
            followed,
            rest: &[],
            outer: Vec::new(),
            links: 0,
            dir: Ino::ROOT,
            searchable: false,
        }
    }

    fn run(&mut self, base: Ino, path: &'t [u8], last: Last) -> Result<Resolved> {
        if path.len() >= libc::PATH_MAX as usize {
            return fail(libc::ENAMETOOLONG);
        }
        self.rest = path;
        self.dir = base;
        if path.is_empty() {
            let kind = load(self.view, base)?.attr.kind();
            return Ok(Resolved::Found { parent: base, name: Name::none(), ino: base, kind, dot: 0, slash: false });
        }
        self.searchable = base == Ino::ROOT && self.who.is_root();
        while let Some(component) = self.next() {
            self.check_search()?;
            let found = match component.name {
                b"." if component.last => Some(self.here(1, component.slash)),
                b"." => None,
                b".." if self.rules.top == Some(self.dir) => self.stay(&component)?,
                b".." if self.dir == Ino::ROOT => {
                    return Ok(Resolved::Outside(self.outside(b"..")));
                }
                b".." => self.step_up(&component)?,
                _ => self.step_down(&component, last)?,
            };
            if let Some(found) = found {
                return Ok(found);
            }
        }
        // Nothing but slashes, or a symbolic link to the root.
        self.check_dir()?;
        Ok(self.here(0, true))
    }

    /// Takes the next component off the path.
    fn next(&mut self) -> Option<Component<'t>> {
        loop {
            let Some(start) = self.rest.iter().position(|&c| c != b'/') else {
                self.rest = self.outer.pop()?;
                continue;
            };
            let rest = &self.rest[start..];
            let end = rest.iter().position(|&c| c == b'/').unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            self.rest = after;
            let is_over = |rest: &[u8]| rest.iter().all(|&c| c == b'/');
            let last = is_over(after) && self.outer.iter().all(|rest| is_over(rest));
            let slash = !after.is_empty() || self.outer.iter().any(|rest| !rest.is_empty());
            return Some(Component { name, last, slash });
        }
    }

    /// `dir` is a directory and may be searched.
    fn check_search(&mut self) -> Result<()> {
        if self.searchable {
            return Ok(());
        }
        let inode = load(self.view, self.dir)?;
        if !inode.attr.is_dir() {
            return fail(libc::ENOTDIR);
        }
        inode.check(self.view, libc::X_OK, self.who)?;
        self.searchable = true;
        Ok(())
    }

    fn check_dir(&self) -> Result<()> {
        if self.searchable || load(self.view, self.dir)?.attr.is_dir() { Ok(()) } else { fail(libc::ENOTDIR) }
    }

    fn here(&self, dot: u8, slash: bool) -> Resolved {
        Resolved::Found { parent: self.dir, name: Name::none(), ino: self.dir, kind: libc::S_IFDIR, dot, slash }
    }

    fn enter(&mut self, dir: Ino) {
        self.dir = dir;
        // Root may search every directory.
        self.searchable = self.who.is_root();
    }

    fn step_up(&mut self, component: &Component<'_>) -> Result<Option<Resolved>> {
        let Some((parent, _)) = place(self.view, self.dir)? else {
            return fail(libc::ENOENT);
        };
        self.enter(parent);
        Ok(component.last.then(|| self.here(2, component.slash)))
    }

    /// `..` in the directory that the walk may not leave.
    fn stay(&self, component: &Component<'_>) -> Result<Option<Resolved>> {
        if !self.rules.is_root {
            return fail(libc::EXDEV);
        }
        Ok(component.last.then(|| self.here(2, component.slash)))
    }

    fn step_down(&mut self, component: &Component<'_>, last: Last) -> Result<Option<Resolved>> {
        let &Component { name, last: is_last, slash } = component;
        if name.len() > NAME_MAX {
            return fail(libc::ENAMETOOLONG);
        }
        let Some(entry) = Dirent::load(self.view, self.dir, name)? else {
            if !is_last || last != Last::Entry && load(self.view, self.dir)?.attr.nlink == 0 {
                return fail(libc::ENOENT);
            }
            return Ok(Some(Resolved::Missing { parent: self.dir, name: Name::new(name)?, slash }));
        };
        let follow = match last {
            Last::Follow => true,
            Last::Keep => !is_last || slash,
            Last::Entry => !is_last,
        };
        if follow && entry.dtype == libc::DT_LNK {
            return self.follow(entry.ino);
        }
        if is_last {
            if slash && last == Last::Follow && !entry.is_dir() {
                return fail(libc::ENOTDIR);
            }
            let (parent, name, kind) = (self.dir, Name::new(name)?, entry.kind());
            return Ok(Some(Resolved::Found { parent, name, ino: entry.ino, kind, dot: 0, slash }));
        }
        if !entry.is_dir() {
            return fail(libc::ENOTDIR);
        }
        self.enter(entry.ino);
        Ok(None)
    }

    /// Goes on with the target of a symbolic link.
    fn follow(&mut self, link: Ino) -> Result<Option<Resolved>> {
        self.links += 1;
        if self.links > MAX_LINKS || self.rules.no_links {
            return fail(libc::ELOOP);
        }
        let Some(mut target) = self.view.get(&record::target_key(link))? else {
            return Err(Error::Corrupt(format!("symbolic link {} has no target: run `flac fsck`", link.get())));
        };
        self.followed.add(link);
        if target.first() == Some(&b'/')
            && let Some(top) = self.rules.top.filter(|_| self.rules.is_root)
        {
            self.enter(top);
        } else if target.first() == Some(&b'/') {
            if self.rules.top.is_some() || self.rules.no_leaving {
                return fail(libc::EXDEV);
            }
            match self.root.and_then(|root| below(root, target)) {
                Some(rest) => target = rest,
                None => return Ok(Some(Resolved::Outside(self.outside(target)))),
            }
            self.enter(Ino::ROOT);
        }
        let after = std::mem::replace(&mut self.rest, target);
        if !after.is_empty() {
            self.outer.push(after);
        }
        Ok(None)
    }

    /// `path`, and what is left of the walk behind it.
    fn outside(&self, path: &[u8]) -> Vec<u8> {
        let mut all = path.to_vec();
        for rest in std::iter::once(&self.rest).chain(self.outer.iter().rev()) {
            all.extend_from_slice(rest);
        }
        all
    }
}

/// What follows `root` in `path`, both absolute, if `path` starts with all of its components; empty components and `.` count for nothing.
fn below<'p>(root: &[u8], mut path: &'p [u8]) -> Option<&'p [u8]> {
    let mut wanted = root.split(|&c| c == b'/').filter(|&name| !matches!(name, b"" | b"."));
    let mut want = wanted.next();
    while let Some(name) = want {
        let start = path.iter().position(|&c| c != b'/')?;
        path = &path[start..];
        let end = path.iter().position(|&c| c == b'/').unwrap_or(path.len());
        match &path[..end] {
            b"." => {}
            found if found == name => want = wanted.next(),
            _ => return None,
        }
        path = &path[end..];
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::below;

    #[test]
    fn a_path_is_below_the_root_at_component_borders_only() {
        let cases: [(&str, &str, Option<&str>); 8] = [
            ("/flac", "/flac", Some("")),
            ("/flac", "/flac/", Some("/")),
            ("/flac", "/flac/a//b", Some("/a//b")),
            ("/flac", "/flacs/a", None),
            ("/flac", "/a", None),
            ("/mnt/flac", "//mnt/./flac/x", Some("/x")),
            ("/mnt/flac", "/mnt", None),
            ("/mnt/flac", "/mnt/x/../flac", None),
        ];
        for (root, path, rest) in cases {
            assert_eq!(below(root.as_bytes(), path.as_bytes()), rest.map(str::as_bytes), "{path} below {root}");
        }
    }
}
