//! How the kernel schedules a process: `scheduler` and `ioPriority` of config.md, `memoryPolicy`
//! of config-linux.md.
//!
//! libcontainer leaves `memoryPolicy` and the container's `scheduler` out of `exec`, sets
//! them before the cpuset is in force, and reports their failures without a cause.

use nix::errno::Errno;
use serde_json::Value;

use super::ProcessError;
use super::affinity::{set_affinity, warn_of};
use crate::id_list::IdList;
use crate::spec::SpecError;

/// What a process asks of the scheduler and the memory allocator.
#[derive(Clone, Debug, Default)]
pub struct Scheduling {
    scheduler: Option<SchedAttr>,
    io_priority: Option<i32>,
    memory_policy: Option<MemoryPolicy>,
    /// Whether the container's CPUs are limited, which some policies do not go with.
    cpus_limited: bool,
}

impl Scheduling {
    /// Whether a policy is asked for. The kernel has some (SCHED_DEADLINE) for processes with all CPUs
    /// only.
    pub fn has_policy(&self) -> bool {
        self.scheduler.is_some()
    }

    /// What a process and `linux` of its container's spec say.
    ///
    /// # Errors
    /// Where a value is one that the kernel cannot take.
    pub fn of(process: &Value, linux: &Value) -> Result<Self, SpecError> {
        let cpus = linux.pointer("/resources/cpu/cpus").and_then(Value::as_str);
        Ok(Self {
            scheduler: given(&process["scheduler"]).map(sched_attr).transpose()?,
            io_priority: given(&process["ioPriority"])
                .map(io_priority_value)
                .transpose()?,
            memory_policy: given(&linux["memoryPolicy"])
                .map(MemoryPolicy::parse)
                .transpose()?,
            cpus_limited: cpus.is_some_and(|cpus| !cpus.is_empty()),
        })
    }

    /// Applies it to this process, while it may.
    ///
    /// # Errors
    /// Names what the kernel refuses.
    pub fn apply(&self) -> Result<(), ProcessError> {
        if let Some(attr) = &self.scheduler {
            set_scheduler(attr).map_err(|errno| {
                if errno == Errno::EPERM && self.cpus_limited {
                    return not_with_cpus();
                }
                ProcessError::system("error setting scheduler")(errno)
            })?;
        }
        if let Some(priority) = self.io_priority {
            set_io_priority(priority).map_err(ProcessError::system("failed to set io priority"))?;
        }
        if let Some(policy) = &self.memory_policy {
            policy
                .apply()
                .map_err(ProcessError::system("failed to set the memory policy"))?;
        }
        Ok(())
    }
}

fn not_with_cpus() -> ProcessError {
    // runc's words.
    ProcessError::Refused("process scheduler can't be used together with AllowedCPUs".into())
}

fn given(value: &Value) -> Option<&Value> {
    (!value.is_null()).then_some(value)
}

fn refuse<T>(message: String) -> Result<T, SpecError> {
    Err(SpecError::Field(message))
}

/// `struct sched_attr` of `linux/sched/types.h`, in its first version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
struct SchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

const POLICIES: [&str; 7] = [
    "SCHED_OTHER",
    "SCHED_FIFO",
    "SCHED_RR",
    "SCHED_BATCH",
    "SCHED_ISO",
    "SCHED_IDLE",
    "SCHED_DEADLINE",
];

/// A bit each, from the lowest.
const SCHED_FLAGS: [&str; 7] = [
    "SCHED_FLAG_RESET_ON_FORK",
    "SCHED_FLAG_RECLAIM",
    "SCHED_FLAG_DL_OVERRUN",
    "SCHED_FLAG_KEEP_POLICY",
    "SCHED_FLAG_KEEP_PARAMS",
    "SCHED_FLAG_UTIL_CLAMP_MIN",
    "SCHED_FLAG_UTIL_CLAMP_MAX",
];

/// Checks `process.scheduler` as runc's validator of configurations does.
///
/// # Errors
/// Where a policy or flag does not exist, or a number does not go with the policy.
pub fn check_scheduler(scheduler: &Value) -> Result<(), SpecError> {
    sched_attr(scheduler).map(drop)
}

