//! The fuzz targets compile, and take what they start from.

use std::fs;
use std::path::Path;

use fuzz_targets::{cdi, kfd_properties, selection, spec, unit_properties};

#[allow(clippy::unwrap_used, reason = "the seeds are the project's own")]
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    let files = fs::read_dir(dir.join(target)).unwrap();
    let seeds: Vec<_> = files
        .map(|file| fs::read(file.unwrap().path()).unwrap())
        .collect();
    assert!(!seeds.is_empty(), "no seeds of {target}");
    seeds
}

/// Those that are text.
fn texts(target: &str) -> impl Iterator<Item = String> {
    seeds(target)
        .into_iter()
        .filter_map(|seed| String::from_utf8(seed).ok())
}

#[test]
fn cdi_files_are_read() {
    texts("cdi").for_each(|text| cdi::run(&text));
}

#[test]
fn properties_of_kfd_nodes_are_read() {
    seeds("kfd_properties")
        .iter()
        .for_each(|text| kfd_properties::run(text));
}

#[test]
fn requests_are_parsed_and_looked_up() {
    texts("selection").for_each(|text| selection::run(&text));
}

#[test]
fn specs_are_loaded_and_made_effective() {
    seeds("spec").iter().for_each(|text| spec::run(text));
}

#[test]
fn properties_of_units_are_parsed() {
    texts("unit_properties").for_each(|text| unit_properties::run(&text));
}
