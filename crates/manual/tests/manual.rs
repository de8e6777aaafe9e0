//! The manual and the programs agree.

#[path = "manual/man_pages.rs"]
mod man_pages;
#[path = "manual/reference.rs"]
mod reference;
