use super::*;
use crate::engines::Settings;

const PATH: &str = "/usr/bin/amd-container-runtime";

fn configure(name: &str, default: bool) -> Request {
    Request::Configure(Settings {
        name: name.to_owned(),
        path: PATH.to_owned(),
        default,
        cdi: false,
        swarm: Vec::new(),
    })
}

fn remove(name: &str) -> Request {
    Request::Remove {
        name: name.to_owned(),
        path: PATH.to_owned(),
    }
}

/// The text after `request`, beside no other file.
fn done(text: Option<&str>, request: &Request) -> Option<String> {
    apply(text, &BTreeSet::new(), request).unwrap().text
}

#[test]
fn the_drop_in_has_the_keys_of_containers_conf() {
    let text = done(None, &configure("amd", true)).unwrap();
    assert_eq!(
        text,
        "# Made by `amd-ctk runtime configure`; its --remove deletes it again.\n\
         [engine]\n\
         # >>> amd-ctk: default\n\
         runtime = \"amd\"\n\
         # <<< amd-ctk: default\n\
         \n\
         [engine.runtimes]\n\
         # >>> amd-ctk: runtime amd\n\
         amd = [\"/usr/bin/amd-container-runtime\"]\n\
         # checksum: eebbbdaf\n\
         # <<< amd-ctk: runtime amd\n"
    );
}

#[test]
fn the_drop_in_goes_when_nothing_of_anybody_is_in_it() {
    let text = done(None, &configure("amd", true));
    assert_eq!(done(text.as_deref(), &remove("amd")), None);
    let more = text.unwrap() + "[network]\nx = 1\n";
    let left = done(Some(&more), &remove("amd")).unwrap();
    assert!(
        left.ends_with("[engine.runtimes]\n[network]\nx = 1\n"),
        "{left}"
    );
}

#[test]
fn two_runtimes_of_ours_are_removed_one_by_one() {
    for order in [["amd", "amd2"], ["amd2", "amd"]] {
        let one = done(None, &configure("amd", true));
        let both = done(one.as_deref(), &configure("amd2", true));
        let left = done(both.as_deref(), &remove(order[0]));
        let kept = left.as_deref().unwrap();
        assert!(kept.contains(&format!("\n{} = ", order[1])), "{kept}");
        assert_eq!(done(Some(kept), &remove(order[1])), None);
    }
}

#[test]
fn an_entry_of_the_user_stays_and_is_an_error() {
    let text = "[engine.runtimes]\namd = [\"/opt/mine\"]\n";
    for request in [configure("amd", false), remove("amd")] {
        let fault = apply(Some(text), &BTreeSet::new(), &request).unwrap_err();
        assert!(
            fault.to_string().starts_with("line 2, column 7: "),
            "{fault}"
        );
        assert!(fault.hint.is_some());
    }
}

#[test]
fn a_default_in_our_file_comes_back_if_podman_knows_it() {
    let others = BTreeSet::from(["nvidia".to_owned()]);
    for (old, back) in [
        ("crun", true),
        ("/opt/run", true),
        ("nvidia", true),
        ("kept", false),
    ] {
        let own = format!("[engine]\nruntime = \"{old}\"\n");
        let text = apply(Some(&own), &others, &configure("amd", true)).unwrap();
        let left = apply(text.text.as_deref(), &others, &remove("amd")).unwrap();
        let expected = if back { own.as_str() } else { "[engine]\n" };
        assert_eq!(left.text.as_deref(), Some(expected));
        assert_eq!(left.notes.is_empty(), back);
    }
}

#[test]
fn programs_that_somebody_added_to_our_entry_stay() {
    let ours = format!("[\"{PATH}\"]");
    let theirs = format!("[\"/opt/wrapper\", \"{PATH}\"]");
    let text = done(None, &configure("amd", false))
        .unwrap()
        .replace(&ours, &theirs);
    let after = apply(Some(&text), &BTreeSet::new(), &configure("amd", false)).unwrap();
    assert_eq!(after.text, Some(text));
    assert_eq!(
        after.notes,
        ["the entry of the runtime \"amd\" stays [\"/opt/wrapper\",\
          \"/usr/bin/amd-container-runtime\"], as somebody edited it; amd-ctk would write \
          [\"/usr/bin/amd-container-runtime\"]"]
    );
}

#[test]
fn a_program_that_moved_is_updated() {
    let moved = Request::Configure(Settings {
        name: "amd".to_owned(),
        path: "/opt/amd-container-runtime".to_owned(),
        default: true,
        cdi: false,
        swarm: Vec::new(),
    });
    let before = done(None, &configure("amd", true));
    let after = done(before.as_deref(), &moved).unwrap();
    assert!(
        after.contains("amd = [\"/opt/amd-container-runtime\"]"),
        "{after}"
    );
    assert!(!after.contains("/usr/bin"), "{after}");
    assert_eq!(done(Some(&after), &remove("amd")), None);
}
