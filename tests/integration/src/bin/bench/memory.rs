//! The least memory limit with which a container starts.
//!
//! The limit is on the container's cgroup, in which a runtime's own processes are while they
//! make the container: what they need there is what counts.

use anyhow::{Result, ensure};
use serde::Serialize;
use serde_json::json;

use crate::bundles::{self, Kind, Specs};
use crate::commands::Bench;
use crate::runtimes::Runtime;

const STEP_KIB: u64 = 64;
/// With that much every runtime starts one.
const ENOUGH_KIB: u64 = 32 * 1024;
/// A limit counts when so many containers in a row start with it.
const TRIES: usize = 3;
/// What the container's program ends with.
const CODE: i32 = 17;

/// The least limit of a runtime.
#[derive(Clone, Debug, Serialize)]
pub struct Least {
    /// The runtime's name.
    pub runtime: String,
    /// In KiB; none where no container starts at all.
    pub limit_kib: Option<u64>,
}

/// Searches the least limit of each runtime.
///
/// # Errors
/// Where a program cannot be started.
pub fn least(bench: &mut Bench, runtimes: &[Runtime], specs: &Specs) -> Result<Vec<Least>> {
    let mut all = Vec::new();
    for runtime in runtimes {
        // Above `no` and up to `yes`, in steps.
        let (mut no, mut yes) = (0, ENOUGH_KIB / STEP_KIB);
        let possible = starts(bench, runtime, specs, ENOUGH_KIB)?;
        while possible && yes - no > 1 {
            let middle = (no + yes) / 2;
            match starts(bench, runtime, specs, middle * STEP_KIB)? {
                true => yes = middle,
                false => no = middle,
            }
        }
        all.push(Least {
            runtime: runtime.name.clone(),
            limit_kib: possible.then_some(yes * STEP_KIB),
        });
    }
    Ok(all)
}

fn starts(bench: &mut Bench, runtime: &Runtime, specs: &Specs, limit_kib: u64) -> Result<bool> {
    let rootfs = "/run/bundles/rootfs/rootfs".as_ref();
    let id = format!("limit-{}", runtime.name);
    let spec = specs
        .spec(Kind::Docker, 0)
        .sh(&format!("exit {CODE}"))
        .set("/linux/resources/memory/limit", json!(limit_kib * 1024));
    let bundle = bundles::write(&bench.host, &id, rootfs, spec)?;
    let root = runtime.root();
    for _ in 0..TRIES {
        // Below its least limit a runtime may hang.
        let end = ["timeout", "--signal=KILL", "20"];
        let run = runtime.line(&root, &["run", "--bundle", &bundle, &id]);
        let code = bench.runner.try_run(&[&end, run.as_slice()].concat())?;
        if code == CODE {
            continue;
        }
        let delete = runtime.line(&root, &["delete", "--force", &id]);
        let deleted = bench.runner.try_run(&[&end, delete.as_slice()].concat())?;
        ensure!(deleted != 128 + 9, "{id} cannot be deleted");
        return Ok(false);
    }
    Ok(true)
}
