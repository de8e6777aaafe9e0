#!/usr/bin/env bash
# Runs all tests of the workspace, and says at the end which were skipped and why.
# With cargo-nextest where it is installed: it ends tests that hang. Arguments are for it, to run
# some of the tests alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ "$(id -u)" -ne 0 ]; then
    echo "make test needs root: the tests start containers, on simulated hosts of their own" >&2
    exit 1
fi

target=${CARGO_TARGET_DIR:-target}
report=$target/nextest/default/junit.xml
log=$target/test.log

# `name: why` for every test that says so in its output, from what either of the
# two runners wrote.
skipped() {
    awk -F '"' '
        /<testcase name=/           { name = $4 " " $2 }
        /^---- .* stdout ----$/     { name = substr($0, 6, length($0) - 17) }
        match($0, /skipped: [^<]*/) { print "  " name ": " substr($0, RSTART + 9, RLENGTH - 9) }
    ' "$1" | sed "s/&apos;/'/g; s/&quot;/\"/g" | sort -u
}

# One line for all the lines in which cargo test closes its many parts.
sum() {
    awk '/^test result: / { passed += $4; failed += $6; ignored += $8 }
        END { printf "Summary %d passed, %d failed, %d ignored\n", passed, failed, ignored }' "$1"
}

# Tests of one package run the programs of others.
cargo build --workspace --bins --examples

status=0
if cargo nextest --version >/dev/null 2>&1; then
    rm -f "$report"
    [ $# -gt 0 ] || cargo test --workspace --doc --quiet
    cargo nextest run --workspace "$@" || status=$?
    output=$report
else
    cargo test --workspace --no-fail-fast -- --show-output 2>&1 | tee "$log" || status=$?
    sum "$log"
    output=$log
fi

if [ -e "$output" ] && [ -n "$(skipped "$output")" ]; then
    echo
    echo "Skipped for what this machine lacks:"
    skipped "$output"
fi
exit "$status"
