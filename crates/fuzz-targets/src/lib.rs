//! The bodies of the fuzz targets: each takes one input, and must neither panic nor hang.

#![allow(
    clippy::expect_used,
    reason = "a target that cannot write its files is of no use"
)]

#[cfg(feature = "cdi")]
pub mod cdi;
pub mod kfd_properties;
pub mod selection;
#[cfg(feature = "spec")]
pub mod spec;
#[cfg(feature = "spec")]
pub mod unit_properties;
