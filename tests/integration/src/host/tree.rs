//! Writes the `/sys` of a host: plain files, and relative symbolic links as the kernel's.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use super::layout::{DrmDevice, Layout, pci_directory};
use super::properties::{cpu_properties, gpu_properties, memory_properties};
use super::{AnyGpu, Binding, Board, Host};

const PAGE: usize = 4096;
const KFD: &str = "devices/virtual/kfd/kfd";

impl Host {
    /// Writes the host's `/sys` into `dir`: `dir/bus/pci`, `dir/class/{drm,kfd}`, `dir/devices`,
    /// `dir/module/amdgpu`, each where the host has it.
    ///
    /// # Errors
    /// As the file system says.
    pub fn write_sys(&self, dir: &Path) -> io::Result<()> {
        let tree = Tree { root: dir };
        let layout = self.layout();
        for directory in ["bus/pci/devices", "bus/pci/drivers", "class/drm", "devices"] {
            fs::create_dir_all(dir.join(directory))?;
        }
        self.write_driver(&tree)?;
        for gpu in &self.gpus {
            match gpu {
                AnyGpu::Amd(board) => write_board(&tree, board)?,
                AnyGpu::Other(other) => {
                    let ids = Ids {
                        vendor: other.vendor,
                        device: other.device_id,
                        class: 0x03_0000,
                    };
                    write_pci_device(&tree, &other.pci, &ids, Some(other.driver))?;
                }
            }
        }
        for xcp in &layout.xcps {
            tree.file(&format!("{xcp}/driver_override"), "(null)\n")?;
            tree.file(&format!("{xcp}/uevent"), "")?;
            tree.link(&format!("{xcp}/subsystem"), "bus/platform")?;
        }
        tree.file("class/drm/version", "drm 1.1.0 20060810\n")?;
        for device in &layout.drm {
            write_drm_device(&tree, device)?;
        }
        if self.kfd {
            self.write_kfd(&tree, &layout)?;
        }
        Ok(())
    }

    /// The amdgpu driver, which a host without AMD GPUs does not load.
    fn write_driver(&self, tree: &Tree<'_>) -> io::Result<()> {
        let driver = "bus/pci/drivers/amdgpu";
        if !self.boards().any(|board| board.binding == Binding::Amdgpu) {
            return Ok(());
        }
        for name in ["bind", "new_id", "remove_id", "uevent", "unbind"] {
            tree.file(&format!("{driver}/{name}"), "")?;
        }
        tree.file("module/amdgpu/parameters/ppfeaturemask", "0xfff7bfff\n")?;
        if !self.built_in {
            tree.file("module/amdgpu/initstate", "live\n")?;
            tree.link("module/amdgpu/drivers/pci:amdgpu", driver)?;
            tree.link(&format!("{driver}/module"), "module/amdgpu")?;
        }
        Ok(())
    }

    fn write_kfd(&self, tree: &Tree<'_>, layout: &Layout<'_>) -> io::Result<()> {
        tree.link("class/kfd/kfd", KFD)?;
        tree.link(&format!("{KFD}/subsystem"), "class/kfd")?;
        let uevent = format!("MAJOR={}\nMINOR=0\nDEVNAME=kfd\n", self.kfd_major);
        tree.file(&format!("{KFD}/uevent"), uevent)?;
        tree.file(&format!("{KFD}/dev"), format!("{}:0\n", self.kfd_major))?;
        tree.file(&format!("{KFD}/topology/generation_id"), "2\n")?;
        tree.file(
            &format!("{KFD}/topology/system_properties"),
            "platform_oem 0\nplatform_id 0\n",
        )?;
        for number in 0..self.cpu_nodes {
            let node = format!("{KFD}/topology/nodes/{number}");
            tree.file(&format!("{node}/gpu_id"), "0\n")?;
            tree.file(&format!("{node}/name"), "\n")?;
            tree.file(&format!("{node}/properties"), cpu_properties(number))?;
        }
        for (number, gpu) in (self.cpu_nodes..).zip(&layout.kfd) {
            let node = format!("{KFD}/topology/nodes/{number}");
            tree.file(
                &format!("{node}/gpu_id"),
                format!("{}\n", 40_000 + 7 * number),
            )?;
            tree.file(&format!("{node}/name"), "ip discovery\n")?;
            tree.file(&format!("{node}/properties"), gpu_properties(self, gpu))?;
            tree.file(
                &format!("{node}/mem_banks/0/properties"),
                memory_properties(gpu),
            )?;
        }
        Ok(())
    }
}

struct Ids {
    vendor: u16,
    device: u16,
    class: u32,
}

