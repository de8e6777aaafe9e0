//! What libcontainer is given instead of the root filesystem of the spec, and how the step
//! that makes it is called.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::mount::{MntFlags, umount2};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde_json::{Value, json};

use super::by_init::ByInit;
use super::error::{Result, Step, at};
use super::finish::Finish;
use super::plan::Plan;
use crate::reentry;
use crate::spec::{SpecError, array, object};

/// A root filesystem whose making was taken over from libcontainer. To be kept until the
/// container is built.
#[derive(Debug)]
pub struct Handover {
    maker: Maker,
    finish: Finish,
}

/// Who makes it.
#[derive(Debug)]
enum Maker {
    Init(Box<ByInit>),
    /// The step that [`enter`](super::enter) describes.
    Step {
        plan: File,
        failure: File,
    },
}

impl Handover {
    /// To the container's init.
    pub fn to_init(root: ByInit, finish: Finish) -> Self {
        Self {
            maker: Maker::Init(Box::new(root)),
            finish,
        }
    }

    /// To a step of its own, with files for the plan and for what fails.
    ///
    /// # Errors
    /// Where the kernel gives no memfd.
    pub fn to_step(plan: &Plan, finish: Finish) -> io::Result<Self> {
        let file = |name| memfd_create(name, MFdFlags::MFD_CLOEXEC).map(File::from);
        let (mut to, failure) = (file(c"plan")?, file(c"failure")?);
        to.write_all(&serde_json::to_vec(plan)?)?;
        let maker = Maker::Step { plan: to, failure };
        Ok(Self { maker, finish })
    }

    /// Leaves of the spec what libcontainer is to do itself: namespaces, hooks and, unless the init
    /// makes it all, pivot_root(2) and a read-only root. In place of the mounts it gets two tmpfs,
    /// the one on top of the root filesystem: it makes its links and device nodes in /dev by
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
        match &self.maker {
            Maker::Init(root) => {
                if let Some(Value::Array(listed)) = linux.get_mut("namespaces") {
                    listed.retain(|namespace| namespace["type"] != "mount");
                }
                linux["rootfsPropagation"] = Value::Null;
                spec["root"] = json!({"path": root.told()});
            }
            Maker::Step { plan, failure } => {
                let files = [plan.as_raw_fd(), failure.as_raw_fd()];
                let step = reentry::hook(reentry::ROOTFS, &files);
                array(object(spec, "hooks")?, "prestart")?.insert(0, step);
            }
        }
        Ok(())
    }

    /// What the container's init is to do first.
    pub fn by_init(&self) -> Option<&ByInit> {
        match &self.maker {
            Maker::Init(root) => Some(root),
            Maker::Step { .. } => None,
        }
    }

    /// What the container's init is to do last.
    pub fn finish(&self) -> &Finish {
        &self.finish
    }

    /// Why the step failed, where it did.
    pub fn failure(&self) -> Option<String> {
        let Maker::Step { failure, .. } = &self.maker else {
            // The init says it as it says all else.
            return None;
        };
        let mut text = String::new();
        let mut file = failure;
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
