//! What keeps a module of the kernel from being loaded (modprobe.d(5), kernel-command-line(7)).

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;

use discovery::HostRoot;

/// A file in one hides those of its name in the ones after it.
const DIRS: [&str; 5] = [
    "/etc/modprobe.d",
    "/run/modprobe.d",
    "/usr/local/lib/modprobe.d",
    "/usr/lib/modprobe.d",
    "/lib/modprobe.d",
];

/// Where it is said that a module is not to be loaded, as on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blacklisted {
    /// The file.
    pub file: String,
    /// The line, or the word of the kernel's command line.
    pub words: String,
}

impl fmt::Display for Blacklisted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` in {}", self.words, self.file)
    }
}

/// The first place on the host that keeps `module` from being loaded at boot.
///
/// # Errors
/// Where a file that is there cannot be read.
pub fn blacklisted(host: &HostRoot, module: &str) -> io::Result<Option<Blacklisted>> {
    const COMMAND_LINE: &str = "/proc/cmdline";
    let text = |path: &str| match host.resolve(path).and_then(fs::read) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    };
    if let Some(words) = in_command_line(&text(COMMAND_LINE)?, module) {
        let file = COMMAND_LINE.to_owned();
        return Ok(Some(Blacklisted { file, words }));
    }
    for file in files(host)? {
        if let Some(words) = in_file(&text(&file)?, module) {
            return Ok(Some(Blacklisted { file, words }));
        }
    }
    Ok(None)
}

/// The files that modprobe reads, by name.
fn files(host: &HostRoot) -> io::Result<Vec<String>> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for dir in DIRS {
        let entries = match host.resolve(dir).and_then(fs::read_dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let name = PathBuf::from(entry?.file_name());
            if let Some(name) = name.to_str().filter(|name| name.ends_with(".conf")) {
                files
                    .entry(name.to_owned())
                    .or_insert_with(|| format!("{dir}/{name}"));
            }
        }
    }
    Ok(files.into_values().collect())
}

/// The line that blacklists the module, or has nothing done in place of loading it.
fn in_file(text: &str, module: &str) -> Option<String> {
    let keeps_out = |line: &&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["blacklist", name] => is(name, module),
            ["install", name, command, ..] => {
                is(name, module) && matches!(command.rsplit('/').next(), Some("false" | "true"))
            }
            _ => false,
        }
    };
    // A line goes on after a backslash.
    let joined = text.replace("\\\n", " ");
    let line = joined.lines().map(str::trim).find(keeps_out);
    line.map(str::to_owned)
}

/// The word of the kernel's command line that blacklists the module.
fn in_command_line(text: &str, module: &str) -> Option<String> {
    let keeps_out = |word: &&str| {
        let Some((name, modules)) = word.split_once('=') else {
            return false;
        };
        matches!(name, "modprobe.blacklist" | "module_blacklist")
            && modules.split(',').any(|name| is(name, module))
    };
    text.split_whitespace().find(keeps_out).map(str::to_owned)
}

/// Whether two names are those of one module: `-` and `_` are the same in them.
fn is(name: &str, module: &str) -> bool {
    name.replace('-', "_") == module.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_keeps_the_module_out_is_found() {
        for (text, found) in [
            ("blacklist amdgpu\n", Some("blacklist amdgpu")),
            ("# blacklist amdgpu\n", None),
            ("blacklist amdgpu_xcp\n", None),
            ("options amdgpu dc=0\nblacklist radeon\n", None),
            (
                "install amdgpu /bin/false",
                Some("install amdgpu /bin/false"),
            ),
            (
                "install amdgpu /usr/bin/true\n",
                Some("install amdgpu /usr/bin/true"),
            ),
            ("install amdgpu /sbin/modprobe -i amdgpu\n", None),
            ("a b\n\t blacklist\tamdgpu \n", Some("blacklist\tamdgpu")),
            ("blacklist \\\namdgpu\n", Some("blacklist  amdgpu")),
            ("", None),
        ] {
            assert_eq!(in_file(text, "amdgpu").as_deref(), found, "{text:?}");
        }
    }

    #[test]
    fn the_kernels_command_line_can_keep_it_out() {
        for (text, found) in [
            (
                "quiet modprobe.blacklist=radeon,amdgpu\n",
                Some("modprobe.blacklist=radeon,amdgpu"),
            ),
            ("module_blacklist=amdgpu", Some("module_blacklist=amdgpu")),
            ("quiet amdgpu.dc=0 modprobe.blacklist=radeon", None),
            ("", None),
        ] {
            assert_eq!(
                in_command_line(text, "amdgpu").as_deref(),
                found,
                "{text:?}"
            );
        }
    }

    #[test]
    fn hyphens_and_underscores_are_the_same() {
        assert!(in_file("blacklist vfio-pci", "vfio_pci").is_some());
    }
}
