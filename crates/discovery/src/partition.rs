/// Which part of a partitioned GPU a [`Gpu`](crate::Gpu) is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Number on its board, from 0. In SPX mode the whole board is partition 0.
    pub index: u32,
    /// `current_compute_partition` of the board: `SPX`, `DPX`, `TPX`, `QPX` or `CPX`.
    pub compute_mode: Option<String>,
    /// `current_memory_partition` of the board: `NPS1`, `NPS2`, `NPS4` or `NPS8`.
    pub memory_mode: Option<String>,
}

/// The partition number in a KFD node's `location_id`, for a board whose PCI function is `function`.
///
/// Drivers write it over the three function bits; one kernel release put it into bits 31:28.
pub(crate) fn partition_index(location_id: u32, function: u8) -> u32 {
    match location_id >> 28 {
        0 => (location_id & 0b111) ^ u32::from(function),
        index => index,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_number_is_in_the_function_bits_or_the_highest_four() {
        for (location_id, function, expected) in [
            (0x0500, 0, 0),
            (0x0501, 0, 1),
            (0x0507, 0, 7),
            (0x7000_0500, 0, 7),
            (0xf000_0500, 0, 15),
            (0x0501, 1, 0),
        ] {
            assert_eq!(
                partition_index(location_id, function),
                expected,
                "{location_id:#x}"
            );
        }
    }
}
