//! How a process tells itself, through execve(2), that it has sealed its binary.

use std::ffi::OsString;

const VARIABLE: &str = "_AMD_CONTAINER_RUNTIME_SEAL";

/// What this process did before it executed itself.
///
/// It travels in the environment and holds the process id, which execve(2) keeps: a variable that
/// came from anywhere else has another one and does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// It made this overlay mount.
    Overlay { mount_id: u64 },
    /// It made a sealed copy.
    Memfd,
}

impl Marker {
    /// Takes the marker out of the environment. `None` where there is none of this process.
    pub(super) fn take() -> Option<Self> {
        let value = std::env::var_os(VARIABLE)?;
        // SAFETY: called first in `main`, when the process has one thread.
        #[allow(unsafe_code)]
        unsafe {
            std::env::remove_var(VARIABLE);
        }
        Self::parse(value.to_str()?, std::process::id())
    }

    /// Whether there is one, of whatever process, and not taken yet.
    pub(super) fn is_there() -> bool {
        std::env::var_os(VARIABLE).is_some()
    }

    /// Name and value of the variable that carries the marker to this process's next program.
    pub(super) fn variable(self) -> (&'static str, OsString) {
        (VARIABLE, self.format(std::process::id()).into())
    }

    fn format(self, pid: u32) -> String {
        match self {
            Self::Overlay { mount_id } => format!("{pid}:overlay:{mount_id}"),
            Self::Memfd => format!("{pid}:memfd"),
        }
    }

    fn parse(value: &str, own_pid: u32) -> Option<Self> {
        let (pid, kind) = value.split_once(':')?;
        if pid.parse() != Ok(own_pid) {
            return None;
        }
        match kind.split_once(':') {
            None if kind == "memfd" => Some(Self::Memfd),
            Some(("overlay", mount_id)) => Some(Self::Overlay {
                mount_id: mount_id.parse().ok()?,
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_reaches_the_same_process() {
        for marker in [Marker::Overlay { mount_id: u64::MAX }, Marker::Memfd] {
            assert_eq!(Marker::parse(&marker.format(17), 17), Some(marker));
        }
    }

    #[test]
    fn a_marker_of_another_process_does_not_count() {
        assert_eq!(Marker::parse(&Marker::Memfd.format(17), 18), None);
    }

    #[test]
    fn other_values_are_no_marker() {
        for value in [
            "",
            "1",
            "17",
            "17:",
            "17:overlay",
            "17:overlay:",
            "17:overlay:x",
            ":memfd",
        ] {
            assert_eq!(Marker::parse(value, 17), None, "{value:?}");
        }
    }
}
