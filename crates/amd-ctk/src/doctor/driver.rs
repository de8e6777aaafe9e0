//! GPUs on the PCI bus and the drivers that hold them.

use std::fmt::Display;

use super::host::Board;
use super::{Check, CouldNotRun, Host, Outcome, count};

const DRIVER: &str = "amdgpu";
pub(super) const VFIO_DRIVER: &str = "vfio-pci";

pub(super) const NO_GPU: &str = "no AMD GPU on the PCI bus";

pub(super) const GPU: Check = Check {
    name: "gpu",
    description: "an AMD GPU is on the PCI bus",
    run: |host| {
        let boards = host.boards()?;
        if boards.is_empty() {
            return Ok(Outcome::Fail(
                NO_GPU.to_owned(),
                "`lspci -d 1002:` lists the AMD devices there are; in a virtual machine, pass a \
                 GPU through"
                    .to_owned(),
            ));
        }
        let found = count(boards.len(), "GPU");
        Ok(Outcome::Pass(format!("{found}: {}", addresses(boards))))
    },
};

pub(super) const AMDGPU: Check = Check {
    name: "amdgpu",
    description: "the amdgpu driver is loaded or built in",
    run: |host| {
        if host.boards()?.is_empty() {
            return Ok(Outcome::NotApplicable(NO_GPU.to_owned()));
        }
        let state = host.attribute("/sys/module/amdgpu/initstate")?;
        // Its version is that of AMD's package; the kernel's own has none.
        let version = host.attribute("/sys/module/amdgpu/version")?;
        let version = version
            .map(|version| format!(", version {version}"))
            .unwrap_or_default();
        Ok(match state.as_deref() {
            Some("live") => Outcome::Pass(format!("loaded{version}")),
            Some(state) => Outcome::Warn(
                format!("the module is {state}"),
                "try again in a moment, then see `dmesg | grep amdgpu`".to_owned(),
            ),
            None if host.has("/sys/bus/pci/drivers/amdgpu")? => {
                Outcome::Pass(format!("built in{version}"))
            }
            None => Outcome::Fail(
                "amdgpu is not loaded".to_owned(),
                "`amd-ctk system load-module` loads it, now and at boot; if there is no such \
                 module, install the driver (package amdgpu-dkms, or the kernel's extra modules)"
                    .to_owned(),
            ),
        })
    },
};

pub(super) const BOUND: Check = Check {
    name: "gpu-driver",
    description: "amdgpu drives the GPUs that are not set aside for virtual machines",
    run: bound,
};

fn bound(host: &Host) -> Result<Outcome, CouldNotRun> {
    let ours = |board: &&Board| board.driver.as_deref() != Some(VFIO_DRIVER);
    let boards: Vec<&Board> = host.boards()?.iter().filter(ours).collect();
    if boards.is_empty() {
        let why = match host.boards()? {
            [] => NO_GPU.to_owned(),
            _ => format!("{VFIO_DRIVER} holds every GPU"),
        };
        return Ok(Outcome::NotApplicable(why));
    }
    let strays: Vec<String> = boards
        .iter()
        .filter(|board| board.driver.as_deref() != Some(DRIVER))
        .map(|board| match &board.driver {
            Some(driver) => format!("{} is held by {driver}", board.address),
            None => format!("{} has no driver", board.address),
        })
        .collect();
    if strays.is_empty() {
        let number = count(boards.len(), "GPU");
        return Ok(Outcome::Pass(format!("{number} with amdgpu")));
    }
    let hint = "see `dmesg | grep amdgpu`; a kernel or driver older than the GPU does not know it";
    let result = if strays.len() == boards.len() {
        Outcome::Fail
    } else {
        Outcome::Warn
    };
    Ok(result(strays.join(", "), hint.to_owned()))
}

pub(super) const VFIO: Check = Check {
    name: "vfio",
    description: "no GPU is set aside for virtual machines",
    run: |host| {
        let boards = host.boards()?;
        if boards.is_empty() {
            return Ok(Outcome::NotApplicable(NO_GPU.to_owned()));
        }
        let held = |board: &&Board| board.driver.as_deref() == Some(VFIO_DRIVER);
        let held: Vec<&Board> = boards.iter().filter(held).collect();
        if held.is_empty() {
            return Ok(Outcome::Pass(format!("{VFIO_DRIVER} holds no GPU")));
        }
        Ok(Outcome::Warn(
            format!(
                "{VFIO_DRIVER} holds {}: containers cannot have it",
                addresses(held)
            ),
            "for containers, unbind it from vfio-pci and bind it to amdgpu (`driverctl \
             unset-override ADDRESS`, or /etc/modprobe.d and the kernel's command line)"
                .to_owned(),
        ))
    },
};

pub(super) fn addresses<'a>(boards: impl IntoIterator<Item = &'a Board>) -> impl Display {
    let each = boards.into_iter().map(|board| board.address.to_string());
    each.collect::<Vec<_>>().join(", ")
}
