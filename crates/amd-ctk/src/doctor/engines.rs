//! The runtime's program, and the container engines that know it or could.

use std::path::Path;

use toml_edit::Item;

use super::{Check, CouldNotRun, Host, Outcome};
use crate::config_file::{EditError, json, toml};
use crate::engines::{DEFAULT_PROGRAM, containerd, docker, find_program};

/// The runtime's name unless `amd-ctk runtime configure --runtime-name` gives another.
const DEFAULT_NAME: &str = "amd";

pub(super) const RUNTIME: Check = Check {
    name: "runtime",
    description: "amd-container-runtime is installed",
    run: |host| {
        Ok(match find_program(host.root().path(), None, true) {
            Ok(path) => Outcome::Pass(path),
            Err(error) => Outcome::Warn(
                error.to_string(),
                "install it for engines that are to know the runtime; CDI works without".to_owned(),
            ),
        })
    },
};

pub(super) const DOCKER: Check = Check {
    name: "docker",
    description: "Docker knows the runtime",
    run: |host| engine(host, "docker", "dockerd", docker),
};

pub(super) const CONTAINERD: Check = Check {
    name: "containerd",
    description: "containerd's CRI plugin knows the runtime",
    run: |host| engine(host, "containerd", "containerd", containerd),
};

pub(super) const CRIO: Check = Check {
    name: "crio",
    description: "CRI-O knows the runtime",
    run: |host| engine(host, "crio", "crio", crio),
};

pub(super) const PODMAN: Check = Check {
    name: "podman",
    description: "Podman knows the runtime",
    run: |host| engine(host, "podman", "podman", podman),
};

/// A runtime in an engine's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Runtime {
    name: String,
    /// None where the engine finds it by other means, such as a shim's name.
    program: Option<String>,
}

impl Runtime {
    fn is_ours(&self) -> bool {
        let program = self.program.as_deref().map(Path::new);
        let file_name = program.and_then(Path::file_name);
        self.name == DEFAULT_NAME || file_name.is_some_and(|name| name == DEFAULT_PROGRAM)
    }
}

/// Why the runtimes of an engine are not known.
enum Unknown {
    CouldNotRun(CouldNotRun),
    /// The engine cannot read the file either.
    Content(String, EditError),
}

impl From<CouldNotRun> for Unknown {
    fn from(error: CouldNotRun) -> Self {
        Self::CouldNotRun(error)
    }
}

/// The runtimes of a file, by the file's path.
type Runtimes = Vec<(String, Vec<Runtime>)>;

fn engine(
    host: &Host,
    name: &str,
    program: &str,
    runtimes: fn(&Host) -> Result<Runtimes, Unknown>,
) -> Result<Outcome, CouldNotRun> {
    let Some(installed) = host.program(program) else {
        return Ok(Outcome::NotApplicable(format!("{program} is not in PATH")));
    };
    let installed = installed.display();
    let configure = format!("`amd-ctk runtime configure --runtime {name}`");
    let files = match runtimes(host) {
        Ok(files) => files,
        Err(Unknown::CouldNotRun(error)) => return Err(error),
        Err(Unknown::Content(file, error)) => {
            let hint = error.hint.clone();
            return Ok(Outcome::Fail(
                format!("{file}: {error}"),
                hint.unwrap_or_else(|| format!("correct the file: {program} cannot read it")),
            ));
        }
    };
    // Engines take what the last file says.
    let ours = files.iter().rev().find_map(|(file, runtimes)| {
        let runtime = runtimes.iter().find(|runtime| runtime.is_ours())?;
        Some((file, runtime))
    });
    let Some((file, Runtime { name, program })) = ours else {
        return Ok(Outcome::Warn(
            format!("{installed} does not know the runtime"),
            format!("{configure} tells it; CDI works without"),
        ));
    };
    let Some(program) = program else {
        return Ok(Outcome::Pass(format!("runtime {name} in {file}")));
    };
    let path = Path::new(program);
    let there = if path.is_absolute() {
        host.is_program(path)
    } else {
        host.program(program).is_some()
    };
    Ok(if there {
        Outcome::Pass(format!("runtime {name} in {file} is {program}"))
    } else {
        Outcome::Fail(
            format!("runtime {name} in {file} is {program}, which is no program"),
            format!("install it, or name another: {configure} --runtime-path PATH"),
        )
    })
}

