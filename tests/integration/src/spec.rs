//! Container specs for tests: OCI config.json, built step by step.

use serde_json::{Value, json};

use crate::capabilities;

/// What docker gives a container that is not privileged.
const DOCKER_CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// A config.json in the making.
#[derive(Clone, Debug)]
pub struct Spec(Value);

impl Spec {
    /// A spec with the mounts, namespaces, capabilities, device rules and protected paths
    /// that docker writes.
    pub fn docker() -> Self {
        let mut spec = Self::minimal().capabilities(&DOCKER_CAPABILITIES).0;
        spec["hostname"] = json!("test");
        spec["mounts"] = json!([
            mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount(
                "/dev",
                "tmpfs",
                &["nosuid", "strictatime", "mode=755", "size=65536k"]
            ),
            mount(
                "/dev/pts",
                "devpts",
                &[
                    "nosuid",
                    "noexec",
                    "newinstance",
                    "ptmxmode=0666",
                    "mode=0620",
                    "gid=5"
                ]
            ),
            mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            mount(
                "/sys/fs/cgroup",
                "cgroup",
                &["ro", "nosuid", "noexec", "nodev"]
            ),
            mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            mount(
                "/dev/shm",
                "tmpfs",
                &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]
            ),
        ]);
        spec["linux"]["namespaces"] = json!([
            {"type": "mount"}, {"type": "network"}, {"type": "uts"}, {"type": "pid"}, {"type": "ipc"},
        ]);
        let mut rules = vec![json!({"allow": false, "access": "rwm"})];
        for (major, minor) in [(1, 5), (1, 3), (1, 9), (1, 8), (5, 0), (5, 1)] {
            rules.push(json!({
                "allow": true, "type": "c", "major": major, "minor": minor, "access": "rwm",
            }));
        }
        spec["linux"]["resources"] = json!({"devices": rules});
        spec["linux"]["maskedPaths"] = json!(["/proc/kcore", "/proc/keys", "/sys/firmware"]);
        spec["linux"]["readonlyPaths"] = json!(["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"]);
        Self(spec)
    }

    /// The least that runs a program: /proc, mount and PID namespaces, and neither a /dev
    /// of its own nor device rules.
    pub fn minimal() -> Self {
        Self(json!({
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": 0, "gid": 0},
                "args": ["true"],
                "env": ["PATH=/bin"],
                "cwd": "/",
            },
            "root": {"path": "rootfs"},
            "mounts": [mount("/proc", "proc", &[])],
            "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]},
        }))
    }

    /// The program and its arguments.
    pub fn args(self, args: &[&str]) -> Self {
        self.set("/process/args", json!(args))
    }

    /// A shell script as the program.
    pub fn sh(self, script: &str) -> Self {
        self.args(&["sh", "-c", script])
    }

    /// Adds a variable, `NAME=value`; the same name can be there already.
    pub fn env(self, variable: &str) -> Self {
        self.push("/process/env", json!(variable))
    }

    /// The process's user and group.
    pub fn user(self, uid: u32, gid: u32) -> Self {
        self.set("/process/user/uid", json!(uid))
            .set("/process/user/gid", json!(gid))
    }

    /// The capabilities of the process, in the bounding, effective and permitted sets.
    pub fn capabilities(self, names: &[&str]) -> Self {
        let caps = json!({"bounding": names, "effective": names, "permitted": names});
        self.set("/process/capabilities", caps)
    }

    /// Every capability that this process has, and no path masked or read-only: docker's
    /// `--privileged` but for the devices.
    pub fn all_capabilities(self) -> Self {
        self.capabilities(&capabilities::held())
            .set("/linux/maskedPaths", json!([]))
            .set("/linux/readonlyPaths", json!([]))
    }

    /// Adds a device cgroup rule; `None` matches every number.
    pub fn device_rule(self, allow: bool, major: Option<u32>, minor: Option<u32>) -> Self {
        let mut rule = json!({"allow": allow, "type": "c", "access": "rwm"});
        if let Some(major) = major {
            rule["major"] = json!(major);
        }
        if let Some(minor) = minor {
            rule["minor"] = json!(minor);
        }
        self.push("/linux/resources/devices", rule)
    }

    /// Adds a character device.
    pub fn device(self, path: &str, major: u32, minor: u32) -> Self {
        let device = json!({
            "path": path, "type": "c", "major": major, "minor": minor,
            "fileMode": 0o666, "uid": 0, "gid": 0,
        });
        self.push("/linux/devices", device)
    }

    /// Adds a hook at a point such as `createRuntime`: a program of the host, by its path,
    /// with its arguments, `argv[0]` first.
    pub fn hook(self, point: &str, path: &str, args: &[&str]) -> Self {
        self.push(
            &format!("/hooks/{point}"),
            json!({"path": path, "args": args}),
        )
    }

    /// Adds an annotation.
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.0["annotations"][key] = json!(value);
        self
    }

    /// The cgroup of the container. [`Bundle::new`](crate::bundle::Bundle::new) gives one
    /// to a spec that has none.
    pub fn cgroups_path(self, path: &str) -> Self {
        self.set("/linux/cgroupsPath", json!(path))
    }

    /// Without the mount at `destination`.
    pub fn without_mount(mut self, destination: &str) -> Self {
        if let Some(mounts) = self.0["mounts"].as_array_mut() {
            mounts.retain(|mount| mount["destination"] != destination);
        }
        self
    }

    /// Sets the value at a JSON pointer; objects on the way are made.
    pub fn set(mut self, pointer: &str, value: Value) -> Self {
        *self.at(pointer) = value;
        self
    }

    /// Appends to the array at a JSON pointer; it is made where there is none.
    pub fn push(mut self, pointer: &str, value: Value) -> Self {
        let array = self.at(pointer);
        match array.as_array_mut() {
            Some(array) => array.push(value),
            None => *array = json!([value]),
        }
        self
    }

    /// The spec as it is.
    pub fn json(&self) -> &Value {
        &self.0
    }

    fn at(&mut self, pointer: &str) -> &mut Value {
        pointer
            .split('/')
            .skip(1)
            .fold(&mut self.0, |value, key| &mut value[key])
    }
}

fn mount(destination: &str, kind: &str, options: &[&str]) -> Value {
    json!({"destination": destination, "type": kind, "source": kind, "options": options})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_and_arrays_are_made_on_the_way() {
        let spec = Spec::minimal()
            .device_rule(false, None, None)
            .annotation("a", "b");
        assert_eq!(
            spec.json()["linux"]["resources"]["devices"],
            json!([{"allow": false, "type": "c", "access": "rwm"}])
        );
        assert_eq!(spec.json()["annotations"], json!({"a": "b"}));
    }
}
