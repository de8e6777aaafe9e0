use std::fmt;

use thiserror::Error;

use crate::{CDI_KIND, Inventory};

/// A message lists at most so many terms, and of each at most so many characters: requests come
/// from images and users, and a message goes through logs and JSON.
const MOST_TERMS: usize = 8;
const MOST_CHARACTERS: usize = 64;

/// Why a term names no GPU.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reason {
    /// There is no GPU that a term could name.
    #[error("there is none")]
    NoGpuHere,
    /// An index, or a range from its start, is too high.
    #[error("the last one is {last_index}")]
    NoSuchIndex {
        /// The highest index.
        last_index: usize,
    },
    /// A range names some GPUs, and goes on where there are none.
    #[error("the last one is {last_index}")]
    BeyondLast {
        /// The highest index.
        last_index: usize,
    },
    /// No GPU has the UUID.
    #[error("none has this UUID")]
    NoSuchUuid,
    /// No GPU is at the PCI address.
    #[error("none is at this PCI address")]
    NoSuchPciAddress,
    /// `3-1`
    #[error("the range runs backwards")]
    BackwardRange,
    /// `-1`
    #[error("the range has no start")]
    RangeWithoutStart,
    /// `0-`
    #[error("the range has no end")]
    RangeWithoutEnd,
    /// `none` in a list with other terms.
    #[error("`none` cannot go with other terms")]
    NoneAmongOthers,
    /// `amd.com/gpu=` and something that cannot be a device of that kind.
    #[error("{CDI_KIND} has no such device")]
    NoSuchCdiDevice,
    /// A CDI device of another vendor or class.
    #[error("it is not of the kind {CDI_KIND}")]
    OtherCdiKind,
    /// Anything else.
    #[error("it is no index, range, UUID, PCI address or CDI name")]
    NotUnderstood,
}

/// A term of a request that names no GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownTerm {
    /// The term as it was written, without blanks around it.
    pub term: String,
    /// What is wrong with it.
    pub reason: Reason,
}

impl fmt::Display for UnknownTerm {
    /// `"99" names no GPU on this host: the last one is 7`, on one line whatever the term holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (term, cut) = match self.term.char_indices().nth(MOST_CHARACTERS) {
            Some((end, _)) => (&self.term[..end], "..."),
            None => (self.term.as_str(), ""),
        };
        let names = match self.reason {
            Reason::BeyondLast { .. } => "reaches beyond the GPUs of",
            _ => "names no GPU on",
        };
        write!(f, "{term:?}{cut} {names} this host: {}", self.reason)
    }
}

/// A request names what the host does not have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", message(.terms))]
pub struct UnknownGpu {
    /// The terms at fault; never empty.
    pub terms: Vec<UnknownTerm>,
    gpu_count: usize,
}

impl UnknownGpu {
    pub(super) fn new(terms: Vec<UnknownTerm>, inventory: &Inventory) -> Self {
        Self {
            terms,
            gpu_count: inventory.gpus.len(),
        }
    }

    /// The names that would have been understood.
    pub fn hint(&self) -> Option<String> {
        Some(match self.gpu_count {
            0 => "this host has no GPU that is bound to the amdgpu driver; \
                  see `lspci -nnk -d 1002:`"
                .to_owned(),
            1 => format!(
                "GPUs here: 0 ({CDI_KIND}=0); for its UUID and PCI address see `amd-ctk gpu list`"
            ),
            count => {
                let last = count - 1;
                format!(
                    "GPUs here: 0-{last} ({CDI_KIND}=0 .. {CDI_KIND}={last}); \
                     for their UUIDs and PCI addresses see `amd-ctk gpu list`"
                )
            }
        })
    }
}

fn message(terms: &[UnknownTerm]) -> String {
    let mut parts: Vec<String> = terms
        .iter()
        .take(MOST_TERMS)
        .map(ToString::to_string)
        .collect();
    if terms.len() > MOST_TERMS {
        parts.push(format!("and {} more", terms.len() - MOST_TERMS));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::{Board, KfdTopology, join};
    use crate::selection::{Asked, parse};

    fn inventory(count: u8) -> Inventory {
        let boards: Vec<Board> = (0..count)
            .map(|bus| Board::at(format!("{bus:02x}:00.0").parse().unwrap()))
            .collect();
        Inventory {
            gpus: join(&boards, &KfdTopology::default(), &Default::default()),
            hidden: 0,
        }
    }

    fn error(text: &str, gpu_count: u8) -> UnknownGpu {
        let inventory = inventory(gpu_count);
        let Asked::Gpus(request) = parse(text) else {
            panic!("{text:?} asks for no GPU")
        };
        request.resolve(&inventory).strict(&inventory).unwrap_err()
    }

    #[test]
    fn the_message_names_every_term_and_its_fault() {
        for (text, expected) in [
            ("99", r#""99" names no GPU on this host: the last one is 7"#),
            (
                "0-9",
                r#""0-9" reaches beyond the GPUs of this host: the last one is 7"#,
            ),
            (
                "8-9",
                r#""8-9" names no GPU on this host: the last one is 7"#,
            ),
            (
                "0,none",
                r#""none" names no GPU on this host: `none` cannot go with other terms"#,
            ),
            (
                "0-,0,3-1",
                r#""0-" names no GPU on this host: the range has no end; "3-1" names no GPU on this host: the range runs backwards"#,
            ),
        ] {
            assert_eq!(error(text, 8).to_string(), expected);
        }
    }

    #[test]
    fn the_hint_lists_the_names_there_are() {
        for (count, expected) in [
            (1, "GPUs here: 0 (amd.com/gpu=0); "),
            (8, "GPUs here: 0-7 (amd.com/gpu=0 .. amd.com/gpu=7); "),
        ] {
            let hint = error("99", count).hint().unwrap();
            assert!(hint.starts_with(expected), "{hint}");
            assert!(hint.ends_with("see `amd-ctk gpu list`"), "{hint}");
        }
    }

    #[test]
    fn on_a_host_without_gpus_message_and_hint_say_so() {
        let error = error("all", 0);
        assert_eq!(
            error.to_string(),
            r#""all" names no GPU on this host: there is none"#
        );
        assert!(
            error
                .hint()
                .unwrap()
                .starts_with("this host has no GPU that is bound to")
        );
    }

    #[test]
    fn a_message_stays_short_and_on_one_line() {
        let many: Vec<String> = (0..5000).map(|number| format!("gpu{number}")).collect();
        let message = error(&many.join(","), 8).to_string();
        assert!(
            message.len() < 1000 && message.ends_with("; and 4992 more"),
            "{message}"
        );
        let long = error(&"x\n\u{1b}".repeat(5000), 8).to_string();
        assert!(
            long.len() < 500 && !long.contains(char::is_control),
            "{long}"
        );
    }
}
