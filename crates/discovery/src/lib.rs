//! AMD GPUs of a Linux host: which there are, in which order, under which names, and what each of
//! them is to a container.
//!
//! ```no_run
//! use discovery::{HostRoot, Inventory, edits::container_edits, selection::{self, Asked}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let host = HostRoot::system();
//! if let Asked::Gpus(request) = selection::parse("0-3,GPU-e3aa140f9a5f9e31") {
//!     let inventory = Inventory::discover(&host)?;
//!     let chosen = request.resolve(&inventory).strict(&inventory)?;
//!     let edits = container_edits(&host, chosen.iter().map(|&index| &inventory.gpus[index]))?;
//!     println!("{} device nodes", edits.device_nodes.len());
//! }
//! # Ok(()) }
//! ```
//!
//! The crate only reads below `/sys` and asks the kernel about nodes below `/dev` (or below another
//! [`HostRoot`]). It starts no process and no thread.

mod attribute;
pub mod cdi;
mod drm;
pub mod edits;
mod error;
mod gpu;
mod host_root;
mod inventory;
mod join;
mod partition;
mod pci;
pub mod selection;
mod topology;
mod usage;
mod uuid;

pub use error::DiscoveryError;
pub use gpu::{CDI_KIND, ComputeNode, Gpu};
pub use host_root::HostRoot;
pub use inventory::Inventory;
pub use partition::Partition;
pub use pci::{ParsePciAddressError, PciAddress};
pub use usage::Usage;
pub use uuid::{ParseUuidError, Uuid};
