//! What the runtime does: take a reservation, and keep it true.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use discovery::HostRoot;
use host_state::{ProcessRef, write_atomically};

use crate::holders::{Holder, Holders};
use crate::lock::Lock;
use crate::settings::{self, Loaded};
use crate::{
    Conflict, Files, GrantedGpu, Reservation, Slot, TrackerError, handover, reservation, roots,
    scan,
};

/// The tracker of one host.
#[derive(Clone, Debug)]
pub struct Tracker {
    pub(crate) files: Files,
}

impl Tracker {
    /// The tracker of the host whose root directory is `host`. Nothing is read yet.
    pub fn new(host: HostRoot) -> Self {
        Self {
            files: Files::new(host),
        }
    }

    /// Puts on record which GPUs a container gets, before anything of it is built.
    ///
    /// With the tracker on, the container gets all of them or none: one that is exclusive and in
    /// use is refused, and nothing is written. With the tracker off, the reservation alone is
    /// written: no lock is taken and no file of the tracker is made.
    ///
    /// The container holds its GPUs for as long as [`Reservation::process`] lives and the
    /// reservation is there; removing its state directory is all there is to releasing them.
    ///
    /// # Errors
    /// [`TrackerError::InUse`] names the GPUs and who has them. [`TrackerError::Settings`] where
    /// it cannot be known what is exclusive.
    pub fn reserve(&self, reservation: &Reservation) -> Result<(), TrackerError> {
        let registered = roots::register(&self.files, &reservation.root);
        let settings = self.load_settings()?;
        if settings.settings.enabled {
            let dir = self.files.roots();
            registered.map_err(TrackerError::io("cannot leave a link in", &dir))?;
            return self.reserve_locked(reservation, settings);
        }
        if let Err(error) = registered {
            // Only `amd-ctk gpu-tracker` misses it.
            tracing::warn!("cannot leave a link in {:?}: {error}", self.files.roots());
        }
        let before = Reservation::load(&self.files.on_host(reservation.file()));
        self.write(reservation)?;
        // Enabled since: whoever did that may have looked for reservations before this one was
        // there.
        if !self.is_enabled()? {
            return Ok(());
        }
        let reserved = self.reserve_locked(reservation, settings);
        if reserved.is_err() {
            // For those who wait for the lock.
            match before {
                Ok(Some(before)) => self.write(&before)?,
                _ => {
                    let _ = fs::remove_file(self.files.on_host(reservation.file()));
                }
            }
        }
        reserved
    }

    /// As [`Tracker::reserve`], for a runtime without the right to write the tracker's files: the
    /// container is found by nobody else, and so gets shared GPUs only.
    ///
    /// # Errors
    /// [`TrackerError::Unseen`] where one of the GPUs is exclusive, [`TrackerError::Settings`]
    /// where that cannot be known.
    pub fn reserve_unseen(&self, reservation: &Reservation) -> Result<(), TrackerError> {
        let settings = self.load_settings()?.settings;
        let is_exclusive = |gpu: &&GrantedGpu| settings.enabled && settings.is_exclusive(gpu);
        let exclusive: Vec<String> = reservation
            .gpus
            .iter()
            .filter(is_exclusive)
            .map(|gpu| gpu.index().to_owned())
            .collect();
        match exclusive.is_empty() {
            true => self.write(reservation),
            false => Err(TrackerError::Unseen(exclusive)),
        }
    }

    /// Whether exclusive GPUs are looked after.
    ///
    /// # Errors
    /// [`TrackerError::Settings`] where the settings cannot be read.
    pub fn is_enabled(&self) -> Result<bool, TrackerError> {
        Ok(self.load_settings()?.settings.enabled)
    }

    /// The reservation of the container `id` of a state root; `None` where it has no GPUs, or
    /// was released of them by hand.
    ///
    /// # Errors
    /// [`TrackerError::Reservation`] where it cannot be read.
    pub fn reservation(&self, root: &Path, id: &str) -> Result<Option<Reservation>, TrackerError> {
        let path = self.files.on_host(reservation::file(root, id));
        Reservation::load(&path).map_err(|error| TrackerError::Reservation {
            reason: error.to_string(),
            path,
        })
    }

