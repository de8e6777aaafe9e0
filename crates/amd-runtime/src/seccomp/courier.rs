//! The way of a filter's descriptor out of the process that has loaded it.
//!
//! The filter can leave any call to its agent, and the process then waits for an answer that
//! nobody gives before the agent has the descriptor: sendmsg(2), too, which an agent for the
//! network asks for. runc's init therefore writes the number of the descriptor to a pipe (no
//! profile may have write(2) answered by an agent), and its parent fetches it by
//! pidfd_getfd(2). That takes the right to trace the process, which a rootless runtime lacks.
//! Here a second thread of the process, made before, hands it over: a filter binds the thread
//! that loads it.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::thread;

/// What its stack needs, and more: it counts against limits of memory.
const STACK: usize = 64 << 10;

/// A thread that waits for a descriptor.
#[derive(Debug)]
pub struct Courier {
    number: PipeWriter,
    outcome: PipeReader,
}

impl Courier {
    /// Has a new thread call `hand_over` with what it is given. It ends with that.
    ///
    /// # Errors
    /// Where there can be no thread.
    pub fn new(
        hand_over: impl FnOnce(OwnedFd) -> nix::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        let (mut read_number, number) = io::pipe()?;
        let (outcome, write_outcome) = io::pipe()?;
        thread::Builder::new().stack_size(STACK).spawn(move || {
            let mut bytes = [0; size_of::<RawFd>()];
            // Else the process has no descriptor for it.
            if read_number.read_exact(&mut bytes).is_ok() {
                #[allow(unsafe_code)]
                // SAFETY: the other thread has given it up for this one.
                let fd = unsafe { OwnedFd::from_raw_fd(RawFd::from_ne_bytes(bytes)) };
                let errno = hand_over(fd).err().map_or(0, |errno| errno as i32);
                drop(read_number);
                // The other thread closes all descriptors when it knows the outcome: none of them is
                // this one's any more then.
                let outcome = ManuallyDrop::new(write_outcome);
                // Nobody waits any more where it cannot be written.
                let _ = (&*outcome).write_all(&errno.to_ne_bytes());
            }
        })?;
        Ok(Self { number, outcome })
    }

    /// Returns when `fd` is handed over. Does nothing but write(2), read(2) and close(2).
    ///
    /// # Errors
    /// As the thread's function.
    pub fn deliver(mut self, fd: OwnedFd) -> io::Result<()> {
        self.number.write_all(&fd.into_raw_fd().to_ne_bytes())?;
        let mut bytes = [0; size_of::<i32>()];
        self.outcome.read_exact(&mut bytes)?;
        match i32::from_ne_bytes(bytes) {
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::sync::mpsc;

    use nix::errno::Errno;

    use super::*;

    #[test]
    fn a_descriptor_is_delivered_once_and_a_failure_is_told() {
        let (sender, receiver) = mpsc::channel();
        let courier = Courier::new(move |fd| {
            sender.send(fd).map_err(|_| Errno::EPIPE)?;
            Err(Errno::ECONNREFUSED)
        });
        let fd = OwnedFd::from(tempfile::tempfile().unwrap());
        let number = fd.as_raw_fd();
        let err = courier.unwrap().deliver(fd).unwrap_err();
        assert_eq!(err.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(receiver.recv().unwrap().as_raw_fd(), number);
        let courier = Courier::new(|_| Ok(())).unwrap();
        courier
            .deliver(tempfile::tempfile().unwrap().into())
            .unwrap();
    }

    #[test]
    fn a_courier_without_a_descriptor_goes() {
        let (sender, receiver) = mpsc::channel::<()>();
        drop(Courier::new(move |_| {
            drop(sender);
            Ok(())
        }));
        // The thread has dropped its function, uncalled.
        assert!(receiver.recv().is_err());
    }
}
