//! Which CDI versions the installed engines read: they refuse a newer file as a whole.

use std::path::Path;
use std::time::{Duration, Instant};

use discovery::cdi::Version;

use super::ask::{Asked, ask};
use super::{Check, CouldNotRun, Host, Outcome};

/// A release of an engine: major, minor, patch.
type Release = (u32, u32, u32);

/// An engine that reads CDI specs itself.
struct Engine {
    name: &'static str,
    program: &'static str,
    /// From which release on it reads which version, in the order of releases: what the version
    /// of the CDI library in the release's go.mod (docker: vendor.mod) knows.
    reads: &'static [(Release, Version)],
}

const ENGINES: [Engine; 4] = [
    Engine {
        name: "docker",
        program: "dockerd",
        reads: &[
            ((25, 0, 0), Version::V0_6),
            ((25, 0, 17), Version::V0_8),
            ((26, 0, 0), Version::V0_6),
            ((26, 1, 0), Version::V0_7),
            ((27, 4, 0), Version::V0_8),
            ((28, 1, 0), Version::V1_0),
            ((29, 2, 0), Version::V1_1),
        ],
    },
    Engine {
        name: "containerd",
        program: "containerd",
        reads: &[
            ((1, 7, 0), Version::V0_5),
            ((1, 7, 12), Version::V0_6),
            ((1, 7, 16), Version::V0_7),
            ((1, 7, 27), Version::V0_8),
            ((2, 0, 5), Version::V1_0),
            ((2, 2, 1), Version::V1_1),
        ],
    },
    Engine {
        name: "crio",
        program: "crio",
        reads: &[
            ((1, 24, 0), Version::V0_3),
            ((1, 25, 0), Version::V0_5),
            ((1, 28, 0), Version::V0_6),
            ((1, 30, 0), Version::V0_7),
            ((1, 31, 0), Version::V0_8),
            ((1, 33, 0), Version::V1_0),
            ((1, 35, 0), Version::V1_1),
        ],
    },
    Engine {
        name: "podman",
        program: "podman",
        reads: &[
            ((4, 1, 0), Version::V0_4),
            ((4, 3, 0), Version::V0_5),
            ((4, 7, 0), Version::V0_6),
            ((5, 1, 0), Version::V0_7),
            ((5, 2, 0), Version::V0_8),
            ((5, 5, 0), Version::V1_0),
        ],
    },
];

/// How long an engine may take to say its version: one hangs where its storage does.
const PATIENCE: Duration = Duration::from_secs(3);

/// The oldest version in which a spec can name GPUs by index.
const OLDEST_WRITTEN: Version = Version::V0_5;

pub(super) const READ: Check = Check {
    name: "cdi-engines",
    description: "the engines read CDI specs of the version that there is",
    run: |host| {
        let programs: Vec<_> = ENGINES
            .iter()
            .filter_map(|engine| Some((engine, host.program(engine.program)?)))
            .collect();
        if programs.is_empty() {
            return Ok(Outcome::NotApplicable("no engine in PATH".to_owned()));
        }
        if host.root().path() != Path::new("/") {
            return Ok(Outcome::NotApplicable(
                "engines are asked for their version on their own host alone".to_owned(),
            ));
        }
        // All at once: each takes tens of milliseconds.
        let asked: Vec<_> = programs
            .iter()
            .map(|(engine, program)| (engine, ask(program, &["--version"])))
            .collect();
        let until = Instant::now() + PATIENCE;
        let answer = |asked: Asked| asked.answer(until);
        let found: Vec<Found> = asked
            .into_iter()
            .map(|(engine, asked)| Found::new(engine, &asked.map(answer).unwrap_or_default()))
            .collect();
        Ok(judge(spec(host)?.as_ref(), &found))
    },
};

/// An engine of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    name: &'static str,
    program: &'static str,
    /// Whether it said nothing at all.
    is_silent: bool,
    /// None where it does not say, as one that was built from a commit.
    release: Option<Release>,
    /// The newest version that it reads, None for none that is known.
    reads: Option<Version>,
}

impl Found {
    fn new(engine: &Engine, answer: &str) -> Self {
        let release = parse_release(answer);
        let since = |release: Release| {
            let known = engine.reads.iter().rev();
            known.into_iter().find(|(since, _)| *since <= release)
        };
        Self {
            name: engine.name,
            program: engine.program,
            is_silent: answer.trim().is_empty(),
            release,
            reads: release.and_then(since).map(|(_, version)| *version),
        }
    }

    /// `podman 4.3.1 reads CDI up to 0.5.0`
    fn told(&self) -> String {
        let name = self.name;
        let Some((major, minor, patch)) = self.release else {
            return format!("{name} does not tell its version");
        };
        match self.reads {
            Some(version) => format!("{name} {major}.{minor}.{patch} reads CDI up to {version}"),
            None => format!("{name} {major}.{minor}.{patch} reads no CDI"),
        }
    }
}

/// The spec of the newest version, by its file.
fn spec(host: &Host) -> Result<Option<(String, Version)>, CouldNotRun> {
    let specs = host.specs()?.ours;
    let versions = specs.iter().filter_map(|spec| {
        let version = spec.document().version.parse().ok()?;
        Some((spec.path.display().to_string(), version))
    });
    Ok(versions.max_by_key(|(_, version)| *version))
}

fn judge(spec: Option<&(String, Version)>, engines: &[Found]) -> Outcome {
    let told = |engines: &[&Found]| {
        let each = engines.iter().map(|engine| engine.told());
        each.collect::<Vec<_>>().join(", ")
    };
    let no_refusal = || {
        let told = told(&engines.iter().collect::<Vec<_>>());
        match engines.iter().find(|engine| engine.is_silent) {
            None => Outcome::Pass(told),
            Some(silent) => Outcome::Warn(
                told,
                format!("`{} --version` should say it at once", silent.program),
            ),
        }
    };
    let Some((file, version)) = spec else {
        return no_refusal();
    };
    let too_old = |engine: &&Found| engine.reads.is_some_and(|reads| reads < *version);
    let refusing: Vec<&Found> = engines.iter().filter(too_old).collect();
    let Some(lowest) = refusing.iter().filter_map(|engine| engine.reads).min() else {
        return no_refusal();
    };
    let hint = if lowest < OLDEST_WRITTEN {
        "no spec of GPUs by index can be of a version that old: `amd-ctk runtime configure` is \
         the way there"
            .to_owned()
    } else {
        format!(
            "`amd-ctk cdi generate --cdi-version {lowest}` writes one that it reads; for \
             `amd-ctk system cdi-refresh`, OPTIONS=--cdi-version={lowest} in \
             /etc/default/amd-cdi-refresh"
        )
    };
    Outcome::Warn(
        format!("{}, and {file} is of {version}", told(&refusing)),
        hint,
    )
}

/// The first word that is a version, in what an engine says of itself.
fn parse_release(text: &str) -> Option<Release> {
    text.split_whitespace().find_map(|word| {
        let word = word.strip_prefix('v').unwrap_or(word);
        let end = word
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(word.len());
        let mut numbers = word[..end].split('.').map(|number| number.parse().ok());
        let (major, minor) = (numbers.next()??, numbers.next()??);
        Some((major, minor, numbers.next().flatten().unwrap_or(0)))
    })
}

#[cfg(test)]
#[path = "cdi_engines_tests.rs"]
mod tests;
