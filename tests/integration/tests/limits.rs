//! Limits of containers: set at `create`, changed by `update`, told apart from what cannot be set.

#[path = "limits/create.rs"]
mod create;
#[path = "limits/fixture.rs"]
mod fixture;
#[path = "limits/unified.rs"]
mod unified;
#[path = "limits/update.rs"]
mod update;
