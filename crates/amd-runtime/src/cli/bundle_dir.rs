//! `--bundle`, of the commands that make a container.

use std::path::PathBuf;

/// Where the bundle is.
#[derive(Debug, clap::Args)]
pub struct BundleDir {
    /// Directory of the bundle [default: the current directory]
    #[arg(
        short,
        long,
        value_name = "DIR",
        default_value = ".",
        hide_default_value = true
    )]
    pub bundle: PathBuf,
}
