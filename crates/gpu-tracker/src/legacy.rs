//! The tracker of AMD's Go toolkit: its file, read once.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::{GrantedGpu, Settings};

/// Where the Go toolkit keeps its tracker.
pub const LEGACY_FILE: &str = "/var/log/gpu-tracker.json";

/// What was taken over from the Go toolkit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Its settings.
    pub settings: Settings,
    /// Exclusive GPUs that are not here any more, by their index and UUID then.
    pub lost: Vec<String>,
}

#[derive(Deserialize)]
struct Document {
    enabled: bool,
    #[serde(default, rename = "gpusStatus")]
    gpus: BTreeMap<usize, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    uuid: String,
    #[serde(default, rename = "partitionType")]
    partition_type: String,
    /// 0 is shared, 1 exclusive.
    #[serde(default)]
    accessibility: i64,
}

/// The settings in the Go toolkit's file; `None` where there is none that can be read.
///
/// Which containers had which GPUs is not taken over: the file keeps those that are long gone.
pub(crate) fn load(path: &Path, gpus: &[GrantedGpu]) -> Option<Imported> {
    let text = fs::read(path).ok()?;
    match parse(&text, gpus) {
        Ok(imported) => Some(imported),
        Err(error) => {
            tracing::warn!("nothing is taken over from {path:?}: {error}");
            None
        }
    }
}

fn parse(text: &[u8], gpus: &[GrantedGpu]) -> serde_json::Result<Imported> {
    let document: Document = serde_json::from_slice(text)?;
    let mut imported = Imported::default();
    imported.settings.enabled = document.enabled;
    for (index, entry) in document.gpus {
        if entry.accessibility != 1 {
            continue;
        }
        match find(index, &entry, gpus) {
            Some(gpu) => imported.settings.set(gpu, true),
            None => imported.lost.push(format!("{index} ({})", entry.uuid)),
        }
    }
    Ok(imported)
}

/// The GPU of an entry. The index counts where several GPUs share the UUID, as partitions do.
fn find<'g>(index: usize, entry: &Entry, gpus: &'g [GrantedGpu]) -> Option<&'g GrantedGpu> {
    let uuid = entry.uuid.parse().ok();
    let same = |gpu: &&GrantedGpu| {
        let mode = gpu.mode.as_deref().unwrap_or_default();
        gpu.uuid == uuid && (entry.partition_type.is_empty() || mode == entry.partition_type)
    };
    if let Some(gpu) = gpus.get(index).filter(same) {
        return Some(gpu);
    }
    let mut all = gpus.iter().filter(same);
    let first = all.next()?;
    (uuid.is_some() && all.next().is_none()).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::tests::gpu;

    fn file(entries: &str) -> String {
        format!(
            "{{\"enabled\":true,\"gpusStatus\":{{{entries}}},\"gpusInfo\":{{\"0\":{{\"DrmDevices\":[]}}}}}}"
        )
    }

    fn entry(index: usize, uuid: &str, partition: &str, accessibility: i32) -> String {
        format!(
            "\"{index}\":{{\"uuid\":\"{uuid}\",\"partitionType\":\"{partition}\",\
             \"accessibility\":{accessibility},\"containerIds\":[\"gone\"]}}"
        )
    }

    #[test]
    fn exclusive_gpus_are_found_again_by_their_uuid() {
        let gpus = [gpu(0), gpu(1), gpu(2)];
        let text = file(
            &[
                entry(0, "0xA2", "", 1),
                entry(1, "0xA1", "", 0),
                entry(2, "0xFF", "", 1),
            ]
            .join(","),
        );
        let imported = parse(text.as_bytes(), &gpus).unwrap();
        assert!(imported.settings.enabled);
        assert_eq!(imported.settings.exclusive, [(&gpus[2]).into()]);
        assert_eq!(imported.lost, ["2 (0xFF)"]);
    }

    #[test]
    fn of_partitions_that_share_a_uuid_the_one_of_that_index_is_meant() {
        let partition = |index: u32| GrantedGpu {
            partition: Some(index),
            mode: Some("CPX".into()),
            name: format!("amd.com/gpu={index}"),
            ..gpu(0)
        };
        let gpus = [partition(0), partition(1)];
        let text = file(&entry(1, "0xA0", "CPX", 1));
        let imported = parse(text.as_bytes(), &gpus).unwrap();
        assert_eq!(imported.settings.exclusive, [(&gpus[1]).into()]);
        // In another mode now, or the index is another GPU's.
        let spx = file(&entry(1, "0xA0", "SPX", 1));
        assert!(
            parse(spx.as_bytes(), &gpus)
                .unwrap()
                .settings
                .exclusive
                .is_empty()
        );
        let moved = file(&entry(5, "0xA0", "CPX", 1));
        assert!(
            parse(moved.as_bytes(), &gpus)
                .unwrap()
                .settings
                .exclusive
                .is_empty()
        );
    }

    #[test]
    fn a_gpu_without_a_uuid_is_meant_by_its_index() {
        let plain = GrantedGpu {
            uuid: None,
            ..gpu(0)
        };
        let text = file(&entry(0, "", "", 1));
        let imported = parse(text.as_bytes(), &[plain.clone(), gpu(1)]).unwrap();
        assert_eq!(imported.settings.exclusive, [(&plain).into()]);
        assert!(
            parse(text.as_bytes(), &[gpu(0)])
                .unwrap()
                .settings
                .exclusive
                .is_empty()
        );
    }

    #[test]
    fn a_torn_file_is_passed_over() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("gpu-tracker.json");
        assert_eq!(load(&path, &[]), None);
        for text in ["", "{\"enabled\":tr", "[]"] {
            fs::write(&path, text).unwrap();
            assert_eq!(load(&path, &[]), None, "{text}");
        }
    }
}
