//! The namespaces of a container, for a process that joins it.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use serde_json::Value;

use crate::process::ProcessError;
use crate::spec::namespace;
use crate::state::ProcessRef;

/// The kinds of namespaces: in a spec, in /proc/PID/ns, and for setns(2). Entering the PID
/// namespace is for the children of a process.
const KINDS: [(&str, &str, CloneFlags); 8] = [
    ("user", "user", CloneFlags::CLONE_NEWUSER),
    ("pid", "pid", CloneFlags::CLONE_NEWPID),
    ("ipc", "ipc", CloneFlags::CLONE_NEWIPC),
    ("uts", "uts", CloneFlags::CLONE_NEWUTS),
    ("network", "net", CloneFlags::CLONE_NEWNET),
    ("cgroup", "cgroup", CloneFlags::CLONE_NEWCGROUP),
    (
        "time",
        "time",
        CloneFlags::from_bits_retain(libc::CLONE_NEWTIME),
    ),
    ("mount", "mnt", CloneFlags::CLONE_NEWNS),
];

/// The namespaces of a container that are not the runtime's own.
#[derive(Debug)]
pub struct Namespaces(Vec<(&'static str, CloneFlags, File)>);

impl Namespaces {
    /// Opens the namespaces of `init` that the spec of its container lists.
    ///
    /// # Errors
    /// Where the init is gone, or may not be looked at.
    pub fn of(init: &ProcessRef, spec: &Value) -> io::Result<Self> {
        let mut all = Vec::new();
        for (kind, name, flag) in KINDS {
            if namespace(spec, kind).is_none() {
                continue;
            }
            let file = File::open(format!("/proc/{}/ns/{name}", init.pid))?;
            if !is_own(&file, name)? {
                all.push((kind, flag, file));
            }
        }
        // Looked at after they were opened: they cannot be a stranger's.
        if !init.is_alive() {
            return Err(io::Error::from(Errno::ESRCH));
        }
        Ok(Self(all))
    }

    /// Takes the cgroup namespace out, for the executed process to join. Who has joined it can make no
    /// process in a cgroup where cgroup namespaces are boundaries of delegation: where it comes from is
    /// outside. It stays where there is a user namespace, as whose root it may not be to be joined.
    pub fn split_off_cgroup(&mut self) -> Self {
        let has = |flag| {
            self.0
                .iter()
                .any(|(_, of_namespace, _)| *of_namespace == flag)
        };
        if has(CloneFlags::CLONE_NEWUSER) {
            return Self(Vec::new());
        }
        let is_cgroup =
            |(_, flag, _): &mut (_, CloneFlags, _)| *flag == CloneFlags::CLONE_NEWCGROUP;
        Self(self.0.extract_if(.., is_cgroup).collect())
    }

    /// Joins them: as the runtime's user what that user may, then the user namespace, and
    /// as its root the rest.
    ///
    /// libcontainer joins none for `exec`: a process in a container with a user namespace
    /// was the host's root.
    ///
    /// # Errors
    /// Names the namespace that cannot be joined.
    pub fn join(self) -> Result<(), ProcessError> {
        let failed = |kind: &str| ProcessError::system(format!("cannot join the {kind} namespace"));
        let (user, others): (Vec<_>, Vec<_>) = self
            .0
            .into_iter()
            .partition(|(_, flag, _)| *flag == CloneFlags::CLONE_NEWUSER);
        let Some((kind, flag, file)) = user.into_iter().next() else {
            for (kind, flag, file) in others {
                setns(&file, flag).map_err(failed(kind))?;
            }
            return Ok(());
        };
        let mut later = Vec::new();
        for (kind, flag, namespace) in others {
            match setns(&namespace, flag) {
                Err(Errno::EPERM) => later.push((kind, flag, namespace)),
                joined => joined.map_err(failed(kind))?,
            }
        }
        setns(&file, flag).map_err(failed(kind))?;
        crate::process::user::become_root()?;
        for (kind, flag, namespace) in later {
            setns(&namespace, flag).map_err(failed(kind))?;
        }
        Ok(())
    }
}

fn is_own(file: &File, name: &str) -> io::Result<bool> {
    let (its, own) = (
        file.metadata()?,
        std::fs::metadata(format!("/proc/self/ns/{name}"))?,
    );
    Ok((its.dev(), its.ino()) == (own.dev(), own.ino()))
}
