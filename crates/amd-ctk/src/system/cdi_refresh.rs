//! Units of systemd and a udev rule that have the CDI spec follow the GPUs.
//!
//! `amd-cdi-refresh.service` writes the spec, at boot and whenever
//! `amd-cdi-refresh.timer` elapses. The timer is started anew by the udev rule for every
//! render node that comes or goes, and by `amd-cdi-refresh-soon.service`, which
//! `amd-cdi-refresh@<PCI address>.path` runs when a partition mode changes. The rule starts
//! those path units, too.

use std::path::{Path, PathBuf};

use discovery::HostRoot;

use super::{Daemon, Setup, SetupError, SetupFile, SetupLink, Step};

const SERVICE: &str = "amd-cdi-refresh.service";

const ENABLED: SetupLink = SetupLink {
    unit: SERVICE,
    wanted_by: "multi-user.target",
};

/// Where packages have the program, and the units name it.
const PACKAGED_PROGRAM: &str = "/usr/bin/amd-ctk";

/// Where the service takes options of `amd-ctk cdi generate` from.
pub const OPTIONS: &str = "/etc/default/amd-cdi-refresh";

const UNITS: [(&str, &str); 4] = [
    (SERVICE, include_str!("units/amd-cdi-refresh.service")),
    (
        "amd-cdi-refresh-soon.service",
        include_str!("units/amd-cdi-refresh-soon.service"),
    ),
    (
        "amd-cdi-refresh.timer",
        include_str!("units/amd-cdi-refresh.timer"),
    ),
    (
        "amd-cdi-refresh@.path",
        include_str!("units/amd-cdi-refresh@.path"),
    ),
];

/// The units and the rule, for the program at `program`.
///
/// # Errors
/// Where the path cannot stand in a unit.
pub fn setup(program: &Path) -> Result<Setup, SetupError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+');
    let path = program
        .to_str()
        .filter(|path| program.is_absolute() && path.chars().all(plain))
        .ok_or_else(|| SetupError::Program(program.to_owned()))?;
    let units = UNITS.map(|(name, text)| SetupFile {
        dir: "systemd/system",
        name,
        body: text.replace(PACKAGED_PROGRAM, path),
    });
    let rule = SetupFile {
        dir: "udev/rules.d",
        name: "90-amd-cdi-refresh.rules",
        body: include_str!("units/90-amd-cdi-refresh.rules").to_owned(),
    };
    Ok(Setup {
        command: "cdi-refresh",
        files: units.into_iter().chain([rule]).collect(),
        links: vec![ENABLED],
        daemons: &[Daemon::Systemd, Daemon::Udev],
        installed: vec![
            Step::new(&["systemctl", "daemon-reload"]),
            Step::new(&["udevadm", "control", "--reload"]),
            // The rule starts the path units.
            Step::new(&["udevadm", "trigger", "--subsystem-match=drm"]),
            Step::new(&["systemctl", "start", "amd-cdi-refresh.service"]),
        ],
        removed: vec![
            Step::new(&["systemctl", "stop", "amd-cdi-refresh*"]),
            Step::new(&["systemctl", "daemon-reload"]),
            Step::new(&["udevadm", "control", "--reload"]),
        ],
    })
}

/// The link by which the service is enabled.
pub fn enabled_by() -> String {
    ENABLED.path()
}

/// Where amd-ctk is on the host: this program, or where programs are on another host.
pub fn program(host: &HostRoot) -> PathBuf {
    let own = std::env::current_exe().ok();
    if host.path() == Path::new("/")
        && let Some(own) = own.filter(|own| own.exists())
    {
        return own;
    }
    let places = [PACKAGED_PROGRAM, "/usr/local/bin/amd-ctk"];
    let there = |place: &&str| host.resolve(place).is_ok_and(|path| path.is_file());
    PathBuf::from(places.into_iter().find(there).unwrap_or(PACKAGED_PROGRAM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_runs_the_program_by_its_path() {
        let service = |program: &str| {
            let setup = setup(Path::new(program)).unwrap();
            let start = |line: &&str| line.starts_with("ExecStart=");
            let body = setup.files[0].body.clone();
            body.lines().find(start).unwrap().to_owned()
        };
        for program in ["/usr/bin/amd-ctk", "/opt/amd-1.0+x_2/bin/amd-ctk"] {
            let line = format!("ExecStart={program} cdi generate --remove-if-none $OPTIONS");
            assert_eq!(service(program), line);
        }
    }

    #[test]
    fn a_path_that_systemd_would_read_otherwise_is_refused() {
        for program in [
            "/opt/my tools/amd-ctk",
            "/opt/100%/amd-ctk",
            "amd-ctk",
            "/a\nb",
        ] {
            assert!(setup(Path::new(program)).is_err(), "{program}");
        }
    }
}
