//! The settings: whether the tracker is on, and which GPUs are for one container at a time.

use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use discovery::{PciAddress, Uuid};
use host_state::Replace;
use serde::{Deserialize, Serialize};

use crate::{GrantedGpu, TrackerError};

/// The version of the file that this program reads and writes.
const VERSION: u32 = 1;

/// Larger than any file of ours: 64 GPUs take 8 KiB.
const LARGEST: u64 = 1 << 20;

/// What the administrator has set. Without a file: the tracker is off, all GPUs are shared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Whether exclusive GPUs are looked after.
    pub enabled: bool,
    /// The exclusive GPUs; all others are shared.
    pub exclusive: Vec<ExclusiveGpu>,
}

/// A GPU that is for one container at a time, by names that outlive a renumbering.
///
/// A card that moves to another slot takes its setting along, by its UUID. One that is
/// replaced by another, and a board whose partition mode changes, has none: it is another GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExclusiveGpu {
    /// Its UUID, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<Uuid>,
    /// Where its board was on the PCI bus.
    pub pci: PciAddress,
    /// Which partition of the board it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// The compute partition mode in which the board has that partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

impl From<&GrantedGpu> for ExclusiveGpu {
    fn from(gpu: &GrantedGpu) -> Self {
        Self {
            uuid: gpu.uuid,
            pci: gpu.pci,
            partition: gpu.partition,
            mode: gpu.mode.clone(),
        }
    }
}

impl ExclusiveGpu {
    /// Whether `gpu` is meant.
    pub fn means(&self, gpu: &GrantedGpu) -> bool {
        let board = match (self.uuid, gpu.uuid) {
            (Some(own), Some(other)) => own == other,
            // sysfs does not tell the UUID while a GPU is being reset.
            _ => self.pci == gpu.pci,
        };
        board && (self.partition, &self.mode) == (gpu.partition, &gpu.mode)
    }
}

impl Settings {
    /// Whether `gpu` is for one container at a time.
    pub fn is_exclusive(&self, gpu: &GrantedGpu) -> bool {
        self.exclusive.iter().any(|entry| entry.means(gpu))
    }

    /// Makes `gpu` exclusive or shared.
    pub fn set(&mut self, gpu: &GrantedGpu, exclusive: bool) {
        self.exclusive.retain(|entry| !entry.means(gpu));
        if exclusive {
            self.exclusive.push(gpu.into());
        }
    }
}

/// Settings as they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Loaded {
    pub settings: Settings,
    /// Tells this file from one that was written later; empty where there is none.
    pub stamp: String,
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    enabled: bool,
    #[serde(default)]
    exclusive: Vec<ExclusiveGpu>,
}

/// Reads the settings at `path`; the default ones where there is no file.
///
/// # Errors
/// [`TrackerError::Settings`] where the file is torn, empty, or of another version.
pub(crate) fn load(path: &Path) -> Result<Loaded, TrackerError> {
    reload(path, None)
}

/// As [`load`], and parses nothing where the file is the one that was read `before`.
pub(crate) fn reload(path: &Path, before: Option<Loaded>) -> Result<Loaded, TrackerError> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Loaded::default()),
        file => file.map_err(TrackerError::io("cannot open", path))?,
    };
    let io = TrackerError::io;
    let meta = file.metadata().map_err(io("cannot read", path))?;
    let stamp = format!("{}:{}.{}", meta.ino(), meta.mtime(), meta.mtime_nsec());
    if let Some(before) = before.filter(|before| before.stamp == stamp) {
        return Ok(before);
    }
    let mut text = String::new();
    (&mut file)
        .take(LARGEST)
        .read_to_string(&mut text)
        .map_err(|error| unreadable(path, error.to_string()))?;
    Ok(Loaded {
        settings: parse(&text).map_err(|reason| unreadable(path, reason))?,
        stamp,
    })
}

fn unreadable(path: &Path, reason: String) -> TrackerError {
    let path = path.to_owned();
    TrackerError::Settings { path, reason }
}

fn parse(text: &str) -> Result<Settings, String> {
    if text.trim_matches(['\0', ' ', '\n']).is_empty() {
        return Err("the file is empty".to_owned());
    }
    let document: Document = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if document.version != VERSION {
        let version = document.version;
        return Err(format!("version {version}, and not {VERSION}"));
    }
    Ok(Settings {
        enabled: document.enabled,
        exclusive: document.exclusive,
    })
}

