//! A root filesystem of one static program, busybox.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};

use crate::require;

const DIRS: [(&str, u32); 8] = [
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("out", 0o777),
    ("proc", 0o755),
    ("root", 0o700),
    ("sys", 0o755),
    ("tmp", 0o1777),
];

/// Makes a root filesystem at `dir`, which must not exist. It has the users root and
/// `user` (1000:1000), and a world-writable directory /out for a test to read.
///
/// # Errors
/// Where a file cannot be written, or busybox is missing or not static.
pub fn create(dir: &Path) -> Result<()> {
    for (name, mode) in DIRS {
        let path = dir.join(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    fs::write(
        dir.join("etc/passwd"),
        "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n",
    )?;
    fs::write(dir.join("etc/group"), "root:x:0:\nuser:x:1000:\n")?;
    let (program, applets) = busybox()?;
    fs::write(dir.join("bin/busybox"), program)?;
    fs::set_permissions(dir.join("bin/busybox"), fs::Permissions::from_mode(0o755))?;
    for applet in applets {
        symlink("busybox", dir.join("bin").join(applet))?;
    }
    Ok(())
}

/// The program and the names of its applets.
fn busybox() -> Result<&'static (Vec<u8>, Vec<String>)> {
    static BUSYBOX: OnceLock<(Vec<u8>, Vec<String>)> = OnceLock::new();
    if let Some(found) = BUSYBOX.get() {
        return Ok(found);
    }
    let path = require::find("busybox").context("busybox is not installed: busybox-static")?;
    let program = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let list = Command::new(&path)
        .arg("--list")
        .output()
        .context("cannot run busybox --list")?;
    ensure!(
        list.status.success(),
        "busybox --list failed: {}",
        list.status
    );
    let applets = String::from_utf8(list.stdout)?
        .lines()
        .filter(|name| *name != "busybox")
        .map(str::to_owned)
        .collect();
    Ok(BUSYBOX.get_or_init(|| (program, applets)))
}
