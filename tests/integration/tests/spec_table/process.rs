//! `root`, `hostname` and `process`.

use serde_json::json;

use super::row::{NEW, Row, Verdict};
use super::runner::check;

#[test]
fn version_and_root() {
    check(&[
        Row::without("/ociVersion"),
        Row::set("/ociVersion", json!("")),
        Row::set("/ociVersion", json!("1.99.0-future")),
        Row::set("/ociVersion", json!("2.0.0"))
            .refused("ociVersion \"2.0.0\" is not supported")
            .but_runc(Verdict::Accepted, "runc does not look at the version"),
        Row::without("/root").refused("root must be specified"),
        Row::set("/root", json!({})).refused("root.path must not be empty"),
        Row::set("/root/path", json!("no-such-directory")).refused("invalid rootfs"),
        Row::set("/root/path", json!("config.json")).refused("not a directory"),
        Row::set("/root/path", json!("./rootfs/../rootfs/")),
        Row::set("/root/path", json!("rootfs\0x")).refused("root.path has a NUL byte"),
        Row::set("/root/path", json!("/proc/self/cwd/rootfs")).refused("invalid rootfs"),
    ]);
}

#[test]
fn arguments() {
    check(&[
        Row::without("/process").refused("process property must not be empty"),
        Row::set("/process", json!({})).refused("Cwd property must not be empty"),
        Row::without("/process/args").refused("args must not be empty"),
        Row::set("/process/args", json!([])).refused("args must not be empty"),
        Row::set("/process/args", json!([""])).refused_late("executable file not found"),
        Row::set("/process/args", json!([null])).refused_late("executable file not found"),
        Row::set("/process/args", json!(["no-such-program"]))
            .refused_late("exec: \"no-such-program\": executable file not found in $PATH"),
        Row::set("/process/args", json!(["/etc"])).refused_late("is a directory"),
        Row::set("/process/args", json!(["/etc/passwd"])).refused_late("permission denied"),
        Row::set("/process/args", json!(["/bin/../bin/echo", "x"])).prints("x"),
        Row::set("/process/args", json!(["bin/echo", "x"])).prints("x"),
        Row::set("/process/args", json!(["echo", "a b", "", "ä"])).prints("a b  ä"),
        Row::set("/process/args", json!(["echo", "a\0b"]))
            .refused("process.args[1] has a NUL byte"),
    ]);
}

#[test]
fn environment() {
    let env = |env| Row::set("/process/env", env);
    check(&[
        Row::without("/process/env").refused_late("executable file not found in $PATH"),
        env(json!([])).refused_late("executable file not found in $PATH"),
        env(json!(["A=b"])).refused_late("executable file not found in $PATH"),
        env(json!(["PATH="])).refused_late("executable file not found"),
        env(json!(["PATH=/no/such:/bin"])),
        env(json!(["PATH=/bin", "A="])),
        env(json!(["PATH=/bin", "A=1", "A=2"])),
        env(json!(["PATH=/bin", "A B=c d=e"])),
        env(json!(["PATH=/bin", "A"])).refused("missing '='"),
        env(json!(["PATH=/bin", ""])).refused("missing '='"),
        env(json!(["PATH=/bin", "=x"])).refused("name cannot be empty"),
        env(json!(["PATH=/bin", "="])).refused("name cannot be empty"),
        env(json!(["PATH=/bin", "A\0=x"])).refused("process.env[1] has a NUL byte"),
        env(json!(["PATH=/bin", "A=x\0"])).refused("process.env[1] has a NUL byte"),
        env(json!(["PATH=/bin", null])).refused("missing '='"),
    ]);
}

#[test]
fn working_directory() {
    let cwd = |cwd| {
        Row::edit(&format!("cwd {cwd:?}"), |spec| {
            spec.set("/process/cwd", json!(cwd)).args(&["pwd"])
        })
    };
    check(&[
        Row::without("/process/cwd").refused("Cwd property must not be empty"),
        cwd("").refused("Cwd property must not be empty"),
        cwd("tmp").refused("Cwd must be an absolute path"),
        cwd("../tmp").refused("Cwd must be an absolute path"),
        cwd("/tmp").prints("/tmp"),
        cwd("/tmp/../../../root/.").prints("/root"),
        cwd("/tmp\0x").refused("process.cwd has a NUL byte"),
        cwd("/etc/passwd").refused_late("chdir"),
    ]);
}

#[test]
fn user() {
    let id = |user| {
        Row::edit(&format!("user {user}"), |spec| {
            spec.set("/process/user", user)
                .args(&["sh", "-c", "id; umask"])
        })
    };
    check(&[
        Row::without("/process/user"),
        id(json!({})).prints("uid=0(root) gid=0(root)"),
        id(json!({"uid": 1000})).prints("uid=1000(user) gid=0(root)"),
        id(json!({"gid": 1000})).prints("uid=0(root) gid=1000(user)"),
        id(json!({"uid": 2_147_483_647})).prints("uid=2147483647"),
        id(json!({"uid": 2_147_483_648_u32})).refused("must be in range 0-2147483647"),
        id(json!({"gid": 4_294_967_295_u32})).refused("must be in range 0-2147483647"),
        id(json!({"additionalGids": [1, 2_147_483_648_u32]}))
            .refused("must be in range 0-2147483647"),
        id(json!({"uid": 1, "gid": 1, "additionalGids": [7, 7, 8]})).prints("groups=7,8"),
        id(json!({"additionalGids": []})),
        id(json!({"umask": 63})).prints("0077"),
        id(json!({"umask": 0})).prints("0000"),
        id(json!({"umask": 4_294_967_295_u32})).prints("0777"),
        id(json!({"username": "no-such-user"})).prints("uid=0(root)"),
    ]);
}

