//! The checks of `amd-ctk doctor`: what containers need from a host to use its AMD GPUs, in
//! the order of the ROCm guides.
//!
//! A [`Check`] is a function over a read-only [`Host`]. It writes nothing, and starts no process
//! but engines that are asked for their version, and not waited for.

mod ask;
mod cdi;
mod cdi_engines;
mod devices;
mod driver;
mod engines;
mod host;
mod platform;
mod security;

use discovery::{DiscoveryError, HostRoot};
use serde::Serialize;

pub use host::Host;

/// Something to find out about a host.
#[derive(Debug)]
pub struct Check {
    /// What it is called in every output; never renamed.
    pub name: &'static str,
    /// What holds where it passes.
    pub description: &'static str,
    /// Finds out.
    pub run: fn(&Host) -> Result<Outcome, CouldNotRun>,
}

/// All checks, in the order in which they are told: a later one needs what an earlier one
/// checks.
pub const CHECKS: [&Check; 19] = [
    &driver::GPU,
    &driver::AMDGPU,
    &platform::BLACKLIST,
    &driver::BOUND,
    &driver::VFIO,
    &platform::IOMMU,
    &devices::KFD,
    &devices::NODES,
    &devices::ACCESS,
    &platform::TOOLS,
    &engines::RUNTIME,
    &engines::DOCKER,
    &engines::CONTAINERD,
    &engines::CRIO,
    &engines::PODMAN,
    &cdi::SPEC,
    &cdi::REFRESH,
    &cdi_engines::READ,
    &security::MODULES,
];

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All is well; what was found.
    Pass(String),
    /// Something works less well than it could, or not for everybody: what, and the way out.
    Warn(String, String),
    /// Containers cannot use GPUs as they should: why, and the way out.
    Fail(String, String),
    /// There is nothing to check, and why.
    NotApplicable(String),
}

/// Why a check came to no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CouldNotRun {
    message: String,
    hint: Option<String>,
}

impl CouldNotRun {
    fn new(message: impl Into<String>, hint: Option<String>) -> Self {
        Self {
            message: message.into(),
            hint,
        }
    }

    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

impl From<DiscoveryError> for CouldNotRun {
    fn from(error: DiscoveryError) -> Self {
        let hint = error.hint();
        Self::new(format!("{:#}", anyhow::Error::new(error)), hint)
    }
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As it should be.
    Pass,
    /// Nothing to check.
    NotApplicable,
    /// It could be better.
    Warn,
    /// As it should not be.
    Fail,
    /// Not known.
    CouldNotRun,
}

impl Status {
    /// Whether the exit code is to tell of it.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Fail | Self::CouldNotRun)
    }
}

/// What all checks found. It is also the shape of `amd-ctk doctor --format json` and
/// `--format yaml`: keys may be added, none is removed or renamed.
///
/// ```json
/// {
///   "healthy": false,
///   "checks": [
///     {
///       "name": "amdgpu",
///       "description": "the amdgpu driver is loaded or built in",
///       "status": "fail",
///       "detail": "amdgpu is not loaded",
///       "hint": "`modprobe amdgpu` loads it"
///     }
///   ]
/// }
/// ```
#[derive(Debug, Serialize)]
pub struct Diagnosis {
    /// Whether every check ran, and none failed.
    pub healthy: bool,
    /// In the order of [`CHECKS`].
    pub checks: Vec<CheckResult>,
}

/// What one check found.
#[derive(Debug, Serialize)]
pub struct CheckResult {
    /// Its name.
    pub name: &'static str,
    /// What holds where it passes.
    pub description: &'static str,
    /// How it ended.
    pub status: Status,
    /// What was found, or why nothing was.
    pub detail: String,
    /// The way out; `null` where there is none, or nothing to get out of.
    pub hint: Option<String>,
}

impl Diagnosis {
    /// Runs all checks on the host at `root`.
    pub fn of(root: HostRoot) -> Self {
        let host = Host::new(root);
        let checks: Vec<CheckResult> = CHECKS
            .iter()
            .map(|check| CheckResult::new(check, (check.run)(&host)))
            .collect();
        Self {
            healthy: !checks.iter().any(|check| check.status.is_failure()),
            checks,
        }
    }
}

impl CheckResult {
    fn new(check: &Check, found: Result<Outcome, CouldNotRun>) -> Self {
        let (status, detail, hint) = match found {
            Ok(Outcome::Pass(detail)) => (Status::Pass, detail, None),
            Ok(Outcome::Warn(detail, hint)) => (Status::Warn, detail, Some(hint)),
            Ok(Outcome::Fail(detail, hint)) => (Status::Fail, detail, Some(hint)),
            Ok(Outcome::NotApplicable(why)) => (Status::NotApplicable, why, None),
            Err(error) => (Status::CouldNotRun, error.message, error.hint),
        };
        Self {
            name: check.name,
            description: check.description,
            status,
            detail,
            hint,
        }
    }
}

/// `1 GPU`, `2 GPUs`.
fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
