//! Nodes of GPUs that the runtime finds while the container's init makes the rest of its root
//! filesystem.
//!
//! To find 64 GPUs is some five hundred system calls, and the init has other work for as long. It makes
//! no node before it is told of all of them; where the GPUs are not there, or another's, it is told of
//! none, and gives up.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::rc::Rc;

use discovery::edits::DeviceNode;
use nix::sys::stat::{Mode, umask};
use serde::Serialize;

use super::devices::make_nodes;
use super::error::{MountError, Result, Step};
use super::plan::Device;
use super::root::Root;
use super::sources::Sources;

/// What an init waits for.
#[derive(Clone, Debug)]
pub struct NodesToCome(Rc<PipeReader>);

/// How it is told of them.
#[derive(Debug)]
pub struct Announcement(PipeWriter);

/// The fields of a [`Device`] in their order: what the init reads fastest, since it then waits for
/// nothing else.
fn row(node: &DeviceNode) -> impl Serialize {
    let Device {
        path,
        mode,
        major,
        minor,
        uid,
        gid,
        of_spec,
    } = Device::granted(node);
    (path, mode, major, minor, uid, gid, of_spec)
}

impl NodesToCome {
    /// Some, and how they will be told.
    ///
    /// # Errors
    /// As pipe2(2).
    pub fn new() -> io::Result<(Self, Announcement)> {
        let (reader, writer) = io::pipe()?;
        Ok((Self(Rc::new(reader)), Announcement(writer)))
    }

    /// Waits for the nodes and makes them, in the root directory of this process.
    ///
    /// # Errors
    /// Where there are none after all, and where one cannot be made.
    pub fn make(&self, label: Option<&str>) -> Result<()> {
        let mut told = Vec::new();
        let what = || "wait for the nodes of the GPUs".to_owned();
        (&*self.0).read_to_end(&mut told).step(what)?;
        if told.is_empty() {
            return Err(MountError::Refused(
                "the GPUs of the container are not granted".into(),
            ));
        }
        let devices: Vec<Device> = serde_json::from_slice(&told)
            .map_err(io::Error::from)
            .step(what)?;
        let root = Root::open(Path::new("/")).step(|| "open the container's root".into())?;
        let mask = umask(Mode::empty());
        let made = make_nodes(&root, &Sources::own(), &devices, false, label);
        umask(mask);
        made
    }
}

impl Announcement {
    /// Tells the init of the nodes. One that is gone has said why elsewhere.
    pub fn tell(mut self, nodes: &[DeviceNode]) {
        let devices: Vec<_> = nodes.iter().map(row).collect();
        // Numbers and a path can be written, to memory.
        let json = serde_json::to_vec(&devices).unwrap_or_default();
        let _ = self.0.write_all(&json);
    }

    /// Its descriptor, of which a process that is forked has to close its copy: the init waits for as
    /// long as there is one.
    pub fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
