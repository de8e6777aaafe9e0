#!/usr/bin/env bash
# Runs runc's own integration tests with this project's runtime, or another:
#
#     [RUNTIME=PROGRAM] [LIMIT=SECONDS] scripts/bats.sh RUNC_SOURCE [FILE...]
#
# RUNC_SOURCE is a checkout of opencontainers/runc with its test programs built (`make
# test-binaries`) and its images in tests/integration/testdata. FILE is a name such as
# `mounts`; without one all run. Needs root, and bats, tini, script, jq, gawk and sshfs.
#
# The tests run in mount, PID and network namespaces of their own, with what they expect of
# a machine: a terminal, a standard input that does not end, somebody who reaps orphans.
# Their cgroups are the host's, by fixed names: one run at a time.
set -euo pipefail

inside() {
    local source=$1 file
    mount -t tmpfs -o mode=1777 none /tmp
    mkdir -p /run/netns
    mount -t tmpfs none /run/netns
    ip link set lo up
    stand_ins /tmp/bin
    export PATH=/tmp/bin:$PATH
    # Of a terminal's or an engine's, these change what the tests see.
    unset XDG_RUNTIME_DIR DBUS_SESSION_BUS_ADDRESS NOTIFY_SOCKET LISTEN_FDS BATS_TEST_TIMEOUT
    mkfifo /tmp/stdin
    exec 7<>/tmp/stdin
    cd "$source/tests/integration"
    for file in "${@:2}"; do
        echo "# $file"
        script -qefc "timeout --foreground -k 10 $LIMIT bats --tap '$file.bats'" /dev/null <&7 |
            tr -d '\r' || echo "# $file: not all tests passed"
    done
}

# Programs that a kernel without dummy network devices, or a machine without udev or Go,
# needs something else for.
stand_ins() {
    mkdir "$1"
    cat >"$1/ip" <<'END'
#!/bin/bash
real=$(PATH=/usr/sbin:/sbin:/usr/bin:/bin command -v ip)
if [ "$1 $2" = "link add" ] && [ "${*: -2}" = "type dummy" ]; then
    "$real" link del "$3-p" 2>/dev/null
    exec "$real" "${@:1:$#-2}" type veth peer name "$3-p"
fi
exec "$real" "$@"
END
    printf '#!/bin/sh\nexit 0\n' >"$1/udevadm"
    printf '#!/bin/sh\necho amd64\n' >"$1/go"
    chmod +x "$1"/*
}

export LIMIT=${LIMIT:-300}
if [ "${1:-}" = --inside ]; then
    shift
    inside "$@"
    exit
fi
[ $# -ge 1 ] || { sed -n '2,12s/^# \{0,1\}//p' "$0" && exit 2; }
source=$(realpath "$1")
shift
cd "$(dirname "${BASH_SOURCE[0]}")/.."
RUNC=$(realpath "${RUNTIME:-${CARGO_TARGET_DIR:-target}/debug/amd-container-runtime}")
export RUNC
[ $# -gt 0 ] || set -- $(cd "$source/tests/integration" && ls *.bats | sed 's/\.bats$//')
results=$(mktemp)
trap 'rm -f "$results"' EXIT
unshare --mount --pid --net --fork --kill-child --mount-proc \
    tini -s -- "$PWD/scripts/bats.sh" --inside "$source" "$@" | tee "$results"
awk '/^ok .* # skip/ { skipped++; next } /^ok / { passed++ } /^not ok / { failed++ }
    END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }' "$results"
