use std::collections::HashSet;

use super::grammar::{Meaning, Request};
use super::{Reason, UnknownGpu, UnknownTerm};
use crate::{Gpu, Inventory};

/// What a request names on one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// Indices of the GPUs, sorted, each once.
    pub gpus: Vec<usize>,
    /// The terms that name no GPU, or also name one that is not there (`0-9` of eight GPUs), each
    /// once, in the order of the request.
    pub unknown: Vec<UnknownTerm>,
}

impl Request {
    /// Looks the terms up among the GPUs of `inventory`. Takes time and memory by the number of terms
    /// and of GPUs, not by the numbers in the terms.
    pub fn resolve(&self, inventory: &Inventory) -> Resolution {
        let mut chosen = vec![false; inventory.gpus.len()];
        let mut unknown = Vec::new();
        let mut seen = HashSet::new();
        for term in &self.terms {
            if !seen.insert(term.text.as_str()) {
                continue;
            }
            if let Err(reason) = choose(&term.meaning, inventory, &mut chosen) {
                unknown.push(UnknownTerm {
                    term: term.text.clone(),
                    reason,
                });
            }
        }
        let gpus = (0..chosen.len()).filter(|&index| chosen[index]).collect();
        Resolution { gpus, unknown }
    }
}

impl Resolution {
    /// The indices of the GPUs, if every term of the request names some.
    ///
    /// # Errors
    /// [`UnknownGpu`] lists all terms that do not, and hints at the names that `inventory` has.
    pub fn strict(self, inventory: &Inventory) -> Result<Vec<usize>, UnknownGpu> {
        if self.unknown.is_empty() {
            Ok(self.gpus)
        } else {
            Err(UnknownGpu::new(self.unknown, inventory))
        }
    }
}

/// Marks in `chosen` the GPUs that a term names.
fn choose(meaning: &Meaning, inventory: &Inventory, chosen: &mut [bool]) -> Result<(), Reason> {
    let Some(last_index) = inventory.gpus.len().checked_sub(1) else {
        return Err(match meaning {
            Meaning::Nothing(reason) => reason.clone(),
            _ => Reason::NoGpuHere,
        });
    };
    match meaning {
        Meaning::All => {
            chosen.fill(true);
            Ok(())
        }
        Meaning::Index(index) => choose_range(*index, *index, last_index, chosen),
        Meaning::Range { first, last } => choose_range(*first, *last, last_index, chosen),
        Meaning::Uuid(uuid) => choose_where(inventory, chosen, Reason::NoSuchUuid, |gpu| {
            gpu.uuid == Some(*uuid)
        }),
        Meaning::Pci(pci) => choose_where(inventory, chosen, Reason::NoSuchPciAddress, |gpu| {
            gpu.pci == *pci
        }),
        Meaning::Nothing(reason) => Err(reason.clone()),
    }
}

/// Marks the GPUs from `first` to `last` that exist.
fn choose_range(
    first: u64,
    last: u64,
    last_index: usize,
    chosen: &mut [bool],
) -> Result<(), Reason> {
    let [first, end] = [first, last].map(|index| usize::try_from(index).unwrap_or(usize::MAX));
    if first > last_index {
        return Err(Reason::NoSuchIndex { last_index });
    }
    chosen[first..=end.min(last_index)].fill(true);
    if end > last_index {
        Err(Reason::BeyondLast { last_index })
    } else {
        Ok(())
    }
}

fn choose_where(
    inventory: &Inventory,
    chosen: &mut [bool],
    otherwise: Reason,
    is_meant: impl Fn(&Gpu) -> bool,
) -> Result<(), Reason> {
    let mut found = false;
    for (gpu, chosen) in inventory.gpus.iter().zip(chosen) {
        if is_meant(gpu) {
            *chosen = true;
            found = true;
        }
    }
    if found { Ok(()) } else { Err(otherwise) }
}

#[cfg(test)]
mod tests {
    use super::super::{Asked, parse};
    use super::*;
    use crate::join::{Board, KfdTopology, join};
    use crate::{PciAddress, Uuid};

