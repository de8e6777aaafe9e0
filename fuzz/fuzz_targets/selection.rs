//! A request for GPUs, as an image can write it: parsed and looked up, whatever it says.
#![no_main]

use fuzz_targets::selection;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| selection::run(text));
