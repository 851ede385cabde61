#![expect(unsafe_code, reason = "a mount namespace of one's own")]
//! A tmpfs with huge pages that only this process sees, and that is gone with it.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Whether this process may make one.
pub fn may_mount() -> bool {
    // SAFETY: no pointers.
    unsafe { libc::geteuid() == 0 }
}

/// Mounts a tmpfs with `huge=always` over `directory`, in a new mount namespace.
///
/// # Errors
/// What the kernel refused.
pub fn huge_tmpfs(directory: &Path) -> Result<(), String> {
    let path = CString::new(directory.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
    // SAFETY: no pointers.
    refused("unshare", unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
    let (none, flags) = (std::ptr::null(), libc::MS_REC | libc::MS_PRIVATE);
    // SAFETY: C strings or null.
    refused("mount", unsafe { libc::mount(none, c"/".as_ptr(), none, flags, std::ptr::null()) })?;
    let (kind, options) = (c"tmpfs".as_ptr(), c"huge=always".as_ptr().cast());
    // SAFETY: C strings.
    refused("mount of a huge tmpfs", unsafe { libc::mount(kind, path.as_ptr(), kind, 0, options) })
}

fn refused(call: &str, result: i32) -> Result<(), String> {
    if result == 0 { Ok(()) } else { Err(format!("{call}: {}", std::io::Error::last_os_error())) }
}
