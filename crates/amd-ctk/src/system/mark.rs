//! How a file of ours is told from others of its name.

const BEFORE: &str = "# Written by amd-ctk (";

/// `body` below a line that names the command that takes it away, and holds a checksum of
/// it. The checksum is against mistakes, not malice: who can write the file is root.
pub(super) fn marked(command: &str, body: &str) -> String {
    format!(
        "{BEFORE}{}); `amd-ctk system {command} --remove` takes it away.\n{body}",
        checksum(body)
    )
}

/// Whether a command of ours, of this version or another, wrote `text` just as it is.
pub(super) fn is_ours(text: &str) -> bool {
    let Some((first, body)) = text.split_once('\n') else {
        return false;
    };
    let written = first
        .strip_prefix(BEFORE)
        .and_then(|rest| rest.split_once(')'));
    written.is_some_and(|(written, _)| written == checksum(body))
}

fn checksum(body: &str) -> String {
    format!("{:08x}", crc32fast::hash(body.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_write_is_ours_until_somebody_changes_it() {
        let text = marked("udev-rules", "a\nb\n");
        assert!(is_ours(&text), "{text}");
        for (changed, why) in [
            (text.replace('b', "c"), "another line"),
            (format!("{text}c\n"), "one more line"),
            ("a\nb\n".to_owned(), "no mark"),
            (String::new(), "empty"),
            (text.lines().next().unwrap().to_owned(), "the mark alone"),
            (text.replace(')', ""), "no end"),
        ] {
            assert!(!is_ours(&changed), "{why}: {changed}");
        }
    }

    #[test]
    fn what_an_earlier_version_wrote_is_ours() {
        let text = "# Written by amd-ctk (6b36f6d9), in other words.\nold\n";
        let text = text.replace("6b36f6d9", &checksum("old\n"));
        assert!(is_ours(&text));
    }

    #[test]
    fn the_checksum_is_that_of_other_programs() {
        // The check value of CRC-32/ISO-HDLC in the catalogue of CRC algorithms.
        assert_eq!(checksum("123456789"), "cbf43926");
    }
}
