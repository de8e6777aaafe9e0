//! What libcontainer is given instead of the root filesystem of the spec, and how the step
//! that makes it is called.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::mount::{MntFlags, umount2};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde_json::{Value, json};

use super::error::{Result, Step, at};
use super::finish::Finish;
use super::plan::Plan;
use crate::reentry;
use crate::spec::{SpecError, array, object};

/// A root filesystem whose making was taken over from libcontainer. To be kept until the
/// container is built.
#[derive(Debug)]
pub struct Handover {
    plan: File,
    failure: File,
    finish: Finish,
}

impl Handover {
    /// Files for a plan and for what fails, and what the init is to do last.
    ///
    /// # Errors
    /// Where the kernel gives no memfd.
    pub fn new(plan: &Plan, finish: Finish) -> io::Result<Self> {
        let file = |name| memfd_create(name, MFdFlags::MFD_CLOEXEC).map(File::from);
        let (mut to, failure) = (file(c"plan")?, file(c"failure")?);
        to.write_all(&serde_json::to_vec(plan)?)?;
        Ok(Self {
            plan: to,
            failure,
            finish,
        })
    }

    /// Leaves of the spec what libcontainer is to do itself: namespaces, hooks, pivot_root(2),
    /// the terminal, and a read-only root. In place of the mounts it gets two tmpfs, the
    /// one on top of the root filesystem: it makes its links and device nodes in /dev by
    /// path, before anything else, and so makes them there, where they harm nobody.
    ///
    /// # Errors
    /// Where a field is of the wrong type.
    pub fn take_over(&self, spec: &mut Value) -> Result<(), SpecError> {
        let cover = |destination: &str| {
            json!({"destination": destination, "type": "tmpfs", "source": "tmpfs",
                "options": ["mode=755", "size=64k"]})
        };
        spec["mounts"] = json!([cover("/"), cover("/dev")]);
        let linux = object(spec, "linux")?;
        for key in ["devices", "sysctl", "maskedPaths", "readonlyPaths"] {
            linux[key] = Value::Null;
        }
        let step = reentry::hook(
            reentry::ROOTFS,
            &[self.plan.as_raw_fd(), self.failure.as_raw_fd()],
        );
        array(object(spec, "hooks")?, "prestart")?.insert(0, step);
        Ok(())
    }

    /// What the container's init is to do last.
    pub fn finish(&self) -> &Finish {
        &self.finish
    }

    /// Why the step failed, where it did.
    pub fn failure(&self) -> Option<String> {
        let mut text = String::new();
        let mut file = &self.failure;
        file.rewind().ok()?;
        file.read_to_string(&mut text).ok()?;
        (!text.is_empty()).then_some(text)
    }
}

/// Takes the cover off a directory, such as the root filesystem, or a file, and with it all that
/// libcontainer made there.
///
/// # Errors
/// Where nothing is mounted there.
pub fn uncover(path: &Path) -> Result<()> {
    let flags = MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW;
    umount2(path, flags).step(|| at("uncover", path))
}
