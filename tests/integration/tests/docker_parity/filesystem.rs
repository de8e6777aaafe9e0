//! The root filesystem, mounts, and what of /proc and /sys a container sees.

use crate::compare::{Case, assert_alike};

const CASES: &[Case] = &[
    ("mounts", r#"try sh -c "$mounts""#),
    (
        "mounts-read-only",
        r#"run --rm --read-only --tmpfs /run -v "$dir:/rw" "$image" sh -c "$mounts""#,
    ),
    (
        "mount-options",
        r#"run --rm --mount type=bind,src="$dir",dst=/c,bind-propagation=private,readonly --tmpfs /d:rw,noexec,nosuid,size=64k,mode=1770,uid=5,gid=6 "$image" sh -c "$mounts | grep -E ' /[cd] ' | sort -k 2; stat -c '%a %u:%g' /d""#,
    ),
    (
        "places-of-the-root",
        r#"try sh -c 'stat -c "%n %a %u:%g" / /.dockerenv /* | sort; cd ../../../..; ls; ls /proc/1/root/'"#,
    ),
    (
        "read-only-root",
        r#"run --rm --read-only "$image" sh -c 'touch /x; touch /dev/x && echo dev; touch /dev/shm/x && echo shm; touch /proc/x; touch /sys/x'"#,
    ),
    (
        "masked-and-read-only-paths",
        r#"try sh -c 'for p in /proc/kcore /proc/keys /proc/timer_list /proc/sched_debug; do wc -c <$p; done
            for p in /proc/acpi /proc/scsi /sys/firmware; do ls -A $p | wc -l; touch $p/x; done
            echo 1 >/proc/sys/kernel/panic; echo h >/proc/sysrq-trigger; touch /proc/bus/x; touch /proc/irq/x; echo end'"#,
    ),
    (
        "nothing-masked",
        r#"run --rm --security-opt systempaths=unconfined "$image" sh -c 'cut -d" " -f 5 /proc/self/mountinfo | grep ^/proc'"#,
    ),
    (
        "volumes",
        r#"echo host >"$dir/f"
        run --rm -v "$dir:/v" -v "$dir:/r:ro" -v "$dir/f:/new/dir/f" -v "$dir/f:/etc/passwd:ro" "$image" sh -c 'cat /v/f /r/f /new/dir/f /etc/passwd; echo container >/v/g; touch /r/x; echo x >>/etc/passwd; stat -c "%a %u:%g" /v /v/g /new /new/dir'
        cat "$dir/g""#,
    ),
    (
        "volume-of-docker",
        r#"run --rm -v "$box-v:/etc" "$image" ls /etc; docker volume rm -f "$box-v" >/dev/null"#,
    ),
    (
        "volume-onto-a-link",
        r#"run --name "$box" "$image" ln -s /tmp /link; docker commit "$box" "$box" >/dev/null; touch "$dir/f"
        run --rm -v "$dir:/link" "$box" sh -c 'ls /tmp /link; readlink /link'; docker rmi "$box" >/dev/null"#,
    ),
    (
        "volume-onto-a-file",
        r#"run --rm -v "$dir:/etc/passwd" "$image" true"#,
    ),
    (
        "file-onto-a-directory",
        r#"touch "$dir/f"; run --rm -v "$dir/f:/etc" "$image" true"#,
    ),
    (
        "volume-below-a-volume",
        r#"mkdir -p "$dir/a" "$dir/b"; run --rm -v "$dir/a:/v" -v "$dir/b:/v/w" "$image" sh -c 'echo x >/v/w/f'; ls "$dir/a" "$dir/b""#,
    ),
    (
        "volume-onto-proc",
        r#"run --rm -v "$dir:/proc" "$image" true"#,
    ),
    (
        "volume-into-proc",
        r#"run --rm -v "$dir:/proc/x" "$image" true"#,
    ),
    (
        "volume-onto-sys",
        r#"run --rm -v "$dir:/sys" "$image" ls /sys"#,
    ),
    (
        "tmpfs",
        r#"run --rm --tmpfs /t --tmpfs /u:size=64k,mode=700 --shm-size 1m "$image" sh -c 'stat -c "%a %u:%g" /t /u; grep -E " (/[tu]|/dev/shm) " /proc/mounts | sort; dd if=/dev/zero of=/u/x bs=1k count=100 2>&1 | grep -o "No space.*"'"#,
    ),
    (
        "tmpfs-over-files-of-the-image",
        r#"run --rm --tmpfs /etc --tmpfs /root "$image" sh -c 'ls /etc; stat -c "%a %u:%g" /etc /root'"#,
    ),
    (
        "files-of-docker",
        r#"run --rm --hostname h --add-host other:10.1.2.3 --dns 10.9.9.9 "$image" sh -c 'cat /etc/hostname /etc/resolv.conf; grep other /etc/hosts; stat -c "%a %u:%g" /etc/hosts /etc/hostname /etc/resolv.conf'"#,
    ),
    (
        "changes-of-a-container",
        r#"run --name "$box" "$image" sh -c 'echo a >/tmp/a; rm /etc/group; mkdir /new'; docker diff "$box" | sort"#,
    ),
];

#[test]
fn files_and_mounts_are_the_same() {
    assert_alike(CASES);
}
