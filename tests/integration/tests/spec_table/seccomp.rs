//! `linux.seccomp`.

use serde_json::{Value, json};

use super::row::{Row, Verdict};
use super::runner::check;

fn filter(value: Value) -> Row {
    Row::set("/linux/seccomp", value)
}

fn with(key: &str, value: Value) -> Row {
    let mut seccomp = json!({"defaultAction": "SCMP_ACT_ALLOW"});
    seccomp[key] = value;
    filter(seccomp)
}

fn call(fields: Value) -> Row {
    with("syscalls", json!([fields]))
}

#[test]
fn filters() {
    check(&[
        filter(json!({})),
        filter(json!({"defaultAction": "", "syscalls": []})),
        filter(json!({"defaultAction": "SCMP_ACT_ALLOW"})),
        filter(json!({"defaultAction": "SCMP_ACT_NO_SUCH"})).refused("is not a valid action"),
        filter(json!({"defaultAction": "scmp_act_allow"})).refused("is not a valid action"),
        filter(json!({"defaultAction": "SCMP_ACT_NOTIFY"}))
            .refused("cannot be used as default action"),
        filter(json!({"syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}))
            .refused("is not a valid action"),
        with("architectures", json!([])),
        with(
            "architectures",
            json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]),
        ),
        with("architectures", json!(["SCMP_ARCH_NO_SUCH"])).refused("is not a valid arch"),
        with("architectures", json!([""])).refused("is not a valid arch"),
        with("flags", json!([])),
        with("flags", json!(["SECCOMP_FILTER_FLAG_LOG"]))
            .but_runc(Verdict::Refused, "runc 1.1 supports no flags"),
        with("flags", json!(["SECCOMP_FILTER_FLAG_NO_SUCH"])).refused("seccomp flag"),
        with("flags", json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]))
            .refused("is for SCMP_ACT_NOTIFY alone"),
        with("listenerPath", json!("")),
        with("listenerMetadata", json!("x")),
    ]);
}

#[test]
fn system_calls() {
    let errno = |more: Value| {
        let mut fields = json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"});
        for (key, value) in more.as_object().into_iter().flatten() {
            fields[key] = value.clone();
        }
        call(fields)
    };
    let compare = |arg| errno(json!({"args": [arg]}));
    check(&[
        errno(json!({})),
        errno(json!({"errnoRet": 38})),
        errno(json!({"names": ["no_such_system_call", "mkdir"]})),
        errno(json!({"names": []})),
        errno(json!({"names": null})),
        errno(json!({"names": [""]})).refused("empty string is not a valid syscall"),
        errno(json!({"action": "SCMP_ACT_NO_SUCH"})).refused("is not a valid action"),
        errno(json!({"action": null})).refused("is not a valid action"),
        call(json!(null)).refused("is not a valid action"),
        call(json!({"names": ["write"], "action": "SCMP_ACT_NOTIFY"}))
            .refused("cannot be used for the write syscall"),
        call(json!({"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"})).refused("listenerPath"),
        compare(json!({"index": 1, "value": 0, "op": "SCMP_CMP_EQ"})),
        compare(json!({"op": "SCMP_CMP_EQ"})),
        compare(json!({"index": 1, "value": u64::MAX, "valueTwo": 1, "op": "SCMP_CMP_MASKED_EQ"})),
        compare(json!({"index": 6, "value": 0, "op": "SCMP_CMP_EQ"})).refused("argument > 6"),
        compare(json!({"index": 1, "value": 0, "op": "SCMP_CMP_NO_SUCH"}))
            .refused("is not a valid operator"),
        compare(json!({"index": 1, "value": 0})).refused("is not a valid operator"),
    ]);
}