    /// `settings` are those before the lock was asked for.
    fn reserve_locked(
        &self,
        reservation: &Reservation,
        mut settings: Loaded,
    ) -> Result<(), TrackerError> {
        loop {
            let lock = Lock::take(&self.files)?;
            settings = settings::reload(&self.files.settings(), Some(settings))?;
            let exclusive: Vec<&GrantedGpu> = reservation
                .gpus
                .iter()
                .filter(|gpu| settings.settings.enabled && settings.settings.is_exclusive(gpu))
                .collect();
            if !exclusive.is_empty() {
                self.take(reservation, &exclusive, &settings)?;
            }
            self.write(reservation)?;
            // With the lock's file gone, another may have taken a lock of its own meanwhile.
            if lock.is_valid() {
                return Ok(());
            }
        }
    }

    /// Notes in the index that the container has these GPUs, if nobody else has.
    fn take(
        &self,
        reservation: &Reservation,
        gpus: &[&GrantedGpu],
        settings: &Loaded,
    ) -> Result<(), TrackerError> {
        let file = reservation.file();
        let slots: BTreeSet<Slot> = gpus.iter().map(|gpu| gpu.slot()).collect();
        let path = self.files.holders();
        let mut index = match Holders::load(&path, settings)? {
            Some(index) => index,
            None => Holders::of(&scan::scan(&self.files), settings)?,
        };
        index.holders.retain(|holder| holder.file != file);
        let living = index.having(&slots, &self.files)?;
        let conflicts: Vec<Conflict> = gpus
            .iter()
            .filter_map(|gpu| {
                let has = |other: &&Reservation| other.gpus.iter().any(|g| g.slot() == gpu.slot());
                let holder = living.iter().find(has)?;
                Some(Conflict {
                    gpu: (*gpu).clone(),
                    container: holder.id.clone(),
                    pid: holder.process.pid,
                })
            })
            .collect();
        if conflicts.is_empty() {
            index.holders.push(Holder { file, slots });
        }
        index.store(&path)?;
        if conflicts.is_empty() {
            Ok(())
        } else {
            Err(TrackerError::InUse(conflicts))
        }
    }

    /// Hands a reservation that was taken over to `init`, that of the container.
    ///
    /// # Errors
    /// Where that cannot be put on record.
    pub fn hand_over(
        &self,
        reservation: Reservation,
        init: ProcessRef,
    ) -> Result<(), TrackerError> {
        let path = self.files.on_host(reservation.file());
        handover::hand_over(&path, init).or_else(|_| {
            self.update(&Reservation {
                process: init,
                ..reservation
            })
        })
    }

    /// Whom the reservation of the container `id` of a state root was handed over to. `None` also
    /// where the reservation itself was replaced, see [`Tracker::update`].
    pub fn handed_over_to(&self, root: &Path, id: &str) -> Option<ProcessRef> {
        let path = self.files.on_host(reservation::file(root, id));
        handover::handed_over_to(&path).ok().flatten()
    }

    /// Replaces a reservation that was taken: by one that names the container's init.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn update(&self, reservation: &Reservation) -> Result<(), TrackerError> {
        let path = self.files.on_host(reservation.file());
        // Released by hand meanwhile: it stays so.
        if path.exists() {
            self.write(reservation)?;
        }
        Ok(())
    }

    fn write(&self, reservation: &Reservation) -> Result<(), TrackerError> {
        let path = self.files.on_host(reservation.file());
        let failed = |path: &Path| TrackerError::io("cannot write", path);
        let text = serde_json::to_vec(reservation).map_err(|error| failed(&path)(error.into()))?;
        // The link of an earlier one, as at a later try.
        handover::take_back(&path)
            .and_then(|()| write_atomically(&path, &text))
            .map_err(failed(&path))
    }

    pub(crate) fn load_settings(&self) -> Result<Loaded, TrackerError> {
        settings::load(&self.files.settings())
    }
}

#[cfg(test)]
pub(crate) mod tests;
