//! The value of a property of a systemd unit, as an annotation can have it.
#![no_main]

use fuzz_targets::unit_properties;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| unit_properties::run(text));
