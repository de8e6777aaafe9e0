//! What docker commands do to a GPU container.

use integration::traces::Traces;

use crate::fixture::{TWO_GPUS, assert_opens_gpus_0_and_1_alone, host, inspect, sleeper, start};

#[test]
fn the_programs_exit_code_is_dockers() {
    let Some(host) = host() else { return };
    let docker = start(&host);
    for code in [0, 1, 42, 255] {
        let outcome = docker.run(&["--rm"], &["sh", "-c", &format!("exit {code}")]);
        assert_eq!(outcome.code, code, "{outcome}");
    }
}

#[test]
fn a_program_that_a_signal_ends_has_exit_code_128_and_the_signal() {
    let Some(host) = host() else { return };
    // The shell, PID 1, would not be ended by its own signal.
    let outcome = start(&host).run(&["--rm"], &["sh", "-c", "sh -c 'kill -KILL $$'; exit $?"]);
    assert_eq!(outcome.code, 137, "{outcome}");
}

#[test]
fn a_program_that_is_not_there_is_exit_code_127() {
    let Some(host) = host() else { return };
    let message = start(&host).run(&["--rm"], &["no-such-program"]).fails(127);
    assert!(
        message.contains("\"no-such-program\": executable file not found"),
        "{message}"
    );
}

#[test]
fn a_program_that_is_not_executable_is_exit_code_126() {
    let Some(host) = host() else { return };
    let message = start(&host).run(&["--rm"], &["/etc/passwd"]).fails(126);
    assert!(message.contains("permission denied"), "{message}");
}

#[test]
fn a_working_directory_that_cannot_be_is_exit_code_125_or_more_with_the_path() {
    let Some(host) = host() else { return };
    let outcome = start(&host).run(&["--rm", "--workdir", "/etc/passwd"], &["true"]);
    assert!((125..=127).contains(&outcome.code), "{outcome}");
    assert!(outcome.stderr.contains("/etc/passwd"), "{outcome}");
}

#[test]
fn docker_stop_lets_the_program_end_by_itself() {
    let Some(host) = host() else { return };
    let docker = start(&host);
    sleeper(&docker, &[]);
    docker.call(&["stop", "--time", "5", "box"]).ok();
    assert_eq!(inspect(&docker, "{{.State.ExitCode}}"), "0");
}

#[test]
fn docker_stop_ends_a_paused_container() {
    let Some(host) = host() else { return };
    let docker = start(&host);
    sleeper(&docker, &[]);
    docker.call(&["pause", "box"]).ok();
    assert_eq!(inspect(&docker, "{{.State.Status}}"), "paused");
    docker.call(&["stop", "--time", "1", "box"]).ok();
    assert_eq!(inspect(&docker, "{{.State.Status}}"), "exited");
}

#[test]
fn docker_unpause_lets_the_program_go_on() {
    let Some(host) = host() else { return };
    let docker = start(&host);
    sleeper(&docker, &[]);
    docker.call(&["pause", "box"]).ok();
    docker.call(&["unpause", "box"]).ok();
    assert_opens_gpus_0_and_1_alone(&docker);
}

#[test]
fn docker_kill_ends_the_program_with_137() {
    let Some(host) = host() else { return };
    let docker = start(&host);
    sleeper(&docker, &[]);
    docker.call(&["kill", "box"]).ok();
    assert_eq!(docker.call(&["wait", "box"]).ok(), "137\n");
}

#[test]
fn docker_kill_of_another_signal_leaves_the_container_running() {
    let Some(host) = host() else { return };
    let docker = start(&host);
    sleeper(&docker, &[]);
    docker.call(&["kill", "--signal", "WINCH", "box"]).ok();
    assert_opens_gpus_0_and_1_alone(&docker);
}

#[test]
fn docker_rm_force_leaves_nothing() {
    let Some(host) = host() else { return };
    let docker = start(&host);
    // The first container makes what docker keeps.
    docker.run(&["--rm"], &["true"]).ok();
    let before = Traces::of(&host);
    sleeper(&docker, &[]);
    docker.call(&["exec", "box", "true"]).ok();
    docker.call(&["rm", "--force", "box"]).ok();
    let after = Traces::of(&host);
    let left: Vec<&str> = after
        .beyond(&before)
        .into_iter()
        .filter(|it| !is_dockers(it))
        .collect();
    assert_eq!(left, [""; 0]);
}

/// What docker itself keeps for a while, with whichever runtime: its databases, and the
/// names of network namespaces.
fn is_dockers(trace: &str) -> bool {
    ["file /run/docker-data/", "file /run/docker-exec/netns/"]
        .iter()
        .any(|dir| trace.starts_with(dir))
}

#[test]
fn output_and_errors_of_the_program_come_through() {
    let Some(host) = host() else { return };
    let outcome = start(&host).run(&["--rm"], &["sh", "-c", "echo out; echo err >&2"]);
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (0, "out\n"),
        "{outcome}"
    );
    assert_eq!(outcome.stderr, "err\n");
}

#[test]
fn docker_gives_the_program_a_terminal() {
    let Some(host) = host() else { return };
    let docker = start(&host);
    let options = [&["--rm", "--tty"], &TWO_GPUS[..]].concat();
    assert_eq!(docker.run(&options, &["tty"]).ok(), "/dev/pts/0\r\n");
}

#[test]
fn docker_exec_gives_a_terminal() {
    let Some(host) = host() else { return };
    let docker = start(&host);
    sleeper(&docker, &[]);
    assert_eq!(
        docker.call(&["exec", "--tty", "box", "tty"]).ok(),
        "/dev/pts/0\r\n"
    );
}

#[test]
fn docker_exec_passes_the_exit_code_on() {
    let Some(host) = host() else { return };
    let docker = start(&host);
    sleeper(&docker, &[]);
    let code = |args: &[&str]| docker.call(&[&["exec", "box"], args].concat()).code;
    assert_eq!(code(&["sh", "-c", "exit 7"]), 7);
    assert_eq!(code(&["sh", "-c", "kill -KILL $$"]), 137);
    // docker 20.10 says 126 of a program that is not there, newer ones 127.
    assert!([126, 127].contains(&code(&["no-such-program"])));
    assert_eq!(code(&["/etc/passwd"]), 126);
}

#[test]
fn docker_top_lists_the_programs_processes() {
    let Some(host) = host() else { return };
    let docker = start(&host);
    sleeper(&docker, &[]);
    let output = docker.call(&["top", "box", "-o", "pid,args"]).ok();
    assert!(output.contains("trap 'exit 0' TERM"), "{output}");
}

#[test]
fn a_user_without_root_can_open_its_standard_output_by_name() {
    let Some(host) = host() else { return };
    let docker = start(&host);
    let words = ["sh", "-c", "echo said > /dev/stdout"];
    assert_eq!(docker.run(&["--user", "1000"], &words).ok(), "said\n");
}
