//! Tests against the running kernel: cgroups of both versions, real programs, real nodes.
//!
//! They need root, and skip with a line where that or the hierarchy is missing. Nodes have numbers
//! without a driver: opening one gives ENXIO where the cgroup allows it and EPERM where not.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs};

use libcgroups::common::{CgroupManager, ControllerOpt};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use nix::unistd::Uid;
use serde_json::json;

use super::random_rules::RandomRules;
use super::v1::tests::rule;
use super::v2::V2Error;
use super::*;

const V1_ROOT: &str = "/sys/fs/cgroup/devices";
const GPU: &[&str] = &["deny a *:* rwm", "allow c 226:128 rwm", "deny c 10:229 rwm"];

fn rules(lines: &[&str]) -> Vec<DeviceRule> {
    lines.iter().map(|line| rule(line)).collect()
}

fn table(lines: &[&str]) -> DeviceTable {
    DeviceTable::of_container(&rules(lines)).unwrap()
}

/// The root of the v1 devices hierarchy, or a line that says why there is none.
fn v1_root() -> Option<PathBuf> {
    let root = PathBuf::from(V1_ROOT);
    let usable = Uid::effective().is_root() && root.join("devices.list").exists();
    if !usable {
        println!("skipped: needs root and the v1 devices controller at {V1_ROOT}");
    }
    usable.then_some(root)
}

/// The root of a cgroup2 file system, or a line that says why there is none.
fn v2_root() -> Option<PathBuf> {
    let root = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .map(PathBuf::from)
        .into_iter()
        .find(|root| {
            statfs(root).is_ok_and(|found| found.filesystem_type() == CGROUP2_SUPER_MAGIC)
        });
    if !Uid::effective().is_root() || root.is_none() {
        println!("skipped: needs root and a cgroup2 file system in /sys/fs/cgroup");
        return None;
    }
    root
}

/// A cgroup that is removed at the end of the test.
struct TestCgroup(PathBuf);

impl TestCgroup {
    fn below(parent: &Path) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = parent.join(format!("amd-runtime-test-{}-{count}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    fn open(&self) -> File {
        File::open(&self.0).unwrap()
    }
}

impl Drop for TestCgroup {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.0) {
            println!("{} stays: {error}", self.0.display());
        }
    }
}

/// A shell in a cgroup, with a directory to make nodes in.
struct Inside {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    dir: tempfile::TempDir,
}

