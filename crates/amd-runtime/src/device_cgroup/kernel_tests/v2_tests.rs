//! Device programs.

use std::os::fd::BorrowedFd;

use super::*;
use crate::device_cgroup::random_rules::RandomRules;

/// Loads the program of a table and attaches it.
fn attach(cgroup: BorrowedFd<'_>, table: &DeviceTable) -> ProgramRef {
    v2::attach(cgroup, &Program::load(table).unwrap()).unwrap()
}

#[test]
fn a_program_decides_over_every_open_and_mknod() {
    let Some(root) = v2_root() else { return };
    let cgroup = TestCgroup::below(&root);
    let mut inside = Inside::of(&cgroup.0);
    attach(cgroup.open().as_fd(), &table(GPU));
    assert_only_226_128_is_granted(&mut inside);
}

#[test]
fn accesses_are_told_apart() {
    let Some(root) = v2_root() else { return };
    let cgroup = TestCgroup::below(&root);
    let mut inside = Inside::of(&cgroup.0);
    let list = rules(&["allow c 226:128 r", "allow c 226:129 w", "allow b *:* m"]);
    let table = DeviceTable::from_rules(&list).unwrap();
    attach(cgroup.open().as_fd(), &table);
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
fn a_deny_list_denies_its_exceptions() {
    let Some(root) = v2_root() else { return };
    let cgroup = TestCgroup::below(&root);
    let mut inside = Inside::of(&cgroup.0);
    let table = table(&["allow a *:* rwm", "deny c 226:129 w"]);
    attach(cgroup.open().as_fd(), &table);
    inside.node("denied", "226", "129");
    inside.node("other", "226", "128");
    assert_eq!(inside.answer(": <denied"), "ENXIO");
    assert_eq!(inside.answer(": <>denied"), "EPERM");
    assert_eq!(inside.answer(": <>other"), "ENXIO");
}

#[test]
fn the_verifier_takes_every_program() {
    if v2_root().is_none() {
        return;
    }
    for list in RandomRules::new(13).take(300) {
        let mut table = DeviceTable::deny_all();
        list.iter().for_each(|rule| table.apply(rule));
        bpf::load(&program::compile(&table)).map(drop).unwrap();
    }
}

/// It follows 8,192 jumps at most before one of them has to come to an end.
#[test]
fn the_verifier_takes_a_program_of_many_devices() {
    if v2_root().is_none() {
        return;
    }
    let lines: Vec<String> = (0..10_000)
        .map(|n| format!("allow c {}:{} rw", 300 + n % 3, 2 * n))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let table = table(&lines);
    bpf::load(&program::compile(&table)).map(drop).unwrap();
}

#[test]
fn the_words_of_the_verifier_are_reported() {
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
fn cgroups_that_hold_the_caller_are_refused() {
    if is_second_run() {
        return assert_cgroups_that_hold_the_caller_are_refused();
    }
    let Some(root) = v2_root() else { return };
    let outer = TestCgroup::below(&root);
    let own = TestCgroup::below(&outer.0);
    let enter = format!(
        "echo $$ >{}/cgroup.procs && {UNIFIED_ONLY}",
        own.0.display()
    );
    run_again(
        concat!(module_path!(), "::cgroups_that_hold_the_caller_are_refused"),
        &enter,
    );
}

#[test]
fn rules_are_enforced_for_the_cgroup_of_a_process() {
    if !in_unified_namespace(concat!(
        module_path!(),
        "::rules_are_enforced_for_the_cgroup_of_a_process"
    )) {
        return;
    }
    let cgroup = TestCgroup::below(Path::new("/sys/fs/cgroup"));
    let mut inside = Inside::of(&cgroup.0);
    let enforcement = enforce(inside.pid(), &table(GPU), None).unwrap();
    assert_eq!(enforcement.cgroup, cgroup.0);
    assert!(matches!(enforcement.by, EnforcedBy::V2(_)));
    assert_only_226_128_is_granted(&mut inside);

    let recorded = serde_json::to_string(&enforcement).unwrap();
    assert_eq!(
        serde_json::from_str::<Enforcement>(&recorded).unwrap(),
        enforcement
    );
}

#[test]
fn rules_hold_for_cgroups_below_and_not_for_others() {
    if !in_unified_namespace(concat!(
        module_path!(),
        "::rules_hold_for_cgroups_below_and_not_for_others"
    )) {
        return;
    }
    let root = Path::new("/sys/fs/cgroup");
    let (cgroup, other) = (TestCgroup::below(root), TestCgroup::below(root));
    let below = TestCgroup::below(&cgroup.0);
    let mut inside = Inside::of(&cgroup.0);
    enforce(inside.pid(), &table(GPU), None).unwrap();
    let move_to = |to: &TestCgroup, inside: &Inside| {
        fs::write(to.0.join("cgroup.procs"), inside.pid().to_string()).unwrap();
    };

    move_to(&below, &inside);
    assert_only_226_128_is_granted(&mut inside);

    move_to(&other, &inside);
    inside.node("denied", "226", "129");
    assert_eq!(inside.answer(": <denied"), "ENXIO");
}
