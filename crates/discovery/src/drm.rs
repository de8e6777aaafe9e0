//! DRM nodes, as the links below `/sys/class/drm` tell which device they belong to.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::PciAddress;

/// The device that a DRM node belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    Pci(PciAddress),
    /// The platform device that carries a partition beyond the first: `amdgpu_xcp_N`, in older
    /// drivers `amdgpu_xcp.N`.
    Xcp(u32),
}

/// The DRM nodes of one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Nodes {
    /// N of `card<N>`.
    pub card: Option<u32>,
    /// N of `renderD<N>`: the minor.
    pub render: Option<u32>,
}

/// All DRM nodes that belong to a PCI device or to a partition.
#[derive(Debug, Default)]
pub(crate) struct DrmNodes {
    by_owner: HashMap<Owner, Nodes>,
    by_render: HashMap<u32, Owner>,
}

impl DrmNodes {
    /// Notes the entry `name` of `/sys/class/drm`, a link to `target`.
    pub fn insert(&mut self, name: NodeName, target: &Path) {
        let Some(owner) = owner(target) else { return };
        let nodes = self.by_owner.entry(owner).or_default();
        match name {
            NodeName::Card(number) => nodes.card = Some(number),
            NodeName::Render(minor) => {
                nodes.render = Some(minor);
                self.by_render.insert(minor, owner);
            }
        }
    }

    /// The DRM nodes of `owner`.
    pub fn of(&self, owner: Owner) -> Nodes {
        self.by_owner.get(&owner).copied().unwrap_or_default()
    }

    /// The device that the render node with `minor` belongs to.
    pub fn owner_of_render(&self, minor: u32) -> Option<Owner> {
        self.by_render.get(&minor).copied()
    }
}

/// The name of a DRM device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeName {
    Card(u32),
    Render(u32),
}

impl NodeName {
    /// `card1` or `renderD128`; connectors (`card1-DP-1`) and anything else are `None`.
    pub fn parse(name: &str) -> Option<Self> {
        if let Some(number) = name.strip_prefix("card") {
            parse_number(number).map(Self::Card)
        } else {
            parse_number(name.strip_prefix("renderD")?).map(Self::Render)
        }
    }
}

/// Path of the primary node with this number on a host.
pub(crate) fn card_path(number: u32) -> PathBuf {
    format!("/dev/dri/card{number}").into()
}

/// Path of the render node with this minor on a host.
pub(crate) fn render_path(minor: u32) -> PathBuf {
    format!("/dev/dri/renderD{minor}").into()
}

/// The device in a link target such as `../../devices/pci0000:04/.../0000:05:00.0/drm/card1`.
fn owner(target: &Path) -> Option<Owner> {
    let device = target.parent()?.parent()?.file_name()?.to_str()?;
    if let Some(number) = device.strip_prefix("amdgpu_xcp") {
        let number = number.strip_prefix(['_', '.'])?;
        return parse_number(number).map(Owner::Xcp);
    }
    device.parse().ok().map(Owner::Pci)
}

fn parse_number(digits: &str) -> Option<u32> {
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_primary_and_render_nodes_count() {
        for (name, expected) in [
            ("card0", Some(NodeName::Card(0))),
            ("card192", Some(NodeName::Card(192))),
            ("renderD128", Some(NodeName::Render(128))),
            ("renderD1000", Some(NodeName::Render(1000))),
            ("card0-VGA-1", None),
            ("card", None),
            ("card+1", None),
            ("renderD", None),
            ("controlD64", None),
            ("ttm", None),
            ("version", None),
        ] {
            assert_eq!(NodeName::parse(name), expected, "{name}");
        }
    }

    #[test]
    fn a_link_names_the_device_that_owns_the_node() {
        let pci = |text: &str| Some(Owner::Pci(text.parse().unwrap()));
        for (target, expected) in [
            (
                "../../devices/pci0000:04/0000:04:01.1/0000:05:00.0/drm/card1",
                pci("0000:05:00.0"),
            ),
            (
                "../../devices/pci10000:e0/10000:e1:00.0/drm/renderD128",
                pci("10000:e1:00.0"),
            ),
            (
                "/sys/devices/pci0000:04/0000:05:00.0/drm/card1",
                pci("0000:05:00.0"),
            ),
            (
                "../../devices/platform/amdgpu_xcp_10/drm/card11",
                Some(Owner::Xcp(10)),
            ),
            (
                "../../devices/platform/amdgpu_xcp.0/drm/renderD129",
                Some(Owner::Xcp(0)),
            ),
            ("../../devices/platform/amdgpu_xcp/drm/renderD129", None),
            (
                "../../devices/platform/simple-framebuffer.0/drm/card0",
                None,
            ),
            ("../../devices/virtual/drm/ttm", None),
            ("card1", None),
        ] {
            assert_eq!(owner(Path::new(target)), expected, "{target}");
        }
    }

    #[test]
    fn nodes_are_found_by_owner_and_by_render_minor() {
        let mut drm = DrmNodes::default();
        drm.insert(
            NodeName::Card(2),
            Path::new("../../devices/platform/amdgpu_xcp_0/drm/card2"),
        );
        drm.insert(
            NodeName::Render(129),
            Path::new("../../devices/platform/amdgpu_xcp_0/drm/renderD129"),
        );
        assert_eq!(
            drm.of(Owner::Xcp(0)),
            Nodes {
                card: Some(2),
                render: Some(129)
            }
        );
        assert_eq!(drm.of(Owner::Xcp(1)), Nodes::default());
        assert_eq!(drm.owner_of_render(129), Some(Owner::Xcp(0)));
        assert_eq!(drm.owner_of_render(128), None);
    }
}
