//! Kills the runtime at every system call of `create`, `start` and `delete` in turn and checks
//! that what is left can be cleared; then lets eight workers create and delete containers of the
//! same few ids at once. `make crash-test` runs all of it; the tests of this package a sample.

use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use integration::bundle::Bundle;
use integration::crash;
use integration::host::{Cgroups, Host, SimulatedHost};
use integration::mi300x;
use integration::runtime::Runtime;
use integration::spec::Spec;
use integration::traces::Traces;

/// Kill the runtime at every system call, and see what is left
#[derive(Debug, Parser)]
struct Args {
    /// Try every Nth system call only
    #[arg(long, value_name = "N", default_value_t = 1)]
    every: usize,
    /// Containers that the workers create
    #[arg(long, value_name = "N", default_value_t = 1000)]
    creates: usize,
    /// Which cgroups: v1, v2; both unless given
    #[arg(long, value_name = "VERSION")]
    cgroup: Option<String>,
}

const ID: &str = "c";
const WORKERS: usize = 8;
/// Fewer than workers, so that they meet.
const IDS: usize = 4;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("crash-test: {err:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let versions = match args.cgroup.as_deref() {
        None => vec![Cgroups::V1, Cgroups::V2],
        Some("v1") => vec![Cgroups::V1],
        Some("v2") => vec![Cgroups::V2],
        Some(other) => bail!("--cgroup {other}: v1 or v2"),
    };
    let every = args.every.max(1);
    let mut failed = Vec::new();
    for version in versions {
        let host = SimulatedHost::start(
            &Host::preset(mi300x::PRESET).context("no such preset")?,
            version,
        )?;
        let victims = [Victim::Create, Victim::Start, Victim::Delete];
        let ran = victims.map(|victim| kill_everywhere(&host, version, victim, every));
        let worked = work_at_once(&host, version, args.creates);
        for err in ran.into_iter().chain([worked]).filter_map(Result::err) {
            failed.push(format!("{version:?}: {err:#}"));
        }
    }
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

/// The command that is killed.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Create,
    Start,
    Delete,
}

fn kill_everywhere(
    host: &SimulatedHost,
    version: Cgroups,
    victim: Victim,
    every: usize,
) -> Result<()> {
    let runtime = Runtime::under_test(host);
    let spec = Spec::docker().env("AMD_VISIBLE_DEVICES=0");
    let bundle = Bundle::new(host, ID, spec.args(&["sleep", "1000"]));
    let dir = bundle.path().to_string_lossy().into_owned();
    let words = match victim {
        Victim::Create => vec!["create", "--bundle", &dir, ID],
        Victim::Start => vec!["start", ID],
        Victim::Delete => vec!["delete", "--force", ID],
    };
    // Once before, for what is made once and stays.
    runtime.call(&["delete", "--force", ID]).ok();
    prepare(&runtime, &bundle, victim);
    let calls = crash::calls(host, &runtime, &words)?;
    runtime.call(&["delete", "--force", ID]).ok();
    let before = Traces::of(host);

    let began = Instant::now();
    let (mut tried, mut killed, mut failures) = (0, 0, Vec::new());
    for (at, call) in calls.iter().enumerate().step_by(every) {
        prepare(&runtime, &bundle, victim);
        killed += usize::from(crash::killed_at(host, &runtime, call, &words)?);
        tried += 1;
        if let Err(err) = recover(&runtime, &bundle, victim, at) {
            failures.push(format!("{victim:?} killed at {call:?}: {err:#}"));
            // What comes now would fail for that.
            break;
        }
        for trace in left(host, &before) {
            failures.push(format!("{victim:?} killed at {call:?}: left {trace}"));
        }
    }
    println!(
        "{version:?} {victim:?}: {tried} of {} system calls, killed {killed} times, {} s, {}",
        calls.len(),
        began.elapsed().as_secs(),
        match failures.len() {
            0 => "all recovered".to_owned(),
            n => format!("{n} FAILURES"),
        }
    );
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    ensure!(killed * 4 > tried, "killed {killed} times of {tried} only");
    Ok(())
}

