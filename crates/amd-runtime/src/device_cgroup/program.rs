//! The device program of the v2 controller: a [`DeviceTable`] as instructions of a
//! `BPF_PROG_TYPE_CGROUP_DEVICE` program (Linux, include/uapi/linux/bpf.h, `struct
//! bpf_cgroup_dev_ctx`).
//!
//! The kernel runs it for every open and mknod of a device in the cgroup and below, and allows what
//! it returns 1 for. It does exactly what [`DeviceTable::allows`] says, which is what the v1
//! controller does with the same rules.

use super::access::Access;
use super::rule::NodeKind;
use super::table::{DeviceRange, DeviceTable};

/// One instruction, `struct bpf_insn`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Class, operation and source of the operand.
    pub code: u8,
    /// Destination and source register, four bits each.
    pub registers: u8,
    /// Jump distance, or offset of a load.
    pub offset: i16,
    /// Immediate operand.
    pub immediate: i32,
}

/// `BPF_LDX | BPF_MEM | BPF_W`: 32 bits from memory.
const LOAD: u8 = 0x61;
/// `BPF_ALU | BPF_AND | BPF_K`, 32 bits wide.
const AND: u8 = 0x54;
/// `BPF_ALU | BPF_RSH | BPF_K`, 32 bits wide.
const SHIFT_RIGHT: u8 = 0x74;
/// `BPF_ALU | BPF_MOV | BPF_K`, 32 bits wide, the upper half becomes zero.
const SET: u8 = 0xb4;
/// `BPF_ALU | BPF_MOV | BPF_X`, 32 bits wide, the upper half becomes zero.
const COPY: u8 = 0xbc;
/// `BPF_JMP | BPF_JA`.
const JUMP: u8 = 0x05;
/// `BPF_JMP32 | BPF_JEQ | BPF_K`.
const JUMP_IF_EQUAL: u8 = 0x16;
/// `BPF_JMP32 | BPF_JNE | BPF_K`.
const JUMP_UNLESS_EQUAL: u8 = 0x56;
/// `BPF_JMP32 | BPF_JLT | BPF_K`, unsigned.
const JUMP_IF_BELOW: u8 = 0xa6;
/// `BPF_JMP32 | BPF_JGT | BPF_K`, unsigned.
const JUMP_IF_ABOVE: u8 = 0x26;
/// `BPF_JMP | BPF_EXIT`.
const EXIT: u8 = 0x95;

/// The verdict.
const R0: u8 = 0;
/// The context; after the loads, scratch.
const R1: u8 = 1;
/// Type of the device asked for.
const TYPE: u8 = 2;
/// Access asked for.
const ACCESS: u8 = 3;
/// Major number asked for.
const MAJOR: u8 = 4;
/// Minor number asked for.
const MINOR: u8 = 5;

/// `BPF_DEVCG_DEV_BLOCK` and `BPF_DEVCG_DEV_CHAR`.
const fn kernel_type(kind: NodeKind) -> i32 {
    match kind {
        NodeKind::Block => 1,
        NodeKind::Char => 2,
    }
}

impl Instruction {
    const fn new(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Self {
        // A bit field in C: its order follows that of the bytes.
        let registers = if cfg!(target_endian = "little") {
            destination | source << 4
        } else {
            destination << 4 | source
        };
        Self {
            code,
            registers,
            offset,
            immediate,
        }
    }

    const fn with_immediate(code: u8, destination: u8, immediate: i32) -> Self {
        Self::new(code, destination, 0, 0, immediate)
    }

    const fn with_register(code: u8, destination: u8, source: u8) -> Self {
        Self::new(code, destination, source, 0, 0)
    }
}

/// Exceptions of one access that differ in their minor numbers alone, which follow each other: the
/// nodes of 64 GPUs are a few such runs, and the kernel's verifier takes its time for every block.
struct Run {
    first: DeviceRange,
    /// The last minor number, where it is not that of `first`.
    last: Option<u32>,
    access: Access,
}

/// The exceptions of a table as runs, in its order.
fn runs(table: &DeviceTable) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (range, access) in table.exceptions() {
        if let Some(run) = runs.last_mut()
            && run.access == access
            && (run.first.kind, run.first.major) == (range.kind, range.major)
            && let (Some(end), Some(minor)) = (run.last.or(run.first.minor), range.minor)
            && end.checked_add(1) == Some(minor)
        {
            run.last = Some(minor);
            continue;
        }
        runs.push(Run {
            first: range,
            last: None,
            access,
        });
    }
    runs
}