/// Replaces the settings, whole, and so that a crash of the host leaves the old or the new.
/// The caller holds the lock.
///
/// # Errors
/// Where the file cannot be written, as on a full disk; the old one then stands.
pub(crate) fn store(path: &Path, settings: &Settings) -> Result<(), TrackerError> {
    let document = Document {
        version: VERSION,
        enabled: settings.enabled,
        exclusive: settings.exclusive.clone(),
    };
    let failed = TrackerError::io;
    let mut text = serde_json::to_string_pretty(&document)
        .map_err(|error| failed("cannot write", path)(error.into()))?;
    text.push('\n');
    if let Some(dir) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(dir)
            .map_err(failed("cannot make", dir))?;
    }
    Replace::new(path)
        .mode(0o644)
        .durable()
        .alone()
        .write(text.as_bytes())
        .map_err(failed("cannot write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(uuid: Option<u64>, bus: u8, partition: Option<u32>, mode: Option<&str>) -> GrantedGpu {
        GrantedGpu {
            name: "amd.com/gpu=0".into(),
            pci: format!("0000:{bus:02x}:00.0").parse().unwrap(),
            partition,
            mode: mode.map(str::to_owned),
            uuid: uuid.map(Uuid),
        }
    }

    #[test]
    fn a_setting_follows_its_gpu_and_no_other() {
        let whole = gpu(Some(1), 5, Some(0), Some("SPX"));
        let setting = ExclusiveGpu::from(&whole);
        for (other, meant) in [
            (whole.clone(), true),
            // In another slot; without its UUID for a while.
            (gpu(Some(1), 6, Some(0), Some("SPX")), true),
            (gpu(None, 5, Some(0), Some("SPX")), true),
            // Another card in the slot; the first partition of what it was.
            (gpu(Some(2), 5, Some(0), Some("SPX")), false),
            (gpu(Some(1), 5, Some(0), Some("CPX")), false),
            (gpu(Some(1), 5, Some(1), Some("SPX")), false),
            (gpu(None, 6, Some(0), Some("SPX")), false),
        ] {
            assert_eq!(setting.means(&other), meant, "{other:?}");
        }
        let no_uuid = ExclusiveGpu::from(&gpu(None, 5, None, None));
        assert!(no_uuid.means(&gpu(None, 5, None, None)));
        assert!(!no_uuid.means(&gpu(None, 6, None, None)));
    }

    #[test]
    fn what_is_stored_is_loaded_and_nothing_lies_beside_it() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("var/lib/x/settings.json");
        assert_eq!(load(&path).unwrap(), Loaded::default());
        let mut settings = Settings {
            enabled: true,
            ..Settings::default()
        };
        settings.set(&gpu(Some(1), 5, Some(3), Some("CPX")), true);
        settings.set(&gpu(None, 6, None, None), true);
        settings.set(&gpu(None, 6, None, None), true);
        assert_eq!(settings.exclusive.len(), 2);
        store(&path, &settings).unwrap();
        let first = load(&path).unwrap();
        assert_eq!(first.settings, settings);
        store(&path, &settings).unwrap();
        assert_ne!(load(&path).unwrap().stamp, first.stamp);
        assert_eq!(path.parent().unwrap().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_torn_or_of_another_version_is_an_error_that_names_it() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("settings.json");
        for text in [
            &b""[..],
            b"\n",
            b"\0\0\0\0",
            b"{\"version\": 1, \"enab",
            b"{}",
            b"[]",
            b"{\"version\": 2, \"enabled\": true}",
            b"{\"version\": 1, \"enabled\": \"yes\"}",
            b"{\"version\": 1, \"enabled\": true, \"exclusive\": [{}]}",
            b"\xff\xfe",
        ] {
            std::fs::write(&path, text).unwrap();
            let error = load(&path).unwrap_err();
            assert!(matches!(error, TrackerError::Settings { .. }), "{error:?}");
            assert!(error.to_string().contains("settings.json"), "{error}");
            assert!(error.hint().unwrap().contains("reset"), "{error}");
        }
    }
}
