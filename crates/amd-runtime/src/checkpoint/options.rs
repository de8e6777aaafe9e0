//! What a caller can ask CRIU for, and how CRIU is told (runc's `criu_linux.go`).

use std::path::{Path, PathBuf};
use std::str::FromStr;

use rust_criu::rust_criu_protobuf::rpc::{Criu_cg_mode, Criu_opts, Criu_page_server_info};
use serde_json::Value;

use super::CheckpointError;

/// Where CRIU writes what it does: the most that is of use in a log that is kept.
const LOG_LEVEL: i32 = 4;

/// A configuration of CRIU's for all containers. Its name is runc's: engines tell their users to
/// put options there that they have no flag for.
const CONFIG_FILE: &str = "/etc/criu/runc.conf";
/// The annotation that names another one, or with an empty value none.
const CONFIG_ANNOTATION: &str = "org.criu.config";

/// What both commands have in common.
#[derive(Clone, Debug, Default)]
pub struct CriuOptions {
    /// The program, where it is not the `criu` in PATH.
    pub program: Option<PathBuf>,
    /// Directory of the images.
    pub image_path: PathBuf,
    /// Directory of logs and work files; that of the images where it is not given.
    pub work_path: Option<PathBuf>,
    /// Whether open TCP connections are allowed.
    pub tcp_established: bool,
    /// Whether connections to sockets outside of the container are allowed.
    pub ext_unix_sk: bool,
    /// Whether a process may be in the session of its caller.
    pub shell_job: bool,
    /// Whether memory is restored when it is needed.
    pub lazy_pages: bool,
    /// Whether file locks are allowed.
    pub file_locks: bool,
    /// What is done about the cgroups that the container has made.
    pub cgroups_mode: CgroupsMode,
    /// Whether memory that a later image has is removed from an earlier one.
    pub auto_dedup: bool,
}

/// What `checkpoint` can be asked for beside.
#[derive(Clone, Debug, Default)]
pub struct CheckpointOptions {
    /// What both commands know.
    pub criu: CriuOptions,
    /// Whether the container goes on.
    pub leave_running: bool,
    /// Whether TCP connections that are being made are left out.
    pub tcp_skip_in_flight: bool,
    /// Whether files that are open and have no name are given one.
    pub link_remap: bool,
    /// Descriptor that gets a zero byte once memory can be asked for.
    pub status_fd: Option<i32>,
    /// Where memory is sent to, rather than written to a file.
    pub page_server: Option<PageServer>,
    /// Whether memory alone is dumped and the container goes on.
    pub pre_dump: bool,
    /// Images that these build on, relative to the directory of the images.
    pub parent_path: Option<PathBuf>,
}

/// What `restore` can be asked for beside.
#[derive(Clone, Debug, Default)]
pub struct RestoreOptions {
    /// What both commands know.
    pub criu: CriuOptions,
    /// File that gets the pid of the container's init.
    pub pid_file: Option<PathBuf>,
    /// Socket to which the terminal is sent; for a container with one only.
    pub console_socket: Option<PathBuf>,
    /// AppArmor profile or SELinux label in place of that in the images, as `TYPE:NAME`.
    pub lsm_profile: Option<String>,
    /// SELinux context of mounts in place of that in the images.
    pub lsm_mount_context: Option<String>,
}

/// Where memory is sent to: a name or an address, and a port. CRIU resolves names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageServer {
    host: String,
    port: u16,
}

impl FromStr for PageServer {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        // runc's words.
        let wrong = || {
            CheckpointError::Usage(format!(
                "Use --page-server ADDRESS:PORT to specify page server, not {text:?}"
            ))
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        // An address of IPv6 has colons of its own, and so stands in brackets.
        let bracketed = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = match bracketed {
            Some(host) => host,
            None if host.contains([':', '[', ']']) => return Err(wrong()),
            None => host,
        };
        match port.parse() {
            Ok(port) if port != 0 && !host.is_empty() => Ok(Self {
                host: host.to_owned(),
                port,
            }),
            _ => Err(wrong()),
        }
    }
}

/// What is done about cgroups that the container has made below its own (criu(8),
/// "--manage-cgroups").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CgroupsMode {
    /// They are neither dumped nor restored.
    Ignore,
    /// Their properties are restored where they are made anew.
    #[default]
    Soft,
    /// Their properties are restored.
    Full,
    /// They must be made anew.
    Strict,
}

