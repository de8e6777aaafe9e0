#!/usr/bin/env bash
# The C compiler as a linker, which puts the functions of function-order.txt first, in that order.
#
# They are those that a container's life needs, a third of the program. The kernel maps sixteen pages
# around each that is needed: where these functions are scattered, that is nearly all of the program.
#
# What is not in the list follows; what is in it and not in the program is passed over. So a list that is
# old costs time and memory, and nothing else; `make function-order` writes it anew.
set -euo pipefail
scripts=$(dirname "${BASH_SOURCE[0]}")
readonly scripts

objects=() output='' previous=''
for arg in "$@"; do
    case $arg in *.rcgu.o) objects+=("$arg") ;; esac
    [ "$previous" != -o ] || output=$arg
    previous=$arg
done
if [ ${#objects[@]} = 0 ]; then
    exec cc "$@"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
nm --defined-only --format=posix "${objects[@]}" | awk '$2 ~ /^[tTwW]$/ { print $1 }' >"$work/symbols"
"$scripts/function-names.sh" <"$work/symbols" | paste "$work/symbols" - >"$work/named"
# Names in the list that no Rust function has are those of C's.
awk -F '\t' '
    NR == FNR { if (!/^#/) place[$0] = FNR; next }
    $2 in place { print place[$2] "\t" $1; found[$2] }
    END { for (name in place) if (!(name in found) && name ~ /^[A-Za-z0-9_]+$/) print place[name] "\t" name }
' "$scripts/function-order.txt" "$work/named" | sort -n -k 1,1 | cut -f 2 >"$work/order"

# The map tells which function is where, of a program without symbols.
cc "$@" -Wl,--symbol-ordering-file="$work/order" -Wl,--no-warn-symbol-ordering \
    -Wl,--no-demangle -Wl,-Map="$output.map"
