//! Classic BPF instructions (kernel document networking/filter.rst), as many of them as a
//! seccomp filter needs.

/// One instruction: `struct sock_filter` of `linux/filter.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// How many instructions to skip where the comparison holds.
    pub jt: u8,
    /// How many to skip where it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// Size of an instruction in bytes.
pub const SIZE: usize = size_of::<Instruction>();

/// How many instructions a filter may have (`BPF_MAXINSNS`).
pub const MAX: usize = 4096;

impl Instruction {
    const fn new(code: u16, jt: u8, jf: u8, k: u32) -> Self {
        Self { code, jt, jf, k }
    }

    /// Loads the 32 bits at `offset` of `struct seccomp_data`.
    pub const fn load(offset: u32) -> Self {
        Self::new(0x20, 0, 0, offset)
    }

    /// Skips `jt` or `jf` instructions: whether what was loaded is `k`.
    pub const fn jump_equal(k: u32, jt: u8, jf: u8) -> Self {
        Self::new(0x15, jt, jf, k)
    }

    /// Whether it is greater than `k`.
    pub const fn jump_greater(k: u32, jt: u8, jf: u8) -> Self {
        Self::new(0x25, jt, jf, k)
    }

    /// Whether it has a bit of `k`.
    pub const fn jump_set(k: u32, jt: u8, jf: u8) -> Self {
        Self::new(0x45, jt, jf, k)
    }

    /// Skips `k` instructions.
    pub const fn jump(k: u32) -> Self {
        Self::new(0x05, 0, 0, k)
    }

    /// Ends the filter with a result (`SECCOMP_RET_*`).
    pub const fn result(k: u32) -> Self {
        Self::new(0x06, 0, 0, k)
    }

    /// As the kernel of this machine has it in memory.
    pub fn to_bytes(self) -> [u8; SIZE] {
        let [a, b] = self.code.to_ne_bytes();
        let [c, d, e, f] = self.k.to_ne_bytes();
        [a, b, self.jt, self.jf, c, d, e, f]
    }

    /// The instruction that [`Self::to_bytes`] wrote.
    pub fn from_bytes([a, b, jt, jf, c, d, e, f]: [u8; SIZE]) -> Self {
        Self::new(
            u16::from_ne_bytes([a, b]),
            jt,
            jf,
            u32::from_ne_bytes([c, d, e, f]),
        )
    }
}

/// The instructions in `bytes`; `None` where they are no whole number of them.
pub fn parse(bytes: &[u8]) -> Option<Vec<Instruction>> {
    let (instructions, rest) = bytes.as_chunks::<SIZE>();
    rest.is_empty().then(|| {
        instructions
            .iter()
            .map(|bytes| Instruction::from_bytes(*bytes))
            .collect()
    })
}

/// What a filter says of a system call: a model of the kernel, for tests.
#[cfg(test)]
pub fn run(program: &[Instruction], arch: u32, number: u32, args: [u64; 6]) -> u32 {
    let mut data = Vec::new();
    data.extend(number.to_ne_bytes());
    data.extend(arch.to_ne_bytes());
    data.extend(0_u64.to_ne_bytes());
    args.iter().for_each(|arg| data.extend(arg.to_ne_bytes()));
    let (mut at, mut loaded) = (0, 0_u32);
    loop {
        let Instruction { code, jt, jf, k } = program[at];
        let jump = |holds| if holds { jt as usize } else { jf as usize };
        at += 1 + match code {
            0x20 => {
                let offset = k as usize;
                loaded = u32::from_ne_bytes(data[offset..offset + 4].try_into().unwrap());
                0
            }
            0x54 => {
                loaded &= k;
                0
            }
            0x05 => k as usize,
            0x15 => jump(loaded == k),
            0x25 => jump(loaded > k),
            0x35 => jump(loaded >= k),
            0x45 => jump(loaded & k != 0),
            0x06 => return k,
            other => panic!("instruction {other:#x}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_survives_being_written_down() {
        let program = [Instruction::load(4), Instruction::jump_equal(7, 1, 2)];
        let bytes: Vec<u8> = program.iter().flat_map(|i| i.to_bytes()).collect();
        assert_eq!(parse(&bytes).unwrap(), program);
        assert_eq!(parse(&bytes[1..]), None);
    }
}
