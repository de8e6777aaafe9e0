//! The command line reference, in Markdown.

use clap_markdown::{MarkdownOptions, help_markdown_command_custom};

use crate::Program;

/// Name of a program's reference in `docs/`.
pub fn file_name(program: &Program) -> String {
    format!("cli-{}.md", program.command.get_name())
}

/// The text of that file.
pub fn render(program: &Program) -> String {
    let name = program.command.get_name();
    let options = MarkdownOptions::new()
        .title(format!("Command line of `{name}`"))
        .show_footer(false);
    let text = help_markdown_command_custom(&program.command, &options);
    // A usage of its own has the program's name, which the library puts in front of each.
    let text = text.replace(&format!("`{name} {name} "), &format!("`{name} "));
    let mut out = String::from(
        "<!-- Made by `make reference` from the program's own definitions: change those. -->\n\n",
    );
    let mut blank = true;
    for line in text.lines().map(str::trim_end) {
        // One empty line separates as well as the library's three.
        if !(blank && line.is_empty()) {
            out += line;
            out.push('\n');
        }
        blank = line.is_empty();
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}
