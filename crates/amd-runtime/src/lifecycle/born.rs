//! Building a container by a process that is born in its cgroup, and so are those that it forks.
//!
//! libcontainer forks from where it is called, into the cgroup that the caller is in. So it is called
//! in a child of the runtime, which ends when the container is built; its init is then a child of
//! the runtime, as it is where the runtime itself builds.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};

use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::prctl::{get_child_subreaper, set_child_subreaper, set_name, set_pdeathsig};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, getpid, getppid};

use super::build::BuildError;
use super::reap::reap_failed_build;
use crate::cgroup::birth::Birthplace;
use crate::error::{Error, Result, chain};

/// The name of that process, which goes by [`LIBCONTAINER_PROCESS`](super::reap): whoever takes back
/// a create that was killed finds it so.
const NAME: &std::ffi::CStr = c"youki:[0:BUILD]";

/// In front of the pid of an init, and of a message.
const BUILT: u8 = b'+';
const FAILED: u8 = b'-';

/// Calls `build` in a child that is born at `place`, and `meanwhile` in this process. Returns what
/// both return.
///
/// # Errors
/// Where there can be no such child.
pub fn build_at<T>(
    place: &Birthplace,
    build: impl FnOnce() -> Result<i32, BuildError>,
    meanwhile: impl FnOnce() -> T,
) -> Result<(Result<i32, BuildError>, T)> {
    let answer = memfd_create(c"built", MFdFlags::MFD_CLOEXEC).map_err(io::Error::from);
    let mut answer = File::from(answer.map_err(Error::system("memfd_create"))?);
    let own = getpid();
    let heir = Heir::begin().map_err(Error::system("prctl"))?;
    let child = match place.fork() {
        Ok(ForkResult::Parent { child }) => child,
        forked => {
            if getpid() == own {
                return Err(forked.err().map_or_else(no_child, Error::from));
            }
            let built = match forked {
                Ok(_) => as_child(own, build),
                Err(err) => Err(BuildError::new(chain(&err))),
            };
            // An answer that cannot be written is none, and so a failure.
            let _ = answer.write_all(&encode(&built));
            // SAFETY: ends the process, without what a program does at its end.
            #[allow(unsafe_code)]
            unsafe {
                libc::_exit(0)
            }
        }
    };
    // With it the descriptors that are the child's alone.
    drop(build);
    let done = meanwhile();
    let ended = wait_for(child);
    let mut bytes = Vec::new();
    let read = answer
        .rewind()
        .and_then(|()| answer.read_to_end(&mut bytes));
    let built = read.ok().and_then(|_| decode(&bytes));
    let built = built.unwrap_or_else(|| {
        // What it has forked is this process's by now.
        reap_failed_build();
        let how = match ended {
            Ok(WaitStatus::Signaled(_, signal, _)) => format!("was killed by {signal}"),
            Ok(_) => "ended without an answer".to_owned(),
            Err(errno) => format!("cannot be waited for: {errno}"),
        };
        Err(BuildError::new(format!("the process that builds it {how}")))
    });
    drop(heir);
    Ok((built, done))
}

fn no_child() -> Error {
    Error::Status("there is no process to build the container".into())
}

fn as_child(
    parent: Pid,
    build: impl FnOnce() -> Result<i32, BuildError>,
) -> Result<i32, BuildError> {
    // Without a name it would live on where a create is taken back, and without the signal build
    // what nobody waits for; neither is worth an error.
    let _ = set_name(NAME);
    let _ = set_pdeathsig(Signal::SIGKILL);
    if getppid() != parent {
        return Err(BuildError::new(
            "the process that waits for it is gone".into(),
        ));
    }
    build()
}

fn wait_for(child: Pid) -> nix::Result<WaitStatus> {
    loop {
        match waitpid(child, None) {
            Err(Errno::EINTR) => {}
            ended => return ended,
        }
    }
}

fn encode(built: &Result<i32, BuildError>) -> Vec<u8> {
    let (mark, text) = match built {
        Ok(pid) => (BUILT, pid.to_string()),
        Err(err) => (FAILED, err.to_string()),
    };
    [&[mark], text.as_bytes()].concat()
}

fn decode(bytes: &[u8]) -> Option<Result<i32, BuildError>> {
    let (mark, text) = bytes.split_first()?;
    let text = str::from_utf8(text).ok()?;
    match *mark {
        BUILT => Some(Ok(text.parse().ok()?)),
        FAILED => Some(Err(BuildError::new(text.to_owned()))),
        _ => None,
    }
}

/// While it is there, what children of this process leave behind are its children
/// (`PR_SET_CHILD_SUBREAPER`).
struct Heir {
    is_new: bool,
}

impl Heir {
    fn begin() -> io::Result<Self> {
        let is_new = !get_child_subreaper()?;
        if is_new {
            set_child_subreaper(true)?;
        }
        Ok(Self { is_new })
    }
}

impl Drop for Heir {
    fn drop(&mut self) {
        if self.is_new {
            // It was possible a moment ago.
            let _ = set_child_subreaper(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::birth::tests::own_cgroup;

    #[test]
    fn an_answer_is_read_as_it_was_written_and_half_of_one_is_none() {
        for built in [Ok(17), Err(BuildError::new("no: such\nfile".into()))] {
            let bytes = encode(&built);
            let read = decode(&bytes).unwrap();
            assert_eq!(read.as_ref().ok(), built.as_ref().ok());
            let message =
                |built: &Result<i32, BuildError>| built.as_ref().err().map(ToString::to_string);
            assert_eq!(message(&read), message(&built));
        }
        for bytes in [&b""[..], b"+", b"+x", b"?1"] {
            assert!(decode(bytes).is_none(), "{bytes:?}");
        }
    }

    /// Where this process is already; `None` without v2.
    fn here() -> Option<Birthplace> {
        Birthplace::open(&own_cgroup()?).ok()
    }

    #[test]
    #[serial_test::serial]
    fn what_a_child_returns_or_fails_with_is_returned_and_a_killed_one_is_a_failure() {
        let Some(place) = here() else {
            eprintln!("skipped: no cgroup v2");
            return;
        };
        let was = get_child_subreaper().unwrap();
        let (built, done) = build_at(&place, || Ok(17), || "done").unwrap();
        assert_eq!((built.unwrap(), done), (17, "done"));
        let fails = || Err(BuildError::new("no".into()));
        let err = build_at(&place, fails, || ()).unwrap().0.unwrap_err();
        assert_eq!(err.to_string(), "no");
        let is_killed = || {
            nix::sys::signal::raise(Signal::SIGKILL).unwrap();
            Ok(1)
        };
        let err = build_at(&place, is_killed, || ()).unwrap().0.unwrap_err();
        assert!(err.to_string().contains("SIGKILL"), "{err}");
        assert_eq!(get_child_subreaper().unwrap(), was);
    }

    #[test]
    #[serial_test::serial]
    fn where_no_child_can_be_the_cgroup_is_named() {
        let tmp = tempfile::tempdir().unwrap();
        let place = Birthplace::open(tmp.path()).unwrap();
        let err = build_at(&place, || Ok(17), || ()).unwrap().0.unwrap_err();
        let path = format!("{:?}", tmp.path());
        assert!(err.to_string().contains(&path), "{err}");
    }
}
