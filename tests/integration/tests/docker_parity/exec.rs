//! `docker exec`.

use crate::compare::{Case, assert_alike};

/// Prints what a process may do.
macro_rules! status {
    () => {
        "grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups|Uid|Gid|Umask|SigBlk|SigIgn)' /proc/self/status"
    };
}

/// How executed programs end, and what is said of those that cannot be.
const ENDS: &[Case] = &[
    (
        "exec-codes",
        r#"up
        for n in 0 255; do code docker exec "$box" sh -c "exit $n"; done
        for s in KILL TERM; do code docker exec "$box" sh -c "kill -$s \$\$"; done"#,
    ),
    (
        "exec-of-what-is-no-program",
        r#"up
        for c in no-such-program /no/such/program /etc/passwd ''; do code docker exec "$box" "$c"; done"#,
    ),
    ("exec-of-a-directory", r#"up; docker exec "$box" /etc"#),
    (
        "exec-in-directories-that-cannot-be",
        r#"up
        code docker exec -w /no/such/dir "$box" pwd
        code docker exec -w /etc/passwd "$box" pwd"#,
    ),
    (
        "exec-in-a-directory-of-another",
        r#"up; docker exec -u 1000 -w /root "$box" pwd"#,
    ),
    (
        "exec-detached",
        r#"up
        code docker exec -d "$box" sh -c 'echo by exec >/tmp/x; mv /tmp/x /tmp/y; sleep 1000'
        await docker exec "$box" cat /tmp/y
        docker stop -t 30 "$box" >/dev/null; state"#,
    ),
    (
        "exec-detached-of-no-program",
        r#"up; docker exec -d "$box" no-such-program"#,
    ),
    (
        "exec-in-paused-and-stopped",
        r#"up; docker pause "$box" >/dev/null; code docker exec "$box" true
        docker unpause "$box" >/dev/null; code docker exec "$box" true
        docker stop -t 30 "$box" >/dev/null; code docker exec "$box" true"#,
    ),
];

/// What executed programs have and may do.
const STATES: &[Case] = &[
    (
        "exec-streams",
        r#"up
        docker exec "$box" sh -c 'echo out; echo err >&2; cat; ls /proc/self/fd | wc -l; tty'
        seq 2000 | docker exec -i "$box" md5sum
        docker exec -u 1000 "$box" sh -c 'echo x >/dev/stdout; echo y >/dev/stderr'"#,
    ),
    (
        "exec-users",
        r#"up --group-add 77
        for u in 0 1000 user:root 55:66; do docker exec -u $u "$box" sh -c 'id; echo $HOME'; done
        code docker exec -u nobody-here "$box" id"#,
    ),
    (
        "exec-environment",
        r#"up -e A=1 -e B=2 -w /tmp
        docker exec -e B=3 -e C=4 "$box" sh -c 'env | grep -v HOSTNAME | sort'
        docker exec -t -w /etc "$box" sh -c 'env | grep -v HOSTNAME | sort'"#,
    ),
    (
        "exec-terminals",
        r#"up
        docker exec -t "$box" sh -c 'tty; stat -c "%a %u:%g" $(tty); stty -a'
        docker exec -t -u 1000 "$box" sh -c 'stat -c %a $(tty); echo x >/dev/tty'"#,
    ),
    (
        "exec-terminal-size",
        r#"up
        script -qefc "stty rows 41 cols 101; docker exec -it $box sh -c 'until stty size 2>/dev/null | grep 41; do sleep 0.1; done'" /dev/null </dev/null | tr -d '\0'"#,
    ),
    (
        "exec-status",
        concat!(
            r#"up --ulimit nofile=100:100 --ulimit core=0 --oom-score-adj 321
        docker exec "$box" sh -c ""#,
            status!(),
            r#"; ulimit -a; cat /proc/self/oom_score_adj; nice"
        docker exec -u 1000 "$box" "#,
            status!()
        ),
    ),
    (
        "exec-status-of-less",
        concat!(
            r#"up --cap-drop ALL --cap-add KILL --security-opt no-new-privileges --security-opt seccomp=unconfined -u 1000
        docker exec "$box" "#,
            status!(),
            r#"
        docker exec -u 0 "$box" "#,
            status!()
        ),
    ),
    (
        "exec-privileged",
        concat!(
            r#"up; code docker exec --privileged "$box" "#,
            status!(),
            r#" >"$dir/seen" 2>&1; grep -v OCI "$dir/seen""#
        ),
    ),
    (
        "exec-seccomp-filter",
        r#"echo '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":77}]}' >"$dir/s.json"
        up --security-opt seccomp="$dir/s.json"
        docker exec "$box" mkdir /tmp/d; docker exec -u 1000 "$box" mkdir /tmp/d"#,
    ),
    (
        "exec-is-where-the-container-is",
        r#"up; docker exec "$box" sh -c 'cmp /proc/self/cgroup /proc/1/cgroup && echo same cgroups
            for n in mnt uts ipc net pid cgroup user; do
                test $(readlink /proc/self/ns/$n) = $(readlink /proc/1/ns/$n) && echo same $n
            done
            echo parent $(cut -d" " -f 4 /proc/$$/stat); test $(cut -d" " -f 6 /proc/$$/stat) = $$ && echo leads a session'"#,
    ),
];

#[test]
fn executed_programs_end_the_same() {
    assert_alike(ENDS);
}

#[test]
fn executed_programs_have_the_same() {
    assert_alike(STATES);
}
