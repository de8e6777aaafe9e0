//! What programs that are linked with musl have in place of parts of it, which are made to be small
//! rather than fast. `use musl as _` has them in a program; with another C library there is nothing.

#[cfg(target_arch = "x86_64")]
mod copy;

/// musl's own takes and gives back memory of the kernel a hundred times where this does so eight times.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;
