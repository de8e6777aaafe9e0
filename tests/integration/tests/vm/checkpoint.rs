//! Checkpoint and restore under systemd, by podman of root, of a container with a GPU.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serial_test::serial;

use super::machine::{GRANTED, IMAGE, PROBE, RUNTIME, in_vm, ok, run};

const NAME: &str = "counter";
/// Whoever reads the number reads all of it.
const COUNT: &str = "n=0; while sleep 0.2; do n=$((n + 1)); echo $n >/next; mv /next /count; done";

/// A container that is removed when it is dropped.
struct Counter;

impl Counter {
    fn start() -> Self {
        run(&["podman", "rm", "-f", "-t=0", NAME]);
        let run = ["podman", "--runtime", RUNTIME, "run", "-d", "--name", NAME];
        let options = [
            "--network=none",
            "--env=AMD_VISIBLE_DEVICES=0",
            "--cap-add=MKNOD",
        ];
        ok(&[&run[..], &options, &[IMAGE, "sh", "-c", COUNT]].concat());
        Self
    }

    fn exec(&self, script: &str) -> String {
        ok(&["podman", "exec", NAME, "sh", "-c", script])
    }

    fn count(&self) -> u64 {
        let text = self.exec("cat /count 2>/dev/null || echo 0");
        text.trim().parse().unwrap_or_default()
    }

    #[track_caller]
    fn counts_beyond(&self, least: u64) {
        let begin = Instant::now();
        while self.count() <= least {
            assert!(
                begin.elapsed() < Duration::from_secs(60),
                "it does not count"
            );
            sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        run(&["podman", "rm", "-f", "-t=0", NAME]);
    }
}

#[test]
#[serial]
fn a_restored_container_goes_on_with_its_gpu_and_no_other() {
    if !in_vm() {
        return;
    }
    let counter = Counter::start();
    counter.counts_beyond(10);
    let before = counter.count();
    ok(&["podman", "container", "checkpoint", NAME]);
    ok(&["podman", "container", "restore", NAME]);
    // From the start it would take two seconds to here.
    assert!(counter.count() >= before);
    counter.counts_beyond(before);
    assert_eq!(counter.exec(PROBE), GRANTED);
    ok(&["systemctl", "daemon-reload"]);
    assert_eq!(counter.exec(PROBE), GRANTED, "after daemon-reload");
}
