//! Extended attributes: `user.*` and `trusted.*` and `security.*` as tmpfs has them, and the two of `system.*` that are access control lists.

use super::{Change, fail};
use crate::error::{Error, Result};
use crate::fs::Fs;
use crate::fs::acl::{self, ACCESS, Acl, DEFAULT};
use crate::fs::attr::{Creds, Time};
use crate::fs::record::{Inode, NAME_MAX, NameKey, View, XATTRS, key_name, xattr_prefix};
use crate::units::Ino;

/// Who is refused nothing.
const ROOT: Creds<'static> = Creds { uid: 0, gid: 0, groups: &[], umask: 0 };
/// The longest value.
const VALUE_MAX: usize = 65_536;

/// The name spaces of attributes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Space {
    User,
    Trusted,
    Security,
    /// An access control list.
    List,
    /// Not served: the rest of `system.*`, and whatever else.
    System,
    Other,
}

/// The name space of `name`: `ERANGE` for an impossible length.
fn space(name: &[u8]) -> Result<Space> {
    match name {
        _ if name.is_empty() || name.len() > NAME_MAX => fail(libc::ERANGE),
        _ if name.starts_with(b"user.") => Ok(Space::User),
        _ if name.starts_with(b"trusted.") => Ok(Space::Trusted),
        _ if name.starts_with(b"security.") => Ok(Space::Security),
        ACCESS | DEFAULT => Ok(Space::List),
        _ if name.starts_with(b"system.") => Ok(Space::System),
        _ => Ok(Space::Other),
    }
}

/// Whether attributes so named exist here: `EOPNOTSUPP`; `EINVAL` for a name that is only a prefix. The kernel asks this after permissions.
fn check_served(space: Space, name: &[u8]) -> Result<()> {
    match space {
        Space::System | Space::Other => fail(libc::EOPNOTSUPP),
        _ if name.ends_with(b".") && name.iter().filter(|&&c| c == b'.').count() == 1 => fail(libc::EINVAL),
        _ => Ok(()),
    }
}

/// Whether `who` may read attributes in `space`: `EACCES`, `ENODATA`.
fn may_read(view: &impl View, space: Space, inode: &Inode, who: &Creds<'_>) -> Result<()> {
    let attr = &inode.attr;
    match space {
        Space::List if attr.kind() == libc::S_IFLNK => fail(libc::EOPNOTSUPP),
        Space::Trusted if !who.is_root() => fail(libc::ENODATA),
        Space::User if !attr.is_file() && !attr.is_dir() => fail(libc::ENODATA),
        Space::User | Space::Other => inode.check(view, libc::R_OK, who),
        Space::Trusted | Space::Security | Space::List | Space::System => Ok(()),
    }
}

/// Whether `who` may change attributes in `space`: `EPERM`, `EACCES`.
fn may_change(view: &impl View, space: Space, inode: &Inode, who: &Creds<'_>) -> Result<()> {
    let attr = &inode.attr;
    match space {
        Space::List if attr.kind() == libc::S_IFLNK => fail(libc::EOPNOTSUPP),
        Space::List if !attr.owned_by(who) => fail(libc::EPERM),
        Space::Trusted | Space::Security if !who.is_root() => fail(libc::EPERM),
        Space::User if !attr.is_file() && !attr.is_dir() => fail(libc::EPERM),
        Space::User if attr.is_dir() && attr.mode & libc::S_ISVTX != 0 && !attr.owned_by(who) => fail(libc::EPERM),
        Space::User | Space::Other => inode.check(view, libc::W_OK, who),
        Space::Trusted | Space::Security | Space::List | Space::System => Ok(()),
    }
}

/// Whether the kernel would take the value for the capabilities of a file: of the second revision, or of the third.
fn is_capabilities(value: &[u8]) -> bool {
    let flags = value.first_chunk().map(|flags| u32::from_le_bytes(*flags) >> 24);
    matches!((flags, value.len()), (Some(2), 20) | (Some(3), 24))
}

impl Fs {
    /// An extended attribute's value, as `who` may see it.
    ///
    /// # Errors
    /// `ENODATA` (also for `trusted.*` asked for by somebody else than root), `EACCES` (`user.*` needs read permission), `ENOENT`;
    /// `EOPNOTSUPP` for another name space, `ERANGE` for an empty name and beyond 255 bytes.
    pub fn get_xattr(&self, ino: Ino, name: &[u8], who: &Creds<'_>) -> Result<Vec<u8>> {
        let space = space(name)?;
        self.meta.view(|view| {
            let inode = self.load_inode(view, ino)?;
            may_read(view, space, &inode, who)?;
            check_served(space, name)?;
            match view.get(NameKey::xattr(ino, name).bytes())? {
                Some(value) => Ok(value.to_vec()),
                None => fail(libc::ENODATA),
            }
        })
    }

