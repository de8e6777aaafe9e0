//! `amd-ctk doctor`: blacklists, the IOMMU, AMD's tools, security modules, the CDI refresh

mod doctor_host;
mod support;

use std::fs;
use std::os::unix::fs::symlink;

use doctor_host::{BOARDS, assert_check, check, doctor, driven, on_bus, program};
use support::Host;

fn undriven() -> Host {
    let host = Host::bare();
    on_bus(&host, BOARDS[0], "0x1002", "0x120000", None);
    host
}

#[test]
fn a_blacklist_that_keeps_the_driver_out_fails() {
    for (path, text, words) in [
        (
            "/etc/modprobe.d/vm.conf",
            "# for virtual machines\nblacklist amdgpu\n",
            "blacklist amdgpu",
        ),
        (
            "/usr/lib/modprobe.d/x.conf",
            "install amdgpu /bin/false\n",
            "install amdgpu /bin/false",
        ),
        (
            "/proc/cmdline",
            "quiet modprobe.blacklist=amdgpu\n",
            "modprobe.blacklist=amdgpu",
        ),
    ] {
        let host = undriven();
        assert_check(&host, "blacklist", "pass", "amdgpu is on no blacklist");
        host.file(path, text);
        let detail = format!("`{words}` in {path}");
        assert_check(&host, "blacklist", "fail", &detail);
    }
}

#[test]
fn a_blacklist_warns_while_the_driver_is_loaded() {
    let host = Host::mixed();
    on_bus(&host, BOARDS[0], "0x1002", "0x120000", Some("amdgpu"));
    host.file("/etc/modprobe.d/vm.conf", "blacklist amdgpu\n");
    let (status, detail, hint) = check(&host, "blacklist");
    assert_eq!(status, "warn");
    assert!(
        detail.ends_with("and will not be after a reboot"),
        "{detail}"
    );
    assert!(hint.contains("update-initramfs"), "{hint}");
}

#[test]
fn an_administrators_file_hides_a_packages_blacklist_of_its_name() {
    let host = undriven();
    host.file("/usr/lib/modprobe.d/x.conf", "blacklist amdgpu\n");
    host.file("/etc/modprobe.d/x.conf", "");
    assert_check(&host, "blacklist", "pass", "amdgpu is on no blacklist");
}

#[test]
fn a_blacklist_is_as_it_should_be_where_virtual_machines_have_every_gpu() {
    let host = Host::bare();
    on_bus(&host, BOARDS[0], "0x1002", "0x120000", Some("vfio-pci"));
    host.file("/etc/modprobe.d/vm.conf", "blacklist amdgpu\n");
    let detail = "vfio-pci holds every GPU";
    assert_check(&host, "blacklist", "not_applicable", detail);
    assert_check(&host, "iommu", "not_applicable", detail);
}

#[test]
fn an_iommu_that_translates_for_several_gpus_is_a_warning() {
    let group = |host: &Host, board: &str, text: &str| {
        let device = format!("/sys/devices/pci0000:00/{board}");
        host.file(&format!("{device}/iommu_group/type"), text);
    };
    let host = undriven();
    assert_check(&host, "iommu", "pass", "no IOMMU between the GPUs");
    group(&host, BOARDS[0], "DMA-FQ\n");
    let one = "the IOMMU translates, which one GPU does not mind";
    assert_check(&host, "iommu", "pass", one);
    on_bus(&host, BOARDS[1], "0x1002", "0x120000", None);
    group(&host, BOARDS[1], "identity\n");
    let detail = "the IOMMU translates for 0000:05:00.0: work on several GPUs can be slow, or hang";
    assert_check(&host, "iommu", "warn", detail);
    group(&host, BOARDS[0], "identity\n");
    let all = "the IOMMU passes the GPUs through";
    assert_check(&host, "iommu", "pass", all);
}

#[test]
fn amds_tools_are_told_with_the_release_of_rocm() {
    let host = Host::bare();
    program(&host, "/usr/bin/rocm-smi");
    assert_check(&host, "rocm-tools", "pass", "/usr/bin/rocm-smi");
    program(&host, "/opt/rocm/bin/amd-smi");
    host.file("/opt/rocm/.info/version", "6.4.1-83\n");
    let both = "/opt/rocm/bin/amd-smi, /usr/bin/rocm-smi (ROCm 6.4.1-83)";
    assert_check(&host, "rocm-tools", "pass", both);
}

