use super::*;

fn found(name: &str, release: Option<Release>) -> Found {
    let engine = ENGINES.iter().find(|engine| engine.name == name).unwrap();
    let answer = release.map(|(major, minor, patch)| format!("{name} {major}.{minor}.{patch}"));
    Found::new(engine, &answer.unwrap_or_default())
}

#[test]
fn versions_are_read_from_what_engines_say() {
    for (text, release) in [
        (
            "Docker version 20.10.24+dfsg1, build 5d6db84",
            Some((20, 10, 24)),
        ),
        (
            "containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3",
            Some((1, 6, 20)),
        ),
        (
            "containerd github.com/containerd/containerd/v2 v2.1.4 75cb2b7",
            Some((2, 1, 4)),
        ),
        ("podman version 5.0", Some((5, 0, 0))),
        (
            "crio version 1.34.0-dev\nGitCommit: 1.2.3\n",
            Some((1, 34, 0)),
        ),
        ("podman version x.y", None),
        ("99999999999.1", None),
        ("", None),
    ] {
        assert_eq!(parse_release(text), release, "{text}");
    }
}

#[test]
fn a_release_reads_what_the_one_before_it_did() {
    for (name, release, reads) in [
        ("docker", (20, 10, 24), None),
        ("docker", (25, 0, 16), Some(Version::V0_6)),
        ("docker", (26, 0, 2), Some(Version::V0_6)),
        ("docker", (28, 0, 4), Some(Version::V0_8)),
        ("docker", (99, 0, 0), Some(Version::V1_1)),
        ("containerd", (1, 6, 33), None),
        ("containerd", (1, 7, 24), Some(Version::V0_7)),
        ("containerd", (2, 0, 0), Some(Version::V0_8)),
        ("crio", (1, 24, 6), Some(Version::V0_3)),
        ("podman", (4, 0, 3), None),
        ("podman", (4, 3, 1), Some(Version::V0_5)),
        ("podman", (4, 9, 3), Some(Version::V0_6)),
    ] {
        assert_eq!(
            found(name, Some(release)).reads,
            reads,
            "{name} {release:?}"
        );
    }
}

#[test]
fn releases_are_in_order() {
    for engine in &ENGINES {
        assert!(engine.reads.is_sorted_by_key(|(release, _)| *release));
    }
}

#[test]
fn an_engine_that_refuses_the_spec_is_told_with_the_version_that_it_takes() {
    let engines = [
        found("docker", Some((20, 10, 24))),
        found("podman", Some((4, 3, 1))),
    ];
    let spec = |version| ("/etc/cdi/amd.json".to_owned(), version);
    let Outcome::Warn(detail, hint) = judge(Some(&spec(Version::V0_6)), &engines) else {
        panic!("no warning");
    };
    assert_eq!(
        detail,
        "podman 4.3.1 reads CDI up to 0.5.0, and /etc/cdi/amd.json is of 0.6.0"
    );
    assert!(hint.contains("--cdi-version 0.5.0`"), "{hint}");
    let all = "docker 20.10.24 reads no CDI, podman 4.3.1 reads CDI up to 0.5.0";
    let pass = Outcome::Pass(all.to_owned());
    assert_eq!(judge(Some(&spec(Version::V0_5)), &engines), pass);
    assert_eq!(judge(None, &engines), pass);
}

#[test]
fn what_can_read_no_spec_of_ours_is_given_the_runtime() {
    let engines = [found("podman", Some((4, 2, 0))), found("crio", None)];
    let spec = ("/etc/cdi/amd.json".to_owned(), Version::V0_5);
    let Outcome::Warn(_, hint) = judge(Some(&spec), &engines) else {
        panic!("no warning");
    };
    assert!(hint.contains("amd-ctk runtime configure"), "{hint}");
}

#[test]
fn an_engine_that_was_built_from_a_commit_is_no_warning() {
    let containerd = ENGINES
        .iter()
        .find(|engine| engine.name == "containerd")
        .unwrap();
    let answer = "containerd github.com/containerd/containerd/v2 75cb2b7.m";
    let told = "containerd does not tell its version".to_owned();
    let engines = [Found::new(containerd, answer)];
    assert_eq!(judge(None, &engines), Outcome::Pass(told));
}

#[test]
fn an_engine_that_does_not_tell_its_version_is_a_warning() {
    let engines = [found("docker", Some((28, 1, 0))), found("podman", None)];
    let spec = ("/etc/cdi/amd.json".to_owned(), Version::V0_6);
    let expected = Outcome::Warn(
        "docker 28.1.0 reads CDI up to 1.0.0, podman does not tell its version".to_owned(),
        "`podman --version` should say it at once".to_owned(),
    );
    assert_eq!(judge(Some(&spec), &engines), expected);
    assert_eq!(judge(None, &engines), expected);
}
