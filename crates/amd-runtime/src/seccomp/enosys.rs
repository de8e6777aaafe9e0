//! `ENOSYS` for calls that a profile cannot know.
//!
//! A profile lists the calls that there were when it was written. A C library that tries
//! a newer one falls back where the kernel says `ENOSYS`, and gives up where the profile's
//! default says `EPERM`. As runc does (its `patchbpf`), a few instructions in front of the
//! filter answer `ENOSYS` to every call with a number above the highest that the profile
//! names for the architecture of the call.

use super::program::Instruction;

/// Of an x86_64 machine, that of x32 included (`linux/audit.h`).
pub const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
/// Set in the number of a call of the x32 ABI.
pub const X32_BIT: u32 = 0x4000_0000;
/// `SECCOMP_RET_ERRNO` with `ENOSYS`.
const ENOSYS: u32 = 0x0005_0000 | libc::ENOSYS as u32;

/// The highest number that a profile names, for one value of `seccomp_data.arch`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Highest {
    /// Of `seccomp_data.arch` (`AUDIT_ARCH_*`).
    pub audit_arch: u32,
    /// Among the calls of the architecture itself.
    pub native: Option<u32>,
    /// Among those of x32, with [`X32_BIT`].
    pub x32: Option<u32>,
}

/// The instructions to go in front of a filter.
pub fn stub(highest: &[Highest]) -> Vec<Instruction> {
    let sections: Vec<_> = highest.iter().map(section).collect();
    // Behind the last section begins the filter.
    let mut rest: usize = sections.iter().map(Vec::len).sum();
    let mut program = vec![Instruction::load(4)];
    for (Highest { audit_arch, .. }, section) in highest.iter().zip(sections) {
        let len = section.len();
        rest -= len;
        program.push(Instruction::jump_equal(*audit_arch, 0, len as u8));
        let others = highest.len() - program.iter().filter(|i| is_arch_test(i)).count();
        let behind = rest + others;
        for (at, instruction) in section.into_iter().enumerate() {
            program.push(match instruction {
                Step::Filter => Instruction::jump((len - at - 1 + behind) as u32),
                Step::Is(instruction) => instruction,
            });
        }
    }
    program
}

fn is_arch_test(instruction: &Instruction) -> bool {
    instruction.code == Instruction::jump_equal(0, 0, 0).code
}

/// An instruction, or the jump to the filter, whose length is known later.
#[derive(Clone, Copy)]
enum Step {
    Is(Instruction),
    Filter,
}

fn section(highest: &Highest) -> Vec<Step> {
    let mut steps = vec![Step::Is(Instruction::load(0))];
    let above = |limit| {
        [
            Step::Is(Instruction::jump_greater(limit, 0, 1)),
            Step::Is(Instruction::result(ENOSYS)),
            Step::Filter,
        ]
    };
    if highest.audit_arch == AUDIT_ARCH_X86_64 {
        let x32: Vec<_> = match highest.x32 {
            Some(limit) => above(limit).to_vec(),
            None => vec![Step::Filter],
        };
        steps.push(Step::Is(Instruction::jump_set(X32_BIT, 0, x32.len() as u8)));
        steps.extend(x32);
    }
    match highest.native {
        Some(limit) => steps.extend(above(limit)),
        None => steps.push(Step::Filter),
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::super::program::run;
    use super::*;

    const I386: u32 = 0x4000_0003;
    const AARCH64: u32 = 0xc000_00b7;
    const FILTER: u32 = 0x7fff_0000;

    fn answer(highest: &[Highest], arch: u32, number: u32) -> u32 {
        let mut program = stub(highest);
        program.push(Instruction::result(FILTER));
        run(&program, arch, number, [0; 6])
    }

    #[test]
    fn calls_above_the_highest_of_their_architecture_do_not_exist() {
        let x86 = Highest {
            audit_arch: AUDIT_ARCH_X86_64,
            native: Some(400),
            x32: Some(X32_BIT | 500),
        };
        let i386 = Highest {
            audit_arch: I386,
            native: Some(450),
            x32: None,
        };
        for order in [[x86, i386], [i386, x86]] {
            for (arch, number, says) in [
                (AUDIT_ARCH_X86_64, 400, FILTER),
                (AUDIT_ARCH_X86_64, 401, ENOSYS),
                (AUDIT_ARCH_X86_64, X32_BIT | 500, FILTER),
                (AUDIT_ARCH_X86_64, X32_BIT | 501, ENOSYS),
                (I386, 450, FILTER),
                (I386, 451, ENOSYS),
                (AARCH64, 9999, FILTER),
            ] {
                assert_eq!(answer(&order, arch, number), says, "{arch:x} {number}");
            }
        }
    }

    #[test]
    fn an_abi_that_the_profile_does_not_name_is_left_to_the_filter() {
        let x86 = |native, x32| Highest {
            audit_arch: AUDIT_ARCH_X86_64,
            native,
            x32,
        };
        let only_native = [x86(Some(3), None)];
        assert_eq!(answer(&only_native, AUDIT_ARCH_X86_64, X32_BIT | 9), FILTER);
        assert_eq!(answer(&only_native, AUDIT_ARCH_X86_64, 4), ENOSYS);
        let only_x32 = [x86(None, Some(X32_BIT | 3))];
        assert_eq!(answer(&only_x32, AUDIT_ARCH_X86_64, 9), FILTER);
        assert_eq!(answer(&only_x32, AUDIT_ARCH_X86_64, X32_BIT | 4), ENOSYS);
        assert_eq!(answer(&[], AUDIT_ARCH_X86_64, 4), FILTER);
    }
}
