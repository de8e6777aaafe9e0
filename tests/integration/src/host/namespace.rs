//! A simulated host to run programs on: its own /sys, /dev, /run, /etc and processes.
//!
//! The host lives in a mount and a PID namespace. PID 1 of the latter is this package's
//! own `simulated-host --init`, see [`super::init`]: it ends when its standard input does,
//! so whatever becomes of the program that started the host, the kernel ends every process
//! in it and takes down its mounts, and init removes its cgroups.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{panic, process, thread};

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CloneFlags, setns, unshare};

use super::Host;
use super::mounts;
use crate::cgroup;

/// What is mounted at /sys/fs/cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cgroups {
    /// What the machine has: v1 hierarchies, v1 and an unified one beside them, or that one alone.
    V1,
    /// The unified hierarchy alone.
    V2,
}

/// How long init may take to end all processes and remove the cgroups.
const TEARDOWN: Duration = Duration::from_secs(10);

/// A simulated host that is up. It goes down, with all that runs on it, when dropped.
#[derive(Debug)]
pub struct SimulatedHost {
    init: Child,
    mounts: File,
    pids: File,
    cgroup: String,
}

impl SimulatedHost {
    /// Starts a host with the hardware of `host`.
    ///
    /// # Errors
    /// Where this process is not root in its user namespace, where a mount is refused, or
    /// where the program `simulated-host` is not beside this one.
    pub fn start(host: &Host, cgroups: Cgroups) -> Result<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let serial = STARTED.fetch_add(1, Ordering::Relaxed);
        let cgroup = format!("/simulated-host-{}-{serial}", process::id());

        // A thread can be in a mount namespace of its own, and its children in a PID
        // namespace: no fork, and the rest of this process stays where it is.
        let mut init = on_thread(|| {
            unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID)
                .context("cannot enter new mount and PID namespaces: is this root?")?;
            mounts::set_up(host, cgroups)?;
            Command::new(init_program()?)
                .args(["--init", &cgroup])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .context("cannot start simulated-host --init")
        })?;
        let mut word = String::new();
        if let Some(stdout) = init.stdout.as_mut() {
            stdout
                .read_to_string(&mut word)
                .context("cannot hear from init")?;
        }
        ensure!(
            word == READY,
            "init of the simulated host did not come up: {}",
            init.wait()?
        );
        let namespace = |kind: &str| {
            let path = format!("/proc/{}/ns/{kind}", init.id());
            File::open(&path).with_context(|| format!("cannot open {path}"))
        };
        Ok(Self {
            mounts: namespace("mnt")?,
            pids: namespace("pid")?,
            init,
            cgroup,
        })
    }

    /// Does `work` on a thread that is in the host: paths are the host's. Its children are
    /// in the host's PID namespace; the thread itself is not, so it has no /proc/self.
    ///
    /// # Errors
    /// Where the host cannot be entered.
    ///
    /// # Panics
    /// When `work` does.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        on_thread(|| {
            unshare(CloneFlags::CLONE_FS).context("cannot leave the process's root")?;
            setns(&self.pids, CloneFlags::CLONE_NEWPID).context("cannot enter PID namespace")?;
            setns(&self.mounts, CloneFlags::CLONE_NEWNS).context("cannot enter mounts")?;
            Ok(work())
        })
    }

    /// Starts a program on the host, in `/` unless the command names a directory.
    ///
    /// # Errors
    /// Where the program cannot be started.
    pub fn spawn(&self, command: &mut Command) -> Result<Child> {
        // Cargo's, for tests: the loader would search folders that no host has, as many as the
        // target folder happens to hold.
        command.env_remove("LD_LIBRARY_PATH");
        self.inside(|| command.spawn())?
            .with_context(|| format!("cannot run {}", command.get_program().display()))
    }

    /// The cgroup, as a path below the root of each hierarchy, that is removed with the
    /// host. What runs on the host puts its cgroups below it.
    pub fn cgroup(&self) -> &str {
        &self.cgroup
    }

    /// The cgroups there are below [`Self::cgroup`], in every hierarchy, deepest first.
    ///
    /// # Errors
    /// Where a hierarchy cannot be read.
    pub fn cgroups(&self) -> Result<Vec<PathBuf>> {
        self.inside(|| cgroup::below(&self.cgroup))?
    }

    /// As [`Self::processes`], once there are none, or else after two seconds: what a killed
    /// command has forked needs a moment to end.
    ///
    /// # Errors
    /// Where /proc cannot be read.
    pub fn processes_that_stay(&self) -> Result<Vec<String>> {
        let deadline = Instant::now() + Duration::from_secs(2);
        loop {
            let processes = self.processes()?;
            if processes.is_empty() || Instant::now() > deadline {
                return Ok(processes);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The command lines of all processes on the host but its init. Those that have ended
    /// and wait for init to reap them are none.
    ///
    /// # Errors
    /// Where /proc cannot be read.
    pub fn processes(&self) -> Result<Vec<String>> {
        self.inside(|| {
            let mut all = Vec::new();
            for entry in std::fs::read_dir("/proc")? {
                let entry = entry?;
                let pid = entry.file_name().to_string_lossy().parse::<u32>();
                if pid.is_ok_and(|pid| pid != 1) {
                    all.extend(command_line(&entry.path()));
                }
            }
            Ok(all)
        })?
    }

    fn stop(&mut self) -> Result<()> {
        drop(self.init.stdin.take());
        let deadline = Instant::now() + TEARDOWN;
        while Instant::now() < deadline {
            if let Some(status) = self.init.try_wait()? {
                ensure!(status.success(), "init left something behind: {status}");
                return Ok(());
            }
            thread::sleep(Duration::from_millis(2));
        }
        self.init.kill()?;
        bail!("init of the simulated host took more than {TEARDOWN:?} to end")
    }
}

impl Drop for SimulatedHost {
    fn drop(&mut self) {
        if let Err(err) = self.stop() {
            eprintln!("simulated host: {err:#}");
        }
    }
}

/// What init prints once /proc is the new namespace's.
pub(super) const READY: &str = "ready\n";

fn on_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => panic::resume_unwind(panic),
    })
}

/// `None` for a process that has gone, or is a zombie and has no command line.
fn command_line(proc: &Path) -> Option<String> {
    let line = std::fs::read_to_string(proc.join("cmdline")).ok()?;
    (!line.is_empty()).then(|| line.replace('\0', " ").trim_end().to_owned())
}

/// This program where it is `simulated-host` itself; for a test, which cargo puts into the
/// directory `deps`, the one above.
fn init_program() -> Result<PathBuf> {
    const NAME: &str = "simulated-host";
    let own = std::env::current_exe().context("cannot find this program")?;
    if own.file_name().is_some_and(|name| name == NAME) {
        return Ok(own);
    }
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join(NAME))
        .find(|path| path.is_file())
        .with_context(|| format!("{NAME} is not built: cargo build -p integration"))
}
