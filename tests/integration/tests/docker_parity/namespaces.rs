//! Namespaces: a container's own, the host's, and another container's.

use crate::compare::{Case, assert_alike};

const CASES: &[Case] = &[
    (
        "own-namespaces",
        r#"run --rm --hostname name --domainname domain "$image" sh -c 'hostname; cat /proc/sys/kernel/domainname; echo $HOSTNAME
            ps -o pid,ppid,user,args | grep -v ps; echo $$ $PPID
            ls /sys/class/net; wc -l </proc/net/dev; ifconfig lo | grep -o "UP.*RUNNING"
            for n in mnt uts ipc net pid cgroup user; do echo "$n $(readlink /proc/self/ns/$n)"; done' >"$dir/seen"
        grep -v '\[' "$dir/seen"
        for n in mnt uts ipc net pid cgroup user; do grep -qF "$n $(readlink /proc/1/ns/$n)" "$dir/seen" && echo "$n of the host"; done"#,
    ),
    (
        "namespaces-of-the-host",
        r#"docker run --rm --runtime=$runtime --network=host --pid=host --uts=host --ipc=host "$image" sh -c 'ls /sys/class/net; test $$ != 1 && cat /proc/1/comm; hostname; grep " /dev/shm " /proc/mounts | cut -d" " -f 2,3'"#,
    ),
    (
        "no-shared-memory",
        r#"run --rm --ipc=none "$image" sh -c 'grep -c " /dev/shm " /proc/mounts; ls -d /dev/shm'"#,
    ),
    (
        "namespaces-of-a-container",
        r#"up --ipc=shareable; docker exec "$box" sh -c 'echo shared >/dev/shm/x; readlink /proc/1/ns/net' >"$dir/net"
        docker run --rm --runtime=$runtime --network=container:"$box" --pid=container:"$box" --ipc=container:"$box" "$image" sh -c 'cat /dev/shm/x; tr "\0" " " </proc/1/cmdline; echo; readlink /proc/self/ns/net' >"$dir/seen"
        grep -v '\[' "$dir/seen"; grep -qFf "$dir/net" "$dir/seen" && echo same network"#,
    ),
    (
        "cgroups",
        "try sh -c 'sort -t: -k 2 /proc/self/cgroup | cut -d: -f 2-'",
    ),
    (
        "cgroup-namespace",
        r#"run --rm --cgroupns=private "$image" sh -c 'sort -t: -k 2 /proc/self/cgroup | cut -d: -f 2-'"#,
    ),
    (
        "cgroup-mounts",
        r#"try sh -c 'ls /sys/fs/cgroup; grep cgroup /proc/mounts | cut -d" " -f 1-4 | sort'"#,
    ),
    (
        "cgroups-cannot-be-written",
        "try sh -c 'mkdir /sys/fs/cgroup/devices/x; echo 1 >/sys/fs/cgroup/pids/pids.max; mkdir /sys/fs/cgroup/x'",
    ),
    (
        "init-of-docker",
        r#"run --rm --init "$image" sh -c 'cat /proc/1/comm; tr "\0" " " </proc/1/cmdline; cut -d" " -f 4 /proc/$$/stat'"#,
    ),
];

#[test]
fn namespaces_are_the_same() {
    assert_alike(CASES);
}
