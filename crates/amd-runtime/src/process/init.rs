//! A container's init: what libcontainer leaves to its `Executor`, and more.
//!
//! libcontainer is told that the process is root with all capabilities, in `/`, without a
//! filter or a terminal and with a HOME ([`told`]), and so gets none of this wrong. What the spec says
//! is done here ([`Plan`]): all but filter and program before the container counts as
//! created, and those when `start` says so; a filter with an agent before that ([`EarlyFilter`]).

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::io::Write as _;
use std::os::fd::{AsFd, RawFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use libcontainer::oci_spec::runtime::Spec;
use libcontainer::workload::{
    Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError,
};
use serde_json::{Value, json};

use super::affinity::reset_affinity;
use super::plan::Plan;
use super::signals::end_by_signals;
use super::steps::Settled;
use super::{EarlyFilter, ProcessError, descriptors, terminal};
use crate::error::chain;
use crate::hooks::{self, Hook, HookState, When};
use crate::lifecycle::causes::OURS;
use crate::mounts::{ByInit, Finish};

/// The last steps of an init, handed to libcontainer.
#[derive(Clone, Debug)]
pub struct Init {
    plan: Rc<Plan>,
    /// The startContainer hooks, and what they are told.
    hooks: Rc<(Vec<Hook>, HookState)>,
    /// For a filter that an agent has before `start`.
    early_filter: Option<Rc<EarlyFilter>>,
    /// Where the master of its terminal is sent, for one that has a terminal.
    console: Rc<RefCell<Option<UnixStream>>>,
    /// The root filesystem, where it makes it itself, and the root directory of the runtime.
    root: Option<(Rc<ByInit>, RawFd)>,
    /// What comes last in the root filesystem.
    finish: Rc<Finish>,
    settled: RefCell<Option<Settled>>,
    /// The highest descriptor that may be a file of the host.
    last_fd: RawFd,
    /// Descriptors of the host that nothing uses here.
    unused: Vec<RawFd>,
}

/// How many descriptors libcontainer may open beyond those of the runtime.
const MARGIN: RawFd = 64;

impl Init {
    /// The init that `plan` is about.
    pub fn new(plan: Plan, hooks: Vec<Hook>, state: HookState) -> Self {
        Self {
            plan: Rc::new(plan),
            hooks: Rc::new((hooks, state)),
            early_filter: None,
            console: Rc::default(),
            root: None,
            finish: Rc::default(),
            settled: RefCell::default(),
            last_fd: descriptors::highest() + MARGIN,
            unused: Vec::new(),
        }
    }

    /// Has it load its filter before `start`.
    #[must_use]
    pub fn with_early_filter(self, early_filter: Option<EarlyFilter>) -> Self {
        Self {
            early_filter: early_filter.map(Rc::new),
            ..self
        }
    }

    /// Gives it a terminal, of which `console` gets the master.
    #[must_use]
    pub fn with_terminal(self, console: Option<UnixStream>) -> Self {
        Self {
            console: Rc::new(RefCell::new(console)),
            ..self
        }
    }

    /// Has it do `finish` first.
    #[must_use]
    pub fn finishing(self, finish: &Finish) -> Self {
        Self {
            finish: Rc::new(finish.clone()),
            ..self
        }
    }

    /// The same, without these descriptors of the runtime's, which it must not use: closed, they do
    /// not count against the container's limit.
    #[must_use]
    pub fn without(mut self, unused: &[RawFd]) -> Self {
        self.unused = unused.to_vec();
        self
    }

    /// Has it make its root filesystem. `host` is the root directory of the runtime.
    #[must_use]
    pub fn making(self, root: &ByInit, host: RawFd) -> Self {
        Self {
            root: Some((Rc::new(root.clone()), host)),
            ..self
        }
    }

    /// Makes and finishes the root filesystem, and makes the process what its spec says.
    fn settle(&self) -> Result<Settled, String> {
        if let Some((root, host)) = &self.root {
            root.leave_told(*host).map_err(|err| chain(&err))?;
        }
        for fd in &self.unused {
            // The kernel releases it, whatever it says.
            let _ = descriptors::close(*fd);
        }
        if let Some((root, _)) = &self.root {
            root.make().map_err(|err| chain(&err))?;
        }
        // Before /dev can become read-only.
        if let Some(console) = self.console.take() {
            terminal::set_up(&console, true).map_err(|err| err.to_string())?;
        }
        self.finish.apply().map_err(|err| chain(&err))?;
        self.settle_process().map_err(|err| err.to_string())
    }

    fn settle_process(&self) -> Result<Settled, ProcessError> {
        // What the engine is bound to is for the runtime to take off, when all is built: too late here.
        if self.plan.scheduling.has_policy() {
            reset_affinity(0);
        }
        let runtime = self.early_filter.as_deref().map(AsFd::as_fd);
        self.plan.settle(runtime)
    }

    /// Runs until the program does.
    fn start(&self) -> Result<Infallible, ProcessError> {
        let settled = self.settled.borrow_mut().take();
        let settled = match settled {
            Some(settled) => settled,
            None => self.settle_process()?,
        };
        match &self.early_filter {
            Some(early) => early.load(&settled, &self.plan)?,
            None => settled.load_filter(&self.plan)?,
        }
        self.run_hooks(&settled)?;
        settled.launch(&self.plan, None)
    }

    /// The startContainer hooks run as the container's user, under its filter, with the
    /// environment of its program where they have none of their own: as with runc.
    fn run_hooks(&self, settled: &Settled) -> Result<(), ProcessError> {
        let (hooks, state) = &*self.hooks;
        if hooks.is_empty() {
            return Ok(());
        }
        descriptors::close_on_exec().map_err(ProcessError::system("close_range"))?;
        let state = HookState {
            pid: std::process::id() as i32,
            status: "created".into(),
            ..state.clone()
        };
        let env: Vec<(String, String)> = settled
            .env()
            .iter()
            .filter_map(|entry| {
                let (name, value) = entry.to_str().ok()?.split_once('=')?;
                Some((name.to_owned(), value.to_owned()))
            })
            .collect();
        hooks::run(When::StartContainer, hooks, &state, None, &env)?;
        Ok(())
    }
}

impl Executor for Init {
    /// Called when libcontainer has made everything, before it says so.
    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        let settled = self.settle().map_err(|message| {
            tracing::error!(target: OURS, "{message}");
            ExecutorValidationError::ArgValidationError(message)
        })?;
        self.settled.replace(Some(settled));
        descriptors::close_host_files(self.plan.preserved, self.last_fd);
        end_by_signals();
        Ok(())
    }

    fn setup_envs(&self, _: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        // Handed to execve(2); this process needs no environment of its own.
        Ok(())
    }

    /// Called when `start` has said so; where there is an early filter, at the end of `create`.
    fn exec(&self, _: &Spec) -> Result<(), ExecutorError> {
        let message = match self.start() {
            Ok(never) => match never {},
            Err(err) => err.to_string(),
        };
        // Else nobody listens any more: the container's stderr is what its owner sees, as with
        // runc.
        if !self
            .early_filter
            .as_ref()
            .is_some_and(|early| early.has_told())
        {
            let _ = writeln!(std::io::stderr(), "{message}");
        }
        Err(ExecutorError::Other(message))
    }
}

