//! Lists of CPUs and memory nodes, as `0-3,7` (cpuset(7), "List format").

/// The highest number that a set of the kernel's can have (`CPU_SETSIZE`, which runc takes
/// for nodes, too).
const HIGHEST: usize = 1023;

/// How many numbers are in a list; an empty one has none. `None` where it is no list, or
/// has a number that is too high.
pub(super) fn count(list: &str) -> Option<usize> {
    if list.trim().is_empty() {
        return Some(0);
    }
    let mut numbers = [false; HIGHEST + 1];
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first > last {
            return None;
        }
        numbers
            .get_mut::<std::ops::RangeInclusive<usize>>(first..=last)?
            .fill(true);
    }
    Some(numbers.iter().filter(|&&there| there).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges_count_once() {
        for (list, numbers) in [
            ("", Some(0)),
            ("0", Some(1)),
            ("0-7", Some(8)),
            ("1,3-4, 4", Some(3)),
            ("1023", Some(1)),
            ("1024", None),
            ("0-9876543210", None),
            ("3-1", None),
            ("1,", None),
            ("-1", None),
            ("a", None),
        ] {
            assert_eq!(count(list), numbers, "{list}");
        }
    }
}
