//! POSIX access control lists: the attributes `system.posix_acl_access` and `system.posix_acl_default`, kept as the kernel passes them to programs.
//!
//! A list that says no more than the mode does is not kept, and the mode always agrees with a list that is: the bits of owner and others are theirs, those of the group are the mask.

use super::attr::Creds;
use super::names::Change;
use super::record::{Inode, NameKey, View, XATTRS};
use crate::error::{Error, Result};
use crate::units::Ino;
use std::ops::ControlFlow;

/// The list that decides who may do what.
pub const ACCESS: &[u8] = b"system.posix_acl_access";
/// The list of a directory that what is made in it begins with.
pub const DEFAULT: &[u8] = b"system.posix_acl_default";

const VERSION: u32 = 2;
const USER_OBJ: u16 = 1;
const USER: u16 = 2;
const GROUP_OBJ: u16 = 4;
const GROUP: u16 = 8;
const MASK: u16 = 16;
const OTHER: u16 = 32;
/// The id of an entry that has none.
const NOBODY: u32 = u32::MAX;

/// Whom an entry is about, and what he may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    tag: u16,
    perm: u16,
    id: u32,
}

/// A list as [`Acl::check_sound`] wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl(Vec<Entry>);

fn fail<T>(errno: i32) -> Result<T> {
    Err(Error::Os(errno))
}

impl Acl {
    /// From the value of an attribute; `None` for one without entries. Whether the entries make sense is asked later, after permissions: [`Acl::check_sound`].
    ///
    /// # Errors
    /// `EINVAL`; `EOPNOTSUPP` for another version of the form.
    pub fn decode(value: &[u8]) -> Result<Option<Acl>> {
        if value.is_empty() {
            return Ok(None);
        }
        let Some((version, rest)) = value.split_first_chunk::<4>() else { return fail(libc::EINVAL) };
        if u32::from_le_bytes(*version) != VERSION {
            return fail(libc::EOPNOTSUPP);
        }
        let (entries, []) = rest.as_chunks::<8>() else { return fail(libc::EINVAL) };
        let entries = entries.iter().map(|&[t0, t1, p0, p1, i0, i1, i2, i3]| {
            let tag = u16::from_le_bytes([t0, t1]);
            let id = u32::from_le_bytes([i0, i1, i2, i3]);
            match tag {
                USER_OBJ | GROUP_OBJ | MASK | OTHER => Ok(Entry { tag, perm: u16::from_le_bytes([p0, p1]), id: NOBODY }),
                USER | GROUP if id != NOBODY => Ok(Entry { tag, perm: u16::from_le_bytes([p0, p1]), id }),
                _ => fail(libc::EINVAL),
            }
        });
        let entries = entries.collect::<Result<Vec<_>>>()?;
        Ok((!entries.is_empty()).then_some(Acl(entries)))
    }

    /// The value of the attribute.
    pub fn encode(&self) -> Vec<u8> {
        let entry = |e: &Entry| {
            let ([t0, t1], [p0, p1], [i0, i1, i2, i3]) = (e.tag.to_le_bytes(), e.perm.to_le_bytes(), e.id.to_le_bytes());
            [t0, t1, p0, p1, i0, i1, i2, i3]
        };
        VERSION.to_le_bytes().into_iter().chain(self.0.iter().flat_map(entry)).collect()
    }

    /// The list of `ino` named `name`, if there is one.
    pub fn load(view: &impl View, ino: Ino, name: &[u8]) -> Result<Option<Acl>> {
        match view.get(NameKey::xattr(ino, name).bytes())? {
            Some(value) => Acl::decode(value),
            None => Ok(None),
        }
    }

    /// Whether it has what a list must have, in the kernel's order: owner, users, group, groups, mask (needed if there are users or groups), others. `EINVAL`.
    pub fn check_sound(&self) -> Result<()> {
        let (mut last, mut named) = (0, false);
        for entry in &self.0 {
            let follows = match entry.tag {
                USER_OBJ => last == 0,
                USER => last == USER_OBJ || last == USER,
                GROUP_OBJ => last == USER_OBJ || last == USER,
                GROUP => last == GROUP_OBJ || last == GROUP,
                MASK => last == GROUP_OBJ || last == GROUP,
                _ => last == MASK || !named && last == GROUP_OBJ,
            };
            if !follows || entry.perm & !7 != 0 {
                return fail(libc::EINVAL);
            }
            named |= matches!(entry.tag, USER | GROUP);
            last = entry.tag;
        }
        if last == OTHER { Ok(()) } else { fail(libc::EINVAL) }
    }

