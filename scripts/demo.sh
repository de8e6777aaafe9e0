#!/usr/bin/env bash
# Shows GPU containers at work, standalone and through docker: on this machine's AMD GPUs,
# or on a simulated host with eight MI300X where there are none. Every step is checked, and
# one that does not show what it should fails the demo. Nothing of it stays: mounts, files
# in /run and processes are in namespaces that end with it.
#
# Run it by `make demo`, which installs and builds what it needs.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=$(realpath "${CARGO_TARGET_DIR:-$repo/target}")/debug
export PATH=$bin:$PATH

if [ "${1:-}" != --here ]; then
    [ "$(id -u)" -eq 0 ] || { echo "make demo needs root: it starts containers" >&2; exit 1; }
    demo=$repo/scripts/demo.sh
    if grep -qs '^simd_count [1-9]' /sys/class/kfd/kfd/topology/nodes/*/properties; then
        echo "This machine has AMD GPUs: the demo runs on them."
        export DEMO_CGROUP=/amd-demo-$$
        exec unshare --mount --pid --fork --kill-child --mount-proc "$demo" --here
    fi
    cat <<'TEXT'
This machine has no AMD GPU: the demo runs on a simulated host with eight MI300X.
Its device nodes have no driver behind them. Opening one says
  'No such device or address' where the container may, and
  'Operation not permitted' where the container may not.
TEXT
    exec simulated-host --preset mi300x-8 -- "$demo" --here
fi

# --- on the host of the demo -------------------------------------------------------------

# The parent of docker's cgroups. A simulated host removes its own.
cgroup=${DEMO_CGROUP:-$SIMULATED_HOST_CGROUP}
if [ -n "${DEMO_CGROUP:-}" ]; then
    # A docker that runs on this machine has its sockets there: this one does not meet it.
    mount -t tmpfs -o mode=755 tmpfs /run
fi
mkdir /run/demo
cd /run/demo
dockerd=

clean_up() {
    docker rm --force training >/dev/null 2>&1 || true
    amd-container-runtime delete --force training >/dev/null 2>&1 || true
    if [ -n "$dockerd" ]; then
        kill "$dockerd" 2>/dev/null || true
        wait "$dockerd" || true
    fi
    if [ -n "${DEMO_CGROUP:-}" ]; then
        find /sys/fs/cgroup{,/*}"$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || true
    fi
}
trap clean_up EXIT
trap 'exit 130' INT TERM

steps=0
failures=0
output=
code=0

title() { printf '\n== %s\n' "$1"; }

# Shows a command line, runs it, and keeps what it printed and its exit code.
run() {
    printf '\n$ %s\n' "$1"
    code=0
    output=$(eval "$1" 2>&1) || code=$?
    [ -z "$output" ] || printf '%s\n' "$output"
}

# check WHAT CONDITION...: says whether the last command showed what it should.
check() {
    local what=$1
    shift
    steps=$((steps + 1))
    if "$@"; then
        printf -- '-> %s\n' "$what"
    else
        failures=$((failures + 1))
        printf -- '-> FAILED: %s (exit code %s)\n' "$what" "$code"
    fi
}

succeeds() { [ "$code" -eq 0 ]; }
says() { [[ $output == *"$1"* ]]; }
refused() { [ "$code" -ne 0 ] && says "Operation not permitted"; }

# Mode, owner, numbers and path of the device nodes in the output of ls.
nodes() { grep '^c' <<<"$1" | awk '{ print $1, $3, $4, $5, $6, $NF }' | sort; }
has_the_hosts_nodes() { succeeds && [ "$(nodes "$output")" = "$host_nodes" ]; }

# `PATH opens`, or `PATH: why not`, for each node in what a shell said of opening them.
accesses() { sed -E "s/^.*(can't open |line [0-9]+: )//" <<<"$1" | sort; }
opens_as_on_the_host() { [ "$(accesses "$output")" = "$host_accesses" ]; }

# --- what there is -----------------------------------------------------------------------

title "The GPUs of this host"
run "amd-ctk gpu list"
inventory=$(amd-ctk gpu list --format json)
count=$(jq '.gpus | length' <<<"$inventory")
check "$count GPUs are listed" test "$count" -gt 0

# Two GPUs of three or more, or one; and one that is not granted, or a number of none.
granted=0,1
[ "$count" -gt 2 ] || granted=0
mapfile -t granted_nodes < <(
    echo /dev/kfd
    jq -r --argjson granted "[$granted]" '.gpus[$granted[]].nodes[].path' <<<"$inventory"
)
render_node() { jq -r ".gpus[$1].nodes[-1].path" <<<"$inventory"; }
if [ "$count" -gt 1 ]; then
    foreign=$((16#$(stat -c %T "$(render_node $((count > 2 ? 2 : 1)))")))
else
    foreign=$((16#$(stat -c %T "$(render_node 0)") + 1))
fi
host_nodes=$(nodes "$(ls -ln "${granted_nodes[@]}")")

list='ls -ln /dev/kfd /dev/dri/*'
open='for node in /dev/kfd /dev/dri/*; do true <$node && echo $node opens; done'
forge="mknod /dev/other c 226 $foreign && true </dev/other"
host_accesses=$(accesses "$(
    for node in "${granted_nodes[@]}"; do
        (true <"$node") 2>&1 && echo "$node opens"
    done
)")
ask=AMD_VISIBLE_DEVICES=$granted

# --- standalone --------------------------------------------------------------------------

title "A bundle of busybox"
run "mkdir -p bundle/rootfs/bin bundle/rootfs/tmp && cp $(command -v busybox) bundle/rootfs/bin/busybox"
run 'for name in $(busybox --list | grep -vx busybox); do ln -s busybox bundle/rootfs/bin/$name; done'
check "busybox is a static program" chroot bundle/rootfs /bin/true
run "amd-container-runtime spec --bundle bundle"
run "jq '.process.terminal = false | .root.readonly = false
    | .process.env += [\"$ask\"]
    | .process.capabilities[] += [\"CAP_MKNOD\"]' bundle/config.json >config.json"
run "mv config.json bundle/config.json"
check "config.json asks for GPUs $granted" grep -q "\"$ask\"" bundle/config.json

title "A container with GPUs $granted, by command line"
start='amd-container-runtime run --bundle bundle training'
run "echo '$list' | $start"
check "it has /dev/kfd and the nodes of GPUs $granted, as they are on the host" has_the_hosts_nodes
run "echo '$open' | $start"
check "it may open them" opens_as_on_the_host
run "echo '$forge' | $start"
check "it may not open another GPU, by a node of its own either" refused

title "The same, step by step"
run "jq '.process.args = [\"sleep\", \"1000\"]' bundle/config.json >config.json && mv config.json bundle/"
run "amd-container-runtime create --bundle bundle training >training.log 2>&1"
run "amd-container-runtime start training"
run "amd-container-runtime state training | jq -c '[.status, .annotations]'"
check "it runs, and its state names its GPUs" says running
run "amd-container-runtime exec training sh -c '$open'"
check "a process that is executed in it may open its GPUs" opens_as_on_the_host
run "amd-container-runtime delete --force training && amd-container-runtime list --quiet"
check "it is gone" test -z "$output"

# --- docker ------------------------------------------------------------------------------

title "The same through docker"
export DOCKER_HOST=unix:///run/demo/docker.sock
jq -n --arg runtime "$bin/amd-container-runtime" --arg cgroup "$cgroup" '{
    "runtimes": {"amd": {"path": $runtime}},
    "hosts": ["unix:///run/demo/docker.sock"], "pidfile": "/run/demo/docker.pid",
    "data-root": "/run/demo/data", "exec-root": "/run/demo/exec",
    "bridge": "none", "iptables": false, "ip6tables": false, "ip-masq": false,
    "storage-driver": "overlay2", "cgroup-parent": $cgroup,
    "exec-opts": ["native.cgroupdriver=cgroupfs"]
}' >daemon.json
run "jq '{runtimes}' daemon.json"
printf '\n$ dockerd --config-file daemon.json &\n'
dockerd --config-file daemon.json >dockerd.log 2>&1 &
dockerd=$!
for _ in $(seq 300); do
    docker version >/dev/null 2>&1 && break
    kill -0 "$dockerd" 2>/dev/null || break
    sleep 0.1
done
run "docker version --format 'docker {{.Client.Version}}, dockerd {{.Server.Version}}'"
check "dockerd answers" succeeds
[ "$code" -eq 0 ] || tail -n 20 dockerd.log
run "tar -C bundle/rootfs -c . | docker import - busybox"

docker="docker run --rm --runtime=amd"
run "$docker -e $ask busybox sh -c '$list'"
check "it has /dev/kfd and the nodes of GPUs $granted, as they are on the host" has_the_hosts_nodes
run "$docker -e $ask busybox sh -c '$open'"
check "it may open them" opens_as_on_the_host
run "$docker -e $ask busybox sh -c '$forge'"
check "it may not open another GPU, by a node of its own either" refused
run "$docker busybox ls /dev/kfd /dev/dri"
check "a container that asks for no GPU has none" says "No such file or directory"
run "$docker -e AMD_VISIBLE_DEVICES=99 busybox true"
check "a GPU that is not here is an error, which says what is here" says '"99" names no GPU'

title "A user who is not root"
run "$docker -e $ask --user 1000 busybox sh -c 'id; $open'"
output=$(grep -v ^uid= <<<"$output")
check "it is in the groups of the nodes, and may open them" opens_as_on_the_host

title "docker update"
run "docker run --detach --name training --runtime=amd -e $ask busybox sleep 1000"
run "docker update --memory 256m --memory-swap 256m training"
check "the limit is set" succeeds
run "docker exec training sh -c '$open'"
check "it may still open its GPUs" opens_as_on_the_host
run "docker exec training sh -c '$forge'"
check "and still no other" refused
run "docker rm --force training"

echo
if [ "$failures" -gt 0 ]; then
    echo "demo: $failures of $steps checks FAILED"
    exit 1
fi
echo "demo: all $steps checks passed: containers had GPUs $granted of $count, and no other"