/// As many runs as jumps over all of their instructions reach: nine each, of 32,767.
const RUNS_OF_A_PART: usize = 2048;

/// The program that allows what `table` allows.
///
/// Each number is compared once on every way through it: type, then major, access and minor
/// number. The kernel's verifier follows each way, and every comparison whose outcome it knows from
/// an earlier one costs it more than all the others.
pub fn compile(table: &DeviceTable) -> Vec<Instruction> {
    use Instruction as I;
    let mut program = vec![
        I::new(LOAD, TYPE, R1, 0, 0),
        I::with_register(COPY, ACCESS, TYPE),
        I::with_immediate(AND, TYPE, 0xffff),
        I::with_immediate(SHIFT_RIGHT, ACCESS, 16),
        I::new(LOAD, MAJOR, R1, 4, 0),
        I::new(LOAD, MINOR, R1, 8, 0),
    ];
    for runs in runs(table).chunks(RUNS_OF_A_PART) {
        program.append(&mut part(runs, table.default_allow()));
    }
    program.push(I::with_immediate(SET, R0, i32::from(table.default_allow())));
    program.push(I::with_immediate(EXIT, 0, 0));
    program
}

/// The instructions for these runs, which are sorted: the verdict where one of them is about the
/// request, else on to what follows.
fn part(runs: &[Run], default_allow: bool) -> Vec<Instruction> {
    let mut part = Part {
        instructions: Vec::new(),
        to_end: Vec::new(),
        default_allow,
    };
    for of_kind in runs.chunk_by(|one, other| one.first.kind == other.first.kind) {
        let kind = kernel_type(of_kind[0].first.kind);
        let other_kind = part.push(JUMP_UNLESS_EQUAL, TYPE, kind);
        // The wildcard is sorted first: behind a number no other one matches.
        for of_major in of_kind.chunk_by(|one, other| one.first.major == other.first.major) {
            let major = of_major[0].first.major;
            let other_major =
                major.map(|major| part.push(JUMP_UNLESS_EQUAL, MAJOR, major.cast_signed()));
            of_major
                .chunk_by(|one, other| one.access == other.access)
                .for_each(|of_access| part.push_runs(of_access));
            if let Some(other_major) = other_major {
                part.push_jump_to_end();
                part.land(other_major);
            }
        }
        part.push_jump_to_end();
        part.land(other_kind);
    }
    part.finish()
}

/// Instructions in the making.
struct Part {
    instructions: Vec<Instruction>,
    /// The places of jumps to what follows.
    to_end: Vec<usize>,
    default_allow: bool,
}

impl Part {
    /// Returns the place of the instruction, for [`Part::land`].
    fn push(&mut self, code: u8, register: u8, immediate: i32) -> usize {
        self.instructions
            .push(Instruction::with_immediate(code, register, immediate));
        self.instructions.len() - 1
    }

    fn push_jump_to_end(&mut self) {
        let place = self.push(JUMP, 0, 0);
        self.to_end.push(place);
    }

    /// Lets the jump at `place` go to the next instruction.
    fn land(&mut self, place: usize) {
        let distance = self.instructions.len() - place - 1;
        // RUNS_OF_A_PART sees to it that it fits.
        self.instructions[place].offset = distance as i16;
    }

    /// A jump for requests that exceptions of this access are not about.
    fn push_access(&mut self, access: Access) -> usize {
        let bits = i32::from(access.bits());
        self.instructions
            .push(Instruction::with_register(COPY, R1, ACCESS));
        if self.default_allow {
            // Any access of the exception in the request denies it.
            self.push(AND, R1, bits);
            self.push(JUMP_IF_EQUAL, R1, 0)
        } else {
            // The request must hold no access outside of the exception.
            self.push(AND, R1, !bits);
            self.push(JUMP_UNLESS_EQUAL, R1, 0)
        }
    }

    /// The verdict for the minor numbers of runs of one access.
    fn push_runs(&mut self, runs: &[Run]) {
        let other_access = self.push_access(runs[0].access);
        for run in runs {
            self.push_verdict(run);
            if run.first.minor.is_none() {
                // The verifier refuses what is never reached.
                break;
            }
        }
        self.land(other_access);
    }

