//! What each field of config.json may be: for every row the runtime is run, and runc 1.1
//! beside it. Where the two differ the row says why, and fails when they no longer do.

#[path = "spec_table/cgroup.rs"]
mod cgroup;
#[path = "spec_table/command.rs"]
mod command;
#[path = "spec_table/file.rs"]
mod file;
#[path = "spec_table/hooks.rs"]
mod hooks;
#[path = "spec_table/linux.rs"]
mod linux;
#[path = "spec_table/mounts.rs"]
mod mounts;
#[path = "spec_table/namespaces.rs"]
mod namespaces;
#[path = "spec_table/process.rs"]
mod process;
#[path = "spec_table/row.rs"]
mod row;
#[path = "spec_table/runner.rs"]
mod runner;
#[path = "spec_table/seccomp.rs"]
mod seccomp;
#[path = "spec_table/types.rs"]
mod types;
