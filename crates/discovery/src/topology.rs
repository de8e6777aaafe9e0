//! The KFD topology: what the kernel writes into `/sys/class/kfd/kfd/topology/nodes/N`.
//!
//! The properties are those of `struct kfd_node_properties` (drivers/gpu/drm/amd/amdkfd/kfd_topology.h).

use std::str::FromStr;

use crate::Uuid;

/// What tells a GPU node apart and joins it to its PCI device and DRM nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeProperties {
    /// PCI domain; 0 where a driver does not say.
    pub domain: u32,
    /// Bus in bits 15:8, device in bits 7:3, then function and partition: see
    /// [`partition_index`](crate::partition::partition_index).
    pub location_id: u32,
    /// Minor of the DRM render node, `None` while there is none.
    pub render_minor: Option<u32>,
    pub uuid: Option<Uuid>,
    /// The instruction set, such as `gfx90a`.
    pub gfx: Option<String>,
}

impl NodeProperties {
    /// Bus and device number.
    pub fn bus_and_device(&self) -> (u8, u8) {
        let [_, _, bus, device_and_function] = self.location_id.to_be_bytes();
        (bus, device_and_function >> 3)
    }

    /// Function number, where the node is of a board without partitions.
    pub fn function(&self) -> u8 {
        let [.., device_and_function] = self.location_id.to_be_bytes();
        device_and_function & 0b111
    }
}

/// A node's `properties`, one `name value` pair a line. Lines that are not understood are passed over.
pub(crate) fn parse_properties(text: &str) -> NodeProperties {
    let mut properties = NodeProperties::default();
    for (name, value) in text.lines().filter_map(|line| line.split_once(' ')) {
        match name {
            "domain" => properties.domain = number(value).unwrap_or_default(),
            "location_id" => properties.location_id = number(value).unwrap_or_default(),
            "drm_render_minor" => properties.render_minor = number(value).filter(|&it| it != 0),
            "unique_id" => properties.uuid = number(value).and_then(Uuid::from_unique_id),
            "gfx_target_version" => properties.gfx = number(value).and_then(gfx_name),
            _ => {}
        }
    }
    properties
}

/// A node's `gpu_id`; `None` for a CPU, whose id is 0.
pub(crate) fn parse_gpu_id(text: &str) -> Option<u32> {
    number(text).filter(|&id| id != 0)
}

/// `size_in_bytes` of a memory bank's `properties` (`nodes/N/mem_banks/M/properties`).
pub(crate) fn parse_memory_size(text: &str) -> Option<u64> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(name, _)| *name == "size_in_bytes")
        .and_then(|(_, value)| number(value))
}

fn number<T: FromStr>(text: &str) -> Option<T> {
    text.trim().parse().ok()
}

/// The name of an instruction set as compilers know it: 90402 is `gfx942`, 90010 is `gfx90a`.
fn gfx_name(target_version: u32) -> Option<String> {
    if target_version == 0 {
        return None;
    }
    let (major, minor, step) = (
        target_version / 10_000,
        target_version / 100 % 100,
        target_version % 100,
    );
    Some(format!("gfx{major}{minor:x}{step:x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_of_a_gpu_node() {
        let text = "cpu_cores_count 0\nsimd_count 304\ngfx_target_version 90402\nvendor_id 4098\n\
                    location_id 1281\ndomain 65536\ndrm_render_minor 129\n\
                    unique_id 16404946649897475633\nnum_xcc 1\n";
        let properties = parse_properties(text);
        assert_eq!(
            properties,
            NodeProperties {
                domain: 0x1_0000,
                location_id: 0x501,
                render_minor: Some(129),
                uuid: Some(Uuid(0xe3aa_140f_9a5f_9e31)),
                gfx: Some("gfx942".into()),
            }
        );
        assert_eq!(properties.bus_and_device(), (5, 0));
        assert_eq!(properties.function(), 1);
    }

    #[test]
    fn what_a_2018_driver_leaves_out_is_0_or_none() {
        let properties = parse_properties("vendor_id 4098\nlocation_id 6400\n");
        assert_eq!(
            properties,
            NodeProperties {
                location_id: 0x1900,
                ..NodeProperties::default()
            }
        );
    }

    #[test]
    fn zeros_mean_none() {
        let properties =
            parse_properties("gfx_target_version 0\ndrm_render_minor 0\nunique_id 0\n");
        assert_eq!(properties, NodeProperties::default());
    }

    #[test]
    fn lines_that_are_not_understood_are_passed_over() {
        let properties = parse_properties(
            "\n \nlocation_id\nlocation_id x\nlocation_id -1\nlocation_id 99999999999\n\
             drm_render_minor 128 \r\n\u{fffd}\n",
        );
        assert_eq!(
            properties,
            NodeProperties {
                render_minor: Some(128),
                ..NodeProperties::default()
            }
        );
    }

    #[test]
    fn instruction_sets_have_the_compilers_names() {
        for (version, name) in [
            (70_000, Some("gfx700")),
            (90_004, Some("gfx904")),
            (90_010, Some("gfx90a")),
            (90_012, Some("gfx90c")),
            (90_402, Some("gfx942")),
            (90_500, Some("gfx950")),
            (100_306, Some("gfx1036")),
            (110_501, Some("gfx1151")),
            (120_001, Some("gfx1201")),
            (0, None),
        ] {
            assert_eq!(gfx_name(version).as_deref(), name, "{version}");
        }
    }

    #[test]
    fn a_gpu_id_of_0_or_nothing_is_no_gpu() {
        for (text, id) in [
            ("59419\n", Some(59419)),
            ("0\n", None),
            ("", None),
            ("\n", None),
            ("x", None),
        ] {
            assert_eq!(parse_gpu_id(text), id, "{text:?}");
        }
    }

    #[test]
    fn memory_size_of_a_bank() {
        assert_eq!(
            parse_memory_size("heap_type 1\nsize_in_bytes 25769803776\n"),
            Some(24 << 30)
        );
        assert_eq!(parse_memory_size("heap_type 1\n"), None);
    }
}
