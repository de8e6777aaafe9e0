#!/usr/bin/env bash
# Builds the VM's image and its Vagrant box from Debian packages, as root:
#
#     vagrant/box/build.sh DIR
#
# DIR then holds disk.qcow2, vmlinux, initrd, the ssh key pair `id`, and amd-test.box.
# The user land is Debian forky's, for the current engines. The kernel is trixie's 6.12:
# with it, amdgpu makes a /dev/kfd that opens without any hardware. With VM_SELINUX=1 it has SELinux
# and Debian's policy, permissive, instead of AppArmor; `append` then says so to its kernel.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
out=$(readlink -m "${1:?usage: build.sh DIR}")
root=$out/root
suite=forky kernel_suite=trixie

readonly SELINUX_PACKAGES="selinux-policy-default selinux-basics policycoreutils"
readonly PACKAGES="
systemd systemd-sysv udev dbus kmod passwd login mount libpam-systemd sudo procps
openssh-server openssh-client rsync ca-certificates
iproute2 iptables nftables
docker.io docker-cli docker-buildx docker-compose containerd
runc crun podman uidmap passt dbus-user-session fuse-overlayfs catatonit criu
busybox-static strace jq python3
initramfs-tools zstd xz-utils linux-image-amd64
${VM_SELINUX:+$SELINUX_PACKAGES}
"

step() { echo "=== $* (after $SECONDS s)"; }

# The mirror and the key that this machine's own packages come from.
mirror=${DEBIAN_MIRROR:-$(awk '/^URIs:/ { print $2; exit } /^deb / { print $2; exit }' \
    /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null || true)}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

install_packages() {
    local excluded=() path
    for path in man locale doc info bash-completion zsh fish; do
        excluded+=(--dpkgopt="path-exclude=/usr/share/$path/*")
    done
    rm -rf "$root"
    # shellcheck disable=SC2016 # $1 is the hook's own
    mmdebstrap --quiet --mode=root --variant=apt "${excluded[@]}" \
        --aptopt='Acquire::Check-Valid-Until "false"' \
        --aptopt='Apt::Install-Recommends "false"' \
        --aptopt='Acquire::Languages "none"' \
        --setup-hook='mkdir -p "$1/etc/apt/preferences.d"' \
        --setup-hook="upload $here/kernel.pref /etc/apt/preferences.d/kernel" \
        --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d"' \
        --essential-hook='printf "MODULES=list\nCOMPRESS=zstd\n" >"$1/etc/initramfs-tools/conf.d/vm"' \
        --essential-hook='printf "virtio_pci\nvirtio_blk\nvirtio_net\next4\n" >"$1/etc/initramfs-tools/modules"' \
        --include="$(tr -s '\n ' ',,' <<<"$PACKAGES" | sed 's/^,//; s/,$//')" \
        "$suite" "$root" \
        "deb [signed-by=$keyring] $mirror $suite main" \
        "deb [signed-by=$keyring] $mirror $kernel_suite main"
}

configure_system() {
    echo amd-vm >"$root/etc/hostname"
    printf '127.0.0.1 localhost amd-vm\n' >"$root/etc/hosts"
    printf '/dev/vda / ext4 rw,relatime 0 1\n' >"$root/etc/fstab"
    rm -f "$root/etc/resolv.conf"
    : >"$root/etc/resolv.conf"
    : >"$root/etc/machine-id"
    install -D -m 644 "$here/ethernet.network" "$root/etc/systemd/network/10-ethernet.network"
    printf 'PermitRootLogin prohibit-password\nUseDNS no\n' >"$root/etc/ssh/sshd_config.d/vm.conf"

    local unit
    for unit in systemd-networkd.service ssh.service docker.socket containerd.service; do
        chroot "$root" systemctl -q enable "$unit"
    done
    for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer \
        e2scrub_all.timer e2scrub_reap.service systemd-networkd-wait-online.service docker.service; do
        chroot "$root" systemctl -q disable "$unit" 2>/dev/null || true
    done
    chroot "$root" systemctl -q mask systemd-timesyncd.service apparmor.service 2>/dev/null || true
}

# One key for both: root's for the tests, vagrant's for `vagrant up`.
add_users() {
    [ -f "$out/id" ] || ssh-keygen -q -t ed25519 -N '' -C amd-vm -f "$out/id"
    chroot "$root" useradd -m -s /bin/bash -G docker,render,video vagrant
    local user home
    for user in root vagrant; do
        home=$(chroot "$root" getent passwd $user | cut -d: -f6)
        install -d -m 700 "$root$home/.ssh"
        install -m 600 "$out/id.pub" "$root$home/.ssh/authorized_keys"
        chroot "$root" chown -R "$user:" "$home/.ssh"
    done
    printf 'vagrant ALL=(ALL) NOPASSWD: ALL\n' >"$root/etc/sudoers.d/vagrant"
    chmod 440 "$root/etc/sudoers.d/vagrant"
}

# The labels of all files: what a machine with SELinux does at its first boot, which takes minutes.
label_files() {
    rm -f "$out/append"
    [ -n "${VM_SELINUX:-}" ] || return 0
    sed -i 's/^SELINUX=.*/SELINUX=permissive/' "$root/etc/selinux/config"
    chroot "$root" setfiles -F /etc/selinux/default/contexts/files/file_contexts /
    echo "security=selinux" >"$out/append"
}

make_image() {
    local kernel
    kernel=$(ls "$root/usr/lib/modules")
    cp "$root/boot/initrd.img-$kernel" "$out/initrd"
    "$here/extract-vmlinux.py" "$root/boot/vmlinuz-$kernel" "$out/vmlinux"
    rm -rf "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb \
        "$root"/var/lib/apt/lists/* "$root"/var/lib/dbus/machine-id "$root"/boot/*
    truncate -s 8G "$out/disk.raw"
    mkfs.ext4 -q -F -L root -O ^has_journal -E lazy_itable_init=1 -d "$root" "$out/disk.raw"
    # Whole or not at all: who finds a disk there takes it for a good one.
    qemu-img convert -O qcow2 "$out/disk.raw" "$out/disk.qcow2.new"
    mv "$out/disk.qcow2.new" "$out/disk.qcow2"
    rm -rf "$out/disk.raw" "$root"
}

make_box() {
    local box=$out/box
    mkdir -p "$box"
    ln -f "$out/disk.qcow2" "$box/box.img"
    ln -f "$out/vmlinux" "$out/initrd" "$box/"
    cp "$here/Vagrantfile" "$box/"
    echo '{"provider": "libvirt", "format": "qcow2", "virtual_size": 8}' >"$box/metadata.json"
    tar -C "$box" -S -cf "$out/amd-test.box" metadata.json Vagrantfile box.img vmlinux initrd
    rm -rf "$box"
}

[ -n "$mirror" ] || { echo "build.sh: set DEBIAN_MIRROR: this machine's sources name none" >&2; exit 1; }
mkdir -p "$out"
step "packages"; install_packages
step "modules"; "$here/trim-modules.sh" "$root"
step "system"; configure_system; add_users
step "image"; label_files; make_image
step "box"; make_box
step "done: $(du -sh "$out" | cut -f1) in $out"
