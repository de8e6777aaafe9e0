//! The value of a property of a systemd unit, as an annotation can have it.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../src/unit_properties.rs"]
mod unit_properties;

fuzz_target!(|text: &str| unit_properties::run(text));
