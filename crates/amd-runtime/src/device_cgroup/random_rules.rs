//! Random rule lists for the tests: a fixed seed, numbers from a small range so that rules meet.

use super::access::Access;
use super::rule::{DeviceKind, DeviceRule, NodeKind};
use super::table::DeviceRange;

/// An endless sequence of rule lists, the same for the same seed (xorshift64*).
pub(crate) struct RandomRules(u64);

impl RandomRules {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) as u32;
        high % bound
    }

    fn number(&mut self) -> Option<u32> {
        // Numbers beyond i32 catch a comparison that sign-extends, and those that follow each
        // other are one run.
        const HIGH: u32 = 0x8000_0000;
        let numbers = [0, 1, 2, 226, HIGH - 1, HIGH].map(Some);
        match self.below(7) as usize {
            6 => None,
            at => numbers[at],
        }
    }

    fn rule(&mut self) -> DeviceRule {
        let allow = self.below(2) == 0;
        let kind = match self.below(12) {
            0 => DeviceKind::All,
            1..=3 => DeviceKind::Block,
            _ => DeviceKind::Char,
        };
        let letters = ["r", "w", "m", "rw", "rm", "wm", "rwm"][self.below(7) as usize];
        let access = Access::parse(letters).unwrap();
        DeviceRule::new(allow, kind, self.number(), self.number(), access)
    }
}

impl Iterator for RandomRules {
    type Item = Vec<DeviceRule>;

    fn next(&mut self) -> Option<Self::Item> {
        let length = self.below(7);
        Some((0..length).map(|_| self.rule()).collect())
    }
}

/// The devices (type, major, minor) worth asking for: the numbers of the rules and one more.
pub(crate) fn requests(rules: &[DeviceRule]) -> Vec<(NodeKind, u32, u32)> {
    let ranges: Vec<_> = rules.iter().filter_map(DeviceRange::of).collect();
    let mut majors: Vec<u32> = ranges.iter().filter_map(|range| range.major).collect();
    let mut minors: Vec<u32> = ranges.iter().filter_map(|range| range.minor).collect();
    for numbers in [&mut majors, &mut minors] {
        numbers.push(5);
        numbers.sort_unstable();
        numbers.dedup();
    }
    let mut requests = Vec::new();
    for kind in [NodeKind::Char, NodeKind::Block] {
        for &major in &majors {
            requests.extend(minors.iter().map(|&minor| (kind, major, minor)));
        }
    }
    requests
}
