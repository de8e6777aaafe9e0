//! The spec of a container: config.json of its bundle.
//!
//! It is kept as JSON, not as typed structs, so that a field that this runtime does
//! not know reaches the effective spec as it was written.

pub mod check;
pub mod effective;
pub mod example;
mod fields;
mod parse;
mod shape;

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// Name of the spec in a bundle (OCI runtime spec, bundle.md).
pub const CONFIG: &str = "config.json";

/// Why a spec is refused. The words are runc's where clients match on them.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// There is no config.json where the bundle should be.
    #[error("JSON specification file {path:?} not found")]
    NotFound {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read {path:?}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not JSON.
    #[error("{path:?} is not valid JSON")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why, with line and column.
        source: serde_json::Error,
    },
    /// The root filesystem is not a directory that can be used.
    #[error("invalid rootfs {path:?}")]
    Rootfs {
        /// `root.path`, made absolute.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A field has a value that no container can be built from.
    #[error("{0}")]
    Field(String),
}

impl SpecError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound { .. } => Some(
                "name the bundle's directory with --bundle, or make a config.json with \
                 `amd-container-runtime spec`"
                    .into(),
            ),
            Self::Rootfs { .. } => {
                Some("root.path is taken relative to the bundle's directory".into())
            }
            _ => None,
        }
    }
}

/// A bundle as the caller gave it. Nothing in it is ever written to.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Its directory, absolute, without symlinks.
    pub dir: PathBuf,
    /// Its root filesystem, absolute, without symlinks.
    pub rootfs: PathBuf,
    /// Its config.json, checked: see [`check::check`] for its form.
    pub spec: Value,
}

impl Bundle {
    /// Loads the bundle at `dir` and checks its spec.
    ///
    /// # Errors
    /// See [`SpecError`].
    pub fn load(dir: &Path) -> Result<Self, SpecError> {
        let path = dir.join(CONFIG);
        let bytes = read_file(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => SpecError::NotFound { path: path.clone() },
            _ => SpecError::Read {
                path: path.clone(),
                source,
            },
        })?;
        let mut spec = parse::parse(&bytes).map_err(|source| SpecError::Json { path, source })?;
        check::check(&mut spec)?;

        let dir = fs::canonicalize(dir).map_err(|source| SpecError::Read {
            path: dir.to_owned(),
            source,
        })?;
        let root = spec
            .pointer("/root/path")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let rootfs = directory(&dir.join(root))?;
        resolve_sources(&mut spec, &dir);
        if namespace(&spec, "mount").is_none() {
            // Else libcontainer has no part in it: see `mounts`.
            check_dev(&rootfs)?;
        }
        Ok(Self { dir, rootfs, spec })
    }

    /// Whether the process of the spec wants a terminal.
    pub fn terminal(&self) -> bool {
        self.spec
            .pointer("/process/terminal")
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }
}

/// The source of a bind mount is relative to the bundle (OCI runtime-spec, config.md,
/// "Mounts"), and the effective bundle is another directory.
fn resolve_sources(spec: &mut Value, bundle: &Path) {
    let mounts = spec.get_mut("mounts").and_then(Value::as_array_mut);
    for mount in mounts.into_iter().flatten() {
        let options = mount.get("options").and_then(Value::as_array);
        let bind = |option: &Value| option == "bind" || option == "rbind";
        if options.is_some_and(|options| options.iter().any(bind))
            && let Some(source) = mount.get("source").and_then(Value::as_str)
        {
            mount["source"] = Value::from(bundle.join(source).to_string_lossy());
        }
    }
}

/// Refuses an image whose /dev is something else than a directory.
///
/// libcontainer makes its default links (/dev/fd, /dev/ptmx, ...) by the bare path
/// below the root filesystem (`rootfs/symlink.rs`), before it enters it: a symbolic link
/// at /dev would lead it to a directory of the host.
fn check_dev(rootfs: &Path) -> Result<(), SpecError> {
    let dev = rootfs.join("dev");
    match dev.symlink_metadata() {
        Ok(metadata) if !metadata.is_dir() => Err(SpecError::Field(format!(
            "{} is not a directory: an image must have a directory there, or nothing",
            dev.display()
        ))),
        _ => Ok(()),
    }
}

/// A path without `.`, `..` and repeated slashes, by its text alone: `..` does not lead out
/// of the root, be the path absolute or relative (runc's `LexicallyCleanPath`).
fn clean_path(path: impl AsRef<Path>) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.as_ref().components() {
        match component {
            Component::RootDir | Component::Normal(_) => clean.push(component),
            Component::ParentDir => {
                clean.pop();
            }
            Component::Prefix(_) | Component::CurDir => {}
        }
    }
    clean
}

/// A root filesystem, which must be named by its real path, as runc has it: what a
/// symbolic link leads to can be changed between two looks.
fn directory(path: &Path) -> Result<PathBuf, SpecError> {
    let invalid = |source| SpecError::Rootfs {
        path: path.to_owned(),
        source,
    };
    let real = fs::canonicalize(path).map_err(invalid)?;
    if !real.is_dir() {
        return Err(invalid(io::Error::from(io::ErrorKind::NotADirectory)));
    }
    if real != clean_path(path) {
        let message = format!("not an absolute path, or a symlink to {}", real.display());
        return Err(invalid(io::Error::other(message)));
    }
    Ok(real)
}

