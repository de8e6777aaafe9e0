//! What is exclusive, and to whom it is refused.

use integration::bundle::Bundle;
use integration::host::Cgroups;
use integration::mi300x::minors;
use integration::require;
use integration::runtime::Runtime;
use integration::spec::Spec;
use serde_json::{Value, json};

use crate::fixture::{RUN, SETTINGS, status, write};
use crate::fixture::{assert_in_use, bundle, ctk, exists, holders, host, host_with_exclusive};

#[test]
fn an_exclusive_gpu_is_for_one_container_at_a_time_and_a_shared_one_for_all() {
    let Some(host) = host_with_exclusive("0") else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    runtime.up(&bundle(&host, "a", "0,1"));
    runtime.up(&bundle(&host, "b", "1"));
    let refused = bundle(&host, "c", "0");
    assert_in_use(runtime.create(&refused), "0", "a");
    // Nothing of it is there.
    assert!(!exists(&host, runtime.root().join("c")));
    assert_eq!(holders(&host, 0), ["a"]);
    assert_eq!(holders(&host, 1), ["a", "b"]);

    runtime.call(&["delete", "--force", "a"]).ok();
    runtime.up(&refused);
    assert_eq!(holders(&host, 0), ["c"]);
}

#[test]
fn run_takes_and_leaves_gpus_as_create_does() {
    let Some(host) = host_with_exclusive("0") else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let spec = Spec::docker().env("AMD_VISIBLE_DEVICES=0").args(&["true"]);
    runtime.run(&Bundle::new(&host, "a", spec.clone())).ok();
    let holder = bundle(&host, "b", "0");
    runtime.up(&holder);
    assert_in_use(runtime.run(&Bundle::new(&host, "a", spec)), "0", "b");
}

#[test]
fn a_container_gets_all_that_it_asks_for_or_nothing() {
    let Some(host) = host_with_exclusive("0-2") else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    runtime.up(&bundle(&host, "a", "1"));
    assert_in_use(runtime.create(&bundle(&host, "b", "0-2")), "1", "a");
    assert_eq!(holders(&host, 0), Vec::<String>::new());
    runtime.up(&bundle(&host, "c", "0,0,2"));
    assert_eq!(holders(&host, 0), ["c"]);
}

#[test]
fn a_create_that_fails_later_holds_nothing() {
    let Some(host) = host_with_exclusive("0") else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let broken = Spec::docker()
        .env("AMD_VISIBLE_DEVICES=0")
        .args(&["/no/such/program"]);
    let create = runtime.create(&Bundle::new(&host, "a", broken));
    assert_ne!(create.code, 0, "{create}");
    assert_eq!(holders(&host, 0), Vec::<String>::new());
    runtime.up(&bundle(&host, "b", "0"));
}

#[test]
fn a_second_create_of_an_id_takes_nothing_from_the_first() {
    let Some(host) = host_with_exclusive("0") else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    runtime.up(&bundle(&host, "a", "0"));
    for request in ["0", "1"] {
        let other = bundle(&host, "b", request);
        let dir = other.path().to_string_lossy();
        let stderr = runtime.call(&["create", "--bundle", &dir, "a"]).fails(1);
        assert!(stderr.contains("already exists"), "{stderr}");
        assert_eq!(holders(&host, 0), ["a"]);
        assert_in_use(runtime.create(&bundle(&host, "b", "0")), "0", "a");
    }
}

