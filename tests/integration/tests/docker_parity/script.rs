//! The shell in which cases are written.

use std::process::Command;

use integration::docker::{Docker, IMAGE};
use integration::host::SimulatedHost;
use integration::outcome::Outcome;

/// The runtimes that are compared, by the names under which dockerd knows them.
pub const RUNTIMES: [&str; 2] = ["runc", "amd"];

/// What every script begins with. `$box` is the name of its container, `$dir` a directory of
/// its own on the host.
const PRELUDE: &str = r#"
set -u
# A container, without a network.
run() { docker run --runtime="$runtime" --network=none "$@"; }
# The same, removed when it ends: what most cases are.
try() { run --rm "$image" "$@"; }
# Container $box, which sleeps until a signal ends it; options in front.
up() {
    run -d --name "$box" "$@" "$image" sh -c "trap 'exit 0' TERM; echo ready; sleep 1000 & wait" >/dev/null &&
        hear ready
}
# Until the container has written this line: by one client that follows, since asking again and
# again costs more than all else.
hear() {
    rm -f "$dir/log" && mkfifo "$dir/log"
    timeout 60 docker logs -f "$box" >"$dir/log" 2>/dev/null &
    while read -r line; do [ "$line" = "$1" ] && break; done <"$dir/log"
    kill $! 2>/dev/null
    [ "$line" = "$1" ] || { echo "never heard: $1" >&2; exit 99; }
}
inspect() { docker inspect --format "$1" "$box"; }
state() { inspect '{{.State.Status}} {{.State.ExitCode}}'; }
is() { [ "$(inspect "$1")" = "$2" ]; }
# Until a command succeeds, for a minute.
await() {
    tries=0
    until "$@" 2>/dev/null; do
        tries=$((tries + 1))
        [ $tries -lt 300 ] || { echo "never: $*" >&2; exit 99; }
        sleep 0.2
    done
}
stopped() { docker wait "$box" >/dev/null; }
# Mounts as the container sees them: root, place, options, kind, source.
readonly mounts='cut -d" " -f 4- /proc/self/mountinfo | sed "s/lowerdir.*//; s/:[0-9][0-9]*//"'
# A command's exit code, as output.
code() { "$@"; echo "code $?"; }
"#;

/// Runs `script` with a runtime, and removes what it leaves.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
pub fn run(
    host: &SimulatedHost,
    docker: &Docker<'_>,
    runtime: &str,
    name: &str,
    script: &str,
) -> Outcome {
    let container = format!("{name}-{runtime}");
    let dir = format!("/run/parity/{container}");
    let client = docker.command(&[]);
    let mut shell = Command::new("sh");
    for (key, value) in client.get_envs() {
        shell.env(key, value.unwrap_or_default());
    }
    shell
        .args(["-c", &format!("mkdir -p \"$dir\"\n{PRELUDE}{script}")])
        .env("runtime", runtime)
        .env("image", IMAGE)
        .env("box", &container)
        .env("dir", &dir)
        .env("cgroup", host.cgroup())
        .stdin(std::process::Stdio::null());
    let outcome = Outcome::of(host, &mut shell).unwrap();
    if script.contains("$box") || script.contains("up") {
        // There is none where the script removed it.
        let _ = docker.call(&["rm", "--force", "--volumes", &container]);
    }
    outcome
}
