//! Names of inodes without a path.

use crate::case::{Dir, Outcome, cases, fails, skip};
use crate::sys::{self, Handle};
use libc::{AT_EMPTY_PATH, AT_FDCWD, FUSE_SUPER_MAGIC, O_PATH, O_RDONLY, O_RDWR};

cases![
    a_file_is_opened_by_its_handle,
    handles_are_of_inodes_not_of_names,
    what_is_no_handle_is_refused,
    room_is_asked_for,
];

/// The handle of a path, and the mount; or the reason to skip.
fn handle(d: &Dir, name: &str) -> Result<(Handle, i32), crate::case::Stop> {
    match Handle::of(AT_FDCWD, d.at(name), 0) {
        Err(sys::EOPNOTSUPP) => Err(crate::case::Stop::Skipped("no handles here".to_owned())),
        found => Ok(found?),
    }
}

fn a_file_is_opened_by_its_handle(d: &Dir) -> Outcome {
    d.file("f", b"bytes");
    sys::symlink("f", d.at("link"))?;
    let (file, mount) = handle(d, "f")?;
    if !sys::is_root() {
        return skip("not root");
    }
    let dir = sys::open(d.path(), O_RDONLY, 0)?;
    let open = file.open(&dir, O_RDWR)?;
    let mut bytes = [0; 9];
    assert_eq!((sys::read(&open, &mut bytes)?, &bytes[..5]), (5, &b"bytes"[..]));
    assert_eq!(sys::fstat(&open)?.st_ino, sys::stat(d.at("f"))?.st_ino);
    sys::chdir(d.path())?;
    sys::read(&file.open(AT_FDCWD, O_RDONLY)?, &mut bytes)?;
    let path = sys::open(d.at("f"), O_PATH, 0)?;
    assert_eq!(Handle::of(sys::Raw::raw(&path), "", AT_EMPTY_PATH)?, (file.clone(), mount));
    assert_ne!(handle(d, "link")?.0, file, "links are not followed");
    assert_eq!(Handle::of(AT_FDCWD, d.at("link"), 0x400)?.0, file, "unless asked to be");
    let here = handle(d, ".")?.0.open(&dir, O_RDONLY)?;
    assert_eq!(sys::fstat(&here)?.st_ino, sys::stat(d.path())?.st_ino);
    Ok(())
}

fn handles_are_of_inodes_not_of_names(d: &Dir) -> Outcome {
    d.file("f", b"bytes");
    let (file, _) = handle(d, "f")?;
    if !sys::is_root() {
        return skip("not root");
    }
    let dir = sys::open(d.path(), O_RDONLY, 0)?;
    sys::rename(d.at("f"), d.at("g"))?;
    d.file("f", b"another");
    assert_eq!(sys::read(&file.open(&dir, O_RDONLY)?, &mut [0; 9])?, 5);
    sys::unlink(d.at("g"))?;
    // A server learns of the end of an open file when the kernel gets to it: until then the inode is there.
    let is_served = sys::statfs(d.path())?.f_type == FUSE_SUPER_MAGIC;
    let looks = if is_served { 200 } else { 0 };
    for _ in 0..looks {
        if file.open(&dir, O_RDONLY).is_err() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    fails!(ESTALE, file.open(&dir, O_RDONLY));
    Ok(())
}

fn what_is_no_handle_is_refused(d: &Dir) -> Outcome {
    d.file("f", b"bytes");
    let (file, _) = handle(d, "f")?;
    if !sys::is_root() {
        return skip("not root");
    }
    let dir = sys::open(d.path(), O_RDONLY, 0)?;
    fails!(EINVAL, file.sized(0).open(&dir, O_RDONLY));
    fails!(EINVAL, file.sized(129).open(&dir, O_RDONLY));
    fails!(EBADF, file.open(-1, O_RDONLY));
    fails!(EINVAL, Handle::of(AT_FDCWD, d.at("f"), -1));
    fails!(ENOENT, Handle::of(AT_FDCWD, d.at("no"), 0));
    sys::become_user(65_534)?;
    fails!(EPERM, file.open(&dir, O_RDONLY));
    Ok(())
}

fn room_is_asked_for(d: &Dir) -> Outcome {
    d.file("f", b"bytes");
    let (file, _) = handle(d, "f")?;
    assert_eq!(Handle::room(d.at("f"), 0), (Err(sys::EOVERFLOW), file.size()));
    assert_eq!(Handle::room(d.at("f"), file.size() - 1), (Err(sys::EOVERFLOW), file.size()));
    assert_eq!(Handle::room(d.at("f"), 128), (Ok(()), file.size()));
    assert_eq!(Handle::room(d.at("f"), 129).0, Err(sys::EINVAL));
    Ok(())
}
