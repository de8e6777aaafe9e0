#!/usr/bin/env bash
# Builds the programs that are installed, optimised, into `release` of cargo's target folder.
#
#   LINK=musl     linked statically with musl: the default where it can be had
#   LINK=glibc    linked statically with glibc: the default elsewhere
#   LINK=shared   linked with the shared libraries of this system
#
# A create executes the program twice, start and delete once more. The loader of shared libraries takes
# a quarter of that time. glibc's start takes another, statically linked as well: it asks the processor
# for the sizes of its caches by some seventy CPUID instructions, each of which leaves a virtual machine.
#
# Functions that a container needs are beside each other (link-ordered.sh), where Rust's own linker is
# there, which can do that, and binutils, which know the names of functions.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly PROGRAMS=(amd-container-runtime amd-ctk)
readonly TARGET=${CARGO_TARGET_DIR:-target}
host=$(rustc -vV | sed -n 's/^host: //p')
readonly host
readonly musl=${host/%-gnu/-musl}
seccomp_dir=$(pkg-config --variable=libdir libseccomp)
readonly seccomp_dir

# Fortified fprintf(3), which glibc has alone. Of libseccomp only the export of a filter as text calls
# it, and nothing here exports one.
readonly ABSENT=__fprintf_chk

# What the system's libseccomp.a, which was compiled for glibc, needs and musl does not have.
needs_glibc() {
    local libc
    libc=$(rustc --target "$musl" --print target-libdir)/self-contained/libc.a
    comm -23 \
        <(nm --undefined-only --format=posix "$seccomp_dir/libseccomp.a" | awk 'NF == 2 { print $1 }' | sort -u) \
        <(nm --defined-only --format=posix "$seccomp_dir/libseccomp.a" "$libc" 2>/dev/null |
            awk 'NF > 2 { print $1 }' | sort -u) |
        grep -v -x -e "$ABSENT" -e _GLOBAL_OFFSET_TABLE_ || true
}

# Why musl cannot be had, in words; nothing where it can.
no_musl() {
    if [ ! -e "$(rustc --target "$musl" --print target-libdir)/self-contained/libc.a" ]; then
        echo "Rust's standard library for it is not installed: rustup target add $musl"
        return
    fi
    local needed
    needed=$(needs_glibc | paste -s -d ' ')
    [ -z "$needed" ] || echo "libseccomp.a of this system needs $needed"
}

# Where rustup has LLVM's linker, for a C compiler's -B.
lld=$(rustc --print sysroot)/lib/rustlib/$host/bin/gcc-ld
readonly lld

# Flags that have functions in order; nothing where that cannot be done.
ordered() {
    local missing=()
    [ -x "$lld/ld.lld" ] || missing+=("$lld/ld.lld")
    [ -n "$(command -v c++filt)" ] || missing+=(c++filt)
    if [ ${#missing[@]} -gt 0 ]; then
        echo "programs: functions are in no order, which costs a create 2 MB and half a millisecond: there is no ${missing[*]}" >&2
        return
    fi
    # Names of functions with their types in them.
    echo "-C symbol-mangling-version=v0 -C linker=$PWD/scripts/link-ordered.sh -C link-arg=-B$lld -C link-arg=-fuse-ld=lld"
}

# Has a program linked anew where the list of functions is newer, of which cargo does not know.
forget_older() {
    local program
    for program in "${PROGRAMS[@]//-/_}"; do
        find "$1" -maxdepth 1 -name "$program-*" -type f -executable ! -newer scripts/function-order.txt -delete 2>/dev/null || true
    done
}

build() {
    local flags=$1 triple=$2
    forget_older "$TARGET/$triple/release/deps"
    RUSTFLAGS="${RUSTFLAGS:-} $flags $(ordered)" cargo build --release --target "$triple" "${PROGRAMS[@]/#/--bin=}"
    install -d "$TARGET/release"
    install -m 755 "${PROGRAMS[@]/#/$TARGET/$triple/release/}" "$TARGET/release"
}

link=${LINK:-}
if [ "$link" != shared ] && [ ! -e "$seccomp_dir/libseccomp.a" ]; then
    echo "programs: there is no $seccomp_dir/libseccomp.a" >&2
    echo "hint: install libseccomp's static library, or link with the shared ones: LINK=shared" >&2
    exit 1
fi
if [ -z "$link" ]; then
    why=$(no_musl)
    link=musl
    if [ -n "$why" ]; then
        echo "programs: not linked with musl, but with glibc: $why" >&2
        link=glibc
    fi
fi
# Cargo links a program statically for a named target alone, since its own plugins need shared libraries.
case $link in
    musl)
        # Alone in its folder: beside it is glibc's libc.a.
        alone=$(realpath -m "$TARGET/$musl/libseccomp")
        install -D -m 644 "$seccomp_dir/libseccomp.a" "$alone/libseccomp.a"
        export LIBSECCOMP_LINK_TYPE=static LIBSECCOMP_LIB_PATH=$alone
        # Relocations in a few pages in place of a hundred, all of which are read at every start.
        relr=-Wl,-z,pack-relative-relocs
        build "-C target-feature=+crt-static -C link-arg=-Wl,--defsym=$ABSENT=abort -C link-arg=$relr" "$musl"
        ;;
    glibc)
        export LIBSECCOMP_LINK_TYPE=static LIBSECCOMP_LIB_PATH=$seccomp_dir
        build "-C target-feature=+crt-static" "$host"
        ;;
    shared) build "" "$host" ;;
    *)
        echo "programs: LINK=$link: it is musl, glibc or shared" >&2
        exit 2
        ;;
esac
