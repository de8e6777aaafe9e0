//! The last steps of a process inside its container, in runc's order.
//!
//! [`Plan::settle`] makes the process what its spec says, but for its program; then the
//! container may be `created`, and wait. [`Settled::launch`] loads the filter and starts
//! the program. Nothing that the image holds has run by then.

use std::cell::RefCell;
use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use nix::unistd::execve;

use super::capabilities::SYS_ADMIN;
use super::environment::{c_strings, environment, search_path};
use super::lookup::resolve;
use super::plan::Plan;
use super::signals::default_signals;
use super::{ProcessError, attributes, cwd, descriptors, rlimits, selinux, socket, stdio, user};
use crate::seccomp::{self, Courier, SeccompError};

/// The message with which the descriptor of a filter comes.
pub const FILTER: &[u8] = b"f";

/// A process that has everything but its filter and its program.
#[derive(Clone, Debug)]
pub struct Settled {
    file: CString,
    args: Vec<CString>,
    env: Vec<CString>,
    /// What is permitted for as long as the filter is not loaded.
    also: u64,
    /// Who takes the filter's descriptor to the runtime, for its agent.
    courier: Rc<RefCell<Option<Courier>>>,
}

impl Plan {
    /// Makes this process what its spec says: scheduling, working directory, user, groups
    /// and capabilities. It is root in the container's namespaces when this begins, and
    /// the user of the spec when it ends. For a filter with an agent there is a second thread then,
    /// which sends the filter's descriptor to `runtime`.
    ///
    /// # Errors
    /// Names the step that failed.
    pub fn settle(&self, runtime: Option<BorrowedFd<'_>>) -> Result<Settled, ProcessError> {
        // Before there are limits that have no room for it.
        let courier = self.courier_to(runtime)?;
        self.resize_terminal()?;
        self.scheduling.apply()?;
        if let Some(domain) = self.personality {
            attributes::set_personality(domain)?;
        }
        // Before its user is another's, whom the files of this process would not be.
        if let Some(label) = &self.selinux {
            selinux::label_next_program(label)?;
        }
        let changed = cwd::try_change(&self.cwd)?;
        // Before the user's rights are the only ones: the file need not be his.
        let env = environment(&self.env, self.user.uid())?;
        self.capabilities.limit_bounding()?;
        stdio::give(self.streams, self.user.uid())?;
        rlimits::set_own_limits(&self.rlimits)?;
        user::become_user(&self.user, self.groups)?;
        // Without no_new_privs only CAP_SYS_ADMIN may load a filter.
        let also = match &self.filter {
            Some(_) if !self.no_new_privileges => SYS_ADMIN,
            _ => 0,
        };
        if !changed {
            cwd::change(&self.cwd)?;
        }
        cwd::verify()?;
        self.capabilities.apply(also)?;
        if self.no_new_privileges {
            set_no_new_privileges()?;
        }
        let name = self.args.first().map_or("", String::as_str);
        let file = resolve(name, search_path(&self.env))?;
        let bytes = file.as_os_str().as_bytes();
        let Ok(file) = CString::new(bytes) else {
            return Err(ProcessError::Refused(format!("{file:?} has a NUL byte")));
        };
        let args = c_strings(self.args.iter().map(String::as_str))?;
        // Not later: the filter may not allow it.
        default_signals();
        Ok(Settled {
            file,
            args,
            env,
            also,
            courier: Rc::new(RefCell::new(courier)),
        })
    }

    fn courier_to(&self, runtime: Option<BorrowedFd<'_>>) -> Result<Option<Courier>, ProcessError> {
        let has_agent = self
            .filter
            .as_ref()
            .is_some_and(|filter| filter.listener.is_some());
        let Some(runtime) = runtime.filter(|_| has_agent) else {
            return Ok(None);
        };
        let courier = || {
            let runtime = runtime.try_clone_to_owned()?;
            Courier::new(move |filter| socket::send_fd(runtime.as_fd(), FILTER, filter.as_fd()))
        };
        let courier = courier().map_err(SeccompError::io(
            "cannot make a thread for the filter's descriptor",
        ))?;
        Ok(Some(courier))
    }

    fn resize_terminal(&self) -> Result<(), ProcessError> {
        let Some((rows, columns)) = self.console_size.filter(|_| self.terminal) else {
            return Ok(());
        };
        crate::console::set_window_size(std::io::stdin().as_fd(), rows, columns)
            .map_err(|err| ProcessError::Refused(crate::chain(&err)))
    }
}

impl Settled {
    /// The environment of the program.
    pub fn env(&self) -> &[CString] {
        &self.env
    }

    /// Sets the limits that come last, and loads the filter of `plan`. The descriptor for its
    /// agent, where it has one, is sent to the runtime, with [`FILTER`]. From here on every system
    /// call of this process is one that the container's profile must allow: capset(2) drops what
    /// the load needed, and for an agent there are read(2), write(2) and close(2).
    ///
    /// # Errors
    /// Where the kernel refuses a limit or the filter.
    pub fn load_filter(&self, plan: &Plan) -> Result<(), ProcessError> {
        // The filter may not allow it.
        rlimits::set_last_limits(&plan.rlimits)?;
        let Some(filter) = &plan.filter else {
            return Ok(());
        };
        if self.also != 0 {
            plan.capabilities.raise(self.also)?;
        }
        let listener = seccomp::load(filter)
            .map_err(SeccompError::io("error loading seccomp filter into kernel"))?;
        if let (Some(courier), Some(listener)) = (self.courier.take(), listener) {
            courier
                .deliver(listener)
                .map_err(SeccompError::io("cannot hand over the seccomp filter"))?;
        }
        plan.capabilities.settle(self.also)
    }

    /// Starts the program. Of the open descriptors it inherits the standard streams and
    /// those that `plan` preserves; `link` stays open until it starts.
    ///
    /// # Errors
    /// Where the kernel refuses to execute it.
    pub fn launch(
        &self,
        plan: &Plan,
        link: Option<BorrowedFd<'_>>,
    ) -> Result<Infallible, ProcessError> {
        descriptors::keep_only(plan.preserved, link);
        execve(&self.file, &self.args, &self.env).map_err(ProcessError::system(format!(
            "exec {}",
            self.file.to_string_lossy()
        )))
    }
}

fn set_no_new_privileges() -> Result<(), ProcessError> {
    nix::sys::prctl::set_no_new_privs().map_err(ProcessError::system("cannot set no_new_privs"))
}
