//! A request for GPUs, as an image can write it: parsed and looked up, whatever it says.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../src/selection.rs"]
mod selection;

fuzz_target!(|text: &str| selection::run(text));
