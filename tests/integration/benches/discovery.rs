//! Discovery of eight boards of eight partitions, and selection among their 64 GPUs.
//!
//! Here rather than in `discovery`, since the trees that it reads are made here.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use discovery::selection::{self, Asked};
use discovery::{HostRoot, Inventory};
use integration::host::Host;

#[allow(clippy::unwrap_used, reason = "a benchmark that cannot be set up ends")]
fn discovery(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let preset = Host::preset("mi300x-8-cpx").unwrap();
    preset.write_sys(&dir.path().join("sys")).unwrap();
    let root = HostRoot::new(dir.path());
    criterion.bench_function("discover 64 GPUs, all about them", |bencher| {
        bencher.iter(|| Inventory::discover(black_box(&root)).unwrap());
    });
    criterion.bench_function("identify 64 GPUs, as a create does", |bencher| {
        bencher.iter(|| Inventory::identify(black_box(&root)).unwrap());
    });

    let inventory = Inventory::identify(&root).unwrap();
    assert_eq!(inventory.gpus.len(), 64);
    let address = inventory.gpus[8].pci.to_string();
    for (name, text) in [
        ("one index", "7"),
        ("all", "all"),
        ("a range", "0-63"),
        ("indices and an address", &format!("1,2,3,4-9,{address}")),
    ] {
        criterion.bench_function(&format!("select {name}"), |bencher| {
            bencher.iter(|| match selection::parse(black_box(text)) {
                Asked::Gpus(request) => {
                    Some(request.resolve(&inventory).strict(&inventory).unwrap())
                }
                _ => None,
            });
        });
    }
}

criterion_group!(benches, discovery);
criterion_main!(benches);
