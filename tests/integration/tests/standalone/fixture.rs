//! Containers that are run by command line.

use integration::bundle::Bundle;
use integration::host::SimulatedHost;
use integration::mi300x::{self, listing, nodes};
use integration::probe::{self, SHELL, Seen};
use integration::require;
use integration::runtime::Runtime;
use integration::spec::Spec;

/// The request of most containers here.
pub const TWO_GPUS: &str = "AMD_VISIBLE_DEVICES=0,1";

/// A host of eight GPUs, where the machine can have one.
pub fn host() -> Option<SimulatedHost> {
    require::host_with(mi300x::PRESET, crate::CGROUPS)
}

/// A container that sleeps until it is killed.
pub fn sleeper(spec: Spec) -> Spec {
    spec.args(&["sleep", "1000"])
}

/// Runs a script in a container of `spec`: what it saw of devices.
#[track_caller]
pub fn look(host: &SimulatedHost, spec: Spec, script: &str) -> Vec<Seen> {
    let bundle = Bundle::new(host, "look", spec.sh(&format!("{SHELL}{script}")));
    probe::parse(&Runtime::under_test(host).run(&bundle).ok())
}

/// Runs a script in a container that is there: what it saw of devices.
#[track_caller]
pub fn look_in(runtime: &Runtime<'_>, id: &str, script: &str) -> Vec<Seen> {
    probe::parse(
        &runtime
            .exec(id, &["sh", "-c", &format!("{SHELL}{script}")])
            .ok(),
    )
}

/// Checks that container `id` opens the nodes of GPUs 0 and 1, and not those of GPU 2 that it
/// makes itself.
#[track_caller]
pub fn assert_opens_gpus_0_and_1_alone(runtime: &Runtime<'_>, id: &str) {
    let granted = look_in(runtime, id, "gpus");
    assert_eq!(listing(&granted), nodes(&[0, 1]));
    assert!(granted.iter().all(Seen::allowed), "{granted:#?}");
    let forged = look_in(
        runtime,
        id,
        &format!("rm -f /tmp/forged*; {}", mi300x::forge(2)),
    );
    assert_eq!(forged.len(), 2);
    assert!(forged.iter().all(Seen::denied), "{forged:#?}");
}
