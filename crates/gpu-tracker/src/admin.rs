//! What the administrator does: switch the tracker, and say which GPUs are exclusive.
//!
//! Every command takes the lock, so that no reservation is taken meanwhile. The index of exclusive
//! GPUs needs no care: it is void once the settings are written.

use std::fs;

use crate::lock::Lock;
use crate::{
    Found, GrantedGpu, Imported, Reservation, Settings, Tracker, TrackerError, legacy, scan,
    settings,
};

/// For how many containers a GPU is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// One at a time.
    Exclusive,
    /// Any number.
    Shared,
}

/// What became of `enable`.
#[derive(Clone, Debug)]
pub struct Enabled {
    /// It was on before.
    pub already: bool,
    /// What was taken over from the Go toolkit, where this host had its tracker and not ours.
    pub imported: Option<Imported>,
    /// The containers with GPUs that run, the oldest first.
    pub running: Vec<Reservation>,
    /// Exclusive GPUs that several of them have.
    pub overbooked: Vec<Refused>,
}

/// A GPU that several containers have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The GPU.
    pub gpu: GrantedGpu,
    /// The ids of the containers.
    pub containers: Vec<String>,
}

/// What became of a change of access.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The GPUs that are now as was asked.
    pub changed: Vec<GrantedGpu>,
    /// Those that stay shared, since several containers have them.
    pub refused: Vec<Refused>,
}

/// What became of `reset`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// Whether the tracker is on, as it was before.
    pub enabled: bool,
    /// Why the old settings could not be read; the tracker is off then.
    pub unreadable: Option<String>,
}

/// What became of `release`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// The whole id of the container.
    pub id: String,
    /// What it had.
    pub gpus: Vec<GrantedGpu>,
}

impl Tracker {
    /// Makes the settings where there are none, from those of the Go toolkit where it has left
    /// some. `None` where there are settings already; they stay.
    ///
    /// `gpus` are those of the host.
    ///
    /// # Errors
    /// Where the settings cannot be read or written.
    pub fn init(&self, gpus: &[GrantedGpu]) -> Result<Option<Option<Imported>>, TrackerError> {
        let _lock = Lock::take(&self.files)?;
        if !self.load_settings()?.stamp.is_empty() {
            return Ok(None);
        }
        let (settings, imported) = self.first_settings(gpus);
        self.store(&settings)?;
        Ok(Some(imported))
    }

    /// Switches the tracker on. Containers that run are known to it at once.
    ///
    /// # Errors
    /// Where the settings cannot be read or written.
    pub fn enable(&self, gpus: &[GrantedGpu]) -> Result<Enabled, TrackerError> {
        let _lock = Lock::take(&self.files)?;
        let loaded = self.load_settings()?;
        let (mut settings, imported) = if loaded.stamp.is_empty() {
            self.first_settings(gpus)
        } else {
            (loaded.settings, None)
        };
        let already = settings.enabled && imported.is_none();
        if !already {
            settings.enabled = true;
            self.store(&settings)?;
        }
        // After the settings: a create that found the tracker off has its reservation by now.
        let found = scan::scan(&self.files);
        let exclusive = gpus.iter().filter(|gpu| settings.is_exclusive(gpu));
        Ok(Enabled {
            already,
            imported,
            overbooked: exclusive
                .map(|gpu| users(&found, gpu))
                .filter(|users| users.containers.len() > 1)
                .collect(),
            running: found.alive,
        })
    }

    /// Switches the tracker off; what is exclusive is kept for when it is on again. Whether it was
    /// on.
    ///
    /// # Errors
    /// Where the settings cannot be read or written.
    pub fn disable(&self) -> Result<bool, TrackerError> {
        let _lock = Lock::take(&self.files)?;
        let mut settings = self.load_settings()?.settings;
        let was = settings.enabled;
        if was {
            settings.enabled = false;
            self.store(&settings)?;
        }
        Ok(was)
    }

    /// Makes all GPUs shared, and mends settings that cannot be read.
    ///
    /// # Errors
    /// Where the settings cannot be written.
    pub fn reset(&self) -> Result<Reset, TrackerError> {
        let _lock = Lock::take(&self.files)?;
        let reset = match self.load_settings() {
            Ok(loaded) => Reset {
                enabled: loaded.settings.enabled,
                unreadable: None,
            },
            Err(TrackerError::Settings { reason, .. }) => Reset {
                enabled: false,
                unreadable: Some(reason),
            },
            Err(error) => return Err(error),
        };
        self.store(&Settings {
            enabled: reset.enabled,
            exclusive: Vec::new(),
        })?;
        Ok(reset)
    }

