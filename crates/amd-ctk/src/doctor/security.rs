//! Security modules of the kernel, as information: neither is a fault.

use super::{Check, CouldNotRun, Host, Outcome};

pub(super) const MODULES: Check = Check {
    name: "security-modules",
    description: "what SELinux and AppArmor may have to say on device nodes",
    run: modules,
};

fn modules(host: &Host) -> Result<Outcome, CouldNotRun> {
    let mut found = Vec::new();
    if let Some(enforce) = host.attribute("/sys/fs/selinux/enforce")? {
        found.push(if enforce == "1" {
            "SELinux is enforcing (where it denies a GPU, `ausearch -m avc` tells, and `setsebool \
             -P container_use_devices on` allows it)"
        } else {
            "SELinux is permissive"
        });
    }
    let apparmor = host.attribute("/sys/module/apparmor/parameters/enabled")?;
    if apparmor.is_some_and(|enabled| enabled == "Y") {
        found.push("AppArmor is enabled");
    }
    Ok(if found.is_empty() {
        Outcome::NotApplicable("neither SELinux nor AppArmor".to_owned())
    } else {
        Outcome::Pass(found.join("; "))
    })
}
