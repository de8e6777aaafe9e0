//! Users, groups, capabilities, limits and filters of a container's program.

use crate::compare::{Case, assert_alike};

const CASES: &[Case] = &[
    (
        "users",
        r#"for u in 1000 user:root 55:66; do run --rm -u $u "$image" sh -c 'id; echo $HOME'; done"#,
    ),
    (
        "groups-of-a-user",
        r#"run --rm -u 1000 --group-add 77 --group-add 88 "$image" id"#,
    ),
    (
        "groups-of-root",
        r#"run --rm --group-add 77 --group-add root --group-add 88 "$image" id"#,
    ),
    ("capabilities", "try grep ^Cap /proc/self/status"),
    (
        "capabilities-of-a-user",
        r#"run --rm -u 1000 "$image" grep ^Cap /proc/self/status"#,
    ),
    (
        "capabilities-dropped-and-added",
        r#"run --rm --cap-drop ALL --cap-add KILL --cap-add NET_ADMIN "$image" sh -c 'grep ^Cap /proc/self/status; touch /tmp/x; chown 1 /tmp/x'
        run --rm -u 1000 --cap-add NET_ADMIN "$image" grep ^Cap /proc/self/status"#,
    ),
    (
        "capabilities-that-the-host-lacks",
        r#"run --rm --cap-add ALL "$image" true 2>/dev/null"#,
    ),
    (
        "privileged",
        r#"run --rm --privileged "$image" true 2>/dev/null"#,
    ),
    (
        "no-new-privileges",
        r#"run --rm -u 1000 --cap-drop ALL --security-opt no-new-privileges "$image" grep -E '^(NoNew|Seccomp:|Cap)' /proc/self/status"#,
    ),
    (
        "seccomp-of-docker",
        r#"try sh -c 'grep -E "^(NoNew|Seccomp:)" /proc/self/status; mount -t tmpfs x /tmp
            for n in U m p i u n; do unshare -$n true; echo "$n $?"; done'"#,
    ),
    (
        "seccomp-unconfined",
        r#"run --rm --security-opt seccomp=unconfined "$image" sh -c 'grep ^Seccomp: /proc/self/status; unshare -U true && echo made'"#,
    ),
    (
        "seccomp-of-ones-own",
        r#"echo '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
            {"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":77},
            {"names":["kill"],"action":"SCMP_ACT_ERRNO","args":[{"index":1,"value":10,"op":"SCMP_CMP_EQ"}]},
            {"names":["no_such_call"],"action":"SCMP_ACT_ERRNO"},
            {"names":["symlink","symlinkat"],"action":"SCMP_ACT_KILL_PROCESS"}]}' >"$dir/s.json"
        run --rm --security-opt seccomp="$dir/s.json" "$image" sh -c 'mkdir /tmp/d; kill -USR1 1; kill -0 1 && echo alive; ln -s a /tmp/b; echo "code $?"'"#,
    ),
    (
        "limits",
        r#"run --rm --ulimit nofile=100:200 --ulimit core=0:0 --ulimit stack=1048576 --ulimit nproc=500 "$image" sh -c 'ulimit -a; ulimit -Hn'"#,
    ),
    (
        "limits-beyond-what-may-be",
        r#"run --rm --ulimit nofile=99999999999 "$image" true 2>/dev/null"#,
    ),
    (
        "sysctls",
        r#"run --rm --sysctl net.ipv4.ip_forward=1 --sysctl net.ipv4.ip_unprivileged_port_start=77 --sysctl kernel.msgmax=9000 "$image" cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax"#,
    ),
    (
        "sysctl-that-is-not",
        r#"run --rm --sysctl net.no.such=1 "$image" true"#,
    ),
    (
        "sysctl-of-a-wrong-value",
        r#"run --rm --sysctl net.ipv4.ip_forward=abc "$image" true"#,
    ),
    (
        "status-of-init",
        r#"run --rm --oom-score-adj 500 "$image" sh -c 'grep -E "^(Name|Umask|Tgid|Pid|PPid|TracerPid|Uid|Gid|Groups|NStgid|SigBlk|SigIgn|SigCgt|Seccomp:)" /proc/1/status
            cat /proc/1/oom_score_adj /proc/1/cmdline; nice; wc -l </proc/keys'"#,
    ),
];

#[test]
fn programs_have_the_same_privileges() {
    assert_alike(CASES);
}
