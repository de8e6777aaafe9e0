//! What changes in `daemon.json`, as dockerd(8) documents it.
//!
//! JSON has no comments to tell ours from the user's, so what the file was before our first
//! edit is kept in a [`Record`].

use serde_json::{Value, json};

use super::record::{Record, State};
use super::swarm;
use crate::config_file::EditError;
use crate::config_file::json::{Document, remove, set};
use crate::engines::{DEFAULT_PROGRAM, OTHER_NAME, Request, Settings};

const DEFAULT_RUNTIME: [&str; 1] = ["default-runtime"];
const CDI: [&str; 2] = ["features", "cdi"];

/// The state that `request` asks for.
///
/// # Errors
/// Where the text is not what dockerd accepts, or holds a runtime of that name that is not
/// ours.
pub fn apply(state: &State, request: &Request) -> Result<State, EditError> {
    let state = &state.current()?;
    match request {
        Request::Configure(settings) => configure(state, settings),
        Request::UnsetDefault { name } => unset_default(state, name),
        Request::Remove { name, path } => undo(state, name, path),
    }
}

/// Whether dockerd must be restarted for the change from `before` to `after`; it reads
/// runtimes anew on SIGHUP, but not whether CDI is on, nor generic resources.
pub fn needs_restart(before: &State, after: &State) -> bool {
    let differs = |path: &[&str]| {
        let value = |state: &State| {
            let document = Document::parse(state.text.as_deref().unwrap_or_default()).ok()?;
            document.get(path).ok()?
        };
        value(before) != value(after)
    };
    differs(&CDI) || differs(&swarm::RESOURCES)
}

/// The default runtime that was there before ours and does not come back with the change from
/// `before` to `after`, as the runtime of that name has gone since.
pub fn lost_default(before: &State, after: &State) -> Option<String> {
    let default = |text: Option<&str>| default_runtime(text.unwrap_or_default()).ok()?;
    let record = before
        .current()
        .ok()?
        .record
        .filter(|_| after.record.is_none())?;
    let old = default(record.before.as_deref())?;
    let now = default(after.text.as_deref());
    (now.is_none() && !is_known(after.text.as_deref().unwrap_or_default(), &old)).then_some(old)
}

/// Whether dockerd finds a runtime `name` by this text: it does not start with a default that
/// it does not know. It brings runc, and takes names of containerd's shims.
fn is_known(text: &str, name: &str) -> bool {
    let is_shim = !name.starts_with('.') && name.contains('.') && !name.contains('/');
    name == "runc" || is_shim || matches!(runtime(text, name), Ok(Some(_)))
}

/// The `pidfile` that the text names, else dockerd's default.
pub fn pid_file(text: &str) -> String {
    let named = Document::parse(text).and_then(|document| document.get(&["pidfile"]));
    match named {
        Ok(Some(Value::String(path))) => path,
        _ => "/var/run/docker.pid".to_owned(),
    }
}

fn configure(state: &State, settings: &Settings) -> Result<State, EditError> {
    let Settings { name, path, .. } = settings;
    let current = state.text.as_deref().unwrap_or_default();
    let entry = runtime(current, name)?;
    let mut text = match &entry {
        Some(entry) if !is_ours(entry, state, name, path) => {
            return Err(foreign(current, name, entry));
        }
        Some(_) => set(current, &["runtimes", name, "path"], &json!(path))?,
        None => set(
            current,
            &["runtimes", name],
            &json!({"path": path, "runtimeArgs": []}),
        )?,
    };
    if settings.default {
        default_runtime(&text)?;
        text = set(&text, &DEFAULT_RUNTIME, &json!(name))?;
    }
    if settings.cdi {
        text = set(&text, &CDI, &json!(true))?;
    }
    if !settings.swarm.is_empty() {
        text = swarm::set_resources(&text, state.record.as_ref(), &settings.swarm)?;
    }
    if state.text.as_deref() == Some(&text) {
        return Ok(state.clone());
    }
    let before = undo(state, name, path)?;
    let mut runtimes = state
        .record
        .as_ref()
        .map(|record| record.runtimes.clone())
        .unwrap_or_default();
    runtimes.insert(name.clone());
    // With another runtime of ours in the file, what was before is still the record's.
    let before = before.record.map_or(before.text, |record| record.before);
    Ok(State {
        record: Some(Record {
            before,
            after: text.clone(),
            runtimes,
        }),
        text: Some(text),
    })
}

fn unset_default(state: &State, name: &str) -> Result<State, EditError> {
    let Some(current) = state.text.as_deref() else {
        return Ok(state.clone());
    };
    if default_runtime(current)?.as_deref() != Some(name) {
        return Ok(state.clone());
    }
    let text = remove(current, &DEFAULT_RUNTIME, "{}")?;
    let mut record = state.record.clone();
    if let Some(record) = &mut record
        && record.after == current
    {
        record.after.clone_from(&text);
    }
    Ok(State {
        text: Some(text),
        record,
    })
}

