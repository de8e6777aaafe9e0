#!/usr/bin/env bash
# Runs the fuzz targets, all or those that are named, each for SECONDS_EACH seconds (60). With a
# stable compiler: libFuzzer's instrumentation is asked of LLVM by hand.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../fuzz"

seconds=${SECONDS_EACH:-60}
targets=("$@")
[ "${#targets[@]}" -gt 0 ] || targets=(selection kfd_properties cdi spec unit_properties)

instrumented="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Ccodegen-units=1 --cfg fuzzing"
# Only where there is a target triple do the flags leave build scripts alone.
triple=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_TARGET_DIR=${FUZZ_TARGET_DIR:-$PWD/target} RUSTFLAGS=$instrumented

for target in "${targets[@]}"; do
    case $target in
        cdi | spec) features=$target ;;
        unit_properties) features=spec ;;
        *) features= ;;
    esac
    cargo build --release --quiet --target "$triple" --bin "$target" \
        --no-default-features --features "$features"
done
for target in "${targets[@]}"; do
    mkdir -p "corpus/$target" "artifacts/$target"
    echo "=== $target, $seconds s"
    "$CARGO_TARGET_DIR/$triple/release/$target" -max_total_time="$seconds" -rss_limit_mb=2048 \
        -artifact_prefix="artifacts/$target/" -print_final_stats=1 \
        "corpus/$target" "seeds/$target" 2>&1 | grep -v '^#' | tail -n 12
done
