//! A config.json of anybody's: loaded, checked, and turned into the one that libcontainer reads.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../src/spec.rs"]
mod spec;

fuzz_target!(|text: &[u8]| spec::run(text));
