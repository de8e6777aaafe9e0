//! Command lines in the documents, as the programs parse them.

use std::sync::LazyLock;

use clap::Command;
use clap::error::ErrorKind;
use manual::{Program, programs};

use super::documents::{Document, all};

static PROGRAMS: LazyLock<[Program; 2]> = LazyLock::new(programs);

/// The program of ours that a word runs.
fn program(word: &str) -> Option<&'static Program> {
    let name = word.rsplit('/').next().unwrap_or_default();
    PROGRAMS.iter().find(|it| it.command.get_name() == name)
}

/// Words that end a command in a shell.
const ENDS: [&str; 6] = ["|", "||", "&&", "&", ";", "then"];

/// The command lines of our programs in a text of shell commands, in words.
fn commands(shell: &str) -> Vec<Vec<String>> {
    let joined = shell.replace("\\\n", " ");
    let mut found = Vec::new();
    for line in joined.lines() {
        let words = shlex::split(line);
        assert!(words.is_some(), "the shell would not understand {line:?}");
        let words = words.unwrap_or_default();
        for command in words.split(|word| ENDS.contains(&word.as_str())) {
            let is_ours = |word: &String| program(word).is_some();
            let before = |word: &String| word == "sudo" || word == "time" || word.contains('=');
            let start = command.iter().position(|word| !before(word)).unwrap_or(0);
            if command.get(start).is_some_and(is_ours) {
                let redirects =
                    |word: &&String| !word.starts_with(['>', '<']) && !word.starts_with("2>");
                let words = command[start..].iter().take_while(redirects);
                found.push(words.cloned().collect());
            }
        }
    }
    found
}

/// What the program that a command line names has against it.
fn fault(words: &[String]) -> Option<clap::Error> {
    let error = program(&words[0])?
        .command
        .clone()
        .try_get_matches_from(words)
        .err()?;
    let asks_for_help = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    (!asks_for_help).then_some(error)
}

/// What a person types in a block: all of a shell's, the lines behind a prompt of a console.
fn typed(language: &str, block: &str) -> Option<String> {
    match language {
        "sh" | "bash" => Some(block.to_owned()),
        "console" => {
            let mut typed = String::new();
            let mut goes_on = false;
            for line in block.lines() {
                let command = line.strip_prefix("$ ").or(line.strip_prefix("# "));
                if let Some(command) = command.or(goes_on.then_some(line)) {
                    typed += command;
                    typed.push('\n');
                    goes_on = command.ends_with('\\');
                }
            }
            Some(typed)
        }
        _ => None,
    }
}

/// Whether a part of a command line, named in a sentence, leaves out what must be there.
fn is_a_part(error: &clap::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::MissingSubcommand
            | ErrorKind::MissingRequiredArgument
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    )
}

#[test]
fn the_programs_understand_the_command_lines_of_the_documents() {
    let mut count = 0;
    for document in all() {
        for (language, block) in document.blocks() {
            for words in commands(&typed(&language, &block).unwrap_or_default()) {
                let error = fault(&words);
                assert!(
                    error.is_none(),
                    "{}: {words:?}: {error:?}",
                    document.path.display()
                );
                count += 1;
            }
        }
    }
    assert!(count > 30, "{count}");
}

#[test]
fn commands_that_sentences_name_are_there() {
    for document in all() {
        for span in document.spans() {
            // Ways to say "and so on".
            if span.contains(['…', '<', '[']) || span.contains("...") {
                continue;
            }
            for words in shlex::split(&span)
                .map(|_| commands(&span))
                .unwrap_or_default()
            {
                let error = fault(&words).filter(|error| !is_a_part(error));
                assert!(
                    error.is_none(),
                    "{}: {span:?}: {error:?}",
                    document.path.display()
                );
            }
        }
    }
}

#[test]
fn options_that_sentences_name_are_there() {
    let all_options: Vec<String> = PROGRAMS
        .iter()
        .flat_map(|it| options(&it.command))
        .collect();
    for file in ["docs/cdi.md", "docs/permissions.md", "docs/partitions.md"] {
        for span in Document::read(file).spans() {
            let name = span.split(['=', ' ']).next().unwrap_or_default();
            if name.starts_with("--") && !ENGINES_OWN.contains(&name) {
                assert!(all_options.iter().any(|it| it == name), "{file}: {span}");
            }
        }
    }
}

/// Options of engines that documents name.
const ENGINES_OWN: [&str; 6] = [
    "--device",
    "--gpus",
    "--group-add",
    "--user",
    "--security-opt",
    "--privileged",
];

fn options(command: &Command) -> Vec<String> {
    let own = command
        .get_arguments()
        .filter_map(|arg| Some(format!("--{}", arg.get_long()?)));
    own.chain(command.get_subcommands().flat_map(options))
        .collect()
}

#[test]
fn command_lines_that_the_programs_do_not_know_are_found() {
    for line in [
        "amd-ctk gpu lists",
        "sudo /usr/bin/amd-ctk cdi generate --nothing",
        "A=1 amd-ctk runtime configure --runtime=nothing",
        "true && amd-container-runtime create --nothing id",
        "amd-ctk gpu list | amd-ctk nothing",
        "amd-ctk \\\n  nothing",
    ] {
        assert!(
            commands(line).iter().any(|words| fault(words).is_some()),
            "{line}"
        );
    }
    for line in [
        "amd-ctk gpu list >/tmp/list 2>&1",
        "sudo amd-ctk cdi generate --output - | jq .  # as JSON",
        "docker run amd-ctk nothing",
    ] {
        assert!(
            commands(line).iter().all(|words| fault(words).is_none()),
            "{line}"
        );
    }
}

#[test]
fn a_console_has_prompts_and_output() {
    let block = "$ amd-ctk gpu \\\n    list\namd-ctk nothing\n# amd-ctk version\n";
    let typed = typed("console", block).unwrap();
    assert_eq!(
        commands(&typed),
        [vec!["amd-ctk", "gpu", "list"], vec!["amd-ctk", "version"]]
    );
}