    /// The verdict for the minor numbers of a run. It is there once for each, and not once for all:
    /// the verifier keeps a jump in mind until it has followed the other way to its end.
    fn push_verdict(&mut self, run: &Run) {
        let mut others = Vec::with_capacity(2);
        if let Some(first) = run.first.minor.map(u32::cast_signed) {
            match run.last.map(u32::cast_signed) {
                None => others.push(self.push(JUMP_UNLESS_EQUAL, MINOR, first)),
                Some(last) => {
                    others.push(self.push(JUMP_IF_BELOW, MINOR, first));
                    others.push(self.push(JUMP_IF_ABOVE, MINOR, last));
                }
            }
        }
        self.push(SET, R0, i32::from(!self.default_allow));
        self.push(EXIT, 0, 0);
        others.into_iter().for_each(|jump| self.land(jump));
    }

    fn finish(mut self) -> Vec<Instruction> {
        for jump in std::mem::take(&mut self.to_end) {
            self.land(jump);
        }
        self.instructions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device_cgroup::random_rules::{RandomRules, requests};
    use crate::device_cgroup::rule::DeviceRule;
    use crate::device_cgroup::v1::tests::rule;

    /// Runs a program as the kernel does, for a context of the three words.
    fn run(program: &[Instruction], context: [u32; 3]) -> bool {
        let mut registers = [0u64; 6];
        let mut next = 0;
        loop {
            let instruction = program[next];
            next += 1;
            let destination = usize::from(instruction.registers & 0xf);
            let source = registers[usize::from(instruction.registers >> 4)];
            let immediate = instruction.immediate.cast_unsigned();
            let value = registers[destination];
            // 32-bit operations clear the upper half.
            let low = value as u32;
            registers[destination] = match instruction.code {
                0x61 => {
                    assert_eq!(instruction.registers >> 4, 1, "loads are from the context");
                    u64::from(context[usize::try_from(instruction.offset).unwrap() / 4])
                }
                0x54 => u64::from(low & immediate),
                0x74 => u64::from(low >> immediate),
                0xb4 => u64::from(immediate),
                0xbc => u64::from(source as u32),
                0x05 | 0x16 | 0x56 | 0xa6 | 0x26 => {
                    let jump = match instruction.code {
                        0x05 => true,
                        0x16 => low == immediate,
                        0x56 => low != immediate,
                        0xa6 => low < immediate,
                        _ => low > immediate,
                    };
                    if jump {
                        next += usize::try_from(instruction.offset).unwrap();
                    }
                    value
                }
                0x95 => return registers[0] == 1,
                other => panic!("unknown instruction {other:#x}"),
            };
        }
    }

    fn asks(program: &[Instruction], kind: NodeKind, n: (u32, u32), access: Access) -> bool {
        let kind = match kind {
            NodeKind::Block => 1,
            NodeKind::Char => 2,
        };
        run(program, [u32::from(access.bits()) << 16 | kind, n.0, n.1])
    }

    fn program_of(lines: &[&str]) -> Vec<Instruction> {
        let rules: Vec<DeviceRule> = lines.iter().map(|line| rule(line)).collect();
        compile(&DeviceTable::from_rules(&rules).unwrap())
    }

    const OPEN: &str = "rw";

    #[test]
    fn granted_devices_are_allowed_and_all_others_denied() {
        let program = program_of(&["deny a *:* rwm", "allow c 226:128 rw", "allow b *:* m"]);
        let cases = [
            (NodeKind::Char, (226, 128), OPEN, true),
            (NodeKind::Char, (226, 128), "r", true),
            (NodeKind::Char, (226, 128), "m", false),
            (NodeKind::Char, (226, 129), OPEN, false),
            (NodeKind::Char, (225, 128), OPEN, false),
            (NodeKind::Block, (226, 128), OPEN, false),
            (NodeKind::Block, (226, 128), "m", true),
        ];
        for (kind, numbers, access, expected) in cases {
            let access = Access::parse(access).unwrap();
            assert_eq!(
                asks(&program, kind, numbers, access),
                expected,
                "{kind:?} {numbers:?} {access}"
            );
        }
    }

    #[test]
    fn an_exception_of_a_deny_list_denies_every_request_that_holds_some_of_it() {
        let program = program_of(&["allow a *:* rwm", "deny c 226:* w"]);
        let open = Access::parse(OPEN).unwrap();
        assert!(!asks(&program, NodeKind::Char, (226, 128), open));
        assert!(asks(&program, NodeKind::Char, (226, 128), Access::READ));
        assert!(asks(&program, NodeKind::Char, (1, 3), open));
    }

    #[test]
    fn without_exceptions_the_default_is_the_whole_program() {
        assert!(!asks(
            &program_of(&[]),
            NodeKind::Char,
            (1, 3),
            Access::READ
        ));
        let open = program_of(&["allow a *:* rwm"]);
        assert!(asks(&open, NodeKind::Block, (8, 0), Access::ALL));
        assert_eq!(open.len(), 8);
    }

    #[test]
    fn devices_that_follow_each_other_are_one_comparison() {
        let rules: Vec<String> = (128..192)
            .map(|minor| format!("allow c 226:{minor} rw"))
            .collect();
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        let with = |more: &[&str]| program_of(&[&["deny a *:* rwm"], &rules[..], more].concat());
        let program = with(&[]);
        assert_eq!(program.len(), with(&["allow c 226:192 rw"]).len());
        assert!(program.len() <= 20, "{}", program.len());
        for (minor, access, expected) in [
            (127, "r", false),
            (128, "rw", true),
            (160, "w", true),
            (160, "m", false),
            (191, "rw", true),
            (192, "r", false),
        ] {
            let access = Access::parse(access).unwrap();
            for (kind, major, expected) in [
                (NodeKind::Char, 226, expected),
                (NodeKind::Char, 225, false),
                (NodeKind::Block, 226, false),
            ] {
                let numbers = (major, minor);
                assert_eq!(
                    asks(&program, kind, numbers, access),
                    expected,
                    "{numbers:?}"
                );
            }
        }
        // Of another access, and behind a gap: runs of their own.
        let apart = with(&["allow c 226:192 r", "allow c 226:194 rw"]);
        assert_eq!(apart.len(), program.len() + 12);
    }

    /// Whether there is a way to every instruction: the verifier refuses a program with others.
    fn is_reachable(program: &[Instruction]) -> bool {
        let mut reached = vec![false; program.len()];
        reached[0] = true;
        // Jumps lead forward.
        for (place, instruction) in program.iter().enumerate() {
            let target = place + 1 + usize::try_from(instruction.offset).unwrap();
            match instruction.code {
                _ if !reached[place] => return false,
                0x95 => {}
                0x05 => reached[target] = true,
                0x16 | 0x56 | 0xa6 | 0x26 => {
                    reached[place + 1] = true;
                    reached[target] = true;
                }
                _ => reached[place + 1] = true,
            }
        }
        true
    }

    #[test]
    fn a_device_that_a_wildcard_covers_is_not_compared() {
        let wildcard = program_of(&["allow c 226:* rw"]);
        let both = program_of(&["allow c 226:* rw", "allow c 226:128 rw"]);
        assert_eq!(wildcard, both);
        let program = program_of(&["allow c 226:* r", "allow c 226:128 rw"]);
        for (minor, access, expected) in [(128, "rw", true), (129, "rw", false), (129, "r", true)] {
            let access = Access::parse(access).unwrap();
            let allowed = asks(&program, NodeKind::Char, (226, minor), access);
            assert_eq!(allowed, expected, "{minor} {access}");
        }
    }

    #[test]
    fn more_devices_than_one_jump_reaches_over_are_all_compared() {
        let rules: Vec<String> = (0..20_000)
            .map(|n| format!("allow c 7:{} rw", 2 * n))
            .collect();
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        let program = program_of(&rules);
        assert!(is_reachable(&program));
        for minor in [0, 1, 8190, 8191, 8192, 8193, 39_998, 39_999, 40_000] {
            let allowed = asks(&program, NodeKind::Char, (7, minor), Access::READ);
            assert_eq!(allowed, minor % 2 == 0 && minor < 40_000, "{minor}");
        }
    }

    #[test]
    fn the_program_does_what_the_table_says() {
        let accesses = ["r", "w", "m", "rw", "rm", "wm", "rwm"];
        let (mut allowed, mut denied) = (0, 0);
        for list in RandomRules::new(3).take(5000) {
            let mut table = DeviceTable::deny_all();
            list.iter().for_each(|rule| table.apply(rule));
            let program = compile(&table);
            assert!(is_reachable(&program), "{list:?}");
            for (kind, major, minor) in requests(&list) {
                for access in accesses {
                    let access = Access::parse(access).unwrap();
                    let expected = table.allows(kind, major, minor, access);
                    assert_eq!(
                        asks(&program, kind, (major, minor), access),
                        expected,
                        "{list:?}: {kind:?} {major}:{minor} {access}"
                    );
                    if expected { allowed += 1 } else { denied += 1 }
                }
            }
        }
        assert!(
            allowed > 10_000 && denied > 10_000,
            "{allowed} allowed, {denied} denied"
        );
    }
}