/// A scheduler in the names of the runtime spec (oci-spec 0.10 has others for the flags).
fn sched_attr(scheduler: &Value) -> Result<SchedAttr, SpecError> {
    let name = match &scheduler["policy"] {
        Value::Null => "",
        policy => policy.as_str().unwrap_or("?"),
    };
    if name.is_empty() {
        return refuse("scheduler policy is required".into());
    }
    let Some(policy) = POLICIES.iter().position(|policy| *policy == name) else {
        return refuse(format!("invalid scheduler policy: {}", scheduler["policy"]));
    };
    let nice = number(scheduler, "nice")?;
    let priority = number(scheduler, "priority")?;
    let [runtime, deadline, period] = [
        number(scheduler, "runtime")?,
        number(scheduler, "deadline")?,
        number(scheduler, "period")?,
    ];
    if matches!(name, "SCHED_OTHER" | "SCHED_BATCH") && !(-20..=19).contains(&nice) {
        return refuse(format!(
            "invalid scheduler.nice: {nice} when scheduler.policy is {name}"
        ));
    }
    if priority != 0 && !matches!(name, "SCHED_FIFO" | "SCHED_RR") {
        return refuse(
            "scheduler.priority can only be specified for SchedFIFO or SchedRR policy".into(),
        );
    }
    if name != "SCHED_DEADLINE" && [runtime, deadline, period] != [0; 3] {
        return refuse(
            "scheduler runtime/deadline/period can only be specified for SchedDeadline policy"
                .into(),
        );
    }
    let mut flags = 0;
    for flag in scheduler["flags"].as_array().into_iter().flatten() {
        match SCHED_FLAGS.iter().position(|name| flag == name) {
            Some(bit) => flags |= 1 << bit,
            None => return refuse(format!("invalid scheduler flag: {flag}")),
        }
    }
    Ok(SchedAttr {
        size: size_of::<SchedAttr>() as u32,
        policy: policy as u32,
        flags,
        nice,
        priority,
        runtime,
        deadline,
        period,
    })
}

/// A number that may be missing, and is 0 then.
fn number<T: TryFrom<i64> + Default>(parent: &Value, key: &str) -> Result<T, SpecError> {
    match &parent[key] {
        Value::Null => Ok(T::default()),
        value => value
            .as_i64()
            .and_then(|number| T::try_from(number).ok())
            .map_or_else(|| refuse(format!("{key} is out of range: {value}")), Ok),
    }
}

fn set_scheduler(attr: &SchedAttr) -> nix::Result<()> {
    #[allow(unsafe_code)]
    // SAFETY: the kernel reads `size` bytes of the structure, which has that size.
    let result =
        unsafe { libc::syscall(libc::SYS_sched_setattr, 0, std::ptr::from_ref(attr), 0_u32) };
    Errno::result(result).map(drop)
}

const IO_CLASSES: [&str; 3] = ["IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"];

/// Checks `process.ioPriority` as runc's validator of configurations does.
///
/// # Errors
/// Where the class does not exist, or the priority is none.
pub fn check_io_priority(io_priority: &Value) -> Result<(), SpecError> {
    io_priority_value(io_priority).map(drop)
}

/// Class and priority as ioprio_set(2) takes them.
fn io_priority_value(priority: &Value) -> Result<i32, SpecError> {
    let level: i64 = number(priority, "priority")?;
    if !(0..=7).contains(&level) {
        return refuse(format!("invalid ioPriority.Priority: {level}"));
    }
    let class = priority["class"].as_str().unwrap_or_default();
    let Some(at) = IO_CLASSES.iter().position(|name| class == *name) else {
        return refuse(format!("invalid ioPriority.Class: {class:?}"));
    };
    Ok((at as i32 + 1) << 13 | level as i32)
}

fn set_io_priority(value: i32) -> nix::Result<()> {
    /// `IOPRIO_WHO_PROCESS`.
    const PROCESS: i32 = 1;
    #[allow(unsafe_code)]
    // SAFETY: takes numbers.
    let result = unsafe { libc::syscall(libc::SYS_ioprio_set, PROCESS, 0, value) };
    Errno::result(result).map(drop)
}

