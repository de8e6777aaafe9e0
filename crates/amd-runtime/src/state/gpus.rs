//! The GPUs on a container's record.

use gpu_tracker::GrantedGpu;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// GPUs as the record has them: JSON, which only those parse who ask for it. To most commands they are
/// of no interest, and with 64 of them the longest part of a record.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GpusOnRecord(Option<Box<RawValue>>);

impl GpusOnRecord {
    /// These GPUs.
    ///
    /// # Errors
    /// As [`serde_json::to_string`]; none that is known.
    pub fn of(gpus: &[GrantedGpu]) -> serde_json::Result<Self> {
        match gpus {
            [] => Ok(Self::default()),
            gpus => serde_json::value::to_raw_value(gpus).map(|json| Self(Some(json))),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The GPUs.
    ///
    /// # Errors
    /// Where the record has something else there.
    pub fn parse(&self) -> serde_json::Result<Vec<GrantedGpu>> {
        self.parse_as()
    }

    /// Their CDI names at the time.
    ///
    /// # Errors
    /// As [`GpusOnRecord::parse`].
    pub fn names(&self) -> serde_json::Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Named {
            name: String,
        }
        let named: Vec<Named> = self.parse_as()?;
        Ok(named.into_iter().map(|gpu| gpu.name).collect())
    }

    fn parse_as<T: DeserializeOwned>(&self) -> serde_json::Result<Vec<T>> {
        match &self.0 {
            None => Ok(Vec::new()),
            Some(json) => serde_json::from_str(json.get()),
        }
    }
}

/// By their JSON.
impl PartialEq for GpusOnRecord {
    fn eq(&self, other: &Self) -> bool {
        let json = |gpus: &Self| gpus.0.as_ref().map(|json| json.get().to_owned());
        json(self) == json(other)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn gpu() -> GrantedGpu {
        serde_json::from_value(json!({
            "name": "amd.com/gpu=0", "pci": "0000:05:00.0", "uuid": "0xE3AA140F9A5F9E31",
        }))
        .unwrap()
    }

    #[test]
    fn gpus_come_back_as_they_were_put_on_record() {
        let json = serde_json::to_string(&GpusOnRecord::of(&[gpu()]).unwrap()).unwrap();
        assert_eq!(json, serde_json::to_string(&[gpu()]).unwrap());
        let gpus: GpusOnRecord = serde_json::from_str(&json).unwrap();
        assert!(!gpus.is_empty());
        assert_eq!(gpus.parse().unwrap(), [gpu()]);
        assert_eq!(gpus.names().unwrap(), ["amd.com/gpu=0"]);
    }

    #[test]
    fn no_gpus_are_none() {
        let none = GpusOnRecord::of(&[]).unwrap();
        assert!(none.is_empty());
        assert_eq!(none.parse().unwrap(), []);
        assert!(GpusOnRecord::default().is_empty());
    }

    #[test]
    fn something_else_is_an_error_to_who_asks() {
        let gpus: GpusOnRecord = serde_json::from_str(r#"[{"name": 1}]"#).unwrap();
        assert!(gpus.parse().is_err());
        assert!(gpus.names().is_err());
    }
}
