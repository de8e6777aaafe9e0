//! What the runtime keeps from a container, and what it leaves alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use integration::bundle::Bundle;
use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x;
use integration::outcome::Outcome;
use integration::require;
use integration::runtime::{Runtime, eventually};
use integration::spec::Spec;
use serde_json::json;

const ASK: &str = "AMD_VISIBLE_DEVICES=0";

fn host() -> Option<SimulatedHost> {
    require::host(mi300x::PRESET, Cgroups::V1)
}

/// A C program of this directory, as a static binary.
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn compile(name: &str, flags: &[&str]) -> Vec<u8> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/security")
        .join(name);
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("program");
    let mut cc = Command::new("cc");
    cc.args(["-static", "-O1", "-Wall", "-o"])
        .arg(&program)
        .arg(source)
        .args(flags);
    assert!(cc.status().unwrap().success(), "{cc:?}");
    fs::read(program).unwrap()
}

/// Puts a program into a bundle's root filesystem or elsewhere on the host.
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn install(host: &SimulatedHost, program: &[u8], path: &Path) {
    let write = || {
        fs::create_dir_all(path.parent().unwrap())?;
        fs::write(path, program)?;
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
    };
    host.inside(write).unwrap().unwrap();
}

/// A copy of the runtime under test, for attacks that may succeed.
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn copy_of_runtime(host: &SimulatedHost) -> (PathBuf, Vec<u8>) {
    let original = fs::read(Runtime::under_test(host).program()).unwrap();
    let copy = PathBuf::from("/run/copy/runtime");
    install(host, &original, &copy);
    (copy, original)
}

#[track_caller]
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn assert_unchanged(host: &SimulatedHost, copy: &Path, original: &[u8]) {
    let now = host.inside(|| fs::read(copy)).unwrap().unwrap();
    assert!(now == original, "the runtime's binary has changed");
}

#[test]
fn the_attack_overwrites_a_binary_that_nothing_protects() {
    let Some(host) = host() else { return };
    let attack = Path::new("/run/attack/overwrite");
    install(&host, &compile("overwrite.c", &[]), attack);
    let busybox = fs::read(require::find("busybox").unwrap()).unwrap();
    let victim = Path::new("/run/victim/busybox");
    install(&host, &busybox, victim);
    let mut sleep = host
        .spawn(Command::new(victim).args(["sleep", "0.2"]))
        .unwrap();
    let hold = format!(
        "exec 9<{}; exec {} /run/report held 9",
        victim.display(),
        attack.display()
    );
    Outcome::of(&host, Command::new("sh").args(["-c", &hold]))
        .unwrap()
        .ok();
    sleep.wait().unwrap();
    let report = host
        .inside(|| fs::read_to_string("/run/report"))
        .unwrap()
        .unwrap();
    assert_eq!(report, "held\nwrote\ndone\n");
    assert_ne!(host.inside(|| fs::read(victim)).unwrap().unwrap(), busybox);
}

/// Waits for the attack's report, and checks that it changed nothing.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn assert_attack_failed(bundle: &Bundle<'_>, tried: bool) {
    let report = || bundle.read("/out/report").unwrap_or_default();
    if tried {
        eventually("the attack is over", || report().contains("done"));
    }
    assert_eq!(report().contains("held"), tried, "{}", report());
    assert!(!report().contains("wrote"), "{}", report());
}

#[test]
fn the_binary_cannot_be_overwritten_while_it_enters_a_container() {
    let Some(host) = host() else { return };
    let (copy, original) = copy_of_runtime(&host);
    let runtime = Runtime::at(&host, copy.clone());
    let spec = Spec::docker().all_capabilities().env(ASK);
    let watch = ["overwrite", "/out/report", "watch", "2", "/bin/overwrite"];
    let bundle = Bundle::new(&host, "c", spec.args(&watch));
    install(
        &host,
        &compile("overwrite.c", &[]),
        &bundle.in_rootfs("/bin/overwrite"),
    );
    runtime.up(&bundle);
    while !bundle
        .read("/out/report")
        .unwrap_or_default()
        .contains("done")
    {
        // A process of the runtime enters the container; what it executes there does nothing.
        // The last ones come when the container has gone.
        let _ = runtime.exec("c", &["/bin/overwrite"]);
    }
    assert_attack_failed(&bundle, true);
    assert_unchanged(&host, &copy, &original);
}