    /// Makes GPUs exclusive or shared. One that several containers have stays shared.
    ///
    /// # Errors
    /// [`TrackerError::Disabled`] while the tracker is off; where the settings cannot be read or
    /// written, or a reservation cannot be read.
    pub fn set_access(&self, gpus: &[GrantedGpu], access: Access) -> Result<Change, TrackerError> {
        let _lock = Lock::take(&self.files)?;
        let before = self.load_settings()?.settings;
        if !before.enabled {
            return Err(TrackerError::Disabled);
        }
        let exclusive = access == Access::Exclusive;
        let found = if exclusive {
            scan::scan(&self.files)
        } else {
            Found::default()
        };
        if let Some(unreadable) = found.unreadable.first() {
            return Err(TrackerError::Reservation {
                path: unreadable.path.clone(),
                reason: unreadable.reason.clone(),
            });
        }
        let mut change = Change::default();
        let mut settings = before.clone();
        for gpu in gpus {
            let users = users(&found, gpu);
            if exclusive && users.containers.len() > 1 && !before.is_exclusive(gpu) {
                change.refused.push(users);
            } else {
                settings.set(gpu, exclusive);
                change.changed.push(gpu.clone());
            }
        }
        if settings != before {
            self.store(&settings)?;
        }
        Ok(change)
    }

    /// Takes the GPUs of a container off the record: one whose processes are gone, or with
    /// `force` one that lives and can go on to use them. `id` may be the beginning of one.
    ///
    /// # Errors
    /// Where no container of that id has GPUs, where several could be meant, where it lives and
    /// `force` is not given.
    pub fn release(&self, id: &str, force: bool) -> Result<Released, TrackerError> {
        let _lock = Lock::take(&self.files)?;
        let Found { alive, dead, .. } = scan::scan(&self.files);
        let living = alive.len();
        let all: Vec<_> = alive.into_iter().chain(dead).enumerate().collect();
        let (index, reservation) = the_one(id, &all)?;
        if *index < living && !force {
            return Err(TrackerError::Running {
                id: reservation.id.clone(),
                pid: reservation.process.pid,
            });
        }
        let path = self.files.on_host(reservation.file());
        fs::remove_file(&path).map_err(TrackerError::io("cannot remove", &path))?;
        Ok(Released {
            id: reservation.id.clone(),
            gpus: reservation.gpus.clone(),
        })
    }

    fn store(&self, settings: &Settings) -> Result<(), TrackerError> {
        settings::store(&self.files.settings(), settings)
    }

    fn first_settings(&self, gpus: &[GrantedGpu]) -> (Settings, Option<Imported>) {
        match legacy::load(&self.files.on_host(legacy::LEGACY_FILE), gpus) {
            Some(imported) => (imported.settings.clone(), Some(imported)),
            None => (Settings::default(), None),
        }
    }
}

fn users(found: &Found, gpu: &GrantedGpu) -> Refused {
    let has = |container: &&Reservation| container.gpus.iter().any(|own| own.slot() == gpu.slot());
    let containers = found.alive.iter().filter(has);
    Refused {
        gpu: gpu.clone(),
        containers: containers.map(|container| container.id.clone()).collect(),
    }
}

/// The container that goes by `id`, or whose id alone begins so.
fn the_one<'a>(
    id: &str,
    all: &'a [(usize, Reservation)],
) -> Result<&'a (usize, Reservation), TrackerError> {
    let by = |meant: &dyn Fn(&str) -> bool| -> Vec<_> {
        all.iter().filter(|(_, one)| meant(&one.id)).collect()
    };
    let mut candidates = by(&|other| other == id);
    if candidates.is_empty() && !id.is_empty() {
        candidates = by(&|other| other.starts_with(id));
    }
    match candidates[..] {
        [one] => Ok(one),
        [] => Err(TrackerError::NoSuchContainer { id: id.to_owned() }),
        _ => Err(TrackerError::Ambiguous {
            id: id.to_owned(),
            candidates: candidates
                .iter()
                .map(|(_, one)| format!("{} (below {})", one.id, one.root.display()))
                .collect(),
        }),
    }
}

#[cfg(test)]
mod tests;
