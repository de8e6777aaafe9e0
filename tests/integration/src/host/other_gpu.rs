/// A GPU that is not AMD's.
#[derive(Clone, Debug)]
pub struct OtherGpu {
    pub(super) pci: String,
    pub(super) vendor: u16,
    pub(super) device_id: u16,
    pub(super) driver: &'static str,
    pub(super) has_render: bool,
}

impl OtherGpu {
    /// The VGA of a board management controller: a card, no render node.
    pub fn bmc(pci: impl Into<String>) -> Self {
        Self {
            pci: pci.into(),
            vendor: 0x1a03,
            device_id: 0x2000,
            driver: "ast",
            has_render: false,
        }
    }

    /// An NVIDIA GPU.
    pub fn nvidia(pci: impl Into<String>) -> Self {
        Self {
            pci: pci.into(),
            vendor: 0x10de,
            device_id: 0x2330,
            driver: "nvidia",
            has_render: true,
        }
    }

    /// An Intel GPU.
    pub fn intel(pci: impl Into<String>) -> Self {
        Self {
            pci: pci.into(),
            vendor: 0x8086,
            device_id: 0x56a0,
            driver: "i915",
            has_render: true,
        }
    }
}
