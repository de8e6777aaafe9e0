#!/usr/bin/env bash
# Installs what building and running the VM needs (`make vm-box`, `make vm-test`), on Debian
# and Ubuntu, as root. Is done at once where all is there; removes and replaces nothing.
#
#     vm-deps.sh [vagrant]     with what `make vm-test VM=vagrant` needs besides
set -euo pipefail

# Program, and the packages that bring it and what it needs.
needs="
mmdebstrap         mmdebstrap
zstd               zstd
xz                 xz-utils
mkfs.ext4          e2fsprogs
qemu-img           qemu-utils
qemu-system-x86_64 qemu-system-x86
ssh                openssh-client
python3            python3
"
case ${1:-} in
    '') ;;
    vagrant)
        needs+="
vagrant  vagrant vagrant-libvirt
virsh    libvirt-clients
libvirtd libvirt-daemon-system libvirt-daemon-driver-qemu
dnsmasq  dnsmasq-base
iptables iptables
ip       iproute2
"
        ;;
    *) echo "vm-deps: no such part: $1" >&2; exit 2 ;;
esac

missing() {
    local program packages
    while read -r program packages; do
        # shellcheck disable=SC2086 # they are words
        [ -z "$program" ] || command -v "$program" >/dev/null || printf '%s\n' $packages
    done <<<"$needs"
}

# A machine whose qemu-utils came from backports gets the rest of QEMU from there, too: its
# release's own would replace them. The source is apt's for this one call.
readonly SOURCES=$(mktemp -d)
trap 'rm -rf "$SOURCES"' EXIT
apt_options=()
use_backports() {
    local suite mirror
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME-backports")
    mirror=${DEBIAN_MIRROR:-$(awk '/^URIs:/ { print $2; exit } /^deb / { print $2; exit }' \
        /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null || true)}
    cp -r /etc/apt/sources.list.d/. "$SOURCES"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" \
        >"$SOURCES/backports.list"
    apt_options=(-o "Dir::Etc::SourceParts=$SOURCES" -t "$suite")
}

mapfile -t packages < <(missing)
if [ "${#packages[@]}" -gt 0 ]; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "vm-deps: root must install: ${packages[*]}" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    case $(dpkg-query -W -f '${Version}' qemu-utils 2>/dev/null) in *~bpo*) use_backports ;; esac
    apt-get "${apt_options[@]}" update -q
    apt-get "${apt_options[@]}" install -q -y --no-remove --no-install-recommends "${packages[@]}"
fi