/// Runs a container whose program is the runtime's own binary, loaded by the image.
#[track_caller]
fn attack_by_entry_point(host: &SimulatedHost, exec: bool) {
    let (copy, original) = copy_of_runtime(host);
    let runtime = Runtime::at(host, copy.clone());
    let spec = Spec::docker().all_capabilities().env(ASK);
    let program = ["/proc/self/exe"];
    let spec = if exec {
        spec.args(&["sleep", "1000"])
    } else {
        spec.args(&program)
    };
    let bundle = Bundle::new(host, "c", spec);
    install(
        host,
        &compile("overwrite.c", &[]),
        &bundle.in_rootfs("/bin/overwrite"),
    );
    let loader = compile(
        "loader.c",
        &["-nostdlib", "-ffreestanding", "-fno-stack-protector"],
    );
    for path in ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"] {
        install(host, &loader, &bundle.in_rootfs(path));
    }
    // Detached: while the runtime runs, its binary is busy.
    runtime.up(&bundle);
    if exec {
        runtime
            .call(&["exec", "--detach", "c", "/proc/self/exe"])
            .ok();
    }
    // A static binary asks the image for no loader: then it just runs.
    let dynamic = original[..4096]
        .windows(9)
        .any(|bytes| bytes == b"/ld-linux");
    assert_attack_failed(&bundle, dynamic);
    assert_unchanged(host, &copy, &original);
}

#[test]
fn the_binary_cannot_be_overwritten_by_a_container_that_runs_it() {
    let Some(host) = host() else { return };
    attack_by_entry_point(&host, false);
}

#[test]
fn the_binary_cannot_be_overwritten_by_an_executed_process_that_runs_it() {
    let Some(host) = host() else { return };
    attack_by_entry_point(&host, true);
}

/// What /proc/self/fd has in a container: the standard three, and that of `ls` itself.
const NO_MORE: &str = "0\n1\n2\n3\n";

#[test]
fn a_container_inherits_no_descriptor() {
    let Some(host) = host() else { return };
    let bundle = Bundle::new(
        &host,
        "c",
        Spec::docker().env(ASK).args(&["ls", "/proc/self/fd"]),
    );
    assert_eq!(Runtime::under_test(&host).run(&bundle).ok(), NO_MORE);
}

#[test]
fn a_created_container_inherits_no_descriptor() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let spec = Spec::docker().env(ASK).sh("ls /proc/self/fd > /out/fds");
    let bundle = Bundle::new(&host, "c", spec);
    runtime.up(&bundle);
    runtime.wait_stopped("c");
    assert_eq!(bundle.read("/out/fds").unwrap(), NO_MORE);
}

#[test]
fn a_container_that_waits_holds_of_its_callers_pipe_its_standard_error_alone() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let bundle = Bundle::new(&host, "c", Spec::docker().args(&["true"]));
    let dir = bundle.path().to_str().unwrap();
    let mut create = runtime.command(&["create", "--bundle", dir, "c"]);
    let streams = create.stdin(Stdio::null()).stdout(Stdio::null());
    let mut create = host.spawn(streams.stderr(Stdio::piped())).unwrap();
    assert!(create.wait().unwrap().success());

    let fds = format!("/proc/{}/fd", runtime.state("c")["pid"]);
    let links = host.inside(|| -> std::io::Result<Vec<_>> {
        let stderr = fs::read_link(format!("{fds}/2"))?;
        let links = fs::read_dir(&fds)?.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        Ok(links.filter(|link| *link == stderr).collect())
    });
    assert_eq!(links.unwrap().unwrap().len(), 1);
}

