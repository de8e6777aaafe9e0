//! As a kubelet does it: pods of a RuntimeClass with the handler `amd`, through containerd's CRI
//! plugin.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serial_test::serial;

use super::cri_api::{
    Capabilities, CdiDevice, ContainerConfig, ContainerId, ContainerMetadata, ContainerSecurity,
    CreateContainer, Cri, ExecSync, ExecSyncAnswer, Image, LinuxContainer, LinuxPod, Namespaces,
    Nothing, Number, PodId, PodMetadata, PodSandboxConfig, PodSecurity, Resources, RunPodSandbox,
    StatusRequest, UpdateResources, Variable,
};
use super::machine::{GRANTED, IMAGE, PROBE, in_vm, ok};

const CONFIG: &str = "/etc/containerd/config.toml";
const PAUSE: &str = "docker.io/library/pause:latest";

/// containerd with the handler that `amd-ctk` configures, for pods that name it and for those that
/// name none. When this is dropped its settings are as
/// before; what runs goes on with ours, which are nothing to those who call it otherwise.
struct Containerd(String);

impl Containerd {
    fn configured(systemd_cgroup: bool) -> Self {
        let before = Self(fs::read_to_string(CONFIG).unwrap());
        let plugin = r#"[plugins."io.containerd.grpc.v1.cri"]"#;
        assert!(before.0.contains(plugin), "{}", before.0);
        let sandbox = format!("{plugin}\nsandbox_image = {PAUSE:?}");
        fs::write(CONFIG, before.0.replace(plugin, &sandbox)).unwrap();
        ok(&[
            "amd-ctk",
            "runtime",
            "configure",
            "--runtime=containerd",
            "--set-as-default",
        ]);
        if systemd_cgroup {
            let ours = fs::read_to_string(CONFIG).unwrap();
            let name = "BinaryName = \"/usr/bin/amd-container-runtime\"";
            assert!(ours.contains(name), "{ours}");
            let both = format!("{name}\nSystemdCgroup = true");
            fs::write(CONFIG, ours.replace(name, &both)).unwrap();
        }
        restart();
        before
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        fs::write(CONFIG, &self.0).unwrap();
    }
}

fn restart() {
    ok(&["systemctl", "reset-failed", "containerd.service"]);
    ok(&["systemctl", "restart", "containerd.service"]);
}

/// Connects to a plugin that is ready.
fn connect() -> Cri {
    let begin = Instant::now();
    loop {
        let cri = Cri::connect();
        match cri.call::<_, Nothing>("Status", StatusRequest { verbose: false }) {
            Ok(_) => return cri,
            Err(err) => assert!(begin.elapsed() < Duration::from_secs(60), "{err}"),
        }
        sleep(Duration::from_millis(500));
    }
}

/// A pod, removed when it is dropped.
struct Pod<'a> {
    cri: &'a Cri,
    id: String,
    config: PodSandboxConfig,
}

fn host_network() -> Option<Namespaces> {
    Some(Namespaces { network: 2 })
}

impl<'a> Pod<'a> {
    fn run(cri: &'a Cri, handler: &str, cgroup_parent: &str) -> Self {
        let config = PodSandboxConfig {
            metadata: Some(PodMetadata {
                name: format!("pod-{handler}"),
                uid: format!("pod-of-the-tests-{handler}"),
                namespace: "default".into(),
            }),
            linux: Some(LinuxPod {
                cgroup_parent: cgroup_parent.into(),
                security_context: Some(PodSecurity {
                    namespaces: host_network(),
                }),
            }),
        };
        let request = RunPodSandbox {
            config: Some(config.clone()),
            runtime_handler: handler.into(),
        };
        let id: PodId = cri.call("RunPodSandbox", request).unwrap();
        Self {
            cri,
            id: id.pod,
            config,
        }
    }

