//! A CDI file of anybody's, as `cdi validate` and `cdi list` read it.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../src/cdi.rs"]
mod cdi;

fuzz_target!(|text: &str| cdi::run(text));
