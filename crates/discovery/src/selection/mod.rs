//! Which GPUs somebody asks for: the value of `AMD_VISIBLE_DEVICES`, of `DOCKER_RESOURCE_*`, of a
//! command line argument.
//!
//! A request is a list of terms with commas between them; blanks around a term do not count:
//!
//! | Term | Names |
//! |---|---|
//! | `all` | every GPU |
//! | `3` | the GPU with this index |
//! | `0-3` | the GPUs with indices 0 to 3 |
//! | `0xE3AA140F9A5F9E31`, `GPU-e3aa140f9a5f9e31`, `e3aa140f9a5f9e31` | the GPUs with this UUID |
//! | `0000:05:00.0`, `05:00.0` | the GPUs at this PCI address |
//! | `amd.com/gpu=X` | as X, which is `all`, an index, a UUID or a PCI address |
//! | `none` | no GPU: only by itself |
//! | `void`, nothing | nothing: the term is passed over |
//!
//! - Letters may be of either case; a UUID may lack its leading zeros.
//! - Sixteen digits are a UUID; fewer are an index. A hexadecimal number with a letter is a UUID.
//! - Partitions of one board share its PCI address, and with older drivers its UUID: both then name
//!   all of them.
//! - A request of nothing but `void` and empty terms asks for nothing ([`Asked::NotAsked`]).
//! - `none` beside a term that names GPUs is a contradiction, and so a term that names no GPU.
//!
//! Parsing never fails: a term that makes no sense is kept as one that names no GPU, and
//! [`Resolution::strict`] reports it with all the others.

mod grammar;
mod resolve;
mod unknown;

pub use grammar::{Asked, Request, parse};
pub use resolve::Resolution;
pub use unknown::{Reason, UnknownGpu, UnknownTerm};
