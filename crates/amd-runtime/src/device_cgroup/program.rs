//! The device program of the v2 controller: a [`DeviceTable`] as instructions of a
//! `BPF_PROG_TYPE_CGROUP_DEVICE` program (Linux, include/uapi/linux/bpf.h, `struct
//! bpf_cgroup_dev_ctx`).
//!
//! The kernel runs it for every open and mknod of a device in the cgroup and below, and allows what
//! it returns 1 for. It does exactly what [`DeviceTable::allows`] says, which is what the v1
//! controller does with the same rules.

use super::rule::NodeKind;
use super::table::DeviceTable;

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
            JUMP_IF_EQUAL | JUMP_UNLESS_EQUAL | JUMP_UNLESS_SAME
        )
    }
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
    for (range, access) in table.exceptions() {
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
        for (register, number) in [(MAJOR, range.major), (MINOR, range.minor)] {
            if let Some(number) = number {
                // By register: an immediate operand of a jump is extended with its sign.
                block.push(I::with_immediate(SET, R1, number.cast_signed()));
                block.push(I::with_register(JUMP_UNLESS_SAME, register, R1));
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
    use crate::device_cgroup::access::Access;
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
                0x15 | 0x55 | 0x5d => {
                    // 64 bits wide, the immediate with its sign.
                    let sign_extended = i64::from(instruction.immediate).cast_unsigned();
                    let jump = match instruction.code {
                        0x15 => value == sign_extended,
                        0x55 => value != sign_extended,
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
