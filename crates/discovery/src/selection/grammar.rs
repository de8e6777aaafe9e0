use std::fmt;

use super::Reason;
use crate::uuid::strip_prefix_ignore_case;
use crate::{CDI_KIND, PciAddress, Uuid};

/// What a value asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nothing: as if there were no value.
    NotAsked,
    /// Explicitly no GPU (`none`).
    NoGpu,
    /// GPUs.
    Gpus(Request),
}

/// A request for GPUs: one or more terms, in the order in which they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub(super) terms: Vec<Term>,
}

impl Request {
    /// Adds the terms of `other`.
    pub fn merge(&mut self, other: Self) {
        self.terms.extend(other.terms);
    }
}

impl fmt::Display for Request {
    /// The terms as they were written, with commas between them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, term) in self.terms.iter().enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            f.write_str(&term.text)?;
        }
        Ok(())
    }
}

/// A term, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub text: String,
    pub meaning: Meaning,
}

/// Numbers too large for u64 are u64::MAX: no host has a GPU with that index either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    All,
    Index(u64),
    Range { first: u64, last: u64 },
    Uuid(Uuid),
    Pci(PciAddress),
    Nothing(Reason),
}

/// Reads a request in the grammar of [this module](super).
pub fn parse(text: &str) -> Asked {
    let mut says_none = false;
    let mut terms = Vec::new();
    for term in text.split(',').map(str::trim) {
        if term.is_empty() || term.eq_ignore_ascii_case("void") {
            continue;
        }
        says_none |= term.eq_ignore_ascii_case("none");
        terms.push(Term {
            text: term.to_owned(),
            meaning: meaning(term),
        });
    }
    if terms.is_empty() {
        Asked::NotAsked
    } else if says_none
        && terms
            .iter()
            .all(|term| term.text.eq_ignore_ascii_case("none"))
    {
        Asked::NoGpu
    } else {
        Asked::Gpus(Request { terms })
    }
}

fn meaning(term: &str) -> Meaning {
    if term.eq_ignore_ascii_case("none") {
        return Meaning::Nothing(Reason::NoneAmongOthers);
    }
    match term.split_once('=') {
        Some((CDI_KIND, device)) => {
            name(device).unwrap_or(Meaning::Nothing(Reason::NoSuchCdiDevice))
        }
        Some(_) => Meaning::Nothing(Reason::OtherCdiKind),
        None => name(term).unwrap_or_else(|| range(term)),
    }
}

/// The one name of GPUs that a term or a CDI device is.
fn name(term: &str) -> Option<Meaning> {
    if term.eq_ignore_ascii_case("all") {
        return Some(Meaning::All);
    }
    let prefixed = ["GPU-", "0x"]
        .iter()
        .any(|prefix| strip_prefix_ignore_case(term, prefix).is_some());
    if is_number(term) && term.len() != 16 {
        return Some(Meaning::Index(number(term)));
    }
    if prefixed || term.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return term.parse().ok().map(Meaning::Uuid);
    }
    term.parse().ok().map(Meaning::Pci)
}