    /// Starts a container that sleeps; root may make nodes.
    fn start(&self, name: &str, user: i64, variable: Option<&str>, device: Option<&str>) -> String {
        let config = ContainerConfig {
            metadata: Some(ContainerMetadata { name: name.into() }),
            image: Some(Image {
                image: IMAGE.into(),
            }),
            command: vec!["sleep".into(), "1000000".into()],
            envs: variable
                .map(|value| Variable {
                    key: "AMD_VISIBLE_DEVICES".into(),
                    value: value.into(),
                })
                .into_iter()
                .collect(),
            linux: Some(LinuxContainer {
                resources: None,
                security_context: Some(ContainerSecurity {
                    capabilities: Some(Capabilities {
                        add: vec!["MKNOD".into()],
                    }),
                    namespaces: host_network(),
                    user: Some(Number { value: user }),
                }),
            }),
            cdi_devices: device
                .map(|name| CdiDevice { name: name.into() })
                .into_iter()
                .collect(),
        };
        let request = CreateContainer {
            pod: self.id.clone(),
            config: Some(config),
            sandbox: Some(self.config.clone()),
        };
        let id: ContainerId = self.cri.call("CreateContainer", request).unwrap();
        let _: Nothing = self.cri.call("StartContainer", id.clone()).unwrap();
        id.container
    }

    /// What the probe says in a container.
    fn seen(&self, container: &str) -> String {
        let request = ExecSync {
            container: container.into(),
            command: vec!["sh".into(), "-c".into(), PROBE.into()],
            timeout: 60,
        };
        let answer: ExecSyncAnswer = self.cri.call("ExecSync", request).unwrap();
        String::from_utf8_lossy(&answer.stdout).into_owned()
    }
}

impl Drop for Pod<'_> {
    fn drop(&mut self) {
        let pod = || PodId {
            pod: self.id.clone(),
        };
        let _ = self.cri.call::<_, Nothing>("StopPodSandbox", pod());
        let _ = self.cri.call::<_, Nothing>("RemovePodSandbox", pod());
    }
}

/// Pods of the handler and of none, whose containers ask in each way, and what changes nothing for
/// them.
fn pods_get_their_gpu(systemd_cgroup: bool) {
    let _containerd = Containerd::configured(systemd_cgroup);
    let cri = connect();
    let parent = match systemd_cgroup {
        true => "kubepods-besteffort.slice",
        false => "/kubepods/besteffort",
    };
    let pods = [("amd", [0, 1000]), ("", [1000, 0])].map(|(handler, users)| {
        let pod = Pod::run(&cri, handler, parent);
        let [first, second] = users;
        let by_variable = pod.start("variable", first, Some("0"), None);
        assert_eq!(pod.seen(&by_variable), GRANTED, "by variable, {handler:?}");
        let by_cdi = pod.start("cdi", second, None, Some("amd.com/gpu=0"));
        assert_eq!(pod.seen(&by_cdi), GRANTED, "by CDI, {handler:?}");
        let none = pod.start("none", first, None, None);
        assert_eq!(pod.seen(&none), GRANTED.replace("open", "closed"));
        let update = UpdateResources {
            container: by_variable.clone(),
            linux: Some(Resources {
                memory_limit: 256 << 20,
            }),
        };
        let _: Nothing = cri.call("UpdateContainerResources", update).unwrap();
        (pod, by_variable)
    });
    ok(&["systemctl", "daemon-reload"]);
    for (pod, container) in pods {
        assert_eq!(pod.seen(&container), GRANTED, "after update and reload");
    }
}

#[test]
#[serial]
fn under_the_systemd_driver_pods_of_the_runtime_class_and_of_none_get_their_gpu() {
    if in_vm() {
        pods_get_their_gpu(true);
    }
}

#[test]
#[serial]
fn under_the_cgroupfs_driver_pods_of_the_runtime_class_and_of_none_get_their_gpu() {
    if in_vm() {
        pods_get_their_gpu(false);
    }
}
