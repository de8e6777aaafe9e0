//! Lists of CPUs and of memory nodes, as cpuset(7) writes them: `0-3,8`. As with runc, there may be
//! blanks around a part, and nothing between two commas.

/// How many bits the kernel takes (`CONFIG_NR_CPUS` and the like are at most 8192).
const LIMIT: usize = 1 << 13;

/// A set of CPUs or memory nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdList {
    words: Vec<u64>,
}

impl IdList {
    /// The set that `text` names. An empty text names none.
    ///
    /// # Errors
    /// Says which part makes no sense.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut list = Self::default();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let id = |text: &str| {
                let id: usize = text
                    .trim()
                    .parse()
                    .map_err(|_| format!("{part:?} is no id"))?;
                if id < LIMIT {
                    Ok(id)
                } else {
                    Err(format!(
                        "values larger than {} are not supported",
                        LIMIT - 1
                    ))
                }
            };
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (id(first)?, id(last)?);
            if first > last {
                return Err(format!("invalid range: {part}"));
            }
            (first..=last).for_each(|id| list.insert(id));
        }
        Ok(list)
    }

    /// All that the kernel could have.
    pub fn all() -> Self {
        Self {
            words: vec![u64::MAX; LIMIT / 64],
        }
    }

    fn insert(&mut self, id: usize) {
        let word = id / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        if let Some(word) = self.words.get_mut(word) {
            *word |= 1 << (id % 64);
        }
    }

    /// How many there are.
    pub fn len(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A bit each, as system calls take them.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// A bit each, the lowest first, in as few bytes as will do.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self
            .words
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        let used = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        bytes.truncate(used);
        bytes
    }

    /// The numbers, in their order.
    pub fn ids(&self) -> impl Iterator<Item = u16> {
        let words = self.words.iter().zip((0..).step_by(64));
        words.flat_map(|(word, first)| {
            let is_set = move |bit: &u16| word >> bit & 1 == 1;
            (0..64).filter(is_set).map(move |bit| first + bit)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_a_set_of_bits_and_of_numbers() {
        let list = IdList::parse("64,0-1,9,8191").unwrap();
        assert_eq!(list.ids().collect::<Vec<_>>(), [0, 1, 9, 64, 8191]);
        assert_eq!(list.bytes()[..9], [0b11, 0b10, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(list.bytes().len(), 1024);
        assert_eq!(IdList::default().bytes(), [0; 0]);
    }

    #[test]
    fn lists_are_numbers_and_ranges() {
        for (text, words) in [
            ("", vec![]),
            ("0", vec![1]),
            ("0-3,8", vec![0x10f]),
            (" 1 , 64-65 ", vec![2, 3]),
        ] {
            assert_eq!(IdList::parse(text).unwrap().words(), words, "{text}");
        }
        assert_eq!(IdList::parse("1-3,2,,8,").unwrap().len(), 4);
        for bad in ["a", "3-1", "0-", "-1", "0-9876543210", "8192", "1 2"] {
            assert!(IdList::parse(bad).is_err(), "{bad}");
        }
    }
}
