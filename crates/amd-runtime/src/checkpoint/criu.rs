//! The program criu(8), and requests over the socket of its `criu swrk` (CRIU, `images/rpc.proto`).
//!
//! rust-criu has the messages of the protocol; its client knows none of cgroups to restore into,
//! namespaces to join, configuration files and LSM profiles, and gives the child no cgroup before
//! it works. So only its messages are used.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, send, socketpair};
use protobuf::{Message, MessageField};
use rust_criu::rust_criu_protobuf::rpc::{
    Criu_features, Criu_req, Criu_req_type, Criu_resp, Criu_version,
};

use super::CheckpointError;
use crate::process::receive;

/// The oldest CRIU that knows external PID namespaces, `status-ready`, and the freezer of
/// cgroup v2, as 10000 x major + 100 x minor.
const LEAST_VERSION: u32 = 31500;

/// No answer of CRIU is longer.
const LONGEST: usize = 10 * 4096;

/// The program.
#[derive(Clone, Debug)]
pub struct Criu(PathBuf);

/// What CRIU tells while it works, and waits for the answer (criu(8), "--action-script").
#[derive(Debug)]
pub struct Notice {
    /// What it has come to, such as `post-restore`.
    pub script: String,
    /// The process that it is about: the root of the tree.
    pub pid: i32,
    /// The master of a terminal, with `orphan-pts-master`.
    pub terminal: Option<OwnedFd>,
}

/// CRIU, waiting for a request.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    socket: OwnedFd,
}

impl Criu {
    /// CRIU at `program`, or the one in PATH.
    pub fn new(program: Option<&Path>) -> Self {
        Self(program.unwrap_or(Path::new("criu")).to_owned())
    }

    /// Sees to it that CRIU can be run and is new enough.
    ///
    /// # Errors
    /// [`CheckpointError::Program`], [`CheckpointError::Version`].
    pub fn check_version(&self) -> Result<(), CheckpointError> {
        let request = Criu_req {
            type_: Some(Criu_req_type::VERSION.into()),
            ..Criu_req::new()
        };
        let response = self.ask(&request)?;
        let found = response.version.as_ref().map_or(0, number);
        if found < LEAST_VERSION {
            return Err(CheckpointError::Version {
                found,
                least: LEAST_VERSION,
            });
        }
        Ok(())
    }

    /// Sees to it that CRIU and the kernel can track changes of memory (`--pre-dump`), or restore
    /// pages when they are needed (`lazy_pages`).
    ///
    /// # Errors
    /// [`CheckpointError::Feature`].
    pub fn check_features(&self, track: bool, lazy: bool) -> Result<(), CheckpointError> {
        if !track && !lazy {
            return Ok(());
        }
        let features = Criu_features {
            mem_track: track.then_some(true),
            lazy_pages: lazy.then_some(true),
            ..Criu_features::new()
        };
        let request = Criu_req {
            type_: Some(Criu_req_type::FEATURE_CHECK.into()),
            features: MessageField::some(features),
            ..Criu_req::new()
        };
        let found = self.ask(&request)?.features;
        for (wanted, found, feature) in [
            (track, found.mem_track(), "MemTrack"),
            (lazy, found.lazy_pages(), "LazyPages"),
        ] {
            if wanted && !found {
                return Err(CheckpointError::Feature { feature });
            }
        }
        Ok(())
    }

    fn ask(&self, request: &Criu_req) -> Result<Criu_resp, CheckpointError> {
        let worker = self.start(false)?;
        let response = worker.request::<CheckpointError>(request, |_| Ok(()))?;
        match response.success() {
            true => Ok(response),
            false => Err(CheckpointError::Lost {
                why: "it does not answer questions about itself".into(),
            }),
        }
    }

    /// Starts a process of CRIU, with the standard streams of this one where `stdio` is asked for
    /// (a restored process finds its own there), and none otherwise.
    ///
    /// # Errors
    /// [`CheckpointError::Program`].
    pub fn start(&self, stdio: bool) -> Result<Worker, CheckpointError> {
        let failed = |source| CheckpointError::Program {
            program: self.0.clone(),
            source,
        };
        let (socket, theirs) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )
        .map_err(|err| failed(err.into()))?;
        inherit(&theirs).map_err(failed)?;
        let mut command = Command::new(&self.0);
        command.arg("swrk").arg(theirs.as_raw_fd().to_string());
        if !stdio {
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
        }
        // SAFETY: one system call, which is safe after fork(2).
        #[allow(unsafe_code)]
        unsafe {
            // Who waits for it may be killed.
            command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?));
        }
        let child = command.spawn().map_err(failed)?;
        Ok(Worker { child, socket })
    }
}

