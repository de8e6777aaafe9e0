//! What drivers leave out, write strangely, or have not done yet.

#![allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::thread;

use discovery::Inventory;
use integration::host::{Board, ComputeMode, Host, Model};
use nix::unistd::{Uid, setfsuid};

use crate::table::{Written, assert_gpus, inventory};

#[test]
fn a_2018_driver_knows_no_domain_and_no_instruction_set() {
    let host = Host {
        kfd_of_2018: true,
        ..Host::new()
    }
    .board(Board::new("0000:19:00.0", Model::MI210).unique_id(7));
    assert_gpus(&host, "0 0000:19:00.0 - card0 renderD128 0x7 node2");
    let node = inventory(&host).gpus.remove(0).compute.unwrap();
    assert_eq!(node.gfx, None);
}

#[test]
fn attributes_padded_with_nuls_read_as_without() {
    let board = |nul_padded| Board {
        nul_padded,
        ..Board::new("0000:05:00.0", Model::MI300X)
    };
    let padded = inventory(&Host::new().board(board(true)));
    assert_eq!(padded, inventory(&Host::new().board(board(false))));
    assert_eq!(
        padded.gpus[0].name.as_deref(),
        Some("AMD Instinct MI300X OAM")
    );
}

#[test]
fn a_product_name_of_one_newline_is_no_name() {
    let host = Host::new().board(Board::new("0000:03:00.0", Model::RX7900XTX));
    let written = Written::new(&host);
    let file = "sys/bus/pci/drivers/amdgpu/0000:03:00.0/product_name";
    assert_eq!(fs::read_to_string(written.path().join(file)).unwrap(), "\n");
    assert_eq!(written.inventory().gpus[0].name, None);
}

#[test]
fn where_the_unique_id_file_is_empty_kfd_knows_the_uuid() {
    let board = || Board {
        empty_unique_id: true,
        ..Board::new("0000:03:00.0", Model::MI210).unique_id(0xAB)
    };
    assert_gpus(
        &Host::new().board(board()),
        "0 0000:03:00.0 - card0 renderD128 0xAB node2",
    );
    assert_gpus(
        &Host {
            kfd: false,
            ..Host::new()
        }
        .board(board()),
        "0 0000:03:00.0 - card0 renderD128 - graphics",
    );
}

/// A board in the midst of a switch to QPX mode: KFD shows the last partition, DRM not yet.
fn switching() -> Host {
    let board = Board::new("0000:05:00.0", Model::MI300X)
        .mode(ComputeMode::Qpx)
        .unique_id(1);
    Host::new()
        .board(Board {
            without_drm_nodes: vec![3],
            ..board
        })
        .board(Board::new("0000:06:00.0", Model::MI300X).unique_id(2))
}

#[test]
fn a_partition_whose_drm_node_is_not_there_yet_keeps_its_number() {
    assert_gpus(
        &switching(),
        "0 0000:05:00.0 QPX/0 card0 renderD128 0x1 node2
         1 0000:05:00.0 QPX/1 card1 renderD129 0x1 node3
         2 0000:05:00.0 QPX/2 card2 renderD130 0x1 node4
         3 0000:05:00.0 QPX/3 -     renderD131 0x1 node5
         4 0000:06:00.0 SPX/0 card8 renderD136 0x2 node6",
    );
}

/// The inventory of a host on which these files may not be read.
fn inventory_denied(host: &Host, files: &[&str]) -> Inventory {
    let written = Written::new(host);
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(written.path(), 0o755);
    for file in files {
        mode(&written.path().join("sys").join(file), 0);
    }
    let as_nobody = || {
        setfsuid(Uid::from_raw(65534));
        written.inventory()
    };
    // The file system user is one of each thread; root reads whatever it likes.
    thread::scope(|scope| scope.spawn(as_nobody).join().unwrap())
}

#[test]
fn gpus_that_kfd_hides_from_this_process_are_left_out() {
    let host = Host::new()
        .board(Board::new("0000:05:00.0", Model::MI210))
        .board(Board::new("0000:06:00.0", Model::MI210));
    for file in ["gpu_id", "properties"] {
        let denied = format!("class/kfd/kfd/topology/nodes/2/{file}");
        let inventory = inventory_denied(&host, &[&denied]);
        let addresses = inventory.gpus.iter().map(|gpu| gpu.pci.to_string());
        assert_eq!(addresses.collect::<Vec<_>>(), ["0000:06:00.0"], "{file}");
        assert_eq!(inventory.hidden, 1, "{file}");
    }
}

#[test]
fn an_attribute_that_may_not_be_read_is_none() {
    let host = Host {
        kfd: false,
        ..Host::new()
    }
    .board(Board::new("0000:05:00.0", Model::MI210));
    let board = "bus/pci/drivers/amdgpu/0000:05:00.0";
    let files = [
        format!("{board}/unique_id"),
        format!("{board}/product_name"),
    ];
    let gpu = inventory_denied(&host, &files.each_ref().map(String::as_str))
        .gpus
        .remove(0);
    assert_eq!((gpu.uuid, gpu.name), (None, None));
    assert_eq!(gpu.render_minor, Some(128));
}

#[test]
fn absolute_links_start_at_the_host_root() {
    let host = Host::new().board(Board::new("0000:05:00.0", Model::MI300X).unique_id(1));
    let written = Written::new(&host);
    let expected = written.inventory();
    for link in [
        "bus/pci/drivers/amdgpu/0000:05:00.0",
        "class/kfd/kfd",
        "class/drm/card0",
    ] {
        let path = written.path().join("sys").join(link);
        let target = path.canonicalize().unwrap();
        let on_host = target
            .strip_prefix(written.path().canonicalize().unwrap())
            .unwrap();
        fs::remove_file(&path).unwrap();
        symlink(Path::new("/").join(on_host), &path).unwrap();
    }
    assert_eq!(Inventory::discover(&written.root()).unwrap(), expected);
}
