//! Where our runtime is not as runc 1.1, and why.

use crate::compare::Part::{self, Code, Stderr, Stdout};

/// A part of a case in which the two differ.
#[derive(Debug)]
pub struct Difference {
    /// The case's name.
    pub case: &'static str,
    /// What differs.
    pub part: Part,
    /// What ours has in it.
    pub ours: &'static str,
    /// Why.
    pub why: &'static str,
}

const fn differs(
    case: &'static str,
    part: Part,
    ours: &'static str,
    why: &'static str,
) -> Difference {
    Difference {
        case,
        part,
        ours,
        why,
    }
}

const NEWER_RUNC: &str = "as runc says it from 1.2 on";
const WORDS: &str = "the same error in other words";
const NAMED_HIERARCHY: &str =
    "the hierarchies that libcontainer does not know are joined after the namespace was made";
const CGROUP_MOUNT: &str = "read-only as a whole, so that no directory can be made in it";

const MOUNTS: &str =
    "cgroups in another order; the root is private; masked directories have a small size";

/// All of them.
pub const DIFFERENCES: &[Difference] = &[
    differs(
        "a-directory",
        Stderr,
        "\"/etc\": is a directory",
        NEWER_RUNC,
    ),
    differs(
        "exec-of-a-directory",
        Stdout,
        "\"/etc\": is a directory",
        NEWER_RUNC,
    ),
    differs("path-through-a-file", Stderr, "not a directory", WORDS),
    differs(
        "program-of-root-alone-for-a-user",
        Stderr,
        "exec: \"/x/true\": permission denied",
        WORDS,
    ),
    differs(
        "no-format-that-can-be-executed",
        Code,
        "255",
        "runc exits with 1 where execve(2) fails",
    ),
    differs(
        "interpreter-is-not-there",
        Code,
        "255",
        "runc exits with 1 where execve(2) fails",
    ),
    differs(
        "cgroup-mounts",
        Stdout,
        "/sys/fs/cgroup tmpfs ro",
        CGROUP_MOUNT,
    ),
    differs("cgroups-cannot-be-written", Code, "1", CGROUP_MOUNT),
    differs(
        "cgroups-cannot-be-written",
        Stderr,
        "'/sys/fs/cgroup/x': Read-only",
        CGROUP_MOUNT,
    ),
    differs(
        "cgroup-namespace",
        Stdout,
        "name=systemd:<cgroup>/<id>",
        NAMED_HIERARCHY,
    ),
    differs(
        "sysctl-of-a-wrong-value",
        Stderr,
        "net.ipv4.ip_forward",
        WORDS,
    ),
    differs("sysctl-that-is-not", Stderr, "net.no.such", WORDS),
    differs("file-onto-a-directory", Stderr, "\"/etc\"", WORDS),
    differs("volume-onto-a-file", Stderr, "\"/etc/passwd\"", WORDS),
    differs("volume-into-proc", Stderr, "\"/proc/x\"", WORDS),
    differs("volume-onto-proc", Stderr, "it is not of type proc", WORDS),
    differs("mounts", Stdout, "/sys/fs/cgroup ro,", MOUNTS),
    differs("mounts-read-only", Stdout, "/sys/fs/cgroup ro,", MOUNTS),
];
