//! `function_order`: which functions of the runtime a container's life needs, for
//! scripts/link-ordered.sh. Prints their symbols, those first that every command needs.

#[cfg(target_arch = "x86_64")]
mod map;
#[cfg(target_arch = "x86_64")]
mod record;
#[cfg(target_arch = "x86_64")]
mod trace;

use anyhow::Result;

fn main() -> Result<()> {
    #[cfg(target_arch = "x86_64")]
    return record::main();
    #[cfg(not(target_arch = "x86_64"))]
    anyhow::bail!("functions are recorded on x86-64 alone");
}
