//! The change that GPUs make to a spec.

use std::hint::black_box;

use amd_runtime::inject::inject;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use discovery::edits::{ContainerEdits, DeviceNode};
use serde_json::json;

fn node(path: String, major: u32, minor: u32) -> DeviceNode {
    DeviceNode {
        path: path.into(),
        major,
        minor,
        mode: 0o660,
        uid: 0,
        gid: 109,
    }
}

/// /dev/kfd, and a card and a render node of each GPU.
fn edits(gpus: u32) -> ContainerEdits {
    let kfd = node("/dev/kfd".into(), 511, 0);
    let nodes = (0..gpus).flat_map(|gpu| {
        [
            node(format!("/dev/dri/card{gpu}"), 226, gpu),
            node(format!("/dev/dri/renderD{}", 128 + gpu), 226, 128 + gpu),
        ]
    });
    ContainerEdits {
        device_nodes: [kfd].into_iter().chain(nodes).collect(),
        additional_gids: vec![109],
    }
}

#[allow(clippy::unwrap_used, reason = "a benchmark that cannot be set up ends")]
fn injection(criterion: &mut Criterion) {
    let spec = json!({
        "process": {"user": {"uid": 1000, "gid": 1000}},
        "linux": {"devices": [], "resources": {"devices": [{"allow": false, "access": "rwm"}]}},
    });
    for gpus in [1, 8, 64] {
        let edits = edits(gpus);
        criterion.bench_function(&format!("inject {gpus} GPUs"), |bencher| {
            bencher.iter_batched(
                || spec.clone(),
                |spec| inject(spec, black_box(&edits), &edits.additional_gids).unwrap(),
                BatchSize::SmallInput,
            );
        });
    }
}

criterion_group!(benches, injection);
criterion_main!(benches);