/// Checks `linux.memoryPolicy` as runc's validator of configurations does.
///
/// # Errors
/// Where the mode or a flag does not exist, or the nodes do not go with the mode.
pub fn check_memory_policy(policy: &Value) -> Result<(), SpecError> {
    MemoryPolicy::parse(policy).map(drop)
}

/// The NUMA memory policy of set_mempolicy(2).
#[derive(Clone, Debug, PartialEq, Eq)]
struct MemoryPolicy {
    /// Mode and flags.
    mode: i32,
    nodes: IdList,
}

/// Modes by name, their number, and whether they need nodes (`None`: as they like).
const MODES: [(&str, i32, Option<bool>); 7] = [
    ("MPOL_DEFAULT", 0, Some(false)),
    ("MPOL_PREFERRED", 1, None),
    ("MPOL_BIND", 2, Some(true)),
    ("MPOL_INTERLEAVE", 3, Some(true)),
    ("MPOL_LOCAL", 4, Some(false)),
    ("MPOL_PREFERRED_MANY", 5, Some(true)),
    ("MPOL_WEIGHTED_INTERLEAVE", 6, Some(true)),
];

const FLAGS: [(&str, i32); 3] = [
    ("MPOL_F_STATIC_NODES", 1 << 15),
    ("MPOL_F_RELATIVE_NODES", 1 << 14),
    ("MPOL_F_NUMA_BALANCING", 1 << 13),
];

impl MemoryPolicy {
    fn parse(policy: &Value) -> Result<Self, SpecError> {
        let name = policy["mode"].as_str().unwrap_or_default();
        let Some((_, number, needs_nodes)) = MODES.iter().find(|(mode, ..)| *mode == name) else {
            return refuse(format!("invalid memory policy mode {name:?}"));
        };
        let text = policy["nodes"].as_str().unwrap_or_default();
        let nodes = IdList::parse(text).map_err(|why| {
            SpecError::Field(format!("invalid memory policy nodes {text:?}: {why}"))
        })?;
        match (needs_nodes, nodes.len()) {
            (Some(false), count @ 1..) => {
                return refuse(format!(
                    "memory policy mode requires 0 nodes but got {count}"
                ));
            }
            (Some(true), 0) => {
                return refuse("memory policy mode requires at least one node but got 0".into());
            }
            _ => {}
        }
        let mut mode = *number;
        for flag in policy["flags"].as_array().into_iter().flatten() {
            let Some((_, bit)) = FLAGS.iter().find(|(name, _)| flag == name) else {
                return refuse(format!("invalid memory policy flag {flag}"));
            };
            mode |= bit;
        }
        Ok(Self { mode, nodes })
    }

    fn apply(&self) -> nix::Result<()> {
        let words = self.nodes.words();
        // The kernel takes a mask of `maxnode - 1` bits (set_mempolicy(2), BUGS), and refuses an
        // empty one that is not null.
        let (mask, max_node) = match words {
            [] => (std::ptr::null(), 0),
            words => (words.as_ptr(), words.len() * 64 + 1),
        };
        #[allow(unsafe_code)]
        // SAFETY: the kernel reads as many bits as the slice has, and nothing where it is null.
        let result = unsafe { libc::syscall(libc::SYS_set_mempolicy, self.mode, mask, max_node) };
        Errno::result(result).map(drop)
    }
}

