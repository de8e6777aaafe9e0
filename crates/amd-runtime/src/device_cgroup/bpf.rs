//! bpf(2) for device programs: load, attach, detach, query. Nothing else of BPF is needed, so
//! neither is a library.
//!
//! No resource limit is raised: since Linux 5.11 the memory of programs counts against the memory
//! cgroup, and RLIMIT_MEMLOCK has no part in it.

use std::ffi::CStr;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::program::Instruction;

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_DETACH: libc::c_int = 9;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_PROG_QUERY: libc::c_int = 16;

const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 1 << 1;
const BPF_F_QUERY_EFFECTIVE: u32 = 1 << 0;

/// What `bpftool prog` shows, 15 bytes at most.
const PROGRAM_NAME: &[u8] = b"amd_devices";
/// No helper function that asks for GPL is called.
const LICENSE: &CStr = c"Apache-2.0";
const VERIFIER_LOG_SIZE: u32 = 64 * 1024;

/// The part of `union bpf_attr` for BPF_PROG_LOAD.
#[repr(C)]
#[derive(Default)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
}

/// The part of `union bpf_attr` for BPF_PROG_ATTACH and BPF_PROG_DETACH.
#[repr(C)]
#[derive(Default)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

/// The part of `union bpf_attr` for BPF_PROG_QUERY.
#[repr(C)]
#[derive(Default)]
struct QueryAttr {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
}

