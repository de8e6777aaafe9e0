use proptest::prelude::*;

use super::*;
use crate::engines::Settings;

const PATH: &str = "/usr/bin/amd-container-runtime";

fn configure(default: bool, cdi: bool) -> Request {
    Request::Configure(Settings {
        name: "amd".to_owned(),
        path: PATH.to_owned(),
        default,
        cdi,
        swarm: Vec::new(),
    })
}

fn removal() -> Request {
    Request::Remove {
        name: "amd".to_owned(),
        path: PATH.to_owned(),
    }
}

/// The text after `request` on a main configuration.
fn done(text: &str, request: &Request) -> String {
    apply(Some(text), None, version(Some(text)).unwrap(), request)
        .unwrap()
        .unwrap()
}

/// As kubeadm's guide has it.
const V2: &str = r#"version = 2
[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    sandbox_image = "registry.k8s.io/pause:3.9" # pinned
    [plugins."io.containerd.grpc.v1.cri".containerd]
      default_runtime_name = "runc"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes]
        [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
          runtime_type = "io.containerd.runc.v2"
          pod_annotations = ["x"]
          [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
            BinaryName = ""
            SystemdCgroup = true
"#;

#[test]
fn the_entry_has_the_options_of_the_runc_entry_beside_it() {
    let text = done(V2, &configure(false, false));
    assert_eq!(
        text.strip_prefix(V2.trim_end()).unwrap(),
        r#"
# >>> amd-ctk: runtime amd
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.amd]
runtime_type = "io.containerd.runc.v2"
pod_annotations = ["x"]

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.amd.options]
SystemdCgroup = true
BinaryName = "/usr/bin/amd-container-runtime"
# <<< amd-ctk: runtime amd
"#
    );
}

#[test]
fn the_tables_are_those_of_the_files_version() {
    for (version, plugin) in [
        (2, "io.containerd.grpc.v1.cri"),
        (3, "io.containerd.cri.v1.runtime"),
        (4, "io.containerd.cri.v1.runtime"),
    ] {
        let text = done(&format!("version = {version}\n"), &configure(true, true));
        let document = Document::parse(&text).unwrap();
        let cri = ["plugins", plugin];
        let at = |keys: &[&str]| document.get(&[&cri[..], keys].concat()).unwrap().unwrap();
        let entry = at(&["containerd", "runtimes", "amd", "options", "BinaryName"]);
        assert_eq!(entry.as_str(), Some(PATH));
        assert_eq!(
            at(&["containerd", "default_runtime_name"]).as_str(),
            Some("amd")
        );
        assert_eq!(at(&["enable_cdi"]).as_bool(), Some(true));
    }
}

#[test]
fn other_versions_are_errors() {
    for (text, message) in [
        (
            "version = 5\n",
            "line 1, column 11: version 5; known are 2, 3 and 4",
        ),
        (
            "root = '/x'\n",
            "the configuration has no version, which is version 1; known are 2, 3 and 4",
        ),
        (
            "version = 'x'\n",
            "line 1, column 11: version \"x\"; known are 2, 3 and 4",
        ),
    ] {
        let fault = version(Some(text)).unwrap_err();
        assert_eq!(fault.to_string(), message);
        assert!(fault.hint.is_some());
    }
}

#[test]
fn a_shim_of_another_kind_gives_no_options() {
    let kata = V2.replace(
        "default_runtime_name = \"runc\"",
        "default_runtime_name = \"kata\"",
    ) + "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.kata]\n\
           runtime_type = \"io.containerd.kata.v2\"\noptions = { ConfigPath = \"/k\" }\n";
    let text = done(&kata, &configure(false, false));
    assert_eq!(text.matches("ConfigPath").count(), 1, "{text}");
    assert_eq!(text.matches("SystemdCgroup = true").count(), 2, "{text}");
}

#[test]
fn the_default_that_was_is_a_comment_and_comes_back() {
    let text = done(V2, &configure(true, false));
    assert!(text.contains(
        "\n#amd-ctk#       default_runtime_name = \"runc\"\n      default_runtime_name = \"amd\"\n"
    ));
    let unset = Request::UnsetDefault {
        name: "amd".to_owned(),
    };
    let without = done(&text, &unset);
    assert!(
        !without.contains("\n      default_runtime_name"),
        "{without}"
    );
    assert_eq!(done(&without, &removal()), V2);
    assert_eq!(done(V2, &unset), V2);
}

