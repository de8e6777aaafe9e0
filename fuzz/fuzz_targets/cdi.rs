//! A CDI file of anybody's, as `cdi validate` and `cdi list` read it.
#![no_main]

use fuzz_targets::cdi;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| cdi::run(text));
