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
    let version = version(Some(text)).unwrap();
    apply(Some(text), None, version, &BTreeSet::new(), request)
        .unwrap()
        .text
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
# checksum: a1bed2f5
# <<< amd-ctk: runtime amd
"#
    );
}

#[test]
fn the_tables_are_those_of_the_files_version() {
    for (version, plugin) in [
        (1, "cri"),
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
            "line 1, column 11: version 5; known are 1 to 4",
        ),
        (
            "version = 'x'\n",
            "line 1, column 11: version \"x\"; known are 1 to 4",
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
    let none = BTreeSet::new();
    let drop_in = apply(None, Some(&main), 3, &none, &configure(true, false)).unwrap();
    let text = drop_in.text.as_deref().unwrap();
    assert!(text.contains("\nversion = 3\n"), "{text}");
    assert!(text.contains("SystemdCgroup = true"), "{text}");
    assert_eq!(
        apply(Some(text), Some(&main), 3, &none, &configure(true, false)).unwrap(),
        drop_in
    );
    let left = apply(Some(text), Some(&main), 3, &none, &removal()).unwrap();
    assert_eq!(left.text, None);
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
fn a_runtimes_key_that_is_no_table_is_an_error() {
    let text = "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.containerd]\nruntimes = []\n";
    let fault = apply(
        Some(text),
        None,
        2,
        &BTreeSet::new(),
        &configure(false, false),
    )
    .unwrap_err();
    assert_eq!(
        fault.to_string(),
        "line 3, column 12: \"runtimes\" is an array, not a table"
    );
}

#[test]
fn a_file_with_nothing_in_it_gets_a_version_and_is_as_it_was_after_removal() {
    for text in ["", "\n", "# see containerd-config.toml(5)\n#version = 2\n"] {
        let once = done(text, &configure(true, true));
        assert!(once.starts_with(text.trim_end()), "{once}");
        assert_eq!(version(Some(&once)).unwrap(), 2);
        assert!(
            once.contains("\n[plugins.\"io.containerd.grpc.v1.cri\""),
            "{once}"
        );
        assert_eq!(done(&once, &configure(true, true)), once);
        assert_eq!(done(&once, &removal()), text);
    }
}

#[test]
fn the_version_stays_if_somebody_elses_settings_came_to_be_of_it() {
    let text = done("", &configure(false, false)) + "\n[grpc]\naddress = 'a'\n";
    let left = done(&text, &removal());
    assert_eq!(version(Some(&left)).unwrap(), 2);
    assert!(!left.contains("runtimes"), "{left}");
}

#[test]
fn the_runtime_that_containerd_brings_is_written_where_ours_would_hide_it() {
    for (version, plugin, written) in [
        (1, "cri", true),
        (2, "\"io.containerd.grpc.v1.cri\"", true),
        (3, "\"io.containerd.cri.v1.runtime\"", false),
    ] {
        let before = format!("version = {version}\n");
        let text = done(&before, &configure(false, false));
        let runc = format!(
            "[plugins.{plugin}.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n"
        );
        assert_eq!(text.contains(&runc), written, "{text}");
        assert_eq!(done(&text, &configure(false, false)), text);
        assert_eq!(done(&text, &removal()), before);
    }
    // Whoever has runtimes of their own has hidden it already.
    assert!(
        !done(
            &V2.replace("runtimes.runc", "runtimes.mine"),
            &configure(false, false)
        )
        .contains("runtimes.runc")
    );
}

#[test]
fn the_runtime_that_containerd_brings_stays_while_somebody_has_a_use_for_it() {
    let text = done("version = 2\n", &configure(false, false));
    let runtimes = "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes";
    for theirs in [
        format!("{text}{runtimes}.nvidia]\nruntime_type = \"io.containerd.runc.v2\"\n"),
        format!("{text}{runtimes}.runc.options]\nSystemdCgroup = true\n"),
    ] {
        let left = done(&theirs, &removal());
        assert!(left.contains("runtimes.runc]"), "{left}");
        assert!(!left.contains("runtimes.amd"), "{left}");
    }
}

#[test]
fn a_file_without_a_version_is_of_version_1() {
    let docker_ce = "#   Copyright 2018-2022 Docker Inc.\n\ndisabled_plugins = [\"cri\"]\n\n#root = \"/var/lib/containerd\"\n";
    let text = done(docker_ce, &configure(false, false));
    assert!(
        text.contains("\n[plugins.cri.containerd.runtimes.amd]\n"),
        "{text}"
    );
    assert!(!text.contains("\nversion"), "{text}");
    assert_eq!(done(&text, &removal()), docker_ce);
}

/// [`V2`], configured, with lines of somebody else's below a line of ours.
fn with_lines(below: &str, lines: &str) -> String {
    let text = done(V2, &configure(false, false));
    assert_eq!(text.matches(below).count(), 1);
    text.replace(below, &format!("{below}\n{lines}"))
}

const PROGRAM: &str = "BinaryName = \"/usr/bin/amd-container-runtime\"";

#[test]
fn settings_that_somebody_added_to_our_entry_stay() {
    for lines in [
        "# for systemd\nNoPivotRoot = true # why",
        "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.amd.cni]\nx = 1",
    ] {
        let text = with_lines(PROGRAM, lines);
        assert_eq!(done(&text, &configure(false, false)), text);
        let moved = Request::Configure(Settings {
            name: "amd".to_owned(),
            path: "/opt/amd-container-runtime".to_owned(),
            default: false,
            cdi: false,
            swarm: Vec::new(),
        });
        let after = done(&text, &moved);
        assert_eq!(after, text.replace("/usr/bin/", "/opt/"));
        assert_eq!(done(&after, &moved), after);
    }
}

#[test]
fn a_setting_that_somebody_changed_in_our_entry_stays_with_a_note() {
    let ours = with_lines(PROGRAM, "").replace(
        "SystemdCgroup = true\nBinary",
        "SystemdCgroup = false\nBinary",
    );
    let after = apply(
        Some(&ours),
        None,
        2,
        &BTreeSet::new(),
        &configure(false, false),
    )
    .unwrap();
    assert_eq!(after.text.as_deref(), Some(ours.as_str()));
    assert_eq!(
        after.notes,
        [
            "SystemdCgroup of the runtime \"amd\" stays false, as somebody edited it; \
          amd-ctk would write true"
        ]
    );
    assert_eq!(done(&ours, &removal()), V2);
}

#[test]
fn an_entry_that_nobody_edited_follows_the_one_that_it_is_a_copy_of() {
    let text = done(V2, &configure(false, false)).replacen(
        "SystemdCgroup = true",
        "SystemdCgroup = false",
        1,
    );
    let after = done(&text, &configure(false, false));
    assert_eq!(after.matches("SystemdCgroup = false").count(), 2, "{after}");
}

#[test]
fn an_edited_entry_gets_what_the_one_that_it_is_a_copy_of_has_got() {
    let text = with_lines(PROGRAM, "NoPivotRoot = true").replacen(
        "BinaryName = \"\"",
        "BinaryName = \"\"\n            IoUid = 1",
        1,
    );
    let after = done(&text, &configure(false, false));
    assert!(after.contains("NoPivotRoot = true\nIoUid = 1\n"), "{after}");
    assert_eq!(done(&after, &configure(false, false)), after);
}

#[test]
fn removal_refuses_to_take_settings_of_somebody_elses_with_the_entry() {
    for (text, place) in [
        (
            with_lines(PROGRAM, "NoPivotRoot = true"),
            "line 22, column 15",
        ),
        // Below our lines, it is of our table all the same.
        (
            done(V2, &configure(false, false)) + "NoPivotRoot = true\n",
            "line 24, column 15",
        ),
    ] {
        let fault = apply(Some(&text), None, 2, &BTreeSet::new(), &removal()).unwrap_err();
        assert_eq!(
            fault.to_string(),
            format!(
                "{place}: \"options.NoPivotRoot\" of the runtime \"amd\" was not written by amd-ctk"
            )
        );
        assert!(fault.hint.unwrap().contains("take that line out"));
        assert_eq!(done(&text, &configure(false, false)), text);
    }
}

/// Options that it has of runc's entry, which has them no more, look like somebody else's.
#[test]
fn removal_takes_an_entry_of_an_earlier_version_as_it_is() {
    let text = done(V2, &configure(false, false));
    let without_checksum: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with("# checksum: "))
        .collect();
    let runc_of_before = "            SystemdCgroup = true\n";
    let text = without_checksum.join("\n") + "\n";
    let text = text.replacen(runc_of_before, "", 1);
    let left = done(&text, &removal());
    assert!(!left.contains("amd"), "{left}");
}

#[test]
fn removal_restores_no_default_that_containerd_does_not_know_any_more() {
    let before = V2.replace(
        "default_runtime_name = \"runc\"",
        "default_runtime_name = \"nvidia\"",
    );
    let text = done(&before, &configure(true, false));
    let left = apply(Some(&text), None, 2, &BTreeSet::new(), &removal()).unwrap();
    assert_eq!(
        left.text.unwrap(),
        V2.replace("      default_runtime_name = \"runc\"\n", "")
    );
    assert_eq!(
        left.notes,
        [
            "default_runtime_name was \"nvidia\" before, and is not set again: no runtime of that \
          name is configured any more"
        ]
    );
    // In another file it is known.
    let beside = BTreeSet::from(["nvidia".to_owned()]);
    let left = apply(Some(&text), None, 2, &beside, &removal()).unwrap();
    assert_eq!((left.text, left.notes), (Some(before), Vec::new()));
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