fn range(term: &str) -> Meaning {
    let Some((first, last)) = term.split_once('-') else {
        return Meaning::Nothing(Reason::NotUnderstood);
    };
    match (first, last) {
        (first, last) if is_number(first) && is_number(last) => {
            let (first, last) = (number(first), number(last));
            if first > last {
                Meaning::Nothing(Reason::BackwardRange)
            } else {
                Meaning::Range { first, last }
            }
        }
        ("", last) if is_number(last) => Meaning::Nothing(Reason::RangeWithoutStart),
        (first, "") if is_number(first) => Meaning::Nothing(Reason::RangeWithoutEnd),
        _ => Meaning::Nothing(Reason::NotUnderstood),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The value of a text of digits.
fn number(digits: &str) -> u64 {
    digits.parse().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meanings(text: &str) -> Vec<Meaning> {
        match parse(text) {
            Asked::Gpus(request) => request.terms.into_iter().map(|term| term.meaning).collect(),
            other => panic!("{text:?} asks for {other:?}"),
        }
    }

    #[test]
    fn nothing_is_asked_by_nothing() {
        for text in [
            "",
            " ",
            ",",
            " , ,",
            "void",
            "VOID",
            "void,",
            " void , void",
        ] {
            assert_eq!(parse(text), Asked::NotAsked, "{text:?}");
        }
    }

    #[test]
    fn none_by_itself_asks_for_no_gpu() {
        for text in ["none", "None", " none ", "none,", "none,none", "void,none"] {
            assert_eq!(parse(text), Asked::NoGpu, "{text:?}");
        }
    }

    #[test]
    fn each_sort_of_term() {
        let uuid = Meaning::Uuid(Uuid(0xe3aa_140f_9a5f_9e31));
        let pci = Meaning::Pci(PciAddress {
            domain: 0,
            bus: 5,
            device: 0,
            function: 0,
        });
        for (term, expected) in [
            ("all", Meaning::All),
            ("ALL", Meaning::All),
            ("0", Meaning::Index(0)),
            ("007", Meaning::Index(7)),
            ("4294967296", Meaning::Index(1 << 32)),
            ("123456789012345", Meaning::Index(123_456_789_012_345)),
            (
                "1234567890123456",
                Meaning::Uuid(Uuid(0x1234_5678_9012_3456)),
            ),
            ("12345678901234567", Meaning::Index(12_345_678_901_234_567)),
            ("99999999999999999999", Meaning::Index(u64::MAX)),
            ("0-3", Meaning::Range { first: 0, last: 3 }),
            ("3-3", Meaning::Range { first: 3, last: 3 }),
            (
                "0-4294967295",
                Meaning::Range {
                    first: 0,
                    last: 4_294_967_295,
                },
            ),
            (
                "1-99999999999999999999",
                Meaning::Range {
                    first: 1,
                    last: u64::MAX,
                },
            ),
            ("e3aa140f9a5f9e31", uuid.clone()),
            ("E3AA140F9A5F9E31", uuid.clone()),
            ("0xe3aa140f9a5f9e31", uuid.clone()),
            ("0XE3AA140F9A5F9E31", uuid.clone()),
            ("GPU-e3aa140f9a5f9e31", uuid.clone()),
            ("gpu-E3AA140F9A5F9E31", uuid.clone()),
            ("0x12", Meaning::Uuid(Uuid(0x12))),
            ("GPU-12", Meaning::Uuid(Uuid(0x12))),
            ("abc", Meaning::Uuid(Uuid(0xabc))),
            ("0abc", Meaning::Uuid(Uuid(0xabc))),
            ("0000:05:00.0", pci.clone()),
            ("05:00.0", pci.clone()),
            ("amd.com/gpu=all", Meaning::All),
            ("amd.com/gpu=0", Meaning::Index(0)),
            ("amd.com/gpu=0xE3AA140F9A5F9E31", uuid.clone()),
            ("amd.com/gpu=e3aa140f9a5f9e31", uuid),
            ("amd.com/gpu=0000:05:00.0", pci),
        ] {
            assert_eq!(meanings(term), [expected], "{term}");
        }
    }

    #[test]
    fn terms_that_name_nothing_say_why() {
        for (term, reason) in [
            ("0-", Reason::RangeWithoutEnd),
            ("-1", Reason::RangeWithoutStart),
            ("3-1", Reason::BackwardRange),
            ("-", Reason::NotUnderstood),
            ("0-1-2", Reason::NotUnderstood),
            ("0 - 1", Reason::NotUnderstood),
            ("0 1", Reason::NotUnderstood),
            ("+1", Reason::NotUnderstood),
            ("1.0", Reason::NotUnderstood),
            ("gpu0", Reason::NotUnderstood),
            ("GPU-", Reason::NotUnderstood),
            ("GPU-0000000000000000", Reason::NotUnderstood),
            ("0x", Reason::NotUnderstood),
            ("0x0", Reason::NotUnderstood),
            ("e3aa140f9a5f9e310", Reason::NotUnderstood),
            ("0000:05:00", Reason::NotUnderstood),
            ("\u{661}", Reason::NotUnderstood),
            ("amd.com/gpu=", Reason::NoSuchCdiDevice),
            ("amd.com/gpu=0-3", Reason::NoSuchCdiDevice),
            ("amd.com/gpu=none", Reason::NoSuchCdiDevice),
            ("amd.com/gpu", Reason::NotUnderstood),
            ("nvidia.com/gpu=0", Reason::OtherCdiKind),
        ] {
            assert_eq!(meanings(term), [Meaning::Nothing(reason)], "{term}");
        }
    }

    #[test]
    fn blanks_around_terms_and_empty_terms_do_not_count() {
        let expected = [Meaning::Index(0), Meaning::Index(1)];
        for text in ["0,1", " 0 , 1 ", "0,,1", ",0,1,", "0,\t1\n", "0,void,1"] {
            assert_eq!(meanings(text), expected, "{text:?}");
        }
    }

    #[test]
    fn none_beside_other_terms_names_nothing() {
        let nothing = Meaning::Nothing(Reason::NoneAmongOthers);
        assert_eq!(meanings("none,0"), [nothing.clone(), Meaning::Index(0)]);
        assert_eq!(meanings("all, NONE"), [Meaning::All, nothing]);
    }

    #[test]
    fn a_request_is_displayed_as_it_was_written() {
        let Asked::Gpus(mut request) = parse(" 0-1 ,, GPU-ab") else {
            panic!()
        };
        let Asked::Gpus(other) = parse("all") else {
            panic!()
        };
        request.merge(other);
        assert_eq!(request.to_string(), "0-1,GPU-ab,all");
    }
}
