//! Man pages.

use std::process::Command;

use manual::{Program, man, programs};

#[allow(clippy::unwrap_used, reason = "in memory")]
fn pages(program: &Program) -> Vec<(String, String)> {
    man::pages(program).unwrap()
}

#[test]
fn every_command_has_a_page_in_the_section_of_its_program() {
    let [ctk, runtime] = programs().map(|program| pages(&program));
    for (pages, name) in [
        (&ctk, "amd-ctk.1"),
        (&ctk, "amd-ctk-cdi.1"),
        (&ctk, "amd-ctk-cdi-generate.1"),
        (&runtime, "amd-container-runtime.8"),
        (&runtime, "amd-container-runtime-create.8"),
    ] {
        assert!(pages.iter().any(|(page, _)| page == name), "{name}");
    }
}

#[test]
fn hidden_commands_have_none() {
    let [ctk, _] = programs().map(|program| pages(&program));
    let hidden = ctk
        .iter()
        .find(|(name, _)| name.starts_with("amd-ctk-configure"));
    assert_eq!(hidden, None);
}

#[test]
fn pages_that_a_page_refers_to_are_there() {
    let all: Vec<_> = programs().iter().flat_map(pages).collect();
    for (page, text) in &all {
        let text = text.replace("\\-", "-");
        let words = text.split(|c: char| c.is_whitespace() || c == ',');
        let referred = words.filter_map(|word| {
            let (name, section) = word.strip_suffix(')')?.split_once('(')?;
            let ours = name.starts_with("amd-") && section.len() == 1;
            ours.then(|| format!("{name}.{section}"))
        });
        for name in referred {
            assert!(
                all.iter().any(|(other, _)| *other == name),
                "{page} refers to {name}"
            );
        }
    }
}

#[test]
fn the_page_of_a_program_says_what_clap_does_not_know() {
    for program in programs() {
        let (_, text) = pages(&program).swap_remove(0);
        let headings: Vec<&str> = text
            .lines()
            .filter_map(|line| Some(line.strip_prefix(".SH ")?.trim_matches('"')))
            .collect();
        for section in ["EXIT STATUS", "FILES", "SEE ALSO"] {
            assert!(headings.contains(&section), "{section}: {headings:?}");
        }
    }
}

#[test]
fn groff_reads_them_without_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (name, text) in programs().iter().flat_map(pages) {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        files.push(path);
    }
    let Ok(output) = Command::new("groff")
        .args(["-man", "-ww", "-z"])
        .args(files)
        .output()
    else {
        println!("skipped: there is no groff, which man(1) uses");
        return;
    };
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{complaints}"
    );
}
