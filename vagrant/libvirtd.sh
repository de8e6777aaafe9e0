#!/usr/bin/env bash
# A libvirtd of its own, for `vagrant up --provider libvirt` on a machine without systemd or where
# none is to be disturbed; as root:
#
#     libvirtd.sh start DIR
#     libvirtd.sh run DIR COMMAND...      such as `vagrant up`, with LIBVIRT_DEFAULT_URI set
#     libvirtd.sh alive DIR               whether it runs
#     libvirtd.sh stop DIR                its virtual machines, too
#
# It has a network namespace, in which its bridges, leases and rules of iptables are, and sees
# DIR/etc, DIR/lib, ... in place of /etc/libvirt, /var/lib/libvirt, ...: nothing of it is
# elsewhere, and all of it goes with it but for DIR.
set -euo pipefail
verb=${1:?usage: libvirtd.sh start|run|alive|stop DIR}
dir=$(readlink -m "${2:?usage: libvirtd.sh $verb DIR}")
shift 2
# One for a directory.
space=amd-vm-$(cksum <<<"$dir" | cut -d ' ' -f 1)
export LIBVIRT_DEFAULT_URI="qemu:///system?socket=$dir/run/libvirt-sock"

# By its settings: the number of one that was killed may be another's by now.
alive() {
    [ -s "$dir/pid" ] && tr '\0' ' ' 2>/dev/null <"/proc/$(cat "$dir/pid")/cmdline" |
        grep -qF -- "--config $dir/libvirtd.conf"
}

configure() {
    local name
    mkdir -p "$dir"/{etc,lib,run,log,cache}
    cp -r /etc/libvirt/. "$dir/etc"
    # There is no other user to run QEMU as, no cgroup to put it into, and no virtlogd.
    cat >"$dir/etc/qemu.conf" <<-END
		user = "root"
		group = "root"
		security_driver = "none"
		cgroup_controllers = [ ]
		namespaces = [ ]
		stdio_handler = "file"
		remember_owner = 0
	END
    cat >"$dir/libvirtd.conf" <<-END
		unix_sock_dir = "$dir/run"
		unix_sock_group = "root"
		auth_unix_rw = "none"
		log_outputs = "2:file:$dir/log/libvirtd.log"
	END
}

start() {
    ! alive || return 0
    configure
    ip netns list | grep -qw "$space" || ip netns add "$space"
    ip -n "$space" link set lo up
    # `ip netns exec` makes the mount namespace.
    # shellcheck disable=SC2016 # $1 is the inner shell's
    setsid ip netns exec "$space" bash -euc '
        for place in etc/libvirt var/lib/libvirt run/libvirt var/log/libvirt var/cache/libvirt; do
            mkdir -p "/$place"
            part=${place%/*}
            mount --bind "$1/${part##*/}" "/$place"
        done
        exec libvirtd --config "$1/libvirtd.conf" --pid-file "$1/run/libvirtd.pid"
    ' bash "$dir" </dev/null >"$dir/log/out" 2>&1 &
    echo $! >"$dir/pid"
    local deadline=$((SECONDS + 60))
    until virsh -q version >/dev/null 2>&1; do
        if ! [ -d "/proc/$(cat "$dir/pid")" ] || [ $SECONDS -ge $deadline ]; then
            echo "libvirtd.sh: libvirtd does not answer: $(cat "$dir/log/out" "$dir/log/libvirtd.log" 2>/dev/null)" >&2
            exit 1
        fi
        sleep 0.2
    done
}

# Ends the process whose number a file holds, if it still is of this program.
end() {
    local pid
    pid=$(cat "$1" 2>/dev/null) && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ] || return 0
    kill "$pid"
    for _ in $(seq 100); do
        [ -d "/proc/$pid" ] || return 0
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
}

stop() {
    local name
    if alive; then
        for name in $(virsh -q list --name); do
            virsh -q destroy "$name"
        done
        for name in $(virsh -q net-list --name); do
            virsh -q net-destroy "$name" >/dev/null
        done
        end "$dir/pid" libvirtd
    fi
    # What one left that was killed.
    for name in "$dir"/run/qemu/*.pid; do
        end "$name" qemu-system-x86
    done
    for name in "$dir"/run/network/*.pid; do
        end "$name" dnsmasq
    done
    rm -f "$dir/pid"
    ! ip netns list | grep -qw "$space" || ip netns delete "$space"
}

case $verb in
    start) start ;;
    run) exec ip netns exec "$space" "$@" ;;
    alive) alive ;;
    stop) stop ;;
    *) echo "libvirtd.sh: no such command: $verb" >&2; exit 2 ;;
esac
