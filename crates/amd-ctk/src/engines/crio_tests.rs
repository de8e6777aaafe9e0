use super::*;
use crate::engines::Settings;

const PATH: &str = "/usr/bin/amd-container-runtime";

fn configure(default: bool) -> Request {
    Request::Configure(Settings {
        name: "amd".to_owned(),
        path: PATH.to_owned(),
        default,
        cdi: false,
        swarm: Vec::new(),
    })
}

fn beside(texts: &[&str]) -> Beside {
    let mut beside = Beside::default();
    for text in texts {
        beside.read(text).unwrap();
    }
    beside
}

/// As CRI-O's packages bring it.
const PACKAGED: &str = r#"
[crio.runtime]
default_runtime = "crun"

[crio.runtime.runtimes.crun]
runtime_path = "/usr/libexec/crio/crun"
runtime_root = "/run/crun"
monitor_path = "/usr/libexec/crio/conmon"
inherit_default_runtime = true
allowed_annotations = [
    "io.containers.trace-syscall",  # why
]

[crio.runtime.runtimes.runc]
runtime_root = "/run/runc"
"#;

#[test]
fn the_drop_in_has_the_default_runtimes_settings_and_our_program() {
    let text = apply(None, &beside(&[PACKAGED]), &configure(true))
        .unwrap()
        .text
        .unwrap();
    assert_eq!(
        text,
        "# Made by `amd-ctk runtime configure`; its --remove deletes it again.\n\
         \n\
         # >>> amd-ctk: runtime amd\n\
         [crio.runtime.runtimes.amd]\n\
         runtime_path = \"/usr/bin/amd-container-runtime\"\n\
         runtime_type = \"oci\"\n\
         runtime_root = \"/run/crun\"\n\
         monitor_path = \"/usr/libexec/crio/conmon\"\n\
         allowed_annotations = [\"io.containers.trace-syscall\"]\n\
         # checksum: acaff16b\n\
         # <<< amd-ctk: runtime amd\n\
         # >>> amd-ctk: default\n\
         [crio.runtime]\n\
         default_runtime = \"amd\"\n\
         # <<< amd-ctk: default\n"
    );
}

#[test]
fn the_last_file_says_which_runtime_is_the_default() {
    let later = "[crio.runtime]\ndefault_runtime = \"runc\"\n";
    let text = apply(None, &beside(&[PACKAGED, later]), &configure(false))
        .unwrap()
        .text
        .unwrap();
    assert!(text.contains("runtime_root = \"/run/runc\""), "{text}");
    assert!(!text.contains("monitor_path"), "{text}");
}

#[test]
fn settings_of_a_virtual_machines_runtime_are_not_taken() {
    let kata = "[crio.runtime]\ndefault_runtime = \"kata\"\n\
                [crio.runtime.runtimes.kata]\nruntime_type = \"vm\"\nruntime_root = \"/run/vc\"\n";
    let text = apply(None, &beside(&[kata]), &configure(false))
        .unwrap()
        .text
        .unwrap();
    assert!(!text.contains("/run/vc"), "{text}");
}

#[test]
fn the_drop_in_is_gone_after_removal() {
    let text = apply(None, &beside(&[PACKAGED]), &configure(true)).unwrap();
    let again = apply(text.text.as_deref(), &beside(&[PACKAGED]), &configure(true)).unwrap();
    assert_eq!(again, text);
    let removal = Request::Remove {
        name: "amd".to_owned(),
        path: PATH.to_owned(),
    };
    assert_eq!(
        apply(text.text.as_deref(), &Beside::default(), &removal)
            .unwrap()
            .text,
        None
    );
}

#[test]
fn a_default_in_our_file_comes_back_if_crio_knows_it() {
    let removal = Request::Remove {
        name: "amd".to_owned(),
        path: PATH.to_owned(),
    };
    for (old, back) in [("crun", true), ("runc", true), ("kata", false)] {
        let own = format!("[crio.runtime]\ndefault_runtime = \"{old}\"\n");
        let text = apply(Some(&own), &beside(&[PACKAGED]), &configure(true)).unwrap();
        let left = apply(text.text.as_deref(), &beside(&[PACKAGED]), &removal).unwrap();
        let expected = if back {
            own.as_str()
        } else {
            "[crio.runtime]\n"
        };
        assert_eq!(left.text.as_deref(), Some(expected));
        assert_eq!(left.notes.is_empty(), back);
    }
}
