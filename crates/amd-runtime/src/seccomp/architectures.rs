//! Architectures: as profiles name them, as libseccomp does, and as the kernel numbers them; and
//! the calls that each of them has.

use libseccomp::{ScmpArch, ScmpSyscall};
use oci_spec::runtime::{Arch, LinuxSeccomp, LinuxSyscall};

use super::enosys::{AUDIT_ARCH_X86_64, Highest};

/// The highest calls that a profile names, for each of its architectures and this one.
pub(super) fn highest_calls(profile: &LinuxSeccomp, calls: &[&LinuxSyscall]) -> Vec<Highest> {
    let mut archs = vec![ScmpArch::native()];
    for arch in profile.architectures().iter().flatten() {
        let arch = scmp_arch(*arch);
        if arch != ScmpArch::Native && !archs.contains(&arch) {
            archs.push(arch);
        }
    }
    let mut all: Vec<Highest> = Vec::new();
    for arch in archs {
        let Some(audit_arch) = audit_arch(arch) else {
            continue;
        };
        let highest = calls
            .iter()
            .flat_map(|call| call.names())
            .filter_map(|name| ScmpSyscall::from_name_by_arch(name, arch).ok())
            // Numbers below zero are libseccomp's own, for calls that the architecture
            // does not have.
            .filter_map(|call| u32::try_from(call.as_raw_syscall()).ok())
            .max();
        let at = all.iter().position(|h| h.audit_arch == audit_arch);
        let at = at.unwrap_or_else(|| {
            all.push(Highest {
                audit_arch,
                ..Highest::default()
            });
            all.len() - 1
        });
        if arch == ScmpArch::X32 {
            all[at].x32 = highest;
        } else {
            all[at].native = highest;
        }
    }
    all
}

/// `seccomp_data.arch` of a call (`AUDIT_ARCH_*` of `linux/audit.h`: the machine of ELF
/// and flags for its byte order and size). `None` for one that this does not know.
pub(super) fn audit_arch(arch: ScmpArch) -> Option<u32> {
    const LE: u32 = 0x4000_0000;
    const BITS64: u32 = 0x8000_0000;
    const N32: u32 = 0x2000_0000;
    let (machine, flags) = match arch {
        ScmpArch::X8664 | ScmpArch::X32 => return Some(AUDIT_ARCH_X86_64),
        ScmpArch::X86 => (3, LE),
        ScmpArch::Arm => (40, LE),
        ScmpArch::Aarch64 => (183, LE | BITS64),
        ScmpArch::Mips => (8, 0),
        ScmpArch::Mips64 => (8, BITS64),
        ScmpArch::Mips64N32 => (8, BITS64 | N32),
        ScmpArch::Mipsel => (8, LE),
        ScmpArch::Mipsel64 => (8, LE | BITS64),
        ScmpArch::Mipsel64N32 => (8, LE | BITS64 | N32),
        ScmpArch::Ppc => (20, 0),
        ScmpArch::Ppc64 => (21, BITS64),
        ScmpArch::Ppc64Le => (21, LE | BITS64),
        ScmpArch::S390 => (22, 0),
        ScmpArch::S390X => (22, BITS64),
        ScmpArch::Riscv64 => (243, LE | BITS64),
        ScmpArch::Loongarch64 => (258, LE | BITS64),
        _ => return None,
    };
    Some(machine | flags)
}

/// An architecture of a profile, as libseccomp has it.
pub(super) fn scmp_arch(arch: Arch) -> ScmpArch {
    match arch {
        Arch::ScmpArchNative => ScmpArch::Native,
        Arch::ScmpArchX86 => ScmpArch::X86,
        Arch::ScmpArchX86_64 => ScmpArch::X8664,
        Arch::ScmpArchX32 => ScmpArch::X32,
        Arch::ScmpArchArm => ScmpArch::Arm,
        Arch::ScmpArchAarch64 => ScmpArch::Aarch64,
        Arch::ScmpArchMips => ScmpArch::Mips,
        Arch::ScmpArchMips64 => ScmpArch::Mips64,
        Arch::ScmpArchMips64n32 => ScmpArch::Mips64N32,
        Arch::ScmpArchMipsel => ScmpArch::Mipsel,
        Arch::ScmpArchMipsel64 => ScmpArch::Mipsel64,
        Arch::ScmpArchMipsel64n32 => ScmpArch::Mipsel64N32,
        Arch::ScmpArchPpc => ScmpArch::Ppc,
        Arch::ScmpArchPpc64 => ScmpArch::Ppc64,
        Arch::ScmpArchPpc64le => ScmpArch::Ppc64Le,
        Arch::ScmpArchS390 => ScmpArch::S390,
        Arch::ScmpArchS390x => ScmpArch::S390X,
        Arch::ScmpArchRiscv64 => ScmpArch::Riscv64,
        Arch::ScmpArchParisc => ScmpArch::Parisc,
        Arch::ScmpArchParisc64 => ScmpArch::Parisc64,
        Arch::ScmpArchLoongarch64 => ScmpArch::Loongarch64,
        Arch::ScmpArchM68k => ScmpArch::M68k,
        Arch::ScmpArchSh => ScmpArch::Sh,
        Arch::ScmpArchSheb => ScmpArch::Sheb,
    }
}