#[test]
fn selinux_is_a_warning_where_containers_may_not_use_devices() {
    let host = Host::bare();
    host.file("/sys/fs/selinux/enforce", "1");
    let none = "SELinux is enforcing, without a policy for containers";
    assert_check(&host, "security-modules", "pass", none);
    let boolean = "/sys/fs/selinux/booleans/container_use_devices";
    host.file(boolean, "1 1");
    let on = "SELinux is enforcing, and lets containers use devices";
    assert_check(&host, "security-modules", "pass", on);
    host.file(boolean, "0 0");
    let (status, _, hint) = check(&host, "security-modules");
    assert_eq!(status, "warn");
    assert!(
        hint.contains("setsebool -P container_use_devices on"),
        "{hint}"
    );
    host.file("/sys/fs/selinux/enforce", "0");
    let permissive = "SELinux is permissive";
    assert_check(&host, "security-modules", "pass", permissive);
}

#[test]
fn apparmor_is_told_and_no_failure() {
    let host = Host::bare();
    host.file("/sys/module/apparmor/parameters/enabled", "Y\n");
    let detail = "AppArmor is enabled; engines' own profiles allow device nodes";
    assert_check(&host, "security-modules", "pass", detail);
}

#[test]
fn a_spec_that_nothing_keeps_up_is_a_warning() {
    let Some(host) = driven() else { return };
    fs::create_dir_all(host.path().join("run/systemd/system")).unwrap();
    let none = "there is no CDI spec to keep up";
    assert_check(&host, "cdi-refresh", "not_applicable", none);
    assert_eq!(host.amd_ctk(&["cdi", "generate"]).code, Some(0));
    let stays = "the CDI spec stays as it is when GPUs come or go, or are partitioned";
    assert_check(&host, "cdi-refresh", "warn", stays);
    let refresh = ["system", "cdi-refresh", "--files-only"];
    assert_eq!(host.amd_ctk(&refresh).code, Some(0));
    let enabled = "amd-cdi-refresh.service is enabled";
    assert_check(&host, "cdi-refresh", "pass", enabled);
    assert_eq!(doctor(&host).code, Some(0));
    host.remove("/etc/systemd/system/amd-cdi-refresh.service");
    let gone = "amd-cdi-refresh.service is enabled, and there is no such unit";
    assert_check(&host, "cdi-refresh", "warn", gone);
}

#[test]
fn a_refresh_that_may_not_write_its_file_is_a_warning() {
    let host = Host::bare();
    fs::create_dir_all(host.path().join("run/systemd/system")).unwrap();
    let refresh = ["system", "cdi-refresh", "--files-only"];
    assert_eq!(host.amd_ctk(&refresh).code, Some(0));
    host.file(
        "/etc/cdi/amd.json",
        r#"{"kind": "amd.com/gpu", "devices": [{"name": "training"}]}"#,
    );
    let detail = "amd-cdi-refresh.service is enabled, and does nothing: <host>/etc/cdi/amd.json \
                  has device \"training\", which amd-ctk did not write, and stays as it is";
    assert_check(&host, "cdi-refresh", "warn", detail);
    host.file(
        "/etc/default/amd-cdi-refresh",
        "OPTIONS=--output=/etc/cdi/gpus.json\n",
    );
    let enabled = "amd-cdi-refresh.service is enabled";
    assert_check(&host, "cdi-refresh", "pass", enabled);
}

#[test]
fn a_spec_of_another_directory_wants_a_refresh_too() {
    let host = Host::bare();
    fs::create_dir_all(host.path().join("run/systemd/system")).unwrap();
    fs::create_dir_all(host.path().join("var")).unwrap();
    symlink("/run", host.path().join("var/run")).unwrap();
    host.file(
        "/run/cdi/amd.json",
        r#"{"cdiVersion": "0.6.0", "kind": "amd.com/gpu", "devices": []}"#,
    );
    let stays = "the CDI spec stays as it is when GPUs come or go, or are partitioned";
    assert_check(&host, "cdi-refresh", "warn", stays);
}
