//! Devices, without GPUs.

use crate::compare::{Case, assert_alike};

const CASES: &[Case] = &[
    (
        "default-devices",
        r#"try sh -c 'stat -c "%n %F %t:%T %a %u:%g" /dev /dev/* | sort; readlink /dev/fd /dev/ptmx /dev/core
            head -c 3 /dev/zero | od -An -c; echo x >/dev/full
            for n in "c 1 3" "c 1 11" "c 226 128" "b 7 0"; do mknod /tmp/n $n && (: </tmp/n); echo "$n $?"; rm -f /tmp/n; done
            sort /sys/fs/cgroup/devices/devices.list'"#,
    ),
    (
        "devices-given",
        r#"run --rm --device /dev/kmsg --device /dev/kmsg:/dev/other/log:r --device /dev/null --device /dev/net "$image" sh -c 'stat -c "%n %t:%T %a %u:%g" /dev/kmsg /dev/other/log /dev/null /dev/net/*
            (: </dev/kmsg) && echo read; (: >>/dev/kmsg) && echo write; sort /sys/fs/cgroup/devices/devices.list'"#,
    ),
    (
        "a-device-to-read",
        r#"run --rm --device /dev/kmsg:/dev/log:r "$image" sh -c '(: </dev/log) && echo read; (: >>/dev/log); mknod /tmp/m c 1 11'"#,
    ),
    (
        "a-device-for-a-user",
        r#"run --rm -u 1000 --device /dev/kmsg "$image" sh -c '(: </dev/kmsg) && echo read'"#,
    ),
    (
        "a-device-elsewhere",
        r#"run --rm --device /dev/null:/opt/null "$image" sh -c 'stat -c "%t:%T %a" /opt/null; echo x >/opt/null && echo written'"#,
    ),
    (
        "a-device-that-is-not",
        r#"run --rm --device /dev/no-such "$image" true"#,
    ),
    (
        "a-rule",
        r#"run --rm --device-cgroup-rule 'c 1:11 rm' --device-cgroup-rule 'b 7:* r' "$image" sh -c 'mknod /tmp/n c 1 11; (: </tmp/n) && echo read; (: >>/tmp/n) && echo write; sort /sys/fs/cgroup/devices/devices.list'"#,
    ),
    (
        "a-rule-of-every-minor",
        r#"run --rm --device-cgroup-rule 'c 1:* rwm' "$image" sh -c 'mknod /tmp/n c 1 11; (: </tmp/n) && echo read; (: >>/tmp/n) && echo write; mknod /tmp/o c 226 128; (: </tmp/o)'"#,
    ),
    (
        "a-rule-of-every-major",
        r#"run --rm --device-cgroup-rule 'c *:* rwm' "$image" sh -c 'mknod /tmp/n c 1 11; (: </tmp/n) && echo read; mknod /tmp/o b 7 0; (: </tmp/o)'"#,
    ),
    (
        "a-rule-of-everything",
        r#"run --rm --device-cgroup-rule 'a *:* rwm' "$image" sh -c 'mknod /tmp/n c 1 11; (: </tmp/n) && echo read'"#,
    ),
    (
        "devices-after-update",
        r#"up --device /dev/kmsg; docker update --cpu-shares 77 "$box" >/dev/null
        docker exec "$box" sh -c '(: </dev/kmsg) && echo read; mknod /tmp/n c 226 128; (: </tmp/n); sort /sys/fs/cgroup/devices/devices.list'"#,
    ),
];

#[test]
fn devices_are_the_same() {
    assert_alike(CASES);
}
