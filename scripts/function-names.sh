#!/usr/bin/env bash
# Symbols, a line each, as the names of functions: without the hashes of crates, which differ between
# compilers.
set -euo pipefail
c++filt | sed -E -e 's/\[[0-9a-f]{8,}\]//g' -e 's/::h[0-9a-f]{16}$//'
