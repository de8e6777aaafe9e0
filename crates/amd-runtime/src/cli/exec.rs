//! `exec`

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::{Context, foreground};
use crate::process::descriptors;
use crate::process::exec::SubCgroups;
use crate::{ContainerId, ExecOptions};

/// Run one more process in a container
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Unix socket that receives the terminal's descriptor
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,
    /// Working directory in the container
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,
    /// Set an environment variable, NAME=VALUE
    #[arg(short, long)]
    env: Vec<String>,
    /// Give the process a terminal
    #[arg(short, long)]
    tty: bool,
    /// User of the process, as UID or UID:GID
    #[arg(short, long)]
    user: Option<String>,
    /// Additional group of the process
    #[arg(short = 'g', long, value_name = "GID")]
    additional_gids: Vec<u32>,
    /// File with the process as in a spec
    #[arg(short, long, value_name = "FILE")]
    process: Option<PathBuf>,
    /// Unix socket that receives a pidfd of the process
    #[arg(long, value_name = "SOCKET")]
    pidfd_socket: Option<PathBuf>,
    /// Do not wait for the process
    #[arg(short, long)]
    detach: bool,
    /// File to write the pid of the process to
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// SELinux label of the process
    #[arg(long, value_name = "LABEL")]
    process_label: Option<String>,
    /// AppArmor profile of the process
    #[arg(long, value_name = "PROFILE")]
    apparmor: Option<String>,
    /// The process cannot gain privileges
    #[arg(long)]
    no_new_privs: bool,
    /// Add a capability
    #[arg(short, long)]
    cap: Vec<String>,
    /// Number of descriptors from 3 on that the process inherits
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub preserve_fds: u16,
    /// Cgroup below the container's in which the process starts; on cgroup v1 for single
    /// controllers, too
    #[arg(long, value_name = "[CONTROLLER[,CONTROLLER...]:]PATH")]
    cgroup: Vec<String>,
    /// Execute in a paused container, too
    #[arg(long)]
    ignore_paused: bool,
    /// The container, and the program with its arguments
    #[arg(required = true, trailing_var_arg = true, value_names = ["ID", "COMMAND"])]
    id_and_command: Vec<String>,
}

impl Args {
    #[cfg(test)]
    pub fn command(&self) -> Vec<&str> {
        self.id_and_command
            .iter()
            .skip(1)
            .map(String::as_str)
            .collect()
    }

    #[cfg(test)]
    pub fn is_detached(&self) -> bool {
        self.detach
    }

    /// The descriptor from the caller that `--process` names.
    pub fn process_fd(&self) -> Option<RawFd> {
        self.process.as_deref().and_then(descriptors::named_by)
    }

    pub fn run(self, context: &Context) -> Result<ExitCode> {
        let (id, command) = self
            .id_and_command
            .split_first()
            .context("a container is needed")?;
        let id = ContainerId::new(id)?;
        let process = self.process(context, &id, command)?;
        let terminal = process["terminal"] == true;
        let absolute = |path: &Option<PathBuf>| {
            path.as_deref()
                .map(std::path::absolute)
                .transpose()
                .context("invalid path")
        };
        let options = ExecOptions {
            pid_file: absolute(&self.pid_file)?,
            console_socket: absolute(&self.console_socket)?,
            pidfd_socket: absolute(&self.pidfd_socket)?,
            preserve_fds: self.preserve_fds.into(),
            give_stdio: self.detach,
            ignore_paused: self.ignore_paused,
            join_keyring: true,
            sub_cgroups: SubCgroups::parse(&self.cgroup).map_err(anyhow::Error::msg)?,
        };
        foreground::check_console(terminal, self.detach, options.console_socket.is_some())?;
        if self.detach {
            context.runtime.exec(&id, process, &options)?;
            return Ok(ExitCode::SUCCESS);
        }
        let execute = |console_socket| {
            let options = ExecOptions {
                console_socket,
                ..options
            };
            Ok(context.runtime.exec(&id, process, &options)?)
        };
        foreground::attach(&context.root, terminal, false, execute, || Ok(()))
    }

    /// The process object: from the file, or the container's own with the options of
    /// the command line over it, as runc's `getProcess` does it.
    fn process(&self, context: &Context, id: &ContainerId, command: &[String]) -> Result<Value> {
        if let Some(path) = &self.process {
            let failed = || format!("cannot read {path:?}");
            let text = std::fs::read(path).with_context(failed)?;
            if let Some(fd) = self.process_fd() {
                descriptors::close(fd).with_context(failed)?;
            }
            return serde_json::from_slice(&text).with_context(|| format!("{path:?}"));
        }
        if command.is_empty() {
            bail!("exec args cannot be empty");
        }
        let mut process = context.runtime.process_of(id)?;
        process["args"] = json!(command);
        process["terminal"] = json!(self.tty);
        // None, and an empty one, is the container's.
        if let Some(cwd) = self.cwd.as_ref().filter(|cwd| !cwd.is_empty()) {
            process["cwd"] = json!(cwd);
        }
        if let Some(profile) = &self.apparmor {
            process["apparmorProfile"] = json!(profile);
        }
        if let Some(label) = self
            .process_label
            .as_ref()
            .filter(|label| !label.is_empty())
        {
            process["selinuxLabel"] = json!(label);
        }
        if self.no_new_privs {
            process["noNewPrivileges"] = json!(true);
        }
        extend(&mut process["env"], &self.env);
        if !self.cap.is_empty() {
            for set in ["bounding", "effective", "permitted"] {
                extend(&mut process["capabilities"][set], &self.cap);
            }
            // Nothing can be ambient that is not inheritable.
            let inheritable = process["capabilities"]["inheritable"].as_array();
            if inheritable.is_some_and(|set| !set.is_empty()) {
                extend(&mut process["capabilities"]["ambient"], &self.cap);
            }
        }
        if let Some(user) = &self.user {
            let (uid, gid) = parse_user(user)?;
            process["user"]["uid"] = json!(uid);
            if let Some(gid) = gid {
                process["user"]["gid"] = json!(gid);
            }
        }
        extend(
            &mut process["user"]["additionalGids"],
            &self.additional_gids,
        );
        Ok(process)
    }
}

/// Appends to an array, made where it is missing.
fn extend<T: Into<Value> + Clone>(array: &mut Value, items: &[T]) {
    if items.is_empty() {
        return;
    }
    let mut all = array.as_array().cloned().unwrap_or_default();
    all.extend(items.iter().cloned().map(Into::into));
    *array = Value::Array(all);
}

fn parse_user(text: &str) -> Result<(u32, Option<u32>)> {
    let id = |part: &str| {
        part.parse::<u32>()
            .with_context(|| format!("parsing {text:?} as UID[:GID]"))
    };
    match text.split_once(':') {
        Some((uid, gid)) => Ok((id(uid)?, Some(id(gid)?))),
        None => Ok((id(text)?, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_numbers_as_with_runc() {
        assert_eq!(parse_user("1000").unwrap(), (1000, None));
        assert_eq!(parse_user("1000:44").unwrap(), (1000, Some(44)));
        for text in ["", "root", "1:", ":1", "-1", "1:2:3"] {
            assert!(parse_user(text).is_err(), "{text}");
        }
    }

    #[test]
    fn options_extend_what_the_container_has() {
        let mut process = json!({"env": ["A=1"]});
        extend(&mut process["env"], &["B=2".to_owned()]);
        extend(&mut process["user"]["additionalGids"], &[44_u32]);
        assert_eq!(
            process,
            json!({"env": ["A=1", "B=2"], "user": {"additionalGids": [44]}})
        );
    }
}
