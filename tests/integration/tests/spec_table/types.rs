//! Every field with a value of another type, and every field that may be missing as null.

use serde_json::{Value, json};

use super::row::{NEW, Row, Verdict, good};
use super::runner::check;

/// Values that a field can be of another type than.
enum Type {
    Text,
    Texts,
    Flag,
    /// A number of 32 bits, signed or not.
    I32,
    U16,
    U32,
    U32s,
    I64,
    U64,
    /// Of 64 bits to runc, of 32 to ours.
    Errno,
    Object,
    Objects,
    TextMap,
}

use Type::{Errno, Flag, I32, I64, Object, Objects, Text, TextMap, Texts, U16, U32, U32s, U64};

impl Type {
    fn wrong(&self) -> Vec<Value> {
        match self {
            Text => vec![json!(5)],
            Texts => vec![json!("a"), json!([5])],
            Flag => vec![json!("true")],
            I32 => vec![json!("5"), json!(3_000_000_000_u32)],
            U16 => vec![json!("5"), json!(70_000)],
            U32 => vec![json!(-1), json!(5_000_000_000_u64)],
            U32s => vec![json!({}), json!(["5"]), json!([-1])],
            I64 => vec![json!("5"), json!(u64::MAX), json!(1.5)],
            U64 => vec![json!(-1), json!(1e300)],
            Errno => vec![json!("5"), json!(-1)],
            Object => vec![json!([])],
            Objects => vec![json!({}), json!([5])],
            TextMap => vec![json!([]), json!({"a": 5})],
        }
    }
}

/// The fields of the spec by their JSON pointers. `*` is element 0 of an array that has
/// nothing but it.
const FIELDS: [(&str, Type); 99] = [
    ("/ociVersion", Text),
    ("/hostname", Text),
    ("/domainname", Text),
    ("/annotations", TextMap),
    ("/root", Object),
    ("/root/path", Text),
    ("/root/readonly", Flag),
    ("/process", Object),
    ("/process/terminal", Flag),
    ("/process/consoleSize", Object),
    ("/process/consoleSize/height", U64),
    ("/process/consoleSize/width", U64),
    ("/process/user", Object),
    ("/process/user/uid", U32),
    ("/process/user/gid", U32),
    ("/process/user/umask", U32),
    ("/process/user/additionalGids", U32s),
    ("/process/user/username", Text),
    ("/process/args", Texts),
    ("/process/env", Texts),
    ("/process/cwd", Text),
    ("/process/capabilities", Object),
    ("/process/capabilities/bounding", Texts),
    ("/process/capabilities/effective", Texts),
    ("/process/capabilities/permitted", Texts),
    ("/process/capabilities/inheritable", Texts),
    ("/process/capabilities/ambient", Texts),
    ("/process/rlimits", Objects),
    ("/process/rlimits/*/type", Text),
    ("/process/rlimits/*/hard", U64),
    ("/process/rlimits/*/soft", U64),
    ("/process/noNewPrivileges", Flag),
    ("/process/apparmorProfile", Text),
    ("/process/oomScoreAdj", I64),
    ("/process/selinuxLabel", Text),
    ("/mounts", Objects),
    ("/mounts/*/destination", Text),
    ("/mounts/*/type", Text),
    ("/mounts/*/source", Text),
    ("/mounts/*/options", Texts),
    ("/hooks", Object),
    ("/hooks/prestart", Objects),
    ("/hooks/createRuntime", Objects),
    ("/hooks/createContainer", Objects),
    ("/hooks/startContainer", Objects),
    ("/hooks/poststart", Objects),
    ("/hooks/poststop", Objects),
    ("/hooks/poststop/*/path", Text),
    ("/hooks/poststop/*/args", Texts),
    ("/hooks/poststop/*/env", Texts),
    ("/hooks/poststop/*/timeout", I64),
    ("/linux", Object),
    ("/linux/uidMappings", Objects),
    ("/linux/uidMappings/*/hostID", U32),
    ("/linux/gidMappings/*/containerID", U32),
    ("/linux/gidMappings/*/size", U32),
    ("/linux/sysctl", TextMap),
    ("/linux/cgroupsPath", Text),
    ("/linux/namespaces", Objects),
    ("/linux/namespaces/*/type", Text),
    ("/linux/namespaces/*/path", Text),
    ("/linux/devices", Objects),
    ("/linux/devices/*/path", Text),
    ("/linux/devices/*/type", Text),
    ("/linux/devices/*/major", I64),
    ("/linux/devices/*/minor", I64),
    ("/linux/devices/*/fileMode", U32),
    ("/linux/devices/*/uid", U32),
    ("/linux/devices/*/gid", U32),
    ("/linux/rootfsPropagation", Text),
    ("/linux/maskedPaths", Texts),
    ("/linux/readonlyPaths", Texts),
    ("/linux/mountLabel", Text),
    ("/linux/intelRdt", Object),
    ("/linux/intelRdt/closID", Text),
    ("/linux/seccomp", Object),
    ("/linux/seccomp/defaultAction", Text),
    ("/linux/seccomp/defaultErrnoRet", Errno),
    ("/linux/seccomp/architectures", Texts),
    ("/linux/seccomp/syscalls", Objects),
    ("/linux/seccomp/syscalls/*/names", Texts),
    ("/linux/seccomp/syscalls/*/args", Objects),
    ("/linux/seccomp/syscalls/*/args/*/value", U64),
    ("/linux/resources", Object),
    ("/linux/resources/devices", Objects),
    ("/linux/resources/devices/*/allow", Flag),
    ("/linux/resources/devices/*/access", Text),
    ("/linux/resources/devices/*/major", I64),
    ("/linux/resources/memory", Object),
    ("/linux/resources/memory/limit", I64),
    ("/linux/resources/memory/swappiness", U64),
    ("/linux/resources/memory/disableOOMKiller", Flag),
    ("/linux/resources/cpu/shares", U64),
    ("/linux/resources/cpu/cpus", Text),
    ("/linux/resources/cpu/idle", I64),
    ("/linux/personality/domain", Text),
    ("/linux/resources/pids/limit", I64),
    ("/linux/resources/blockIO/weight", U16),
    ("/linux/resources/unified", TextMap),
];

