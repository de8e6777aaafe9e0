use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use super::Host;

const DRM_MAJOR: u32 = 226;

/// A character device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Such as `/dev/dri/card0`.
    pub path: PathBuf,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Host {
    /// The device nodes of the host's GPUs, whoever made them: `/dev/kfd` if there is KFD, then cards
    /// and render nodes as drivers found them.
    pub fn nodes(&self) -> Vec<Node> {
        let node = |path: String, major, minor, mode, gid| Node {
            path: path.into(),
            major,
            minor,
            mode,
            uid: 0,
            gid,
        };
        let mut nodes = Vec::new();
        if self.kfd {
            nodes.push(node(
                "/dev/kfd".into(),
                self.kfd_major,
                0,
                self.render_mode,
                self.render_gid,
            ));
        }
        for device in self.layout().drm {
            let card = device.card;
            nodes.push(node(
                format!("/dev/dri/card{card}"),
                DRM_MAJOR,
                card,
                0o660,
                self.video_gid,
            ));
            if let Some(minor) = device.render {
                let path = format!("/dev/dri/renderD{minor}");
                nodes.push(node(
                    path,
                    DRM_MAJOR,
                    minor,
                    self.render_mode,
                    self.render_gid,
                ));
            }
        }
        nodes
    }

    /// Makes the [nodes](Self::nodes) in `dev_dir`, which stands for `/dev`. Takes CAP_MKNOD and
    /// CAP_CHOWN.
    ///
    /// # Errors
    /// As mknod(2), chown(2) and chmod(2) fail.
    pub fn make_nodes(&self, dev_dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dev_dir.join("dri"))?;
        for node in self.nodes() {
            let path = dev_dir.join(node.path.strip_prefix("/dev").unwrap_or(&node.path));
            let number = makedev(node.major.into(), node.minor.into());
            mknod(&path, SFlag::S_IFCHR, Mode::empty(), number)?;
            chown(&path, Some(node.uid), Some(node.gid))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(node.mode))?;
        }
        Ok(())
    }
}
