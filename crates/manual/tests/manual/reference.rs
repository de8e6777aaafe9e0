//! The command line reference in docs/.

use std::path::Path;

use manual::{programs, reference};

#[test]
fn the_reference_is_that_of_the_programs() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    for program in programs() {
        let path = docs.join(reference::file_name(&program));
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == reference::render(&program),
            "{} is out of date: run `make reference` and commit what changes",
            path.display()
        );
    }
}

#[test]
fn every_command_has_its_heading() {
    for program in programs() {
        let text = reference::render(&program);
        let name = program.command.get_name();
        let shown = program
            .command
            .get_subcommands()
            .filter(|sub| !sub.is_hide_set());
        for sub in shown {
            let heading = format!("\n## `{name} {}`\n", sub.get_name());
            assert!(text.contains(&heading), "{heading}");
        }
    }
}