    /// As [`Fs::get_xattr`] for root: the caller checks permissions.
    pub fn xattr(&self, ino: Ino, name: &[u8]) -> Result<Vec<u8>> {
        self.get_xattr(ino, name, &ROOT)
    }

    /// Sets an extended attribute; `flags` 0, `XATTR_CREATE`, `XATTR_REPLACE`.
    ///
    /// # Errors
    /// As of [`Fs::xattr`]; `EEXIST`, `ENODATA` by `flags`; `EPERM` for `user.*` on what is neither file nor directory, on somebody else's sticky
    /// directory, for `trusted.*` and `security.*` by somebody else than root, and for an access control list by somebody else than the owner; `EACCES`; `E2BIG` beyond
    /// 64 KiB; `EINVAL` for what is no access control list, or no set of capabilities.
    pub fn set_xattr(&self, ino: Ino, name: &[u8], value: &[u8], flags: i32, who: &Creds<'_>) -> Result<()> {
        if flags & !(libc::XATTR_CREATE | libc::XATTR_REPLACE) != 0 {
            return fail(libc::EINVAL);
        }
        let space = space(name)?;
        if value.len() > VALUE_MAX {
            return fail(libc::E2BIG);
        }
        if space == Space::List {
            return self.set_list(ino, name, Acl::decode(value)?, who);
        }
        if name == b"security.capability" && !value.is_empty() && !is_capabilities(value) {
            return fail(libc::EINVAL);
        }
        let (mut op, mut inode) = self.begin_xattr(ino, space, who)?;
        check_served(space, name)?;
        let key = NameKey::xattr(ino, name);
        let exists = op.view().get(key.bytes())?.is_some();
        if exists && flags & libc::XATTR_CREATE != 0 {
            return fail(libc::EEXIST);
        }
        if !exists && flags & libc::XATTR_REPLACE != 0 {
            return fail(libc::ENODATA);
        }
        inode.flags |= XATTRS;
        op.set(key.bytes(), value)?;
        op.put(&inode)?;
        op.commit()?;
        self.tell_attributes(ino);
        Ok(())
    }

    /// The names of the extended attributes that `who` may know of, each with a NUL behind it. `ENOENT`.
    pub fn xattr_names(&self, ino: Ino, who: &Creds<'_>) -> Result<Vec<u8>> {
        self.meta.view(|view| {
            let inode = Inode::load(view, ino)?.ok_or(Error::Os(libc::ENOENT))?;
            let mut names = Vec::new();
            if inode.flags & XATTRS == 0 {
                return Ok(names);
            }
            let prefix = xattr_prefix(ino);
            for pair in view.scan(&prefix, &prefix)? {
                let name = key_name(&pair?);
                if who.is_root() || !name.starts_with(b"trusted.") {
                    names.extend_from_slice(name);
                    names.push(0);
                }
            }
            Ok(names)
        })
    }

    /// As [`Fs::xattr_names`] for root.
    pub fn list_xattr(&self, ino: Ino) -> Result<Vec<u8>> {
        self.xattr_names(ino, &ROOT)
    }

    /// Removes an extended attribute. Errors as of [`Fs::set_xattr`]; `ENODATA`.
    pub fn remove_xattr(&self, ino: Ino, name: &[u8], who: &Creds<'_>) -> Result<()> {
        let space = space(name)?;
        if space == Space::List {
            return self.set_list(ino, name, None, who);
        }
        let (mut op, inode) = self.begin_xattr(ino, space, who)?;
        check_served(space, name)?;
        if !op.delete(NameKey::xattr(ino, name).bytes())? {
            return fail(libc::ENODATA);
        }
        op.put(&inode)?;
        op.commit()?;
        self.tell_attributes(ino);
        Ok(())
    }

    /// Sets an access control list or takes it away; whether there was one, and the flags, do not matter, as in the kernel.
    fn set_list(&self, ino: Ino, name: &[u8], list: Option<Acl>, who: &Creds<'_>) -> Result<()> {
        // Only directories have a default list; that is asked before whose it is.
        let kind = self.attr(ino)?.kind();
        if name == DEFAULT && kind != libc::S_IFDIR && kind != libc::S_IFLNK {
            return if list.is_some() { fail(libc::EACCES) } else { Ok(()) };
        }
        let (mut op, mut inode) = self.begin_xattr(ino, Space::List, who)?;
        if let Some(list) = &list {
            list.check_sound()?;
        }
        acl::set(&mut op, &mut inode, name, list, who)?;
        op.put_set(&inode, false, false)?;
        op.commit()?;
        self.tell_attributes(ino);
        Ok(())
    }

    fn begin_xattr(&self, ino: Ino, space: Space, who: &Creds<'_>) -> Result<(Change<'_>, Inode)> {
        let op = Change::begin(self)?;
        let mut inode = op.inode_to_set(ino)?;
        may_change(op.view(), space, &inode, who)?;
        inode.attr.ctime = Time::now();
        Ok((op, inode))
    }
}
