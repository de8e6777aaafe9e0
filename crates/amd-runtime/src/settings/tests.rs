use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tracing::level_filters::LevelFilter;

use super::load::{distrust, load_optional, parse};
use super::*;

fn from(text: &str) -> Result<Settings, SettingsError> {
    parse(Path::new("config.toml"), text)
}

fn error(text: &str) -> String {
    let error = from(text).unwrap_err();
    match error.hint() {
        Some(hint) => format!("{error}\nhint: {hint}"),
        None => error.to_string(),
    }
}

fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    (dir, path)
}

#[test]
fn defaults_are_what_the_manual_says() {
    let settings = Settings::default();
    assert_eq!(settings.log.level, LogLevel::Warn);
    assert_eq!(settings.log.file.path(), None);
    assert!(settings.gpus.additional_gids);
    assert_eq!(settings.gpus.unknown, UnknownGpu::Error);
    assert_eq!(settings.gpus.requests_from, RequestsFrom::Any);
    let kinds: Vec<_> = settings
        .gpus
        .resource_kinds
        .iter()
        .map(ResourceKind::as_str)
        .collect();
    assert_eq!(kinds, ["AMD_GPU", "AMD-GPU"]);
}

#[test]
fn an_empty_file_and_the_sample_mean_the_defaults() {
    for text in ["", "[log]\n[gpus]\n", &sample()] {
        assert_eq!(from(text).unwrap(), Settings::default(), "{text}");
    }
}