/// Lets the init `pid` run on all CPUs of its cpuset, whatever the engine is bound to. It had its
/// policy before it got its cpuset.
///
/// # Errors
/// Where its policy does not go with the CPUs that it is limited to: with SCHED_DEADLINE the kernel
/// takes no fewer than all (sched_setattr(2)).
pub fn reset_affinity_of_init(pid: i32, scheduling: &Scheduling) -> Result<(), ProcessError> {
    match set_affinity(pid, &IdList::all()) {
        Err(Errno::EBUSY) if scheduling.scheduler.is_some() && scheduling.cpus_limited => {
            Err(not_with_cpus())
        }
        reset => {
            warn_of(pid, reset);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scheduler(value: Value) -> Result<SchedAttr, String> {
        sched_attr(&value).map_err(|err| err.to_string())
    }

    #[test]
    fn schedulers_are_what_the_kernel_takes_or_refused() {
        let batch = scheduler(json!({"policy": "SCHED_BATCH", "nice": 19})).unwrap();
        assert_eq!((batch.policy, batch.nice), (3, 19));
        let deadline = scheduler(json!({
            "policy": "SCHED_DEADLINE", "flags": ["SCHED_FLAG_RESET_ON_FORK"],
            "runtime": 1, "deadline": 2, "period": 3,
        }));
        let deadline = deadline.unwrap();
        assert_eq!((deadline.flags, deadline.period), (1, 3));
        for (bad, says) in [
            (
                json!({"policy": "SCHED_OTHER", "nice": 20}),
                "nice: 20 when scheduler.policy is",
            ),
            (
                json!({"policy": "SCHED_OTHER", "priority": 1}),
                "priority can only be",
            ),
            (
                json!({"policy": "SCHED_FIFO", "runtime": 1}),
                "runtime/deadline/period can only",
            ),
            (json!({}), "policy is required"),
            (json!({"policy": "FIFO"}), "invalid scheduler policy"),
            (
                json!({"policy": "SCHED_RR", "priority": -1}),
                "priority is out of range: -1",
            ),
            (
                json!({"policy": "SCHED_RR", "flags": ["X"]}),
                "invalid scheduler flag",
            ),
        ] {
            let message = scheduler(bad).unwrap_err();
            assert!(message.contains(says), "{message}");
        }
    }

    #[test]
    fn io_priorities_are_class_and_level() {
        let value = |priority: Value| io_priority_value(&priority).ok();
        let be = json!({"class": "IOPRIO_CLASS_BE", "priority": 4});
        assert_eq!(value(be), Some(2 << 13 | 4));
        assert_eq!(value(json!({"class": "IOPRIO_CLASS_IDLE"})), Some(3 << 13));
        for bad in [
            json!({"class": "IOPRIO_CLASS_RT", "priority": 8}),
            json!({"priority": 1}),
        ] {
            assert_eq!(value(bad), None);
        }
    }

    #[test]
    fn memory_policies_have_nodes_where_their_mode_needs_them() {
        let parse = |value: Value| MemoryPolicy::parse(&value).map_err(|err| err.to_string());
        let bind = parse(json!({
            "mode": "MPOL_BIND", "nodes": "0,2", "flags": ["MPOL_F_STATIC_NODES"],
        }));
        let bind = bind.unwrap();
        assert_eq!(
            (bind.mode, bind.nodes.words()),
            (2 | 1 << 15, [5].as_slice())
        );
        assert_eq!(parse(json!({"mode": "MPOL_DEFAULT"})).unwrap().mode, 0);
        assert_eq!(parse(json!({"mode": "MPOL_PREFERRED"})).unwrap().mode, 1);
        for (bad, says) in [
            (json!({}), "invalid memory policy mode \"\""),
            (json!({"mode": "INTERLEAVE"}), "invalid memory policy mode"),
            (
                json!({"mode": "MPOL_BIND"}),
                "requires at least one node but got 0",
            ),
            (
                json!({"mode": "MPOL_LOCAL", "nodes": "0-7"}),
                "requires 0 nodes but got 8",
            ),
            (
                json!({"mode": "MPOL_BIND", "nodes": "0-9876543210"}),
                "invalid memory policy nodes",
            ),
            (
                json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["x"]}),
                "invalid memory policy flag",
            ),
        ] {
            let message = parse(bad).unwrap_err();
            assert!(message.contains(says), "{message}");
        }
    }

    #[test]
    fn a_policy_without_nodes_can_be_set() {
        let policy = json!({"mode": "MPOL_DEFAULT"});
        let policy = MemoryPolicy::parse(&policy).unwrap();
        std::thread::spawn(move || match policy.apply() {
            Ok(()) => {}
            Err(Errno::ENOSYS) => println!("skipped: a kernel without NUMA"),
            Err(errno) => panic!("{errno}"),
        })
        .join()
        .unwrap();
    }
}
