//! The devices of a container: those of its spec, and its GPUs, found, reserved and on record.

use discovery::edits::DeviceNode;
use discovery::selection::Request;
use gpu_tracker::Reservation;
use serde_json::Value;

use super::Runtime;
use super::grant::Grant;
use crate::additions::Additions;
use crate::device_cgroup::{DeviceCgroupError, DeviceRule, DeviceTable, Program};
use crate::error::{Error, Result};
use crate::inject::additions;
use crate::state::{GpusOnRecord, Record};

/// The devices of a container.
pub(super) struct Devices {
    /// The nodes of its GPUs.
    pub granted_nodes: Vec<DeviceNode>,
    /// The nodes and rules of GPUs that its spec has not.
    pub additions: Additions,
    /// What it may use, by the rules of both.
    pub table: DeviceTable,
    /// The device program of that, where it is loaded already.
    pub program: Option<Program>,
    /// That of its GPUs, which `create` has for now.
    pub reservation: Option<Reservation>,
}

impl Devices {
    /// Loads the device program, for a container on v2. Where that is not possible, `enforce` says
    /// so.
    pub fn load_program(&mut self) {
        self.program = Program::load(&self.table).ok();
    }
}

impl Runtime {
    /// Finds the GPUs that `request` asks for, for a container with this effective spec and its
    /// `rules`, reserves them and those that the spec names, and puts them in its record. The spec
    /// gets the groups of their nodes.
    ///
    /// # Errors
    /// Where a GPU is not there, or another container's alone, and where rules contradict each other.
    pub(super) fn take_devices(
        &self,
        request: Option<&Request>,
        spec: &mut Value,
        rules: &[DeviceRule],
        record: &mut Record,
    ) -> Result<Devices> {
        let grant = match request {
            Some(request) => Grant::for_request(request, &self.host, &self.settings.gpus)?,
            None => None,
        };
        let mut of_gpus = Additions::default();
        if let Some(grant) = &grant {
            let gids = self.gids_of(grant);
            of_gpus = additions(spec, &grant.edits, &gids)?;
            record.gpu_gids = gids;
            let failed = |err: serde_json::Error| Error::Status(err.to_string());
            record.gpus = GpusOnRecord::of(&grant.gpus).map_err(failed)?;
        }
        let all = [rules, &of_gpus.rules].concat();
        let table = DeviceTable::of_container(&all).map_err(DeviceCgroupError::from)?;
        let gpus = self.gpus_of(grant.as_ref(), spec, rules, &table)?;
        Ok(Devices {
            granted_nodes: grant.map_or_else(Vec::new, |grant| grant.edits.device_nodes),
            additions: of_gpus,
            table,
            program: None,
            reservation: self.reserve(record, gpus)?,
        })
    }
}
