//! What CRIU's log says of a failure.

use std::fs;
use std::path::Path;

/// As many of the errors as a message has room for. The first names the cause.
const MOST: usize = 3;

/// The first errors in the log at `path`, without times; none where there is no log.
pub fn errors_of(path: &Path) -> Vec<String> {
    let text = fs::read(path).unwrap_or_default();
    errors(&String::from_utf8_lossy(&text))
}

/// Lines as `(00.012345)      1: Error (criu/files.c:123): Can't dump ...`, or without the pid.
fn errors(log: &str) -> Vec<String> {
    let error = |line: &str| {
        let (_, error) = line.split_once("Error (")?;
        let (_, message) = error.split_once("): ")?;
        Some(message.trim().to_owned())
    };
    log.lines().filter_map(error).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_what_the_log_calls_so() {
        let log = "(00.000001) Version: 4.2 (gitid 0)\n\
            (00.000100) Warn  (criu/kerndat.c:1): Error of no interest\n\
            (00.000200)      7: Error (criu/files-ext.c:98): Can't dump file 5 of that type [20660]\n\
            (00.000300) Error (criu/cr-dump.c:1): Dumping FAILED.\n";
        assert_eq!(
            errors(log),
            ["Can't dump file 5 of that type [20660]", "Dumping FAILED."]
        );
        assert!(errors("").is_empty());
        assert!(errors_of(Path::new("/no/such/log")).is_empty());
    }
}
