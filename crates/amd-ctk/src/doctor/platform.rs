//! What of the host is neither driver nor engine: the IOMMU, what keeps the driver out at boot,
//! and AMD's tools.

use std::path::Path;

use super::driver::{NO_GPU, VFIO_DRIVER, addresses};
use super::host::Board;
use super::{Check, CouldNotRun, Host, Outcome};
use crate::modprobe::blacklisted;
use crate::system::load_module::is_loaded;

pub(super) const BLACKLIST: Check = Check {
    name: "blacklist",
    description: "nothing keeps amdgpu from being loaded at boot",
    run: blacklist,
};

fn blacklist(host: &Host) -> Result<Outcome, CouldNotRun> {
    let boards = host.boards()?;
    if boards.is_empty() {
        return Ok(Outcome::NotApplicable(NO_GPU.to_owned()));
    }
    if boards.iter().all(held_by_vfio) {
        return Ok(Outcome::NotApplicable(format!(
            "{VFIO_DRIVER} holds every GPU"
        )));
    }
    let found = blacklisted(host.root(), "amdgpu").map_err(|error| {
        CouldNotRun::new(
            format!("cannot read modprobe's configuration: {error}"),
            None,
        )
    })?;
    let Some(found) = found else {
        return Ok(Outcome::Pass("amdgpu is on no blacklist".to_owned()));
    };
    let hint = "take it out, then `update-initramfs -u` or `dracut --force`; `amd-ctk system \
                load-module` loads the driver now";
    Ok(if is_loaded(host.root()) {
        Outcome::Warn(
            format!("{found}: amdgpu is loaded now, and will not be after a reboot"),
            hint.to_owned(),
        )
    } else {
        Outcome::Fail(found.to_string(), hint.to_owned())
    })
}

pub(super) const IOMMU: Check = Check {
    name: "iommu",
    description: "the IOMMU lets GPUs reach each other's memory",
    run: iommu,
};

/// The kernel tells how a device's group is translated in
/// Documentation/ABI/testing/sysfs-kernel-iommu_groups; the ROCm guides ask for `iommu=pt` where
/// there is more than one GPU.
fn iommu(host: &Host) -> Result<Outcome, CouldNotRun> {
    let mut boards = host
        .boards()?
        .iter()
        .filter(|it| !held_by_vfio(it))
        .peekable();
    if boards.peek().is_none() {
        return Ok(Outcome::NotApplicable(match host.boards()? {
            [] => NO_GPU.to_owned(),
            _ => format!("{VFIO_DRIVER} holds every GPU"),
        }));
    }
    let (mut translated, mut passed_through, mut all) = (Vec::new(), 0, 0);
    for board in boards {
        all += 1;
        let group = format!("/sys/bus/pci/devices/{}/iommu_group/type", board.address);
        match host.attribute(&group)?.as_deref() {
            None => {}
            Some("identity") => passed_through += 1,
            Some(_) => translated.push(board),
        }
    }
    Ok(match (translated.len(), passed_through) {
        (0, 0) => Outcome::Pass("no IOMMU between the GPUs".to_owned()),
        (0, _) => Outcome::Pass("the IOMMU passes the GPUs through".to_owned()),
        (1, _) if all == 1 => {
            Outcome::Pass("the IOMMU translates, which one GPU does not mind".to_owned())
        }
        _ => Outcome::Warn(
            format!(
                "the IOMMU translates for {}: work on several GPUs can be slow, or hang",
                addresses(translated)
            ),
            "boot with `iommu=pt`, as the ROCm guides say (GRUB_CMDLINE_LINUX in \
             /etc/default/grub)"
                .to_owned(),
        ),
    })
}

pub(super) const TOOLS: Check = Check {
    name: "rocm-tools",
    description: "AMD's tools are installed on the host",
    run: |host| {
        let tools = ["amd-smi", "rocm-smi"].into_iter().filter_map(|name| {
            let rocm = Path::new("/opt/rocm/bin").join(name);
            let found = host
                .program(name)
                .or_else(|| host.is_program(&rocm).then_some(rocm));
            found.map(|path| path.display().to_string())
        });
        let tools: Vec<String> = tools.collect();
        if tools.is_empty() {
            return Ok(Outcome::NotApplicable(
                "neither amd-smi nor rocm-smi, and containers need neither".to_owned(),
            ));
        }
        let version = host.attribute("/opt/rocm/.info/version")?;
        let version = version
            .map(|version| format!(" (ROCm {version})"))
            .unwrap_or_default();
        Ok(Outcome::Pass(format!("{}{version}", tools.join(", "))))
    },
};

fn held_by_vfio(board: &Board) -> bool {
    board.driver.as_deref() == Some(VFIO_DRIVER)
}
