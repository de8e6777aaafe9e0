//! What is known of a process before it is made.

use std::path::PathBuf;
use std::sync::OnceLock;

use oci_spec::runtime::{PosixRlimit, Process, Spec, User};
use serde_json::Value;

use super::affinity::Affinity;
use super::attributes::personality;
use super::capabilities::CapabilitySets;
use super::scheduling::Scheduling;
use super::stdio::Streams;
use super::user::{self, Groups};
use crate::seccomp::Filter;
use crate::spec::{SpecError, namespace, typed};

/// Annotation of podman's `--group-add keep-groups`, as crun knows it.
const KEEP_GROUPS: &str = "run.oci.keep_original_groups";

/// A process, from its spec to the last thing that it needs: all that can be found out,
/// and refused, before anything is built.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program and its arguments.
    pub args: Vec<String>,
    /// The environment, as the spec has it.
    pub env: Vec<String>,
    /// The working directory.
    pub cwd: PathBuf,
    /// User and groups.
    pub user: User,
    /// What becomes of the groups.
    pub groups: Groups,
    /// The capabilities.
    pub capabilities: CapabilitySets,
    /// Whether it can gain no privileges.
    pub no_new_privileges: bool,
    /// The filter of its container.
    pub filter: Option<Filter>,
    /// How it is scheduled.
    pub scheduling: Scheduling,
    /// On which CPUs, for `exec`.
    pub affinity: Affinity,
    /// Its execution domain.
    pub personality: Option<u64>,
    /// Its AppArmor profile.
    pub apparmor: Option<String>,
    /// Its SELinux label.
    pub selinux: Option<String>,
    /// Its umask.
    pub umask: u32,
    /// Its resource limits.
    pub rlimits: Vec<PosixRlimit>,
    /// How soon the kernel kills it when memory runs out.
    pub oom_score_adj: Option<i32>,
    /// Whether it has a terminal of the container.
    pub terminal: bool,
    /// Rows and columns of that.
    pub console_size: Option<(u16, u16)>,
    /// Which of its standard streams become its user's.
    pub streams: Streams,
    /// How many descriptors behind them it inherits.
    pub preserved: u32,
}

impl Plan {
    /// The plan for `process`, an object of config.md, "Process", in a container with the
    /// effective spec `spec` and the filter `filter`.
    ///
    /// # Errors
    /// Names the field that cannot be.
    pub fn new(process: &Value, spec: &Value, filter: Option<Filter>) -> Result<Self, SpecError> {
        let linux = &spec["linux"];
        let scheduling = Scheduling::of(process, linux)?;
        let affinity = Affinity::of(process)?;
        let typed = typed_process(process)?;
        user::check(typed.user()).map_err(|err| SpecError::Field(err.to_string()))?;
        let terminal = typed.terminal().unwrap_or(false);
        Ok(Self {
            args: typed.args().clone().unwrap_or_default(),
            env: typed.env().clone().unwrap_or_default(),
            cwd: typed.cwd().clone(),
            groups: groups(spec),
            capabilities: typed
                .capabilities()
                .as_ref()
                .map_or_else(CapabilitySets::default, CapabilitySets::from),
            no_new_privileges: typed.no_new_privileges().unwrap_or(false),
            filter,
            scheduling,
            affinity,
            personality: personality(linux)?,
            apparmor: typed
                .apparmor_profile()
                .clone()
                .filter(|profile| !profile.is_empty()),
            selinux: typed
                .selinux_label()
                .clone()
                .filter(|label| !label.is_empty()),
            umask: typed.user().umask().unwrap_or(0o022),
            rlimits: typed.rlimits().clone().unwrap_or_default(),
            oom_score_adj: typed.oom_score_adj(),
            terminal,
            console_size: console_size(process),
            streams: Streams::All,
            preserved: 0,
            user: typed.user().clone(),
        })
    }

    /// What becomes of the descriptors of its caller: `preserved` behind the standard
    /// streams are inherited; `detached`: the streams are for this process alone.
    #[must_use]
    pub fn inheriting(self, preserved: u32, detached: bool) -> Self {
        let all = detached || self.terminal;
        Self {
            streams: if all { Streams::All } else { Streams::Pipes },
            preserved,
            ..self
        }
    }

    /// Adds a variable to the environment.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        self.env.push(format!("{name}={value}"));
    }
}

/// What oci-spec cannot parse as the runtime spec has it, and [`Scheduling`] does.
const PARSED_ELSEWHERE: [&str; 4] = ["scheduler", "ioPriority", "execCPUAffinity", "consoleSize"];

