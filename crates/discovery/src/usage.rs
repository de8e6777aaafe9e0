//! How busy a board is, where its driver shows it.

use crate::{HostRoot, PciAddress, attribute};

/// What a board does at the moment; `None` is what its driver does not show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Memory in use, in bytes (`mem_info_vram_used`).
    pub memory_used_bytes: Option<u64>,
    /// How much of the time the GPU computes, in percent (`gpu_busy_percent`).
    pub busy_percent: Option<u8>,
}

impl Usage {
    /// The usage of the board at `pci`: of all of its partitions together.
    pub fn of_board(host: &HostRoot, pci: PciAddress) -> Self {
        let Ok(device) = host.resolve(format!("/sys/bus/pci/devices/{pci}")) else {
            return Self::default();
        };
        Self {
            memory_used_bytes: attribute::read_number(&device, "mem_info_vram_used"),
            busy_percent: attribute::read_number(&device, "gpu_busy_percent"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_the_driver_does_not_show_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let device = dir.path().join("sys/bus/pci/devices/0000:05:00.0");
        fs::create_dir_all(&device).unwrap();
        let host = HostRoot::new(dir.path());
        let usage = || Usage::of_board(&host, "05:00.0".parse().unwrap());
        assert_eq!(usage(), Usage::default());
        fs::write(device.join("mem_info_vram_used"), "1048576\n").unwrap();
        fs::write(device.join("gpu_busy_percent"), "97\n").unwrap();
        let expected = Usage {
            memory_used_bytes: Some(1 << 20),
            busy_percent: Some(97),
        };
        assert_eq!(usage(), expected);
    }
}
