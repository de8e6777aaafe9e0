//! Discovery on hosts of every shape: which GPUs it lists, in which order, with which nodes.

#[path = "discovery_hosts/boards.rs"]
mod boards;
#[path = "discovery_hosts/edits.rs"]
mod edits;
#[path = "discovery_hosts/oddities.rs"]
mod oddities;
#[path = "discovery_hosts/partitions.rs"]
mod partitions;
#[path = "discovery_hosts/table.rs"]
mod table;
