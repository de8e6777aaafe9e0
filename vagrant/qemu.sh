#!/usr/bin/env bash
# The VM under plain QEMU, without Vagrant and libvirt; for the directory that
# vagrant/box/build.sh made:
#
#     qemu.sh start|wait|stop|accel DIR
#     qemu.sh ssh DIR COMMAND...
#     qemu.sh copy DIR FILE... TARGET       TARGET is a path in the VM
#     qemu.sh monitor DIR COMMAND           such as `savevm ready`
#
# VM_ACCEL=kvm|tcg (by default KVM where it works, see accel), VM_PORT (one that is free), VM_MEMORY (4G),
# VM_CPUS (those of this machine, up to 4; emulated ones run side by side, too), VM_RESUME=NAME
# starts from a snapshot. The disk is an overlay that `start` makes anew, unless it
# resumes: the image itself is never written to.
set -euo pipefail
verb=${1:?usage: qemu.sh start|wait|accel|ssh|copy|monitor|stop DIR}
dir=$(readlink -f "${2:?usage: qemu.sh $verb DIR}")
shift 2
run=$dir/run
mkdir -p "$run"

readonly SSH_OPTIONS=(-q -i "$dir/id" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null
    -o ConnectTimeout=5 -o ServerAliveInterval=15 -o ServerAliveCountMax=8)

# By its disk: the number of one that was killed may be another's by now.
alive() { [ -s "$run/pid" ] && grep -qs "file=$run/disk.qcow2," "/proc/$(cat "$run/pid")/cmdline"; }

# kvm or tcg. That /dev/kvm opens says little: where this machine is itself a virtual one, KVM can
# be emulated, and guests crawl or hang. So a boot sector that only ends QEMU (by writing to
# isa-debug-exit) must come to its end in a second. Asked once for a directory: a snapshot is of one
# accelerator.
accel() {
    if [ -n "${VM_ACCEL:-}" ]; then
        echo "$VM_ACCEL"
        return
    fi
    if [ ! -s "$run/accel" ]; then
        local sector=$run/sector found=tcg code=0
        # mov al, 16; mov dx, 0xf4; out dx, al; hlt
        printf '\xb0\x10\xba\xf4\x00\xee\xf4' >"$sector"
        truncate -s 510 "$sector"
        printf '\x55\xaa' >>"$sector"
        timeout 1 qemu-system-x86_64 -accel kvm -cpu host -nodefaults -no-reboot -display none \
            -device isa-debug-exit,iobase=0xf4,iosize=4 \
            -drive "file=$sector,format=raw" </dev/null >/dev/null 2>&1 || code=$?
        # isa-debug-exit doubles what it is given, and adds one.
        [ "$code" -ne 33 ] || found=kvm
        rm -f "$sector"
        echo $found >"$run/accel"
    fi
    cat "$run/accel"
}

# The port of 127.0.0.1 on which the VM's ssh is; `start` chooses it.
port() { cat "$run/port"; }

free_port() {
    python3 -c 'import socket
with socket.socket() as one:
    one.bind(("127.0.0.1", 0))
    print(one.getsockname()[1])'
}

start() {
    if alive; then
        echo "qemu.sh: the VM of $dir runs already, as process $(cat "$run/pid")" >&2
        exit 1
    fi
    local accel=(-accel tcg,thread=multi -cpu qemu64) resume=()
    [ "$(accel)" != kvm ] || accel=(-accel kvm -cpu host)
    if [ -n "${VM_RESUME:-}" ]; then
        resume=(-loadvm "$VM_RESUME")
    else
        rm -f "$run/disk.qcow2"
        qemu-img create -q -f qcow2 -F qcow2 -b "$dir/disk.qcow2" "$run/disk.qcow2"
    fi
    echo "${VM_PORT:-$(free_port)}" >"$run/port"
    local cpus
    cpus=${VM_CPUS:-$(nproc)}
    [ "$cpus" -le 4 ] || cpus=4
    # Two virtio GPUs: render nodes of PCI devices that open for real.
    setsid qemu-system-x86_64 -name amd-vm "${accel[@]}" -smp "$cpus" -m "${VM_MEMORY:-4G}" \
        -nodefaults -no-reboot -display none \
        -kernel "$dir/vmlinux" -initrd "$dir/initrd" \
        -append "root=/dev/vda rw console=ttyS0 mitigations=off random.trust_cpu=on quiet $(cat "$dir/append" 2>/dev/null)" \
        -drive "file=$run/disk.qcow2,if=none,id=disk,format=qcow2,cache=unsafe,discard=unmap" \
        -device virtio-blk-pci,drive=disk \
        -netdev "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:$(port)-:22" \
        -device virtio-net-pci,netdev=net,romfile= -device virtio-rng-pci \
        -device virtio-gpu-pci,addr=0x10,romfile= -device virtio-gpu-pci,addr=0x11,romfile= \
        -serial "file:$run/console" -monitor "unix:$run/monitor,server,nowait" \
        "${resume[@]}" </dev/null >"$run/qemu.log" 2>&1 &
    echo $! >"$run/pid"
}

in_vm() { ssh "${SSH_OPTIONS[@]}" -p "$(port)" root@127.0.0.1 "$@"; }

await() {
    local deadline=$((SECONDS + ${VM_PATIENCE:-600}))
    until in_vm true 2>/dev/null; do
        if ! alive; then
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
    local deadline=$((SECONDS + 30))
    while alive; do
        [ $SECONDS -lt $deadline ] || kill -KILL "$pid"
        sleep 0.1
    done
    rm -f "$run/pid"
}

case $verb in
    start) start ;;
    wait) await ;;
    accel) accel ;;
    ssh) in_vm "$@" ;;
    copy) scp -r "${SSH_OPTIONS[@]}" -P "$(port)" "${@:1:$#-1}" "root@127.0.0.1:${*: -1}" ;;
    monitor) "$(dirname "$0")/monitor.py" "$run/monitor" "$*" ;;
    stop) stop ;;
    *) echo "qemu.sh: no such command: $verb" >&2; exit 2 ;;
esac
