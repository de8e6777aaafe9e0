//! The seccomp filter of a container, for its init and for executed processes.

use std::fs;
use std::path::Path;
use std::process::Command;

use integration::bundle::Bundle;
use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x;
use integration::require;
use integration::runtime::Runtime;
use integration::spec::Spec;
use serde_json::{Value, json};

const ID: &str = "c";

fn host() -> Option<SimulatedHost> {
    require::host(mi300x::PRESET, Cgroups::V1)
}

/// Puts a static program that makes calls and prints their errors at /bin/calls.
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn install_calls(host: &SimulatedHost, bundle: &Bundle<'_>) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seccomp/calls.c");
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("calls");
    let mut cc = Command::new("cc");
    cc.args(["-static", "-O1", "-Wall", "-o"])
        .arg(&program)
        .arg(source);
    assert!(cc.status().unwrap().success());
    let (bytes, path) = (fs::read(program).unwrap(), bundle.in_rootfs("/bin/calls"));
    host.inside(|| {
        fs::write(&path, bytes)?;
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
    })
    .unwrap()
    .unwrap();
}

/// Docker's rule for clone, calls that a static program needs, and none newer than them.
fn strict() -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [
            {"names": [
                "execve", "brk", "arch_prctl", "set_tid_address", "set_robust_list", "rseq",
                "prlimit64", "readlink", "readlinkat", "getrandom", "mprotect", "newfstatat",
                "fstat", "write", "exit_group", "wait4", "capset", "faccessat2", "mmap",
                "munmap", "close_range", "rt_sigaction", "rt_sigprocmask", "pause",
            ], "action": "SCMP_ACT_ALLOW"},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [
                {"index": 0, "value": 0x7e02_0000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"},
            ]},
        ],
    })
}

#[test]
fn a_filter_is_what_the_profile_says() {
    let Some(host) = host() else { return };
    if !require::programs(&["cc"]) {
        return;
    }
    let runtime = Runtime::under_test(&host);
    for no_new_privileges in [false, true] {
        let spec = Spec::docker()
            .args(&["calls"])
            .set("/linux/seccomp", strict())
            .set("/process/noNewPrivileges", json!(no_new_privileges));
        let bundle = Bundle::new(&host, ID, spec);
        install_calls(&host, &bundle);
        let expected = "mkdir: Operation not permitted\n\
                        clone: Success\n\
                        clone(CLONE_NEWUSER): Operation not permitted\n\
                        a call of the future: Function not implemented\n";
        assert_eq!(
            runtime.run(&bundle).ok(),
            expected,
            "init, {no_new_privileges}"
        );
        let spec = Spec::docker()
            .args(&["calls", "pause"])
            .set("/linux/seccomp", strict())
            .set("/process/noNewPrivileges", json!(no_new_privileges));
        let bundle = Bundle::new(&host, ID, spec);
        install_calls(&host, &bundle);
        runtime.up(&bundle);
        assert_eq!(
            runtime.exec(ID, &["calls"]).ok(),
            expected,
            "exec, {no_new_privileges}"
        );
        runtime.call(&["delete", "--force", ID]).ok();
    }
}

#[test]
fn a_profile_need_not_allow_what_the_runtime_does() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    // All that happens before and after the filter is loaded, but for the capabilities
    // that loading took, and the program.
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": [
            "accept", "accept4", "sendmsg", "recvmsg", "recvfrom", "sendto", "connect", "getcwd",
            "chdir", "setresuid", "setresgid", "setgroups", "prctl", "seccomp", "close_range",
            "capget", "fchown", "umask", "setns", "unshare", "clone3",
        ], "action": "SCMP_ACT_ERRNO"}],
    });
    for no_new_privileges in [false, true] {
        let spec = Spec::docker()
            .user(1000, 1000)
            .args(&["sleep", "1000"])
            .set("/linux/seccomp", profile.clone())
            .set("/process/noNewPrivileges", json!(no_new_privileges));
        runtime.up(&Bundle::new(&host, ID, spec));
        let status = runtime.exec(
            ID,
            &["grep", "Seccomp:", "/proc/1/status", "/proc/self/status"],
        );
        assert_eq!(status.ok().matches("\t2").count(), 2);
        runtime.call(&["delete", "--force", ID]).ok();
    }
}

#[test]
fn signal_actions_are_the_defaults_before_the_filter_decides_about_them() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{
            "names": ["rt_sigaction", "rt_sigprocmask"], "action": "SCMP_ACT_KILL_PROCESS",
        }],
    });
    for no_new_privileges in [false, true] {
        let spec = Spec::docker()
            .args(&["true"])
            .set("/linux/seccomp", profile.clone())
            .set("/process/noNewPrivileges", json!(no_new_privileges));
        runtime.run(&Bundle::new(&host, ID, spec)).ok();
    }
}
