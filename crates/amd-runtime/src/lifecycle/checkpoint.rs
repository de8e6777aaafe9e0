//! `checkpoint`: the processes of a container to files, by CRIU.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use protobuf::MessageField;
use rust_criu::rust_criu_protobuf::rpc::{Criu_opts, Criu_req, Criu_req_type, Criu_resp};

use super::delete::remove;
use super::specs::read_spec;
use super::status::Status;
use super::{ContainerId, Runtime};
use crate::checkpoint::{
    CheckpointError, CheckpointOptions, Criu, CriuOptions, Notice, log, outside,
};
use crate::error::{Error, Result};
use crate::mounts::external::external;
use crate::process::typed_spec;
use crate::state::ProcessRef;

const LOG: &str = "dump.log";

impl Runtime {
    /// Writes the processes of a container that runs or is paused to the directory of the images.
    /// It is then killed and deleted, unless it is to go on.
    ///
    /// # Errors
    /// Where CRIU is not there, or does not do it: the container goes on.
    pub fn checkpoint(&self, id: &ContainerId, options: &CheckpointOptions) -> Result<()> {
        self.refuse_rootless()?;
        let (dir, record, lock) = self.load_locked(id)?;
        let init = match (Status::of(&record), record.init) {
            (Status::Running | Status::Paused, Some(init)) => init,
            // runc's words.
            (status, _) => {
                return Err(Error::Status(format!(
                    "Container cannot be checkpointed in {status} state"
                )));
            }
        };
        let mut status = options.status_fd.map(StatusFd::new).transpose()?;
        let criu = Criu::new(options.criu.program.as_deref());
        criu.check_version()?;
        criu.check_features(options.pre_dump, options.criu.lazy_pages)?;
        let mut spec = read_spec(&dir)?;
        let mut opts = options.criu.told(LOG, &spec["annotations"]);
        let _dirs = open_dirs(&mut opts, &options.criu)?;
        if let Some(parent) = &options.parent_path {
            check_parent(&options.criu.image_path, parent)?;
        }
        options.tell(&mut opts);
        opts.pid = Some(init.pid);
        opts.root = Some(record.rootfs.to_string_lossy().into_owned());
        opts.freeze_cgroup = freezer_of(&record.cgroup_dirs);
        outside::name_namespaces(&mut opts, &spec).map_err(io_error("cannot find"))?;
        let kind = match options.pre_dump {
            true => Criu_req_type::PRE_DUMP,
            false => Criu_req_type::DUMP,
        };
        if !options.pre_dump {
            let typed = typed_spec(&mut spec)?;
            let external = external(&typed, &record.rootfs, &record.bundle)?;
            let root = PathBuf::from(format!("/proc/{}/root", init.pid));
            outside::name_mounts(&mut opts, &spec, &external, &root);
            let streams = outside::streams_of(init.pid);
            outside::keep_streams(&options.criu.image_path, &streams)
                .map_err(io_error("cannot write"))?;
        }
        // CRIU can hang, or wait for whoever fetches pages.
        if let Some(own) = ProcessRef::own() {
            lock.sign(own)
                .map_err(Error::system("cannot sign the lock"))?;
        }
        let answer = |notice: Notice| -> Result<()> {
            tracing::debug!(script = notice.script, "criu");
            if notice.script == "status-ready"
                && let Some(status) = status.take()
            {
                status.say_ready()?;
            }
            Ok(())
        };
        let response = criu.start(false)?.request(&request(kind, opts), answer)?;
        succeeded(&response, &options.criu, LOG)?;
        if options.pre_dump || options.leave_running {
            return Ok(());
        }
        remove(&dir, &record)
    }

    /// CRIU needs the rights of the host's root, and could not be told what a rootless container
    /// does without.
    pub(super) fn refuse_rootless(&self) -> Result<(), CheckpointError> {
        match self.rootless.tolerates_missing_rules() {
            true => Err(CheckpointError::Usage(
                "a rootless container can be neither checkpointed nor restored".into(),
            )),
            false => Ok(()),
        }
    }
}

/// A request of CRIU.
pub(super) fn request(kind: Criu_req_type, opts: Criu_opts) -> Criu_req {
    Criu_req {
        type_: Some(kind.into()),
        opts: MessageField::some(opts),
        ..Criu_req::new()
    }
}

/// What CRIU's last word means.
pub(super) fn succeeded(
    response: &Criu_resp,
    options: &CriuOptions,
    log_name: &str,
) -> Result<(), CheckpointError> {
    if response.success() {
        return Ok(());
    }
    let log = options.log_dir().join(log_name);
    Err(CheckpointError::Failed {
        what: format!("{:?}", response.type_()),
        errno: response.cr_errno(),
        lines: log::errors_of(&log),
        log,
    })
}

