//! How a failure reaches the caller: exit code, standard error, and the log that engines read.

use integration::bundle::Bundle;
use integration::host::SimulatedHost;
use integration::mi300x;
use integration::require;
use integration::runtime::{Runtime, eventually};
use integration::spec::Spec;
use serde_json::{Value, json};

const LOG: &str = "/run/bundles/log";

fn host() -> Option<SimulatedHost> {
    require::host_with(mi300x::PRESET, crate::CGROUPS)
}

fn logging<'h>(host: &'h SimulatedHost, format: &str) -> Runtime<'h> {
    Runtime::under_test(host).option(&["--log", LOG, "--log-format", format])
}

#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn log(host: &SimulatedHost) -> String {
    host.inside(|| std::fs::read_to_string(LOG))
        .unwrap()
        .unwrap()
}

/// The last line of the log, which is what containerd's shim shows the user.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn last_line(host: &SimulatedHost) -> Value {
    serde_json::from_str(log(host).lines().last().unwrap()).unwrap()
}

/// A bundle that asks for a GPU which is not there.
fn asks_for_gpu_99(host: &SimulatedHost) -> Bundle<'_> {
    Bundle::new(host, "c", Spec::docker().env("AMD_VISIBLE_DEVICES=99"))
}

#[test]
fn the_last_line_of_a_json_log_is_the_error() {
    let Some(host) = host() else { return };
    let _ = logging(&host, "json")
        .create(&asks_for_gpu_99(&host))
        .fails(1);
    let line = last_line(&host);
    let keys: Vec<&str> = line
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(keys, ["level", "msg", "time"]);
    assert_eq!(line["level"], "error");
    let time = line["time"].as_str().unwrap();
    assert!(
        time.len() >= 20 && time.as_bytes()[10] == b'T',
        "not RFC 3339: {time}"
    );
}

#[test]
fn the_message_of_a_json_log_has_the_cause_and_the_hint() {
    let Some(host) = host() else { return };
    let _ = logging(&host, "json")
        .create(&asks_for_gpu_99(&host))
        .fails(1);
    let message = last_line(&host)["msg"].as_str().unwrap().to_owned();
    assert!(message.contains("\"99\" names no GPU"), "{message}");
    assert!(message.contains("0-7"), "{message}");
}

#[test]
fn there_is_one_error_in_the_log() {
    let Some(host) = host() else { return };
    let bundle = Bundle::new(&host, "c", Spec::docker().args(&["no-such-program"]));
    let _ = logging(&host, "json").create(&bundle).fails(1);
    let log = log(&host);
    let errors = log
        .lines()
        .filter(|line| line.contains("\"level\":\"error\""))
        .count();
    assert_eq!(errors, 1, "{log}");
}

#[test]
fn the_whole_chain_of_causes_is_in_one_message() {
    let Some(host) = host() else { return };
    let spec = Spec::docker().push(
        "/mounts",
        json!({"destination": "/data", "type": "bind", "source": "/no/such/dir", "options": ["bind"]}),
    );
    let _ = logging(&host, "json")
        .create(&Bundle::new(&host, "c", spec))
        .fails(1);
    let message = last_line(&host)["msg"].as_str().unwrap().to_owned();
    assert!(message.contains("/no/such/dir"), "{message}");
    assert!(
        message.to_lowercase().contains("no such file or directory"),
        "{message}"
    );
}

