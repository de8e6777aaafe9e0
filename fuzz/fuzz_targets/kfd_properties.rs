//! What a driver may write for a KFD node, on a host with one board.
#![no_main]

use fuzz_targets::kfd_properties;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| kfd_properties::run(text));
