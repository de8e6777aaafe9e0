#!/usr/bin/env bash
# Installs and removes the packages in bin/, as an administrator would, in an overlay of
# this system in a mount namespace: it sees this system's programs and packages, and what it
# changes goes when it ends. Needs root, dpkg, apt-get and rpm.
#
# Run it by `make pkg-test`, after `make pkg-deb pkg-rpm`; or with the packages to test.
set -euo pipefail

name=amd-container-toolkit-rs
service=amd-cdi-refresh.service
wants=/etc/systemd/system/multi-user.target.wants/$service
failures=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# check WHAT COMMAND...: says whether the command succeeds; of a function, each of its lines.
check() {
    local what=$1 code=0
    shift
    set +e
    (
        set -e
        "$@"
    ) >"$log" 2>&1
    code=$?
    set -e
    if [ "$code" -eq 0 ]; then
        echo "ok: $what"
    else
        failures=$((failures + 1))
        echo "FAILED: $what"
        sed 's/^/    /' "$log"
    fi
}

# --- in the overlay ------------------------------------------------------------------------

# What is there, without what package managers keep for themselves and caches.
listing() {
    find /etc /opt /srv /usr /var -xdev \( -path /var/lib/dpkg -o -path /var/lib/apt \
        -o -path /var/lib/rpm -o -path /var/log -o -path /var/cache \) -prune \
        -o \( -type f -printf 'f %m %u:%g %p %s %T@\n' -o -type l -printf 'l %p %l\n' \
        -o -type d -printf 'd %m %u:%g %p\n' \) | sort
}

same_files() { diff "$1" <(listing); }

only_below_usr() {
    local changes
    changes=$(diff "$1" <(listing) | grep '^[<>]' | grep -v ' /usr/' || true)
    echo "$changes"
    [ -z "$changes" ]
}

# Files that nobody's package manager may touch.
administrators_files() {
    mkdir -p /etc/amd-container-runtime /etc/cdi /etc/docker /usr/local/bin
    echo '[log]' >/etc/amd-container-runtime/config.toml
    echo '{}' >/etc/cdi/other.json
    echo '{"runtimes":{"amd":{"path":"/usr/bin/amd-container-runtime"}}}' >/etc/docker/daemon.json
    echo 'mine' >/usr/local/bin/amd-ctk-wrapper
}

works() {
    amd-ctk version
    amd-container-runtime --version
    # No GPU and no driver is nothing that these need.
    amd-ctk gpu list
    amd-container-runtime features | grep -q ociVersion
}

is_documented() {
    local page
    for page in amd-ctk.1 amd-ctk-cdi-generate.1 amd-container-runtime.8; do
        ls "/usr/share/man/man${page##*.}/$page"* || return 1
    done
    ls /usr/share/doc/$name/README.md /usr/share/doc/$name/docs/docker.md
}

completes() {
    (
        # shellcheck disable=SC1091
        . /usr/share/bash-completion/completions/amd-ctk
        . /usr/share/bash-completion/completions/amd-container-runtime
        complete -p amd-ctk amd-container-runtime
    )
    ls /usr/share/zsh/*/_amd-ctk /usr/share/fish/vendor_completions.d/amd-ctk.fish
}

has_units() {
    ls /usr/lib/systemd/system/$service /usr/lib/udev/rules.d/90-amd-cdi-refresh.rules
    grep -qx 'ExecStart=/usr/bin/amd-ctk cdi generate --remove-if-none $OPTIONS' \
        /usr/lib/systemd/system/$service
}

# By the command of the manual; the unit is the packaged one.
enable_unit() {
    amd-ctk system cdi-refresh --files-only
    [ "$(readlink $wants)" = /usr/lib/systemd/system/$service ]
    [ ! -e /etc/systemd/system/$service ]
}

is_what_was_installed() {
    check "the programs run on a machine without a GPU" works
    check "man pages and documents are there" is_documented
    check "shells find the completions" completes
    check "the units are there" has_units
    check "nothing outside of /usr has changed, so nothing is enabled" only_below_usr /tmp/before
}

takes_the_place_of_amds() {
    local root=/tmp/theirs
    mkdir -p $root/DEBIAN $root/usr/bin
    printf '%s\n' 'Package: amd-container-toolkit' 'Version: 1.3.0' 'Architecture: amd64' \
        'Maintainer: none <none@invalid>' 'Description: as AMD has it' >$root/DEBIAN/control
    echo '#!/bin/sh' >$root/usr/bin/amd-ctk
    chmod 755 $root/usr/bin/amd-ctk
    dpkg-deb --build --root-owner-group $root /tmp/theirs.deb
    dpkg -i /tmp/theirs.deb
    apt-get install -y "$1"
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}' amd-container-toolkit 2>/dev/null)" != 'ii ' ]
    amd-ctk version
    # And AMD's does not come back by itself.
    apt-get --simulate dist-upgrade | (! grep -q '^Inst amd-container-toolkit ')
}

test_deb() {
    export DEBIAN_FRONTEND=noninteractive
    local deb=/packages/$1
    check "lists its files" dpkg-deb --contents "$deb"
    check "apt-get installs it" apt-get install -y "$deb"
    is_what_was_installed
    check "amd-ctk enables the packaged unit" enable_unit
    check "apt-get removes it" apt-get remove -y $name
    check "what was there before is there, and nothing else" same_files /tmp/before
    check "apt-get installs it again" apt-get install -y "$deb"
    check "amd-ctk enables the packaged unit" enable_unit
    check "an upgrade keeps the unit enabled" \
        sh -c "apt-get install -y --reinstall $deb && test -L $wants"
    check "apt-get purges it" apt-get purge -y $name
    check "what was there before is there, and nothing else" same_files /tmp/before
    check "it takes the place of amd-container-toolkit" takes_the_place_of_amds "$deb"
}

# The libraries that the package asks for are those of any distribution.
asks_for_libraries_alone() {
    rpm -qp --requires "$1" | sed 's/(.*//; s/ .*//' | sort -u | while read -r need; do
        case $need in
            /bin/sh | rtld | rpmlib) ;;
            *.so*) ldconfig -p | grep -qF "$need" || { echo "no $need"; exit 1; } ;;
            *) echo "$need is no library"; exit 1 ;;
        esac
    done
}