#[test]
fn a_text_log_is_logrus_text() {
    let Some(host) = host() else { return };
    let _ = logging(&host, "text")
        .create(&asks_for_gpu_99(&host))
        .fails(1);
    let log = log(&host);
    let line = log.lines().last().unwrap();
    assert!(
        line.starts_with("time=\"") && line.contains(" level=error msg=\""),
        "{line}"
    );
    assert!(line.contains(r#"\"99\" names no GPU"#), "{line}");
}

#[test]
fn a_log_is_appended_to() {
    let Some(host) = host() else { return };
    let write = || {
        std::fs::create_dir_all("/run/bundles")?;
        std::fs::write(LOG, "first\n")
    };
    host.inside(write).unwrap().unwrap();
    let _ = logging(&host, "json")
        .create(&asks_for_gpu_99(&host))
        .fails(1);
    assert!(log(&host).starts_with("first\n{"));
}

#[test]
fn a_log_is_its_owners_only() {
    let Some(host) = host() else { return };
    let _ = logging(&host, "json")
        .create(&asks_for_gpu_99(&host))
        .fails(1);
    let mode = || std::fs::metadata(LOG).map(|meta| std::os::unix::fs::MetadataExt::mode(&meta));
    assert_eq!(host.inside(mode).unwrap().unwrap() & 0o077, 0);
}

#[test]
fn no_variable_of_the_container_is_logged() {
    let Some(host) = host() else { return };
    let runtime = logging(&host, "json").option(&["--debug"]);
    let spec = Spec::docker()
        .env("AMD_VISIBLE_DEVICES=0")
        .env("PASSWORD=s3cret");
    runtime.run(&Bundle::new(&host, "c", spec)).ok();
    let log = log(&host);
    assert!(!log.is_empty());
    assert!(!log.contains("s3cret"), "{log}");
}

#[test]
fn standard_error_has_the_message_and_the_hint_on_lines_of_their_own() {
    let Some(host) = host() else { return };
    let stderr = Runtime::under_test(&host)
        .create(&asks_for_gpu_99(&host))
        .fails(1);
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{stderr}");
    assert!(lines[0].contains("\"99\" names no GPU"), "{stderr}");
    assert!(lines[1].starts_with("hint: "), "{stderr}");
}

#[test]
fn what_fails_in_the_container_is_said_once() {
    let Some(host) = host() else { return };
    let bundle = Bundle::new(&host, "c", Spec::docker().args(&["no-such-program"]));
    let stderr = Runtime::under_test(&host).run(&bundle).fails(1);
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("error: "), "{stderr}");
}

#[test]
fn run_exits_with_the_programs_code() {
    let Some(host) = host() else { return };
    let bundle = Bundle::new(&host, "c", Spec::docker().sh("exit 42"));
    let _ = Runtime::under_test(&host).run(&bundle).fails(42);
}

#[test]
fn run_exits_with_128_and_the_signal_that_ended_the_program() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let bundle = Bundle::new(&host, "c", Spec::docker().args(&["sleep", "1000"]));
    let run = std::thread::scope(|scope| {
        let run = scope.spawn(|| runtime.run(&bundle));
        eventually("the container runs", || {
            let state = runtime.call(&["state", "c"]);
            state.stdout.contains("\"running\"")
        });
        runtime.kill("c", "KILL").ok();
        run.join()
    });
    let _ = run.unwrap().fails(137);
}

#[test]
fn exec_exits_with_the_programs_code() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    runtime.up(&Bundle::new(
        &host,
        "c",
        Spec::docker().args(&["sleep", "1000"]),
    ));
    let _ = runtime.exec("c", &["sh", "-c", "exit 7"]).fails(7);
    let _ = runtime.exec("c", &["sh", "-c", "kill -KILL $$"]).fails(137);
}

#[test]
fn exec_that_cannot_start_the_program_exits_with_255() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    runtime.up(&Bundle::new(
        &host,
        "c",
        Spec::docker().args(&["sleep", "1000"]),
    ));
    let message = runtime.exec("c", &["no-such-program"]).fails(255);
    assert!(
        message.contains("executable file not found in $PATH"),
        "{message}"
    );
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let Some(host) = host() else { return };
    let bundle = Bundle::new(&host, "c", Spec::docker().args(&["no-such-program"]));
    let message = Runtime::under_test(&host).create(&bundle).fails(1);
    let text = "exec: \"no-such-program\": executable file not found in $PATH";
    assert!(message.contains(text), "{message}");
}