#[test]
fn the_uncommented_sample_names_every_key_at_its_default() {
    let mut keys = 0;
    let text: String = sample()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if key.starts_with(|first: char| first.is_ascii_lowercase()) => {
                keys += 1;
                format!("{key}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    assert_eq!(from(&text).unwrap(), Settings::default(), "{text}");
    assert_eq!(
        keys,
        valid_keys()
            .iter()
            .map(|(_, keys)| keys.len())
            .sum::<usize>()
    );
}

#[test]
fn the_sample_documents_each_key_with_the_text_of_its_field() {
    let sample = sample();
    assert!(
        sample.contains(
            "\n[log]\n\n\
             # How much is logged, here and to `--log`: \"error\", \"warn\", \"info\" or \"debug\".\n\
             # The option `--debug` means \"debug\".\n\
             #level = \"warn\"\n"
        ),
        "{sample}"
    );
    assert!(
        sample.contains("#resource-kinds = [\"AMD_GPU\", \"AMD-GPU\"]\n"),
        "{sample}"
    );
    let longest = sample.lines().map(str::len).max().unwrap();
    assert!(longest <= 100, "a line of {longest} characters:\n{sample}");
}

#[test]
fn every_key_can_be_set() {
    let settings = from(
        r#"
        [log]
        level = "debug"
        file = "/var/log/amd-container-runtime.log"
        [gpus]
        additional-gids = false
        unknown = "warn"
        requests-from = "privileged"
        resource-kinds = ["gpu"]
        "#,
    )
    .unwrap();
    assert_eq!(settings.log.level, LogLevel::Debug);
    assert_eq!(
        settings.log.file.path(),
        Some(Path::new("/var/log/amd-container-runtime.log"))
    );
    assert!(!settings.gpus.additional_gids);
    assert_eq!(settings.gpus.unknown, UnknownGpu::Warn);
    assert_eq!(settings.gpus.requests_from, RequestsFrom::Privileged);
    let [kind] = settings.gpus.resource_kinds.as_slice() else {
        panic!("{settings:?}")
    };
    assert!(kind.covers("gpu") && kind.covers("gpu_memory"));
    assert!(!kind.covers("GPU") && !kind.covers("fpga"));
}

#[test]
fn a_key_left_out_keeps_its_default() {
    let settings = from("[gpus]\nunknown = \"warn\"\n").unwrap();
    let mut expected = Settings::default();
    expected.gpus.unknown = UnknownGpu::Warn;
    assert_eq!(settings, expected);
}

#[test]
fn every_word_of_a_choice_is_read_back() {
    for (level, filter) in [
        (LogLevel::Error, LevelFilter::ERROR),
        (LogLevel::Warn, LevelFilter::WARN),
        (LogLevel::Info, LevelFilter::INFO),
        (LogLevel::Debug, LevelFilter::DEBUG),
    ] {
        assert_eq!(
            from(&format!("log.level = '{level}'")).unwrap().log.level,
            level
        );
        assert_eq!(LevelFilter::from(level), filter);
    }
    for from_whom in [
        RequestsFrom::Any,
        RequestsFrom::Privileged,
        RequestsFrom::None,
    ] {
        let text = format!("gpus.requests-from = '{from_whom}'");
        assert_eq!(from(&text).unwrap().gpus.requests_from, from_whom);
    }
}

#[test]
fn an_unknown_key_is_an_error_with_its_place_and_the_valid_keys() {
    assert_eq!(
        error("[log]\nlevel = \"warn\"\n\n[gpus]\n  additional_gids = true\n"),
        "config.toml:5:3: unknown key in [gpus] `additional_gids`\n\
         hint: valid are: additional-gids, unknown, requests-from, resource-kinds"
    );
    assert_eq!(
        error("[log]\nfolder = \"/var/log\"\n"),
        "config.toml:2:1: unknown key in [log] `folder`\nhint: valid are: level, file"
    );
}

#[test]
fn an_unknown_section_is_an_error_with_the_valid_sections() {
    assert_eq!(
        error("# settings\n[tracker]\nenabled = true\n"),
        "config.toml:2:2: unknown section `tracker`\nhint: valid are: [log], [gpus]"
    );
    assert_eq!(
        error("level = \"warn\"\n"),
        "config.toml:1:1: unknown key `level`\nhint: valid are: [log], [gpus]"
    );
}

#[test]
fn of_two_unknown_keys_the_first_in_the_file_is_named() {
    assert!(error("[log]\nz = 1\na = 1\n").starts_with("config.toml:2:1: "));
    assert!(error("[log]\nz = 1\n[gpus]\na = 1\n").starts_with("config.toml:2:1: "));
}

#[test]
fn a_value_that_its_key_cannot_have_is_an_error_with_its_place() {
    for (text, expected) in [
        (
            "[log]\nlevel = \"loud\"",
            "config.toml:2:9: invalid value: string \"loud\", \
             expected one of \"error\", \"warn\", \"info\", \"debug\"",
        ),
        (
            "[log]\nlevel = 3",
            "config.toml:2:9: invalid type: integer `3`, expected a string",
        ),
        (
            "[log]\nfile = \"runtime.log\"",
            "config.toml:2:8: invalid value: string \"runtime.log\", \
             expected an absolute path, or \"\" for no log",
        ),
        (
            "[gpus]\nadditional-gids = \"yes\"",
            "config.toml:2:19: invalid type: string \"yes\", expected a boolean",
        ),
        (
            "[gpus]\nunknown = \"ignore\"",
            "config.toml:2:11: invalid value: string \"ignore\", expected one of \"error\", \"warn\"",
        ),
        (
            "[gpus]\nrequests-from = \"all\"",
            "config.toml:2:17: invalid value: string \"all\", \
             expected one of \"any\", \"privileged\", \"none\"",
        ),
        (
            "[gpus]\nresource-kinds = [\"AMD_GPU\", \"\"]",
            "config.toml:2:18: invalid value: string \"\", \
             expected the kind of a generic resource, as in DOCKER_RESOURCE_<KIND>",
        ),
        (
            "[gpus]\nresource-kinds = \"AMD_GPU\"",
            "config.toml:2:18: invalid type: string \"AMD_GPU\", expected a sequence",
        ),
        (
            "log = 3",
            "config.toml:1:7: invalid type: integer `3`, expected a table of settings",
        ),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
}

#[test]
fn what_is_no_toml_is_an_error_with_its_place() {
    assert!(error("[log]\nlevel = warn\n").starts_with("config.toml:2:9: "));
    assert!(error("[log]\n[log]\n").starts_with("config.toml:2:"));
    assert!(error("[log]\nlevel = \"warn\"\nlevel = \"info\"\n").starts_with("config.toml:3:1: "));
}

#[test]
fn columns_count_characters() {
    assert!(error("log = { level = \"warn\", 'é' = 1, x = 1 }").starts_with("config.toml:1:25: "));
    assert!(error("log = { level = 'é', x = 1 }").starts_with("config.toml:1:22: "));
}

#[test]
fn a_file_that_was_asked_for_must_exist() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("missing.toml");
    let error = Settings::load(Some(&path)).unwrap_err();
    assert!(error.to_string().contains("missing.toml"), "{error}");
    assert!(error.hint().unwrap().contains("--config"));
}

#[test]
fn the_default_file_may_be_missing_but_not_broken() {
    let (dir, path) = file("[log]\nlevel = \"loud\"\n", 0o644);
    let missing = load_optional(&dir.path().join("missing.toml")).unwrap();
    assert_eq!(missing, Settings::default());
    assert!(load_optional(&path).is_err());
    assert!(load_optional(dir.path()).is_err());
}

#[test]
fn a_file_is_read() {
    let (_dir, path) = file("[log]\nlevel = \"info\"\n", 0o644);
    assert_eq!(
        Settings::load(Some(&path)).unwrap().log.level,
        LogLevel::Info
    );
}

#[test]
fn a_directory_or_a_fifo_is_no_settings_file() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
    for path in [dir.path(), &fifo] {
        let error = Settings::load(Some(path)).unwrap_err();
        assert!(matches!(error, SettingsError::NotAFile { .. }), "{error}");
    }
}

#[test]
fn only_root_may_be_able_to_write_the_settings() {
    for (uid, mode, expected) in [
        (0, 0o100644, None),
        (0, 0o100600, None),
        (0, 0o100755, None),
        (0, 0o100664, Some(Distrust::Writable(0o664))),
        (0, 0o100646, Some(Distrust::Writable(0o646))),
        (1000, 0o100600, Some(Distrust::Owner(1000))),
    ] {
        assert_eq!(distrust(uid, mode), expected, "uid {uid} mode {mode:o}");
    }
}

#[test]
fn root_refuses_a_file_that_others_can_write() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: not run as root");
        return;
    }
    let (_dir, path) = file("", 0o666);
    let error = Settings::load(Some(&path)).unwrap_err();
    assert!(error.to_string().contains("mode 0666"), "{error}");
    assert_eq!(error.hint(), Some(format!("chmod go-w {}", path.display())));

    let (_dir, path) = file("", 0o644);
    nix::unistd::chown(&path, Some(nix::unistd::Uid::from_raw(1000)), None).unwrap();
    let error = Settings::load(Some(&path)).unwrap_err();
    assert!(error.to_string().contains("uid 1000"), "{error}");
    assert_eq!(
        error.hint(),
        Some(format!("chown root:root {}", path.display()))
    );
}

#[test]
fn the_source_of_an_error_is_kept() {
    let error = Settings::load(Some(Path::new("/proc/self/mem/no"))).unwrap_err();
    assert!(std::error::Error::source(&error).is_some());
}