    /// Eight GPUs: at 0000:00:00.0 to 0000:06:00.0, the last address with two partitions, which
    /// share a UUID. GPU n has the UUID 0xA0 + n.
    fn eight() -> Inventory {
        let address = |bus| PciAddress {
            domain: 0,
            bus,
            device: 0,
            function: 0,
        };
        let boards: Vec<Board> = (0..8)
            .map(|n: u8| Board {
                uuid: Some(Uuid(0xa0 + u64::from(n.min(6)))),
                ..Board::at(address(n.min(6)))
            })
            .collect();
        Inventory {
            gpus: join(&boards, &KfdTopology::default(), &Default::default()),
            hidden: 0,
        }
    }

    fn resolve(text: &str, inventory: &Inventory) -> Resolution {
        match parse(text) {
            Asked::Gpus(request) => request.resolve(inventory),
            other => panic!("{text:?} asks for {other:?}"),
        }
    }

    #[test]
    fn terms_name_gpus() {
        let inventory = eight();
        for (text, expected) in [
            ("all", &[0, 1, 2, 3, 4, 5, 6, 7][..]),
            ("3", &[3]),
            ("5,0-2,1", &[0, 1, 2, 5]),
            ("0,0,0", &[0]),
            ("7-7", &[7]),
            ("0xA3", &[3]),
            ("a3,GPU-00000000000000a3", &[3]),
            ("00000000000000a3", &[3]),
            ("02:00.0", &[2]),
            ("amd.com/gpu=1,amd.com/gpu=0000:03:00.0", &[1, 3]),
            ("amd.com/gpu=all", &[0, 1, 2, 3, 4, 5, 6, 7]),
        ] {
            let resolution = resolve(text, &inventory);
            assert_eq!(resolution.unknown, [], "{text}");
            assert_eq!(resolution.strict(&inventory).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_partitions_share_names_all_of_them() {
        let inventory = eight();
        for text in ["06:00.0", "0xA6", "amd.com/gpu=gpu-a6"] {
            assert_eq!(resolve(text, &inventory).gpus, [6, 7], "{text}");
        }
    }

    #[test]
    fn terms_that_name_no_gpu_say_why() {
        let inventory = eight();
        let no_such_index = Reason::NoSuchIndex { last_index: 7 };
        for (text, reason) in [
            ("8", no_such_index.clone()),
            ("99999999999999999999", no_such_index.clone()),
            ("8-9", no_such_index.clone()),
            ("18446744073709551615-99999999999999999999", no_such_index),
            ("0xB0", Reason::NoSuchUuid),
            ("abc", Reason::NoSuchUuid),
            ("0001:02:00.0", Reason::NoSuchPciAddress),
            ("3-1", Reason::BackwardRange),
        ] {
            let resolution = resolve(text, &inventory);
            assert!(resolution.gpus.is_empty(), "{text}");
            assert_eq!(
                resolution.unknown,
                [UnknownTerm {
                    term: text.into(),
                    reason
                }]
            );
        }
    }

    #[test]
    fn a_range_that_reaches_too_far_names_what_there_is_and_is_reported() {
        let resolution = resolve("6-4294967295", &eight());
        assert_eq!(resolution.gpus, [6, 7]);
        assert_eq!(
            resolution.unknown[0].reason,
            Reason::BeyondLast { last_index: 7 }
        );
    }

    #[test]
    fn unknown_terms_are_reported_once_in_the_order_of_the_request() {
        let resolution = resolve("99,x,0,99,8", &eight());
        assert_eq!(resolution.gpus, [0]);
        let terms: Vec<&str> = resolution
            .unknown
            .iter()
            .map(|term| term.term.as_str())
            .collect();
        assert_eq!(terms, ["99", "x", "8"]);
    }

    #[test]
    fn without_a_gpu_no_term_names_one() {
        let empty = Inventory::default();
        for text in ["all", "0", "0-3", "0xA0", "05:00.0"] {
            assert_eq!(
                resolve(text, &empty).unknown[0].reason,
                Reason::NoGpuHere,
                "{text}"
            );
        }
        assert_eq!(
            resolve("0-", &empty).unknown[0].reason,
            Reason::RangeWithoutEnd
        );
    }
}