/// Opens the directories that CRIU works in, and makes those that are missing. They stay open
/// for as long as what is returned.
pub(super) fn open_dirs(opts: &mut Criu_opts, options: &CriuOptions) -> Result<Vec<File>> {
    let mut dirs = Vec::new();
    let mut open = |path: &Path| -> Result<i32> {
        let open = || {
            match DirBuilder::new().mode(0o700).create(path) {
                Err(err) if err.kind() != io::ErrorKind::AlreadyExists => return Err(err),
                _ => {}
            }
            // Not closed by execve(2).
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
            Ok(nix::fcntl::open(
                path,
                flags,
                nix::sys::stat::Mode::empty(),
            )?)
        };
        let dir = open().map_err(|err| io_error("cannot use the directory")((path.into(), err)))?;
        let number = dir.as_raw_fd();
        dirs.push(File::from(dir));
        Ok(number)
    };
    opts.images_dir_fd = Some(open(&options.image_path)?);
    if let Some(path) = &options.work_path {
        opts.work_dir_fd = Some(open(path)?);
    }
    Ok(dirs)
}

/// An error of a file that is named with its cause.
pub(super) fn io_error(what: &'static str) -> impl FnOnce((PathBuf, io::Error)) -> Error {
    move |(path, source)| Error::Io { what, path, source }
}

/// runc's check, in its words.
fn check_parent(images: &Path, parent: &Path) -> Result<()> {
    if parent.is_absolute() {
        return Err(Error::Usage("--parent-path must be relative".into()));
    }
    let dir = images.join(parent);
    let found = fs::metadata(&dir).and_then(|found| match found.is_dir() {
        true => Ok(()),
        false => Err(io::ErrorKind::NotADirectory.into()),
    });
    found.map_err(|err| io_error("invalid --parent-path:")((dir, err)))
}

/// The directory of the cgroup by which it is frozen.
fn freezer_of(dirs: &[PathBuf]) -> Option<String> {
    let freezes = |dir: &&PathBuf| {
        ["freezer.state", "cgroup.freeze"]
            .iter()
            .any(|file| dir.join(file).exists())
    };
    let dir = dirs.iter().find(freezes)?;
    Some(dir.to_string_lossy().into_owned())
}

/// The descriptor of `--status-fd`.
struct StatusFd(File);

impl StatusFd {
    fn new(number: i32) -> Result<Self> {
        // runc's words.
        let invalid = |why: &dyn std::fmt::Display| {
            Error::Usage(format!("invalid --status-fd argument {number}: {why}"))
        };
        if number < 0 {
            return Err(invalid(&"it is no descriptor"));
        }
        // SAFETY: whether it is open is found out next, and who named it gave it away.
        #[allow(unsafe_code)]
        let fd = std::mem::ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(number) });
        let flags = fcntl(&*fd, FcntlArg::F_GETFL).map_err(|err| invalid(&err))?;
        if flags & (libc::O_WRONLY | libc::O_RDWR) == 0 {
            return Err(invalid(&"not writable"));
        }
        Ok(Self(std::mem::ManuallyDrop::into_inner(fd).into()))
    }

    fn say_ready(mut self) -> Result<()> {
        self.0
            .write_all(&[0])
            .map_err(Error::system("cannot write to --status-fd"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_of_a_dump_is_a_directory_relative_to_its_images() {
        let tmp = tempfile::tempdir().unwrap();
        fs::create_dir(tmp.path().join("images")).unwrap();
        fs::create_dir(tmp.path().join("first")).unwrap();
        fs::write(tmp.path().join("file"), "").unwrap();
        let images = tmp.path().join("images");
        check_parent(&images, Path::new("../first")).unwrap();
        for parent in [tmp.path().join("first"), "../file".into(), "../none".into()] {
            let error = check_parent(&images, &parent).unwrap_err().to_string();
            assert!(error.contains("--parent-path"), "{error}");
        }
    }

    #[test]
    fn a_status_descriptor_is_open_for_writing() {
        for (number, why) in [(-2, "no descriptor"), (1000, "EBADF")] {
            let error = StatusFd::new(number).err().unwrap().to_string();
            assert!(error.contains(why), "{error}");
        }
        let null = File::open("/dev/null").unwrap();
        let error = StatusFd::new(null.as_raw_fd()).err().unwrap().to_string();
        assert!(error.ends_with("not writable"), "{error}");
        assert!(
            fcntl(&null, FcntlArg::F_GETFD).is_ok(),
            "closed with the error"
        );
    }

    #[test]
    fn the_freezer_is_the_directory_that_can_freeze() {
        let tmp = tempfile::tempdir().unwrap();
        let dirs = ["cpu", "freezer"].map(|name| tmp.path().join(name));
        dirs.iter().for_each(|dir| fs::create_dir(dir).unwrap());
        assert_eq!(freezer_of(&dirs), None);
        fs::write(dirs[1].join("freezer.state"), "").unwrap();
        assert_eq!(freezer_of(&dirs).as_deref(), dirs[1].to_str());
    }
}
