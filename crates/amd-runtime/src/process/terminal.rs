//! The terminal of a process in a container: a pair of the container's devpts, of which the
//! engine gets the master (runc's `setupConsole`).
//!
//! libcontainer's `setup_console` opens /dev/ptmx, which is no link into the container's devpts
//! where /dev is the host's (`docker run -it -v /dev:/dev`), and refuses what it then gets. It
//! opens what is at /dev/console, too, and waits there for ever where that is a FIFO.

use std::ffi::c_void;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::ptr;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{fstat, major, minor};
use nix::sys::statfs::{FsType, fstatfs};

use super::{ProcessError, socket};
use crate::{mounts, path_fd};

/// Where the container's devpts makes terminals.
const PTMX: &str = "/dev/pts/ptmx";

/// What the message to the engine says, as runc's.
const NAME: &[u8] = b"/dev/ptmx";

/// `DEVPTS_SUPER_MAGIC`, and the inode of its ptmx (fs/devpts/inode.c).
const DEVPTS: FsType = FsType(0x1cd1);
const PTMX_INODE: u64 = 2;

/// Makes a terminal, sends its master to `socket`, and makes the other side the standard streams
/// and the controlling terminal of this process, which leads its session. `console`: what is at
/// /dev/console becomes that terminal, as for a container's init.
///
/// # Errors
/// Names the step that failed.
pub fn set_up(socket: &UnixStream, console: bool) -> Result<(), ProcessError> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |err: io::Error| {
            let errno = err.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
            ProcessError::system(what)(errno)
        }
    };
    let master = open_ptmx()?;
    let terminal = other_side(&master).map_err(failed("cannot open the terminal"))?;
    if console {
        mounts::mount_console(terminal.as_fd())
            .map_err(|err| ProcessError::Refused(crate::chain(&err)))?;
    }
    socket::send_fd(socket.as_fd(), NAME, master.as_fd())
        .map_err(ProcessError::system("cannot send the terminal"))?;
    become_streams(&terminal).map_err(failed("cannot use the terminal"))?;
    ioctl(&terminal, libc::TIOCSCTTY, ptr::null())
        .map_err(failed("cannot make the terminal the process's own"))?;
    Ok(())
}

/// A new master. What is at the path is looked at before it is opened: an image can have
/// anything there.
fn open_ptmx() -> Result<File, ProcessError> {
    let refused = |why: &dyn std::fmt::Display| {
        ProcessError::Refused(format!("cannot make a terminal: {PTMX}: {why}"))
    };
    let found = path_fd::find(PTMX, OFlag::O_NOFOLLOW);
    let found = found.map_err(|errno| refused(&io::Error::from(errno)))?;
    must_be_ptmx(&found).map_err(|why| refused(&why))?;
    let mut options = OpenOptions::new();
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NOCTTY);
    let master = options.read(true).write(true).open(PTMX);
    let master = master.map_err(|err| refused(&err))?;
    must_be_ptmx(&master).map_err(|why| refused(&why))?;
    Ok(master)
}

fn must_be_ptmx(file: &impl AsFd) -> Result<(), &'static str> {
    let unknown = |_| "it cannot be examined";
    if fstatfs(file).map_err(unknown)?.filesystem_type() != DEVPTS {
        return Err("it is not on a devpts");
    }
    let stat = fstat(file).map_err(unknown)?;
    let is_char = stat.st_mode & libc::S_IFMT == libc::S_IFCHR;
    let number = (major(stat.st_rdev), minor(stat.st_rdev));
    if is_char && number == (5, 2) && stat.st_ino == PTMX_INODE {
        Ok(())
    } else {
        Err("it is not the device that makes terminals")
    }
}

/// The terminal itself, by its master and not by a path.
fn other_side(master: &File) -> io::Result<OwnedFd> {
    let unlocked: libc::c_int = 0;
    ioctl(master, libc::TIOCSPTLCK, (&raw const unlocked).cast())?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    let fd = ioctl(
        master,
        libc::TIOCGPTPEER,
        ptr::without_provenance(flags as usize),
    )?;
    #[allow(unsafe_code)]
    // SAFETY: the kernel has just made it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn become_streams(terminal: &OwnedFd) -> io::Result<()> {
    for stream in 0..3 {
        #[allow(unsafe_code)]
        // SAFETY: takes numbers; the standard streams are nobody's who relies on their file.
        Errno::result(unsafe { libc::dup2(terminal.as_raw_fd(), stream) })?;
    }
    Ok(())
}

fn ioctl(file: &impl AsRawFd, request: libc::Ioctl, argument: *const c_void) -> io::Result<RawFd> {
    #[allow(unsafe_code)]
    // SAFETY: the callers' requests take a number, or read one int from a valid pointer.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), request, argument) };
    Ok(Errno::result(result)?)
}
