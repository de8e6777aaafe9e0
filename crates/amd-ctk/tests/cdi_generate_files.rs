//! `amd-ctk cdi generate` and the files that are there already.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::thread;

use serde_json::{Value, json};
use support::{Host, Outcome, program};

/// A host with device nodes, where this user may make them.
fn host() -> Option<Host> {
    let host = Host::mixed();
    host.make_nodes().then_some(host)
}

fn generate(host: &Host, args: &[&str]) -> Outcome {
    host.amd_ctk(&[&["cdi", "generate"], args].concat())
}

fn file(host: &Host, path: &str) -> PathBuf {
    host.path().join(path)
}

const SPEC: &str = "/etc/cdi/amd.json";

fn read(host: &Host) -> String {
    fs::read_to_string(file(host, "etc/cdi/amd.json")).unwrap()
}

/// A spec of this host in which an administrator has a device of their own.
fn with_training(host: &Host) -> String {
    let run = generate(host, &["--output", "-"]);
    let mut spec: Value = serde_json::from_str(&run.stdout).unwrap();
    let training = json!({"name": "training", "containerEdits": {"env": ["MODE=training"]}});
    spec["devices"].as_array_mut().unwrap().push(training);
    let text = spec.to_string();
    host.file(SPEC, &text);
    text
}