fn docker(host: &Host) -> Result<Runtimes, Unknown> {
    let parse = |text: &str| {
        let runtimes = json::Document::parse(text)?.get(&["runtimes"])?;
        let runtimes = runtimes.as_ref().and_then(|runtimes| runtimes.as_object());
        let runtime = |(name, entry): (&String, &serde_json::Value)| Runtime {
            name: name.clone(),
            program: entry["path"].as_str().map(str::to_owned),
        };
        Ok(runtimes.into_iter().flatten().map(runtime).collect())
    };
    read(host, [docker::CONFIG.to_owned()], parse)
}

fn containerd(host: &Host) -> Result<Runtimes, Unknown> {
    let main = host.text(containerd::CONFIG)?.unwrap_or_default();
    let imported = containerd::is_imported(&main)
        .map_err(|error| Unknown::Content(containerd::CONFIG.to_owned(), error))?;
    let files = [containerd::CONFIG]
        .into_iter()
        .chain(imported.then_some(containerd::DROP_IN));
    read(host, files.map(str::to_owned), |text| {
        let mut all = Vec::new();
        // The plugin of version 1, of 2, and of 3 and later.
        for plugin in [
            "cri",
            "io.containerd.grpc.v1.cri",
            "io.containerd.cri.v1.runtime",
        ] {
            let path = ["plugins", plugin, "containerd", "runtimes"];
            all.extend(toml_runtimes(text, &path, |entry| {
                entry.get("options")?.get("BinaryName")
            })?);
        }
        Ok(all)
    })
}

fn crio(host: &Host) -> Result<Runtimes, Unknown> {
    let mut files = vec!["/etc/crio/crio.conf".to_owned()];
    files.extend(drop_ins(host, "/etc/crio/crio.conf.d", "")?);
    let path = ["crio", "runtime", "runtimes"];
    read(host, files, |text| {
        toml_runtimes(text, &path, |entry| entry.get("runtime_path"))
    })
}

fn podman(host: &Host) -> Result<Runtimes, Unknown> {
    let mut files = vec!["/etc/containers/containers.conf".to_owned()];
    files.extend(drop_ins(
        host,
        "/etc/containers/containers.conf.d",
        ".conf",
    )?);
    let path = ["engine", "runtimes"];
    // The first path that there is counts; ours is the only one of its entry.
    read(host, files, |text| {
        toml_runtimes(text, &path, |entry| entry.get(0))
    })
}

fn drop_ins(host: &Host, dir: &str, ending: &str) -> Result<Vec<String>, CouldNotRun> {
    let names = host.names(dir)?.into_iter();
    let files = names.filter(|name| name.ends_with(ending));
    Ok(files.map(|name| format!("{dir}/{name}")).collect())
}

/// The runtimes of those files that are there.
fn read(
    host: &Host,
    files: impl IntoIterator<Item = String>,
    parse: impl Fn(&str) -> Result<Vec<Runtime>, EditError>,
) -> Result<Runtimes, Unknown> {
    let mut all = Vec::new();
    for file in files {
        if let Some(text) = host.text(&file)? {
            match parse(&text) {
                Ok(runtimes) => all.push((file, runtimes)),
                Err(error) => return Err(Unknown::Content(file, error)),
            }
        }
    }
    Ok(all)
}

/// The runtimes in the table at `path`; `program` finds the program's path in an entry.
fn toml_runtimes(
    text: &str,
    path: &[&str],
    program: fn(&Item) -> Option<&Item>,
) -> Result<Vec<Runtime>, EditError> {
    let document = toml::Document::parse(text)?;
    let Some(table) = document.table(path)? else {
        return Ok(Vec::new());
    };
    let runtime = |(name, entry): (&str, &Item)| Runtime {
        name: name.to_owned(),
        program: program(entry).and_then(Item::as_str).map(str::to_owned),
    };
    Ok(table.iter().map(runtime).collect())
}
