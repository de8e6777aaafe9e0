//! What is to be written to a cgroup, in which order.

use super::types::{Rdma, WeightDevice};
use super::{Cpu, LimitError};
use std::collections::BTreeMap;

/// The values of one controller, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Name of the controller.
    pub controller: &'static str,
    /// What to write.
    pub writes: Vec<Write>,
}

/// One value for one file of a cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Name of the file.
    pub file: String,
    /// What to write to it.
    pub value: String,
    /// How to find what it held before.
    pub before: Before,
    /// Whether the kernel may refuse it now (EINVAL) and take it once the values that follow in
    /// the same group are set.
    pub again: bool,
    /// Whether the file may be missing.
    pub optional: bool,
    /// Whether the kernel may set another value instead, which is then an error.
    pub exact: bool,
}

/// How to find what a file held before it was written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Before {
    /// All of its text is the value.
    Whole,
    /// The line that begins with this word; where there is none, this value says so.
    Line {
        /// Its first word.
        key: String,
        /// What to write where there was no such line.
        unset: String,
    },
    /// It cannot be told, and is not put back.
    Unknown,
}

impl Write {
    /// A value that is all there is in its file.
    pub fn new(file: impl Into<String>, value: impl ToString) -> Self {
        Self {
            file: file.into(),
            value: value.to_string(),
            before: Before::Whole,
            again: false,
            optional: false,
            exact: false,
        }
    }

    /// `key value`, for one line of a file.
    pub fn line(file: &str, key: &str, value: &str, unset: &str) -> Self {
        Self {
            before: Before::Line {
                key: key.to_owned(),
                unset: format!("{key} {unset}"),
            },
            ..Self::new(file, format!("{key} {value}"))
        }
    }

    pub fn again_if(self, again: bool) -> Self {
        Self { again, ..self }
    }

    pub fn optional(self) -> Self {
        Self {
            optional: true,
            ..self
        }
    }

    pub fn exact(self) -> Self {
        Self {
            exact: true,
            ..self
        }
    }

    pub fn before(self, before: Before) -> Self {
        Self { before, ..self }
    }
}

/// Adds a group where it has something to write.
pub fn push(plan: &mut Vec<Group>, controller: &'static str, writes: Vec<Write>) {
    if !writes.is_empty() {
        plan.push(Group { controller, writes });
    }
}

/// `rdma.max` has the same form on v1 and v2 (Linux, Documentation/admin-guide/cgroup-v1/rdma.rst).
pub fn rdma(devices: Option<&BTreeMap<String, Rdma>>) -> Vec<Write> {
    let write = |(device, limits): (&String, &Rdma)| {
        let fields = [
            ("hca_handle", limits.hca_handles),
            ("hca_object", limits.hca_objects),
        ];
        let fields: Vec<_> = fields
            .into_iter()
            .filter_map(|(name, limit)| Some(format!("{name}={}", limit?)))
            .collect();
        let unset = "hca_handle=max hca_object=max";
        (!fields.is_empty()).then(|| Write::line("rdma.max", device, &fields.join(" "), unset))
    };
    devices.into_iter().flatten().filter_map(write).collect()
}

/// `cpus` and `mems`, the same on v1 and v2.
pub fn cpuset(cpu: &Cpu) -> Vec<Write> {
    use super::types::named;
    let write = |file: &str, list| Some(Write::new(file, named(list)?));
    [
        write("cpuset.cpus", cpu.cpus.as_ref()),
        write("cpuset.mems", cpu.mems.as_ref()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Refuses weights outside of 10 to 1000 (OCI runtime spec, config-linux.md, "Block IO").
pub fn check_weights(weight: Option<u16>, devices: &[WeightDevice]) -> Result<(), LimitError> {
    let all = devices.iter().filter_map(|device| device.weight);
    match all
        .chain(weight)
        .find(|w| *w != 0 && !(10..=1000).contains(w))
    {
        Some(weight) => Err(LimitError::Invalid(format!(
            "blockIO weight {weight} is out of range: 10 to 1000"
        ))),
        None => Ok(()),
    }
}
