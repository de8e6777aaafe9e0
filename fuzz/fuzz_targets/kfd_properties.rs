//! What a driver may write for a KFD node, on a host with one board.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../src/kfd_properties.rs"]
mod kfd_properties;

fuzz_target!(|text: &[u8]| kfd_properties::run(text));
