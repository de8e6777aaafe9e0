//! Filters of profiles that were compiled before.
//!
//! libseccomp takes milliseconds for the profile of an engine, which is the same for nearly every
//! container. So what it made of a profile is kept in a directory of root's on a tmpfs, and taken
//! from there only where nobody else can have put it there: directory and file belong to root and
//! nobody else can write to them, a sum says that the file is whole, and the profile in it is
//! compared byte by byte, so that no two profiles are ever taken for one another.

use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use libseccomp::ScmpVersion;
use nix::unistd::Uid;
use oci_spec::runtime::LinuxSeccomp;
use serde_json::{Value, json};

use super::{Filter, SeccompError, compile};
use crate::error::{Result, chain};
use crate::spec::typed;
use crate::state::{read_regular, write_atomically};

/// Where the filters are; gone with the boot, and so with the kernel that they are for.
const DIR: &str = "/run/amd-container-toolkit/seccomp";

/// To be changed when the same profile is compiled to another filter.
const VERSION: u32 = 1;

/// How many filters are kept. The oldest makes room.
const MOST: usize = 64;

/// The longest profile whose filter is kept, in bytes: docker's is a tenth of it.
const LONGEST: usize = 256 << 10;

/// More than a file of such a profile can have: the kernel takes 32 KiB of a filter.
const LARGEST: u64 = 2 * LONGEST as u64;

/// The filter for `linux.seccomp`, compiled where it has not been before.
///
/// # Errors
/// As [`compile`]. That a filter cannot be kept is none.
pub fn compiled(profile: &Value) -> Result<Filter> {
    let filter = compiled_in(Path::new(DIR), profile)?;
    tracing::debug!("seccomp filter flags: {}", filter.flags);
    Ok(filter)
}

fn compiled_in(dir: &Path, profile: &Value) -> Result<Filter> {
    let key = key(profile);
    let cache = Cache::open(dir).filter(|_| key.len() <= LONGEST);
    if let Some(filter) = cache.as_ref().and_then(|cache| cache.find(&key)) {
        return Ok(filter);
    }
    let filter = compile(&typed::<LinuxSeccomp>("linux.seccomp", profile)?)?;
    // Its agent is of one container.
    if let Some(cache) = cache.filter(|_| filter.listener.is_none())
        && let Err(err) = cache.keep(&key, &filter)
    {
        tracing::debug!("a seccomp filter is not kept: {}", chain(&err));
    }
    Ok(filter)
}

/// All that a filter depends on, on one line.
fn key(profile: &Value) -> Vec<u8> {
    let library = ScmpVersion::current().ok();
    let library = library.map(|version| (version.major, version.minor, version.micro));
    let arch = std::env::consts::ARCH;
    json!([VERSION, library, arch, profile])
        .to_string()
        .into_bytes()
}

/// A directory that only root can write to.
struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// `None` where there can be none: for other users, and where the directory is not safe.
    fn open(dir: &Path) -> Option<Self> {
        if !Uid::effective().is_root() {
            return None;
        }
        if fs::symlink_metadata(dir).is_err() {
            // Its parent is for whoever looks, and for root to write to.
            let mut parents = DirBuilder::new();
            parents.recursive(true).mode(0o755);
            parents.create(dir.parent()?).ok()?;
            // Another process can be as fast.
            let _ = DirBuilder::new().mode(0o700).create(dir);
        }
        let found = fs::symlink_metadata(dir).ok()?;
        (found.is_dir() && is_of_root_alone(&found)).then(|| Self {
            dir: dir.to_owned(),
        })
    }

    fn path(&self, key: &[u8]) -> PathBuf {
        self.dir.join(format!("{:08x}", crc32fast::hash(key)))
    }

    /// The filter that was kept for `key`.
    fn find(&self, key: &[u8]) -> Option<Filter> {
        let bytes = read(&self.path(key)).ok()?;
        let (sum, content) = bytes.split_at_checked(size_of::<u32>())?;
        if sum != crc32fast::hash(content).to_le_bytes() {
            return None;
        }
        let filter = content.strip_prefix(key)?.strip_prefix(b"\n")?;
        Filter::from_bytes(filter).ok()
    }

    fn keep(&self, key: &[u8], filter: &Filter) -> Result<(), SeccompError> {
        let path = self.path(key);
        let failed = || SeccompError::io(format!("cannot write {path:?}"));
        self.make_room().map_err(failed())?;
        let content = [key, b"\n", &filter.to_bytes()].concat();
        let sum = crc32fast::hash(&content).to_le_bytes();
        write_atomically(&path, &[&sum[..], &content].concat()).map_err(failed())
    }

    /// Removes the oldest filters where there are too many.
    fn make_room(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            // Removed meanwhile by another process.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            files.push((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), entry));
        }
        files.sort_by_key(|(modified, _)| *modified);
        let surplus = (files.len() + 1).saturating_sub(MOST);
        for (_, entry) in files.iter().take(surplus) {
            let _ = fs::remove_file(entry.path());
        }
        Ok(())
    }
}

