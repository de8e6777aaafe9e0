//! Images that put something else where GPU nodes go: the container has the right nodes or
//! does not start, and nothing on the host changes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use integration::bundle::Bundle;
use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x::{self, listing, nodes};
use integration::probe::{self, SHELL, Seen};
use integration::require;
use integration::runtime::Runtime;
use integration::spec::Spec;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

/// A directory of the host, below which an image would like to have something changed.
const VICTIM: &str = "/run/victim";

/// Type, mode, owner, numbers, time of change and content or target of each file.
type Tree = BTreeMap<PathBuf, String>;

/// What an image has in the place of a GPU node or of a directory above it.
#[derive(Clone, Copy, Debug)]
enum Trap {
    /// Nothing: the image is honest.
    None,
    /// A link to a directory of the host, by its absolute path.
    LinkToDirectory,
    /// The same by way of `..`.
    LinkUp,
    /// A link to a file of the host.
    LinkToFile,
    /// A link to the host's node of a GPU that the container has not.
    LinkToOtherGpu,
    /// A link to nowhere.
    LinkToNowhere,
    /// A regular file.
    File,
    /// A FIFO, which blocks whoever opens it.
    Fifo,
    /// A directory.
    Directory,
}

impl Trap {
    fn set(self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            fs::remove_dir_all(path)?;
        }
        if let Some(above) = path.parent() {
            fs::create_dir_all(above)?;
        }
        match self {
            Self::None => Ok(()),
            Self::LinkToDirectory => symlink(VICTIM, path),
            Self::LinkUp => symlink(
                format!("{}{VICTIM}", "/..".repeat(12).trim_start_matches('/')),
                path,
            ),
            Self::LinkToFile => symlink(format!("{VICTIM}/file"), path),
            Self::LinkToOtherGpu => symlink("/dev/dri/renderD144", path),
            Self::LinkToNowhere => symlink(format!("{VICTIM}/none"), path),
            Self::File => fs::write(path, "image"),
            Self::Fifo => Ok(mkfifo(path, Mode::from_bits_truncate(0o666))?),
            Self::Directory => fs::create_dir(path),
        }
    }
}

/// Runs a container of an image with this trap, and says what must hold.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn spring(spec: &Spec, trap: Trap, path: &str) {
    let Some(host) = require::host(mi300x::PRESET, Cgroups::V1) else {
        return;
    };
    let spec = spec
        .clone()
        .env("AMD_VISIBLE_DEVICES=0")
        .sh(&format!("{SHELL}gpus"));
    let bundle = Bundle::new(&host, "c", spec);
    host.inside(|| make_victim().and_then(|()| trap.set(&bundle.in_rootfs(path))))
        .unwrap()
        .unwrap();
    let before = trees(&host);
    let outcome = Runtime::under_test(&host).run(&bundle);
    assert_eq!(trees(&host), before, "the host has changed: {outcome}");
    if outcome.code == 0 {
        let seen = probe::parse(&outcome.stdout);
        assert_eq!(listing(&seen), nodes(&[0]), "{outcome}");
        assert!(seen.iter().all(Seen::allowed), "{outcome}");
    } else {
        assert!(!matches!(trap, Trap::None), "{outcome}");
        assert!(!outcome.stderr.is_empty(), "no message: {outcome}");
    }
}

fn make_victim() -> io::Result<()> {
    let dri = Path::new(VICTIM).join("dri");
    fs::create_dir_all(&dri)?;
    fs::write(Path::new(VICTIM).join("file"), "host")?;
    fs::write(dri.join("renderD128"), "host")
}

/// The victim, and the host's /dev.
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn trees(host: &SimulatedHost) -> Tree {
    let read = || {
        let mut tree = Tree::new();
        describe(Path::new(VICTIM), &mut tree)?;
        describe(Path::new("/dev/dri"), &mut tree)?;
        describe(Path::new("/dev/kfd"), &mut tree)?;
        Ok::<_, io::Error>(tree)
    };
    host.inside(read).unwrap().unwrap()
}

