//! Runs a container with AMD GPUs from a Rust program, through the library `amd_runtime`.
//!
//! As root, with a bundle whose process has no terminal:
//!
//! ```text
//! cargo run --package amd-runtime --example gpu_container -- --gpus 0,1 --bundle DIR training
//! ```

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use amd_runtime::console::{self, ExitStatus};
use amd_runtime::spec::Bundle;
use amd_runtime::state::ProcessRef;
use amd_runtime::{ContainerId, CreateOptions, Runtime, chain, request, seal};
use clap::Parser;
use serde_json::{Value, json};

/// Where this program's containers have their state: its own directory, on a tmpfs.
const STATE: &str = "/run/gpu-container";

/// Runs the container of a bundle with GPUs, to its end
#[derive(Debug, Parser)]
struct Args {
    /// Directory of the bundle
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// GPUs for the container, as in AMD_VISIBLE_DEVICES
    #[arg(long, value_name = "GPUS")]
    gpus: String,
    /// Name for the container
    id: ContainerId,
}

fn main() -> ExitCode {
    match run() {
        Ok(status) => ExitCode::from(status.code()),
        Err(err) => {
            eprintln!("{}", chain(&*err));
            if let Some(hint) = err.downcast_ref().and_then(amd_runtime::Error::hint) {
                eprintln!("hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitStatus, Box<dyn Error>> {
    // Before all else, since the program executes itself again: from a copy that a
    // container cannot write to.
    fs::create_dir_all(STATE)?;
    let _sealed = seal::ensure_sealed(Path::new(STATE))?;

    let args = Args::parse();
    let mut bundle = Bundle::load(&args.bundle).map_err(amd_runtime::Error::from)?;
    ask_for(&mut bundle.spec, &args.gpus);

    // No other thread may run here: creating a container forks.
    let runtime = Runtime::new(STATE);
    console::prepare(true)?;
    let init = runtime.create_from_bundle(&args.id, bundle, &CreateOptions::default())?;
    let ended = start_and_wait(&runtime, &args.id, init);
    // Whatever became of it, nothing of it stays.
    runtime.delete(&args.id, true)?;
    ended
}

/// Adds the request to the environment in which the container's program will run; the
/// bundle on disk stays as it is.
fn ask_for(spec: &mut Value, gpus: &str) {
    let variable = json!(format!("{}={gpus}", request::VISIBLE_DEVICES));
    match spec.pointer_mut("/process/env") {
        // The last one counts.
        Some(Value::Array(env)) => env.push(variable),
        _ => spec["process"]["env"] = json!([variable]),
    }
}

fn start_and_wait(
    runtime: &Runtime,
    id: &ContainerId,
    init: ProcessRef,
) -> Result<ExitStatus, Box<dyn Error>> {
    for gpu in runtime.gpus(id)? {
        println!("granted {} at {}", gpu.name, gpu.pci);
    }
    runtime.start(id)?;
    Ok(console::supervise(init.pid, None)?)
}
