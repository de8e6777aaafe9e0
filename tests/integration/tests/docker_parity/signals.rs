//! Stop, kill, pause and what becomes of a container.

use crate::compare::{Case, assert_alike};

/// Starts container $box, which tells of the signals that it gets and ends by none of them.
macro_rules! hears {
    () => {
        r#"run -d --name "$box" "$image" sh -c 'for s in HUP INT QUIT USR2 TERM WINCH; do trap "echo got $s" $s; done; sleep 1000 & echo ready; while :; do wait; done' >/dev/null; hear ready
"#
    };
}

const CASES: &[Case] = &[
    (
        "signals",
        concat!(
            hears!(),
            r#"for s in HUP INT QUIT 12 TERM WINCH; do docker kill --signal $s "$box" >/dev/null; hear "got $(echo $s | sed s/12/USR2/)"; done; state"#
        ),
    ),
    (
        "signals-that-are-not",
        r#"up; code docker kill --signal NOSUCH "$box"; code docker kill --signal 99 "$box"; state"#,
    ),
    (
        "kill",
        r#"up; docker exec -d "$box" sleep 1000; docker kill "$box" >/dev/null; stopped; state
        inspect '{{.State.Pid}} {{.State.OOMKilled}} {{.State.Dead}} {{.State.Error}}'
        code docker kill "$box"; code docker stop "$box" >/dev/null"#,
    ),
    (
        "kill-of-paused",
        r#"up; docker pause "$box" >/dev/null; docker kill "$box" >/dev/null; stopped; state"#,
    ),
    (
        "term-to-paused",
        r#"up; docker pause "$box" >/dev/null; docker kill --signal TERM "$box" >/dev/null; stopped; state"#,
    ),
    ("stop", r#"up; docker stop -t 30 "$box" >/dev/null; state"#),
    (
        "stop-by-force",
        concat!(
            hears!(),
            r#"docker stop -t 1 "$box" >/dev/null; state; docker logs "$box" | tail -1"#
        ),
    ),
    (
        "stop-of-paused",
        r#"up; docker pause "$box" >/dev/null; docker stop -t 30 "$box" >/dev/null; state"#,
    ),
    (
        "stop-by-another-signal",
        r#"run -d --name "$box" --stop-signal USR1 "$image" sh -c "trap 'exit 7' USR1; echo ready; sleep 1000 & wait" >/dev/null; hear ready
        docker stop -t 30 "$box" >/dev/null; state"#,
    ),
    (
        "pause",
        r#"up; docker pause "$box" >/dev/null; state; code docker pause "$box"; inspect '{{.State.Paused}}'
        docker unpause "$box" >/dev/null; state; code docker unpause "$box"; docker exec "$box" echo goes on"#,
    ),
    (
        "restart",
        r#"up; docker exec "$box" touch /tmp/kept; docker restart -t 30 "$box" >/dev/null; docker exec "$box" ls /tmp; state
        docker pause "$box" >/dev/null; docker restart -t 30 "$box" >/dev/null; state"#,
    ),
    (
        "start-again",
        r#"run --name "$box" "$image" sh -c 'echo run; exit 3'; docker start -a "$box"; state; docker logs "$box""#,
    ),
    (
        "restart-policy",
        r#"run -d --name "$box" --restart on-failure:2 "$image" sh -c 'exit 3' >/dev/null; await is '{{.RestartCount}} {{.State.Status}}' '2 exited'; state"#,
    ),
    (
        "remove-running",
        r#"up; code docker rm "$box"; docker pause "$box" >/dev/null; code docker rm -f "$box"; docker ps -aq --filter name="$box" | wc -l"#,
    ),
    (
        "cgroups-below-the-containers",
        r#"up; id=$(inspect '{{.Id}}'); below() { for h in /sys/fs/cgroup/*/; do [ -d "$h$cgroup/$id" ] && mkdir -p "$h$cgroup/$id/below/deeper"; done; }
        below; docker stop -t 30 "$box" >/dev/null; state; docker start "$box" >/dev/null; state
        below; code docker rm -f "$box"; ls -d /sys/fs/cgroup/*/"$cgroup/$id" 2>/dev/null | wc -l"#,
    ),
];

#[test]
fn containers_end_and_go_on_the_same() {
    assert_alike(CASES);
}