/// The spec that libcontainer is told: `spec`, without what is done here. `hooks` are
/// those that it is to run, beside those that `spec` has for it.
pub fn told(spec: &Value, hooks: &Value) -> Value {
    let mut told = spec.clone();
    let process = &spec["process"];
    told["process"] = json!({
        "user": {"uid": 0, "gid": 0, "umask": process["user"]["umask"]},
        "args": process["args"],
        // Else it would ask getpwuid(3).
        "env": ["HOME=/"],
        "cwd": "/",
    });
    for field in ["apparmorProfile", "oomScoreAdj"] {
        if !process[field].is_null() {
            told["process"][field] = process[field].clone();
        }
    }
    if let Some(linux) = told["linux"].as_object_mut() {
        for field in ["seccomp", "personality", "memoryPolicy", "mountLabel"] {
            linux.remove(field);
        }
    }
    for (point, hooks) in hooks.as_object().into_iter().flatten() {
        told["hooks"][point] = hooks.clone();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libcontainer_is_told_of_a_root_that_needs_nothing() {
        let spec = json!({
            "root": {"path": "/r"},
            "process": {
                "terminal": true, "args": ["sh"], "cwd": "/w", "env": ["A=1"],
                "user": {"uid": 1000, "gid": 1000, "umask": 18, "additionalGids": [5]},
                "capabilities": {"bounding": []}, "noNewPrivileges": true,
                "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 4, "hard": 4}],
                "oomScoreAdj": 5, "apparmorProfile": "p",
            },
            "hooks": {"prestart": [{"path": "/x"}]},
            "linux": {"seccomp": {}, "memoryPolicy": {}, "namespaces": []},
        });
        let told = told(&spec, &json!({"createRuntime": [{"path": "/y"}]}));
        assert_eq!(
            told["process"],
            json!({
                "args": ["sh"], "cwd": "/", "env": ["HOME=/"],
                "user": {"uid": 0, "gid": 0, "umask": 18},
                "oomScoreAdj": 5, "apparmorProfile": "p",
            })
        );
        assert_eq!(told["linux"], json!({"namespaces": []}));
        assert_eq!(
            told["hooks"],
            json!({"prestart": [{"path": "/x"}], "createRuntime": [{"path": "/y"}]})
        );
        assert_eq!(told["root"], spec["root"]);
    }
}
