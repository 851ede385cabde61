//! Extended attributes: `user.*` and `trusted.*` and `security.*` as tmpfs has them. No POSIX ACLs.

use super::{Change, fail};
use crate::error::{Error, Result};
use crate::fs::Fs;
use crate::fs::attr::{Attr, Creds, Time};
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
    /// Not served: `system.*` (POSIX ACLs) and whatever else.
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
fn may_read(space: Space, attr: &Attr, who: &Creds<'_>) -> Result<()> {
    match space {
        Space::Trusted if !who.is_root() => fail(libc::ENODATA),
        Space::User if !attr.is_file() && !attr.is_dir() => fail(libc::ENODATA),
        Space::User | Space::Other => attr.check(libc::R_OK, who),
        Space::Trusted | Space::Security | Space::System => Ok(()),
    }
}

/// Whether `who` may change attributes in `space`: `EPERM`, `EACCES`.
fn may_change(space: Space, attr: &Attr, who: &Creds<'_>) -> Result<()> {
    match space {
        Space::Trusted | Space::Security if !who.is_root() => fail(libc::EPERM),
        Space::User if !attr.is_file() && !attr.is_dir() => fail(libc::EPERM),
        Space::User if attr.is_dir() && attr.mode & libc::S_ISVTX != 0 && !attr.owned_by(who) => fail(libc::EPERM),
        Space::User | Space::Other => attr.check(libc::W_OK, who),
        Space::Trusted | Space::Security | Space::System => Ok(()),
    }
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
            let inode = Inode::load(view, ino)?.ok_or(Error::Os(libc::ENOENT))?;
            may_read(space, &inode.attr, who)?;
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
    /// directory, and for `trusted.*` and `security.*` by somebody else than root; `EACCES`; `E2BIG` beyond 64 KiB.
    pub fn set_xattr(&self, ino: Ino, name: &[u8], value: &[u8], flags: i32, who: &Creds<'_>) -> Result<()> {
        if flags & !(libc::XATTR_CREATE | libc::XATTR_REPLACE) != 0 {
            return fail(libc::EINVAL);
        }
        let space = space(name)?;
        if value.len() > VALUE_MAX {
            return fail(libc::E2BIG);
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

    fn begin_xattr(&self, ino: Ino, space: Space, who: &Creds<'_>) -> Result<(Change<'_>, Inode)> {
        let op = Change::begin(self)?;
        let mut inode = op.inode(ino)?;
        may_change(space, &inode.attr, who)?;
        inode.attr.ctime = Time::now();
        Ok((op, inode))
    }
}
