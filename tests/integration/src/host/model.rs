/// What one model of AMD GPU shows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// PCI device id.
    pub device_id: u16,
    /// PCI class: 0x030000 VGA, 0x038000 display, 0x120000 accelerator.
    pub class: u32,
    /// `product_name`; empty for what has no such name.
    pub product_name: &'static str,
    /// Bytes of VRAM.
    pub vram: u64,
    /// KFD's `gfx_target_version`.
    pub gfx_target_version: u32,
    /// KFD's `simd_count` of the whole board.
    pub simd_count: u32,
    /// Accelerator complex dies: the number of partitions in CPX mode. 0: the model has no
    /// partition modes.
    pub xccs: u32,
    /// Whether boards have a `unique_id`.
    pub has_unique_id: bool,
}

impl Model {
    /// Instinct MI300X, an accelerator of 8 XCCs.
    pub const MI300X: Self = Self {
        device_id: 0x74a1,
        class: 0x12_0000,
        product_name: "AMD Instinct MI300X OAM",
        vram: 192 << 30,
        gfx_target_version: 9_04_02,
        simd_count: 1216,
        xccs: 8,
        has_unique_id: true,
    };
    /// Instinct MI210, an accelerator without partition modes.
    pub const MI210: Self = Self {
        device_id: 0x740f,
        class: 0x03_8000,
        product_name: "AMD Instinct MI210",
        vram: 64 << 30,
        gfx_target_version: 9_00_10,
        simd_count: 416,
        xccs: 0,
        has_unique_id: true,
    };
    /// Radeon RX 7900 XTX, a consumer card without a product name.
    pub const RX7900XTX: Self = Self {
        device_id: 0x744c,
        class: 0x03_0000,
        product_name: "",
        vram: 24 << 30,
        gfx_target_version: 11_00_00,
        simd_count: 192,
        xccs: 0,
        has_unique_id: true,
    };
    /// Strix Halo, a processor with graphics: no name, no unique id.
    pub const STRIX_HALO: Self = Self {
        device_id: 0x1586,
        class: 0x03_8000,
        product_name: "",
        vram: 512 << 20,
        gfx_target_version: 11_05_01,
        simd_count: 80,
        xccs: 0,
        has_unique_id: false,
    };
    /// Radeon HD 7870 of 2012, which KFD does not know.
    pub const HD7870: Self = Self {
        device_id: 0x6818,
        class: 0x03_0000,
        product_name: "",
        vram: 2 << 30,
        gfx_target_version: 0,
        simd_count: 0,
        xccs: 0,
        has_unique_id: false,
    };
}
