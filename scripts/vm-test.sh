#!/usr/bin/env bash
# `make vm-test`: runs tests/integration/tests/vm.rs in a virtual machine with systemd, pure
# cgroup v2, current engines and real device nodes (see vagrant/). As root, on Debian or Ubuntu.
#
# VM          qemu (as a rule), or vagrant: by `vagrant up` of vagrant/Vagrantfile with libvirt, from the
#             same image, with all that Vagrant does in its course, a second boot included
# VM_DIR      where the image is, and made where it is not (target/vm)
# VM_PACKAGE  the .deb to install in the VM, such as that of `make pkg-deb`; by default one that is
#             made here of the programs of VM_PROGRAMS, with all else as in the release
# VM_PROGRAMS debug (as a rule), or release: what `make programs` has built
# VM_SELINUX  1: the machine has SELinux, with an image of its own (target/vm-selinux)
# VM_FILTER   which tests: what their names have in them
# VM_SUITE    which test programs of tests/integration besides, on simulated hosts in the VM, whose cgroup
#             v2 has controllers: names, `v2` for those that are about them, or `all`. With
#             VM_FILTER=none they are all that runs.
# VM_LIMIT    seconds that the tests may take (1800)
#
# The machine is kept as it was when its engines were ready, so that the next run is there in
# seconds, until what it was made from changes. Logs are in $VM_DIR/log.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=$(readlink -m "${CARGO_TARGET_DIR:-target}")
dir=$(readlink -m "${VM_DIR:-$target/vm${VM_SELINUX:+-selinux}}")
limit=${VM_LIMIT:-1800}
way=${VM:-qemu}
case $way in
    qemu | vagrant) driver=vagrant/$way.sh ;;
    *) echo "vm-test: VM is qemu or vagrant, not $way" >&2; exit 2 ;;
esac
suite=${VM_SUITE:-}
case $suite in
    v2) suite="standalone_v2 limits events hostile" ;;
    # All that need neither the sources nor a compiler, nor start engines of their own.
    all) suite="standalone_v2 limits events hostile errors exec hooks identity mounts process requests \
        robustness rootless_v2 state_files swapped tracker" ;;
esac
# Without the lock, which QEMU would keep.
vm() { "$driver" "$1" "$dir" "${@:2}" {lock}>&-; }
step() { echo "=== $* (after $SECONDS s)"; }
hash_of() { sha256sum "$@" | sha256sum | cut -d ' ' -f 1; }

# What each line that passes took: under emulation a test is a matter of seconds or of a minute.
clocked() {
    local last=$SECONDS line
    while IFS= read -r line; do
        printf '%4d s  %s\n' $((SECONDS - last)) "$line"
        last=$SECONDS
    done
}

# Runs a step that must end in some seconds; says what was last heard of the machine if it does not.
within() {
    local seconds=$1 status=0
    shift
    timeout --kill-after=10 "$seconds" "$@" || status=$?
    [ "$status" -ne 0 ] || return 0
    [ "$status" -ne 124 ] || echo "vm-test: not done after $seconds s: $*" >&2
    tail -n 20 "$dir/run/console" "$dir/run/qemu.log" >&2 2>/dev/null || true
    return "$status"
}

