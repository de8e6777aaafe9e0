#!/usr/bin/env bash
# Makes a Debian VM one in which the tests can run, as root: engines, AMD device nodes with a /sys
# that names them, our programs, an image. The same script for a public box, the box built here,
# and plain QEMU. The programs lie beside it.
#
#     provision.sh [PACKAGE.deb]          all of it
#     provision.sh --engines              what has nothing of ours in it
#     provision.sh --programs [PACKAGE]   our programs, and the engines configured for them
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"

readonly NEEDS="docker.io docker-cli docker-buildx docker-compose containerd runc crun podman
uidmap dbus-user-session criu busybox-static strace jq python3 kmod"
# Who runs containers without being root.
readonly USER_NAME=vagrant

missing() {
    local name
    for name in $NEEDS; do
        dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed || echo "$name"
    done
}

install_engines() {
    local packages
    mapfile -t packages < <(missing)
    if [ "${#packages[@]}" -gt 0 ]; then
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -q
        apt-get install -q -y --no-install-recommends "${packages[@]}"
    fi
}

# The containers of the tests have no network: under emulation dockerd needs half a minute for its
# rules of iptables, at each start, and a container twice its time for a bridge.
configure_docker() {
    mkdir -p /etc/docker
    [ -s /etc/docker/daemon.json ] || echo '{}' >/etc/docker/daemon.json
    jq '. + {bridge: "none", iptables: false, ip6tables: false}' /etc/docker/daemon.json >daemon.json
    mv daemon.json /etc/docker/daemon.json
    systemctl restart docker
}

# amdgpu without a GPU makes /dev/kfd; vgem makes a render node beside those of virtio.
make_nodes() {
    if ! modinfo amdgpu >/dev/null 2>&1; then
        echo "provision.sh: the kernel $(uname -r) has no amdgpu; install linux-image-amd64 and boot it" >&2
        exit 1
    fi
    modprobe --all amdgpu vgem
    udevadm settle
}

# At each boot, too, before there are containers.
keep_nodes() {
    cat >/etc/systemd/system/amd-test-nodes.service <<-'END'
	[Unit]
	Description=AMD device nodes, and a /sys that names them
	Before=docker.service containerd.service

	[Service]
	Type=oneshot
	RemainAfterExit=yes
	ExecStart=modprobe --all amdgpu vgem
	ExecStart=udevadm settle
	ExecStart=/usr/local/bin/simulated-host --cover-sys

	[Install]
	WantedBy=multi-user.target
	END
    systemctl daemon-reload
    systemctl --quiet enable --now amd-test-nodes.service
}

# busybox with the names of its commands, as the image of that name has them, and the same as the
# image of a pod's sandbox; for docker, containerd's own clients, the CRI, and podman of root and of
# a user.
load_images() {
    local image archive name
    image=$(mktemp -d)
    archive=$(mktemp -d)
    mkdir -p "$image/bin" "$image/tmp"
    cp /bin/busybox "$image/bin/"
    for name in $(busybox --list); do
        [ "$name" = busybox ] || ln -s busybox "$image/bin/$name"
    done
    chmod 755 "$image" "$archive"
    chmod 1777 "$image/tmp"
    tar -C "$image" -cf "$archive/files" .
    docker import "$archive/files" busybox
    docker import --change 'CMD ["/bin/sleep", "1000000"]' "$archive/files" pause
    docker save -o "$archive/busybox" busybox
    docker save -o "$archive/all" busybox pause
    chmod 644 "$archive"/*
    ctr images import "$archive/busybox"
    ctr -n k8s.io images import "$archive/all"
    podman load -q -i "$archive/busybox"
    as_user podman load -q -i "$archive/busybox"
    rm -rf "$image" "$archive"
}

# A command of the user, in a session as of a login: with the runtime directory and the systemd of
# that user, which lives on after it.
as_user() {
    usermod -aG render,video $USER_NAME
    loginctl enable-linger $USER_NAME
    systemd-run --quiet --pipe --wait --collect --uid=$USER_NAME --property=PAMName=login "$@"
}

install_programs() {
    if [ -n "${1:-}" ]; then
        dpkg -i "$1"
    else
        install -m 755 amd-container-runtime amd-ctk /usr/bin
    fi
    install -m 755 simulated-host /usr/local/bin
    keep_nodes
    amd-ctk gpu list
    amd-ctk runtime configure --runtime=docker --restart
    amd-ctk cdi generate
}

engines() {
    install_engines
    make_nodes
    configure_docker
    load_images
    docker version --format 'docker {{.Server.Version}}'
}

case ${1:-} in
    --engines) engines ;;
    --programs) install_programs "${2:-}" ;;
    *)
        engines
        install_programs "${1:-}"
        ;;
esac
