//! Limits of resources, at the start and by `docker update`.

use crate::compare::{Case, assert_alike};

/// Prints the limits of the container's cgroup, as it sees them.
macro_rules! limits {
    () => {
        "cd /sys/fs/cgroup; grep -s . memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes memory/memory.soft_limit_in_bytes memory/memory.swappiness memory/memory.oom_control cpu/cpu.shares cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpuset/cpuset.cpus cpuset/cpuset.mems pids/pids.max blkio/blkio.weight blkio/blkio.bfq.weight"
    };
}

const CASES: &[Case] = &[
    ("no-limits", concat!("try sh -c '", limits!(), "'")),
    (
        "many-limits",
        concat!(
            "run --rm --memory 64m --memory-swap 64m --memory-reservation 32m --memory-swappiness 33 --cpu-shares 77 --cpus 0.5 --cpuset-cpus 0 --cpuset-mems 0 --pids-limit 99 \"$image\" sh -c '",
            limits!(),
            "'"
        ),
    ),
    (
        "memory-quota-and-period",
        concat!(
            "run --rm --memory 64m --cpu-quota 30000 --cpu-period 60000 \"$image\" sh -c '",
            limits!(),
            "'"
        ),
    ),
    (
        "no-oom-killer",
        "run --rm --memory 64m --oom-kill-disable \"$image\" head -1 /sys/fs/cgroup/memory/memory.oom_control",
    ),
    (
        "io-weight",
        "run --rm --blkio-weight 300 \"$image\" sh -c 'cat /sys/fs/cgroup/blkio/blkio*.weight'",
    ),
    (
        "too-many-processes",
        "run --rm --pids-limit 5 \"$image\" sh -c '(for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done) 2>&1; echo end'",
    ),
    (
        "out-of-memory",
        r#"up --memory 32m --memory-swap 32m; code docker exec "$box" tail /dev/zero; state
        docker exec "$box" tail -1 /sys/fs/cgroup/memory/memory.oom_control"#,
    ),
    (
        "out-of-memory-from-the-start",
        r#"run --rm --memory 32m --memory-swap 32m "$image" tail /dev/zero"#,
    ),
    (
        "update",
        concat!(
            r#"up --memory 64m --memory-swap 64m
        docker update --memory 96m --memory-swap 128m --cpu-shares 55 --cpu-quota 40000 --cpu-period 80000 --cpuset-cpus 0 --pids-limit 44 "$box" >/dev/null
        docker exec "$box" sh -c '"#,
            limits!(),
            r#"'; inspect '{{.HostConfig.Memory}} {{.HostConfig.CpuShares}}'
        docker update --memory-swap -1 --pids-limit -1 "$box" >/dev/null; docker exec "$box" sh -c '"#,
            limits!(),
            "'"
        ),
    ),
    (
        "update-to-cpus-that-are-not",
        r#"up; docker update --cpuset-cpus 4000 "$box" 2>&1 | grep -o 'Requested CPUs.*'"#,
    ),
    (
        "update-of-paused-and-stopped",
        r#"up; docker pause "$box" >/dev/null; docker update --cpu-shares 66 "$box" >/dev/null; state; docker unpause "$box" >/dev/null
        docker exec "$box" cat /sys/fs/cgroup/cpu/cpu.shares
        docker stop -t 30 "$box" >/dev/null; docker update --cpu-shares 77 "$box" >/dev/null; docker start "$box" >/dev/null
        docker exec "$box" cat /sys/fs/cgroup/cpu/cpu.shares"#,
    ),
    (
        "statistics",
        r#"up --memory 64m; docker stats --no-stream --format '{{.PIDs}} {{.MemUsage}} {{.NetIO}}' "$box" | sed 's/^[1-9][0-9]* [0-9.]*[kMK]*i*B/P M/'"#,
    ),
    (
        "health",
        r#"run -d --name "$box" --health-cmd 'test -e /tmp/good' --health-interval 1s --health-retries 1 "$image" sleep 1000 >/dev/null
        await is '{{.State.Health.Status}}' unhealthy; docker exec "$box" touch /tmp/good; await is '{{.State.Health.Status}}' healthy"#,
    ),
];

#[test]
fn limits_are_the_same() {
    assert_alike(CASES);
}
