#!/usr/bin/env bash
# `make vm-test`: runs tests/integration/tests/vm.rs in a virtual machine with systemd, pure
# cgroup v2, current engines and real device nodes (see vagrant/). As root, on Debian or Ubuntu.
#
# VM_DIR      where the image is, and made where it is not (target/vm)
# VM_PACKAGE  a .deb to install in the VM; else the development build's programs are put there
# VM_FILTER   which tests: what their names have in them
#
# The machine is kept as it was when it was ready, so that the next run is there in seconds;
# `make vm-box` makes a new one. Its log, and the tests', are in $VM_DIR/log.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=$(readlink -m "${CARGO_TARGET_DIR:-target}")
dir=$(readlink -m "${VM_DIR:-$target/vm}")
vm() { vagrant/qemu.sh "$1" "$dir" "${@:2}"; }
# What each line that passes took: under emulation a test is a matter of seconds or of a minute.
clocked() {
    local last=$SECONDS line
    while IFS= read -r line; do
        printf '%4d s  %s\n' $((SECONDS - last)) "$line"
        last=$SECONDS
    done
}
step() { echo "=== $* (after $SECONDS s)"; }

scripts/vm-deps.sh
if [ ! -f "$dir/disk.qcow2" ]; then
    step "building the image in $dir"
    vagrant/box/build.sh "$dir"
fi

step "building programs and tests"
# As scripts/test.sh: other targets would have other features, and be built anew by each.
cargo build --workspace --bins --examples
tests=$(cargo test --no-run --package integration --test vm --message-format=json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*\/vm-[^"]*\)".*/\1/p')
copies=$(mktemp -d)
trap 'rm -rf "$copies"' EXIT
strip -o "$copies/vm-tests" "$tests"
for program in amd-container-runtime amd-ctk simulated-host; do
    strip -o "$copies/$program" "$target/debug/$program"
done

is_ready() {
    [ "$dir/run/disk.qcow2" -nt "$dir/disk.qcow2" ] &&
        qemu-img snapshot -l "$dir/run/disk.qcow2" 2>/dev/null | grep -qw ready
}

trap 'rm -rf "$copies"; vm stop' EXIT
if is_ready; then
    step "starting the VM where it was ready"
    VM_RESUME=ready vm start
    vm wait
else
    step "booting the VM"
    vm start
    vm wait
    step "provisioning it"
    vm copy vagrant/provision.sh "$copies"/* /root/
    vm ssh /root/provision.sh
    vm monitor savevm ready
fi

step "installing"
vm copy "$copies"/* /root/
if [ -n "${VM_PACKAGE:-}" ]; then
    vm copy "$VM_PACKAGE" /root/amd.deb
    vm ssh 'dpkg -i /root/amd.deb'
else
    vm ssh 'install -m 755 /root/amd-container-runtime /root/amd-ctk /usr/bin'
fi

step "testing"
mkdir -p "$dir/log"
status=0
vm ssh "date -s @$(date +%s) >/dev/null; AMD_VM_TESTS=1 /root/vm-tests --test-threads=1 ${VM_FILTER:-}" 2>&1 |
    clocked | tee "$dir/log/tests" || status=$?
vm ssh 'journalctl --no-pager -b' >"$dir/log/journal" || true
step "done; logs are in $dir/log"
exit "$status"
