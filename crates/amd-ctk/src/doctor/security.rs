//! Security modules of the kernel. That there is one is no fault.

use super::{Check, CouldNotRun, Host, Outcome};

pub(super) const MODULES: Check = Check {
    name: "security-modules",
    description: "neither SELinux nor AppArmor keeps containers from device nodes",
    run: modules,
};

/// The boolean of container-selinux that lets containers use device nodes of the host.
const BOOLEAN: &str = "/sys/fs/selinux/booleans/container_use_devices";

fn modules(host: &Host) -> Result<Outcome, CouldNotRun> {
    let mut found = Vec::new();
    if let Some(enforce) = host.attribute("/sys/fs/selinux/enforce")? {
        // Its value, and what it will be once pending changes are committed.
        let allowed = host.attribute(BOOLEAN)?.map(|it| it.starts_with('1'));
        match (enforce == "1", allowed) {
            (false, _) => found.push("SELinux is permissive"),
            (true, Some(true)) => {
                found.push("SELinux is enforcing, and lets containers use devices")
            }
            (true, None) => found.push("SELinux is enforcing, without a policy for containers"),
            (true, Some(false)) => {
                return Ok(Outcome::Warn(
                    "SELinux is enforcing, and container_use_devices is off: engines that label \
                     containers keep them from the GPUs"
                        .to_owned(),
                    "`setsebool -P container_use_devices on`; `ausearch -m avc` tells what was \
                     denied"
                        .to_owned(),
                ));
            }
        }
    }
    let apparmor = host.attribute("/sys/module/apparmor/parameters/enabled")?;
    if apparmor.is_some_and(|enabled| enabled == "Y") {
        found.push("AppArmor is enabled; engines' own profiles allow device nodes");
    }
    Ok(if found.is_empty() {
        Outcome::NotApplicable("neither SELinux nor AppArmor".to_owned())
    } else {
        Outcome::Pass(found.join("; "))
    })
}
