//! From a profile to a filter, by way of libseccomp.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::AsFd;

use libseccomp::{ScmpAction, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use nix::sys::memfd::{MFdFlags, memfd_create};
use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag, LinuxSeccompOperator, LinuxSyscall,
};

use super::SeccompError;
use super::architectures::{highest_calls, scmp_arch};
use super::enosys::stub;
use super::filter::{Filter, Listener};
use super::load::NEW_LISTENER;
use super::program;

/// From so many calls on libseccomp is told to make a search tree of them; runc's number.
const TREE_FROM: usize = 32;

/// Compiles a profile.
///
/// Calls that libseccomp does not know are left out, as are rules that say what the
/// default says, and the flag `SECCOMP_FILTER_FLAG_TSYNC`, which has no meaning for a
/// process of one thread: all of it as runc does.
///
/// # Errors
/// Where no filter can do what the profile says.
pub fn compile(profile: &LinuxSeccomp) -> Result<Filter, SeccompError> {
    let calls: Vec<&LinuxSyscall> = profile.syscalls().iter().flatten().collect();
    let listener = listener(profile, &calls)?;
    let default = action(profile.default_action(), profile.default_errno_ret());
    let mut context = ScmpFilterContext::new(default).map_err(library("defaultAction"))?;
    for arch in profile.architectures().iter().flatten() {
        context
            .add_arch(scmp_arch(*arch))
            .map_err(library(format!("architecture {arch:?}")))?;
    }
    if calls.iter().map(|call| call.names().len()).sum::<usize>() > TREE_FROM {
        // Slower, and as good, where libseccomp is too old for it.
        let _ = context.set_ctl_optimize(2);
    }
    for call in &calls {
        let verdict = action(call.action(), call.errno_ret());
        if verdict == default {
            continue;
        }
        for name in call.names() {
            add_rules(&mut context, name, call, verdict)?;
        }
    }

    let mut program = if needs_stub(profile) {
        stub(&highest_calls(profile, &calls))
    } else {
        Vec::new()
    };
    program.extend(export(&context)?);
    if program.len() > program::MAX {
        return Err(SeccompError::Profile(format!(
            "the profile makes {} instructions, and the kernel takes {} of them",
            program.len(),
            program::MAX
        )));
    }
    let flags = flags(profile) | if listener.is_some() { NEW_LISTENER } else { 0 };
    Ok(Filter {
        flags,
        program,
        listener,
    })
}

fn library<W: Into<String>>(
    what: W,
) -> impl FnOnce(libseccomp::error::SeccompError) -> SeccompError {
    let what = what.into();
    move |source| SeccompError::Library { what, source }
}

/// The agent of a profile that needs one.
fn listener(
    profile: &LinuxSeccomp,
    calls: &[&LinuxSyscall],
) -> Result<Option<Listener>, SeccompError> {
    let refuse = |why: &str| Err(SeccompError::Profile(why.into()));
    // runc's words.
    if profile.default_action() == LinuxSeccompAction::ScmpActNotify {
        return refuse("SCMP_ACT_NOTIFY cannot be used as default action");
    }
    let mut notifying = calls
        .iter()
        .filter(|call| call.action() == LinuxSeccompAction::ScmpActNotify)
        .flat_map(|call| call.names())
        .peekable();
    if notifying.peek().is_none() {
        return Ok(None);
    }
    if notifying.any(|name| name == "write") {
        return refuse("SCMP_ACT_NOTIFY cannot be used for the write syscall");
    }
    match profile.listener_path() {
        Some(path) if !path.as_os_str().is_empty() => Ok(Some(Listener {
            path: path.clone(),
            metadata: profile.listener_metadata().clone().unwrap_or_default(),
        })),
        _ => refuse("seccomp listenerPath is not set"),
    }
}

/// The rules for one name of a profile's entry.
fn add_rules(
    context: &mut ScmpFilterContext,
    name: &str,
    entry: &LinuxSyscall,
    verdict: ScmpAction,
) -> Result<(), SeccompError> {
    let Ok(call) = ScmpSyscall::from_name(name) else {
        tracing::debug!("unknown seccomp syscall {name:?} ignored");
        return Ok(());
    };
    let failed = || {
        library(format!(
            "error adding seccomp filter rule for syscall {name}"
        ))
    };
    let args = entry.args().as_deref().unwrap_or_default();
    let conditions: Vec<ScmpArgCompare> = args
        .iter()
        .map(|arg| {
            let (op, datum) = comparison(arg.op(), arg.value(), arg.value_two());
            ScmpArgCompare::new(arg.index() as u32, op, datum)
        })
        .collect();
    let mut seen = HashSet::new();
    if args.iter().all(|arg| seen.insert(arg.index())) {
        context
            .add_rule_conditional(verdict, call, &conditions)
            .map_err(failed())?;
        return Ok(());
    }
    // libseccomp compares an argument once in a rule. Conditions on the same argument
    // are then alternatives, as they have always been in runc.
    for condition in conditions {
        context
            .add_rule_conditional(verdict, call, &[condition])
            .map_err(failed())?;
    }
    Ok(())
}

