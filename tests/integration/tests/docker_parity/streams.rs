//! Standard streams and terminals.

use crate::compare::{Case, assert_alike};

const CASES: &[Case] = &[
    (
        "output-and-errors",
        "try sh -c 'echo out; echo err >&2; exit 3'",
    ),
    ("input", r#"seq 2000 | run --rm -i "$image" md5sum"#),
    (
        "no-terminal",
        r#"try sh -c 'cat; tty; ls /proc/self/fd | wc -l
            echo out >/dev/stdout; echo err >/dev/stderr
            readlink /dev/fd /dev/stdin /dev/stdout /dev/stderr
            cut -d" " -f 5- /proc/self/stat | cut -d" " -f 1-4'"#,
    ),
    (
        "streams-by-name-of-a-user",
        r#"run --rm -u 1000 "$image" sh -c 'echo out >/dev/stdout; echo err >/dev/stderr'"#,
    ),
    (
        "terminal",
        r#"run --rm -t "$image" sh -c 'tty; stty -a
            stat -c "%a %u:%g %n" $(tty) /dev/console /dev/ptmx /dev/pts/ptmx /dev/tty
            echo by console >/dev/console; grep -c /dev/console /proc/mounts
            echo $TERM; ls /proc/self/fd | wc -l; cut -d" " -f 5- /proc/self/stat | cut -d" " -f 1-4'"#,
    ),
    (
        "terminal-of-a-user",
        r#"run --rm -t -u 1000:1000 "$image" sh -c 'stat -c "%a %u:%g %n" $(tty) /dev/console; echo x >/dev/tty'"#,
    ),
    (
        "size-of-a-terminal",
        r#"script -qefc "stty rows 41 cols 101; docker run --rm -it --runtime=$runtime --network=none $image sh -c 'until stty size 2>/dev/null | grep 41; do sleep 0.1; done'" /dev/null </dev/null | tr -d '\0'"#,
    ),
    (
        "logs",
        r#"run -d --name "$box" "$image" sh -c 'echo out; echo err >&2' >/dev/null; stopped; docker logs "$box""#,
    ),
    (
        "attach",
        r#"run -d -i --name "$box" "$image" sh -c 'read line; echo "got $line"; exit 3' >/dev/null
        echo word | docker attach "$box" >/dev/null; stopped; state; docker logs "$box""#,
    ),
    (
        "start-attached",
        r#"docker create --runtime="$runtime" --network=none --name "$box" "$image" sh -c 'echo hello; exit 4' >/dev/null
        code docker start -a "$box"; state"#,
    ),
];

#[test]
fn streams_and_terminals_are_the_same() {
    assert_alike(CASES);
}
