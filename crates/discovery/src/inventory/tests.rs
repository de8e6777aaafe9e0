use std::fs;

use super::*;

/// A host with a PCI bus and these files, by their paths below `/sys`.
fn host_with(files: &[(&str, &str)]) -> (tempfile::TempDir, HostRoot) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("sys/bus/pci/drivers")).unwrap();
    for (path, content) in files {
        let path = dir.path().join("sys").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let host = HostRoot::new(dir.path());
    (dir, host)
}

#[test]
fn a_host_without_amdgpu_has_no_gpus() {
    let (_dir, host) = host_with(&[("bus/pci/drivers/i915/bind", "")]);
    assert_eq!(Inventory::discover(&host).unwrap(), Inventory::default());
}

#[test]
fn a_root_without_sysfs_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let error = Inventory::discover(&HostRoot::new(dir.path())).unwrap_err();
    assert!(matches!(error, DiscoveryError::NoSysfs { .. }), "{error}");
    assert!(
        error.to_string().starts_with(dir.path().to_str().unwrap()),
        "{error}"
    );
    assert!(error.hint().is_some());
}

#[test]
fn a_directory_that_cannot_be_read_is_an_error_that_names_it() {
    let (_dir, host) = host_with(&[("bus/pci/drivers/amdgpu", "not a directory")]);
    let error = Inventory::discover(&host).unwrap_err();
    assert!(
        error.to_string().ends_with("sys/bus/pci/drivers/amdgpu"),
        "{error}"
    );
}

#[test]
fn a_node_that_went_away_while_it_was_read_is_passed_over() {
    let (_dir, host) = host_with(&[
        ("bus/pci/drivers/amdgpu/0000:05:00.0/device", "0x74a1\n"),
        ("class/kfd/kfd/topology/nodes/1/gpu_id", "1\n"),
        ("class/kfd/kfd/topology/nodes/2/name", "\n"),
    ]);
    let inventory = Inventory::discover(&host).unwrap();
    assert_eq!(inventory.gpus.len(), 1);
    assert!(inventory.gpus[0].graphics_only());
}

#[test]
fn identify_leaves_out_what_containers_do_not_need() {
    let (_dir, host) = host_with(&[
        ("bus/pci/drivers/amdgpu/0000:05:00.0/device", "0x74a1\n"),
        ("bus/pci/drivers/amdgpu/0000:05:00.0/unique_id", "ab\n"),
        (
            "bus/pci/drivers/amdgpu/0000:05:00.0/product_name",
            "AMD Instinct MI300X\n",
        ),
        (
            "bus/pci/drivers/amdgpu/0000:05:00.0/mem_info_vram_total",
            "4096\n",
        ),
        ("bus/pci/drivers/amdgpu/0000:05:00.0/numa_node", "1\n"),
    ]);
    let [full] = &Inventory::discover(&host).unwrap().gpus[..] else {
        panic!()
    };
    let details = (
        full.device_id,
        full.name.as_deref(),
        full.memory_bytes,
        full.numa_node,
    );
    assert_eq!(
        details,
        (
            Some(0x74a1),
            Some("AMD Instinct MI300X"),
            Some(4096),
            Some(1)
        )
    );
    let bare = Gpu {
        device_id: None,
        name: None,
        memory_bytes: None,
        numa_node: None,
        ..full.clone()
    };
    assert_eq!(Inventory::identify(&host).unwrap().gpus, [bare]);
}

#[test]
fn a_kfd_node_is_a_gpus_by_its_render_minor_or_else_its_id() {
    let board = "bus/pci/drivers/amdgpu/0000:05:00.0/device";
    let nodes = "class/kfd/kfd/topology/nodes";
    let properties = |node: u32| format!("{nodes}/{node}/properties");
    let id = |node: u32| format!("{nodes}/{node}/gpu_id");
    let with = |of_gpu: &str| {
        host_with(&[
            (board, "0x74a1\n"),
            (&id(0), "0\n"),
            (&properties(0), "location_id 1280\ndrm_render_minor 0\n"),
            (&id(1), "7\n"),
            (&properties(1), of_gpu),
        ])
    };
    let ids = |inventory: Inventory| -> Vec<_> {
        let nodes = inventory.gpus.into_iter().filter_map(|gpu| gpu.compute);
        nodes.map(|node| (node.node_id, node.gpu_id)).collect()
    };
    let (_dir, host) = with("location_id 1280\ndrm_render_minor 128\n");
    assert_eq!(ids(Inventory::discover(&host).unwrap()), [(1, Some(7))]);
    assert_eq!(ids(Inventory::identify(&host).unwrap()), [(1, None)]);
    let (_dir, old) = with("location_id 1280\n");
    assert_eq!(ids(Inventory::identify(&old).unwrap()), [(1, Some(7))]);
}

#[test]
fn a_gpu_is_counted_whatever_its_id_by_all_that_count() {
    for id in [Some("0\n"), Some("?\n"), None] {
        let mut files = vec![
            ("bus/pci/drivers/amdgpu/0000:05:00.0/device", "0x74a1\n"),
            (
                "class/kfd/kfd/topology/nodes/1/properties",
                "location_id 1280\ndrm_render_minor 128\n",
            ),
        ];
        files.extend(id.map(|id| ("class/kfd/kfd/topology/nodes/1/gpu_id", id)));
        let (_dir, host) = host_with(&files);
        for inventory in [Inventory::discover(&host), Inventory::identify(&host)] {
            let node = inventory.unwrap().gpus.remove(0).compute.unwrap();
            assert_eq!((node.node_id, node.gpu_id), (1, None), "{id:?}");
        }
    }
}

#[test]
fn what_is_about_to_be_removed_is_gone() {
    for (errno, gone) in [
        (libc::ENOENT, true),
        (libc::ENODEV, true),
        (libc::EIO, false),
        (libc::EPERM, false),
    ] {
        let error = io::Error::from_raw_os_error(errno);
        assert_eq!(is_gone(&error), gone, "{error}");
    }
}
