//! `amd-ctk system --files-only`: what is written on a host, and taken back

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use support::{Host, Outcome};

const COMMANDS: [&str; 3] = ["udev-rules", "load-module", "cdi-refresh"];

const NODES_RULE: &str = "etc/udev/rules.d/71-amd-gpu-nodes.rules";
const SERVICE: &str = "etc/systemd/system/amd-cdi-refresh.service";
const LINK: &str = "etc/systemd/system/multi-user.target.wants/amd-cdi-refresh.service";

fn system(host: &Host, command: &str, options: &[&str]) -> Outcome {
    host.amd_ctk(&[&["system", command, "--files-only"], options].concat())
}

#[track_caller]
fn done(host: &Host, command: &str, options: &[&str]) -> String {
    let run = system(host, command, options);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{command}");
    run.stdout
}

fn read(host: &Host, path: &str) -> String {
    fs::read_to_string(host.path().join(path)).unwrap()
}

/// Every file and link below /etc, and what is in it.
fn etc(host: &Host) -> Vec<(PathBuf, Vec<u8>)> {
    let mut dirs = vec![host.path().join("etc")];
    let mut files = Vec::new();
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            match path.read_link() {
                Ok(target) => files.push((path, target.into_os_string().into_encoded_bytes())),
                Err(_) if path.is_dir() => dirs.push(path),
                Err(_) => files.push((path.clone(), fs::read(path).unwrap())),
            }
        }
    }
    files.sort();
    files
}

#[test]
fn the_nodes_rule_is_for_the_group_render_unless_told_otherwise() {
    let host = Host::bare();
    let said = done(&host, "udev-rules", &[]);
    assert_eq!(said, format!("wrote <host>/{NODES_RULE}\n"));
    assert!(
        read(&host, NODES_RULE)
            .contains("\nSUBSYSTEM==\"kfd\", KERNEL==\"kfd\", GROUP=\"render\", MODE=\"0660\"\n")
    );
    done(&host, "udev-rules", &["--mode", "0666", "--group", "gpu"]);
    let text = read(&host, NODES_RULE);
    assert_eq!(text.matches("GROUP=\"gpu\", MODE=\"0666\"").count(), 3);
    assert!(!text.contains("\"0660\""), "{text}");
}

#[test]
fn the_driver_is_on_the_list_of_modules() {
    let host = Host::bare();
    done(&host, "load-module", &[]);
    let text = read(&host, "etc/modules-load.d/amd-gpu.conf");
    let modules: Vec<&str> = text.lines().filter(|it| !it.starts_with('#')).collect();
    assert_eq!(modules, ["amdgpu"]);
}

#[test]
fn a_blacklist_that_holds_against_the_list_of_modules_is_warned_of() {
    let host = Host::bare();
    host.file("/etc/modprobe.d/vm.conf", "blacklist amdgpu\n");
    let run = system(&host, "load-module", &[]);
    let warning = "warning: amdgpu is not loaded at boot: `blacklist amdgpu` in \
                   /etc/modprobe.d/vm.conf\nhint: take it out\n";
    assert_eq!((run.stderr.as_str(), run.code), (warning, Some(0)));
    assert_eq!(done(&host, "load-module", &["--remove"]).lines().count(), 1);
}

#[test]
fn the_refresh_is_units_that_are_enabled_and_a_rule() {
    let host = Host::bare();
    let said = done(&host, "cdi-refresh", &[]);
    assert_eq!(
        said,
        "\
wrote <host>/etc/systemd/system/amd-cdi-refresh.service
wrote <host>/etc/systemd/system/amd-cdi-refresh-soon.service
wrote <host>/etc/systemd/system/amd-cdi-refresh.timer
wrote <host>/etc/systemd/system/amd-cdi-refresh@.path
wrote <host>/etc/udev/rules.d/90-amd-cdi-refresh.rules
linked <host>/etc/systemd/system/multi-user.target.wants/amd-cdi-refresh.service -> \
         /etc/systemd/system/amd-cdi-refresh.service
"
    );
    let target = fs::read_link(host.path().join(LINK)).unwrap();
    assert_eq!(target.to_str(), Some(format!("/{SERVICE}").as_str()));
}

#[test]
fn a_second_run_changes_nothing() {
    for command in COMMANDS {
        let host = Host::bare();
        done(&host, command, &[]);
        let before = etc(&host);
        assert_eq!(done(&host, command, &[]), "nothing to change\n");
        assert_eq!(etc(&host), before, "{command}");
    }
}

