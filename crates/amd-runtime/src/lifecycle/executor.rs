//! The last steps inside the container: find the program, set its environment, exec.
//!
//! libcontainer's default executor refuses what runc runs (a program of mode 0700, an
//! environment without PATH), words its errors so that docker does not map them to
//! exit codes 126 and 127, and leaves SIGPIPE ignored, as the Rust runtime sets it. For
//! exec'd processes it forgets the seccomp filter (see [`Restrictions`]).

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::ffi::CString;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use libcontainer::capabilities::drop_privileges;
use libcontainer::oci_spec::runtime::{LinuxCapabilities, LinuxSeccomp, Spec};
use libcontainer::seccomp::initialize_seccomp;
use libcontainer::syscall::syscall::SyscallType;
use libcontainer::workload::{
    Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError,
};
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::{AccessFlags, execve, faccessat};

use super::causes::OURS;
use crate::error::chain;

/// Starts the program of a spec's process as runc does.
#[derive(Clone, Debug, Default)]
pub struct Program {
    env: RefCell<HashMap<String, String>>,
    restrictions: Option<Restrictions>,
}

/// What libcontainer leaves to the program of an exec'd process: loading the
/// container's filter, and dropping the capabilities that this took.
#[derive(Clone, Debug)]
pub struct Restrictions {
    /// The filter of the container.
    pub seccomp: LinuxSeccomp,
    /// The capabilities that the process is to have; `None`: those it has.
    pub capabilities: Option<LinuxCapabilities>,
}

impl Restrictions {
    fn apply(&self) -> Result<(), String> {
        let listener = initialize_seccomp(&self.seccomp).map_err(|err| chain(&err))?;
        if listener.is_some() {
            // The engine that listens got the descriptor of the container's init only.
            return Err("a seccomp filter with SCMP_ACT_NOTIFY cannot be used by exec".into());
        }
        if let Some(capabilities) = &self.capabilities {
            let syscall = SyscallType::default().create_syscall();
            drop_privileges(capabilities, syscall.as_ref()).map_err(|err| chain(&err))?;
        }
        Ok(())
    }
}

impl Executor for Program {
    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        let (name, path) = program(spec);
        resolve(&name, &path).map(drop).map_err(|message| {
            tracing::error!(target: OURS, "{message}");
            ExecutorValidationError::ArgValidationError(message)
        })
    }

    fn setup_envs(&self, mut envs: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        // libcontainer sets it from the image's passwd; runc falls back to the root.
        envs.entry("HOME".to_owned())
            .or_insert_with(|| "/".to_owned());
        // Handed to execve(2); this process needs no environment of its own.
        self.env.replace(envs);
        Ok(())
    }

    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let (name, path) = program(spec);
        let failed = |message: String| {
            // After `start` nobody listens any more: the container's stderr is what
            // its owner sees, as with runc.
            let _ = writeln!(std::io::stderr(), "{message}");
            ExecutorError::Other(message)
        };
        let file = resolve(&name, &path).map_err(failed)?;
        if let Some(restrictions) = &self.restrictions {
            restrictions.apply().map_err(failed)?;
        }
        let errno = match self.replace_process(&file, spec) {
            Ok(never) => match never {},
            Err(errno) => errno,
        };
        Err(failed(format!(
            "exec {}: {}",
            file.display(),
            errno_text(errno)
        )))
    }
}

impl Program {
    /// A program that restricts itself before it is executed.
    pub fn restricted(restrictions: Restrictions) -> Self {
        Self {
            restrictions: Some(restrictions),
            ..Self::default()
        }
    }

    fn replace_process(&self, file: &Path, spec: &Spec) -> nix::Result<Infallible> {
        let args = spec.process().as_ref().and_then(|p| p.args().as_ref());
        let args = c_strings(args.into_iter().flatten().cloned())?;
        let env = c_strings(self.ordered_env(spec).into_iter())?;
        let file = CString::new(file.as_os_str().as_encoded_bytes()).map_err(|_| Errno::EINVAL)?;
        default_signals();
        execve(&file, &args, &env)
    }