build_image() {
    local key
    key=$(hash_of vagrant/box/*)${VM_SELINUX:+-selinux}
    if [ -f "$dir/disk.qcow2" ] && [ "$key" = "$(cat "$dir/image.key" 2>/dev/null)" ]; then
        return
    fi
    step "building the image in $dir"
    rm -rf "$dir/run"
    timeout 1200 vagrant/box/build.sh "$dir"
    echo "$key" >"$dir/image.key"
}

build_programs() {
    step "building programs and tests"
    # As scripts/test.sh: other targets would have other features, and be built anew by each.
    cargo build --workspace --bins --examples
    local name tests
    mkdir "$copies/suite"
    for name in vm $suite; do
        tests=$(cargo test --no-run --package integration --test "$name" \
            --message-format=json-render-diagnostics |
            sed -n "s/.*\"executable\":\"\([^\"]*\/$name-[^\"]*\)\".*/\1/p")
        strip -o "$copies/suite/$name" "$tests"
    done
    strip -o "$copies/simulated-host" "$target/debug/simulated-host"
    local package=${VM_PACKAGE:-}
    if [ -z "$package" ]; then
        package=$(scripts/dev-deb.sh "$target/vm-deb" "${VM_PROGRAMS:-debug}")
    fi
    cp "$package" "$copies/amd.deb"
}

# Boots the machine, or lets it go on where its engines were ready.
start_machine() {
    local key
    key=$(hash_of vagrant/box/* vagrant/provision.sh vagrant/qemu.sh "$dir/vmlinux" "$dir/initrd")
    key+=-$(vm accel)-$(nproc)-${VM_CPUS:-}-${VM_MEMORY:-}
    if [ "$key" = "$(cat "$dir/run/ready.key" 2>/dev/null)" ]; then
        step "starting the VM where it was ready"
        VM_RESUME=ready vm start
        if within 120 "$driver" wait "$dir"; then
            return
        fi
        echo "vm-test: the snapshot does not answer: booting" >&2
        vm stop
    fi
    rm -f "$dir/run/ready.key"
    step "booting the VM with $(vm accel)"
    vm start
    vm wait
    step "provisioning it"
    vm copy vagrant/provision.sh /root/
    within 900 "$driver" ssh "$dir" /root/provision.sh --engines
    vm monitor savevm ready
    echo "$key" >"$dir/run/ready.key"
}

# The same by Vagrant, which installs our package, too. After it has shut the machine down and booted
# it again, nothing runs but what the machine starts by itself.
vagrant_up() {
    step "vagrant up, with $(vm accel)"
    AMD_PACKAGE=$copies/amd.deb AMD_BUILD=$target/debug vm start
    step "vagrant halt and up"
    AMD_PACKAGE=$copies/amd.deb AMD_BUILD=$target/debug vm reload
}

# Our programs into the machine that has the engines.
install_programs() {
    step "installing"
    vm copy "$copies"/{amd.deb,simulated-host} vagrant/provision.sh /root/
    within 300 "$driver" ssh "$dir" \
        "date -s @$(date +%s) >/dev/null; /root/provision.sh --programs ./amd.deb"
}

# Runs tests in the VM that have one of these in their names, or all.
run_tests() {
    timeout --kill-after=10 "$limit" "$driver" ssh "$dir" \
        "AMD_VM_TESTS=1 /root/suite/vm --test-threads=1 $*" 2>&1 | clocked
}

# Runs a test program of simulated hosts, against the programs that are installed.
run_suite() {
    timeout --kill-after=10 "$limit" "$driver" ssh "$dir" \
        "AMD_TEST_REQUIRE=1 AMD_TEST_PROGRAMS=/usr/bin /root/suite/$1 ${*:2}" 2>&1 </dev/null
}

# Engines have races of their own, and the machine may be busy: what failed is tried once more, and
# said, as the other tests that start engines are.
test_all() {
    local status=0 failed=()
    rm -f "$dir"/log/tests*
    if [ "${VM_FILTER:-}" != none ]; then
        run_tests ${VM_FILTER:-} | tee "$dir/log/tests" || status=$?
    else
        : >"$dir/log/tests"
    fi
    mapfile -t failed < <(awk '$3 == "test" && / \.\.\. FAILED$/ { print $4 }' "$dir/log/tests")
    if [ "${#failed[@]}" -gt 0 ] && [ "${#failed[@]}" -lt 4 ]; then
        step "trying once more what failed: ${failed[*]}"
        status=0
        run_tests --exact "${failed[@]}" | tee "$dir/log/tests-again" || status=$?
        [ "$status" -ne 0 ] || echo "vm-test: FLAKY: ${failed[*]}"
    fi
    return "$status"
}

# What a simulated host is on a machine under emulation may be slow, too: a second chance for few.
test_suite() {
    local name status=0 failed
    for name in $suite; do
        step "testing $name"
        if run_suite "$name" | sed 's/^/  /' | tee "$dir/log/tests-of-$name"; then
            continue
        fi
        mapfile -t failed < <(awk '$1 == "test" && / \.\.\. FAILED$/ { print $2 }' "$dir/log/tests-of-$name")
        if [ "${#failed[@]}" -gt 0 ] && [ "${#failed[@]}" -lt 4 ] &&
            run_suite "$name" --exact "${failed[@]}" | sed 's/^/  /' >"$dir/log/tests-of-$name-again"; then
            echo "vm-test: FLAKY: ${failed[*]}"
        else
            status=1
        fi
    done
    return "$status"
}

keep_logs() {
    timeout 60 "$driver" ssh "$dir" 'journalctl --no-pager -b' >"$dir/log/journal" || true
    cp "$dir/run/console" "$dir/log/console" 2>/dev/null || true
    [ "$1" -ne 0 ] || return 0
    [ "$1" -ne 124 ] || echo "vm-test: the tests were not done after $limit s" >&2
    echo "--- the end of $dir/log/journal" >&2
    tail -n 40 "$dir/log/journal" >&2
}

main() {
    mkdir -p "$dir/log"
    exec {lock}>"$dir/lock"
    flock --nonblock "$lock" || {
        echo "vm-test: another run is at work in $dir; VM_DIR names another directory" >&2
        exit 1
    }
    copies=$(mktemp -d)
    trap 'rm -rf "$copies"; vm stop' EXIT
    # A machine that runs in spite of that is of a run that was killed.
    vm stop
    scripts/vm-deps.sh ${way#qemu}
    build_image
    build_programs
    if [ "$way" = vagrant ]; then
        vagrant_up
    else
        start_machine
        install_programs
    fi
    vm ssh rm -rf /root/suite
    cp "$copies/simulated-host" "$copies/suite"
    vm copy "$copies/suite" /root/
    step "testing"
    local status=0
    test_all || status=$?
    test_suite || status=$?
    keep_logs "$status"
    # What was tried once more counts by its last result.
    awk 'FNR == 1 { if (FILENAME ~ /-again$/) failed -= here; here = 0 }
        / test result: / { for (i = 1; i < NF; i++) n[$(i + 1)] = $i
            passed += n["passed;"]; failed += n["failed;"]; here += n["failed;"] }
        END { printf "Summary %d passed, %d failed in the VM\n", passed, failed }' "$dir"/log/tests*
    step "done; logs are in $dir/log"
    return "$status"
}

main; exit
