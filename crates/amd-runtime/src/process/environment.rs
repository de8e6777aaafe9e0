//! The environment of a process (OCI runtime spec, config.md, "Process").

use std::ffi::CString;
use std::path::Path;

use super::ProcessError;
use super::passwd::home_of;

/// The variables of `env` in their order, of two with one name the last, and `HOME`
/// where none names it or it is empty: what the container's /etc/passwd has for user
/// `uid`, or `/`. As runc does it (its `prepareEnv`).
///
/// # Errors
/// Where an entry has a NUL byte.
pub fn environment(env: &[String], uid: u32) -> Result<Vec<CString>, ProcessError> {
    let mut kept = deduplicate(env);
    if !kept.iter().any(|entry| entry.starts_with("HOME=")) {
        let home = home_of(Path::new("/etc/passwd"), uid).unwrap_or_else(|err| {
            tracing::debug!("no home directory for user {uid}: {err}");
            None
        });
        let home = home.unwrap_or_else(|| b"/".to_vec());
        let mut variables = c_strings(kept.drain(..))?;
        variables.push(c_string([b"HOME=".as_slice(), &home].concat())?);
        return Ok(variables);
    }
    c_strings(kept.into_iter())
}

fn deduplicate(env: &[String]) -> Vec<&str> {
    let name = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
    let mut seen = std::collections::HashSet::new();
    let mut kept: Vec<&str> = env
        .iter()
        .rev()
        .map(String::as_str)
        .filter(|entry| seen.insert(name(entry)) && *entry != "HOME=")
        .collect();
    kept.reverse();
    kept
}

/// The strings as execve(2) takes them.
///
/// # Errors
/// Where one has a NUL byte.
pub fn c_strings<'a>(items: impl Iterator<Item = &'a str>) -> Result<Vec<CString>, ProcessError> {
    items
        .map(|item| c_string(item.as_bytes().to_vec()))
        .collect()
}

fn c_string(bytes: Vec<u8>) -> Result<CString, ProcessError> {
    CString::new(bytes).map_err(|err| {
        let text = String::from_utf8_lossy(&err.into_vec()).into_owned();
        ProcessError::Refused(format!("{text:?} has a NUL byte"))
    })
}

/// The value of `PATH`, empty where there is none.
pub fn search_path(env: &[String]) -> &str {
    env.iter()
        .filter_map(|entry| entry.strip_prefix("PATH="))
        .next_back()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(entries: &[&str]) -> Vec<String> {
        entries.iter().map(|entry| (*entry).to_owned()).collect()
    }

    #[test]
    fn of_two_variables_with_one_name_the_last_stays_in_its_place() {
        let env = strings(&["A=1", "B=2", "A=3", "C=", "HOME="]);
        assert_eq!(deduplicate(&env), ["B=2", "A=3", "C="]);
        assert_eq!(search_path(&strings(&["PATH=/a", "PATH=/b"])), "/b");
        assert_eq!(search_path(&[]), "");
    }

    #[test]
    fn a_home_that_is_set_stays_and_one_that_is_not_comes_from_passwd() {
        let of = |env: &[&str], uid| {
            let variables = environment(&strings(env), uid).unwrap();
            variables.last().unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(of(&["A=1", "HOME=/h"], 0), "HOME=/h");
        assert_eq!(of(&["HOME=/h", "HOME="], 0), "HOME=/root");
        assert_eq!(of(&["A=1"], 0), "HOME=/root");
        assert_eq!(of(&[], 4_000_000_000), "HOME=/");
    }
}