    /// The environment in the order of the spec, of two entries the last, and behind
    /// it what libcontainer added (HOME).
    fn ordered_env(&self, spec: &Spec) -> Vec<String> {
        let mut rest = self.env.borrow().clone();
        let of_spec = spec.process().as_ref().and_then(|p| p.env().as_ref());
        let mut env: Vec<String> = of_spec
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let (key, _) = entry.split_once('=')?;
                let value = rest.remove(key)?;
                Some(format!("{key}={value}"))
            })
            .collect();
        env.extend(
            rest.into_iter()
                .map(|(key, value)| format!("{key}={value}")),
        );
        env
    }
}

fn c_strings(items: impl Iterator<Item = String>) -> nix::Result<Vec<CString>> {
    items
        .map(|item| CString::new(item).map_err(|_| Errno::EINVAL))
        .collect()
}

/// Name of the program and the PATH in which it is looked for.
fn program(spec: &Spec) -> (String, String) {
    let process = spec.process().as_ref();
    let name = process
        .and_then(|p| p.args().as_ref())
        .and_then(|args| args.first());
    let env = process.and_then(|p| p.env().as_ref()).into_iter().flatten();
    let path = env
        .filter_map(|entry| entry.strip_prefix("PATH="))
        .next_back();
    (
        name.cloned().unwrap_or_default(),
        path.unwrap_or_default().to_owned(),
    )
}

/// The file that `name` means, or why there is none, in the words of Go's
/// `exec.LookPath`: docker and the kubelet match on them.
fn resolve(name: &str, search: &str) -> Result<PathBuf, String> {
    if name.contains('/') {
        return match executable(Path::new(name)) {
            Ok(()) => Ok(PathBuf::from(name)),
            Err(Errno::ENOENT) => Err(format!(
                "exec: {name:?}: stat {name}: no such file or directory"
            )),
            Err(errno) => Err(format!("exec: {name:?}: {}", errno_text(errno))),
        };
    }
    search
        .split(':')
        .map(|dir| {
            if dir.is_empty() {
                Path::new(".").join(name)
            } else {
                Path::new(dir).join(name)
            }
        })
        .find(|file| !name.is_empty() && executable(file).is_ok())
        .ok_or_else(|| format!("exec: {name:?}: executable file not found in $PATH"))
}

fn executable(file: &Path) -> nix::Result<()> {
    let metadata = file
        .metadata()
        .map_err(|err| err.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
    if metadata.is_dir() {
        return Err(Errno::EISDIR);
    }
    faccessat(
        nix::fcntl::AT_FDCWD,
        file,
        AccessFlags::X_OK,
        AtFlags::AT_EACCESS,
    )
}

/// The error as Go words it.
fn errno_text(errno: Errno) -> String {
    errno.desc().to_lowercase()
}

/// A program starts with default signal actions, whatever the caller or the Rust
/// runtime ignores, and nothing blocked.
fn default_signals() {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    let changeable = |signal: &Signal| !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP);
    for signal in Signal::iterator().filter(changeable) {
        #[allow(unsafe_code)]
        // SAFETY: SIG_DFL installs no handler, so no code of ours can run in one.
        let _ = unsafe { sigaction(signal, &default) };
    }
    let _ = SigSet::empty().thread_set_mask();
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(dir: &Path, name: &str, mode: u32) -> String {
        let path = dir.join(name);
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn programs_are_found_as_go_finds_them() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().to_str().unwrap();
        let tool = file(tmp.path(), "tool", 0o700);
        assert_eq!(resolve(&tool, ""), Ok(PathBuf::from(&tool)));
        assert_eq!(
            resolve("tool", &format!("/nowhere:{dir}")),
            Ok(PathBuf::from(&tool))
        );
    }

    #[test]
    fn what_cannot_be_run_is_told_in_gos_words() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().to_str().unwrap();
        let plain = file(tmp.path(), "plain", 0o644);
        for (name, says) in [
            (
                "tool".to_owned(),
                "exec: \"tool\": executable file not found in $PATH".to_owned(),
            ),
            (
                String::new(),
                "exec: \"\": executable file not found in $PATH".to_owned(),
            ),
            (
                "plain".to_owned(),
                "exec: \"plain\": executable file not found in $PATH".to_owned(),
            ),
            (plain.clone(), format!("exec: {plain:?}: permission denied")),
            (dir.to_owned(), format!("exec: {dir:?}: is a directory")),
            (
                "/no/x".to_owned(),
                "exec: \"/no/x\": stat /no/x: no such file or directory".to_owned(),
            ),
        ] {
            assert_eq!(resolve(&name, dir), Err(says));
        }
    }
}
