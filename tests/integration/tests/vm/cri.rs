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

/// containerd with the handler that `amd-ctk` configures, until it is dropped.
struct Containerd(String);

impl Containerd {
    fn configured(systemd_cgroup: bool, extra: &[&str]) -> Self {
        let before = Self(fs::read_to_string(CONFIG).unwrap());
        let plugin = r#"[plugins."io.containerd.grpc.v1.cri"]"#;
        assert!(before.0.contains(plugin), "{}", before.0);
        let sandbox = format!("{plugin}\nsandbox_image = {PAUSE:?}");
        fs::write(CONFIG, before.0.replace(plugin, &sandbox)).unwrap();
        let configure = ["amd-ctk", "runtime", "configure", "--runtime=containerd"];
        ok(&[&configure[..], extra].concat());
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
        restart();
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

/// Images of docker for the CRI, the one of sandboxes included.
fn load_images() {
    let container = ok(&["docker", "create", IMAGE, "true"]);
    let files = "/tmp/pause-files.tar";
    ok(&["docker", "export", "-o", files, container.trim()]);
    ok(&["docker", "rm", container.trim()]);
    let program = r#"CMD ["/bin/sleep", "1000000"]"#;
    ok(&["docker", "import", "--change", program, files, "pause"]);
    let saved = "/tmp/cri.tar";
    ok(&["docker", "save", "-o", saved, IMAGE, PAUSE]);
    ok(&["ctr", "-n", "k8s.io", "images", "import", saved]);
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
                name: "pod".into(),
                uid: "pod-of-the-tests".into(),
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

/// A pod whose containers ask in each way, and what changes nothing for them.
fn pods_get_their_gpu(systemd_cgroup: bool, extra: &[&str], handler: &str) {
    load_images();
    let _containerd = Containerd::configured(systemd_cgroup, extra);
    let cri = connect();
    let parent = match systemd_cgroup {
        true => "kubepods-besteffort.slice",
        false => "/kubepods/besteffort",
    };
    let pod = Pod::run(&cri, handler, parent);
    for user in [0, 1000] {
        let by_variable = pod.start(&format!("variable-{user}"), user, Some("0"), None);
        assert_eq!(pod.seen(&by_variable), GRANTED, "by variable, user {user}");
        let by_cdi = pod.start(&format!("cdi-{user}"), user, None, Some("amd.com/gpu=0"));
        let seen = pod.seen(&by_cdi);
        assert_eq!(seen, GRANTED, "by CDI, user {user}");
        let none = pod.start(&format!("none-{user}"), user, None, None);
        assert_eq!(pod.seen(&none), GRANTED.replace("open", "closed"));
        let update = UpdateResources {
            container: by_variable.clone(),
            linux: Some(Resources {
                memory_limit: 256 << 20,
            }),
        };
        let _: Nothing = cri.call("UpdateContainerResources", update).unwrap();
        ok(&["systemctl", "daemon-reload"]);
        let when = "after update and daemon-reload";
        assert_eq!(pod.seen(&by_variable), GRANTED, "{when}, user {user}");
    }
}

#[test]
#[serial]
fn pods_of_the_runtime_class_get_their_gpu_under_the_systemd_driver() {
    if in_vm() {
        pods_get_their_gpu(true, &[], "amd");
    }
}

#[test]
#[serial]
fn pods_of_no_runtime_class_get_their_gpu_from_the_default_runtime() {
    if in_vm() {
        pods_get_their_gpu(false, &["--set-as-default"], "");
    }
}
