//! A simulated host with the device nodes of a real machine: for a virtual machine whose kernel
//! makes `/dev/kfd` and render nodes, but has no AMD GPU that would name them in `/sys`.

use std::fs;
use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result, ensure};

use super::{Board, Host, Model};

impl Host {
    /// A host with a GPU for each render node of this machine, by its number and owner.
    ///
    /// # Errors
    /// Where there is no /dev/kfd or no render node, or their numbers are not those that a host
    /// of such GPUs would have: `card0`, `renderD128` and on.
    pub fn of_machine_nodes() -> Result<Self> {
        let kfd = fs::metadata("/dev/kfd").context("this machine has no /dev/kfd")?;
        let count = fs::read_dir("/dev/dri")
            .context("this machine has no render nodes")?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.starts_with("renderD"))
            .count();
        let host = Self {
            kfd_major: u32::try_from(nix::sys::stat::major(kfd.rdev()))?,
            render_gid: kfd.gid(),
            render_mode: kfd.mode() & 0o7777,
            video_gid: fs::metadata("/dev/dri/card0").map_or(44, |meta| meta.gid()),
            ..Self::new()
        };
        let host = (1..=count).fold(host, |host, slot| {
            host.board(Board::new(format!("0000:{slot:02x}:00.0"), Model::MI210))
        });
        for node in host.nodes() {
            let path = node.path.display();
            let meta = fs::metadata(&node.path).with_context(|| format!("no node {path}"))?;
            let real = (
                nix::sys::stat::major(meta.rdev()),
                nix::sys::stat::minor(meta.rdev()),
            );
            let expected = (u64::from(node.major), u64::from(node.minor));
            ensure!(real == expected, "{path} is {real:?}, not {expected:?}");
        }
        Ok(host)
    }
}