/// The part of `union bpf_attr` for BPF_OBJ_GET_INFO_BY_FD.
#[repr(C)]
#[derive(Default)]
struct InfoAttr {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// The head of `struct bpf_prog_info`.
#[repr(C)]
#[derive(Default)]
struct ProgramInfo {
    program_type: u32,
    id: u32,
    tag: [u8; 8],
}

/// A failed BPF_PROG_LOAD.
#[derive(Debug)]
pub(super) struct LoadFailure {
    pub(super) source: io::Error,
    /// The verifier's words; empty where it was not the verifier that refused.
    pub(super) log: String,
}

/// Loads a device program.
pub(super) fn load(program: &[Instruction]) -> Result<OwnedFd, LoadFailure> {
    let error = match try_load(program, &mut []) {
        Ok(fd) => return Ok(fd),
        Err(error) => error,
    };
    // The log costs time, so it is asked for only when there is something to say.
    let mut log = vec![0; VERIFIER_LOG_SIZE as usize];
    match try_load(program, &mut log) {
        Ok(fd) => Ok(fd),
        Err(_) => {
            let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
            let log = String::from_utf8_lossy(&log[..end]).trim().to_string();
            Err(LoadFailure { source: error, log })
        }
    }
}

fn try_load(program: &[Instruction], log: &mut [u8]) -> io::Result<OwnedFd> {
    let mut attr = LoadAttr {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(program.len()).map_err(io::Error::other)?,
        insns: program.as_ptr().expose_provenance() as u64,
        license: LICENSE.as_ptr().expose_provenance() as u64,
        ..LoadAttr::default()
    };
    attr.prog_name[..PROGRAM_NAME.len()].copy_from_slice(PROGRAM_NAME);
    if !log.is_empty() {
        attr.log_level = 1;
        attr.log_size = u32::try_from(log.len()).map_err(io::Error::other)?;
        attr.log_buf = log.as_mut_ptr().expose_provenance() as u64;
    }
    loop {
        // SAFETY: `insns`, `license` and `log_buf` point to live memory of the lengths given.
        #[allow(unsafe_code)]
        let result = unsafe { bpf(BPF_PROG_LOAD, &mut attr) };
        match result {
            // The verifier gives way to a signal.
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {}
            result => return result.map(owned_fd),
        }
    }
}

/// Attaches a program to the cgroup, beside what is attached there already.
pub(super) fn attach(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = AttachAttr::of(cgroup, program);
    attr.attach_flags = BPF_F_ALLOW_MULTI;
    // SAFETY: the attribute holds no pointer.
    #[allow(unsafe_code)]
    let result = unsafe { bpf(BPF_PROG_ATTACH, &mut attr) };
    result.map(drop)
}

/// Detaches a program from the cgroup.
pub(super) fn detach(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = AttachAttr::of(cgroup, program);
    // SAFETY: the attribute holds no pointer.
    #[allow(unsafe_code)]
    let result = unsafe { bpf(BPF_PROG_DETACH, &mut attr) };
    result.map(drop)
}

impl AttachAttr {
    fn of(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Self {
        Self {
            target_fd: number(cgroup),
            attach_bpf_fd: number(program),
            attach_type: BPF_CGROUP_DEVICE,
            attach_flags: 0,
        }
    }
}

/// Which programs a query is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Those attached to the cgroup itself.
    Attached,
    /// Those that run for its processes: its own and those of the cgroups above.
    Effective,
}

/// The ids of the device programs of a cgroup, in the order in which they run.
pub(super) fn query(cgroup: BorrowedFd<'_>, scope: Scope) -> io::Result<Vec<u32>> {
    // The kernel allows 64 programs a cgroup; with those of the cgroups above it can be more, and
    // ENOSPC comes with the number.
    let mut ids = vec![0u32; 64];
    loop {
        let mut attr = QueryAttr {
            target_fd: number(cgroup),
            attach_type: BPF_CGROUP_DEVICE,
            query_flags: if scope == Scope::Effective {
                BPF_F_QUERY_EFFECTIVE
            } else {
                0
            },
            prog_ids: ids.as_mut_ptr().expose_provenance() as u64,
            prog_cnt: u32::try_from(ids.len()).map_err(io::Error::other)?,
            ..QueryAttr::default()
        };
        // SAFETY: `prog_ids` points to `prog_cnt` numbers.
        #[allow(unsafe_code)]
        let result = unsafe { bpf(BPF_PROG_QUERY, &mut attr) };
        let count = attr.prog_cnt as usize;
        match result {
            Ok(_) => {
                ids.truncate(count);
                return Ok(ids);
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOSPC) && count > ids.len() => {
                ids.resize(count, 0);
            }
            Err(error) => return Err(error),
        }
    }
}

/// The id of a loaded program and its tag, a hash of its instructions that the kernel makes.
pub(super) fn id_and_tag(program: BorrowedFd<'_>) -> io::Result<(u32, [u8; 8])> {
    let mut info = ProgramInfo::default();
    let mut attr = InfoAttr {
        bpf_fd: number(program),
        info_len: size_of::<ProgramInfo>() as u32,
        info: (&raw mut info).expose_provenance() as u64,
    };
    // SAFETY: `info` points to `info_len` bytes of plain numbers.
    #[allow(unsafe_code)]
    let result = unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr) };
    result.map(|_| (info.id, info.tag))
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

/// Takes a file descriptor that bpf(2) has just returned; the kernel sets O_CLOEXEC on it.
fn owned_fd(fd: libc::c_int) -> OwnedFd {
    // SAFETY: it is new and nobody else's.
    #[allow(unsafe_code)]
    unsafe {
        OwnedFd::from_raw_fd(fd)
    }
}

/// Calls bpf(2) with the part of `union bpf_attr` that the command knows.
///
/// # Safety
/// `Attr` is `repr(C)` without padding, and its pointers are valid for what the command does.
#[allow(unsafe_code)]
unsafe fn bpf<Attr>(command: libc::c_int, attr: &mut Attr) -> io::Result<libc::c_int> {
    // SAFETY: the kernel reads and writes at most the size given; the rest is the caller's promise.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            &raw mut *attr,
            size_of::<Attr>() as libc::c_uint,
        )
    };
    match libc::c_int::try_from(result) {
        Ok(value) if value >= 0 => Ok(value),
        _ => Err(io::Error::last_os_error()),
    }
}
