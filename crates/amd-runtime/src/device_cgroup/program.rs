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
/// `BPF_JMP | BPF_JEQ | BPF_K`.
const JUMP_IF_EQUAL: u8 = 0x15;
/// `BPF_JMP | BPF_JNE | BPF_K`.
const JUMP_UNLESS_EQUAL: u8 = 0x55;
/// `BPF_JMP | BPF_JNE | BPF_X`.
const JUMP_UNLESS_SAME: u8 = 0x5d;
/// `BPF_JMP | BPF_JLT | BPF_X`, unsigned.
const JUMP_IF_BELOW: u8 = 0xad;
/// `BPF_JMP | BPF_JGT | BPF_X`, unsigned.
const JUMP_IF_ABOVE: u8 = 0x2d;
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

    fn is_jump(self) -> bool {
        matches!(
            self.code,
            JUMP_IF_EQUAL | JUMP_UNLESS_EQUAL | JUMP_UNLESS_SAME | JUMP_IF_BELOW | JUMP_IF_ABOVE
        )
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

/// The program that allows what `table` allows.
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
    for Run {
        first: range,
        last,
        access,
    } in runs(table)
    {
        let mut block = vec![I::with_immediate(
            JUMP_UNLESS_EQUAL,
            TYPE,
            kernel_type(range.kind),
        )];
        block.push(I::with_register(COPY, R1, ACCESS));
        let bits = i32::from(access.bits());
        if table.default_allow() {
            // Any access of the exception in the request denies it.
            block.push(I::with_immediate(AND, R1, bits));
            block.push(I::with_immediate(JUMP_IF_EQUAL, R1, 0));
        } else {
            // The request must hold no access outside of the exception.
            block.push(I::with_immediate(AND, R1, !bits));
            block.push(I::with_immediate(JUMP_UNLESS_EQUAL, R1, 0));
        }
        // By register: an immediate operand of a jump is extended with its sign.
        let mut compare = |number: Option<u32>, jump, register| {
            if let Some(number) = number {
                block.push(I::with_immediate(SET, R1, number.cast_signed()));
                block.push(I::with_register(jump, register, R1));
            }
        };
        compare(range.major, JUMP_UNLESS_SAME, MAJOR);
        match last {
            None => compare(range.minor, JUMP_UNLESS_SAME, MINOR),
            Some(last) => {
                compare(range.minor, JUMP_IF_BELOW, MINOR);
                compare(Some(last), JUMP_IF_ABOVE, MINOR);
            }
        }
        block.push(I::with_immediate(
            SET,
            R0,
            i32::from(!table.default_allow()),
        ));
        block.push(I::with_immediate(EXIT, 0, 0));
        jump_past_the_end(&mut block);
        program.append(&mut block);
    }
    program.push(I::with_immediate(SET, R0, i32::from(table.default_allow())));
    program.push(I::with_immediate(EXIT, 0, 0));
    program
}

/// Lets every jump of `block` go to the instruction after it.
fn jump_past_the_end(block: &mut [Instruction]) {
    for (distance, instruction) in (0..).zip(block.iter_mut().rev()) {
        if instruction.is_jump() {
            instruction.offset = distance;
        }
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
                0x15 | 0x55 | 0x5d | 0xad | 0x2d => {
                    // 64 bits wide, the immediate with its sign.
                    let sign_extended = i64::from(instruction.immediate).cast_unsigned();
                    let jump = match instruction.code {
                        0x15 => value == sign_extended,
                        0x55 => value != sign_extended,
                        0xad => value < source,
                        0x2d => value > source,
                        _ => value != source,
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
        assert!(with(&["allow c 226:192 r", "allow c 226:194 rw"]).len() > program.len() + 10);
    }

    #[test]
    fn the_program_does_what_the_table_says() {
        let accesses = ["r", "w", "m", "rw", "rm", "wm", "rwm"];
        let (mut allowed, mut denied) = (0, 0);
        for list in RandomRules::new(3).take(5000) {
            let mut table = DeviceTable::deny_all();
            list.iter().for_each(|rule| table.apply(rule));
            let program = compile(&table);
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