#[test]
fn a_container_that_is_not_there_is_an_error_of_every_command() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    for command in [
        &["state", "nobody"][..],
        &["start", "nobody"],
        &["kill", "nobody", "KILL"],
        &["delete", "nobody"],
        &["pause", "nobody"],
        &["resume", "nobody"],
        &["ps", "nobody"],
        &["update", "--memory", "67108864", "nobody"],
    ] {
        let message = runtime.call(command).fails(1);
        assert!(message.contains("does not exist"), "{command:?}: {message}");
    }
    // runc's exec has an exit code of its own, and its forced delete is content.
    let _ = runtime.call(&["exec", "nobody", "true"]).fails(255);
    runtime.call(&["delete", "--force", "nobody"]).ok();
}

#[test]
fn a_command_that_can_say_nothing_does_what_it_can() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let bundle = Bundle::new(&host, "c", Spec::docker().args(&["sleep", "1000"]));
    runtime.up(&bundle);
    let wrong = runtime.clone().settings("no-such-setting = 1\n");
    for (runtime, words, expected) in [
        (&runtime, &["state", "nobody"][..], 1),
        (&runtime, &["no-such-command"], 1),
        (&runtime, &["state", "c"], 1),
        (&runtime, &["list"], 1),
        (&runtime, &["events", "--stats", "c"], 1),
        (&runtime, &["--version"], 0),
        // What is wrong with the settings is not its business.
        (&wrong, &["delete", "--force", "c"], 0),
    ] {
        let mut command = runtime.command(words);
        let full = || {
            std::fs::File::options()
                .write(true)
                .open("/dev/full")
                .unwrap()
        };
        command.stdout(full()).stderr(full());
        let status = host.spawn(&mut command).unwrap().wait().unwrap();
        assert_eq!(status.code(), Some(expected), "{words:?}: {status}");
    }
    assert_eq!(runtime.call(&["list", "-q"]).ok(), "");
}

#[test]
fn an_id_in_use_is_refused_and_its_container_goes_on() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let bundle = Bundle::new(&host, "c", Spec::docker().args(&["sleep", "1000"]));
    runtime.up(&bundle);
    let message = runtime.create(&bundle).fails(1);
    assert!(message.contains("exists"), "{message}");
    assert_eq!(runtime.state("c")["status"], "running");
}

#[test]
fn an_id_that_is_a_path_is_refused_by_every_command() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let victim = runtime.root().join("../victim");
    let make = || {
        std::fs::create_dir_all(runtime.root())?;
        std::fs::create_dir_all(&victim)
    };
    host.inside(make).unwrap().unwrap();
    for id in ["../victim", ".", "..", "a/b", ""] {
        for command in [
            &["state", id][..],
            &["delete", "--force", id],
            &["kill", id, "KILL"],
        ] {
            assert_ne!(runtime.call(command).code, 0, "{command:?}");
        }
    }
    assert!(host.inside(|| victim.is_dir()).unwrap());
}

#[test]
fn a_bundle_without_a_config_is_named() {
    let Some(host) = host() else { return };
    let message = Runtime::under_test(&host)
        .call(&["create", "--bundle", "/tmp", "c"])
        .fails(1);
    assert!(message.contains("config.json"), "{message}");
}

#[test]
fn a_config_that_is_not_json_is_named_with_the_place() {
    let Some(host) = host() else { return };
    let bundle = Bundle::new(&host, "c", Spec::docker());
    let config = bundle.path().join("config.json");
    host.inside(|| std::fs::write(&config, "{\n  \"ociVersion\": ,\n"))
        .unwrap()
        .unwrap();
    let message = Runtime::under_test(&host).create(&bundle).fails(1);
    assert!(message.contains(&*config.to_string_lossy()), "{message}");
    assert!(message.contains("line 2"), "{message}");
}

#[test]
fn an_unknown_command_is_an_error() {
    let Some(host) = host() else { return };
    assert_ne!(
        Runtime::under_test(&host).call(&["no-such-command"]).code,
        0
    );
}
