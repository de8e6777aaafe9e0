//! `linux.seccomp`: runc's `SetupSeccomp` and `InitSeccomp`.

use oci_spec::runtime::{Arch, LinuxSeccompAction, LinuxSeccompFilterFlag, LinuxSeccompOperator};
use serde_json::Value;

use super::{SpecError, is_name_of, items, refuse, text, texts};

const NOTIFY: &str = "SCMP_ACT_NOTIFY";

const WAIT_KILLABLE: &str = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV";

/// A system call has six arguments.
const LAST_ARGUMENT: u64 = 5;

/// Checks the filter of system calls. One without a default action and without system
/// calls is none.
pub(super) fn check(linux: &Value) -> Result<(), SpecError> {
    let Some(seccomp) = linux.get("seccomp") else {
        return Ok(());
    };
    let default_action = text(seccomp, "defaultAction");
    let syscalls = items(seccomp, "syscalls");
    if default_action.is_empty() && syscalls.is_empty() {
        return Ok(());
    }
    for flag in texts(seccomp, "flags") {
        if !is_name_of::<LinuxSeccompFilterFlag>(flag) {
            return refuse(format!("seccomp flag {flag:?} is not known"));
        }
    }
    for arch in texts(seccomp, "architectures") {
        if !is_name_of::<Arch>(arch) {
            return refuse(format!("string {arch} is not a valid arch for seccomp"));
        }
    }
    check_action(default_action)?;
    if default_action == NOTIFY {
        return refuse(format!("{NOTIFY} cannot be used as default action"));
    }
    syscalls.iter().try_for_each(check_syscall)?;
    let notifies = syscalls.iter().any(|call| text(call, "action") == NOTIFY);
    if notifies && text(seccomp, "listenerPath").is_empty() {
        return refuse(format!("{NOTIFY} needs linux.seccomp.listenerPath"));
    }
    // The kernel takes the flag for a filter with an agent alone (seccomp(2)).
    if !notifies && texts(seccomp, "flags").any(|flag| flag == WAIT_KILLABLE) {
        return refuse(format!(
            "seccomp flag {WAIT_KILLABLE} is for {NOTIFY} alone"
        ));
    }
    Ok(())
}

fn check_action(action: &str) -> Result<(), SpecError> {
    if is_name_of::<LinuxSeccompAction>(action) {
        return Ok(());
    }
    refuse(format!("string {action} is not a valid action for seccomp"))
}

fn check_syscall(call: &Value) -> Result<(), SpecError> {
    let action = text(call, "action");
    check_action(action)?;
    // The runtime itself must write to the agent after the filter is in force.
    if action == NOTIFY && texts(call, "names").any(|name| name == "write") {
        return refuse(format!("{NOTIFY} cannot be used for the write syscall"));
    }
    for name in texts(call, "names") {
        if name.is_empty() {
            return refuse("empty string is not a valid syscall");
        }
    }
    for arg in items(call, "args") {
        let op = text(arg, "op");
        if !is_name_of::<LinuxSeccompOperator>(op) {
            return refuse(format!("string {op} is not a valid operator for seccomp"));
        }
        if arg.get("index").and_then(Value::as_u64).unwrap_or_default() > LAST_ARGUMENT {
            return refuse("cannot create condition to compare with argument > 6");
        }
    }
    Ok(())
}
