//! Does this container ask for GPUs? Read from the spec alone: nothing below this
//! module runs, and no file under /sys is opened, when the answer is no.

use discovery::selection::{self, Asked, Request};
use serde_json::Value;

use crate::settings::{Gpus, RequestsFrom};

/// The variable by which a container asks for GPUs, as AMD's Go toolkit names it.
pub const VISIBLE_DEVICES: &str = "AMD_VISIBLE_DEVICES";

/// Prefix of the variables in which Docker Swarm hands over generic resources.
const SWARM_RESOURCE: &str = "DOCKER_RESOURCE_";

/// The GPUs that a spec asks for, by its environment.
///
/// The last `AMD_VISIBLE_DEVICES` counts, since dockerd appends its own to the
/// image's. `DOCKER_RESOURCE_<KIND>` counts for the kinds of
/// [`Gpus::resource_kinds`], and is merged with the variable. `none` in the variable
/// is a decision against GPUs, which a Swarm reservation does not overrule.
///
/// Returns `None` where no GPU is asked for, or where the settings do not honour
/// requests of such a container.
pub fn of_spec(spec: &Value, settings: &Gpus) -> Option<Request> {
    let env = spec.pointer("/process/env")?.as_array()?;
    let request = of_env(env.iter().filter_map(Value::as_str), settings)?;
    match settings.requests_from {
        RequestsFrom::Any => Some(request),
        RequestsFrom::Privileged if is_privileged(spec) => Some(request),
        RequestsFrom::Privileged | RequestsFrom::None => {
            tracing::warn!(
                request = %request,
                "the request for GPUs is not honoured: [gpus] requests-from excludes this container"
            );
            None
        }
    }
}

fn of_env<'a>(env: impl Iterator<Item = &'a str>, settings: &Gpus) -> Option<Request> {
    let mut visible = None;
    let mut reserved: Vec<&str> = Vec::new();
    for (key, value) in env.filter_map(|entry| entry.split_once('=')) {
        if key == VISIBLE_DEVICES {
            visible = Some(value);
        } else if let Some(kind) = key.strip_prefix(SWARM_RESOURCE)
            && settings.resource_kinds.iter().any(|of| of.covers(kind))
        {
            reserved.push(value);
        }
    }

    let mut request = match visible.map_or(Asked::NotAsked, selection::parse) {
        Asked::NoGpu => return None,
        Asked::Gpus(request) => Some(request),
        Asked::NotAsked => None,
    };
    for value in reserved {
        if let Asked::Gpus(more) = selection::parse(value) {
            match &mut request {
                Some(request) => request.merge(more),
                None => request = Some(more),
            }
        }
    }
    request
}

/// Whether a spec is of a privileged container: one that may administer the host,
/// told by `CAP_SYS_ADMIN` in its bounding set, as docker, podman and the kubelet
/// give it.
fn is_privileged(spec: &Value) -> bool {
    spec.pointer("/process/capabilities/bounding")
        .and_then(Value::as_array)
        .is_some_and(|caps| caps.iter().any(|cap| cap == "CAP_SYS_ADMIN"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(env: &[&str]) -> Option<String> {
        of_env(env.iter().copied(), &Gpus::default()).map(|r| r.to_string())
    }

    #[test]
    fn the_last_variable_counts() {
        let env = [
            "AMD_VISIBLE_DEVICES=all",
            "PATH=/bin",
            "AMD_VISIBLE_DEVICES=1",
        ];
        assert_eq!(asked(&env).as_deref(), Some("1"));
    }

    #[test]
    fn unset_empty_void_and_none_ask_for_nothing() {
        for env in [
            &[][..],
            &["AMD_VISIBLE_DEVICES="],
            &["AMD_VISIBLE_DEVICES=void"],
        ] {
            assert_eq!(asked(env), None, "{env:?}");
        }
        assert_eq!(asked(&["AMD_VISIBLE_DEVICES=none"]), None);
    }

    #[test]
    fn a_swarm_reservation_is_merged_with_the_variable() {
        let env = ["AMD_VISIBLE_DEVICES=0", "DOCKER_RESOURCE_AMD_GPU=2"];
        assert_eq!(asked(&env).as_deref(), Some("0,2"));
    }

    #[test]
    fn kinds_count_that_name_amd_gpus_or_begin_so() {
        assert_eq!(asked(&["DOCKER_RESOURCE_AMD-GPU=1"]).as_deref(), Some("1"));
        assert_eq!(
            asked(&["DOCKER_RESOURCE_AMD_GPU_MI300X=1"]).as_deref(),
            Some("1")
        );
        assert_eq!(asked(&["DOCKER_RESOURCE_FPGA=0"]), None);
        assert_eq!(asked(&["DOCKER_RESOURCE_NVIDIA_GPU=0"]), None);
    }

    #[test]
    fn none_overrules_a_swarm_reservation() {
        assert_eq!(
            asked(&["AMD_VISIBLE_DEVICES=none", "DOCKER_RESOURCE_AMD_GPU=2"]),
            None
        );
    }

    #[test]
    fn the_setting_says_whose_requests_count() {
        let spec = |caps: Value| {
            json!({"process": {"env": ["AMD_VISIBLE_DEVICES=0"],
            "capabilities": {"bounding": caps}}})
        };
        let with = |from| Gpus {
            requests_from: from,
            ..Gpus::default()
        };
        let plain = spec(json!(["CAP_KILL"]));
        let privileged = spec(json!(["CAP_KILL", "CAP_SYS_ADMIN"]));
        assert!(of_spec(&plain, &with(RequestsFrom::Any)).is_some());
        assert!(of_spec(&plain, &with(RequestsFrom::Privileged)).is_none());
        assert!(of_spec(&privileged, &with(RequestsFrom::Privileged)).is_some());
        assert!(of_spec(&privileged, &with(RequestsFrom::None)).is_none());
    }
}
