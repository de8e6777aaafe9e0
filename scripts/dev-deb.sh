#!/usr/bin/env bash
# Makes the Debian package of programs that are built already, and prints its path: files, scripts and
# metadata are those of `make pkg-deb`, and so is the way it is made. Only the manual is the development
# build's, which is there in no time.
#
#     dev-deb.sh DIR PROFILE      DIR is made anew; PROFILE is debug, or release: what `make programs` built
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=$(readlink -m "${1:?usage: dev-deb.sh DIR PROFILE}")
profile=${2:?usage: dev-deb.sh DIR PROFILE}
target=$(readlink -m "${CARGO_TARGET_DIR:-target}")

# To cargo-deb they are those of a release: it wants no others.
programs=$(mktemp -d)
trap 'rm -rf "$programs"' EXIT
mkdir "$programs/release"
for program in amd-container-runtime amd-ctk; do
    strip -o "$programs/release/$program" "$target/$profile/$program"
done
{
    rm -rf bin/share "$out"
    "$target/debug/manual" share bin/share
    make --no-print-directory bin/crates.txt cargo-deb
    CARGO_TARGET_DIR=$programs cargo deb --package manual --no-build --fast --output "$out/"
} >&2
ls "$out"/*.deb
