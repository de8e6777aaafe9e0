//! The index of who has exclusive GPUs: what makes the cost of a reservation independent of the
//! number of containers.
//!
//! It holds nothing that the reservations do not, so it can be made anew at any time: where it is
//! missing (the first `create` after boot, a lost /run), torn, or older than the settings.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use host_state::Replace;
use serde::{Deserialize, Serialize};

use crate::settings::Loaded;
use crate::{Files, Found, Reservation, Settings, Slot, TrackerError};

/// A container that had exclusive GPUs when the index was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    /// The reservation of the container, as the host names it.
    pub file: PathBuf,
    /// Those of its GPUs that are exclusive.
    pub slots: BTreeSet<Slot>,
}

impl Holder {
    fn of(reservation: &Reservation, settings: &Settings) -> Option<Self> {
        let slots: BTreeSet<_> = reservation
            .gpus
            .iter()
            .filter(|gpu| settings.is_exclusive(gpu))
            .map(|gpu| gpu.slot())
            .collect();
        (!slots.is_empty()).then(|| Self {
            file: reservation.file(),
            slots,
        })
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Holders {
    /// The settings for which it was made.
    settings: String,
    pub holders: Vec<Holder>,
}

impl Holders {
    /// The index at `path`; `None` where it must be made anew.
    pub fn load(path: &Path, settings: &Loaded) -> Result<Option<Self>, TrackerError> {
        let text = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(TrackerError::io("cannot read", path))?,
        };
        let index = serde_json::from_slice::<Self>(&text).ok();
        Ok(index.filter(|index| index.settings == settings.stamp))
    }

    /// The index of what was found.
    ///
    /// # Errors
    /// Where a reservation cannot be read: its container may have any GPU.
    pub fn of(found: &Found, settings: &Loaded) -> Result<Self, TrackerError> {
        if let Some(unreadable) = found.unreadable.first() {
            return Err(TrackerError::Reservation {
                path: unreadable.path.clone(),
                reason: unreadable.reason.clone(),
            });
        }
        let holders = found.alive.iter();
        Ok(Self {
            settings: settings.stamp.clone(),
            holders: holders
                .filter_map(|reservation| Holder::of(reservation, &settings.settings))
                .collect(),
        })
    }

    /// Takes out those who have one of `slots` no more, and returns those who have.
    pub fn having(
        &mut self,
        slots: &BTreeSet<Slot>,
        files: &Files,
    ) -> Result<Vec<Reservation>, TrackerError> {
        let mut living = Vec::new();
        let mut kept = Vec::with_capacity(self.holders.len() + 1);
        for holder in self.holders.drain(..) {
            if holder.slots.is_disjoint(slots) {
                kept.push(holder);
                continue;
            }
            let path = files.on_host(&holder.file);
            let unreadable = |error: io::Error| TrackerError::Reservation {
                path: path.clone(),
                reason: error.to_string(),
            };
            let looked = Reservation::look(&path, files).map_err(unreadable)?;
            let Some((reservation, is_alive)) = looked else {
                continue;
            };
            let has = reservation
                .gpus
                .iter()
                .any(|gpu| slots.contains(&gpu.slot()));
            // The id may be that of a later container, with other GPUs.
            if has && is_alive {
                living.push(reservation);
                kept.push(holder);
            }
        }
        self.holders = kept;
        Ok(living)
    }

    /// Writes the index to `path`; the caller holds the lock.
    pub fn store(&self, path: &Path) -> Result<(), TrackerError> {
        let failed = TrackerError::io;
        let text =
            serde_json::to_vec(self).map_err(|error| failed("cannot write", path)(error.into()))?;
        Replace::new(path)
            .alone()
            .write(&text)
            .map_err(failed("cannot write", path))
    }
}