/// A comparison as libseccomp takes it. For `SCMP_CMP_MASKED_EQ` the profile's `value` is
/// the mask and `valueTwo` what is left of the argument (seccomp_rule_add(3)); for all
/// others there is only `value`.
fn comparison(op: LinuxSeccompOperator, value: u64, two: Option<u64>) -> (ScmpCompareOp, u64) {
    let op = match op {
        LinuxSeccompOperator::ScmpCmpNe => ScmpCompareOp::NotEqual,
        LinuxSeccompOperator::ScmpCmpLt => ScmpCompareOp::Less,
        LinuxSeccompOperator::ScmpCmpLe => ScmpCompareOp::LessOrEqual,
        LinuxSeccompOperator::ScmpCmpEq => ScmpCompareOp::Equal,
        LinuxSeccompOperator::ScmpCmpGe => ScmpCompareOp::GreaterEqual,
        LinuxSeccompOperator::ScmpCmpGt => ScmpCompareOp::Greater,
        LinuxSeccompOperator::ScmpCmpMaskedEq => {
            return (ScmpCompareOp::MaskedEqual(value), two.unwrap_or(0));
        }
    };
    (op, value)
}

/// An action; its `errnoRet` is taken for 16 bits, as the kernel does.
fn action(action: LinuxSeccompAction, errno: Option<u32>) -> ScmpAction {
    let errno = errno.map_or(libc::EPERM as u16, |errno| errno as u16);
    match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => {
            ScmpAction::KillThread
        }
        LinuxSeccompAction::ScmpActKillProcess => ScmpAction::KillProcess,
        LinuxSeccompAction::ScmpActTrap => ScmpAction::Trap,
        LinuxSeccompAction::ScmpActErrno => ScmpAction::Errno(i32::from(errno)),
        LinuxSeccompAction::ScmpActNotify => ScmpAction::Notify,
        LinuxSeccompAction::ScmpActTrace => ScmpAction::Trace(errno),
        LinuxSeccompAction::ScmpActLog => ScmpAction::Log,
        LinuxSeccompAction::ScmpActAllow => ScmpAction::Allow,
    }
}

/// The flags of seccomp(2). A profile without `flags` gets what runc gives it: no
/// mitigation of speculative store bypass, which the kernel stopped to force, too.
fn flags(profile: &LinuxSeccomp) -> u64 {
    let Some(flags) = profile.flags() else {
        return libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    };
    flags.iter().fold(0, |flags, flag| {
        flags
            | match flag {
                LinuxSeccompFilterFlag::SeccompFilterFlagLog => libc::SECCOMP_FILTER_FLAG_LOG,
                LinuxSeccompFilterFlag::SeccompFilterFlagTsync => 0,
                LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => {
                    libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW
                }
                LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => {
                    libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
                }
            }
    })
}

/// Whether calls newer than the profile are to be told `ENOSYS`: where its default does
/// not let them through. A tracer knows best itself.
fn needs_stub(profile: &LinuxSeccomp) -> bool {
    !matches!(
        profile.default_action(),
        LinuxSeccompAction::ScmpActAllow
            | LinuxSeccompAction::ScmpActLog
            | LinuxSeccompAction::ScmpActTrace
    )
}

/// The program that libseccomp makes. It writes to a descriptor only, before 2.6.
fn export(context: &ScmpFilterContext) -> Result<Vec<program::Instruction>, SeccompError> {
    let failed = || SeccompError::io("cannot read the filter that libseccomp made");
    let memfd = memfd_create(c"seccomp", MFdFlags::MFD_CLOEXEC)
        .map_err(|err| failed()(std::io::Error::from(err)))?;
    let mut file = File::from(memfd);
    context
        .export_bpf(file.as_fd())
        .map_err(library("cannot make a filter"))?;
    let mut bytes = Vec::new();
    file.rewind()
        .and_then(|()| file.read_to_end(&mut bytes))
        .map_err(failed())?;
    program::parse(&bytes)
        .ok_or_else(|| SeccompError::Damaged("libseccomp wrote half an instruction".into()))
}

