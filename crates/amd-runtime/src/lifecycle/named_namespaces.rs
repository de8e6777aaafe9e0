//! Namespaces at a path, for a container with a user namespace that does not own them: the
//! network of the host or of another container, as a rule.
//!
//! libcontainer joins the user namespace first, and then may not join these: that takes rights
//! over the namespace's owner (setns(2)). runc joins with the rights of the host what it can
//! before. So the runtime goes there itself for as long as libcontainer forks, and its children
//! are born there. A PID namespace cannot be had so: libcontainer would take the pids of that
//! namespace for the host's.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sched::{CloneFlags, setns};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::spec::namespace;

/// What this is done for: the name in a spec, in /proc/PID/ns, and for setns(2).
const KINDS: [(&str, &str, CloneFlags); 3] = [
    ("ipc", "ipc", CloneFlags::CLONE_NEWIPC),
    ("uts", "uts", CloneFlags::CLONE_NEWUTS),
    ("network", "net", CloneFlags::CLONE_NEWNET),
];

/// `NS_GET_USERNS` (ioctl_nsfs(2)).
const NS_GET_USERNS: libc::Ioctl = 0xb701 as libc::Ioctl;

/// Namespaces to be in when libcontainer forks.
#[derive(Debug, Default)]
pub struct NamedNamespaces(Vec<Named>);

#[derive(Debug)]
struct Named {
    kind: &'static str,
    flag: CloneFlags,
    there: File,
    home: File,
}

/// A stay of this process in namespaces of a container, ended by dropping it.
#[derive(Debug)]
pub struct Stay<'n>(&'n NamedNamespaces);

impl NamedNamespaces {
    /// Those of `spec`, which are taken out of it: libcontainer is told of none.
    ///
    /// # Errors
    /// Names a namespace that cannot be looked at.
    pub fn take_from(spec: &mut Value) -> Result<Self> {
        let Some(user) = namespace(spec, "user") else {
            return Ok(Self::default());
        };
        let user = user["path"].as_str().filter(|path| !path.is_empty());
        let mut all = Vec::new();
        for (kind, name, flag) in KINDS {
            let path = namespace(spec, kind).and_then(|namespace| namespace["path"].as_str());
            let Some(path) = path.filter(|path| !path.is_empty()) else {
                continue;
            };
            let there = open(Path::new(path))?;
            // A new user namespace owns none that is there already.
            if user.is_some_and(|user| is_owned_by(&there, Path::new(user))) {
                continue;
            }
            let home = open(&Path::new("/proc/self/ns").join(name))?;
            all.push(Named {
                kind,
                flag,
                there,
                home,
            });
        }
        if all.iter().any(|named| named.kind == "uts") {
            // It would not set them in a namespace at a path, and refuses them without one.
            spec["hostname"] = Value::Null;
            spec["domainname"] = Value::Null;
        }
        if let Some(Value::Array(listed)) = spec.pointer_mut("/linux/namespaces") {
            listed.retain(|namespace| all.iter().all(|one| namespace["type"] != one.kind));
        }
        Ok(Self(all))
    }

    /// The numbers of this process's files for where it came from, by which hooks find back.
    pub fn home(&self) -> Vec<RawFd> {
        self.0.iter().map(|named| named.home.as_raw_fd()).collect()
    }

    /// Puts this process there.
    ///
    /// # Errors
    /// Names the namespace that cannot be joined; this process is then back where it was.
    pub fn enter(&self) -> Result<Stay<'_>> {
        let stay = Stay(self);
        for Named {
            kind, flag, there, ..
        } in &self.0
        {
            let joined = setns(there, *flag).map_err(io::Error::from);
            joined.map_err(Error::system(format!("cannot join the {kind} namespace")))?;
        }
        Ok(stay)
    }
}

impl Drop for Stay<'_> {
    fn drop(&mut self) {
        for Named {
            kind, flag, home, ..
        } in &self.0.0
        {
            if let Err(errno) = setns(home, *flag) {
                tracing::warn!("cannot go back to the runtime's {kind} namespace: {errno}");
            }
        }
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|source| Error::Io {
        what: "cannot open the namespace",
        path: path.to_owned(),
        source,
    })
}

/// Whether a namespace belongs to the user namespace at `user`; not where that cannot be told.
fn is_owned_by(namespace: &File, user: &Path) -> bool {
    let identity = |file: File| {
        let metadata = file.metadata()?;
        io::Result::Ok((metadata.dev(), metadata.ino()))
    };
    let (owner, user) = (
        owner(namespace).and_then(identity),
        File::open(user).and_then(identity),
    );
    matches!((owner, user), (Ok(owner), Ok(user)) if owner == user)
}

fn owner(namespace: &File) -> io::Result<File> {
    // SAFETY: this request takes no argument, and returns a new descriptor.
    #[allow(unsafe_code)]
    let fd = unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_USERNS) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it.
    #[allow(unsafe_code)]
    Ok(unsafe { OwnedFd::from_raw_fd(fd) }.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(user: Value) -> Value {
        json!({"linux": {"namespaces": [
            {"type": "mount"}, user,
            {"type": "network", "path": "/proc/self/ns/net"},
            {"type": "ipc", "path": ""}, {"type": "pid", "path": "/proc/self/ns/pid"},
        ]}})
    }

    fn kinds(spec: &Value) -> Vec<&str> {
        let namespaces = spec["linux"]["namespaces"].as_array().unwrap();
        namespaces
            .iter()
            .map(|n| n["type"].as_str().unwrap())
            .collect()
    }

    #[test]
    fn those_that_the_user_namespace_does_not_own_are_kept_from_libcontainer() {
        let mut new = spec(json!({"type": "user"}));
        let named = NamedNamespaces::take_from(&mut new).unwrap();
        assert_eq!(named.home().len(), 1);
        assert_eq!(kinds(&new), ["mount", "user", "ipc", "pid"]);
    }

    #[test]
    fn those_that_it_owns_and_all_without_one_are_left_to_it() {
        let own = "/proc/self/ns/user";
        for user in [json!({"type": "user", "path": own}), json!({"type": "uts"})] {
            let mut left = spec(user);
            let before = left.clone();
            let named = NamedNamespaces::take_from(&mut left).unwrap();
            assert!(named.home().is_empty());
            assert_eq!(left, before);
        }
    }

    #[test]
    fn a_path_that_is_none_is_named() {
        let mut wrong = spec(json!({"type": "user"}));
        wrong["linux"]["namespaces"][2]["path"] = "/no/such".into();
        let message = NamedNamespaces::take_from(&mut wrong)
            .unwrap_err()
            .to_string();
        assert!(message.contains("/no/such"), "{message}");
    }
}