impl Worker {
    /// Its pid.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Has it do what is requested. `answer` hears what it tells meanwhile; where that fails, so
    /// does CRIU, which then undoes what it did. Returns its last word, which need not be success.
    ///
    /// # Errors
    /// The first of `answer`'s, or [`CheckpointError::Lost`].
    pub fn request<E: From<CheckpointError>>(
        mut self,
        request: &Criu_req,
        mut answer: impl FnMut(Notice) -> Result<(), E>,
    ) -> Result<Criu_resp, E> {
        self.send(request)?;
        let mut failed = None;
        let response = loop {
            let (response, terminal) = match self.receive() {
                Ok(received) => received,
                // It ends without a word where it was told that a step failed.
                Err(lost) => return Err(failed.unwrap_or_else(|| lost.into())),
            };
            if response.type_() != Criu_req_type::NOTIFY {
                break response;
            }
            let answered = answer(Notice {
                script: response.notify.script().to_owned(),
                pid: response.notify.pid(),
                terminal,
            });
            let reply = Criu_req {
                type_: Some(Criu_req_type::NOTIFY.into()),
                notify_success: Some(answered.is_ok()),
                ..Criu_req::new()
            };
            failed = failed.or(answered.err());
            if let Err(lost) = self.send(&reply) {
                return Err(failed.unwrap_or_else(|| lost.into()));
            }
        };
        // It waits for the next request otherwise.
        let Self { mut child, socket } = self;
        drop(socket);
        child.wait().map_err(lost)?;
        failed.map_or(Ok(response), Err)
    }

    fn send(&mut self, request: &Criu_req) -> Result<(), CheckpointError> {
        let bytes = request.write_to_bytes().map_err(lost)?;
        send(self.socket.as_raw_fd(), &bytes, MsgFlags::MSG_NOSIGNAL).map_err(lost)?;
        Ok(())
    }

    fn receive(&mut self) -> Result<(Criu_resp, Option<OwnedFd>), CheckpointError> {
        let (bytes, fd) = receive(self.socket.as_fd(), LONGEST).map_err(lost)?;
        if bytes.is_empty() {
            let _ = self.child.kill();
            let ended = self.child.wait().map_err(lost)?;
            return Err(lost(ended));
        }
        let response = Criu_resp::parse_from_bytes(&bytes).map_err(lost)?;
        Ok((response, fd))
    }
}

fn lost(why: impl std::fmt::Display) -> CheckpointError {
    CheckpointError::Lost {
        why: why.to_string(),
    }
}

/// Leaves a descriptor open for programs that are executed.
///
/// # Errors
/// As fcntl(2).
fn inherit(fd: &OwnedFd) -> io::Result<()> {
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}

fn number(version: &Criu_version) -> u32 {
    let part = |part: i32| u32::try_from(part).unwrap_or_default();
    // A build from between two releases counts as the next, as with runc.
    let minor = part(version.minor_number()) + u32::from(version.has_gitid());
    let sublevel = match version.has_gitid() {
        true => 0,
        false => part(version.sublevel()),
    };
    part(version.major_number()) * 10000 + minor * 100 + sublevel
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_that_compare() {
        let version = |major, minor, sublevel| Criu_version {
            major_number: Some(major),
            minor_number: Some(minor),
            sublevel,
            ..Criu_version::new()
        };
        assert_eq!(number(&version(3, 17, Some(1))), 31701);
        assert_eq!(number(&version(4, 2, None)), 40200);
        let between = Criu_version {
            gitid: Some("v4.2-22-g2cf8f13ca".into()),
            ..version(4, 2, Some(1))
        };
        assert_eq!(number(&between), 40300);
    }

    #[test]
    fn a_program_that_is_not_there_is_named_with_a_way_out() {
        let error = Criu::new(Some(Path::new("/no/such/criu")))
            .check_version()
            .unwrap_err();
        assert!(error.to_string().contains("/no/such/criu"), "{error}");
        assert!(error.hint().unwrap().contains("--criu"));
    }

    #[test]
    fn a_program_that_is_not_criu_is_lost() {
        let error = Criu::new(Some(Path::new("/bin/true")))
            .check_version()
            .unwrap_err();
        assert!(matches!(error, CheckpointError::Lost { .. }), "{error:?}");
    }
}
