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

#[test]
fn the_drop_in_has_the_keys_of_containers_conf() {
    let text = apply(None, &configure("amd", true)).unwrap().unwrap();
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
         # <<< amd-ctk: runtime amd\n"
    );
}

#[test]
fn the_drop_in_goes_when_nothing_of_anybody_is_in_it() {
    let text = apply(None, &configure("amd", true)).unwrap();
    assert_eq!(apply(text.as_deref(), &remove("amd")).unwrap(), None);
    let more = text.unwrap() + "[network]\nx = 1\n";
    let left = apply(Some(&more), &remove("amd")).unwrap().unwrap();
    assert!(
        left.ends_with("[engine.runtimes]\n[network]\nx = 1\n"),
        "{left}"
    );
}

#[test]
fn two_runtimes_of_ours_are_removed_one_by_one() {
    for order in [["amd", "amd2"], ["amd2", "amd"]] {
        let one = apply(None, &configure("amd", true)).unwrap();
        let both = apply(one.as_deref(), &configure("amd2", true)).unwrap();
        let left = apply(both.as_deref(), &remove(order[0])).unwrap();
        let kept = left.as_deref().unwrap();
        assert!(kept.contains(&format!("\n{} = ", order[1])), "{kept}");
        assert_eq!(apply(Some(kept), &remove(order[1])).unwrap(), None);
    }
}

#[test]
fn an_entry_of_the_user_stays_and_is_an_error() {
    let text = "[engine.runtimes]\namd = [\"/opt/mine\"]\n";
    for request in [configure("amd", false), remove("amd")] {
        let fault = apply(Some(text), &request).unwrap_err();
        assert!(
            fault.to_string().starts_with("line 2, column 7: "),
            "{fault}"
        );
        assert!(fault.hint.is_some());
    }
}
