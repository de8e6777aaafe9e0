//! Where the runtime's program is.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use discovery::HostRoot;

/// The program that engines run, by its name.
pub const DEFAULT_PROGRAM: &str = "amd-container-runtime";

const FALLBACK_DIR: &str = "/usr/bin";

/// Why there is no program for an engine to run.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It is in none of the places.
    #[error("{0} is not in PATH, beside amd-ctk, or in {FALLBACK_DIR}")]
    NotFound(String),
    /// An engine has another working directory than the user's.
    #[error("--runtime-path {}: not an absolute path", .0.display())]
    Relative(PathBuf),
    /// There is no such program.
    #[error("--runtime-path {}: no such program", .0.display())]
    Missing(PathBuf),
    /// Configuration files are UTF-8.
    #[error("--runtime-path {}: not UTF-8", .0.display())]
    NotUtf8(PathBuf),
}

impl ProgramError {
    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        matches!(self, Self::NotFound(_)).then(|| "say where it is with --runtime-path".to_owned())
    }
}

/// The absolute path of the runtime on the host below `root`: `given` if it is a path, else
/// where a program of that name (amd-container-runtime by default) is: in PATH, beside this
/// program, or in /usr/bin. `must_exist` is false where the path is wanted for a removal.
///
/// # Errors
/// Where there is no such program, or the path is not absolute or not UTF-8.
pub fn find_program(
    root: &Path,
    given: Option<&Path>,
    must_exist: bool,
) -> Result<String, ProgramError> {
    let given = given.unwrap_or(Path::new(DEFAULT_PROGRAM));
    let path = if given.is_absolute() {
        if must_exist && !is_program(root, given) {
            return Err(ProgramError::Missing(given.to_owned()));
        }
        given.to_owned()
    } else if given.components().count() == 1 {
        match search(root, given) {
            Some(path) => path,
            None if must_exist => {
                return Err(ProgramError::NotFound(given.display().to_string()));
            }
            None => Path::new(FALLBACK_DIR).join(given),
        }
    } else {
        return Err(ProgramError::Relative(given.to_owned()));
    };
    path.into_os_string()
        .into_string()
        .map_err(|path| ProgramError::NotUtf8(path.into()))
}

fn search(root: &Path, name: &Path) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let own = env::current_exe().ok();
    env::split_paths(&path)
        .chain(
            own.iter()
                .filter_map(|own| own.parent())
                .map(Path::to_owned),
        )
        .chain([PathBuf::from(FALLBACK_DIR)])
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(name))
        .find(|path| is_program(root, path))
}

/// Whether the host below `root` has a program at `path`, if only by links such as those of
/// update-alternatives(1).
fn is_program(root: &Path, path: &Path) -> bool {
    let place = HostRoot::new(root).resolve(path).and_then(fs::metadata);
    place.is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
