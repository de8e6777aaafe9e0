#!/usr/bin/env bash
# Makes a Debian VM one in which the tests can run, as root: engines, AMD device nodes, our
# package. The same script for a public box, the box built here, and plain QEMU.
#
#     provision.sh [PACKAGE.deb]
set -euo pipefail
package=${1:-}

readonly NEEDS="docker.io containerd runc crun podman busybox-static strace jq python3 kmod"

missing() {
    local name
    for name in $NEEDS; do
        dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed || echo "$name"
    done
}

mapfile -t packages < <(missing)
if [ "${#packages[@]}" -gt 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -q -y --no-install-recommends "${packages[@]}"
fi

# amdgpu without a GPU makes /dev/kfd; vgem makes a render node that opens.
modprobe amdgpu
modprobe vgem
udevadm settle
ls -l /dev/kfd /dev/dri

if [ -n "$package" ]; then
    dpkg -i "$package"
    amd-container-runtime --version
fi
systemctl start containerd docker
docker version --format 'docker {{.Server.Version}}'
