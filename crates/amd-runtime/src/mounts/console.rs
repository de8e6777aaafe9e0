//! /dev/console of a container with a terminal.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use super::error::{Result, Step, at};
use super::root::Root;
use crate::mount_api;

/// Puts `terminal`, an open file of the container's devpts, on /dev/console of this process's
/// root, which is made where it is missing. What is there is not opened, and a link there not
/// followed (CVE-2025-52565).
///
/// # Errors
/// Where a link or a directory is there, or nothing can be mounted.
pub fn mount_console(terminal: BorrowedFd<'_>) -> Result<()> {
    let (root, console) = (Path::new("/"), Path::new("/dev/console"));
    let what = || at("mount the terminal on", console);
    let target = Root::open(root).and_then(|root| root.file_itself(console));
    let target = target.step(what)?;
    let mount = mount_api::clone_tree(terminal, c"", false).step(what)?;
    mount_api::attach(mount.as_fd(), target.as_fd()).step(what)
}