/// The state without the runtime `name`: exactly what was before, where nobody else edited
/// the file since.
fn undo(state: &State, name: &str, path: &str) -> Result<State, EditError> {
    let Some(current) = state.text.as_deref() else {
        return Ok(State {
            text: None,
            record: None,
        });
    };
    let record = state.record.as_ref();
    let last = record.is_none_or(|record| record.runtimes.iter().all(|other| other == name));
    if let Some(record) = record
        && last
        && record.after == current
    {
        return Ok(State {
            text: record.before.clone(),
            record: None,
        });
    }
    let text = without(state, current, name, path, last)?;
    if !last {
        let record = record.map(|record| {
            let mut record = record.clone();
            record.runtimes.remove(name);
            record.after.clone_from(&text);
            record
        });
        return Ok(State {
            text: Some(text),
            record,
        });
    }
    let emptied = Document::parse(&text)?.is_empty();
    let text = match record.map(|record| &record.before) {
        Some(before) if emptied => match before {
            None => None,
            Some(before) if Document::parse(before).is_ok_and(|before| before.is_empty()) => {
                Some(before.clone())
            }
            Some(_) => Some(text),
        },
        _ => Some(text),
    };
    Ok(State { text, record: None })
}

/// `current` without what is ours, edit by edit: others may have edited the file too.
fn without(
    state: &State,
    current: &str,
    name: &str,
    path: &str,
    last: bool,
) -> Result<String, EditError> {
    let origin = state
        .record
        .as_ref()
        .and_then(|record| record.before.as_deref())
        .unwrap_or("{}");
    let before = Document::parse(origin)?;
    let mut text = current.to_owned();
    if let Some(entry) = runtime(current, name)? {
        if !is_ours(&entry, state, name, path) {
            return Err(foreign(current, name, &entry));
        }
        text = remove(&text, &["runtimes", name], origin)?;
        if default_runtime(current)?.as_deref() == Some(name) {
            text = match before.get(&DEFAULT_RUNTIME)? {
                Some(old) if old.as_str().is_none_or(|old| is_known(&text, old)) => {
                    set(&text, &DEFAULT_RUNTIME, &old)?
                }
                _ => remove(&text, &DEFAULT_RUNTIME, origin)?,
            };
        }
    }
    let Some(record) = &state.record else {
        return Ok(text);
    };
    let old = before.get(&CDI)?;
    let ours = Document::parse(&record.after)?.get(&CDI)?;
    if last && ours != old && Document::parse(&text)?.get(&CDI)? == ours {
        text = match old {
            Some(old) => set(&text, &CDI, &old)?,
            None => remove(&text, &CDI, origin)?,
        };
    }
    if last {
        text = swarm::remove_resources(&text, record)?;
    }
    Ok(text)
}

/// The entry `runtimes.<name>`.
fn runtime(text: &str, name: &str) -> Result<Option<Value>, EditError> {
    let document = Document::parse(text)?;
    let entry = document.get(&["runtimes", name])?;
    match entry {
        Some(Value::Object(_)) | None => Ok(entry),
        Some(_) => {
            let message = format!("the runtime \"{name}\" is not an object");
            Err(document.error_at(&["runtimes", name], message))
        }
    }
}

fn default_runtime(text: &str) -> Result<Option<String>, EditError> {
    let document = Document::parse(text)?;
    match document.get(&DEFAULT_RUNTIME)? {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) => Ok(Some(name)),
        Some(_) => Err(document.error_at(&DEFAULT_RUNTIME, "\"default-runtime\" is not a string")),
    }
}

/// Whether the entry runs `path`, what we wrote there before, or our program by its bare
/// name, as AMD's manuals have it.
fn is_ours(entry: &Value, state: &State, name: &str, path: &str) -> bool {
    let recorded = state
        .record
        .as_ref()
        .filter(|record| record.runtimes.contains(name))
        .and_then(|record| runtime(&record.after, name).ok().flatten());
    let program = entry.get("path").and_then(Value::as_str);
    program.is_some_and(|program| {
        program == path
            || program == DEFAULT_PROGRAM
            || recorded.is_some_and(|recorded| recorded.get("path") == entry.get("path"))
    })
}

fn foreign(text: &str, name: &str, entry: &Value) -> EditError {
    let what = match entry.get("path").and_then(Value::as_str) {
        Some(path) => format!("runs {path}"),
        None => "has no path".to_owned(),
    };
    let message = format!("the runtime \"{name}\" is there already and {what}");
    match Document::parse(text) {
        Ok(document) => document.error_at(&["runtimes", name], message),
        Err(error) => error,
    }
    .with_hint(OTHER_NAME)
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "rules_properties.rs"]
mod properties;
