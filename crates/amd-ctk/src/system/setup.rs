//! What a set-up puts on a host.

use super::mark::marked;
use super::{Daemon, Step};

/// What is to be on a host, and who is to be told.
#[derive(Debug)]
pub struct Setup {
    /// The command, as in `amd-ctk system <command>`.
    pub command: &'static str,
    /// The files.
    pub files: Vec<SetupFile>,
    /// The units that are enabled.
    pub links: Vec<SetupLink>,
    /// What must run for [`installed`](Self::installed) and [`removed`](Self::removed).
    pub daemons: &'static [Daemon],
    /// What makes the files count.
    pub installed: Vec<Step>,
    /// What makes their absence count.
    pub removed: Vec<Step>,
}

/// A configuration file that administrators have below /etc and packages below /usr/lib.
#[derive(Debug)]
pub struct SetupFile {
    /// The directory below either, such as `udev/rules.d`.
    pub dir: &'static str,
    /// The file's name.
    pub name: &'static str,
    /// What is in it, as in a package.
    pub body: String,
}

impl SetupFile {
    /// Where the administrator has it, which is where ours is written.
    pub fn path(&self) -> String {
        format!("/etc/{}/{}", self.dir, self.name)
    }

    /// Where a package has it.
    pub fn packaged(&self) -> String {
        format!("/usr/lib/{}/{}", self.dir, self.name)
    }

    /// What is written: the body below a mark of ours.
    pub fn text(&self, command: &str) -> String {
        marked(command, &self.body)
    }
}

/// A unit of systemd that is enabled, as `systemctl enable` does it.
#[derive(Debug)]
pub struct SetupLink {
    /// The unit, one of the set-up's files.
    pub unit: &'static str,
    /// The target that wants it.
    pub wanted_by: &'static str,
}

impl SetupLink {
    /// The symbolic link (systemd.unit(5), `WantedBy=`).
    pub fn path(&self) -> String {
        format!("/etc/systemd/system/{}.wants/{}", self.wanted_by, self.unit)
    }
}

impl Setup {
    /// The files as they are written, for a reader: each below a line with its path, unless
    /// there is but one.
    pub fn print(&self) -> String {
        let text = |file: &SetupFile| file.text(self.command);
        if let ([file], []) = (self.files.as_slice(), self.links.as_slice()) {
            return text(file);
        }
        let files = self
            .files
            .iter()
            .map(|file| format!("# {}\n{}", file.path(), text(file)));
        let links = self
            .links
            .iter()
            .map(|link| format!("# {} -> {}\n", link.path(), link.unit));
        files.chain(links).collect::<Vec<_>>().join("\n")
    }
}