/// `value` as a type of oci-spec. `what` names it in errors, which say the path of the
/// field that is wrong.
///
/// # Errors
/// Where a field has the wrong type, or one that must be there is missing.
pub(crate) fn typed<'v, T: Deserialize<'v>>(what: &str, value: &'v Value) -> Result<T, SpecError> {
    // To keep track of the path takes as long as all the rest.
    if let Ok(value) = T::deserialize(value) {
        return Ok(value);
    }
    serde_path_to_error::deserialize(value).map_err(|err| {
        let path = err.path().to_string();
        let dot = if path == "." { "" } else { "." };
        let path = if path == "." { "" } else { path.as_str() };
        SpecError::Field(format!("{what}{dot}{path}: {}", err.inner()))
    })
}

/// Reads a file, or what comes through a FIFO; no device, which can have no end.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_char_device() || kind.is_block_device() {
        return Err(io::Error::other("it is a device"));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The namespace of a kind, such as `pid`, that a spec lists.
pub(crate) fn namespace<'s>(spec: &'s Value, kind: &str) -> Option<&'s Value> {
    let namespaces = spec.pointer("/linux/namespaces")?.as_array()?;
    namespaces.iter().find(|ns| ns["type"] == kind)
}

/// Whether a container gets a namespace of this kind of its own, rather than one at a
/// path or its caller's.
pub(crate) fn has_new_namespace(spec: &Value, kind: &str) -> bool {
    namespace(spec, kind).is_some_and(|ns| {
        ns.get("path")
            .and_then(Value::as_str)
            .is_none_or(str::is_empty)
    })
}

/// The object at `key` of `parent`, made where it is missing or null.
///
/// # Errors
/// Where something else than an object is there.
pub(crate) fn object<'a>(parent: &'a mut Value, key: &str) -> Result<&'a mut Value, SpecError> {
    let wrong = || SpecError::Field(format!("{key} must be an object"));
    let map = parent.as_object_mut().ok_or_else(wrong)?;
    let child = map.entry(key).or_insert(Value::Null);
    if child.is_null() {
        *child = Value::Object(serde_json::Map::new());
    }
    if child.is_object() {
        Ok(child)
    } else {
        Err(wrong())
    }
}

/// The array at `key` of `parent`, made where it is missing or null.
///
/// # Errors
/// Where something else than an array is there.
pub(crate) fn array<'a>(parent: &'a mut Value, key: &str) -> Result<&'a mut Vec<Value>, SpecError> {
    let wrong = || SpecError::Field(format!("{key} must be an array"));
    let map = parent.as_object_mut().ok_or_else(wrong)?;
    let child = map.entry(key).or_insert(Value::Null);
    if child.is_null() {
        *child = Value::Array(Vec::new());
    }
    child.as_array_mut().ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use serde_json::json;

    use super::*;

    fn bundle(root: &str, mounts: &Value) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("rootfs")).unwrap();
        symlink("rootfs", dir.path().join("link")).unwrap();
        let spec = json!({
            "root": {"path": root}, "process": {"cwd": "/", "args": ["sh"]}, "mounts": mounts,
        });
        fs::write(dir.path().join(CONFIG), spec.to_string()).unwrap();
        dir
    }

    #[test]
    fn a_config_without_an_end_is_not_read() {
        let dir = bundle("rootfs", &json!([]));
        let config = dir.path().join(CONFIG);
        fs::remove_file(&config).unwrap();
        symlink("/dev/zero", &config).unwrap();
        let error = Bundle::load(dir.path()).unwrap_err();
        assert!(crate::chain(&error).contains("it is a device"), "{error}");
    }

    #[test]
    fn a_root_filesystem_is_named_by_its_real_path() {
        for root in ["rootfs", "./rootfs/", "link/../rootfs"] {
            Bundle::load(bundle(root, &json!([])).path()).unwrap();
        }
        for root in ["link", "link/.", "rootfs/no-such", CONFIG] {
            let err = Bundle::load(bundle(root, &json!([])).path()).unwrap_err();
            assert!(matches!(err, SpecError::Rootfs { .. }), "{root}: {err}");
        }
    }

    #[test]
    fn the_source_of_a_bind_mount_is_relative_to_the_bundle() {
        let mount = |source: &str, option: &str| json!({"destination": "/x", "source": source, "options": [option]});
        let mounts = json!([mount("a", "bind"), mount("/a", "rbind"), mount("a", "ro")]);
        let dir = bundle("rootfs", &mounts);
        let bundle = Bundle::load(dir.path()).unwrap();
        let sources: Vec<_> = (0..3)
            .map(|n| bundle.spec["mounts"][n]["source"].as_str().unwrap())
            .collect();
        assert_eq!(sources, [bundle.dir.join("a").to_str().unwrap(), "/a", "a"]);
    }

    #[test]
    fn paths_are_cleaned_by_their_text() {
        for (path, clean) in [
            ("/a/../../b/./c", "/b/c"),
            ("../../a", "a"),
            ("a//b/", "a/b"),
            ("/..", "/"),
            ("..", ""),
        ] {
            assert_eq!(clean_path(path), Path::new(clean), "{path}");
        }
    }
}
