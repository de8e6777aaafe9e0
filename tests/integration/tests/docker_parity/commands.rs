//! What other docker commands tell of a container and do with it.

use crate::compare::{Case, assert_alike};

const CASES: &[Case] = &[
    (
        "top",
        r#"run -d --name "$box" "$image" sleep 1000 >/dev/null; docker top "$box" -eo args; docker kill "$box" >/dev/null; stopped; docker top "$box""#,
    ),
    (
        "copy",
        r#"up -v "$dir:/v"; echo in >"$dir/f"; docker cp "$dir/f" "$box:/tmp/g"; docker exec "$box" sh -c 'cat /tmp/g; echo out >/tmp/h'
        docker cp "$box:/tmp/h" "$dir/h"; cat "$dir/h"; docker cp "$dir/f" "$box:/v/g"; cat "$dir/g"; code docker cp "$box:/no/such" "$dir/x""#,
    ),
    (
        "copy-of-stopped",
        r#"run --name "$box" "$image" sh -c 'echo out >/h'; docker cp "$box:/h" "$dir/h"; cat "$dir/h"; echo in >"$dir/f"; docker cp "$dir/f" "$box:/h"; docker cp "$box:/h" - | tar -xO
        docker export "$box" | tar -t | grep -v '^bin/' | sort"#,
    ),
    (
        "inspect",
        r#"up; docker pause "$box" >/dev/null; docker ps --filter name="$box" --format '{{.Names}} {{.State}} {{.Image}}'; docker unpause "$box" >/dev/null
        inspect '{{.State.Status}} {{.State.Running}} {{.State.Paused}} {{.State.Restarting}} {{.State.OOMKilled}} {{.State.Dead}} {{.State.ExitCode}} {{.State.Error}} {{.Path}} {{.Driver}} {{.Platform}} {{.MountLabel}} {{.ProcessLabel}} {{.AppArmorProfile}} {{gt .State.Pid 1}}'"#,
    ),
    (
        "events",
        r#"run --name "$box" "$image" sh -c 'exit 3'; docker rm "$box" >/dev/null
        docker events --since 0 --until "$(($(date +%s) + 1))" --filter container="$box" --format '{{.Action}} {{.Actor.Attributes.exitCode}}'"#,
    ),
    (
        "many-at-once",
        r#"for i in 1 2 3; do run --rm "$image" sh -c "echo $i" & done | sort; wait"#,
    ),
    (
        "environment",
        r#"run --rm -e A=1 -e B= -e 'C=a b' -e A=2 --label D=e --hostname h "$image" env | sort"#,
    ),
    (
        "environment-of-an-image",
        r#"docker create --name "$box" "$image" true >/dev/null
        docker commit --change 'ENV X=image Y=image' --change 'WORKDIR /w' --change 'USER user' --change 'ENTRYPOINT ["/bin/echo", "entry"]' --change 'CMD ["cmd"]' "$box" "$box" >/dev/null
        run --rm "$box"; run --rm --entrypoint /bin/sh -e X=run "$box" -c 'echo $X $Y; pwd; id'; docker rmi "$box" >/dev/null"#,
    ),
    (
        "arguments",
        r#"try printf '<%s>' '' ' a b ' '*' '"' "'" 'ü' '$x' '\'"#,
    ),
    (
        "long-arguments",
        r#"try sh -c 'echo $# ${#1}' sh "$(head -c 100000 /dev/zero | tr '\0' x)" $(seq 2000)"#,
    ),
];

#[test]
fn commands_tell_and_do_the_same() {
    assert_alike(CASES);
}