fn is_of_root_alone(file: &Metadata) -> bool {
    file.uid() == 0 && file.mode() & 0o022 == 0
}

/// Nobody but root can exchange the file between the two looks at it.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let found = fs::symlink_metadata(path)?;
    if !is_of_root_alone(&found) || found.len() > LARGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    read_regular(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use tempfile::TempDir;

    use super::*;

    fn profile(errno: u32) -> Value {
        json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno}]})
    }

    /// A directory for the cache, and the one file that is in it after a compilation.
    fn one_kept() -> (TempDir, PathBuf, PathBuf) {
        let base = tempfile::tempdir().unwrap();
        let dir = base.path().join("a/seccomp");
        compiled_in(&dir, &profile(1)).unwrap();
        let files: Vec<_> = fs::read_dir(&dir).unwrap().collect();
        assert_eq!(files.len(), 1);
        let file = files[0].as_ref().unwrap().path();
        (base, dir, file)
    }

    fn fresh(errno: u32) -> Filter {
        compile(&serde_json::from_value(profile(errno)).unwrap()).unwrap()
    }

    #[test]
    fn a_kept_filter_is_what_would_be_compiled() {
        let (_base, dir, file) = one_kept();
        let before = fs::metadata(&file).unwrap().modified().unwrap();
        assert_eq!(compiled_in(&dir, &profile(1)).unwrap(), fresh(1));
        assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), before);
        assert_eq!(
            Cache::open(&dir).unwrap().find(&key(&profile(1))),
            Some(fresh(1))
        );
    }

    #[test]
    fn another_profile_under_the_same_name_is_not_taken() {
        let (_base, dir, file) = one_kept();
        let cache = Cache::open(&dir).unwrap();
        fs::copy(&file, cache.path(&key(&profile(2)))).unwrap();
        assert_eq!(compiled_in(&dir, &profile(2)).unwrap(), fresh(2));
    }

    #[test]
    fn what_is_damaged_or_could_be_anothers_is_compiled_anew() {
        type Spoil = fn(&Path);
        let spoils: [(&str, Spoil); 9] = [
            ("torn", |file| {
                let bytes = fs::read(file).unwrap();
                fs::write(file, &bytes[..bytes.len() - 8]).unwrap();
            }),
            ("one bit", |file| {
                let mut bytes = fs::read(file).unwrap();
                *bytes.last_mut().unwrap() ^= 1;
                fs::write(file, bytes).unwrap();
            }),
            ("empty", |file| fs::write(file, "").unwrap()),
            ("gone", |file| fs::remove_file(file).unwrap()),
            ("enormous", |file| {
                fs::File::options()
                    .write(true)
                    .open(file)
                    .unwrap()
                    .set_len(1 << 40)
                    .unwrap();
            }),
            ("a FIFO", |file| {
                fs::remove_file(file).unwrap();
                nix::unistd::mkfifo(file, nix::sys::stat::Mode::S_IRWXU).unwrap();
            }),
            ("writable", |file| {
                fs::set_permissions(file, PermissionsExt::from_mode(0o666)).unwrap();
            }),
            ("another's", |file| {
                std::os::unix::fs::chown(file, Some(1000), None).unwrap();
            }),
            ("a link", |file| {
                let elsewhere = file.with_extension("elsewhere");
                fs::rename(file, &elsewhere).unwrap();
                symlink(elsewhere, file).unwrap();
            }),
        ];
        for (what, spoil) in spoils {
            let (_base, dir, file) = one_kept();
            spoil(&file);
            assert_eq!(
                Cache::open(&dir).unwrap().find(&key(&profile(1))),
                None,
                "{what}"
            );
            assert_eq!(compiled_in(&dir, &profile(1)).unwrap(), fresh(1), "{what}");
        }
    }

    #[test]
    fn a_directory_of_others_is_not_used() {
        let (_base, dir, _) = one_kept();
        fs::set_permissions(&dir, PermissionsExt::from_mode(0o777)).unwrap();
        assert!(Cache::open(&dir).is_none());
        fs::set_permissions(&dir, PermissionsExt::from_mode(0o700)).unwrap();
        std::os::unix::fs::chown(&dir, Some(1000), None).unwrap();
        assert!(Cache::open(&dir).is_none());
        let link = dir.with_extension("link");
        symlink(&dir, &link).unwrap();
        assert!(Cache::open(&link).is_none());
    }

    #[test]
    fn the_oldest_make_room() {
        let (_base, dir, oldest) = one_kept();
        for errno in 2..100 {
            compiled_in(&dir, &profile(errno)).unwrap();
        }
        assert_eq!(fs::read_dir(&dir).unwrap().count(), MOST);
        assert!(!oldest.exists());
    }

    #[test]
    fn a_filter_with_an_agent_is_not_kept() {
        let base = tempfile::tempdir().unwrap();
        let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/agent",
            "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]});
        let filter = compiled_in(base.path(), &profile).unwrap();
        assert!(filter.listener.is_some());
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0);
    }
}
