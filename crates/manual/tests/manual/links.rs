//! Links in the documents.

use std::path::Path;

use super::documents::{Document, all, root};

/// The anchors that GitHub gives the headings of a document: in small letters, blanks as
/// hyphens, other punctuation left out.
fn anchors(document: &Document) -> Vec<String> {
    let anchor = |text: &str| -> String {
        text.to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect()
    };
    document
        .headings()
        .iter()
        .map(|it| anchor(&it.text))
        .collect()
}

/// What is wrong with a link, if something is.
fn fault(document: &Document, link: &str) -> Option<String> {
    if link.starts_with("https://") {
        return None;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() {
        document.path.clone()
    } else {
        let directory = document.path.parent().unwrap_or(Path::new(""));
        directory.join(path)
    };
    if !root().join(&target).exists() {
        return Some(format!("there is no {}", target.display()));
    }
    let there = anchor.is_empty()
        || anchors(&Document::read(&target))
            .iter()
            .any(|it| it == anchor);
    (!there).then(|| format!("{} has no heading #{anchor}", target.display()))
}

#[test]
fn links_lead_to_files_and_headings() {
    let mut count = 0;
    for document in all() {
        for link in document.links() {
            assert_eq!(
                fault(&document, &link),
                None,
                "{}: {link}",
                document.path.display()
            );
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
}

#[test]
fn links_to_nowhere_are_found() {
    let document = Document::read("docs/development.md");
    for link in [
        "nothing.md",
        "../README.md#nothing",
        "#nothing",
        "http://example.org",
    ] {
        assert!(fault(&document, link).is_some(), "{link}");
    }
    for link in [
        "../README.md",
        "../README.md#install",
        "#tests",
        "https://example.org",
    ] {
        assert_eq!(fault(&document, link), None, "{link}");
    }
}

#[test]
fn the_readme_leads_to_every_document() {
    let readme = Document::read("README.md");
    let links = readme.links();
    for document in all().iter().filter(|it| it.path.starts_with("docs")) {
        let path = document.path.display().to_string();
        assert!(
            links
                .iter()
                .any(|link| link.split('#').next() == Some(&path)),
            "{path}"
        );
    }
}