impl CgroupsMode {
    /// As CRIU's protocol has it.
    pub fn told(self) -> Criu_cg_mode {
        match self {
            Self::Ignore => Criu_cg_mode::IGNORE,
            Self::Soft => Criu_cg_mode::SOFT,
            Self::Full => Criu_cg_mode::FULL,
            Self::Strict => Criu_cg_mode::STRICT,
        }
    }
}

impl CriuOptions {
    /// The directory that CRIU logs to.
    pub fn log_dir(&self) -> &Path {
        self.work_path.as_deref().unwrap_or(&self.image_path)
    }

    /// What CRIU is told for both commands. Directories are given to it open, by number.
    pub fn told(&self, log: &str, annotations: &Value) -> Criu_opts {
        Criu_opts {
            log_level: Some(LOG_LEVEL),
            log_file: Some(log.to_owned()),
            // Older than the mode, which overrides it, and needed with it.
            manage_cgroups: Some(true),
            manage_cgroups_mode: Some(self.cgroups_mode.told().into()),
            notify_scripts: Some(true),
            orphan_pts_master: Some(true),
            // What is in a network namespace is the engine's.
            empty_ns: Some(libc::CLONE_NEWNET.cast_unsigned()),
            tcp_established: Some(self.tcp_established),
            ext_unix_sk: Some(self.ext_unix_sk),
            shell_job: Some(self.shell_job),
            lazy_pages: Some(self.lazy_pages),
            file_locks: Some(self.file_locks),
            auto_dedup: Some(self.auto_dedup),
            config_file: config_file(annotations),
            ..Criu_opts::new()
        }
    }
}

impl CheckpointOptions {
    /// Adds what is of `checkpoint` alone.
    pub fn tell(&self, opts: &mut Criu_opts) {
        opts.leave_running = Some(self.leave_running);
        opts.tcp_skip_in_flight = Some(self.tcp_skip_in_flight);
        opts.link_remap = Some(self.link_remap);
        if let Some(PageServer { host, port }) = &self.page_server {
            let server = Criu_page_server_info {
                address: Some(host.clone()),
                port: Some((*port).into()),
                ..Criu_page_server_info::new()
            };
            opts.ps = Some(server).into();
        }
        if let Some(parent) = &self.parent_path {
            opts.parent_img = Some(parent.to_string_lossy().into_owned());
        }
        if self.pre_dump || self.parent_path.is_some() {
            opts.track_mem = Some(true);
        }
    }
}

fn config_file(annotations: &Value) -> Option<String> {
    match annotations.get(CONFIG_ANNOTATION).and_then(Value::as_str) {
        None => Some(CONFIG_FILE.to_owned()),
        Some("") => None,
        Some(path) => Some(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_annotation_names_the_configuration_of_criu_or_none() {
        assert_eq!(config_file(&Value::Null).as_deref(), Some(CONFIG_FILE));
        let named = |path: &str| config_file(&json!({CONFIG_ANNOTATION: path}));
        assert_eq!(named("/etc/mine.conf").as_deref(), Some("/etc/mine.conf"));
        assert_eq!(named(""), None);
    }

    #[test]
    fn a_page_server_is_a_name_or_an_address_and_a_port() {
        for (text, host, port) in [
            ("127.0.0.1:27277", "127.0.0.1", 27277),
            ("[::1]:80", "::1", 80),
            ("node-7.cluster:80", "node-7.cluster", 80),
        ] {
            let server = text.parse::<PageServer>().unwrap();
            assert_eq!((server.host.as_str(), server.port), (host, port));
        }
        for text in [
            "",
            "127.0.0.1",
            ":80",
            "[]:80",
            "::1:80",
            "127.0.0.1:",
            "127.0.0.1:99999",
        ] {
            let error = text.parse::<PageServer>().unwrap_err().to_string();
            assert!(error.starts_with("Use --page-server"), "{error}");
        }
    }

    #[test]
    fn a_dump_that_builds_on_another_tracks_memory() {
        let told = |options: &CheckpointOptions| {
            let mut opts = options.criu.told("dump.log", &Value::Null);
            options.tell(&mut opts);
            (opts.track_mem(), opts.parent_img().to_owned())
        };
        let plain = CheckpointOptions::default();
        assert_eq!(told(&plain), (false, String::new()));
        let parent_path = Some("../parent".into());
        let second = CheckpointOptions {
            parent_path,
            ..plain.clone()
        };
        assert_eq!(told(&second), (true, "../parent".into()));
        let pre_dump = CheckpointOptions {
            pre_dump: true,
            ..plain
        };
        assert!(told(&pre_dump).0);
    }
}
