//! Lines of the debug log in runc's words, at the steps that they are about: people, and
//! tests, look for these when a container does not come up.
//!
//! All are written by the runtime's own process, once a step is done: what it forks may
//! have the container's terminal for its standard error.

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

/// Namespaces are about to be made, or joined.
pub fn begins() {
    tracing::debug!("=> nsexec container setup");
}

/// The CPUs that the process starts on which is to join the container, as a mask.
pub fn affinity(pid: i32) {
    if tracing::enabled!(tracing::Level::DEBUG)
        && let Ok(cpus) = sched_getaffinity(Pid::from_raw(pid))
    {
        tracing::debug!("nsexec[{pid}]: affinity: {}", mask(&cpus));
    }
}

/// The process in the container is there, and has all but its program.
pub fn is_in_init() {
    tracing::debug!("child process in init()");
}

/// The container is created.
pub fn is_created() {
    tracing::debug!("init: closing the pipe to signal completion");
}

/// An executed process is let go.
pub fn executes() {
    tracing::debug!("setns_init: about to exec");
}

fn mask(cpus: &CpuSet) -> String {
    let is_set = |cpu| cpus.is_set(cpu).unwrap_or(false);
    let digit = |place: usize| {
        (0..4)
            .filter(|bit| is_set(place * 4 + bit))
            .map(|bit| 1u8 << bit)
            .sum::<u8>()
    };
    let digits: String = (0..CpuSet::count() / 4)
        .rev()
        .map(|place| format!("{:x}", digit(place)))
        .collect();
    match digits.trim_start_matches('0') {
        "" => "0x0".into(),
        digits => format!("0x{digits}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_has_a_bit_for_each_cpu() {
        for (cpus, expected) in [
            (&[][..], "0x0"),
            (&[1], "0x2"),
            (&[0, 1, 7], "0x83"),
            (&[64], "0x10000000000000000"),
        ] {
            let mut set = CpuSet::new();
            for cpu in cpus {
                set.set(*cpu).unwrap();
            }
            assert_eq!(mask(&set), expected);
        }
    }
}
