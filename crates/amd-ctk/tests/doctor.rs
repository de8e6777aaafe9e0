//! `amd-ctk doctor`: GPUs, drivers, device nodes, the CDI spec

mod doctor_host;
mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use doctor_host::{BOARDS, assert_check, check, doctor, driven, of_json, on_bus, program};
use support::Host;

#[test]
fn a_host_without_a_gpu_fails_by_that_alone() {
    let host = Host::bare();
    on_bus(&host, "0000:01:00.0", "0x10de", "0x030000", Some("nvidia"));
    on_bus(&host, "0000:02:00.0", "0x1002", "0x040300", None);
    let run = doctor(&host);
    assert_eq!(
        run.stdout,
        "\
FAIL  gpu               no AMD GPU on the PCI bus
                        hint: `lspci -d 1002:` lists the AMD devices there are; in a virtual machine, pass a GPU through
-     amdgpu            no AMD GPU on the PCI bus
-     blacklist         no AMD GPU on the PCI bus
-     gpu-driver        no AMD GPU on the PCI bus
-     vfio              no AMD GPU on the PCI bus
-     iommu             no AMD GPU on the PCI bus
-     kfd               amdgpu drives no GPU
-     device-nodes      amdgpu drives no GPU
-     access            amdgpu drives no GPU
-     rocm-tools        neither amd-smi nor rocm-smi, and containers need neither
warn  runtime           amd-container-runtime is not in PATH, beside amd-ctk, or in /usr/bin
                        hint: install it for engines that are to know the runtime; CDI works without
-     docker            dockerd is not in PATH
-     containerd        containerd is not in PATH
-     crio              crio is not in PATH
-     podman            podman is not in PATH
-     cdi-spec          no GPU for a CDI spec to name
-     cdi-refresh       systemd does not run
-     cdi-engines       no engine in PATH
-     security-modules  neither SELinux nor AppArmor
"
    );
    assert_eq!(run.stderr, "error: failed: gpu\n");
    assert_eq!(run.code, Some(1));
}

#[test]
fn a_gpu_without_the_driver_is_seen() {
    for class in ["0x030000", "0x038000", "0x120000"] {
        let host = Host::bare();
        on_bus(&host, BOARDS[0], "0x1002", class, None);
        assert_check(&host, "gpu", "pass", "1 GPU: 0000:05:00.0");
        assert_check(&host, "amdgpu", "fail", "amdgpu is not loaded");
        assert_check(&host, "gpu-driver", "fail", "0000:05:00.0 has no driver");
        assert_check(&host, "kfd", "not_applicable", "amdgpu drives no GPU");
        let run = doctor(&host);
        assert_eq!(run.stderr, "error: failed: amdgpu, gpu-driver\n");
        assert_eq!(run.code, Some(1));
    }
}

#[test]
fn attributes_that_are_padded_with_nuls_are_read() {
    let host = Host::bare();
    on_bus(&host, BOARDS[0], "0x1002\n\0\0", "0x030000\n\0\0", None);
    assert_check(&host, "gpu", "pass", "1 GPU: 0000:05:00.0");
}

#[test]
fn a_healthy_host_passes_and_its_graphics_card_is_a_warning() {
    let Some(host) = driven() else { return };
    assert_eq!(host.amd_ctk(&["cdi", "generate"]).code, Some(0));
    for path in ["/usr/bin/amd-container-runtime", "/usr/bin/dockerd"] {
        program(&host, path);
    }
    host.file(
        "/etc/docker/daemon.json",
        r#"{"runtimes": {"amd": {"path": "/usr/bin/amd-container-runtime"}}}"#,
    );
    host.file("/sys/fs/selinux/enforce", "0");
    let run = doctor(&host);
    assert_eq!(
        run.stdout,
        "\
ok    gpu               2 GPUs: 0000:05:00.0, 0000:c1:00.0
ok    amdgpu            loaded, version 6.12.12
ok    blacklist         amdgpu is on no blacklist
ok    gpu-driver        2 GPUs with amdgpu
ok    vfio              vfio-pci holds no GPU
ok    iommu             no IOMMU between the GPUs
warn  kfd               KFD does not know GPU 2 (0000:c1:00.0): graphics only
                        hint: see `dmesg | grep kfd`; ROCm needs a GPU that it supports and a kernel with CONFIG_HSA_AMD
ok    device-nodes      /dev/kfd /dev/dri/renderD128 /dev/dri/renderD129 /dev/dri/renderD130 root:render 0660; /dev/dri/card1 /dev/dri/card2 /dev/dri/card3 root:video 0660
ok    access            7 nodes
-     rocm-tools        neither amd-smi nor rocm-smi, and containers need neither
ok    runtime           /usr/bin/amd-container-runtime
ok    docker            runtime amd in /etc/docker/daemon.json is /usr/bin/amd-container-runtime
-     containerd        containerd is not in PATH
-     crio              crio is not in PATH
-     podman            podman is not in PATH
ok    cdi-spec          <host>/etc/cdi/amd.json (CDI 0.6.0)
-     cdi-refresh       systemd does not run
-     cdi-engines       engines are asked for their version on their own host alone
ok    security-modules  SELinux is permissive
"
    );
    assert_eq!((run.stderr.as_str(), run.code), ("", Some(0)));
}

#[test]
fn a_driver_that_is_built_in_has_no_state() {
    let Some(host) = driven() else { return };
    host.remove("/sys/module/amdgpu/initstate");
    host.remove("/sys/module/amdgpu/version");
    assert_check(&host, "amdgpu", "pass", "built in");
}