#[test]
fn what_is_not_ours_is_not_replaced() {
    let Some(host) = host() else { return };
    for (text, what) in [
        (
            r#"{"cdiVersion": "0.5.0", "kind": "other.com/gpu", "devices": []}"#,
            "is a CDI spec of other.com/gpu",
        ),
        (r#"{"a": 1}"#, "is not a CDI spec"),
        ("{ torn", "is not JSON: "),
    ] {
        host.file(SPEC, text);
        let run = generate(&host, &[]);
        assert!(run.stderr.contains(what), "{}", run.stderr);
        assert!(
            run.stderr.contains("stays as it is\nhint: "),
            "{}",
            run.stderr
        );
        assert_eq!(run.code, Some(1), "{text}");
        assert_eq!(read(&host), text);
    }
}

#[test]
fn what_an_administrator_put_into_our_spec_is_not_lost() {
    let Some(host) = host() else { return };
    let text = with_training(&host);
    let run = generate(&host, &[]);
    assert_eq!(
        run.stderr,
        "error: <host>/etc/cdi/amd.json has device \"training\", which amd-ctk did not write, and \
         stays as it is\n\
         hint: move what is yours into a spec file of its own, and replace this one with --force; \
         or name another file with --output\n"
    );
    assert_eq!((run.stdout.as_str(), run.code), ("", Some(1)));
    assert_eq!(read(&host), text);
}

#[test]
fn a_comment_in_a_spec_of_yaml_is_not_lost() {
    let Some(host) = host() else { return };
    let path = file(&host, "etc/cdi/amd.yaml");
    let output = ["--output", path.to_str().unwrap()];
    assert_eq!(generate(&host, &output).code, Some(0));
    let text = fs::read_to_string(&path).unwrap() + "# Ask ops before a change.\n";
    host.file("/etc/cdi/amd.yaml", &text);
    let run = generate(&host, &output);
    assert!(
        run.stderr.contains(" has a comment in line "),
        "{}",
        run.stderr
    );
    assert_eq!(run.code, Some(1));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn what_we_wrote_in_any_way_is_replaced() {
    let Some(host) = host() else { return };
    std::os::unix::fs::chown(file(&host, "dev/kfd"), None, Some(992)).unwrap();
    for args in [
        &["--additional-gids", "--format", "yaml"][..],
        &["--cdi-version", "0.5.0"],
        &["--dev-root", "/host #1", "--format", "yaml"],
        &["--device-name-strategy", "index,uuid,pci"],
        &[],
    ] {
        let run = generate(&host, args);
        assert!(run.stdout.starts_with("wrote "), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn what_the_go_toolkit_wrote_is_replaced() {
    let Some(host) = host() else { return };
    let node = |path| {
        json!({
            "path": path, "type": "c", "major": 511, "fileMode": 432, "permissions": "rwm",
            "uid": 0, "gid": 109,
        })
    };
    let spec = json!({
        "cdiVersion": "0.6.0", "kind": "amd.com/gpu",
        "devices": [{"name": "all", "containerEdits": {
            "deviceNodes": [node("/dev/dri/card1"), node("/dev/dri/renderD128"), node("/dev/kfd")],
        }}],
        "containerEdits": {},
    });
    host.file(SPEC, &spec.to_string());
    let run = generate(&host, &[]);
    assert!(run.stdout.starts_with("wrote "), "{}", run.stderr);
}

#[test]
fn a_file_that_says_nothing_is_replaced() {
    let Some(host) = host() else { return };
    for text in ["", "\n", "\0\0\0\0"] {
        host.file(SPEC, text);
        let run = generate(&host, &[]);
        assert!(run.stdout.starts_with("wrote "), "{text:?}: {}", run.stderr);
    }
}

#[test]
fn anything_is_replaced_where_that_is_asked_for() {
    let Some(host) = host() else { return };
    for text in [
        &with_training(&host),
        "{ torn",
        r#"{"kind": "other.com/gpu"}"#,
    ] {
        host.file(SPEC, text);
        let run = generate(&host, &["--force"]);
        assert!(run.stdout.starts_with("wrote "), "{text}: {}", run.stderr);
        assert_eq!(host.amd_ctk(&["cdi", "validate"]).code, Some(0));
    }
}

#[test]
fn an_older_spec_of_ours_is_replaced_in_whatever_language() {
    for text in [
        r#"{"cdiVersion": "0.6.0", "kind": "amd.com/gpu", "devices": []}"#,
        "cdiVersion: \"0.6.0\"\nkind: amd.com/gpu\ndevices: []\n",
    ] {
        let Some(host) = host() else { return };
        host.file("/etc/cdi/amd.json", text);
        let run = generate(&host, &[]);
        assert!(run.stdout.starts_with("wrote "), "{}", run.stdout);
    }
}

#[test]
fn specs_of_others_beside_it_are_left_alone() {
    let Some(host) = host() else { return };
    let text = r#"{"cdiVersion": "0.5.0", "kind": "other.com/gpu", "devices": []}"#;
    host.file("/etc/cdi/other.json", text);
    assert_eq!(generate(&host, &[]).code, Some(0));
    let other = fs::read_to_string(file(&host, "etc/cdi/other.json"));
    assert_eq!(other.unwrap(), text);
    let names: Vec<_> = fs::read_dir(file(&host, "etc/cdi")).unwrap().collect();
    assert_eq!(names.len(), 2, "no temporary file: {names:?}");
}

#[test]
fn a_second_spec_with_the_same_names_is_warned_of() {
    let Some(host) = host() else { return };
    assert_eq!(generate(&host, &[]).code, Some(0));
    let yaml = file(&host, "etc/cdi/second.yaml");
    let run = generate(&host, &["--output", yaml.to_str().unwrap()]);
    assert!(
        run.stderr
            .starts_with("warning: <host>/etc/cdi/amd.json has amd.com/gpu=0 too"),
        "{}",
        run.stderr
    );
    assert_eq!(run.code, Some(0));
}

#[test]
fn it_is_warned_of_however_the_directory_is_spelt() {
    let Some(host) = host() else { return };
    assert_eq!(generate(&host, &[]).code, Some(0));
    let dir = file(&host, "etc/cdi");
    let link = file(&host, "link");
    symlink(&dir, &link).unwrap();
    for (working_dir, output) in [
        (&dir, "second.yaml".to_owned()),
        (&dir, "./second.yaml".to_owned()),
        (&dir, "../cdi/second.yaml".to_owned()),
        (&link, "second.yaml".to_owned()),
        (&dir, format!("{}/second.yaml", link.display())),
    ] {
        let run = program()
            .current_dir(working_dir)
            .arg("--host-root")
            .arg(host.path())
            .args(["cdi", "generate", "--output", &output])
            .output()
            .unwrap();
        let said = String::from_utf8(run.stderr).unwrap();
        assert_eq!(
            said.matches(" too: engines refuse").count(),
            1,
            "{output}: {said}"
        );
        assert!(said.contains("/etc/cdi/amd.json has "), "{output}: {said}");
    }
}

#[test]
fn two_names_of_one_directory_are_no_second_spec() {
    let Some(host) = host() else { return };
    host.file("/var/run/cdi/vendor.txt", "");
    fs::create_dir(file(&host, "etc")).unwrap();
    symlink("/var/run/cdi", file(&host, "etc/cdi")).unwrap();
    for _ in 0..2 {
        let run = generate(&host, &[]);
        assert_eq!((run.stderr.as_str(), run.code), ("", Some(0)));
    }
}

#[test]
fn links_of_another_host_lead_to_its_own_files() {
    for (link, target, made) in [
        ("etc/cdi", "/run/host-cdi", "run/host-cdi/amd.json"),
        ("etc/cdi/amd.json", "/srv/gpus.json", "srv/gpus.json"),
    ] {
        let Some(host) = host() else { return };
        let link = file(&host, link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(target, &link).unwrap();
        let run = generate(&host, &[]);
        assert_eq!((run.stderr.as_str(), run.code), ("", Some(0)));
        assert!(file(&host, made).is_file(), "{}", run.stdout);
        assert_eq!(link.read_link().unwrap(), PathBuf::from(target));
        let again = generate(&host, &[]);
        assert!(again.stdout.starts_with("unchanged: "), "{}", again.stdout);
    }
}

#[test]
fn links_in_a_circle_are_an_error() {
    let Some(host) = host() else { return };
    fs::create_dir(file(&host, "etc")).unwrap();
    symlink("cdi", file(&host, "etc/cdi")).unwrap();
    let run = generate(&host, &[]);
    assert!(
        run.stderr
            .starts_with("error: cannot follow the links of <host>/etc/cdi/amd.json: "),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("\nhint: "), "{}", run.stderr);
    assert_eq!(run.code, Some(1));
}

#[test]
fn a_spec_that_engines_prefer_is_warned_of() {
    let Some(host) = host() else { return };
    assert_eq!(generate(&host, &[]).code, Some(0));
    let spec = fs::read_to_string(file(&host, "etc/cdi/amd.json")).unwrap();
    host.file("/var/run/cdi/old.json", &spec);
    let run = generate(&host, &[]);
    assert_eq!(
        run.stderr,
        "warning: <host>/var/run/cdi/old.json has amd.com/gpu=0 too: engines take that one\n\
         hint: remove <host>/var/run/cdi/old.json if nobody needs it\n"
    );
    assert_eq!(run.code, Some(0));
}

#[test]
fn many_at_once_all_succeed() {
    let Some(host) = host() else { return };
    thread::scope(|scope| {
        let runs: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| generate(&host, &[])))
            .collect();
        for run in runs {
            let run = run.join().unwrap();
            assert_eq!((run.stderr.as_str(), run.code), ("", Some(0)));
        }
    });
    assert_eq!(host.amd_ctk(&["cdi", "validate"]).code, Some(0));
}

#[test]
fn a_place_that_is_no_file_is_an_error() {
    let Some(host) = host() else { return };
    for output in [
        "/dev/null",
        "/",
        "/dev/stdout",
        "/dev/fd/1",
        "/proc/self/fd/1",
    ] {
        let run = generate(&host, &["--output", output]);
        assert_eq!(
            run.stderr,
            format!(
                "error: {output}: not a regular file\n\
                 hint: name another file with --output, or `-` for standard output\n"
            )
        );
        assert_eq!((run.stdout.as_str(), run.code), ("", Some(1)));
    }
}

#[test]
fn a_file_that_is_no_text_is_an_error_with_a_way_out() {
    let Some(host) = host() else { return };
    fs::create_dir_all(file(&host, "etc/cdi")).unwrap();
    fs::write(file(&host, "etc/cdi/amd.json"), b"\xff\xfe").unwrap();
    for args in [&[][..], &["--force"]] {
        let run = generate(&host, args);
        assert!(
            run.stderr.ends_with(
                "not UTF-8\nhint: name another file with --output, or remove this one if nobody \
                 needs it\n"
            ),
            "{}",
            run.stderr
        );
    }
}

const REMOVE: [&str; 1] = ["--remove-if-none"];

#[test]
fn a_host_that_lost_its_gpus_loses_its_spec_where_that_is_asked_for() {
    let Some(host) = host() else { return };
    generate(&host, &REMOVE);
    let spec = file(&host, "etc/cdi/amd.json");
    assert!(spec.is_file());
    fs::remove_dir_all(file(&host, "sys/bus/pci/drivers/amdgpu")).unwrap();
    fs::remove_dir_all(file(&host, "sys/devices/platform")).unwrap();
    assert_eq!(generate(&host, &[]).code, Some(1));
    assert!(spec.is_file());
    let run = generate(&host, &REMOVE);
    let said = "removed <host>/etc/cdi/amd.json (no GPU)\n";
    assert_eq!((run.stdout.as_str(), run.code), (said, Some(0)));
    assert!(!spec.exists());
    let run = generate(&host, &REMOVE);
    let said = "unchanged: there is no <host>/etc/cdi/amd.json (no GPU)\n";
    assert_eq!((run.stdout.as_str(), run.code), (said, Some(0)));
}

#[test]
fn what_is_not_ours_is_not_removed() {
    let host = Host::bare();
    for (text, what) in [
        (
            r#"{"cdiVersion": "0.5.0", "kind": "other.com/gpu", "devices": []}"#,
            "is a CDI spec of other.com/gpu, and stays as it is",
        ),
        (
            r#"{"kind": "amd.com/gpu", "containerEdits": {"env": ["A=b"]}}"#,
            r#"has "env" of all devices, which amd-ctk did not write, and stays as it is"#,
        ),
    ] {
        host.file(SPEC, text);
        let run = generate(&host, &REMOVE);
        let error = format!("error: <host>/etc/cdi/amd.json {what}\n");
        assert!(run.stderr.starts_with(&error), "{}", run.stderr);
        assert_eq!(run.code, Some(1));
        assert_eq!(read(&host), text);
    }
}

#[test]
fn anything_is_removed_where_that_is_asked_for() {
    let host = Host::bare();
    host.file(SPEC, r#"{"kind": "amd.com/gpu", "x": "y"}"#);
    let run = generate(&host, &["--remove-if-none", "--force"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(!file(&host, "etc/cdi/amd.json").exists());
}

#[test]
fn standard_output_cannot_be_removed() {
    let run = generate(&Host::bare(), &["--remove-if-none", "--output", "-"]);
    assert!(run.stderr.contains("--remove-if-none"), "{}", run.stderr);
    assert_eq!(run.code, Some(1));
}