#[test]
fn capabilities() {
    let kill = json!(["CAP_KILL"]);
    let all = |caps| {
        Row::set(
            "/process/capabilities",
            json!({"bounding": caps, "effective": caps, "permitted": caps}),
        )
    };
    check(&[
        Row::without("/process/capabilities"),
        Row::set("/process/capabilities", json!({})),
        all(json!([])),
        all(json!(["CAP_KILL", "CAP_KILL"])),
        all(json!(["CAP_KILL", "CAP_NO_SUCH"])).warned("CAP_NO_SUCH"),
        all(json!(["KILL"])).warned("KILL"),
        all(json!(["cap_kill"])).warned("cap_kill"),
        all(json!([""])).warned("unknown"),
        all(json!(["CAP_KILL\0"]))
            .refused("capabilities.bounding[0] has a NUL byte")
            .but_runc(Verdict::Warned, "no string of a spec may have a NUL byte"),
        Row::set(
            "/process/capabilities",
            json!({"bounding": kill, "permitted": kill, "inheritable": kill, "ambient": kill}),
        ),
    ]);
}

#[test]
fn limits_and_priorities() {
    let rlimits = |rlimits| Row::set("/process/rlimits", rlimits);
    check(&[
        rlimits(json!([])),
        rlimits(json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}])),
        rlimits(json!([{"type": "RLIMIT_CORE"}])),
        rlimits(json!([{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}])).refused("above the hard"),
        rlimits(json!([{"type": "RLIMIT_NO_SUCH", "soft": 1, "hard": 1}])).refused("rlimit"),
        rlimits(json!([{"soft": 1, "hard": 1}])).refused("rlimit"),
        rlimits(json!([{"type": "", "soft": 1, "hard": 1}])).refused("rlimit"),
        rlimits(json!([{"type": "nofile", "soft": 1, "hard": 1}])).refused("rlimit"),
        rlimits(json!([null])).refused("rlimit"),
        Row::set("/process/oomScoreAdj", json!(1000)),
        Row::set("/process/oomScoreAdj", json!(1001)).refused("oomScoreAdj"),
        Row::set("/process/oomScoreAdj", json!(-1001)).refused("oomScoreAdj"),
        Row::set("/process/noNewPrivileges", json!(true)),
        Row::set("/process/consoleSize", json!({"height": 0, "width": 0})),
        Row::set("/process/selinuxLabel", json!("")),
        Row::set("/process/selinuxLabel", json!("a:b:c:s0"))
            .refused("selinux label is specified in config, but selinux is disabled"),
        Row::set("/process/apparmorProfile", json!("")),
        Row::set("/process/apparmorProfile", json!("no-such-profile")).refused("apparmor"),
    ]);
}

#[test]
fn scheduling() {
    let new = |pointer, value| Row::set(pointer, value);
    let scheduler = |value| new("/process/scheduler", value);
    let io = |value| new("/process/ioPriority", value);
    let ignored = |row: Row| row.but_runc(Verdict::Accepted, NEW);
    check(&[
        ignored(scheduler(json!({})).refused("scheduler policy is required")),
        ignored(scheduler(json!({"policy": "SCHED_NO_SUCH"})).refused("scheduler policy")),
        ignored(
            scheduler(json!({"policy": "SCHED_OTHER", "nice": 20})).refused("scheduler.nice: 20"),
        ),
        ignored(
            scheduler(json!({"policy": "SCHED_OTHER", "priority": 1}))
                .refused("scheduler.priority can only be specified"),
        ),
        ignored(
            scheduler(json!({"policy": "SCHED_FIFO", "runtime": 1}))
                .refused("can only be specified for SchedDeadline policy"),
        ),
        ignored(
            scheduler(json!({"policy": "SCHED_OTHER", "flags": ["NO_SUCH"]}))
                .refused("scheduler flag"),
        ),
        scheduler(json!({"policy": "SCHED_OTHER", "nice": 5})),
        scheduler(json!({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_RESET_ON_FORK"]})),
        ignored(
            io(json!({"class": "IOPRIO_CLASS_BE", "priority": 8}))
                .refused("ioPriority.Priority: 8"),
        ),
        ignored(
            io(json!({"class": "IOPRIO_CLASS_BE", "priority": -1})).refused("ioPriority.Priority"),
        ),
        ignored(io(json!({"class": "NO_SUCH", "priority": 1})).refused("ioPriority.Class")),
        ignored(io(json!({})).refused("ioPriority.Class")),
        io(json!({"class": "IOPRIO_CLASS_BE", "priority": 4})),
        ignored(
            Row::set("/process/execCPUAffinity", json!({"initial": "3-1"}))
                .refused("execCPUAffinity.initial"),
        ),
        Row::set(
            "/process/execCPUAffinity",
            json!({"initial": "0", "final": ""}),
        ),
    ]);
}

#[test]
fn names_of_the_host() {
    check(&[
        Row::without("/hostname"),
        Row::set("/hostname", json!("")),
        Row::set("/hostname", json!("a".repeat(64))),
        Row::set("/hostname", json!("a".repeat(65))).refused("64 bytes"),
        Row::set("/hostname", json!("with blanks ../ä")),
        Row::set("/hostname", json!("a\0b"))
            .refused("hostname has a NUL byte")
            .but_runc(Verdict::Accepted, "no string of a spec may have a NUL byte"),
        Row::set("/annotations", json!({"": ""})),
        Row::set("/annotations", json!({"a": "b\0c"})),
    ]);
}
