//! The compute driver KFD, and the device nodes that containers get.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

use discovery::edits::device_paths;
use nix::unistd::{AccessFlags, eaccess};

use super::{Check, CouldNotRun, Host, Outcome, count};

const UNDRIVEN: &str = "amdgpu drives no GPU";

pub(super) const KFD: Check = Check {
    name: "kfd",
    description: "KFD, which ROCm computes through, has a node for each GPU",
    run: kfd,
};

fn kfd(host: &Host) -> Result<Outcome, CouldNotRun> {
    let inventory = host.inventory()?;
    if inventory.hidden > 0 {
        let hidden = count(inventory.hidden, "GPU");
        let detail = format!("KFD hides {hidden} from this process: its device cgroup denies them");
        let hint = "in a container that is meant so; for all of the host's, run it there";
        return Ok(Outcome::Warn(detail, hint.to_owned()));
    }
    let gpus = &inventory.gpus;
    if gpus.is_empty() {
        return Ok(Outcome::NotApplicable(UNDRIVEN.to_owned()));
    }
    let hint = "see `dmesg | grep kfd`; ROCm needs a GPU that it supports and a kernel with \
                CONFIG_HSA_AMD";
    if !host.has("/sys/class/kfd/kfd/topology")? {
        let detail = "no KFD: ROCm can use no GPU, containers can only draw and encode";
        return Ok(Outcome::Fail(detail.to_owned(), hint.to_owned()));
    }
    let without: Vec<String> = gpus
        .iter()
        .filter(|gpu| gpu.graphics_only())
        .map(|gpu| format!("{} ({})", gpu.index, gpu.pci))
        .collect();
    if without.is_empty() {
        return Ok(Outcome::Pass(count(gpus.len(), "GPU node")));
    }
    let result = if without.len() == gpus.len() {
        Outcome::Fail
    } else {
        Outcome::Warn
    };
    let detail = format!(
        "KFD does not know GPU {}: graphics only",
        without.join(", ")
    );
    Ok(result(detail, hint.to_owned()))
}

pub(super) const NODES: Check = Check {
    name: "device-nodes",
    description: "the device nodes of the GPUs exist",
    run: nodes,
};

fn nodes(host: &Host) -> Result<Outcome, CouldNotRun> {
    let gpus = &host.inventory()?.gpus;
    if gpus.is_empty() {
        return Ok(Outcome::NotApplicable(UNDRIVEN.to_owned()));
    }
    let mut faults: Vec<String> = gpus
        .iter()
        .filter_map(|gpu| Some(device_paths([gpu]).err()?.to_string()))
        .collect();
    let names = Names::read(host)?;
    let mut by_owner: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in expected(host)? {
        match host.metadata(&path)? {
            None => faults.push(format!("{} is not there", path.display())),
            Some(found) if !found.file_type().is_char_device() => {
                faults.push(format!("{} is no character device", path.display()));
            }
            Some(found) => by_owner
                .entry(names.owner_and_mode(&found))
                .or_default()
                .push(path.display().to_string()),
        }
    }
    if !faults.is_empty() {
        return Ok(Outcome::Fail(
            faults.join(", "),
            "let udev make the nodes (`udevadm trigger`); right after a hotplug or a partition \
             switch, try again in a moment; in a container, pass /dev/kfd and /dev/dri in"
                .to_owned(),
        ));
    }
    let groups = by_owner
        .iter()
        .map(|(owner, paths)| format!("{} {owner}", paths.join(" ")));
    Ok(Outcome::Pass(groups.collect::<Vec<_>>().join("; ")))
}

pub(super) const ACCESS: Check = Check {
    name: "access",
    description: "the caller can open the device nodes, as rootless containers must",
    run: access,
};

fn access(host: &Host) -> Result<Outcome, CouldNotRun> {
    if host.inventory()?.gpus.is_empty() {
        return Ok(Outcome::NotApplicable(UNDRIVEN.to_owned()));
    }
    let mut closed = Vec::new();
    let mut groups = Vec::new();
    let mut open = 0;
    let names = Names::read(host)?;
    for path in expected(host)? {
        let Some(found) = host
            .metadata(&path)?
            .filter(|it| it.file_type().is_char_device())
        else {
            continue;
        };
        // The kernel also knows of access control lists, by which seats get their devices, and
        // of a root that is one in its user namespace only.
        let resolved = host
            .root()
            .resolve(&path)
            .unwrap_or_else(|_| host.root().join(&path));
        if eaccess(&resolved, AccessFlags::R_OK | AccessFlags::W_OK).is_ok() {
            open += 1;
            continue;
        }
        closed.push(format!(
            "{} ({})",
            path.display(),
            names.owner_and_mode(&found)
        ));
        if found.mode() & 0o060 == 0o060 && found.gid() != 0 {
            groups.push(names.group(found.gid()));
        }
    }
    if closed.is_empty() {
        return Ok(match open {
            0 => Outcome::NotApplicable("there is no node to open".to_owned()),
            open => Outcome::Pass(count(open, "node")),
        });
    }
    groups.sort();
    groups.dedup();
    let hint = if groups.is_empty() {
        "no group has the nodes: `amd-ctk system udev-rules` gives them to the group render"
            .to_owned()
    } else {
        let groups = groups.join(",");
        format!("`sudo usermod -a -G {groups} $USER`, then log in again")
    };
    Ok(Outcome::Warn(
        format!("cannot open {}", closed.join(", ")),
        hint,
    ))
}

/// The nodes that the GPUs should have, each once.
fn expected(host: &Host) -> Result<Vec<PathBuf>, CouldNotRun> {
    let gpus = &host.inventory()?.gpus;
    let kfd = gpus.iter().any(|gpu| !gpu.graphics_only());
    let kfd = kfd.then(|| PathBuf::from("/dev/kfd"));
    let dri = gpus
        .iter()
        .flat_map(|gpu| gpu.card.iter().chain(&gpu.render));
    Ok(kfd.into_iter().chain(dri.cloned()).collect())
}

/// The host's names of users and groups.
struct Names {
    passwd: String,
    group: String,
}

impl Names {
    fn read(host: &Host) -> Result<Self, CouldNotRun> {
        Ok(Self {
            passwd: host.text("/etc/passwd")?.unwrap_or_default(),
            group: host.text("/etc/group")?.unwrap_or_default(),
        })
    }

    fn group(&self, gid: u32) -> String {
        name_of(&self.group, gid).unwrap_or_else(|| gid.to_string())
    }

    /// `root:render 0660`
    fn owner_and_mode(&self, node: &Metadata) -> String {
        let uid = node.uid();
        let user = name_of(&self.passwd, uid).unwrap_or_else(|| uid.to_string());
        let mode = node.mode() & 0o7777;
        format!("{user}:{} {mode:04o}", self.group(node.gid()))
    }
}

/// The name of `id` in a text such as /etc/passwd (passwd(5)) or /etc/group (group(5)).
fn name_of(text: &str, id: u32) -> Option<String> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_third_field() {
        let group = "root:x:0:\n# a comment\n\n109:x:44:video\nrender:x:109:alice,bob\n+\n";
        for (id, name) in [(0, Some("root")), (44, Some("109")), (109, Some("render"))] {
            assert_eq!(name_of(group, id).as_deref(), name, "{id}");
        }
        assert_eq!(name_of(group, 1), None);
    }
}
