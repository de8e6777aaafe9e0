//! A config.json of anybody's: loaded, checked, and turned into the one that libcontainer reads.
#![no_main]

use fuzz_targets::spec;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| spec::run(text));
