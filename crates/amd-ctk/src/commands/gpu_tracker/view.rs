//! What `gpu-tracker status` tells, for people and for programs.

use chrono::{DateTime, SecondsFormat, Utc};
use discovery::{HostRoot, Usage};
use gpu_tracker::{GpuStatus, GrantedGpu, Reservation, Status};
use serde::Serialize;

use super::engine;
use crate::output::{memory, printable};

/// The shape of `--format json` and `--format yaml`. Keys may be added, none is removed or
/// renamed; a value that is not known is `null`.
///
/// ```json
/// {
///   "enabled": true,
///   "gpus": [
///     {
///       "index": 0,
///       "uuid": "0xE3AA140F9A5F9E31",
///       "pci_address": "0000:05:00.0",
///       "partition": 0,
///       "accessibility": "exclusive",
///       "memory_used_bytes": 1048576,
///       "busy_percent": 97,
///       "containers": [
///         {
///           "id": "training",
///           "pid": 4711,
///           "since": "2026-01-31T12:00:00Z",
///           "engine": "docker",
///           "image": "rocm/pytorch:latest",
///           "bundle": "/run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/training",
///           "root": "/run/docker/runtime-amd/moby"
///         }
///       ]
///     }
///   ],
///   "elsewhere": [],
///   "void_settings": []
/// }
/// ```
#[derive(Debug, Serialize)]
pub(super) struct View {
    pub enabled: bool,
    pub gpus: Vec<GpuView>,
    /// Containers with a GPU that is not on this host any more.
    pub elsewhere: Vec<ContainerView>,
    /// Exclusive GPUs that are not on this host.
    pub void_settings: Vec<VoidView>,
}

#[derive(Debug, Serialize)]
pub(super) struct GpuView {
    pub index: usize,
    pub uuid: Option<String>,
    pub pci_address: String,
    /// `null` where the GPU cannot be partitioned.
    pub partition: Option<u32>,
    /// `exclusive` or `shared`.
    pub accessibility: &'static str,
    /// `null` for one partition of several: the driver counts for the board.
    pub memory_used_bytes: Option<u64>,
    /// As `memory_used_bytes`.
    pub busy_percent: Option<u8>,
    /// The oldest first.
    pub containers: Vec<ContainerView>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct ContainerView {
    pub id: String,
    pub pid: i32,
    pub since: String,
    /// `docker`, `podman`, `containerd`, `kubernetes` or `cri-o`.
    pub engine: Option<&'static str>,
    pub image: Option<String>,
    pub bundle: String,
    /// The state root of the runtime.
    pub root: String,
    #[serde(skip)]
    began: DateTime<Utc>,
}

#[derive(Debug, Serialize)]
pub(super) struct VoidView {
    pub uuid: Option<String>,
    pub pci_address: String,
    pub partition: Option<u32>,
    /// The partition mode in which the board has that GPU.
    pub compute_mode: Option<String>,
}

impl View {
    pub fn new(status: &Status, host: &HostRoot) -> Self {
        let boards = |gpu: &GrantedGpu| status.gpus.iter().filter(|g| g.gpu.pci == gpu.pci).count();
        Self {
            enabled: status.enabled,
            gpus: status
                .gpus
                .iter()
                .enumerate()
                .map(|(index, gpu)| {
                    let usage = match boards(&gpu.gpu) {
                        1 => Usage::of_board(host, gpu.gpu.pci),
                        _ => Usage::default(),
                    };
                    GpuView::new(index, gpu, usage, host)
                })
                .collect(),
            elsewhere: containers(&status.elsewhere, host),
            void_settings: status
                .void
                .iter()
                .map(|gpu| VoidView {
                    uuid: gpu.uuid.map(|uuid| uuid.to_string()),
                    pci_address: gpu.pci.to_string(),
                    partition: gpu.partition,
                    compute_mode: gpu.mode.clone(),
                })
                .collect(),
        }
    }
}

impl GpuView {
    fn new(index: usize, status: &GpuStatus, usage: Usage, host: &HostRoot) -> Self {
        let gpu = &status.gpu;
        Self {
            index,
            uuid: gpu.uuid.map(|uuid| uuid.to_string()),
            pci_address: gpu.pci.to_string(),
            partition: gpu.partition,
            accessibility: if status.exclusive {
                "exclusive"
            } else {
                "shared"
            },
            memory_used_bytes: usage.memory_used_bytes,
            busy_percent: usage.busy_percent,
            containers: containers(&status.containers, host),
        }
    }

    /// Its rows in the table: one a container, the GPU's own cells in the first.
    pub fn rows(&self, now: DateTime<Utc>) -> Vec<[String; 10]> {
        let dash = || "-".to_owned();
        let access = match self.accessibility {
            "exclusive" => "Exclusive",
            _ => "Shared",
        };
        let own = [
            self.index.to_string(),
            self.uuid.clone().unwrap_or_else(dash),
            access.to_owned(),
        ];
        let usage = [
            self.memory_used_bytes.map_or_else(dash, memory),
            self.busy_percent
                .map_or_else(dash, |percent| format!("{percent}%")),
        ];
        let row = |own: [String; 3], container: [String; 5], usage: [String; 2]| {
            let [index, uuid, access] = own;
            let [id, pid, since, engine, image] = container;
            let [used, busy] = usage;
            [
                index, uuid, access, id, pid, since, engine, image, used, busy,
            ]
        };
        let none = || [dash(), dash(), dash(), dash(), dash()];
        let mut rows = vec![row(
            own,
            self.containers
                .first()
                .map_or_else(none, |container| container.cells(now)),
            usage,
        )];
        rows.extend(self.containers.iter().skip(1).map(|container| {
            let blank = <[String; 3]>::default();
            row(blank, container.cells(now), <[String; 2]>::default())
        }));
        rows
    }
}

impl ContainerView {
    fn new(container: &Reservation, host: &HostRoot) -> Self {
        Self {
            id: container.id.clone(),
            pid: container.process.pid,
            since: container.since.to_rfc3339_opts(SecondsFormat::Secs, true),
            engine: engine::of(container),
            image: engine::image(container, host),
            bundle: container.bundle.display().to_string(),
            root: container.root.display().to_string(),
            began: container.since,
        }
    }

    fn cells(&self, now: DateTime<Utc>) -> [String; 5] {
        [
            printable(&self.id),
            self.pid.to_string(),
            ago(now - self.began),
            self.engine.unwrap_or("-").to_owned(),
            printable(self.image.as_ref().unwrap_or(&self.bundle)),
        ]
    }
}

fn containers(all: &[Reservation], host: &HostRoot) -> Vec<ContainerView> {
    all.iter()
        .map(|container| ContainerView::new(container, host))
        .collect()
}

/// In the largest unit that fits, as `docker ps` says it: `5 seconds`, `3 hours`, `2 days`.
fn ago(time: chrono::TimeDelta) -> String {
    let seconds = time.num_seconds().max(0);
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_time_is_told_in_the_largest_unit_that_fits() {
        for (seconds, text) in [
            (-5, "0 seconds"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "1 minute"),
            (7199, "1 hour"),
            (86_400, "1 day"),
            (900_000, "10 days"),
        ] {
            assert_eq!(ago(TimeDelta::seconds(seconds)), text);
        }
    }
}
