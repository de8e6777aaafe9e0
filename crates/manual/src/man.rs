//! Man pages: one a command, and what clap does not know about the programs.

use std::io;
use std::path::Path;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::Program;

/// A section of a man page behind those that clap's definitions give, see man-pages(7).
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its heading, in capitals.
    pub title: &'static str,
    /// Terms, each with what there is to say about it.
    pub entries: &'static [(&'static str, &'static str)],
}

/// What the man page of `amd-ctk` has behind its options.
pub const AMD_CTK: &[Section] = &[
    Section {
        title: "EXIT STATUS",
        entries: &[
            ("0", "The command did what it says."),
            ("1", "It failed, or a check of doctor or cdi validate did."),
            ("2", "The command line is wrong."),
        ],
    },
    Section {
        title: "FILES",
        entries: &[
            (
                "/etc/cdi/amd.json",
                "The CDI spec that cdi generate writes.",
            ),
            (
                "/etc/docker/daemon.json",
                "What runtime configure changes for docker.",
            ),
            (
                "/etc/containerd/config.toml, /etc/containerd/conf.d/",
                "The same for containerd.",
            ),
            ("/etc/crio/crio.conf.d/99-amd.conf", "The same for CRI-O."),
            (
                "/etc/containers/containers.conf.d/99-amd.conf",
                "The same for podman.",
            ),
        ],
    },
    Section {
        title: "SEE ALSO",
        entries: &[(
            "amd-container-runtime(8)",
            "the OCI runtime that the engines are told of",
        )],
    },
];

/// What the man page of `amd-container-runtime` has behind its options.
pub const AMD_CONTAINER_RUNTIME: &[Section] = &[
    Section {
        title: "ENVIRONMENT",
        entries: &[
            (
                "AMD_VISIBLE_DEVICES",
                "In the environment of the container's process, process.env in config.json: the GPUs \
                 that it gets. A list with commas of indices (3), ranges (0-3), UUIDs, PCI addresses \
                 and CDI names; or all, or none. Where it is set twice, the last one counts. A part \
                 that names no GPU is an error, and the container does not start.",
            ),
            (
                "DOCKER_RESOURCE_AMD_GPU",
                "There, too: the GPUs that Docker Swarm reserved, added to those of the variable above.",
            ),
        ],
    },
    Section {
        title: "EXIT STATUS",
        entries: &[
            ("0", "The command did what it says."),
            (
                "1",
                "It failed, or the command line is wrong. The last line of --log with level error says why.",
            ),
            (
                "255",
                "exec could not start the process. run and exec otherwise exit as the process did.",
            ),
        ],
    },
    Section {
        title: "FILES",
        entries: &[
            (
                "/etc/amd-container-runtime/config.toml",
                "Settings. The command config prints it with every key, its meaning and its default.",
            ),
            (
                "/run/amd-container-runtime",
                "The state of the containers that are not below another --root.",
            ),
        ],
    },
    Section {
        title: "SEE ALSO",
        entries: &[(
            "amd-ctk(1)",
            "shows the host's GPUs and configures the engines",
        )],
    },
];

/// Writes the pages of a program and of each of its commands below `man`, a directory such
/// as /usr/share/man.
///
/// # Errors
/// Where a file cannot be written.
pub fn write(program: &Program, man: &Path) -> io::Result<()> {
    let directory = man.join(format!("man{}", program.section));
    std::fs::create_dir_all(&directory)?;
    for (name, text) in pages(program)? {
        std::fs::write(directory.join(name), text)?;
    }
    Ok(())
}

/// The pages of a program: file names and texts in roff, the program's own first.
///
/// # Errors
/// None that a text in memory gives.
pub fn pages(program: &Program) -> io::Result<Vec<(String, String)>> {
    let mut command = program
        .command
        .clone()
        .disable_help_subcommand(true)
        // What `--version` says for programs to read is of no use here.
        .long_version(None);
    command.build();
    let mut pages = Vec::new();
    let mut open = vec![(command, program.notes)];
    while let Some((command, notes)) = open.pop() {
        let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
        open.extend(shown.map(|sub| (sub.clone(), &[][..])));
        pages.push(page(command, program.section, notes)?);
    }
    Ok(pages)
}

fn page(command: Command, section: &str, notes: &[Section]) -> io::Result<(String, String)> {
    let version = env!("CARGO_PKG_VERSION");
    let man = Man::new(command)
        .section(section)
        .source(format!("amd-container-toolkit {version}"))
        .manual("AMD container toolkit");
    let mut text = Vec::new();
    man.render(&mut text)?;
    let mut text = String::from_utf8_lossy(&text).into_owned();
    for section in notes {
        text += &section.to_roff();
    }
    Ok((man.get_filename(), text))
}

impl Section {
    fn to_roff(self) -> String {
        let mut roff = Roff::new();
        roff.control("SH", [self.title]);
        for (term, text) in self.entries {
            roff.control("TP", []);
            roff.text([bold(*term)]);
            roff.text([roman(*text)]);
        }
        roff.to_roff()
    }
}
