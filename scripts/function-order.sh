#!/usr/bin/env bash
# Writes function-order.txt, see link-ordered.sh, by what the release's runtime executes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly TARGET=${CARGO_TARGET_DIR:-target}
readonly LIST=scripts/function-order.txt
# Of the program that was linked last.
map=$(find "$TARGET" -path '*/release/deps/amd_container_runtime-*.map' -printf '%T@ %p\n' | sort -n | tail -n 1)
if [ -z "$map" ]; then
    echo "function-order: the linker wrote no map" >&2
    echo "hint: see what \`make programs\` says of the order of functions" >&2
    exit 1
fi
symbols=$(mktemp)
trap 'rm -f "$symbols"' EXIT
"$TARGET/debug/function_order" --runtime "$TARGET/release/amd-container-runtime" --map "${map#* }" >"$symbols"
{
    echo "# Functions that a container needs, in the order of their first execution: make function-order"
    scripts/function-names.sh <"$symbols" | awk '!seen[$0]++'
} >"$LIST.new"
mv "$LIST.new" "$LIST"
echo "function-order: $(($(wc -l <"$LIST") - 1)) functions, in $LIST"