#[test]
fn warnings_are_on_standard_error_where_there_is_no_log() {
    let Some(host) = host() else { return };
    let spec = Spec::docker()
        .set("/process/capabilities/inheritable", json!(["CAP_KILL"]))
        .set(
            "/process/capabilities/ambient",
            json!(["CAP_KILL", "CAP_CHOWN"]),
        )
        .args(&["true"]);
    let bundle = Bundle::new(&host, "c", spec);
    let warning = "level=warning msg=\"can't raise ambient capability CAP_CHOWN: ";
    let run = Runtime::under_test(&host).run(&bundle);
    assert!(run.code == 0 && run.stderr.contains(warning), "{run}");

    let logged = Runtime::under_test(&host).option(&["--log", "/run/log"]);
    let run = logged.run(&bundle);
    assert!(run.code == 0 && run.stderr.is_empty(), "{run}");
    let log = host.inside(|| fs::read_to_string("/run/log")).unwrap();
    assert!(log.unwrap().contains(warning));
}

#[test]
fn an_executed_process_inherits_no_descriptor() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    runtime.up(&Bundle::new(
        &host,
        "c",
        Spec::docker().env(ASK).args(&["sleep", "1000"]),
    ));
    assert_eq!(runtime.exec("c", &["ls", "/proc/self/fd"]).ok(), NO_MORE);
}

#[test]
fn a_descriptor_of_the_caller_does_not_reach_the_container() {
    let Some(host) = host() else { return };
    let bundle = Bundle::new(
        &host,
        "c",
        Spec::docker().env(ASK).args(&["ls", "/proc/self/fd"]),
    );
    let runtime = Runtime::under_test(&host);
    let run = runtime.command(&["run", "--bundle", &bundle.path().to_string_lossy(), "c"]);
    let mut sh = Command::new("sh");
    sh.args(["-c", "exec 7</etc 8<>/run/bundles/8; exec \"$@\"", "sh"]);
    sh.arg(run.get_program()).args(run.get_args());
    assert_eq!(Outcome::of(&host, &mut sh).unwrap().ok(), NO_MORE);
}

/// The files that `run` of a container names in system calls, by strace.
fn files_named(host: &SimulatedHost, spec: Spec) -> String {
    let bundle = Bundle::new(host, "c", spec);
    let runtime = Runtime::under_test(host);
    let run = runtime.command(&["run", "--bundle", &bundle.path().to_string_lossy(), "c"]);
    let trace = Path::new("/run/bundles/strace");
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-y", "-e", "trace=%file", "-o"])
        .arg(trace);
    strace.arg(run.get_program()).args(run.get_args());
    #[allow(clippy::unwrap_used, reason = "a test stands on it")]
    {
        Outcome::of(host, &mut strace).unwrap().ok();
        host.inside(|| fs::read_to_string(trace)).unwrap().unwrap()
    }
}

/// Where GPUs show.
const HARDWARE: [&str; 7] = [
    "/sys/bus/pci",
    "/sys/class",
    "/sys/module",
    "/sys/devices",
    "/dev/dri",
    // Also below an open directory.
    "kfd",
    "renderD",
];

#[test]
fn a_container_that_asks_for_no_gpu_has_no_hardware_looked_at() {
    let Some(host) = host() else { return };
    if !require::programs(&["strace"]) {
        return;
    }
    let trace = files_named(&host, Spec::docker());
    let lines: Vec<&str> = trace
        .lines()
        .filter(|line| HARDWARE.iter().any(|at| line.contains(at)))
        .collect();
    assert_eq!(lines, [""; 0]);
}

#[test]
fn a_container_that_asks_for_a_gpu_has_hardware_looked_at() {
    let Some(host) = host() else { return };
    if !require::programs(&["strace"]) {
        return;
    }
    let trace = files_named(&host, Spec::docker().env(ASK));
    for place in ["/sys/bus/pci", "/sys/class", "/dev/dri", "kfd", "renderD"] {
        assert!(trace.contains(place), "{place}");
    }
}

#[test]
fn no_program_of_the_host_is_executed_to_create_a_container() {
    let Some(host) = host() else { return };
    if !require::programs(&["strace"]) {
        return;
    }
    let runtime = Runtime::under_test(&host);
    let trace = files_named(&host, Spec::docker().env(ASK).args(&["/bin/true"]));
    let name = runtime
        .program()
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    // A call that another process interrupts is on two lines; the first has the arguments.
    let is_call = |line: &&str| line.contains("execve(") || line.contains("execveat(");
    for line in trace.lines().filter(is_call) {
        // The runtime itself, its sealed copy (by descriptor), and the container's program.
        let known = [&name[..], "/proc/self/fd/", "\"\"", "/bin/true"];
        assert!(known.iter().any(|known| line.contains(known)), "{line}");
    }
}

