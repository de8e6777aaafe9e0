//! What a change of a file looks like to a reader.

use std::path::Path;

use similar::TextDiff;

/// The unified diff from `before` to `after`, as `diff -u` prints it; `None` is a file that
/// does not exist. Empty if they are the same.
pub fn unified_diff(path: &Path, before: Option<&str>, after: Option<&str>) -> String {
    let name = |text: Option<&str>| match text {
        Some(_) => path.display().to_string(),
        None => "/dev/null".to_owned(),
    };
    TextDiff::from_lines(before.unwrap_or_default(), after.unwrap_or_default())
        .unified_diff()
        .header(&name(before), &name(after))
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_names_the_file_and_shows_the_lines_that_change() {
        let diff = unified_diff(Path::new("/etc/x"), Some("a\nb\n"), Some("a\nc\n"));
        assert_eq!(
            diff,
            "--- /etc/x\n+++ /etc/x\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
        );
    }

    #[test]
    fn a_file_that_is_made_comes_from_dev_null_and_one_that_goes_ends_there() {
        let made = unified_diff(Path::new("/etc/x"), None, Some("a\n"));
        assert_eq!(made, "--- /dev/null\n+++ /etc/x\n@@ -0,0 +1 @@\n+a\n");
        let gone = unified_diff(Path::new("/etc/x"), Some("a\n"), None);
        assert_eq!(gone, "--- /etc/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n");
    }

    #[test]
    fn no_change_is_no_diff() {
        assert_eq!(
            unified_diff(Path::new("/etc/x"), Some("a\n"), Some("a\n")),
            ""
        );
    }
}
