//! All reservations of a host, from the files of its containers.

use std::fs;
use std::path::PathBuf;

use crate::{Files, Reservation, reservation, roots};

/// What is in the state roots of a host.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The reservations of containers that live, the oldest first.
    pub alive: Vec<Reservation>,
    /// The reservations of containers that do not.
    pub dead: Vec<Reservation>,
    /// Files that should be reservations and are not.
    pub unreadable: Vec<Unreadable>,
}

/// A file that should be a reservation.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// Where it is.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// Looks at every container of every state root.
pub(crate) fn scan(files: &Files) -> Found {
    let mut found = Found::default();
    for root in roots::list(files) {
        let entries = fs::read_dir(files.on_host(&root));
        let ids = entries.into_iter().flatten().flatten();
        for id in ids.filter_map(|entry| entry.file_name().into_string().ok()) {
            let path = files.on_host(reservation::file(&root, &id));
            match Reservation::look(&path, files) {
                Ok(None) => {}
                Ok(Some((mut reservation, is_alive))) => {
                    // Where it was found counts: it can be read under several names.
                    reservation.root.clone_from(&root);
                    if is_alive {
                        found.alive.push(reservation);
                    } else {
                        found.dead.push(reservation);
                    }
                }
                Err(error) => {
                    tracing::warn!("cannot read the reservation {path:?}: {error}");
                    let reason = error.to_string();
                    found.unreadable.push(Unreadable { path, reason });
                }
            }
        }
    }
    found
        .alive
        .sort_by(|a, b| (a.since, &a.id).cmp(&(b.since, &b.id)));
    // One container, in a root that goes by two names.
    found
        .alive
        .dedup_by(|a, b| (&a.id, a.process, a.since) == (&b.id, b.process, b.since));
    found
}