#[test]
fn remove_takes_away_what_was_written_and_nothing_else() {
    for command in COMMANDS {
        let host = Host::bare();
        host.file("/etc/udev/rules.d/70-mine.rules", "# mine\n");
        host.file("/etc/systemd/system/mine.service", "[Unit]\n");
        let before = etc(&host);
        done(&host, command, &[]);
        assert!(etc(&host).len() > before.len());
        done(&host, command, &["--remove"]);
        assert_eq!(etc(&host), before, "{command}");
        assert_eq!(done(&host, command, &["--remove"]), "nothing to change\n");
    }
}

#[test]
fn remove_needs_no_word_of_how_it_was_made() {
    let host = Host::bare();
    done(&host, "udev-rules", &["--mode", "0666", "--group", "gpu"]);
    let said = done(&host, "udev-rules", &["--remove"]);
    assert_eq!(said, format!("removed <host>/{NODES_RULE}\n"));
}

#[test]
fn a_file_of_another_stays_and_is_an_error() {
    for (command, path) in [
        ("udev-rules", NODES_RULE),
        ("load-module", "etc/modules-load.d/amd-gpu.conf"),
        ("cdi-refresh", "etc/systemd/system/amd-cdi-refresh@.path"),
    ] {
        for direction in [&[][..], &["--remove"]] {
            let host = Host::bare();
            host.file(&format!("/{path}"), "# mine\n");
            let before = etc(&host);
            let run = system(&host, command, direction);
            assert_eq!(
                run.stderr,
                format!(
                    "error: <host>/{path} is not as amd-ctk wrote it, and stays as it is\n\
                     hint: move <host>/{path} away if nobody needs it; changes to a unit are \
                     better made with `systemctl edit`\n"
                )
            );
            assert_eq!((run.stdout.as_str(), run.code), ("", Some(1)));
            assert_eq!(etc(&host), before, "{command} {direction:?}");
        }
    }
}

#[test]
fn a_file_of_ours_that_was_edited_is_the_editors() {
    let host = Host::bare();
    done(&host, "cdi-refresh", &[]);
    let edited = read(&host, SERVICE).replace("[Service]\n", "[Service]\nNice=5\n");
    host.file(&format!("/{SERVICE}"), &edited);
    for direction in [&[][..], &["--remove"]] {
        let before = etc(&host);
        assert_eq!(system(&host, "cdi-refresh", direction).code, Some(1));
        assert_eq!(etc(&host), before);
    }
}

#[test]
fn a_unit_that_is_masked_stays_masked() {
    let host = Host::bare();
    fs::create_dir_all(host.path().join("etc/systemd/system")).unwrap();
    symlink("/dev/null", host.path().join(SERVICE)).unwrap();
    let run = system(&host, "cdi-refresh", &[]);
    assert_eq!(
        run.stderr,
        format!(
            "error: <host>/{SERVICE} is a symbolic link to /dev/null, and stays as it is\n\
             hint: an administrator masked it; `systemctl unmask amd-cdi-refresh.service` undoes \
             that\n"
        )
    );
    assert_eq!(etc(&host).len(), 1);
}

#[test]
fn a_file_in_the_place_of_the_link_stays() {
    let host = Host::bare();
    host.file(&format!("/{LINK}"), "mine");
    let run = system(&host, "cdi-refresh", &[]);
    let error = format!("error: <host>/{LINK} is no link to a unit, and stays as it is\n");
    assert!(run.stderr.starts_with(&error), "{}", run.stderr);
    assert_eq!(etc(&host).len(), 1);
}

/// As a package has them: the bodies of what `cdi-refresh` writes, below /usr/lib.
fn package(host: &Host) {
    done(host, "cdi-refresh", &[]);
    for (path, text) in etc(host) {
        if path.is_symlink() {
            continue;
        }
        let path = path.strip_prefix(host.path().join("etc")).unwrap();
        let text = String::from_utf8(text).unwrap();
        let (_, body) = text.split_once('\n').unwrap();
        host.file(&format!("/usr/lib/{}", path.display()), body);
    }
    done(host, "cdi-refresh", &["--remove"]);
}

#[test]
fn what_a_package_brought_is_enabled_and_not_repeated() {
    let host = Host::bare();
    package(&host);
    let said = done(&host, "cdi-refresh", &[]);
    let target = "/usr/lib/systemd/system/amd-cdi-refresh.service";
    assert_eq!(said, format!("linked <host>/{LINK} -> {target}\n"));
    assert_eq!(done(&host, "cdi-refresh", &[]), "nothing to change\n");
    let said = done(&host, "cdi-refresh", &["--remove"]);
    assert_eq!(said, format!("removed <host>/{LINK}\n"));
    assert!(host.path().join(&target[1..]).is_file());
}

