//! The cgroups that an executed process starts in.

use std::io;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use procfs::process::Process;

use crate::cgroup::birth::Birthplace;
use crate::cgroup::{unified_dir_of, visit};
use crate::error::{Error, Result};

/// Cgroups below the container's, as `exec --cgroup` names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubCgroups(Vec<(Option<String>, String)>);

impl SubCgroups {
    /// Parses the values of the option: one path, for all hierarchies, or any number of
    /// `controller[,controller...]:path` of v1. Runc's `getSubCgroupPaths`.
    ///
    /// # Errors
    /// In runc's words.
    pub fn parse(args: &[String]) -> std::result::Result<Self, String> {
        let mut subs: Vec<(Option<String>, String)> = Vec::new();
        for arg in args {
            let Some((controllers, path)) = arg.split_once(':') else {
                if args.len() != 1 {
                    return Err(format!(
                        "invalid --cgroup argument: {arg} (missing <controller>: prefix)"
                    ));
                }
                subs.push((None, arg.clone()));
                continue;
            };
            for controller in controllers.split(',') {
                if controller.is_empty() {
                    return Err(format!(
                        "invalid --cgroup argument: {arg} (empty <controller> prefix)"
                    ));
                }
                if subs
                    .iter()
                    .any(|(known, _)| known.as_deref() == Some(controller))
                {
                    return Err(format!(
                        "invalid --cgroup argument(s): controller {controller} specified \
                         multiple times"
                    ));
                }
                subs.push((Some(controller.to_owned()), path.to_owned()));
            }
        }
        Ok(Self(subs))
    }

    /// The directories, one a hierarchy, in which the process starts: those of the
    /// container's `dirs`, or below.
    ///
    /// # Errors
    /// Where a path leaves the container's cgroup, or a controller is none of its.
    pub fn below(&self, dirs: &[PathBuf]) -> Result<Vec<PathBuf>> {
        let mut below = dirs.to_vec();
        for (controller, sub) in &self.0 {
            let Some(controller) = controller else {
                for dir in &mut below {
                    *dir = join(dir, sub)?;
                }
                continue;
            };
            let controllers = controllers_of(&below)?;
            let at = controllers
                .iter()
                .position(|of_dir| of_dir.contains(controller));
            let Some(dir) = at.and_then(|at| below.get_mut(at)) else {
                return Err(Error::Usage(format!(
                    "unknown controller {controller} in SubCgroupPaths"
                )));
            };
            // Controllers that are mounted together can be named one by one.
            let joined = join(dirs.get(at.unwrap_or_default()).unwrap_or(dir), sub)?;
            *dir = joined;
        }
        Ok(below)
    }

    /// Whether none is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// `sub` below `dir`, by its name only: no symbolic link is in a cgroup file system.
fn join(dir: &Path, sub: &str) -> Result<PathBuf> {
    let mut path = dir.to_owned();
    for component in Path::new(sub).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => drop(path.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
        if !path.starts_with(dir) {
            return Err(Error::Usage(format!("bad sub cgroup path: {sub}")));
        }
    }
    Ok(path)
}

/// The controllers of the hierarchies that `dirs` are in.
fn controllers_of(dirs: &[PathBuf]) -> Result<Vec<Vec<String>>> {
    let mounts = Process::myself()
        .and_then(|process| process.mountinfo())
        .map_err(|err| {
            Error::Usage(format!("cannot read the cgroup mounts of this host: {err}"))
        })?;
    let of = |dir: &PathBuf| {
        let mount = mounts
            .0
            .iter()
            .filter(|mount| mount.fs_type == "cgroup" && dir.starts_with(&mount.mount_point))
            .max_by_key(|mount| mount.mount_point.as_os_str().len());
        mount.map_or_else(Vec::new, |mount| {
            mount.super_options.keys().cloned().collect()
        })
    };
    Ok(dirs.iter().map(of).collect())
}

/// Where a process can be born to be in the cgroups `dirs`: those of v2 are one.
pub fn birthplace(dirs: &[PathBuf]) -> Option<Birthplace> {
    match dirs {
        [dir] if is_v2(dir) => Birthplace::open(dir).ok(),
        _ => None,
    }
}

/// Puts process `pid` into the cgroups `dirs`. With `init`, a container's init, and where
/// the kernel does not let it in, into the init's own on v2: a container can move its
/// init to a cgroup below, after which none but such may have processes.
///
/// # Errors
/// Names the directory that cannot be joined.
pub fn enter(dirs: &[PathBuf], pid: i32, init: Option<i32>) -> Result<()> {
    for dir in dirs {
        match visit::join(dir, pid) {
            Ok(()) => {}
            Err(err) => {
                let retry = init.filter(|_| is_v2(dir) && wants_fallback(&err));
                let moved = retry.and_then(|init| unified_dir_of(init).ok());
                if moved.is_some_and(|dir| visit::join(&dir, pid).is_ok()) {
                    continue;
                }
                return Err(Error::System {
                    what: format!("error adding pid {pid} to cgroups: {}", dir.display()),
                    source: err,
                });
            }
        }
    }
    Ok(())
}

fn is_v2(dir: &Path) -> bool {
    dir.join("cgroup.controllers").exists() || !dir.join("tasks").exists()
}

fn wants_fallback(err: &io::Error) -> bool {
    let code = err.raw_os_error().map(Errno::from_raw);
    matches!(code, Some(Errno::EBUSY | Errno::ENOENT | Errno::EOPNOTSUPP))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> std::result::Result<SubCgroups, String> {
        let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
        SubCgroups::parse(&args)
    }

    #[test]
    fn a_path_is_for_all_hierarchies_and_a_controller_for_its_own() {
        let dirs = ["/c/cpu/a".into(), "/c/memory/a".into()];
        let below = |sub: &str| parse(&[sub]).unwrap().below(&dirs);
        assert_eq!(
            below("x/y").unwrap(),
            ["/c/cpu/a/x/y", "/c/memory/a/x/y"].map(PathBuf::from)
        );
        assert_eq!(below("/").unwrap(), dirs);
        assert_eq!(below("x/../y").unwrap()[0], PathBuf::from("/c/cpu/a/y"));
        assert_eq!(SubCgroups::default().below(&dirs).unwrap(), dirs);
        for bad in ["..", "x/../..", "../a", "/.."] {
            let message = below(bad).unwrap_err().to_string();
            assert!(message.contains("bad sub cgroup path"), "{message}");
        }
        let message = below("whaaat:/").unwrap_err().to_string();
        assert!(message.contains("unknown controller whaaat"), "{message}");
    }

    #[test]
    fn values_that_contradict_each_other_are_refused() {
        assert_eq!(parse(&["cpu,cpuacct:a", "memory:b"]).unwrap().0.len(), 3);
        for (args, says) in [
            (&["a", "b"][..], "missing <controller>: prefix"),
            (&[":a"], "empty <controller> prefix"),
            (&["cpu,:a"], "empty <controller> prefix"),
            (
                &["cpu:a", "cpu:b"],
                "controller cpu specified multiple times",
            ),
        ] {
            let message = parse(args).unwrap_err();
            assert!(message.contains(says), "{message}");
        }
    }
}
