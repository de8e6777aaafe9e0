//! The v1 devices controller.

use libcgroups::common::{CgroupManager, ControllerOpt};
use serde_json::json;

use super::*;
use crate::device_cgroup::random_rules::RandomRules;

#[test]
fn the_kernel_lists_what_the_table_says() {
    let Some(root) = v1_root() else { return };
    let cgroup = TestCgroup::below(&root);
    for list in RandomRules::new(5).take(500) {
        let mut table = DeviceTable::deny_all();
        list.iter().for_each(|rule| table.apply(rule));
        v1::write(&cgroup.0, &[DeviceRule::DENY_ALL]).unwrap();
        v1::write(&cgroup.0, &list).unwrap();
        let text = fs::read_to_string(cgroup.0.join("devices.list")).unwrap();
        let differences = DeviceList::of(&table).differences(&DeviceList::parse(&text).unwrap());
        assert_eq!(differences, [], "{list:?}\n{text}");
    }
}

/// The default rules here are a copy of those in libcgroups, and its reading of a spec is its own.
#[test]
fn libcgroups_leaves_nothing_to_correct() {
    let Some(root) = v1_root() else { return };
    let cgroup = TestCgroup::below(&root);
    let list = rules(GPU);
    let devices: serde_json::Value = list.iter().map(|rule| rule.to_spec()).collect();
    let resources = serde_json::from_value(json!({ "devices": devices })).unwrap();
    let options = ControllerOpt {
        resources: &resources,
        disable_oom_killer: false,
        oom_score_adj: None,
        freezer_state: None,
    };
    let path = Path::new("/").join(cgroup.0.strip_prefix(&root).unwrap());
    libcgroups::v1::Manager::new(&path)
        .unwrap()
        .apply(&options)
        .unwrap();
    let text = fs::read_to_string(cgroup.0.join("devices.list")).unwrap();
    let actual = DeviceList::parse(&text).unwrap();
    assert_eq!(DeviceList::of(&table(GPU)).differences(&actual), []);
}

#[test]
fn rules_are_enforced_in_a_cgroup_that_was_open() {
    let Some(root) = v1_root() else { return };
    let cgroup = TestCgroup::below(&root);
    let mut inside = Inside::of(&cgroup.0);
    let enforcement = enforce(inside.pid(), &table(GPU), None).unwrap();
    assert_eq!(
        enforcement,
        Enforcement {
            cgroup: cgroup.0.clone(),
            by: EnforcedBy::V1
        }
    );
    assert_only_226_128_is_granted(&mut inside);
}

#[test]
fn rules_that_were_changed_are_put_right() {
    let Some(root) = v1_root() else { return };
    for changed in [
        rules(&["allow c 226:* r", "deny c 226:128 wm"]),
        vec![DeviceRule::ALLOW_ALL],
    ] {
        let cgroup = TestCgroup::below(&root);
        let mut inside = Inside::of(&cgroup.0);
        enforce(inside.pid(), &table(GPU), None).unwrap();
        v1::write(&cgroup.0, &changed).unwrap();
        enforce(inside.pid(), &table(GPU), None).unwrap();
        assert_only_226_128_is_granted(&mut inside);
    }
}

#[test]
fn exceptions_of_a_deny_list_are_enforced() {
    let Some(root) = v1_root() else { return };
    let cgroup = TestCgroup::below(&root);
    let mut inside = Inside::of(&cgroup.0);
    enforce(
        inside.pid(),
        &table(&["allow a *:* rwm", "deny c 226:129 rw"]),
        None,
    )
    .unwrap();
    inside.node("denied", "226", "129");
    inside.node("other", "226", "128");
    assert_eq!(inside.answer(": <>denied"), "EPERM");
    assert_eq!(inside.answer(": <>other"), "ENXIO");
}

#[test]
fn the_parent_cgroup_has_the_last_word() {
    let Some(root) = v1_root() else { return };
    let parent = TestCgroup::below(&root);
    v1::write(&parent.0, &rules(&["deny a *:* rwm", "allow c 1:* rwm"])).unwrap();
    let cgroup = TestCgroup::below(&parent.0);
    let inside = Inside::of(&cgroup.0);
    let error = enforce(inside.pid(), &table(GPU), None).unwrap_err();
    assert!(matches!(error, DeviceCgroupError::Write(_)), "{error}");
    assert!(error.hint().unwrap().contains("cgroup above"));
}

#[test]
fn cgroups_that_hold_the_caller_are_refused() {
    if is_second_run() {
        return assert_cgroups_that_hold_the_caller_are_refused();
    }
    let Some(root) = v1_root() else { return };
    let outer = TestCgroup::below(&root);
    let own = TestCgroup::below(&outer.0);
    let enter = format!("echo $$ >{}/cgroup.procs", own.0.display());
    run_again(
        concat!(module_path!(), "::cgroups_that_hold_the_caller_are_refused"),
        &enter,
    );
}