#[test]
fn what_systemctl_enabled_is_enabled() {
    let host = Host::bare();
    package(&host);
    let link = host.path().join(LINK);
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    symlink("/lib/systemd/system/amd-cdi-refresh.service", &link).unwrap();
    assert_eq!(done(&host, "cdi-refresh", &[]), "nothing to change\n");
}

#[test]
fn a_packaged_unit_of_another_program_is_overridden() {
    let host = Host::bare();
    package(&host);
    host.file("/usr/local/bin/amd-ctk", "");
    let said = done(&host, "cdi-refresh", &[]);
    let wrote = format!("wrote <host>/{SERVICE}\n");
    assert!(said.starts_with(&wrote), "{said}");
    assert_eq!(said.lines().count(), 2, "{said}");
    let start = "\nExecStart=/usr/local/bin/amd-ctk cdi generate --remove-if-none $OPTIONS\n";
    assert!(read(&host, SERVICE).contains(start));
}

#[test]
fn print_shows_the_files_and_writes_none() {
    for command in COMMANDS {
        let host = Host::bare();
        let run = host.amd_ctk(&["system", command, "--print"]);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{command}");
        assert!(etc(&host).is_empty());
        done(&host, command, &[]);
        for (path, text) in etc(&host).iter().filter(|(path, _)| !path.is_symlink()) {
            let text = String::from_utf8(text.clone()).unwrap();
            assert!(run.stdout.contains(&text), "{}", path.display());
        }
    }
    let host = Host::bare();
    let printed = host.amd_ctk(&["system", "udev-rules", "--print"]).stdout;
    done(&host, "udev-rules", &[]);
    assert_eq!(printed, read(&host, NODES_RULE));
}

#[test]
fn a_dry_run_shows_the_files_and_the_programs() {
    let host = Host::bare();
    let dry = |command: &str, options: &[&str]| {
        let run = host.amd_ctk(&[&["system", command, "--dry-run"], options].concat());
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        run.stdout
    };
    let shown = dry("load-module", &[]);
    let header = "--- /dev/null\n+++ <host>/etc/modules-load.d/amd-gpu.conf\n";
    assert!(shown.starts_with(header), "{shown}");
    assert!(
        shown.ends_with("\n+amdgpu\nrun modprobe amdgpu\n"),
        "{shown}"
    );
    assert!(!dry("load-module", &["--files-only"]).contains("modprobe amdgpu"));
    let shown = dry("cdi-refresh", &[]);
    let end = "\
link <host>/etc/systemd/system/multi-user.target.wants/amd-cdi-refresh.service -> \
               /etc/systemd/system/amd-cdi-refresh.service
run systemctl daemon-reload
run udevadm control --reload
run udevadm trigger --subsystem-match=drm
run systemctl start amd-cdi-refresh.service
";
    assert!(shown.ends_with(end), "{shown}");
    assert!(etc(&host).is_empty());
    done(&host, "cdi-refresh", &[]);
    assert_eq!(dry("cdi-refresh", &[]), "");
    let shown = dry("cdi-refresh", &["--remove"]);
    let end = "\
remove <host>/etc/systemd/system/multi-user.target.wants/amd-cdi-refresh.service
run systemctl stop 'amd-cdi-refresh*'
run systemctl daemon-reload
run udevadm control --reload
";
    assert!(shown.ends_with(end), "{shown}");
    assert_eq!(done(&host, "cdi-refresh", &[]), "nothing to change\n");
}

#[test]
fn another_host_is_not_told() {
    for command in COMMANDS {
        let host = Host::bare();
        host.file("/etc/group", "render:x:109:\n");
        let run = host.amd_ctk(&["system", command]);
        assert_eq!(
            run.stderr,
            "error: the host below <host> is not the one that this program runs on\n\
             hint: --files-only writes the files alone, for the next boot\n"
        );
        assert_eq!(run.code, Some(1));
        assert_eq!(etc(&host).len(), 1, "{command}");
    }
}

#[test]
fn links_of_directories_are_followed_as_the_host_does() {
    let host = Host::bare();
    fs::create_dir_all(host.path().join("data/etc")).unwrap();
    symlink("/data/etc", host.path().join("etc")).unwrap();
    done(&host, "load-module", &[]);
    let written = host.path().join("data/etc/modules-load.d/amd-gpu.conf");
    assert!(written.is_file());
}

#[test]
fn a_mode_or_group_that_is_none_is_a_wrong_command_line() {
    let host = Host::bare();
    for options in [
        ["--mode", "0777"],
        ["--group", "a\""],
        ["--mode=0666", "--remove"],
        ["--print", "--remove"],
    ] {
        assert_eq!(system(&host, "udev-rules", &options).code, Some(2));
    }
    assert!(etc(&host).is_empty());
}
