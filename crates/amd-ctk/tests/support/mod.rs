//! Hosts as the kernel would show them, small enough to write by hand, and runs of
//! the program on them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    reason = "shared by test programs; a fixture may panic"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use nix::errno::Errno;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

/// A directory that `--host-root` can name.
pub struct Host(tempfile::TempDir);

/// A device that amdgpu drives, with its DRM nodes `card<card>` and `renderD<render>`.
pub struct Board {
    pub address: &'static str,
    pub attributes: &'static [(&'static str, &'static str)],
    pub card: u32,
    pub render: u32,
}

impl Host {
    /// A host with a PCI bus and no AMD GPU.
    pub fn bare() -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        host.file("/sys/bus/pci/rescan", "");
        host
    }

    /// Two partitions of an MI300X in CPX mode, and a Radeon that KFD does not know.
    pub fn mixed() -> Self {
        let host = Self::bare();
        host.board(&Board {
            address: "0000:05:00.0",
            attributes: &[
                ("device", "0x74a1\n"),
                ("unique_id", "e3aa140f9a5f9e31\n"),
                ("product_name", "AMD Instinct MI300X OAM\n"),
                ("mem_info_vram_total", "206141652992\n"),
                ("numa_node", "1\n"),
                ("current_compute_partition", "CPX\n"),
                ("current_memory_partition", "NPS4\n"),
            ],
            card: 1,
            render: 128,
        });
        host.drm("/sys/devices/platform/amdgpu_xcp_0", 2, 129);
        host.board(&Board {
            address: "0000:c1:00.0",
            attributes: &[
                ("device", "0x73bf\n"),
                ("mem_info_vram_total", "17163091968\n"),
                ("numa_node", "-1\n"),
            ],
            card: 3,
            render: 130,
        });
        host.kfd(
            2,
            40134,
            "location_id 1280\ndrm_render_minor 128\ngfx_target_version 90402\n",
        );
        host.kfd(
            3,
            40135,
            "location_id 1281\ndrm_render_minor 129\ngfx_target_version 90402\n",
        );
        host
    }

    /// Makes the device nodes of [`mixed`](Self::mixed); false, with a line that says
    /// so, where this user may not.
    pub fn make_nodes(&self) -> bool {
        [
            ("kfd", 235, 0),
            ("dri/card1", 226, 1),
            ("dri/renderD128", 226, 128),
        ]
        .into_iter()
        .chain([("dri/card2", 226, 2), ("dri/renderD129", 226, 129)])
        .chain([("dri/card3", 226, 3), ("dri/renderD130", 226, 130)])
        .all(|(name, major, minor)| self.node(name, major, minor))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn remove(&self, path: &str) {
        fs::remove_file(self.below(path)).unwrap();
    }

    pub fn file(&self, path: &str, text: &str) {
        let path = self.below(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Runs `amd-ctk --host-root <this host>` with these arguments.
    pub fn amd_ctk(&self, args: &[&str]) -> Outcome {
        let output = program()
            .arg("--host-root")
            .arg(self.path())
            .args(args)
            .output()
            .unwrap();
        Outcome::new(&output, self.path())
    }

    fn below(&self, path: &str) -> std::path::PathBuf {
        self.path().join(path.trim_start_matches('/'))
    }

    fn board(&self, board: &Board) {
        let device = format!("/sys/devices/pci0000:00/{}", board.address);
        for (name, text) in board.attributes {
            self.file(&format!("{device}/{name}"), text);
        }
        self.link(
            &format!("/sys/bus/pci/drivers/amdgpu/{}", board.address),
            &format!("../../../../devices/pci0000:00/{}", board.address),
        );
        self.drm(&device, board.card, board.render);
    }

    fn drm(&self, device: &str, card: u32, render: u32) {
        for name in [format!("card{card}"), format!("renderD{render}")] {
            self.file(&format!("{device}/drm/{name}/dev"), "");
            let device = device.trim_start_matches("/sys/");
            self.link(
                &format!("/sys/class/drm/{name}"),
                &format!("../../{device}/drm/{name}"),
            );
        }
    }

    fn kfd(&self, node: u32, gpu_id: u32, properties: &str) {
        let node = format!("/sys/class/kfd/kfd/topology/nodes/{node}");
        self.file(&format!("{node}/gpu_id"), &format!("{gpu_id}\n"));
        self.file(&format!("{node}/properties"), properties);
        self.file(
            &format!("{node}/mem_banks/0/properties"),
            "size_in_bytes 25769803776\n",
        );
    }

    fn link(&self, path: &str, target: &str) {
        let path = self.below(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    /// Makes a node below /dev; false, with a line that says so, where this user may not.
    pub fn node(&self, name: &str, major: u64, minor: u64) -> bool {
        let path = self.below(&format!("/dev/{name}"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        match mknod(&path, SFlag::S_IFCHR, mode, makedev(major, minor)) {
            Ok(()) => true,
            Err(Errno::EPERM) => {
                eprintln!("skipped: no right to make device nodes");
                false
            }
            Err(error) => panic!("mknod {}: {error}", path.display()),
        }
    }
}

/// What a run printed, with the host's directory written as `<host>`.
#[derive(Debug)]
pub struct Outcome {
    pub stdout: String,
    pub stderr: String,
    pub code: Option<i32>,
}

impl Outcome {
    fn new(output: &Output, host: &Path) -> Self {
        let text = |bytes: &[u8]| {
            String::from_utf8(bytes.to_vec())
                .unwrap()
                .replace(host.to_str().unwrap(), "<host>")
        };
        Self {
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            code: output.status.code(),
        }
    }
}

/// The program under test.
pub fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_amd-ctk"))
}