#[test]
fn a_drop_in_takes_its_options_from_the_main_file() {
    let main = V2
        .replace("version = 2", "version = 3")
        .replace("io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime");
    let drop_in = apply(None, Some(&main), 3, &configure(true, false)).unwrap();
    let text = drop_in.as_deref().unwrap();
    assert!(text.contains("\nversion = 3\n"), "{text}");
    assert!(text.contains("SystemdCgroup = true"), "{text}");
    assert_eq!(
        apply(Some(text), Some(&main), 3, &configure(true, false)).unwrap(),
        drop_in
    );
    assert_eq!(apply(Some(text), None, 3, &removal()).unwrap(), None);
}

#[test]
fn drop_ins_are_for_files_that_import_them() {
    for (text, imported) in [
        (
            "version = 3\nimports = ['/etc/containerd/conf.d/*.toml']\n",
            true,
        ),
        ("version = 4\nimports = ['/x', 'conf.d/*.toml']\n", true),
        (
            "version = 2\nimports = ['/etc/containerd/conf.d/*.toml']\n",
            false,
        ),
        (
            "version = 3\nimports = ['/etc/containerd/other/*.toml']\n",
            false,
        ),
        ("version = 3\n", false),
    ] {
        assert_eq!(is_imported(text).unwrap(), imported, "{text}");
    }
    let fault = is_imported("version = 3\nimports = 'x'\n").unwrap_err();
    assert_eq!(
        fault.to_string(),
        "line 2, column 11: \"imports\" is not a list"
    );
}

#[test]
fn a_disabled_cri_plugin_is_noticed() {
    assert!(cri_is_disabled("disabled_plugins = [\"cri\"]\n").unwrap());
    assert!(!cri_is_disabled("disabled_plugins = []\n").unwrap());
}

#[test]
fn the_version_is_read_from_what_containerd_prints() {
    for (line, version) in [
        (
            "containerd github.com/containerd/containerd/v2 v2.1.4 75cb2b7",
            Some((2, 1)),
        ),
        (
            "containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1",
            Some((1, 6)),
        ),
        ("", None),
    ] {
        assert_eq!(parse_version(line), version);
    }
}

#[test]
fn a_runtimes_key_that_is_no_table_is_an_error() {
    let text = "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.containerd]\nruntimes = []\n";
    let fault = apply(Some(text), None, 2, &configure(false, false)).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "line 3, column 12: \"runtimes\" is an array, not a table"
    );
}

/// Configurations put together from pieces in any order, with any line ends.
fn config_toml() -> impl Strategy<Value = String> {
    let pieces = vec![
        "[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"a\"\n",
        "  [plugins.'io.containerd.grpc.v1.cri'.containerd]\n    default_runtime_name = \"runc\" # c\n    x = 1\n",
        "[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes]\n",
        "[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc.options]\nSystemdCgroup = true\nRoot = '''\na\n'''\n",
        "[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.nvidia]\nruntime_type = \"io.containerd.runc.v2\"\noptions = { BinaryName = 'n', big = 9223372036854775807 }\n",
        "[grpc]\n\taddress = \"/run/ü.sock\" # comment\n\n\n# another\n",
        "[debug]\nlevel = 'info'\nat = 1979-05-27T07:32:00Z\nf = [1.50, inf,\n  2e3]\n",
        "[[proxy]]\na = 1\n[[proxy]]\n",
    ];
    let count = pieces.len();
    (
        prop::sample::subsequence(pieces, 0..=count).prop_shuffle(),
        any::<[bool; 3]>(),
    )
        .prop_map(|(pieces, [crlf, end, comment])| {
            let start = if comment {
                "# mine\nversion = 2\n"
            } else {
                "version = 2 # two\n"
            };
            let mut text = start.to_owned() + &pieces.concat();
            if !end {
                text.truncate(text.trim_end().len());
            }
            if crlf {
                text.replace('\n', "\r\n")
            } else {
                text
            }
        })
}

proptest! {
    #[test]
    fn removal_after_configure_gives_back_the_bytes(
        text in config_toml(), default in any::<bool>(), cdi in any::<bool>(),
    ) {
        let text = text.as_str();
        prop_assert_eq!(done(&done(text, &configure(default, cdi)), &removal()), text);
    }

    #[test]
    fn configuring_twice_is_configuring_once(
        text in config_toml(), default in any::<bool>(), cdi in any::<bool>(),
    ) {
        let once = done(&text, &configure(default, cdi));
        prop_assert_eq!(done(&once, &configure(default, cdi)), once);
    }

    #[test]
    fn lines_of_others_stay_in_their_order(text in config_toml(), default in any::<bool>()) {
        let after = done(&text, &configure(default, true));
        let mut lines = after.lines().map(|line| line.strip_prefix("#amd-ctk# ").unwrap_or(line));
        for line in text.lines() {
            prop_assert!(lines.any(|found| found == line), "{line:?} is not in\n{after}");
        }
    }
}
