//! `amd-ctk runtime configure --runtime crio`: what CRI-O reads, by its manual

#![allow(clippy::unwrap_used, reason = "a fixture may panic")]

mod engine_host;

use engine_host::Host;
use toml::{Table, Value};

const DROP_IN: &str = "etc/crio/crio.conf.d/99-amd.conf";

/// As CRI-O's packages bring it.
const PACKAGED: &str = r#"
[crio.image]
signature_policy = "/etc/crio/policy.json"

[crio.runtime]
default_runtime = "crun"

[crio.runtime.runtimes.crun]
runtime_path = "/usr/libexec/crio/crun"
runtime_root = "/run/crun"
monitor_path = "/usr/libexec/crio/conmon"
allowed_annotations = [
    "io.containers.trace-syscall",
]

[crio.runtime.runtimes.runc]
runtime_path = "/usr/libexec/crio/runc"
runtime_root = "/run/runc"
"#;

/// Whether crio.conf(5), "CRIO.RUNTIME.RUNTIMES TABLE", knows such a key of such a type.
fn is_documented(key: &str, value: &Value) -> bool {
    match key {
        "runtime_path"
        | "runtime_root"
        | "runtime_config_path"
        | "monitor_path"
        | "monitor_cgroup"
        | "monitor_exec_cgroup"
        | "container_min_memory"
        | "exec_cpu_affinity" => value.is_str(),
        "runtime_type" => matches!(value.as_str(), Some("oci" | "vm" | "pod")),
        "privileged_without_host_devices" | "inherit_default_runtime" | "no_sync_log" => {
            value.is_bool()
        }
        "allowed_annotations" | "monitor_env" => value
            .as_array()
            .is_some_and(|items| items.iter().all(Value::is_str)),
        "platform_runtime_paths" | "default_annotations" => value.is_table(),
        _ => false,
    }
}

/// What CRI-O comes to by its files, which it reads one after the other: a later value of a
/// key takes the place of an earlier one, and tables of runtimes are merged by their names.
fn merged(texts: &[&str]) -> Table {
    fn merge(into: &mut Table, from: Table) {
        for (key, value) in from {
            match (into.get_mut(&key), value) {
                (Some(Value::Table(into)), Value::Table(from)) => merge(into, from),
                (_, value) => {
                    into.insert(key, value);
                }
            }
        }
    }
    let mut all = Table::new();
    for text in texts {
        merge(&mut all, text.parse().unwrap());
    }
    all
}

fn configured(options: &[&str]) -> (Table, Table) {
    let host = Host::new();
    host.file("etc/crio/crio.conf.d/10-crio.conf", PACKAGED);
    host.configured(&[&["--runtime", "crio"], options].concat());
    let before = merged(&[PACKAGED]);
    (before, merged(&[PACKAGED, &host.read(DROP_IN)]))
}

#[test]
fn the_drop_in_has_keys_of_the_manual_alone() {
    let (_, after) = configured(&["--set-as-default"]);
    let runtime = after["crio"]["runtime"].as_table().unwrap();
    let entry = runtime["runtimes"]["amd"].as_table().unwrap();
    assert!(entry.len() >= 4, "{entry:?}");
    for (key, value) in entry {
        assert!(is_documented(key, value), "{key} = {value:?}");
    }
    assert!(!is_documented("runtime", &Value::String("x".to_owned())));
}

#[test]
fn crio_finds_the_program_and_the_settings_of_its_default_runtime() {
    let (_, after) = configured(&["--runtime-name", "gpu"]);
    let expected = "runtime_path = '/usr/bin/amd-container-runtime'\n\
                    runtime_type = 'oci'\n\
                    runtime_root = '/run/crun'\n\
                    monitor_path = '/usr/libexec/crio/conmon'\n\
                    allowed_annotations = ['io.containers.trace-syscall']\n";
    let entry = after["crio"]["runtime"]["runtimes"]["gpu"].as_table();
    assert_eq!(entry, Some(&expected.parse().unwrap()));
}

#[test]
fn the_other_settings_of_crio_are_what_they_were() {
    let (before, mut after) = configured(&["--set-as-default"]);
    let runtime = after["crio"]["runtime"].as_table_mut().unwrap();
    let default = runtime.insert("default_runtime".to_owned(), "crun".into());
    assert_eq!(default.unwrap().as_str(), Some("amd"));
    runtime["runtimes"].as_table_mut().unwrap().remove("amd");
    assert_eq!(after, before);
}