    fn get(&mut self, tag: u16) -> Option<&mut Entry> {
        self.0.iter_mut().find(|e| e.tag == tag)
    }

    /// The entry that the group's bits of the mode stand for.
    fn class(&mut self) -> Option<&mut Entry> {
        let tag = if self.get(MASK).is_some() { MASK } else { GROUP_OBJ };
        self.get(tag)
    }

    /// Whether the mode can say the same.
    fn is_mode(&self) -> bool {
        self.0.iter().all(|e| matches!(e.tag, USER_OBJ | GROUP_OBJ | OTHER))
    }

    /// The entries that the mode shows, each with where its bits are.
    fn with_mode(&mut self, mut f: impl FnMut(&mut u16, u32)) {
        self.get(USER_OBJ).into_iter().for_each(|e| f(&mut e.perm, 6));
        self.class().into_iter().for_each(|e| f(&mut e.perm, 3));
        self.get(OTHER).into_iter().for_each(|e| f(&mut e.perm, 0));
    }

    /// `mode` with the permission bits that the list says.
    fn mode(&mut self, mode: u32) -> u32 {
        let mut new = mode & !0o777;
        self.with_mode(|perm, at| new |= u32::from(*perm) << at);
        new
    }

    /// As the kernel decides for somebody who is neither root nor the owner.
    fn permits(&self, want: u32, gid: u32, who: &Creds<'_>) -> bool {
        let has = |perm: u16| want & !u32::from(perm) == 0;
        let mask = self.0.iter().find(|e| e.tag == MASK).map_or(7, |e| e.perm);
        let mut in_group = false;
        let verdict = self.0.iter().try_for_each(|e| match e.tag {
            USER if e.id == who.uid => ControlFlow::Break(has(e.perm & mask)),
            GROUP_OBJ | GROUP if who.in_group(if e.tag == GROUP { e.id } else { gid }) => {
                in_group = true;
                if has(e.perm) { ControlFlow::Break(has(e.perm & mask)) } else { ControlFlow::Continue(()) }
            }
            OTHER => ControlFlow::Break(!in_group && has(e.perm)),
            _ => ControlFlow::Continue(()),
        });
        verdict == ControlFlow::Break(true)
    }
}

impl Inode {
    /// Whether a list may have to be asked: the mode decides about root and the owner, and about all where the group's bits are clear, as the kernel has it.
    fn may_have_list_for(&self, who: &Creds<'_>) -> bool {
        self.flags & XATTRS != 0 && !who.is_root() && who.uid != self.attr.uid && self.attr.mode & 0o070 != 0
    }

    /// Whether `who` has all permissions in `want`, a mask of `R_OK`, `W_OK`, `X_OK`.
    pub fn permits(&self, view: &impl View, want: i32, who: &Creds<'_>) -> Result<bool> {
        if self.may_have_list_for(who)
            && let Some(list) = Acl::load(view, self.attr.ino, ACCESS)?
        {
            return Ok(list.permits(want as u32 & 7, self.attr.gid, who));
        }
        Ok(self.attr.permits(want, who))
    }

    /// As [`Inode::permits`], as a result: `EACCES`.
    pub fn check(&self, view: &impl View, want: i32, who: &Creds<'_>) -> Result<()> {
        if self.permits(view, want, who)? { Ok(()) } else { fail(libc::EACCES) }
    }
}

/// Makes `list` the list `name` of `inode`, whose mode follows; `None` takes it away. The caller writes the inode.
pub fn set(op: &mut Change<'_>, inode: &mut Inode, name: &[u8], list: Option<Acl>, who: &Creds<'_>) -> Result<()> {
    let mut list = list;
    if name == ACCESS {
        if let Some(list) = &mut list {
            inode.attr.mode = list.mode(inode.attr.mode);
        }
        if !who.is_root() && !who.in_group(inode.attr.gid) {
            inode.attr.mode &= !libc::S_ISGID;
        }
        list = list.filter(|list| !list.is_mode());
    }
    keep(op, inode, name, list.as_ref())
}

fn keep(op: &mut Change<'_>, inode: &mut Inode, name: &[u8], list: Option<&Acl>) -> Result<()> {
    let key = NameKey::xattr(inode.attr.ino, name);
    match list {
        Some(list) => {
            inode.flags |= XATTRS;
            op.set(key.bytes(), &list.encode())
        }
        None => op.delete(key.bytes()).map(drop),
    }
}

