//! What may differ between two runs of one script: names of runtime and container, and ids.

/// Text in which the runtime is called `<runtime>`, its container `<box>`, and ids `<id>`.
pub fn normalise(text: &str, container: &str, cgroup: &str) -> String {
    let text = text
        .replace(container, "<box>")
        .replace(cgroup, "<cgroup>")
        .replace(
            "amd-container-runtime create failed",
            "<runtime> create failed",
        )
        .replace("runc create failed", "<runtime> create failed")
        // runc does not name itself there.
        .replace("amd-container-runtime exec failed", "exec failed");
    ids(&text)
}

/// Replaces what docker and containerd make up: hexadecimal numbers of 12 digits and more.
fn ids(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars().map(Some).chain([None]) {
        match c {
            Some(c) if c.is_ascii_alphanumeric() => word.push(c),
            other => {
                let hexadecimal = |c: char| matches!(c, '0'..='9' | 'a'..='f');
                let id = matches!(word.len(), 12 | 32 | 64) && word.chars().all(hexadecimal);
                result.push_str(if id { "<id>" } else { &word });
                word.clear();
                result.extend(other);
            }
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_are_alike_and_the_rest_stays() {
        for (text, expected) in [
            ("runc create failed: x", "<runtime> create failed: x"),
            (
                "amd-container-runtime create failed: x",
                "<runtime> create failed: x",
            ),
            ("amd-container-runtime exec failed: x", "exec failed: x"),
            ("a box-amd b", "a <box> b"),
            ("0123456789ab/0123456789abc", "<id>/0123456789abc"),
            (&"f".repeat(64), "<id>"),
            ("CapEff:\t00000000a80425fb", "CapEff:\t00000000a80425fb"),
            ("/host-1/x", "<cgroup>/x"),
        ] {
            assert_eq!(normalise(text, "box-amd", "/host-1"), expected);
        }
    }
}
