#!/usr/bin/env bash
# Makes a Debian VM one in which the tests can run, as root: engines, AMD device nodes with a /sys
# that names them, our programs, an image. The same script for a public box, the box built here,
# and plain QEMU. The programs lie beside it.
#
#     provision.sh [PACKAGE.deb]
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"
package=${1:-}

readonly NEEDS="docker.io docker-cli docker-buildx docker-compose containerd runc crun podman
busybox-static strace jq python3 kmod"

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

# amdgpu without a GPU makes /dev/kfd; vgem makes a render node beside those of virtio.
modprobe amdgpu
modprobe vgem
udevadm settle

if [ -n "$package" ]; then
    dpkg -i "$package"
else
    install -m 755 amd-container-runtime amd-ctk /usr/bin
fi
install -m 755 simulated-host /usr/local/bin
simulated-host --cover-sys
amd-ctk gpu list

systemctl start containerd docker
amd-ctk runtime configure --runtime=docker --restart
amd-ctk cdi generate
# Names of commands, as the image of that name has them.
image=$(mktemp -d)
mkdir -p "$image/bin" "$image/tmp"
cp /bin/busybox "$image/bin/"
for name in $(busybox --list); do
    [ "$name" = busybox ] || ln -s busybox "$image/bin/$name"
done
chmod 755 "$image"
chmod 1777 "$image/tmp"
tar -C "$image" -c . | docker import - busybox
rm -rf "$image"
docker version --format 'docker {{.Server.Version}}'