/// The mode of `inode` was set: its list says so, too. The caller writes the inode.
pub fn follow_mode(op: &mut Change<'_>, inode: &mut Inode) -> Result<()> {
    if inode.flags & XATTRS != 0
        && let Some(mut list) = Acl::load(op.view(), inode.attr.ino, ACCESS)?
    {
        let mode = inode.attr.mode;
        list.with_mode(|perm, at| *perm = (mode >> at & 7) as u16);
        keep(op, inode, ACCESS, Some(&list))?;
    }
    Ok(())
}

/// What `inode`, just made in `dir` and not yet under the umask, inherits: the default list of `dir`, which then takes the umask's place. The caller writes the inode.
pub fn inherit(op: &mut Change<'_>, dir: &Inode, inode: &mut Inode, umask: u32) -> Result<()> {
    if inode.attr.kind() == libc::S_IFLNK {
        return Ok(());
    }
    let default = if dir.flags & XATTRS != 0 { Acl::load(op.view(), dir.attr.ino, DEFAULT)? } else { None };
    let Some(default) = default else {
        inode.attr.mode &= !umask;
        return Ok(());
    };
    let mut list = default.clone();
    let mode = inode.attr.mode;
    list.with_mode(|perm, at| *perm &= (mode >> at & 7) as u16);
    inode.attr.mode = list.mode(mode);
    if !list.is_mode() {
        keep(op, inode, ACCESS, Some(&list))?;
    }
    if inode.attr.is_dir() {
        keep(op, inode, DEFAULT, Some(&default))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(u16, u16, u32)]) -> Acl {
        Acl(entries.iter().map(|&(tag, perm, id)| Entry { tag, perm, id }).collect())
    }

    #[test]
    fn values_are_read_as_they_were_written_and_others_are_refused() {
        let acl = list(&[(USER_OBJ, 7, NOBODY), (USER, 5, 12), (GROUP_OBJ, 4, NOBODY), (MASK, 5, NOBODY), (OTHER, 0, NOBODY)]);
        let value = acl.encode();
        assert_eq!(value.len(), 4 + 5 * 8);
        assert_eq!(Acl::decode(&value).expect("sound"), Some(acl));
        assert_eq!(Acl::decode(&value[..4]).expect("sound"), None);
        for len in (1..value.len()).filter(|len| len % 8 != 4) {
            assert!(matches!(Acl::decode(&value[..len]), Err(Error::Os(libc::EINVAL))));
        }
        assert!(matches!(Acl::decode(&[1, 0, 0, 0]), Err(Error::Os(libc::EOPNOTSUPP))));
        assert!(matches!(Acl::decode(&list(&[(3, 0, 0)]).encode()), Err(Error::Os(libc::EINVAL))));
    }

    #[test]
    fn unsound_lists_are_refused() {
        let (u, g, o) = ((USER_OBJ, 7, NOBODY), (GROUP_OBJ, 7, NOBODY), (OTHER, 7, NOBODY));
        let (user, group, mask) = ((USER, 7, 3), (GROUP, 7, 3), (MASK, 7, NOBODY));
        for sound in [&[u, g, o][..], &[u, g, mask, o], &[u, user, user, g, group, mask, o]] {
            assert!(list(sound).check_sound().is_ok());
        }
        for unsound in
            [&[][..], &[u], &[u, g], &[g, u, o], &[u, o], &[u, user, g, o], &[u, g, group, o], &[u, g, user, mask, o], &[u, g, o, o]]
        {
            assert!(list(unsound).check_sound().is_err());
        }
        assert!(list(&[u, g, (OTHER, 8, NOBODY)]).check_sound().is_err());
    }

    #[test]
    fn the_first_entry_that_fits_decides_but_of_groups_the_best() {
        let acl = list(&[
            (USER_OBJ, 7, NOBODY),
            (USER, 1, 10),
            (USER, 7, 11),
            (GROUP_OBJ, 0, NOBODY),
            (GROUP, 6, 20),
            (MASK, 4, NOBODY),
            (OTHER, 7, NOBODY),
        ]);
        let may = |uid, groups: &[u32], want| acl.permits(want, 5, &Creds { uid, gid: 99, groups, umask: 0 });
        assert!(!may(10, &[20], 4) && !may(10, &[], 1), "his own entry decides, under the mask");
        assert!(may(11, &[], 4) && !may(11, &[], 2));
        assert!(may(12, &[5, 20], 4) && !may(12, &[5, 20], 2) && !may(12, &[5], 4), "others' rights are not for members");
        assert!(may(12, &[], 7));
    }
}