/// The capability sets of a process, by its own words.
const CAPABILITIES: &str = "grep ^Cap /proc/self/status | cut -f2 | tr '\\n' ' '";

const NO_CAPABILITY: &str =
    "0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000";

#[test]
fn a_process_that_names_no_capabilities_has_none() {
    let Some(host) = host() else { return };
    let spec = Spec::minimal().sh(CAPABILITIES);
    let runtime = Runtime::under_test(&host);
    let seen = runtime.run(&Bundle::new(&host, "c", spec)).ok();
    assert_eq!(seen.trim(), NO_CAPABILITY);
}

#[test]
fn an_executed_process_that_names_no_capabilities_has_the_containers() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let spec = Spec::minimal()
        .args(&["sleep", "60"])
        .capabilities(&["CAP_KILL"]);
    runtime.up(&Bundle::new(&host, "c", spec));
    let process = "/run/bundles/process.json";
    let json = format!(
        r#"{{"cwd": "/", "args": ["sh", "-c", {CAPABILITIES:?}], "env": ["PATH=/bin"],
            "user": {{"uid": 0, "gid": 0}}}}"#
    );
    host.inside(|| fs::write(process, json)).unwrap().unwrap();
    let seen = runtime.call(&["exec", "--process", process, "c"]).ok();
    let kill = format!("{:016x}", 1 << 5);
    let none = "0000000000000000";
    assert_eq!(seen.trim(), [none, &kill, &kill, &kill, none].join(" "));
}

#[test]
fn on_v1_a_container_sees_its_own_cgroup_alone_and_cannot_write_there() {
    if !require::cgroup_v1() {
        return;
    }
    let Some(host) = host() else { return };
    let spec = Spec::docker().sh("grep ' - cgroup ' /proc/self/mountinfo | cut -d' ' -f4,6");
    let seen = Runtime::under_test(&host)
        .run(&Bundle::new(&host, "c", spec))
        .ok();
    let own = format!("{}/c ro,", host.cgroup());
    assert!(seen.lines().count() > 3, "{seen}");
    for line in seen.lines() {
        assert!(line.starts_with(&own), "{line}");
    }
}

#[test]
fn umask_and_ignored_signals_of_the_caller_are_not_the_containers() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let spec = Spec::docker().args(&["grep", "-E", "Umask|SigIgn", "/proc/self/status"]);
    let bundle = Bundle::new(&host, "c", spec);
    let run = runtime.command(&["run", "--bundle", "/run/bundles/c", bundle.id()]);
    let line: Vec<_> = std::iter::once(run.get_program())
        .chain(run.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let script = format!("umask 077; trap '' USR1 HUP PIPE; exec {}", line.join(" "));
    let seen = Outcome::of(&host, Command::new("sh").args(["-c", &script]))
        .unwrap()
        .ok();
    let values: Vec<_> = seen
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    let [umask, ignored] = values[..] else {
        panic!("{seen}")
    };
    assert_eq!(umask, "0022");
    // The two above are the C library's own.
    let standard = u64::from_str_radix(ignored, 16).unwrap() & 0x7fff_ffff;
    assert_eq!(standard, 0, "{ignored}");
}

#[test]
fn an_executed_process_has_the_containers_place_before_the_oom_killer() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let spec = Spec::minimal()
        .args(&["sleep", "60"])
        .set("/process/oomScoreAdj", serde_json::json!(321));
    runtime.up(&Bundle::new(&host, "c", spec));
    let process = "/run/bundles/process.json";
    let json = r#"{"cwd": "/", "args": ["cat", "/proc/self/oom_score_adj"], "env": ["PATH=/bin"]}"#;
    host.inside(|| fs::write(process, json)).unwrap().unwrap();
    assert_eq!(
        runtime.call(&["exec", "--process", process, "c"]).ok(),
        "321\n"
    );
}