test_rpm() {
    local rpm=/packages/$1 flags=(--nodeps)
    # Folders that systems with rpm have.
    mkdir -p /usr/share/licenses /usr/share/zsh/site-functions
    listing >/tmp/before
    # Debian's rpm wants to be sure.
    if rpm --help | grep -q force-debian; then
        flags+=(--force-debian)
    fi
    check "lists its files" rpm -qlp "$rpm"
    check "asks for nothing but libraries" asks_for_libraries_alone "$rpm"
    check "rpm would install it" rpm -i --test "${flags[@]}" "$rpm"
    check "rpm installs it" rpm -i "${flags[@]}" "$rpm"
    is_what_was_installed
    check "amd-ctk enables the packaged unit" enable_unit
    check "an upgrade keeps the unit enabled" \
        sh -c "rpm -U --replacepkgs ${flags[*]} $rpm && test -L $wants"
    check "rpm removes it" rpm -e --nodeps $name
    check "what was there before is there, and nothing else" same_files /tmp/before
}

if [ "${1:-}" = --inside ]; then
    administrators_files
    listing >/tmp/before
    "test_${2##*.}" "$2"
    [ "$failures" -eq 0 ] || exit 1
    exit
fi

# --- outside -------------------------------------------------------------------------------

# in_overlay PACKAGE COMMAND...: runs it in a copy of this system, with the package in
# /packages.
in_overlay() {
    # shellcheck disable=SC2016
    unshare --mount --pid --fork --kill-child bash -euc '
        mount --make-rprivate /
        mount -t tmpfs tmpfs /mnt
        mkdir /mnt/upper /mnt/work /mnt/root
        mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
        cd /mnt/root
        mkdir -p packages
        cp "$1" "$2" packages/
        shift 2
        mount -t proc proc proc
        mount --rbind /sys sys
        mount --rbind /dev dev
        mount -t tmpfs tmpfs tmp
        mount -t tmpfs tmpfs run
        # No service is started by this, whatever the package says.
        printf "#!/bin/sh\nexit 101\n" >usr/sbin/policy-rc.d
        chmod 755 usr/sbin/policy-rc.d
        exec chroot . "$@"
    ' bash "$PWD/scripts/pkg-test.sh" "$@"
}

make_uninstall_undoes_make_install() {
    local root
    root=$(mktemp -d)
    make --no-print-directory install DESTDIR="$root"
    [ -x "$root/usr/local/bin/amd-ctk" ] && [ -e "$root/usr/local/share/man/man1/amd-ctk.1" ]
    make --no-print-directory uninstall DESTDIR="$root"
    [ -z "$(find "$root" -not -type d)" ]
    rm -r "$root"
}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ "$(id -u)" -ne 0 ]; then
    echo "make pkg-test needs root: it installs packages, in a mount namespace" >&2
    exit 1
fi
for need in apt-get make rpm unshare; do
    command -v "$need" >/dev/null || { echo "make pkg-test needs $need: install its package" >&2; exit 1; }
done
packages=("$@")
if [ "$#" -eq 0 ]; then
    shopt -s nullglob
    packages=(bin/*.deb bin/*.rpm)
    if [ "${#packages[@]}" -ne 2 ]; then
        echo 'make pkg-test needs both packages: run `make pkg-deb pkg-rpm`' >&2
        exit 1
    fi
fi

status=0
check "make uninstall removes what make install installed" make_uninstall_undoes_make_install
[ "$failures" -eq 0 ] || status=1
for package in "${packages[@]}"; do
    echo "=== $package, $(du -h "$package" | cut -f 1)"
    in_overlay "$(realpath "$package")" bash /packages/pkg-test.sh --inside "${package##*/}" || status=1
done
exit "$status"