#[cfg(test)]
mod tests {
    use libc::{
        SECCOMP_RET_ALLOW as ALLOW, SECCOMP_RET_ERRNO as ERRNO, SECCOMP_RET_KILL_THREAD as KILL,
        SECCOMP_RET_USER_NOTIF as NOTIFY,
    };
    use libseccomp::ScmpArch;
    use serde_json::{Value, json};

    use super::super::architectures::audit_arch;
    use super::super::enosys::AUDIT_ARCH_X86_64;
    use super::super::program::run;
    use super::*;

    const I386: u32 = 0x4000_0003;
    const EPERM: u32 = ERRNO | libc::EPERM as u32;
    const ENOSYS: u32 = ERRNO | libc::ENOSYS as u32;
    const CLONE_NEWUSER: u64 = libc::CLONE_NEWUSER as u64;

    fn filter(profile: Value) -> Result<Filter, SeccompError> {
        compile(&serde_json::from_value(profile).unwrap())
    }

    /// What the profile says of a call of this machine.
    fn verdict(profile: &Value, call: libc::c_long, args: [u64; 6]) -> u32 {
        let program = filter(profile.clone()).unwrap().program;
        let native = audit_arch(ScmpArch::native()).unwrap();
        run(&program, native, call as u32, args)
    }

    #[test]
    fn a_mask_is_the_value_and_what_it_leaves_the_second_one() {
        // Docker's rule: clone is allowed without CLONE_NEWUSER and its like.
        let profile = json!({
            "defaultAction": "SCMP_ACT_ERRNO",
            "syscalls": [{"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [
                {"index": 0, "value": CLONE_NEWUSER, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"},
            ]}],
        });
        let clone = |flags| verdict(&profile, libc::SYS_clone, [flags, 0, 0, 0, 0, 0]);
        assert_eq!(clone(libc::CLONE_VM as u64), ALLOW);
        assert_eq!(clone(CLONE_NEWUSER), EPERM);
        assert_eq!(clone(CLONE_NEWUSER | libc::CLONE_VM as u64), EPERM);
    }

    #[test]
    fn arguments_are_compared_together_and_alternatives_where_they_are_the_same() {
        let call = |args: Value| {
            json!({
                "defaultAction": "SCMP_ACT_ERRNO",
                "syscalls": [{"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": args}],
            })
        };
        let arg =
            |index: u32, value: u64, op: &str| json!({"index": index, "value": value, "op": op});
        let says = |profile: &Value, a, b| {
            verdict(profile, libc::SYS_personality, [a, b, 0, 0, 0, 0]) == ALLOW
        };
        let both = call(json!([arg(0, 1, "SCMP_CMP_EQ"), arg(1, 2, "SCMP_CMP_EQ")]));
        assert!(says(&both, 1, 2) && !says(&both, 1, 1) && !says(&both, 2, 2));
        let either = call(json!([arg(0, 1, "SCMP_CMP_EQ"), arg(0, 8, "SCMP_CMP_EQ")]));
        assert!(says(&either, 1, 0) && says(&either, 8, 0) && !says(&either, 2, 0));
        for (op, below, same, above) in [
            ("SCMP_CMP_NE", true, false, true),
            ("SCMP_CMP_LT", true, false, false),
            ("SCMP_CMP_LE", true, true, false),
            ("SCMP_CMP_GE", false, true, true),
            ("SCMP_CMP_GT", false, false, true),
        ] {
            let profile = call(json!([arg(0, 1 << 40, op)]));
            let is = |value| says(&profile, value, 0);
            let got = (is(1), is(1 << 40), is((1 << 40) + 1));
            assert_eq!(got, (below, same, above), "{op}");
        }
    }

