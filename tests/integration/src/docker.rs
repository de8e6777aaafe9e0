//! A docker of the tests' own, on a simulated host.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::host::SimulatedHost;
use crate::outcome::Outcome;
use crate::{require, rootfs};

/// What docker needs to be installed.
pub const PROGRAMS: [&str; 4] = ["dockerd", "docker", "containerd", "busybox"];

/// The image that there is: a busybox.
pub const IMAGE: &str = "busybox:local";

const SOCKET: &str = "unix:///run/docker.sock";
const LOG: &str = "/run/dockerd.log";
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const START_UP: Duration = Duration::from_secs(30);

/// The file with dockerd's process id, where dockerd has it by default.
pub const PID_FILE: &str = "/var/run/docker.pid";

/// A dockerd with the runtime under test as `amd`, and [`IMAGE`]. All its files are on the
/// host's tmpfs, all its cgroups below the host's, and its containerd, shims and containers
/// end with the host at the latest.
#[derive(Debug)]
pub struct Docker<'h> {
    host: &'h SimulatedHost,
    daemon: Child,
}

#[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
impl<'h> Docker<'h> {
    /// Starts it, with `runtime` as the runtime `amd`.
    ///
    /// # Panics
    /// When it does not come up or the image cannot be imported.
    #[track_caller]
    pub fn start(host: &'h SimulatedHost, runtime: &Path) -> Self {
        Self::start_with(host, Some(runtime), &[])
    }

    /// Starts it with the runtimes that the host's /etc/docker/daemon.json names.
    ///
    /// # Panics
    /// When it does not come up or the image cannot be imported.
    #[track_caller]
    pub fn start_as_configured(host: &'h SimulatedHost) -> Self {
        Self::start_with(host, None, &[])
    }

    /// As [`Self::start_as_configured`], as the only node of a swarm, in a network namespace
    /// with nothing but a loopback device.
    ///
    /// # Panics
    /// When it does not come up, the image cannot be imported or there is no swarm.
    #[track_caller]
    pub fn start_swarm(host: &'h SimulatedHost) -> Self {
        let isolate = "busybox ip link set lo up && exec \"$@\"";
        let docker = Self::start_with(host, None, &["unshare", "--net", "sh", "-c", isolate, "sh"]);
        docker
            .call(&["swarm", "init", "--advertise-addr", "127.0.0.1"])
            .ok();
        docker
    }

    #[track_caller]
    fn start_with(host: &'h SimulatedHost, runtime: Option<&Path>, within: &[&str]) -> Self {
        let docker = Self::launch(host, runtime, within).unwrap();
        // Dropped, and so stopped and its log shown, where this fails.
        docker.prepare().unwrap();
        docker
    }

    /// `within` is a command line that executes the one that follows it.
    fn launch(host: &'h SimulatedHost, runtime: Option<&Path>, within: &[&str]) -> Result<Self> {
        let log = host
            .inside(|| fs::File::create(LOG))?
            .context("cannot create dockerd.log")?;
        let program = require::find("dockerd").context("no dockerd")?;
        let mut words = within.iter().map(OsStr::new).chain([program.as_os_str()]);
        let mut dockerd = Command::new(words.next().context("no program")?);
        dockerd
            .args(words)
            .args(["--host", SOCKET, "--pidfile", PID_FILE])
            .args([
                "--data-root",
                "/run/docker-data",
                "--exec-root",
                "/run/docker-exec",
            ])
            .args(["--storage-driver", "overlay2"])
            .args([
                "--bridge=none",
                "--iptables=false",
                "--ip6tables=false",
                "--ip-masq=false",
            ])
            .args(["--exec-opt", "native.cgroupdriver=cgroupfs"])
            .args(["--cgroup-parent", host.cgroup()])
            .env("PATH", PATH)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        if let Some(runtime) = runtime {
            let runtime = [OsStr::new("amd="), runtime.as_os_str()].join(OsStr::new(""));
            dockerd.arg("--add-runtime").arg(runtime);
        }
        Ok(Self {
            host,
            daemon: host.spawn(&mut dockerd)?,
        })
    }

    fn prepare(&self) -> Result<()> {
        let deadline = Instant::now() + START_UP;
        while Outcome::of(self.host, &mut self.command(&["version"]))?.code != 0 {
            ensure!(
                Instant::now() < deadline,
                "dockerd does not answer after {START_UP:?}"
            );
            thread::sleep(Duration::from_millis(20));
        }
        self.import()
    }

    fn import(&self) -> Result<()> {
        let dir = Path::new("/run/image");
        let create = || match dir.exists() {
            // An earlier dockerd of this host has imported it, too.
            true => Ok(()),
            false => rootfs::create(dir),
        };
        self.host.inside(create)??;
        let mut tar = self.host.spawn(
            Command::new("tar")
                .arg("-C")
                .arg(dir)
                .args(["-c", "."])
                .stdout(Stdio::piped()),
        )?;
        let archive = tar.stdout.take().context("tar has no output")?;
        let import = Outcome::of(
            self.host,
            self.command(&["import", "-", IMAGE]).stdin(archive),
        )?;
        if !tar.wait()?.success() || import.code != 0 {
            bail!("cannot import the image: {import}");
        }
        Ok(())
    }

    /// The docker client with `words`.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command
            .env("DOCKER_HOST", SOCKET)
            .stdin(Stdio::null())
            .args(words);
        command
    }

    /// Runs the docker client with `words`.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub fn call(&self, words: &[&str]) -> Outcome {
        Outcome::of(self.host, &mut self.command(words)).unwrap()
    }

    /// `docker run` of [`IMAGE`] under the runtime `amd`, without a network.
    pub fn run(&self, options: &[&str], args: &[&str]) -> Outcome {
        let start = ["run", "--runtime=amd", "--network=none"];
        self.call(&[&start, options, &[IMAGE], args].concat())
    }
}

impl Drop for Docker<'_> {
    fn drop(&mut self) {
        // Its containerd dies with it; shims and containers end with the host.
        let killed = self.daemon.kill().and_then(|()| self.daemon.wait());
        if let Err(err) = killed {
            eprintln!("dockerd: {err}");
        }
        if thread::panicking()
            && let Ok(Ok(log)) = self.host.inside(|| fs::read_to_string(LOG))
        {
            eprintln!("--- dockerd's log\n{log}");
        }
    }
}
