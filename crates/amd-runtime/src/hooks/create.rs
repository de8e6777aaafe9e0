//! The hooks of `create`: prestart, createRuntime and createContainer.
//!
//! They are due at a point inside libcontainer's build. It is told one hook for each
//! place: this program, with the number of an open file that holds the real hooks. The program
//! runs them (`run_if_asked`), and writes what went wrong where the build looks for causes. All
//! that is forked meanwhile has the file, and nobody can write to it any more.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, RawFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, FdFlag, SealFlag, fcntl};
use nix::sched::{CloneFlags, setns};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::getppid;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Hook, HookState, Hooks, When, run};
use crate::lifecycle::causes;
use crate::process::descriptors;
use crate::reentry;

/// The variable that holds the number of a file with a [`Batch`]: of a batch itself, annotations
/// included, there can be more than the 128 KiB that execve(2) takes of a variable.
const VARIABLE: &str = "_AMD_CONTAINER_RUNTIME_HOOKS";

/// What a runner has to do.
#[derive(Serialize, Deserialize)]
struct Batch {
    lists: Vec<(When, Vec<Hook>)>,
    state: HookState,
    dir: PathBuf,
    /// Namespaces to go back to, by numbers of files of the process that started it.
    home: Vec<RawFd>,
    /// The descriptor that it writes a failure to.
    report: RawFd,
}

/// Where hooks run.
#[derive(Debug)]
pub struct Place<'p> {
    /// The container's root filesystem, for those that run in its namespaces.
    pub rootfs: &'p Path,
    /// Files of this process for the namespaces of the runtime, where it is in others
    /// meanwhile, for those that run in the runtime's.
    pub home: Vec<RawFd>,
}

/// Why `create` cannot have its hooks run.
#[derive(Debug, thiserror::Error)]
pub enum HandOverError {
    /// This program's `main` does not look for what it is called for.
    #[error(
        "the container has hooks, and this program does not run them: call \
         `amd_runtime::seal::ensure_sealed` first in its `main`"
    )]
    NotReady,
    /// There is no file to hand them over in.
    #[error("cannot hand over the hooks of the container")]
    File(#[from] io::Error),
}

/// What libcontainer is told, and the files that this is about: to be kept until the container
/// is built.
#[derive(Debug)]
pub struct Told {
    /// The value of `hooks` in the spec.
    pub hooks: Value,
    _batches: Vec<File>,
}

/// What libcontainer is told of `hooks`: to run this program. `null` where `create` has no
/// hook to run. Hooks run in the bundle's directory, and those of the container in its
/// root filesystem, as with runc. `report` is inherited by them until they begin.
///
/// # Errors
/// Where this program is none that runs hooks, or the kernel gives no memfd.
pub fn told(
    hooks: &Hooks,
    state: &HookState,
    place: Place<'_>,
    report: BorrowedFd<'_>,
) -> Result<Told, HandOverError> {
    let mut batches = Vec::new();
    let mut runner = |points: &[When], dir: &Path, home: Vec<RawFd>| {
        let lists: Vec<_> = points
            .iter()
            .map(|when| (*when, hooks.at(*when).to_vec()))
            .filter(|(_, hooks)| !hooks.is_empty())
            .collect();
        if lists.is_empty() {
            return Ok(Value::Null);
        }
        let batch = Batch {
            lists,
            state: state.clone(),
            dir: dir.to_owned(),
            home,
            report: report.as_raw_fd(),
        };
        let file = write_batch(&batch)?;
        let number = file.as_raw_fd();
        batches.push(file);
        io::Result::Ok(json!([{
            "path": "/proc/self/exe",
            "args": [reentry::HOOKS],
            "env": [format!("{VARIABLE}={number}")],
        }]))
    };
    let of_runtime = [When::Prestart, When::CreateRuntime];
    let create_runtime = runner(&of_runtime, &state.bundle, place.home)?;
    let create_container = runner(&[When::CreateContainer], place.rootfs, Vec::new())?;
    if create_runtime.is_null() && create_container.is_null() {
        return Ok(Told {
            hooks: Value::Null,
            _batches: batches,
        });
    }
    if !reentry::is_ready() {
        return Err(HandOverError::NotReady);
    }
    let inheritable = FcntlArg::F_SETFD(FdFlag::empty());
    // An error of a descriptor that is open is none that could happen.
    let _ = fcntl(report, inheritable);
    Ok(Told {
        hooks: json!({"createRuntime": create_runtime, "createContainer": create_container}),
        _batches: batches,
    })
}

/// Where this process was started to run the hooks of a container, does so, and returns its
/// exit status.
pub(crate) fn run_if_asked() -> Option<i32> {
    let value = std::env::var(VARIABLE).ok()?;
    if std::env::args().next().as_deref() != Some(reentry::HOOKS) {
        return None;
    }
    let Some(batch) = value
        .parse()
        .ok()
        .and_then(|number| read_batch(number).ok())
    else {
        return Some(1);
    };
    let mut report = inherited(batch.report);
    Some(match run_batch(batch) {
        Ok(()) => 0,
        Err(message) => {
            let _ = report.write_all(causes::record(true, &message).as_bytes());
            1
        }
    })
}

/// A file that this process was started with.
fn inherited(number: RawFd) -> File {
    #[allow(unsafe_code)]
    // SAFETY: inherited for this purpose, and owned by nobody else in this new process.
    unsafe {
        File::from_raw_fd(number)
    }
}

/// A file with `batch` that the runner inherits, and that stays as it is.
fn write_batch(batch: &Batch) -> io::Result<File> {
    // Without MFD_CLOEXEC.
    let mut file = File::from(memfd_create(c"hooks", MFdFlags::MFD_ALLOW_SEALING)?);
    file.write_all(&serde_json::to_vec(batch)?)?;
    let seals = SealFlag::F_SEAL_WRITE
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file)
}

fn read_batch(number: RawFd) -> io::Result<Batch> {
    let mut file = inherited(number);
    // Its position is the writer's, too.
    file.rewind()?;
    Ok(serde_json::from_reader(io::BufReader::new(file))?)
}

/// Joins the namespace that the parent of this process has open.
fn go_home(number: RawFd) -> io::Result<()> {
    let namespace = File::open(format!("/proc/{}/fd/{number}", getppid()))?;
    Ok(setns(namespace, CloneFlags::empty())?)
}

fn run_batch(batch: Batch) -> Result<(), String> {
    // Neither the files of this runner nor those of the other are the hooks' business.
    descriptors::close_on_exec().map_err(|err| format!("cannot close descriptors: {err}"))?;
    // libcontainer's state, of which only the pid is news.
    let told: Value = serde_json::from_reader(io::stdin())
        .map_err(|err| format!("the state of the container: {err}"))?;
    for number in &batch.home {
        go_home(*number)
            .map_err(|err| format!("cannot go back to the runtime's namespaces: {err}"))?;
    }
    // The working directory of a host may be closed to the root of a user namespace.
    if let Err(err) = std::env::set_current_dir(&batch.dir) {
        tracing::warn!("hooks do not run in {:?}: {err}", batch.dir);
    }
    for (when, hooks) in &batch.lists {
        let pid = if *when == When::CreateContainer {
            // The init that started this process, in the PID namespace of both.
            getppid().as_raw()
        } else {
            told["pid"]
                .as_i64()
                .and_then(|pid| i32::try_from(pid).ok())
                .unwrap_or(0)
        };
        let state = HookState {
            pid,
            ..batch.state.clone()
        };
        run(*when, hooks, &state, None, &[]).map_err(|err| err.to_string())?;
    }
    Ok(())
}
