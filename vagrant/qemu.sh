#!/usr/bin/env bash
# The VM under plain QEMU, without Vagrant and libvirt; for the directory that
# vagrant/box/build.sh made:
#
#     qemu.sh start|wait|stop DIR
#     qemu.sh ssh DIR COMMAND...
#     qemu.sh copy DIR FILE... TARGET       TARGET is a path in the VM
#     qemu.sh monitor DIR COMMAND           such as `savevm ready`
#
# VM_ACCEL=kvm|tcg (kvm where /dev/kvm works, by default not asked: tcg), VM_PORT (2222),
# VM_MEMORY (4G), VM_RESUME=NAME starts from a snapshot. The disk is an overlay that `start`
# makes anew, unless it resumes: the image itself is never written to.
set -euo pipefail
verb=${1:?usage: qemu.sh start|wait|ssh|copy|monitor|stop DIR}
dir=$(readlink -f "${2:?usage: qemu.sh $verb DIR}")
shift 2
port=${VM_PORT:-2222}
run=$dir/run
mkdir -p "$run"

readonly SSH_OPTIONS=(-q -i "$dir/id" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null
    -o ConnectTimeout=5 -o ServerAliveInterval=15)

alive() { [ -s "$run/pid" ] && kill -0 "$(cat "$run/pid")" 2>/dev/null; }

start() {
    if alive; then
        echo "qemu.sh: the VM of $dir runs already, as process $(cat "$run/pid")" >&2
        exit 1
    fi
    local accel=(-accel tcg,thread=multi -cpu qemu64) resume=()
    [ "${VM_ACCEL:-tcg}" != kvm ] || accel=(-accel kvm -cpu host)
    if [ -n "${VM_RESUME:-}" ]; then
        resume=(-loadvm "$VM_RESUME")
    else
        rm -f "$run/disk.qcow2"
        qemu-img create -q -f qcow2 -F qcow2 -b "$dir/disk.qcow2" "$run/disk.qcow2"
    fi
    # Two virtio GPUs: render nodes of PCI devices that open for real.
    setsid qemu-system-x86_64 -name amd-vm "${accel[@]}" -smp 2 -m "${VM_MEMORY:-4G}" \
        -nodefaults -no-reboot -display none \
        -kernel "$dir/vmlinux" -initrd "$dir/initrd" \
        -append "root=/dev/vda rw console=ttyS0 mitigations=off random.trust_cpu=on quiet" \
        -drive "file=$run/disk.qcow2,if=none,id=disk,format=qcow2,cache=unsafe,discard=unmap" \
        -device virtio-blk-pci,drive=disk \
        -netdev "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:$port-:22" \
        -device virtio-net-pci,netdev=net,romfile= -device virtio-rng-pci \
        -device virtio-gpu-pci,addr=0x10,romfile= -device virtio-gpu-pci,addr=0x11,romfile= \
        -serial "file:$run/console" -monitor "unix:$run/monitor,server,nowait" \
        -pidfile "$run/pid" "${resume[@]}" </dev/null >"$run/qemu.log" 2>&1 &
}

in_vm() { ssh "${SSH_OPTIONS[@]}" -p "$port" root@127.0.0.1 "$@"; }

await() {
    local deadline=$((SECONDS + ${VM_PATIENCE:-600}))
    until in_vm true 2>/dev/null; do
        if [ -s "$run/pid" ] && ! alive; then
            echo "qemu.sh: QEMU ended: $(cat "$run/qemu.log")" >&2
            exit 1
        fi
        if [ $SECONDS -ge $deadline ]; then
            echo "qemu.sh: no ssh in the VM after ${VM_PATIENCE:-600} s; its console: $run/console" >&2
            exit 1
        fi
        sleep 0.5
    done
    echo "the VM answers after $SECONDS s"
}

stop() {
    alive || return 0
    local pid
    pid=$(cat "$run/pid")
    kill "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
    rm -f "$run/pid"
}

case $verb in
    start) start ;;
    wait) await ;;
    ssh) in_vm "$@" ;;
    copy) scp -r "${SSH_OPTIONS[@]}" -P "$port" "${@:1:$#-1}" "root@127.0.0.1:${*: -1}" ;;
    monitor) "$(dirname "$0")/monitor.py" "$run/monitor" "$*" ;;
    stop) stop ;;
    *) echo "qemu.sh: no such command: $verb" >&2; exit 2 ;;
esac