impl Inside {
    fn of(cgroup: &TestCgroup) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new("sh")
            .args([
                "-c",
                r#"while read -r command; do (eval "$command") 2>&1; echo "end $?"; done"#,
            ])
            .env("LC_ALL", "C")
            .current_dir(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        fs::write(cgroup.0.join("cgroup.procs"), child.id().to_string()).unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            stdin,
            stdout,
            dir,
        }
    }

    fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Runs a line of shell: what it wrote, and its exit status.
    fn run(&mut self, command: &str) -> (String, bool) {
        writeln!(self.stdin.as_mut().unwrap(), "{command}").unwrap();
        let mut output = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(
                self.stdout.read_line(&mut line).unwrap(),
                0,
                "the shell ended"
            );
            if let Some(status) = line.strip_prefix("end ") {
                return (output, status.trim() == "0");
            }
            output += &line;
        }
    }

    /// What the kernel answers to a command that makes or opens a node.
    fn answer(&mut self, command: &str) -> &'static str {
        match self.run(command) {
            (_, true) => "done",
            (output, _) if output.contains("Operation not permitted") => "EPERM",
            (output, _) if output.contains("No such device or address") => "ENXIO",
            (output, _) => panic!("{command}: {output}"),
        }
    }

    /// Makes a node from outside of the cgroup.
    fn node(&self, name: &str, major: &str, minor: &str) {
        let path = self.dir.path().join(name);
        let made = Command::new("mknod")
            .arg(path)
            .args(["c", major, minor])
            .status()
            .unwrap();
        assert!(made.success());
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

/// What a container granted 226:128 alone can do, however its rules are enforced.
fn assert_only_226_128_is_granted(inside: &mut Inside) {
    inside.node("granted", "226", "128");
    inside.node("other", "226", "129");
    inside.node("null", "1", "3");
    inside.node("fuse", "10", "229");
    let cases = [
        (": <granted", "ENXIO"),
        (": >>granted", "ENXIO"),
        (": <>granted", "ENXIO"),
        (": <other", "EPERM"),
        (": >>other", "EPERM"),
        (": <>other", "EPERM"),
        (": <>null", "done"),
        (": <fuse", "EPERM"),
        // mknod of everything is a default rule, opening what was made is not.
        ("mknod made-granted c 226 128", "done"),
        (": <>made-granted", "ENXIO"),
        ("mknod made-other c 226 129", "done"),
        (": <>made-other", "EPERM"),
        ("mknod made-disk b 226 128", "done"),
        (": <made-disk", "EPERM"),
    ];
    for (command, expected) in cases {
        assert_eq!(inside.answer(command), expected, "{command}");
    }
}

#[test]
fn v1_lists_what_the_table_says() {
    let Some(root) = v1_root() else { return };
    let cgroup = TestCgroup::below(&root);
    for list in RandomRules::new(5).take(500) {
        let mut table = DeviceTable::deny_all();
        list.iter().for_each(|rule| table.apply(rule));
        v1::write(&cgroup.0, &[DeviceRule::DENY_ALL]).unwrap();
        v1::write(&cgroup.0, &list).unwrap();
        let text = fs::read_to_string(cgroup.0.join("devices.list")).unwrap();
        let differences = DeviceList::of(&table).differences(&DeviceList::parse(&text).unwrap());
        assert_eq!(differences, [], "{list:?}\n{text}");
    }
}

/// The default rules here are a copy of those in libcgroups, and its reading of a spec is its own.
#[test]
fn v1_libcgroups_leaves_nothing_to_correct() {
    let Some(root) = v1_root() else { return };
    let cgroup = TestCgroup::below(&root);
    let list = rules(GPU);
    let devices: serde_json::Value = list.iter().map(|rule| rule.to_spec()).collect();
    let resources = serde_json::from_value(json!({ "devices": devices })).unwrap();
    let options = ControllerOpt {
        resources: &resources,
        disable_oom_killer: false,
        oom_score_adj: None,
        freezer_state: None,
    };
    let path = Path::new("/").join(cgroup.0.strip_prefix(&root).unwrap());
    libcgroups::v1::Manager::new(&path)
        .unwrap()
        .apply(&options)
        .unwrap();
    let text = fs::read_to_string(cgroup.0.join("devices.list")).unwrap();
    let actual = DeviceList::parse(&text).unwrap();
    assert_eq!(DeviceList::of(&table(GPU)).differences(&actual), []);
}

#[test]
fn v1_rules_are_enforced_in_a_cgroup_that_was_open() {
    let Some(root) = v1_root() else { return };
    let cgroup = TestCgroup::below(&root);
    let mut inside = Inside::of(&cgroup);
    let enforcement = enforce(inside.pid(), &rules(GPU)).unwrap();
    assert_eq!(
        enforcement,
        Enforcement {
            cgroup: cgroup.0.clone(),
            by: EnforcedBy::V1
        }
    );
    verify(inside.pid(), &rules(GPU), &enforcement).unwrap();
    assert_only_226_128_is_granted(&mut inside);
}

#[test]
fn v1_rules_that_were_changed_are_noticed_and_put_right() {
    let Some(root) = v1_root() else { return };
    let cgroup = TestCgroup::below(&root);
    let inside = Inside::of(&cgroup);
    let enforcement = enforce(inside.pid(), &rules(GPU)).unwrap();
    let verify = || verify(inside.pid(), &rules(GPU), &enforcement);

    v1::write(&cgroup.0, &rules(&["allow c 226:* r", "deny c 226:128 wm"])).unwrap();
    let message = verify().unwrap_err().to_string();
    let expected = "`c 226:* r` is too much, `c 226:128 wm` is missing";
    assert!(message.ends_with(expected), "{message}");

    enforce(inside.pid(), &rules(GPU)).unwrap();
    verify().unwrap();

    v1::write(&cgroup.0, &[DeviceRule::ALLOW_ALL]).unwrap();
    let message = verify().unwrap_err().to_string();
    assert!(message.contains("every device is allowed"), "{message}");
}

#[test]
fn v1_exceptions_of_a_deny_list_are_enforced() {
    let Some(root) = v1_root() else { return };
    let cgroup = TestCgroup::below(&root);
    let mut inside = Inside::of(&cgroup);
    enforce(
        inside.pid(),
        &rules(&["allow a *:* rwm", "deny c 226:129 rw"]),
    )
    .unwrap();
    inside.node("denied", "226", "129");
    inside.node("other", "226", "128");
    assert_eq!(inside.answer(": <>denied"), "EPERM");
    assert_eq!(inside.answer(": <>other"), "ENXIO");
}

#[test]
fn v1_the_parent_cgroup_has_the_last_word() {
    let Some(root) = v1_root() else { return };
    let parent = TestCgroup::below(&root);
    v1::write(&parent.0, &rules(&["deny a *:* rwm", "allow c 1:* rwm"])).unwrap();
    let cgroup = TestCgroup::below(&parent.0);
    let inside = Inside::of(&cgroup);
    let error = enforce(inside.pid(), &rules(GPU)).unwrap_err();
    assert!(matches!(error, DeviceCgroupError::Write(_)), "{error}");
    assert!(error.hint().unwrap().contains("cgroup above"));
}

#[test]
fn the_callers_own_cgroup_is_refused() {
    if v1_root().is_none() && v2_root().is_none() {
        return;
    }
    let own = std::process::id().cast_signed();
    let error = enforce(own, &rules(GPU)).unwrap_err();
    assert!(
        matches!(error, DeviceCgroupError::SharedCgroup { .. }),
        "{error}"
    );
}

#[test]
fn v2_a_program_decides_over_every_open_and_mknod() {
    let Some(root) = v2_root() else { return };
    let cgroup = TestCgroup::below(&root);
    let mut inside = Inside::of(&cgroup);
    v2::attach(cgroup.open().as_fd(), &table(GPU)).unwrap();
    assert_only_226_128_is_granted(&mut inside);
}

#[test]
fn v2_accesses_are_told_apart() {
    let Some(root) = v2_root() else { return };
    let cgroup = TestCgroup::below(&root);
    let mut inside = Inside::of(&cgroup);
    let list = rules(&["allow c 226:128 r", "allow c 226:129 w", "allow b *:* m"]);
    let table = DeviceTable::from_rules(&list).unwrap();
    v2::attach(cgroup.open().as_fd(), &table).unwrap();
    inside.node("reading", "226", "128");
    inside.node("writing", "226", "129");
    for (command, expected) in [
        (": <reading", "ENXIO"),
        (": >>reading", "EPERM"),
        (": <>reading", "EPERM"),
        (": <writing", "EPERM"),
        (": >>writing", "ENXIO"),
        ("mknod char c 226 128", "EPERM"),
        ("mknod block b 226 128", "done"),
    ] {
        assert_eq!(inside.answer(command), expected, "{command}");
    }
}

#[test]
fn v2_a_deny_list_denies_its_exceptions() {
    let Some(root) = v2_root() else { return };
    let cgroup = TestCgroup::below(&root);
    let mut inside = Inside::of(&cgroup);
    let table = table(&["allow a *:* rwm", "deny c 226:129 w"]);
    v2::attach(cgroup.open().as_fd(), &table).unwrap();
    inside.node("denied", "226", "129");
    inside.node("other", "226", "128");
    assert_eq!(inside.answer(": <denied"), "ENXIO");
    assert_eq!(inside.answer(": <>denied"), "EPERM");
    assert_eq!(inside.answer(": <>other"), "ENXIO");
}

#[test]
fn v2_the_verifier_takes_every_program() {
    if v2_root().is_none() {
        return;
    }
    for list in RandomRules::new(13).take(300) {
        let mut table = DeviceTable::deny_all();
        list.iter().for_each(|rule| table.apply(rule));
        bpf::load(&program::compile(&table)).map(drop).unwrap();
    }
}

#[test]
fn v2_the_words_of_the_verifier_are_reported() {
    if v2_root().is_none() {
        return;
    }
    let mut program = program::compile(&DeviceTable::deny_all());
    program.pop();
    let failure = bpf::load(&program).unwrap_err();
    assert!(
        failure.log.contains("last insn is not an exit or jmp"),
        "{failure:?}"
    );
}

#[test]
fn v2_a_detached_program_is_missed() {
    let Some(root) = v2_root() else { return };
    let cgroup = TestCgroup::below(&root);
    let dir = cgroup.open();
    let gpu = v2::attach(dir.as_fd(), &table(GPU)).unwrap();
    let other = v2::attach(dir.as_fd(), &table(&[])).unwrap();
    assert_ne!(gpu.tag, other.tag);
    v2::verify(dir.as_fd(), &gpu).unwrap();
    v2::detach(dir.as_fd(), &gpu).unwrap();
    let error = v2::verify(dir.as_fd(), &gpu).unwrap_err();
    assert!(matches!(error, V2Error::NotAttached { .. }), "{error}");
    v2::verify(dir.as_fd(), &other).unwrap();
}

#[test]
fn v2_another_program_under_the_same_id_is_noticed() {
    let Some(root) = v2_root() else { return };
    let cgroup = TestCgroup::below(&root);
    let dir = cgroup.open();
    let program = v2::attach(dir.as_fd(), &table(GPU)).unwrap();
    let recorded = ProgramRef {
        tag: "0123456789abcdef".to_string(),
        ..program
    };
    let error = v2::verify(dir.as_fd(), &recorded).unwrap_err();
    assert!(matches!(error, V2Error::OtherProgram { .. }), "{error}");
}

/// Runs one test of this file in a mount namespace where only the unified hierarchy is mounted.
/// Returns whether the caller is in it and should go on.
fn in_unified_namespace(test: &str) -> bool {
    const MARKER: &str = "AMD_TEST_UNIFIED_ONLY";
    if env::var_os(MARKER).is_some() {
        return true;
    }
    if v2_root().is_none() {
        return false;
    }
    let setup = r#"mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$0" "$@""#;
    let name = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", setup])
        .arg(env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture"])
        .env(MARKER, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(text.contains("1 passed"), "the test did not run: {text}");
    false
}

#[test]
fn v2_rules_are_enforced_for_the_cgroup_of_a_process() {
    if !in_unified_namespace("v2_rules_are_enforced_for_the_cgroup_of_a_process") {
        return;
    }
    let cgroup = TestCgroup::below(Path::new("/sys/fs/cgroup"));
    let mut inside = Inside::of(&cgroup);
    let enforcement = enforce(inside.pid(), &rules(GPU)).unwrap();
    assert_eq!(enforcement.cgroup, cgroup.0);
    assert!(matches!(enforcement.by, EnforcedBy::V2(_)));
    assert_only_226_128_is_granted(&mut inside);

    let recorded = serde_json::to_string(&enforcement).unwrap();
    verify(
        inside.pid(),
        &rules(GPU),
        &serde_json::from_str(&recorded).unwrap(),
    )
    .unwrap();

    let own = std::process::id().cast_signed();
    let error = enforce(own, &rules(GPU)).unwrap_err();
    assert!(
        matches!(error, DeviceCgroupError::SharedCgroup { .. }),
        "{error}"
    );
}

#[test]
fn v2_rules_hold_for_cgroups_below_and_not_for_others() {
    if !in_unified_namespace("v2_rules_hold_for_cgroups_below_and_not_for_others") {
        return;
    }
    let root = Path::new("/sys/fs/cgroup");
    let (cgroup, other) = (TestCgroup::below(root), TestCgroup::below(root));
    let below = TestCgroup::below(&cgroup.0);
    let mut inside = Inside::of(&cgroup);
    let enforcement = enforce(inside.pid(), &rules(GPU)).unwrap();
    let move_to = |to: &TestCgroup, inside: &Inside| {
        fs::write(to.0.join("cgroup.procs"), inside.pid().to_string()).unwrap();
    };

    move_to(&below, &inside);
    verify(inside.pid(), &rules(GPU), &enforcement).unwrap();
    assert_only_226_128_is_granted(&mut inside);

    move_to(&other, &inside);
    let error = verify(inside.pid(), &rules(GPU), &enforcement).unwrap_err();
    assert!(matches!(error, DeviceCgroupError::Moved { .. }), "{error}");
    drop(inside);
    drop(below);
}