    #[test]
    fn actions_are_those_of_the_kernel() {
        for (action, errno, result) in [
            ("SCMP_ACT_KILL", None, KILL),
            ("SCMP_ACT_KILL_THREAD", None, KILL),
            (
                "SCMP_ACT_KILL_PROCESS",
                None,
                libc::SECCOMP_RET_KILL_PROCESS,
            ),
            ("SCMP_ACT_TRAP", None, libc::SECCOMP_RET_TRAP),
            ("SCMP_ACT_ERRNO", None, EPERM),
            ("SCMP_ACT_ERRNO", Some(100), ERRNO | 100),
            ("SCMP_ACT_TRACE", Some(7), libc::SECCOMP_RET_TRACE | 7),
            ("SCMP_ACT_LOG", None, libc::SECCOMP_RET_LOG),
        ] {
            let profile = json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["mkdir", "mkdirat"], "action": action, "errnoRet": errno}],
            });
            assert_eq!(
                verdict(&profile, libc::SYS_mkdirat, [0; 6]),
                result,
                "{action}"
            );
            assert_eq!(verdict(&profile, libc::SYS_read, [0; 6]), ALLOW);
            // As the default, with a rule that repeats it.
            let profile = json!({
                "defaultAction": action, "defaultErrnoRet": errno,
                "syscalls": [
                    {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
                    {"names": ["setns"], "action": action, "errnoRet": errno},
                ],
            });
            assert_eq!(
                verdict(&profile, libc::SYS_setns, [0; 6]),
                result,
                "{action}"
            );
            assert_eq!(verdict(&profile, libc::SYS_read, [0; 6]), ALLOW);
        }
    }

    #[test]
    fn a_call_newer_than_the_profile_does_not_exist() {
        let profile = |default: &str| {
            json!({
                "defaultAction": default,
                "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
                "syscalls": [{"names": ["read", "openat2", "no_such_call"], "action": "SCMP_ACT_ALLOW"}],
            })
        };
        let strict = profile("SCMP_ACT_ERRNO");
        for (call, result) in [
            (libc::SYS_read, ALLOW),
            (libc::SYS_mkdir, EPERM),
            (libc::SYS_openat2, ALLOW),
            (libc::SYS_openat2 + 1, ENOSYS),
            (libc::SYS_openat2 + 100, ENOSYS),
        ] {
            assert_eq!(verdict(&strict, call, [0; 6]), result, "{call}");
        }
        let open = profile("SCMP_ACT_LOG");
        let result = verdict(&open, libc::SYS_openat2 + 100, [0; 6]);
        assert_eq!(result, libc::SECCOMP_RET_LOG);
    }

    #[test]
    fn a_profile_is_about_the_architectures_that_it_names_and_this_one() {
        let profile = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X86_64"],
            "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}],
        });
        let program = filter(profile).unwrap().program;
        let mkdir = |arch, number| run(&program, arch, number, [0; 6]);
        assert_eq!(mkdir(AUDIT_ARCH_X86_64, libc::SYS_mkdir as u32), EPERM);
        assert_eq!(mkdir(I386, 39), EPERM);
        assert_eq!(mkdir(0xc000_00b7, 34), KILL, "another architecture");
    }

    #[test]
    fn flags_are_runcs() {
        for (flags, bits) in [
            (json!(null), libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW),
            (json!([]), 0),
            (json!(["SECCOMP_FILTER_FLAG_TSYNC"]), 0),
            (
                json!(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]),
                6,
            ),
        ] {
            let mut profile = json!({"defaultAction": "SCMP_ACT_ALLOW"});
            if !flags.is_null() {
                profile["flags"] = flags.clone();
            }
            assert_eq!(filter(profile).unwrap().flags, bits, "{flags}");
        }
    }

    #[test]
    fn calls_that_are_left_to_an_agent_need_one() {
        let profile = |name: &str, path: &str| {
            json!({
                "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path, "listenerMetadata": "m",
                "syscalls": [{"names": [name], "action": "SCMP_ACT_NOTIFY"}],
                "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
            })
        };
        let notify = profile("mkdir", "/run/agent");
        assert_eq!(verdict(&notify, libc::SYS_mkdir, [0; 6]), NOTIFY);
        let filter_of = filter(notify).unwrap();
        assert_eq!(filter_of.flags, 40);
        let listener = filter_of.listener.unwrap();
        assert_eq!(
            (listener.path.to_str(), listener.metadata.as_str()),
            (Some("/run/agent"), "m")
        );
        for (bad, says) in [
            (profile("mkdir", ""), "listenerPath is not set"),
            (
                profile("write", "/x"),
                "cannot be used for the write syscall",
            ),
            (
                json!({"defaultAction": "SCMP_ACT_NOTIFY"}),
                "as default action",
            ),
        ] {
            let message = filter(bad).unwrap_err().to_string();
            assert!(message.contains(says), "{message}");
        }
        let unused = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x"});
        assert_eq!(filter(unused).unwrap().listener, None);
    }
}
