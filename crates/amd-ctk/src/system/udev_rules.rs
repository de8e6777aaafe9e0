//! A udev rule that says who may open the nodes through which AMD GPUs compute.

use super::{Daemon, Setup, SetupFile, Step};

const RULES: &str = include_str!("units/71-amd-gpu-nodes.rules");

/// The rule that gives the nodes this mode and group.
pub fn setup(mode: u32, group: &str) -> Setup {
    const APPLIED: [Step; 2] = [
        Step::new(&["udevadm", "control", "--reload"]),
        Step::new(&[
            "udevadm",
            "trigger",
            "--subsystem-match=kfd",
            "--subsystem-match=drm",
        ]),
    ];
    Setup {
        command: "udev-rules",
        files: vec![SetupFile {
            dir: "udev/rules.d",
            name: "71-amd-gpu-nodes.rules",
            body: rules(mode, group),
        }],
        links: Vec::new(),
        daemons: &[Daemon::Udev],
        installed: APPLIED.to_vec(),
        removed: APPLIED.to_vec(),
    }
}

fn rules(mode: u32, group: &str) -> String {
    RULES
        .replace("GROUP=\"render\"", &format!("GROUP=\"{group}\""))
        .replace("MODE=\"0660\"", &format!("MODE=\"{mode:04o}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_the_mode_and_group() {
        assert_eq!(rules(0o660, "render"), RULES);
        let lines = rules(0o666, "gpu");
        let lines: Vec<&str> = lines.lines().filter(|it| !it.starts_with('#')).collect();
        assert_eq!(lines.len(), 3);
        for line in lines {
            assert!(line.ends_with("GROUP=\"gpu\", MODE=\"0666\""), "{line}");
        }
    }
}