/// What there is and was not before; a process that a killed command had just forked gets a moment
/// to notice that it is alone.
fn left(host: &SimulatedHost, before: &Traces) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let now = Traces::of(host);
        let left = now.beyond(before);
        if left.is_empty() || Instant::now() > deadline {
            return left.into_iter().map(str::to_owned).collect();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What there is before the command.
fn prepare(runtime: &Runtime<'_>, bundle: &Bundle<'_>, victim: Victim) {
    match victim {
        Victim::Create => {}
        Victim::Start => {
            runtime.create(bundle).ok();
        }
        Victim::Delete => runtime.up(bundle),
    }
}

/// In turn by `delete --force`, and by the next command of the container's life.
fn recover(runtime: &Runtime<'_>, bundle: &Bundle<'_>, victim: Victim, at: usize) -> Result<()> {
    if at % 2 == 1 {
        let again = match victim {
            Victim::Create => runtime.create(bundle),
            Victim::Start => runtime.start(ID),
            Victim::Delete => runtime.call(&["delete", "--force", ID]),
        };
        // At the very end the command had done its work.
        let done = ["already exists", "already running", "has stopped"];
        let is_done = done.iter().any(|words| again.stderr.contains(words));
        ensure!(again.code == 0 || is_done, "{again}");
    }
    let deleted = runtime.call(&["delete", "--force", ID]);
    ensure!(deleted.code == 0, "{deleted}");
    Ok(())
}

/// Workers that create and delete containers of a few ids: each command succeeds or says that
/// somebody else was faster.
fn work_at_once(host: &SimulatedHost, version: Cgroups, creates: usize) -> Result<()> {
    let runtime = Runtime::under_test(host);
    let bundles: Vec<_> = (0..IDS)
        .map(|n| {
            Bundle::new(
                host,
                &format!("w{n}"),
                Spec::docker().args(&["sleep", "1000"]),
            )
        })
        .collect();
    // It stays, and is there from the first command on.
    host.inside(|| std::fs::create_dir_all(runtime.root()))??;
    let before = Traces::of(host);
    let began = Instant::now();
    let mut children = Vec::new();
    for worker in 0..WORKERS {
        children.push(work(host, &runtime, worker, creates.div_ceil(WORKERS))?);
    }
    let mut counts = Vec::new();
    for child in children {
        let output = child.wait_with_output()?;
        counts.push(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        ensure!(
            output.status.success(),
            "a worker failed: {}",
            output.status
        );
    }
    for bundle in &bundles {
        runtime.call(&["delete", "--force", bundle.id()]).ok();
    }
    let left = left(host, &before);
    ensure!(left.is_empty(), "left: {}", left.join("\n"));
    println!(
        "{version:?}: {} creates by {WORKERS} workers (won: {}), {} s, nothing left",
        creates.div_ceil(WORKERS) * WORKERS,
        counts.join(" "),
        began.elapsed().as_secs()
    );
    Ok(())
}

/// A shell that creates and deletes, and prints how many creates it won.
fn work(host: &SimulatedHost, runtime: &Runtime<'_>, worker: usize, times: usize) -> Result<Child> {
    let script = format!(
        r#"won=0; i=0; errors=/run/bundles/errors-of-{worker}
        while [ $i -lt {times} ]; do
            id=w$(( (i + {worker}) % {IDS} )); i=$((i + 1))
            # Not a pipe: the container that is created would hold it open.
            "$@" create --bundle /run/bundles/$id $id >/dev/null 2>$errors </dev/null
            # 137: a forced delete did not wait for a create that takes long.
            case $?$(cat $errors) in
                0*) won=$((won + 1)) ;;
                137* | *'already exists'* | *'cgroup is not empty'*) ;;
                *) echo "create $id: $(cat $errors)" >&2; exit 1 ;;
            esac
            error=$("$@" delete --force $id 2>&1) || {{ echo "delete $id: $error" >&2; exit 1; }}
        done
        echo $won"#
    );
    let command = runtime.command(&[]);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &script, "worker"])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    host.spawn(&mut shell).context("cannot start a worker")
}