/// A spec as oci-spec has it, without the fields that it cannot parse. They are out of `spec` while
/// it is read, and then there again.
///
/// # Errors
/// Names the field that oci-spec refuses.
pub fn typed_spec(spec: &mut Value) -> Result<Spec, SpecError> {
    let of_process = PARSED_ELSEWHERE.map(|name| ("process", name));
    let mut hidden = Vec::new();
    for (section, name) in of_process.into_iter().chain([("linux", "memoryPolicy")]) {
        let field = spec.get_mut(section).and_then(|of| of.get_mut(name));
        hidden.extend(field.map(|field| (section, name, field.take())));
    }
    let typed = typed::<Spec>("config.json", spec);
    for (section, name, field) in hidden {
        spec[section][name] = field;
    }
    typed
}

fn typed_process(process: &Value) -> Result<Process, SpecError> {
    let mut rest = process.clone();
    if let Some(fields) = rest.as_object_mut() {
        fields.retain(|name, _| !PARSED_ELSEWHERE.contains(&name.as_str()));
    }
    typed::<Process>("process", &rest)
}

fn console_size(process: &Value) -> Option<(u16, u16)> {
    let size = |side: &str| u16::try_from(process["consoleSize"][side].as_u64()?).ok();
    match (size("height")?, size("width")?) {
        (0, _) | (_, 0) => None,
        size => Some(size),
    }
}

fn groups(spec: &Value) -> Groups {
    if spec["annotations"][KEEP_GROUPS] == "1" {
        return Groups::Keep;
    }
    if namespace(spec, "user").is_some() || in_user_namespace() {
        Groups::SetIfAllowed
    } else {
        Groups::Set
    }
}

/// Whether this process is in another user namespace than the host's, which maps all ids
/// to themselves. Looked at once: a process that moves to another executes a program there
/// ([`become_root`](crate::rootless::become_root)).
pub fn in_user_namespace() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| {
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        let fields: Vec<_> = map.split_whitespace().collect();
        fields != ["0", "0", "4294967295"]
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn process() -> Value {
        json!({"cwd": "/w", "args": ["sh"], "env": ["A=1"], "user": {"uid": 1, "gid": 2}})
    }

    #[test]
    fn what_a_process_does_not_name_it_has_not() {
        let plan = Plan::new(&process(), &json!({}), None).unwrap();
        assert_eq!(plan.capabilities, CapabilitySets::default());
        assert!(!plan.no_new_privileges && !plan.terminal);
        assert_eq!((plan.umask, plan.console_size), (0o022, None));
        assert_eq!(plan.inheriting(2, false).streams, Streams::Pipes);
    }

    #[test]
    fn fields_are_in_the_words_of_the_runtime_spec() {
        let mut full = process();
        full["scheduler"] = json!({"policy": "SCHED_RR", "flags": ["SCHED_FLAG_RESET_ON_FORK"]});
        full["ioPriority"] = json!({"class": "IOPRIO_CLASS_IDLE"});
        full["execCPUAffinity"] = json!({"initial": "0", "final": "0-1"});
        full["consoleSize"] = json!({"height": 10, "width": 110});
        full["user"]["umask"] = json!(0o077);
        let plan = Plan::new(&full, &json!({"linux": {}}), None).unwrap();
        assert_eq!((plan.console_size, plan.umask), (Some((10, 110)), 0o077));
        assert!(plan.affinity.initial.is_some() && plan.affinity.last.is_some());
    }

    #[test]
    fn a_field_that_cannot_be_is_named() {
        for (field, value, says) in [
            (
                "user",
                json!({"uid": u32::MAX, "gid": 0}),
                "process.user.uid",
            ),
            (
                "rlimits",
                json!([{"type": "RLIMIT_X", "soft": 1, "hard": 1}]),
                "process.rlimits",
            ),
            (
                "capabilities",
                json!({"bounding": 5}),
                "process.capabilities",
            ),
            ("scheduler", json!({"policy": "X"}), "scheduler policy"),
        ] {
            let mut process = process();
            process[field] = value;
            let message = Plan::new(&process, &json!({}), None)
                .unwrap_err()
                .to_string();
            assert!(message.contains(says), "{message}");
        }
    }

    #[test]
    fn groups_are_kept_where_podman_asks_for_that() {
        let spec = json!({"annotations": {KEEP_GROUPS: "1"}});
        assert_eq!(groups(&spec), Groups::Keep);
        let user = json!({"linux": {"namespaces": [{"type": "user"}]}});
        assert_eq!(groups(&user), Groups::SetIfAllowed);
    }
}
