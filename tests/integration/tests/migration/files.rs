//! An administrator's files, and what `runtime configure` does to them.

use std::fs;
use std::os::unix::fs::MetadataExt;

use integration::host::SimulatedHost;
use serde_json::{Value, json};

use crate::fixture::{DAEMON_JSON, configure, host, read, text, write};

/// What docker's configuration comes to.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "helper of tests")]
fn daemon_json(host: &SimulatedHost) -> Value {
    serde_json::from_str(&text(host, DAEMON_JSON)).unwrap()
}

#[test]
fn configure_keeps_the_features_that_it_does_not_know() {
    let Some(host) = host() else { return };
    write(&host, DAEMON_JSON, r#"{"features": {"buildkit": true}}"#);
    configure(&host, &["--enable-cdi"]).ok();
    let features = &daemon_json(&host)["features"];
    assert_eq!(features, &json!({"buildkit": true, "cdi": true}));
}

#[test]
fn removal_keeps_features() {
    let Some(host) = host() else { return };
    let before = r#"{"features": {"buildkit": true, "cdi": true}}"#;
    write(&host, DAEMON_JSON, before);
    configure(&host, &["--remove"]).ok();
    assert_eq!(text(&host, DAEMON_JSON), before);
}

#[test]
fn removal_keeps_the_cdi_specs_of_other_vendors_and_our_own() {
    let Some(host) = host() else { return };
    let specs = ["/etc/cdi/nvidia.yaml", "/etc/cdi/amd.json"];
    for spec in specs {
        write(&host, spec, "{}");
    }
    // With a configuration, and with none.
    configure(&host, &[]).ok();
    configure(&host, &["--remove"]).ok();
    let _ = host.inside(|| fs::remove_file(DAEMON_JSON));
    configure(&host, &["--remove"]).ok();
    for spec in specs {
        assert_eq!(text(&host, spec), "{}");
    }
}

#[test]
fn unset_as_default_keeps_the_default_of_another() {
    let Some(host) = host() else { return };
    let before = r#"{"default-runtime": "nvidia", "runtimes": {"nvidia": {"path": "n"}}}"#;
    write(&host, DAEMON_JSON, before);
    configure(&host, &["--unset-amd-as-default"]).ok();
    assert_eq!(text(&host, DAEMON_JSON), before);
}

#[test]
fn big_integers_keep_their_digits() {
    let Some(host) = host() else { return };
    let number = "12345678901234567890123";
    write(
        &host,
        DAEMON_JSON,
        format!(r#"{{"max-download-attempts": {number}}}"#),
    );
    configure(&host, &[]).ok();
    let after = text(&host, DAEMON_JSON);
    assert!(after.contains(number), "{after}");
}

#[test]
fn a_runtime_of_that_name_which_is_somebody_elses_is_not_overwritten() {
    let Some(host) = host() else { return };
    let before = r#"{"runtimes": {"amd": {"path": "/opt/site/wrapper"}}}"#;
    write(&host, DAEMON_JSON, before);
    let message = configure(&host, &[]).fails(1);
    assert!(message.contains("/opt/site/wrapper"), "{message}");
    assert_eq!(text(&host, DAEMON_JSON), before);
}

#[test]
fn a_wrong_type_is_an_error_with_its_place() {
    let Some(host) = host() else { return };
    for before in [
        r#"{"runtimes": "amd"}"#,
        r#"{"runtimes": {"amd": []}}"#,
        "[]",
        "7",
    ] {
        write(&host, DAEMON_JSON, before);
        for words in [
            &[][..],
            &["--set-as-default", "--enable-cdi"],
            &["--remove"],
        ] {
            let message = configure(&host, words).fails(1);
            assert!(message.contains("daemon.json: line 1, column"), "{message}");
            assert_eq!(text(&host, DAEMON_JSON), before);
        }
    }
}

#[test]
fn a_file_is_not_written_where_nothing_changes() {
    let Some(host) = host() else { return };
    configure(&host, &[]).ok();
    let inode = || {
        host.inside(|| fs::metadata(DAEMON_JSON))
            .unwrap()
            .unwrap()
            .ino()
    };
    let before = inode();
    configure(&host, &[]).ok();
    configure(&host, &["--unset-as-default"]).ok();
    assert_eq!(inode(), before);
}

#[test]
fn removal_takes_out_what_the_go_toolkit_wrote_and_no_more() {
    let Some(host) = host() else { return };
    let theirs = r#"{
    "default-runtime": "amd",
    "log-driver": "journald",
    "runtimes": {
        "amd": {
            "args": [],
            "path": "amd-container-runtime"
        }
    }
}
"#;
    write(&host, DAEMON_JSON, theirs);
    configure(&host, &["--remove"]).ok();
    assert_eq!(daemon_json(&host), json!({"log-driver": "journald"}));
}

#[test]
fn what_the_go_toolkit_wrote_can_be_configured_anew() {
    let Some(host) = host() else { return };
    let theirs = r#"{"runtimes": {"amd": {"args": [], "path": "amd-container-runtime"}}}"#;
    write(&host, DAEMON_JSON, theirs);
    configure(&host, &[]).ok();
    let after = daemon_json(&host);
    let path = after["runtimes"]["amd"]["path"].as_str();
    assert!(path.is_some_and(|path| path.starts_with('/')), "{after}");
    configure(&host, &["--remove"]).ok();
    assert_eq!(daemon_json(&host), json!({}));
}

#[test]
fn a_removal_where_nothing_is_configured_makes_no_file() {
    let Some(host) = host() else { return };
    let _ = host.inside(|| fs::remove_file(DAEMON_JSON));
    configure(&host, &["--remove"]).ok();
    assert_eq!(read(&host, DAEMON_JSON), None);
}
