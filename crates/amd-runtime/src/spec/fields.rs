//! Every field of config.json and its type, as the Go structs of the OCI runtime spec
//! (`specs-go/config.go` of 1.3) declare them.
//!
//! Fields of other platforms are listed where runc decodes them, with nothing in them.

use super::shape::Shape::{self, AnyText, Fields, Flag, Integer, List, Map, Text};

/// A field by its name.
pub(super) type Field = (&'static str, Shape);

const I32: Shape = Integer(i32::MIN as i128, i32::MAX as i128);
const I64: Shape = Integer(i64::MIN as i128, i64::MAX as i128);
const U16: Shape = Integer(0, u16::MAX as i128);
const U32: Shape = Integer(0, u32::MAX as i128);
const U64: Shape = Integer(0, u64::MAX as i128);
const TEXTS: Shape = List(&Text);
const NOTHING: Shape = Fields(&[]);

/// The whole of config.json.
pub(super) const SPEC: Shape = Fields(&[
    ("ociVersion", Text),
    ("process", PROCESS),
    ("root", Fields(&[("path", Text), ("readonly", Flag)])),
    ("hostname", Text),
    ("domainname", Text),
    ("mounts", List(&MOUNT)),
    ("hooks", HOOKS),
    ("annotations", Map(&AnyText)),
    ("linux", LINUX),
    ("solaris", NOTHING),
    ("windows", NOTHING),
    ("vm", NOTHING),
    ("zos", NOTHING),
    ("freebsd", NOTHING),
]);

/// `process`, and the file of `exec --process`.
pub(super) const PROCESS: Shape = Fields(&[
    ("terminal", Flag),
    ("consoleSize", Fields(&[("height", U64), ("width", U64)])),
    (
        "user",
        Fields(&[
            ("uid", U32),
            ("gid", U32),
            ("umask", U32),
            ("additionalGids", List(&U32)),
            ("username", AnyText),
        ]),
    ),
    ("args", TEXTS),
    ("commandLine", AnyText),
    ("env", TEXTS),
    ("cwd", Text),
    (
        "capabilities",
        Fields(&[
            ("bounding", TEXTS),
            ("effective", TEXTS),
            ("inheritable", TEXTS),
            ("permitted", TEXTS),
            ("ambient", TEXTS),
        ]),
    ),
    (
        "rlimits",
        List(&Fields(&[("type", Text), ("hard", U64), ("soft", U64)])),
    ),
    ("noNewPrivileges", Flag),
    ("apparmorProfile", Text),
    ("oomScoreAdj", I64),
    (
        "scheduler",
        Fields(&[
            ("policy", Text),
            ("nice", I32),
            ("priority", I32),
            ("flags", TEXTS),
            ("runtime", U64),
            ("deadline", U64),
            ("period", U64),
        ]),
    ),
    ("selinuxLabel", Text),
    ("ioPriority", Fields(&[("class", Text), ("priority", I64)])),
    (
        "execCPUAffinity",
        Fields(&[("initial", Text), ("final", Text)]),
    ),
]);

const ID_MAPPINGS: Shape = List(&Fields(&[
    ("containerID", U32),
    ("hostID", U32),
    ("size", U32),
]));

const MOUNT: Shape = Fields(&[
    ("destination", Text),
    ("type", Text),
    ("source", Text),
    ("options", TEXTS),
    ("uidMappings", ID_MAPPINGS),
    ("gidMappings", ID_MAPPINGS),
]);

const HOOK_LIST: Shape = List(&Fields(&[
    ("path", Text),
    ("args", TEXTS),
    ("env", TEXTS),
    ("timeout", I64),
]));

const HOOKS: Shape = Fields(&[
    ("prestart", HOOK_LIST),
    ("createRuntime", HOOK_LIST),
    ("createContainer", HOOK_LIST),
    ("startContainer", HOOK_LIST),
    ("poststart", HOOK_LIST),
    ("poststop", HOOK_LIST),
]);

const LINUX: Shape = Fields(&[
    ("uidMappings", ID_MAPPINGS),
    ("gidMappings", ID_MAPPINGS),
    ("sysctl", Map(&Text)),
    ("resources", RESOURCES),
    ("cgroupsPath", Text),
    (
        "namespaces",
        List(&Fields(&[("type", Text), ("path", Text)])),
    ),
    (
        "devices",
        List(&Fields(&[
            ("path", Text),
            ("type", Text),
            ("major", I64),
            ("minor", I64),
            ("fileMode", U32),
            ("uid", U32),
            ("gid", U32),
        ])),
    ),
    ("netDevices", Map(&Fields(&[("name", Text)]))),
    ("seccomp", SECCOMP),
    ("rootfsPropagation", Text),
    ("maskedPaths", TEXTS),
    ("readonlyPaths", TEXTS),
    ("mountLabel", Text),
    (
        "intelRdt",
        Fields(&[
            ("closID", Text),
            ("schemata", TEXTS),
            ("l3CacheSchema", Text),
            ("memBwSchema", Text),
            ("enableCMT", Flag),
            ("enableMBM", Flag),
            ("enableMonitoring", Flag),
        ]),
    ),
    (
        "memoryPolicy",
        Fields(&[("mode", Text), ("nodes", Text), ("flags", TEXTS)]),
    ),
    ("personality", Fields(&[("domain", Text), ("flags", TEXTS)])),
    (
        "timeOffsets",
        Map(&Fields(&[("secs", I64), ("nanosecs", U32)])),
    ),
]);

const SECCOMP: Shape = Fields(&[
    ("defaultAction", Text),
    ("defaultErrnoRet", U32),
    ("architectures", TEXTS),
    ("flags", TEXTS),
    ("listenerPath", Text),
    ("listenerMetadata", Text),
    (
        "syscalls",
        List(&Fields(&[
            ("names", TEXTS),
            ("action", Text),
            ("errnoRet", U32),
            (
                "args",
                List(&Fields(&[
                    ("index", U64),
                    ("value", U64),
                    ("valueTwo", U64),
                    ("op", Text),
                ])),
            ),
        ])),
    ),
]);

const THROTTLE: Shape = List(&Fields(&[("major", I64), ("minor", I64), ("rate", U64)]));

const RESOURCES: Shape = Fields(&[
    (
        "devices",
        List(&Fields(&[
            ("allow", Flag),
            ("type", Text),
            ("major", I64),
            ("minor", I64),
            ("access", Text),
        ])),
    ),
    (
        "memory",
        Fields(&[
            ("limit", I64),
            ("reservation", I64),
            ("swap", I64),
            ("kernel", I64),
            ("kernelTCP", I64),
            ("swappiness", U64),
            ("disableOOMKiller", Flag),
            ("useHierarchy", Flag),
            ("checkBeforeUpdate", Flag),
        ]),
    ),
    (
        "cpu",
        Fields(&[
            ("shares", U64),
            ("quota", I64),
            ("burst", U64),
            ("period", U64),
            ("realtimeRuntime", I64),
            ("realtimePeriod", U64),
            ("cpus", Text),
            ("mems", Text),
            ("idle", I64),
        ]),
    ),
    ("pids", Fields(&[("limit", I64)])),
    (
        "blockIO",
        Fields(&[
            ("weight", U16),
            ("leafWeight", U16),
            (
                "weightDevice",
                List(&Fields(&[
                    ("major", I64),
                    ("minor", I64),
                    ("weight", U16),
                    ("leafWeight", U16),
                ])),
            ),
            ("throttleReadBpsDevice", THROTTLE),
            ("throttleWriteBpsDevice", THROTTLE),
            ("throttleReadIOPSDevice", THROTTLE),
            ("throttleWriteIOPSDevice", THROTTLE),
        ]),
    ),
    (
        "hugepageLimits",
        // libcontainer has the limit as an i64; runc as a u64.
        List(&Fields(&[
            ("pageSize", Text),
            ("limit", Integer(0, i64::MAX as i128)),
        ])),
    ),
    (
        "network",
        Fields(&[
            ("classID", U32),
            (
                "priorities",
                List(&Fields(&[("name", Text), ("priority", U32)])),
            ),
        ]),
    ),
    (
        "rdma",
        Map(&Fields(&[("hcaHandles", U32), ("hcaObjects", U32)])),
    ),
    ("unified", Map(&Text)),
]);
