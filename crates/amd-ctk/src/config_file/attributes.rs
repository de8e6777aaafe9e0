//! What belongs to a file beside its text, mode and owner: extended attributes, see xattr(7).

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::fs::{XattrFlags, fremovexattr, fsetxattr, lgetxattr, llistxattr};
use rustix::io::Errno;

/// The most that Linux has of names, and of a value.
const MOST: usize = 64 * 1024;

/// Who may open the file, beside its mode.
const ACL: &CStr = c"system.posix_acl_access";

/// What the kernel keeps of a file's content, and makes anew.
const OF_CONTENT: [&CStr; 2] = [c"security.evm", c"security.ima"];

/// Gives `to` the extended attributes of the file at `from`. One that this user may not set,
/// or that the file system does not take, is left out.
///
/// # Errors
/// Where the ACL cannot be had or set: without it the file would be open to others than before.
pub fn copy(from: &Path, to: &File) -> io::Result<()> {
    let names = match names(from) {
        Ok(names) => names,
        Err(Errno::NOTSUP | Errno::NOSYS) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let names: Vec<_> = names
        .split_inclusive(|byte| *byte == 0)
        .filter_map(|name| CStr::from_bytes_with_nul(name).ok())
        .filter(|name| !OF_CONTENT.contains(name))
        .collect();
    if !names.contains(&ACL) {
        // A default ACL of the directory gave the new file one.
        let _ = fremovexattr(to, ACL);
    }
    for name in names {
        let copied =
            value(from, name).and_then(|value| fsetxattr(to, name, &value, XattrFlags::empty()));
        match copied {
            Err(error) if name == ACL => return Err(error.into()),
            Err(error) => tracing::debug!(?name, %error, "an extended attribute is not copied"),
            Ok(()) => {}
        }
    }
    Ok(())
}

fn names(file: &Path) -> Result<Vec<u8>, Errno> {
    let mut names = Vec::with_capacity(MOST);
    llistxattr(file, spare_capacity(&mut names))?;
    Ok(names)
}

fn value(file: &Path, name: &CStr) -> Result<Vec<u8>, Errno> {
    let mut value = Vec::with_capacity(MOST);
    lgetxattr(file, name, spare_capacity(&mut value))?;
    Ok(value)
}
