//! From a request to the GPUs that a container gets.

use discovery::edits::{ContainerEdits, container_edits};
use discovery::selection::Request;
use discovery::{HostRoot, Inventory};

use crate::error::Result;
use crate::settings::{Gpus, UnknownGpu};
use crate::state::GrantedGpu;

/// The GPUs of one container and what they change in its spec.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Which GPUs.
    pub gpus: Vec<GrantedGpu>,
    /// Their device nodes.
    pub edits: ContainerEdits,
    /// The groups that a process needs to open the nodes; empty where the settings
    /// turn that off.
    pub gids: Vec<u32>,
}

impl Grant {
    /// Finds the GPUs of the host and selects those that are asked for.
    ///
    /// Returns `None` where nothing of the request is on this host and the settings
    /// make that a warning.
    ///
    /// # Errors
    /// Where the GPUs cannot be found out, where a part of the request names no GPU and
    /// the settings do not make that a warning, and where a device node is missing.
    pub fn for_request(
        request: &Request,
        host: &HostRoot,
        settings: &Gpus,
    ) -> Result<Option<Self>> {
        let inventory = Inventory::identify(host)?;
        let resolution = request.resolve(&inventory);
        let selected = match settings.unknown {
            UnknownGpu::Error => resolution.strict(&inventory)?,
            UnknownGpu::Warn => {
                for term in &resolution.unknown {
                    tracing::warn!("{term}; the container starts without it");
                }
                resolution.gpus
            }
        };
        if selected.is_empty() {
            return Ok(None);
        }
        let gpus = || {
            selected
                .iter()
                .filter_map(|index| inventory.gpus.get(*index))
        };
        let edits = container_edits(host, gpus())?;
        let gids = if settings.additional_gids {
            edits.additional_gids.clone()
        } else {
            Vec::new()
        };
        Ok(Some(Self {
            gpus: gpus().map(GrantedGpu::from).collect(),
            edits,
            gids,
        }))
    }
}
