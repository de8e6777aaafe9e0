//! The manual and the programs agree.

#[path = "manual/command_lines.rs"]
mod command_lines;
#[path = "manual/documents.rs"]
mod documents;
#[path = "manual/links.rs"]
mod links;
#[path = "manual/man_pages.rs"]
mod man_pages;
#[path = "manual/messages.rs"]
mod messages;
#[path = "manual/reference.rs"]
mod reference;
