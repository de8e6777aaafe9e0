//! The GPUs of a host as generic resources of Docker Swarm: `node-generic-resources` in
//! `daemon.json`, see "Generic resources" in the documentation of `docker service create`.
//!
//! Swarm hands what it has assigned to a service over in the variable `DOCKER_RESOURCE_AMD_GPU`.

use serde_json::{Value, json};

use super::record::Record;
use crate::config_file::EditError;
use crate::config_file::json::{Document, remove, set};
use crate::engines::Request;

/// Where the resources are.
pub const RESOURCES: [&str; 1] = ["node-generic-resources"];

/// The kind of our resources.
pub const KIND: &str = "AMD_GPU";

/// The resource for a GPU with this UUID.
pub fn resource(uuid: &str) -> String {
    format!("{KIND}={uuid}")
}

/// `text` with `gpus` in the place of those that we put there before. What others put there
/// stays.
///
/// # Errors
/// Where the list is none, or counts GPUs of the same kind instead of naming them: dockerd
/// refuses both in one list.
pub fn set_resources(
    text: &str,
    record: Option<&Record>,
    gpus: &[String],
) -> Result<String, EditError> {
    let mut resources = without_ours(text, record)?;
    if let Some(counted) = resources.iter().find(|resource| counts_gpus(resource)) {
        let message = format!("\"{counted}\" counts GPUs, and --swarm names them");
        return Err(Document::parse(text)?
            .error_at(&RESOURCES, message)
            .with_hint("take it out: dockerd wants one or the other"));
    }
    for gpu in gpus {
        if !resources.contains(gpu) {
            resources.push(gpu.clone());
        }
    }
    set(text, &RESOURCES, &json!(resources))
}

/// `text` without what we put there.
///
/// # Errors
/// Where the list is none.
pub fn remove_resources(text: &str, record: &Record) -> Result<String, EditError> {
    let before = record.before.as_deref().unwrap_or("{}");
    if list(&record.after)? == list(before)? {
        return Ok(text.to_owned());
    }
    let resources = without_ours(text, Some(record))?;
    match Document::parse(before)?.get(&RESOURCES)? {
        None if resources.is_empty() => return remove(text, &RESOURCES, before),
        Some(Value::Null) if resources.is_empty() => return set(text, &RESOURCES, &Value::Null),
        _ => {}
    }
    set(text, &RESOURCES, &json!(resources))
}

/// What a user should know of services on this host.
pub fn notes(text: &str, request: &Request) -> Vec<String> {
    let Request::Configure(settings) = request else {
        return Vec::new();
    };
    let default = Document::parse(text).and_then(|document| document.get(&["default-runtime"]));
    let is_default = matches!(default, Ok(Some(Value::String(name))) if name == settings.name);
    if settings.swarm.is_empty() || is_default {
        return Vec::new();
    }
    vec![format!(
        "services have no option for the runtime, and this host's default is not \"{}\": add \
         --set-as-default",
        settings.name
    )]
}

fn without_ours(text: &str, record: Option<&Record>) -> Result<Vec<String>, EditError> {
    let (before, after) = match record {
        Some(record) => (
            list(record.before.as_deref().unwrap_or("{}"))?,
            list(&record.after)?,
        ),
        None => Default::default(),
    };
    let is_ours = |resource: &String| after.contains(resource) && !before.contains(resource);
    let mut resources = list(text)?;
    resources.retain(|resource| !is_ours(resource));
    Ok(resources)
}

fn counts_gpus(resource: &str) -> bool {
    resource
        .split_once('=')
        .is_some_and(|(kind, value)| kind == KIND && value.parse::<u64>().is_ok())
}

fn list(text: &str) -> Result<Vec<String>, EditError> {
    let document = Document::parse(text)?;
    let not_a_list = || {
        document.error_at(
            &RESOURCES,
            "\"node-generic-resources\" is not a list of strings",
        )
    };
    match document.get(&RESOURCES)? {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(values)) => values
            .into_iter()
            .map(|value| match value {
                Value::String(resource) => Ok(resource),
                _ => Err(not_a_list()),
            })
            .collect(),
        Some(_) => Err(not_a_list()),
    }
}

#[cfg(test)]
#[path = "swarm_tests.rs"]
mod tests;
