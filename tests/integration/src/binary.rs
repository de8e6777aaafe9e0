//! Finds the programs under test, and has cargo build them where they are not up to date.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};

use crate::require;

/// The OCI runtime that the tests are about: the one that `RUNTIME_UNDER_TEST` names, by
/// its path or as a program in PATH, else this workspace's amd-container-runtime.
///
/// # Errors
/// Where it is not there, or cargo cannot build it.
pub fn runtime_under_test() -> Result<PathBuf> {
    match env::var("RUNTIME_UNDER_TEST") {
        Ok(name) if name.contains('/') => {
            fs::canonicalize(&name).with_context(|| format!("no runtime at {name}"))
        }
        Ok(name) => require::find(&name).with_context(|| format!("{name} is not installed")),
        Err(_) => ours("amd-runtime", "amd-container-runtime"),
    }
}

/// The program `name` of this workspace's package `package`, from the profile that the
/// tests were built with.
///
/// Where `AMD_TEST_PROGRAMS` names a directory, it is taken from there as it is: on a machine
/// that has neither cargo nor the sources.
///
/// Cargo builds the binaries of a package for that package's tests alone, and these are
/// another's; asking cargo each time would make every test wait for its lock.
///
/// # Errors
/// Where cargo cannot build it, or it is not in that directory.
pub fn ours(package: &str, name: &str) -> Result<PathBuf> {
    if let Some(dir) = env::var_os("AMD_TEST_PROGRAMS") {
        let program = Path::new(&dir).join(name);
        return fs::canonicalize(&program)
            .with_context(|| format!("no program {}", program.display()));
    }
    let profile = profile_dir()?;
    let program = profile.join(name);
    if !up_to_date(&program) {
        build(package, name, &profile)?;
        ensure!(
            program.is_file(),
            "cargo did not build {}",
            program.display()
        );
    }
    Ok(program)
}

/// `target/debug`, where this test is `target/debug/deps/test-...`.
fn profile_dir() -> Result<PathBuf> {
    let own = env::current_exe().context("cannot find this program")?;
    let dir = own.parent().context("this program is nowhere")?;
    match dir.file_name() {
        Some(name) if name == "deps" => dir.parent().map(Path::to_owned).context("deps is nowhere"),
        _ => Ok(dir.to_owned()),
    }
}

/// Whether a program is newer than every file that it was built from, by the list that
/// cargo keeps beside it.
fn up_to_date(program: &Path) -> bool {
    let Some(built) = modified(program) else {
        return false;
    };
    let Ok(list) = fs::read_to_string(program.with_extension("d")) else {
        return false;
    };
    inputs(&list)
        .iter()
        .all(|file| modified(file).is_some_and(|changed| changed <= built))
}

/// The files to the right of the colon in a make rule, as cargo writes it: blanks in names
/// have a backslash.
fn inputs(rule: &str) -> Vec<PathBuf> {
    let files = rule.split_once(": ").map_or("", |(_, files)| files);
    files
        .replace("\\ ", "\0")
        .split_whitespace()
        .map(|file| PathBuf::from(file.replace('\0', " ")))
        .collect()
}

fn modified(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|meta| meta.modified()).ok()
}

fn build(package: &str, name: &str, profile: &Path) -> Result<()> {
    let target = profile
        .parent()
        .context("the profile's directory is nowhere")?;
    let profile = match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(name) => name,
        None => bail!("the profile's directory has no name"),
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--package",
            package,
            "--bin",
            name,
            "--profile",
            profile,
        ])
        .arg("--target-dir")
        .arg(target)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "cargo build of {name} failed: {status}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_can_have_blanks_in_their_names() {
        let rule = "/t/debug/x: /a/main.rs /b/my\\ crate/lib.rs\n";
        assert_eq!(
            inputs(rule),
            ["/a/main.rs", "/b/my crate/lib.rs"].map(PathBuf::from)
        );
    }
}
