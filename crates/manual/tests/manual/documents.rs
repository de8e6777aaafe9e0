//! The documents of this project, and what is in them.

use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Parser, Tag, TagEnd};

/// The project's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A document in Markdown.
#[derive(Debug)]
pub struct Document {
    /// Its path below the project's folder.
    pub path: PathBuf,
    pub text: String,
}

/// A heading: its level, its text, and what of it is code.
#[derive(Debug, PartialEq, Eq)]
pub struct Heading {
    pub level: HeadingLevel,
    pub text: String,
    pub code: Vec<String>,
}

/// README.md and those of docs/ and of the tests.
#[allow(clippy::unwrap_used, reason = "files of this project")]
pub fn all() -> Vec<Document> {
    let mut paths = vec![
        PathBuf::from("README.md"),
        "tests/integration/README.md".into(),
    ];
    let docs = std::fs::read_dir(root().join("docs")).unwrap();
    paths.extend(docs.map(|entry| Path::new("docs").join(entry.unwrap().file_name())));
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.sort();
    assert!(paths.len() > 5, "{paths:?}");
    paths.into_iter().map(Document::read).collect()
}

impl Document {
    /// That at `path` below the project's folder.
    #[allow(clippy::unwrap_used, reason = "files of this project")]
    pub fn read(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let text = std::fs::read_to_string(root().join(&path)).unwrap();
        Self { path, text }
    }

    fn events(&self) -> Parser<'_> {
        Parser::new_ext(&self.text, pulldown_cmark::Options::ENABLE_TABLES)
    }

    /// Code in fences, each with its language.
    pub fn blocks(&self) -> Vec<(String, String)> {
        let mut blocks = Vec::new();
        let mut open: Option<(String, String)> = None;
        for event in self.events() {
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                    open = Some((language.to_string(), String::new()));
                }
                Event::Text(text) => {
                    if let Some((_, code)) = &mut open {
                        *code += &text;
                    }
                }
                Event::End(TagEnd::CodeBlock) => blocks.extend(open.take()),
                _ => {}
            }
        }
        blocks
    }

    /// Code within lines.
    pub fn spans(&self) -> Vec<String> {
        self.events()
            .filter_map(|event| match event {
                Event::Code(code) => Some(code.to_string()),
                _ => None,
            })
            .collect()
    }

    /// The headings, in their order.
    pub fn headings(&self) -> Vec<Heading> {
        let mut headings = Vec::new();
        let mut open: Option<Heading> = None;
        for event in self.events() {
            match (event, &mut open) {
                (Event::Start(Tag::Heading { level, .. }), _) => {
                    open = Some(Heading {
                        level,
                        text: String::new(),
                        code: Vec::new(),
                    });
                }
                (Event::Text(text), Some(heading)) => heading.text += &text,
                (Event::Code(code), Some(heading)) => {
                    heading.text += &code;
                    heading.code.push(code.to_string());
                }
                (Event::End(TagEnd::Heading(_)), _) => headings.extend(open.take()),
                _ => {}
            }
        }
        headings
    }

    /// Where links and images lead.
    pub fn links(&self) -> Vec<String> {
        self.events()
            .filter_map(|event| match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    Some(dest_url.to_string())
                }
                _ => None,
            })
            .collect()
    }
}
