//! Exit codes of `docker run`, and the messages that go with them.

use crate::compare::{Case, assert_alike};

const CASES: &[Case] = &[
    ("success", "try true"),
    ("failure", "try sh -c 'exit 42'"),
    (
        "killed-by-itself",
        r#"try sh -c 'sh -c "kill -KILL \$\$"; exit $?'"#,
    ),
    ("no-such-program", "try no-such-program"),
    ("no-such-path", "try /no/such/program"),
    ("a-directory", "try /etc"),
    ("not-executable", "try /etc/passwd"),
    ("path-through-a-file", "try /etc/passwd/program"),
    ("empty-program", "try ''"),
    (
        "no-format-that-can-be-executed",
        r#"echo 'no program' >"$dir/x"; chmod 755 "$dir/x"; run --rm -v "$dir/x:/x" "$image" /x"#,
    ),
    (
        "interpreter-is-not-there",
        r#"printf '#!/no/such/shell\n' >"$dir/x"; chmod 755 "$dir/x"; run --rm -v "$dir/x:/x" "$image" /x"#,
    ),
    (
        "program-of-root-alone",
        r#"cp "$(command -v busybox)" "$dir/true"; chmod 700 "$dir/true"
        run --rm -v "$dir/true:/x/true" "$image" /x/true"#,
    ),
    (
        "program-of-root-alone-for-a-user",
        r#"cp "$(command -v busybox)" "$dir/true"; chmod 700 "$dir/true"
        run --rm --user 1000 -v "$dir/true:/x/true" "$image" /x/true"#,
    ),
    (
        "no-path-in-the-environment",
        r#"run --rm -e PATH= "$image" true"#,
    ),
    (
        "another-path-in-the-environment",
        r#"cp "$(command -v busybox)" "$dir/true"; run --rm -e PATH=/x -v "$dir/true:/x/true" "$image" true"#,
    ),
    (
        "working-directory-is-made",
        r#"run --rm -u 1000:1000 -w /new/dir "$image" sh -c 'pwd; stat -c "%a %u:%g" .'"#,
    ),
    (
        "working-directory-is-a-file",
        r#"run --rm -w /etc/passwd "$image" true"#,
    ),
    (
        "working-directory-of-another",
        r#"run --rm -u 1000 -w /root "$image" pwd"#,
    ),
    (
        "error-is-kept",
        r#"run --name "$box" "$image" no-such-program 2>/dev/null
        inspect '{{.State.Status}} {{.State.ExitCode}} {{.State.Error}}'"#,
    ),
];

#[test]
fn runs_end_with_the_same_code_and_message() {
    assert_alike(CASES);
}
