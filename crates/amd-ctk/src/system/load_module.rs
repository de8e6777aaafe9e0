//! The amdgpu driver, loaded now and at every boot (modules-load.d(5)).

use discovery::HostRoot;

use super::{Setup, SetupFile, Step};

/// That the driver is loaded; `loaded` is whether it is there already.
pub fn setup(loaded: bool) -> Setup {
    let modprobe = Step::new(&["modprobe", "amdgpu"]).always();
    Setup {
        command: "load-module",
        files: vec![SetupFile {
            dir: "modules-load.d",
            name: "amd-gpu.conf",
            body: include_str!("units/amd-gpu.conf").to_owned(),
        }],
        links: Vec::new(),
        daemons: &[],
        installed: if loaded { Vec::new() } else { vec![modprobe] },
        // Nobody can tell whether others need the driver.
        removed: Vec::new(),
    }
}

/// Whether the driver is there, as a module or built in.
pub fn is_loaded(host: &HostRoot) -> bool {
    host.join("/sys/bus/pci/drivers/amdgpu").exists()
}
