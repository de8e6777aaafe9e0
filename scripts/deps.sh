#!/usr/bin/env bash
# Installs what building, testing and the demo need, on Debian 12 and 13 and on Ubuntu
# 22.04 and 24.04. Starts no service, and is done at once where all is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What must be there and the package that brings it: a program, a library by its name in
# pkg-config, or (=) the package itself. Programs are looked for rather than packages,
# since docker may have come from elsewhere. `a|b`: the first that the release has.
readonly NEEDS="
gcc         gcc
make        make
pkg-config  pkg-config
=libc6-dev  libc6-dev
lib:libseccomp libseccomp-dev
=busybox-static busybox-static
dockerd     docker.io
docker      docker-cli|docker.io
containerd  containerd
runc        runc
crun        crun
podman      podman
conmon      conmon
newuidmap   uidmap
setpriv     util-linux
jq          jq
ps          procps
python3     python3
strace      strace
unshare     util-linux
valgrind    valgrind
=ca-certificates ca-certificates
"

have() {
    case $1 in
        =*) [ "$(dpkg-query -W -f '${db:Status-Status}' "${1#=}" 2>/dev/null)" = installed ] ;;
        lib:*) pkg-config --exists "${1#lib:}" 2>/dev/null ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

missing() {
    local need package
    while read -r need package; do
        [ -z "$need" ] || have "$need" || echo "$package"
    done <<<"$NEEDS"
}

# The first of `a|b` that apt can install.
available() {
    local candidate
    for candidate in ${1//|/ }; do
        if [ -n "$(apt-cache policy "$candidate" | sed -n 's/^  Candidate: \([^(].*\)/\1/p')" ]; then
            echo "$candidate"
            return
        fi
    done
    echo "deps: no package called ${1//|/ or }: is this Debian or Ubuntu, with the component universe?" >&2
    return 1
}

# Packages like docker.io start their service when installed, unless this says no.
# One that is there already is the administrator's.
forbid_services() {
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        trap "rm -f $policy" EXIT
        trap 'exit 1' INT TERM HUP
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
    fi
}

install() {
    if [ "$(id -u)" -ne 0 ]; then
        echo "deps: root must install: $*" >&2
        exit 1
    fi
    if ! command -v apt-get >/dev/null; then
        echo "deps: not Debian or Ubuntu; install the equivalent of: $*" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
    apt-get update -q
    local packages=() package found
    for package in "$@"; do
        found=$(available "$package")
        packages+=("$found")
    done
    forbid_services
    apt-get install -q -y --no-install-recommends "${packages[@]}"
}

# The version of cargo; nothing where there is none, or rustup has no toolchain for it.
cargo_version() {
    cargo --version 2>/dev/null | cut -d ' ' -f 2 || true
}

new_enough() {
    local found
    found=$(cargo_version)
    [ -n "$found" ] && printf '%s\n' "$1" "$found" | sort -V -C
}

# Distributions have too old a Rust; newer ones have rustup.
install_rust() {
    local wanted=$1
    if ! command -v rustup >/dev/null && command -v apt-cache >/dev/null &&
        available rustup >/dev/null 2>&1; then
        install rustup
    fi
    if command -v rustup >/dev/null && [ -z "$(cargo_version)" ]; then
        rustup toolchain install stable --profile minimal --component clippy --component rustfmt
        rustup default stable
    fi
    if new_enough "$wanted"; then
        return
    fi
    echo "deps: this needs Rust $wanted or newer, and cargo is ${found_cargo:-not installed}." >&2
    if command -v rustup >/dev/null; then
        echo "Update it, and run this again:  rustup update stable && rustup default stable" >&2
    else
        echo "This release has no package for it. Install it with rustup, and run this again:" >&2
        echo "  apt-get install -y curl" >&2
        echo "  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y" >&2
    fi
    exit 1
}

mapfile -t packages < <(missing)
if [ "${#packages[@]}" -gt 0 ]; then
    install "${packages[@]}"
fi
wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
found_cargo=$(cargo_version)
if ! new_enough "$wanted"; then
    install_rust "$wanted"
fi
# What is installed is linked with musl where that can be had (scripts/programs.sh).
musl=$(rustc -vV | sed -n 's/^host: \(.*\)-gnu$/\1-musl/p')
if [ -n "$musl" ] && command -v rustup >/dev/null && ! rustup target list --installed | grep -q -x "$musl"; then
    rustup target add "$musl" || echo "deps: without Rust's standard library for $musl: a release is linked with glibc" >&2
fi
echo "deps: all there, with cargo $(cargo_version)"
