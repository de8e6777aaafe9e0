#!/usr/bin/env bash
# The VM by `vagrant up` of the Vagrantfile beside this and libvirt, with the verbs of qemu.sh, for
# the directory that vagrant/box/build.sh made:
#
#     vagrant.sh start|stop|accel DIR       stop destroys it
#     vagrant.sh reload DIR                 shuts it down and boots it
#     vagrant.sh ssh DIR COMMAND...         as root, by the user vagrant's sudo
#     vagrant.sh copy DIR FILE... TARGET    TARGET is a path in the VM
#
# AMD_PACKAGE and AMD_BUILD are those of the Vagrantfile. It uses the machine's libvirt, or where
# none answers one of its own (see libvirtd.sh). What Vagrant keeps is in DIR/vagrant.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"
verb=${1:?usage: vagrant.sh start|reload|ssh|copy|stop|accel DIR}
dir=$(readlink -m "${2:?usage: vagrant.sh $verb DIR}")
shift 2
state=$dir/vagrant

export AMD_BOX=amd-test AMD_KEY=$dir/id
AMD_ACCEL=$(./qemu.sh accel "$dir")
export AMD_ACCEL
export VAGRANT_HOME=$state/home VAGRANT_DOTFILE_PATH=$state/machine VAGRANT_CHECKPOINT_DISABLE=1
# Whatever is left of one that was killed names the libvirtd that it ran under.
if [ -d "$state/libvirt" ] || ! virsh -q -c qemu:///system version >/dev/null 2>&1; then
    in_space=(./libvirtd.sh run "$state/libvirt")
else
    in_space=()
fi

add_box() {
    local key
    key=$(stat -c '%i %s %Y' "$dir/amd-test.box")
    [ "$key" != "$(cat "$state/box.key" 2>/dev/null)" ] || return 0
    "${in_space[@]}" vagrant box add --force --name "$AMD_BOX" "$dir/amd-test.box"
    echo "$key" >"$state/box.key"
}

start() {
    mkdir -p "$state"
    [ "${#in_space[@]}" -eq 0 ] || ./libvirtd.sh start "$state/libvirt"
    add_box
    "${in_space[@]}" vagrant up --provider=libvirt
    "${in_space[@]}" vagrant ssh-config >"$state/ssh"
}

reload() {
    "${in_space[@]}" vagrant halt
    "${in_space[@]}" vagrant up --provider=libvirt
    "${in_space[@]}" vagrant ssh-config >"$state/ssh"
}

# By ssh rather than `vagrant ssh`: that takes seconds, and has a terminal.
in_vm() { "${in_space[@]}" ssh -q -F "$state/ssh" default "sudo bash -c $(printf '%q' "$*")"; }

copy() {
    local target=${*: -1}
    in_vm "rm -rf /tmp/copied"
    "${in_space[@]}" ssh -q -F "$state/ssh" default mkdir /tmp/copied
    "${in_space[@]}" scp -q -r -F "$state/ssh" "${@:1:$#-1}" default:/tmp/copied/
    in_vm "cp -r /tmp/copied/. $target && rm -r /tmp/copied"
}

stop() {
    [ -d "$state" ] || return 0
    if [ "${#in_space[@]}" -eq 0 ]; then
        vagrant destroy -f
    else
        # It takes its machines with it; one that is stopped already has none.
        if ./libvirtd.sh alive "$state/libvirt"; then
            "${in_space[@]}" vagrant destroy -f || true
        fi
        ./libvirtd.sh stop "$state/libvirt"
        rm -rf "$state"
    fi
}

case $verb in
    start) start ;;
    reload) reload ;;
    accel) echo "$AMD_ACCEL" ;;
    ssh) in_vm "$@" ;;
    copy) copy "$@" ;;
    stop) stop ;;
    *) echo "vagrant.sh: no such command: $verb" >&2; exit 2 ;;
esac