#[test]
fn a_uuid_that_partitions_share_means_all_of_them() {
    let Some(host) = require::host("mi300x-8-cpx", Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    ctk(&host, &["enable"]).ok();
    let uuid = status(&host)["gpus"][0]["uuid"].clone();
    let uuid = uuid.as_str().unwrap_or_default();
    let done = ctk(&host, &[uuid, "exclusive"]).ok();
    assert_eq!(done, "GPUs [0 1 2 3 4 5 6 7] have been made exclusive\n");
    runtime.up(&bundle(&host, "a", uuid));
    for gpu in ["0", "7"] {
        assert_in_use(runtime.create(&bundle(&host, "b", gpu)), gpu, "a");
    }
    runtime.up(&bundle(&host, "b", "8"));
}

#[test]
fn containers_that_have_gpus_by_their_nodes_are_seen_and_refused_as_well() {
    let Some(host) = host_with_exclusive("1") else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let by_node = |id: &str, gpu: usize| {
        let [_, render] = minors(gpu);
        let render = u32::try_from(render).unwrap_or_default();
        let spec = Spec::docker()
            .device(&format!("/dev/dri/renderD{render}"), 226, render)
            .device_rule(true, Some(226), Some(render))
            .args(&["sleep", "1000"]);
        Bundle::new(&host, id, spec)
    };
    runtime.up(&by_node("cdi", 1));
    assert_eq!(holders(&host, 1), ["cdi"]);
    assert_in_use(runtime.create(&bundle(&host, "env", "1")), "1", "cdi");
    assert_in_use(runtime.create(&by_node("other", 1)), "1", "cdi");
    runtime.up(&by_node("other", 0));

    // A GPU by request beside one by its node.
    let both = Spec::docker()
        .env("AMD_VISIBLE_DEVICES=2")
        .device("/dev/dri/renderD136", 226, 136)
        .device_rule(true, Some(226), Some(136))
        .args(&["sleep", "1000"]);
    let both = Bundle::new(&host, "both", both);
    assert_in_use(runtime.create(&both), "1", "cdi");
    runtime.call(&["delete", "--force", "cdi"]).ok();
    runtime.up(&both);
    assert_eq!(holders(&host, 1), ["both"]);
    assert_eq!(holders(&host, 2), ["both"]);
}

#[test]
fn containers_that_can_open_a_gpu_by_a_rule_are_seen_and_refused_as_well() {
    let Some(host) = host_with_exclusive("1") else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    runtime.up(&bundle(&host, "env", "1"));
    let minor = minors(1)
        .last()
        .and_then(|minor| u32::try_from(*minor).ok());
    for (major, minor) in [
        (Some(226), None),
        (None, None),
        (None, minor),
        (Some(226), minor),
    ] {
        let spec = Spec::docker()
            .device_rule(true, major, minor)
            .args(&["sleep", "1000"]);
        let by_rule = Bundle::new(&host, "rule", spec);
        assert_in_use(runtime.create(&by_rule), "1", "env");
        runtime.call(&["delete", "--force", "env"]).ok();
        runtime.up(&by_rule);
        assert_eq!(holders(&host, 1), ["rule"], "{major:?}:{minor:?}");
        runtime.call(&["delete", "--force", "rule"]).ok();
        runtime.up(&bundle(&host, "env", "1"));
    }
    // What docker allows every container: to make nodes, not to open them.
    runtime.up(&bundle(&host, "plain", "0"));
}

#[test]
fn a_privileged_container_has_all_gpus_but_those_that_a_rule_denies() {
    let Some(host) = host_with_exclusive("1") else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let with_rules = |id: &str, rules: Value| {
        let spec = Spec::docker()
            .set("/linux/resources/devices", rules)
            .args(&["sleep", "1000"]);
        Bundle::new(&host, id, spec)
    };
    let privileged = |id: &str| with_rules(id, json!([{"allow": true, "access": "rwm"}]));
    let [card, render] = minors(1);
    let deny = |minor: usize| json!({"allow": false, "type": "c", "major": 226, "minor": minor, "access": "rwm"});
    let others = with_rules(
        "others",
        json!([{"allow": true, "access": "rwm"}, deny(card), deny(render)]),
    );
    runtime.up(&others);
    assert_eq!(holders(&host, 1), [""; 0]);
    assert_eq!(holders(&host, 2), ["others"]);
    runtime.up(&privileged("privileged"));
    assert_eq!(holders(&host, 1), ["privileged"]);
    assert_in_use(
        runtime.create(&bundle(&host, "env", "1")),
        "1",
        "privileged",
    );
    assert_in_use(runtime.create(&privileged("other")), "1", "privileged");
}

#[test]
fn off_means_that_create_touches_nothing_of_the_tracker() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    runtime.up(&bundle(&host, "a", "0"));
    runtime.up(&bundle(&host, "b", "0"));
    assert!(!exists(&host, RUN) && !exists(&host, SETTINGS));
    // What runs is known all the same.
    assert_eq!(holders(&host, 0), ["a", "b"]);
    ctk(&host, &["enable"]).ok();
    ctk(&host, &["disable"]).ok();
    write(&host, &format!("{RUN}/exclusive.json"), "not read");
    runtime.up(&bundle(&host, "c", "0"));
}

#[test]
fn processes_that_outlive_their_init_hold_its_gpus() {
    let Some(host) = host_with_exclusive("0") else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let script = "sleep 1000 & exit 0";
    let spec = Spec::docker()
        .env("AMD_VISIBLE_DEVICES=0")
        .set(
            "/linux/namespaces",
            serde_json::json!([{"type": "mount"}, {"type": "uts"}, {"type": "ipc"}]),
        )
        .sh(script);
    runtime.up(&Bundle::new(&host, "a", spec));
    runtime.wait_stopped("a");
    assert_eq!(holders(&host, 0), ["a"]);
    assert_in_use(runtime.create(&bundle(&host, "b", "0")), "0", "a");
    runtime.call(&["delete", "--force", "a"]).ok();
    runtime.up(&bundle(&host, "b", "0"));
}
