//! The texts of KFD's topology files.

use super::Host;
use super::layout::KfdGpu;

/// `properties` of a CPU node.
pub(super) fn cpu_properties(number: u32) -> String {
    let cores = 64;
    lines(&[
        ("cpu_cores_count", cores),
        ("simd_count", 0),
        ("mem_banks_count", 1),
        ("caches_count", 0),
        ("cpu_core_id_base", cores * u64::from(number)),
        ("simd_id_base", 0),
        ("gfx_target_version", 0),
        ("vendor_id", 0),
        ("device_id", 0),
        ("location_id", 0),
        ("domain", 0),
        ("drm_render_minor", 0),
        ("hive_id", 0),
        ("unique_id", 0),
        ("num_xcc", 0),
        ("max_engine_clk_ccompute", 3700),
    ])
}

/// `properties` of a GPU node.
pub(super) fn gpu_properties(host: &Host, gpu: &KfdGpu<'_>) -> String {
    let board = gpu.board;
    let (domain, bus, device_and_function) = numbers_of(&board.pci);
    let partition = u64::from(gpu.partition);
    let location = bus << 8 | device_and_function;
    let location = location
        | if host.partition_in_high_bits {
            partition << 28
        } else {
            partition
        };
    let parts = u64::from(board.partitions());
    let mut properties = vec![
        ("cpu_cores_count", 0),
        ("simd_count", u64::from(board.model.simd_count) / parts),
        ("mem_banks_count", 1),
        ("caches_count", 0),
        ("simd_id_base", 2_147_487_744),
        ("wave_front_size", 64),
        (
            "gfx_target_version",
            u64::from(board.model.gfx_target_version),
        ),
        ("vendor_id", 0x1002),
        ("device_id", u64::from(board.model.device_id)),
        ("location_id", location),
        ("domain", domain),
        ("drm_render_minor", u64::from(gpu.render)),
        ("hive_id", 0),
        ("unique_id", board.partition_id(gpu.partition)),
        ("num_xcc", u64::from(board.model.xccs.max(1)) / parts),
        ("max_engine_clk_ccompute", 3700),
    ];
    if host.kfd_of_2018 {
        properties.retain(|(name, _)| {
            !["domain", "gfx_target_version", "hive_id", "num_xcc"].contains(name)
        });
    }
    lines(&properties)
}

/// `properties` of the memory bank of a GPU node.
pub(super) fn memory_properties(gpu: &KfdGpu<'_>) -> String {
    lines(&[
        ("heap_type", 1),
        (
            "size_in_bytes",
            gpu.board.model.vram / u64::from(gpu.board.partitions()),
        ),
        ("flags", 0),
        ("width", 8192),
        ("mem_clk_max", 1300),
    ])
}

/// Domain, bus, and `device << 3 | function` of `0000:05:00.0`.
fn numbers_of(pci: &str) -> (u64, u64, u64) {
    let numbers: Vec<u64> = pci
        .split([':', '.'])
        .filter_map(|digits| u64::from_str_radix(digits, 16).ok())
        .collect();
    match numbers[..] {
        [domain, bus, device, function] => (domain, bus, device << 3 | function),
        _ => (0, 0, 0),
    }
}

fn lines(pairs: &[(&str, u64)]) -> String {
    pairs
        .iter()
        .map(|(name, value)| format!("{name} {value}\n"))
        .collect()
}