fn describe(path: &Path, tree: &mut Tree) -> io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    let content = if meta.is_symlink() {
        fs::read_link(path)?.display().to_string()
    } else if meta.is_file() {
        fs::read_to_string(path)?
    } else {
        String::new()
    };
    let numbers = (meta.mode(), meta.uid(), meta.gid(), meta.rdev());
    tree.insert(
        path.to_owned(),
        format!(
            "{numbers:?} {}.{} {content}",
            meta.ctime(),
            meta.ctime_nsec()
        ),
    );
    if meta.is_dir() {
        for entry in fs::read_dir(path)? {
            describe(&entry?.path(), tree)?;
        }
    }
    Ok(())
}

/// A spec in which /dev is the image's own.
fn dev_of_the_image() -> Spec {
    Spec::minimal()
}

/// A spec in which /dev is a tmpfs, as docker has it.
fn dev_of_its_own() -> Spec {
    Spec::docker()
}

macro_rules! traps {
    ($($name:ident: $spec:ident, $trap:ident at $path:literal;)*) => {$(
        #[test]
        fn $name() {
            spring(&$spec(), Trap::$trap, $path);
        }
    )*};
}

traps! {
    an_image_without_dev_is_honest: dev_of_the_image, None at "/dev";
    an_image_without_dri_is_honest: dev_of_the_image, None at "/dev/dri";
    an_image_without_dri_below_a_mount_is_honest: dev_of_its_own, None at "/dev/dri";

    dev_is_a_link_to_a_directory_of_the_host: dev_of_the_image, LinkToDirectory at "/dev";
    dev_is_a_link_upwards: dev_of_the_image, LinkUp at "/dev";
    dev_is_a_link_to_a_file_of_the_host: dev_of_the_image, LinkToFile at "/dev";
    dev_is_a_link_to_nowhere: dev_of_the_image, LinkToNowhere at "/dev";
    dev_is_a_file: dev_of_the_image, File at "/dev";
    dev_is_a_fifo: dev_of_the_image, Fifo at "/dev";

    dev_below_a_mount_is_a_link_to_a_directory_of_the_host: dev_of_its_own, LinkToDirectory at "/dev";
    dev_below_a_mount_is_a_link_upwards: dev_of_its_own, LinkUp at "/dev";
    dev_below_a_mount_is_a_link_to_nowhere: dev_of_its_own, LinkToNowhere at "/dev";
    dev_below_a_mount_is_a_file: dev_of_its_own, File at "/dev";
    dev_below_a_mount_is_a_fifo: dev_of_its_own, Fifo at "/dev";

    dri_is_a_link_to_a_directory_of_the_host: dev_of_the_image, LinkToDirectory at "/dev/dri";
    dri_is_a_link_upwards: dev_of_the_image, LinkUp at "/dev/dri";
    dri_is_a_link_to_a_file_of_the_host: dev_of_the_image, LinkToFile at "/dev/dri";
    dri_is_a_link_to_nowhere: dev_of_the_image, LinkToNowhere at "/dev/dri";
    dri_is_a_file: dev_of_the_image, File at "/dev/dri";
    dri_is_a_fifo: dev_of_the_image, Fifo at "/dev/dri";

    a_node_is_a_link_to_a_directory_of_the_host: dev_of_the_image, LinkToDirectory at "/dev/dri/renderD128";
    a_node_is_a_link_upwards: dev_of_the_image, LinkUp at "/dev/dri/renderD128";
    a_node_is_a_link_to_a_file_of_the_host: dev_of_the_image, LinkToFile at "/dev/dri/renderD128";
    a_node_is_a_link_to_the_node_of_another_gpu: dev_of_the_image, LinkToOtherGpu at "/dev/dri/renderD128";
    a_node_is_a_link_to_nowhere: dev_of_the_image, LinkToNowhere at "/dev/dri/renderD128";
    a_node_is_a_file: dev_of_the_image, File at "/dev/dri/renderD128";
    a_node_is_a_fifo: dev_of_the_image, Fifo at "/dev/dri/renderD128";
    a_node_is_a_directory: dev_of_the_image, Directory at "/dev/dri/renderD128";

    kfd_is_a_link_to_a_file_of_the_host: dev_of_the_image, LinkToFile at "/dev/kfd";
    kfd_is_a_link_to_nowhere: dev_of_the_image, LinkToNowhere at "/dev/kfd";
    kfd_is_a_fifo: dev_of_the_image, Fifo at "/dev/kfd";
}