#[test]
fn gpus_of_virtual_machines_are_a_warning() {
    let host = Host::bare();
    on_bus(&host, BOARDS[0], "0x1002", "0x120000", Some("vfio-pci"));
    host.file("/sys/module/amdgpu/initstate", "live\n");
    let detail = "vfio-pci holds 0000:05:00.0: containers cannot have it";
    assert_check(&host, "vfio", "warn", detail);
    let detail = "vfio-pci holds every GPU";
    assert_check(&host, "gpu-driver", "not_applicable", detail);
    assert_eq!(doctor(&host).code, Some(0));
}

#[test]
fn a_gpu_that_another_driver_holds_is_named() {
    let Some(host) = driven() else { return };
    on_bus(&host, "0000:e1:00.0", "0x1002", "0x030000", Some("radeon"));
    assert_check(
        &host,
        "gpu-driver",
        "warn",
        "0000:e1:00.0 is held by radeon",
    );
}

#[test]
fn missing_nodes_are_named() {
    let Some(host) = driven() else { return };
    host.remove("/dev/kfd");
    host.remove("/dev/dri/card3");
    host.file("/dev/dri/card3", "");
    assert_check(
        &host,
        "device-nodes",
        "fail",
        "/dev/kfd is not there, /dev/dri/card3 is no character device",
    );
    assert_eq!(doctor(&host).stderr, "error: failed: device-nodes\n");
}

#[test]
fn a_host_without_kfd_fails() {
    let Some(host) = driven() else { return };
    fs::remove_dir_all(host.path().join("sys/class/kfd")).unwrap();
    let detail = "no KFD: ROCm can use no GPU, containers can only draw and encode";
    assert_check(&host, "kfd", "fail", detail);
}

#[test]
fn a_user_learns_the_groups_that_open_the_nodes() {
    const NOBODY: u32 = 65534;
    let Some(host) = driven() else { return };
    fs::set_permissions(host.path(), Permissions::from_mode(0o755)).unwrap();
    // Where the build is, a user need not be allowed to look.
    let copy = host.path().join("amd-ctk");
    fs::copy(env!("CARGO_BIN_EXE_amd-ctk"), &copy).unwrap();
    let run = |gid: u32| {
        let output = Command::new(&copy)
            .arg("--host-root")
            .arg(host.path())
            .args(["doctor", "--format", "json"])
            .current_dir("/")
            .uid(NOBODY)
            .gid(gid)
            .output()
            .unwrap();
        of_json(&String::from_utf8(output.stdout).unwrap(), "access")
    };
    let (status, detail, hint) = run(109);
    assert_eq!(status, "warn");
    assert_eq!(
        detail,
        "cannot open /dev/dri/card1 (root:video 0660), /dev/dri/card2 (root:video 0660), \
         /dev/dri/card3 (root:video 0660)"
    );
    assert_eq!(hint, "`sudo usermod -a -G video $USER`, then log in again");
    let (_, _, hint) = run(NOBODY);
    assert_eq!(
        hint,
        "`sudo usermod -a -G render,video $USER`, then log in again"
    );

    for card in ["card1", "card2", "card3"] {
        let card = host.path().join("dev/dri").join(card);
        fs::set_permissions(card, Permissions::from_mode(0o666)).unwrap();
    }
    let (status, detail, _) = run(109);
    assert_eq!((status.as_str(), detail.as_str()), ("pass", "7 nodes"));
}

#[test]
fn a_stale_cdi_spec_fails_and_one_that_is_not_there_warns() {
    let Some(host) = driven() else { return };
    let detail = "no CDI spec of amd.com/gpu in /etc/cdi or /var/run/cdi";
    assert_check(&host, "cdi-spec", "warn", detail);
    assert_eq!(host.amd_ctk(&["cdi", "generate"]).code, Some(0));
    host.remove("/sys/bus/pci/drivers/amdgpu/0000:05:00.0");
    let (status, detail, hint) = check(&host, "cdi-spec");
    assert_eq!(status, "fail");
    assert!(detail.starts_with("<host>/etc/cdi/amd.json: "), "{detail}");
    assert!(
        detail.ends_with(" more findings (`amd-ctk cdi validate`)"),
        "{detail}"
    );
    assert_eq!(hint, "`amd-ctk cdi generate` writes the spec anew");
}

#[test]
fn a_torn_cdi_spec_warns_with_a_way_out() {
    let Some(host) = driven() else { return };
    host.file("/etc/cdi/aaa.json", "[");
    host.file("/etc/cdi/amd.json", "{");
    let (status, detail, hint) = check(&host, "cdi-spec");
    assert_eq!(status, "warn");
    assert!(
        detail.contains(" that can be read: <host>/etc/cdi/amd.json is not"),
        "{detail}"
    );
    assert_eq!(
        hint,
        "correct <host>/etc/cdi/amd.json, or remove it if nobody needs it: `amd-ctk cdi generate` \
         then writes one"
    );
}

#[test]
fn a_host_without_sysfs_gives_no_result() {
    let host = Host::bare();
    fs::remove_dir_all(host.path().join("sys")).unwrap();
    for name in ["gpu", "amdgpu", "kfd", "device-nodes"] {
        let detail = "<host>/sys/bus is not there: no sysfs to read GPUs from";
        assert_check(&host, name, "could_not_run", detail);
    }
    assert_eq!(doctor(&host).code, Some(1));
}

#[test]
fn nothing_is_written_to_the_host() {
    let Some(host) = driven() else { return };
    assert_eq!(host.amd_ctk(&["cdi", "generate"]).code, Some(0));
    program(&host, "/usr/bin/dockerd");
    let list = || {
        let output = Command::new("find")
            .arg(host.path())
            .args(["-printf", "%p %T@ %C@\n"])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let before = list();
    doctor(&host);
    assert_eq!(list(), before);
}
