//! Messages that docs/troubleshooting.md quotes, as the programs have them.

use std::path::Path;

use pulldown_cmark::HeadingLevel;

use super::documents::{Document, root};

/// Below a heading of this text, messages are those of other programs.
const OTHERS: &str = "What engines and ROCm say";

/// The sources of our programs, each as one line.
#[allow(clippy::unwrap_used, reason = "files of this project")]
fn sources() -> Vec<String> {
    fn collect(directory: &Path, texts: &mut Vec<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, texts);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                texts.push(normalised(&std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut texts = Vec::new();
    for program in [
        "discovery",
        "amd-runtime",
        "amd-ctk",
        "gpu-tracker",
        "host-state",
    ] {
        let directory = root().join("crates").join(program).join("src");
        if directory.exists() {
            collect(&directory, &mut texts);
        }
    }
    assert!(texts.len() > 50, "{}", texts.len());
    texts
}

/// With strings that a backslash continues on the next line as one, and plain quotes in them.
fn normalised(source: &str) -> String {
    let mut text = String::new();
    let mut rest = source;
    while let Some((line, next)) = rest.split_once("\\\n") {
        text += line;
        rest = next.trim_start();
    }
    text += rest;
    text.replace("\\\"", "\"")
}

/// Whether a source has the parts of a message between its `…`, one after the other and
/// close to each other.
fn has(source: &str, message: &str) -> bool {
    let parts: Vec<&str> = message
        .split('…')
        .map(str::trim)
        .filter(|it| !it.is_empty())
        .collect();
    let Some((first, rest)) = parts.split_first() else {
        return false;
    };
    source.match_indices(first).any(|(at, _)| {
        let mut end = at + first.len();
        rest.iter().all(|part| {
            let reach = source[end..]
                .char_indices()
                .nth(200)
                .map_or(source.len(), |(it, _)| end + it);
            let next = source[end..reach]
                .find(part)
                .map(|it| end + it + part.len());
            end = next.unwrap_or(end);
            next.is_some()
        })
    })
}

#[test]
fn quoted_messages_are_those_of_the_programs() {
    let sources = sources();
    let mut others = false;
    let mut count = 0;
    for heading in Document::read("docs/troubleshooting.md").headings() {
        if heading.level == HeadingLevel::H2 {
            others = heading.text == OTHERS;
        } else if heading.level == HeadingLevel::H3 && !others {
            for message in &heading.code {
                assert!(
                    sources.iter().any(|source| has(source, message)),
                    "{message:?}"
                );
                count += 1;
            }
        }
    }
    assert!(count > 15, "{count}");
}

#[test]
fn messages_that_no_program_has_are_found() {
    let sources = sources();
    for message in [
        "names no GPU on that host",
        "names no GPU on … nothing",
        "…",
    ] {
        assert!(
            !sources.iter().any(|source| has(source, message)),
            "{message}"
        );
    }
    assert!(
        sources
            .iter()
            .any(|source| has(source, "names no GPU on … this host"))
    );
}

#[test]
fn strings_over_several_lines_are_one_line() {
    let source = "    let a = \"one \\\n             two \\\n  three\";\nlet b = \"x\\\"y\";\n";
    assert!(
        normalised(source).contains("\"one two three\";\n"),
        "{}",
        normalised(source)
    );
    assert!(normalised(source).contains("\"x\"y\""));
}
