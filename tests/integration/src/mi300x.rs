//! The device nodes of the preset `mi300x-8`: what tests expect a container to see.

use crate::host::Host;
use crate::probe::Seen;

/// The name of the preset.
pub const PRESET: &str = "mi300x-8";

/// The minors of a GPU's card and render node. A BMC is card0; each board has eight DRM
/// devices, of which seven are idle in SPX mode.
pub fn minors(gpu: usize) -> [usize; 2] {
    [1 + 8 * gpu, 128 + 8 * gpu]
}

/// What [`listing`] gives for a container with these GPUs: the host's nodes, unchanged.
pub fn nodes(gpus: &[usize]) -> Vec<String> {
    let mut paths = vec!["/dev/kfd".to_owned()];
    for &gpu in gpus {
        let [card, render] = minors(gpu);
        paths.extend([
            format!("/dev/dri/card{card}"),
            format!("/dev/dri/renderD{render}"),
        ]);
    }
    let mut all: Vec<String> = Host::preset(PRESET)
        .iter()
        .flat_map(Host::nodes)
        .filter(|node| {
            paths
                .iter()
                .any(|path| node.path.as_os_str() == path.as_str())
        })
        .map(|node| {
            let path = node.path.display();
            format!(
                "{path} {}:{} {:o} {}:{}",
                node.major, node.minor, node.mode, node.uid, node.gid
            )
        })
        .collect();
    all.sort();
    all
}

/// Path, numbers, mode and owner of each device, sorted.
pub fn listing(seen: &[Seen]) -> Vec<String> {
    let mut all: Vec<String> = seen.iter().map(Seen::to_string).collect();
    all.sort();
    all
}

/// A script for [`probe::SHELL`](crate::probe::SHELL) that makes nodes of a GPU's numbers
/// and looks at them.
pub fn forge(gpu: usize) -> String {
    let [card, render] = minors(gpu);
    format!("forge 226 {card}; forge 226 {render}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_has_kfd_a_card_and_a_render_node() {
        let expected = [
            "/dev/dri/card9 226:9 660 0:44",
            "/dev/dri/renderD136 226:136 660 0:109",
            "/dev/kfd 511:0 660 0:109",
        ];
        assert_eq!(nodes(&[1]), expected);
    }
}