fn write_board(tree: &Tree<'_>, board: &Board) -> io::Result<()> {
    let model = &board.model;
    let driver = match board.binding {
        Binding::Amdgpu => Some("amdgpu"),
        Binding::Radeon => Some("radeon"),
        Binding::VfioPci => Some("vfio-pci"),
        Binding::Unbound => None,
    };
    let ids = Ids {
        vendor: 0x1002,
        device: model.device_id,
        class: model.class,
    };
    write_pci_device(tree, &board.pci, &ids, driver)?;
    let directory = pci_directory(&board.pci);
    let attribute = |name: &str, text: &str| {
        let mut content = format!("{text}\n").into_bytes();
        if board.nul_padded {
            content.resize(PAGE, 0);
        }
        tree.file(&format!("{directory}/{name}"), content)
    };
    attribute("numa_node", &board.numa_node.to_string())?;
    if board.binding != Binding::Amdgpu {
        return Ok(());
    }
    attribute("product_name", model.product_name)?;
    attribute("mem_info_vram_total", &model.vram.to_string())?;
    match board.board_id() {
        _ if board.empty_unique_id => tree.file(&format!("{directory}/unique_id"), "")?,
        0 => {}
        id => attribute("unique_id", &format!("{id:016x}"))?,
    }
    if model.xccs > 0 {
        attribute("available_compute_partition", "SPX, DPX, QPX, CPX")?;
        attribute("current_compute_partition", board.mode.name())?;
        attribute("current_memory_partition", "NPS1")?;
    }
    Ok(())
}

fn write_pci_device(tree: &Tree<'_>, pci: &str, ids: &Ids, driver: Option<&str>) -> io::Result<()> {
    let directory = pci_directory(pci);
    tree.file(
        &format!("{directory}/vendor"),
        format!("{:#06x}\n", ids.vendor),
    )?;
    tree.file(
        &format!("{directory}/device"),
        format!("{:#06x}\n", ids.device),
    )?;
    tree.file(
        &format!("{directory}/class"),
        format!("{:#08x}\n", ids.class),
    )?;
    tree.link(&format!("{directory}/subsystem"), "bus/pci")?;
    let driven = driver.map(|driver| format!("DRIVER={driver}\n"));
    let uevent = format!("{}PCI_SLOT_NAME={pci}\n", driven.unwrap_or_default());
    tree.file(&format!("{directory}/uevent"), uevent)?;
    tree.link(&format!("bus/pci/devices/{pci}"), &directory)?;
    if let Some(driver) = driver {
        let driver = format!("bus/pci/drivers/{driver}");
        tree.link(&format!("{directory}/driver"), &driver)?;
        tree.link(&format!("{driver}/{pci}"), &directory)?;
    }
    Ok(())
}

fn write_drm_device(tree: &Tree<'_>, device: &DrmDevice) -> io::Result<()> {
    let card = (format!("card{}", device.card), device.card);
    let render = device
        .render
        .map(|minor| (format!("renderD{minor}"), minor));
    for (name, minor) in std::iter::once(card).chain(render) {
        let directory = format!("{}/drm/{name}", device.directory);
        tree.file(&format!("{directory}/dev"), format!("226:{minor}\n"))?;
        let uevent = format!("MAJOR=226\nMINOR={minor}\nDEVNAME=dri/{name}\nDEVTYPE=drm_minor\n");
        tree.file(&format!("{directory}/uevent"), uevent)?;
        tree.link(&format!("{directory}/device"), &device.directory)?;
        tree.link(&format!("{directory}/subsystem"), "class/drm")?;
        tree.link(&format!("class/drm/{name}"), &directory)?;
    }
    if device.render.is_none() {
        // A card with a plug: connectors stand beside cards.
        let connector = format!("card{0}/card{0}-VGA-1", device.card);
        let directory = format!("{}/drm/{connector}", device.directory);
        tree.file(&format!("{directory}/status"), "disconnected\n")?;
        tree.link(&format!("class/drm/card{}-VGA-1", device.card), &directory)?;
    }
    Ok(())
}

/// A directory to write into, by paths relative to it.
struct Tree<'a> {
    root: &'a Path,
}

impl Tree<'_> {
    fn file(&self, path: &str, content: impl AsRef<[u8]>) -> io::Result<()> {
        let path = self.root.join(path);
        make_parent(&path)?;
        fs::write(path, content)
    }

    /// Makes `path` a link to `target`, both relative to the tree, by way of `..`.
    fn link(&self, path: &str, target: &str) -> io::Result<()> {
        let depth = Path::new(path).parent().map_or(0, |parent| {
            parent
                .components()
                .filter(|part| matches!(part, Component::Normal(_)))
                .count()
        });
        let mut relative: PathBuf = std::iter::repeat_n("..", depth).collect();
        relative.push(target);
        let path = self.root.join(path);
        make_parent(&path)?;
        symlink(relative, path)
    }
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}
