//! The device rules of a container, enforced and checked.
//!
//! A container may use the devices that its spec lists (`linux.resources.devices`) and the
//! [default ones](rule::default_rules), and no other. [`enforce`] sees to that once libcontainer has
//! built the container and before its program runs.
//!
//! - v1: [`prepare`] writes the rules to the devices controller before anybody is in the cgroup:
//!   libcontainer, which would do so later, is told of none. [`enforce`] compares what is there
//!   with the rules and writes them where the two differ.
//! - v2: nobody but us loads a program: libcgroups has that only with libbpf and under the fs
//!   driver, and loses the rules with every update. [`enforce`] compiles the rules and attaches
//!   the program to the cgroup that the process is in, whoever made it.
//!
//! Both go through one [`DeviceTable`], so that a container sees the same devices on either. Every
//! failure is an error: a container whose rules are not in force must not start.

pub mod access;
mod bpf;
mod error;
pub mod hierarchy;
pub mod program;
pub mod rule;
pub mod table;
pub mod v1;
pub mod v2;

#[cfg(test)]
mod kernel_tests;
#[cfg(test)]
mod random_rules;

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, fstatfs};
use serde::{Deserialize, Serialize};

pub use self::access::Access;
pub use self::error::DeviceCgroupError;
pub use self::rule::{DeviceKind, DeviceRule, NodeKind, RuleError, default_rules, rules_from_spec};
pub use self::table::{DeviceTable, TableError};
pub use self::v2::{Program, ProgramRef};

use self::hierarchy::{DevicesCgroup, Hierarchy};
use self::v1::DeviceList;

/// Where and how the rules of a container are in force, for its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Enforcement {
    /// The directory of the cgroup that has the rules.
    pub cgroup: PathBuf,
    /// What holds them.
    pub by: EnforcedBy,
}

/// What holds the rules of a cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EnforcedBy {
    /// The v1 devices controller.
    V1,
    /// A device program of ours.
    V2(ProgramRef),
}

/// Writes the rules of a container to the v1 devices controller, where one of its cgroup's
/// directories, which exist, is of that. On v2 there is nothing to do yet.
///
/// # Errors
/// The kernel does not take the rules, or what is there cannot be read.
pub fn prepare(dirs: &[PathBuf], table: &DeviceTable) -> Result<(), DeviceCgroupError> {
    let is_v1 = |dir: &&PathBuf| dir.join("devices.allow").exists();
    let Some(dir) = dirs.iter().find(is_v1) else {
        return Ok(());
    };
    let cgroup = OpenCgroup::open(Hierarchy::V1, dir.clone())?;
    cgroup.write_v1(table)?;
    Ok(())
}

/// Puts the rules of a container in force for the cgroup of its process `pid` and checks the
/// result.
///
/// To be called when the container is `created`: its cgroup is its own, and has no children.
/// `program` is that of `table`, where it is loaded already.
///
/// # Errors
/// The rules cannot be enforced, or the cgroup is the root or one that the caller is in itself. The
/// container must not start then.
pub fn enforce(
    pid: i32,
    table: &DeviceTable,
    program: Option<Program>,
) -> Result<Enforcement, DeviceCgroupError> {
    let cgroup = OpenCgroup::of_container(pid)?;
    let by = match cgroup.hierarchy {
        Hierarchy::V1 => {
            if cgroup.write_v1(table)? {
                cgroup.compare_v1(table)?;
            }
            EnforcedBy::V1
        }
        Hierarchy::V2 => {
            let program = program.map_or_else(|| Program::load(table), Ok);
            let attached = program.and_then(|program| v2::attach(cgroup.file.as_fd(), &program));
            EnforcedBy::V2(attached.map_err(|source| cgroup.program_error(source))?)
        }
    };
    tracing::debug!(pid, cgroup = %cgroup.dir.display(), ?by, "device rules in force");
    Ok(Enforcement {
        cgroup: cgroup.dir,
        by,
    })
}

/// The devices cgroup of a process, its directory open and known to be a cgroup.
struct OpenCgroup {
    hierarchy: Hierarchy,
    dir: PathBuf,
    file: File,
}

impl OpenCgroup {
    /// The cgroup of a container's process. Refuses one that the caller is in as well.
    fn of_container(pid: i32) -> Result<Self, DeviceCgroupError> {
        let DevicesCgroup {
            hierarchy,
            path,
            dir,
        } = DevicesCgroup::of_process(pid)?;
        if hierarchy::holds(&path, &hierarchy::path_of_self(hierarchy)?) {
            return Err(DeviceCgroupError::SharedCgroup { pid, path });
        }
        Self::open(hierarchy, dir)
    }

    fn open(hierarchy: Hierarchy, dir: PathBuf) -> Result<Self, DeviceCgroupError> {
        let read_error = |source| DeviceCgroupError::Read {
            path: dir.clone(),
            source,
        };
        let file = File::options()
            .read(true)
            .custom_flags(libc::O_DIRECTORY)
            .open(&dir)
            .map_err(read_error)?;
        // mountinfo lists mounts that later ones hide, so the path may lead elsewhere.
        let magic = match hierarchy {
            Hierarchy::V1 => CGROUP_SUPER_MAGIC,
            Hierarchy::V2 => CGROUP2_SUPER_MAGIC,
        };
        let found = fstatfs(&file).map_err(|errno| read_error(errno.into()))?;
        if found.filesystem_type() != magic {
            return Err(DeviceCgroupError::NotACgroup { path: dir });
        }
        Ok(Self {
            hierarchy,
            dir,
            file,
        })
    }

    /// Makes the v1 controller's list that of `table`, writing only what differs. Returns
    /// whether anything was written.
    fn write_v1(&self, table: &DeviceTable) -> Result<bool, DeviceCgroupError> {
        let differences = DeviceList::of(table).differences(&self.list()?);
        if !differences.is_empty() {
            tracing::debug!(cgroup = %self.dir.display(), ?differences, "writing device rules");
        }
        let corrections = v1::corrections(table, &differences);
        v1::write(&self.dir, &corrections)?;
        Ok(!corrections.is_empty())
    }

    /// Compares the v1 controller's list with `table`.
    fn compare_v1(&self, table: &DeviceTable) -> Result<(), DeviceCgroupError> {
        let differences = DeviceList::of(table).differences(&self.list()?);
        if differences.is_empty() {
            return Ok(());
        }
        Err(DeviceCgroupError::Differs {
            path: self.list_path(),
            differences,
        })
    }

    fn list(&self) -> Result<DeviceList, DeviceCgroupError> {
        let path = self.list_path();
        let text = hierarchy::read_whole(&path)
            .and_then(|text| String::from_utf8(text).map_err(std::io::Error::other))
            .map_err(|source| DeviceCgroupError::Read {
                path: path.clone(),
                source,
            })?;
        DeviceList::parse(&text).map_err(|source| DeviceCgroupError::List { path, source })
    }

    fn list_path(&self) -> PathBuf {
        self.dir.join("devices.list")
    }

    fn program_error(&self, source: v2::V2Error) -> DeviceCgroupError {
        DeviceCgroupError::Program {
            dir: self.dir.clone(),
            source,
        }
    }
}