/// Fields that runc 1.1 does not know.
const NEW_FIELDS: [(&str, Type); 8] = [
    ("/process/scheduler", Object),
    ("/process/scheduler/policy", Text),
    ("/process/scheduler/nice", I32),
    ("/process/ioPriority/class", Text),
    ("/process/ioPriority/priority", I64),
    ("/linux/memoryPolicy/mode", Text),
    ("/linux/netDevices", Object),
    ("/linux/timeOffsets", Object),
];

/// The good spec with `value` at a pointer, of which `*` makes an array of one.
fn with(pointer: &str, value: &Value) -> Row {
    match pointer.split_once("/*") {
        Some((array, below)) => {
            let mut element = value.clone();
            for key in below.rsplit('/').filter(|key| !key.is_empty()) {
                element = if key == "*" {
                    json!([element])
                } else {
                    json!({key: element})
                };
            }
            Row::set(array, json!([element]))
        }
        None => Row::set(pointer, value.clone()),
    }
}

/// The words of the message: the path of the field.
fn path(pointer: &str) -> String {
    pointer
        .trim_start_matches('/')
        .replace("/*", "[0]")
        .replace('/', ".")
}

fn rows(fields: &[(&str, Type)]) -> Vec<Row> {
    let wrong = |(pointer, kind): &(&str, Type)| {
        kind.wrong()
            .into_iter()
            .map(|value| with(pointer, &value).refused(&path(pointer)))
            .collect::<Vec<_>>()
    };
    fields.iter().flat_map(wrong).collect()
}

#[test]
fn a_value_of_another_type_is_refused_by_its_path() {
    check(&rows(&FIELDS));
}

#[test]
fn a_value_of_another_type_is_refused_in_fields_of_newer_runcs() {
    let rows = rows(&NEW_FIELDS).into_iter();
    check(
        &rows
            .map(|row| row.but_runc(Verdict::Accepted, NEW))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn null_is_the_same_as_missing() {
    let must_be_there = |pointer: &str| {
        // Without a mount namespace the container's mounts would be the host's.
        let pointers = [
            "/process/args",
            "/process/cwd",
            "/root/path",
            "/linux/namespaces",
        ];
        // These sections must not be empty.
        let sections = ["/linux/personality", "/linux/intelRdt"];
        pointers.contains(&pointer) || sections.iter().any(|section| pointer.starts_with(section))
    };
    let all_null = FIELDS
        .iter()
        .filter(|(pointer, _)| !pointer.contains('*') && !must_be_there(pointer))
        // Sections are rows of their own.
        .filter(|(_, kind)| !matches!(kind, Object))
        .fold(good(), |spec, (pointer, _)| spec.set(pointer, Value::Null));
    let proc = json!([{"destination": "/proc", "type": "proc", "source": "proc"}]);
    let row = |name, spec: integration::spec::Spec| Row::edit(name, |_| spec);
    check(&[
        row(
            "every field null",
            all_null.args(&["/bin/true"]).set("/mounts", proc),
        ),
        Row::set("/process/capabilities", Value::Null),
        Row::set("/process/user", Value::Null),
        Row::set("/hooks", Value::Null),
        Row::set("/linux/resources", Value::Null),
        Row::set("/linux/seccomp", Value::Null),
        Row::set("/linux/intelRdt", Value::Null),
        Row::set("/mounts", Value::Null)
            .but_runc(Verdict::Refused, "runc 1.1 needs /proc in the container"),
        Row::set("/process/consoleSize", Value::Null),
        Row::set("/annotations", json!({"a": null})),
        Row::set("/process", Value::Null).refused("process property must not be empty"),
        Row::set("/root", Value::Null).refused("root must be specified"),
        Row::set("/process/args", Value::Null).refused("args must not be empty"),
        Row::set("/process/cwd", Value::Null).refused("Cwd property must not be empty"),
    ]);
}
