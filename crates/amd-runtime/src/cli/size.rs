//! Sizes as people write them.

use anyhow::{Context as _, Result};

/// Bytes of a size such as `512`, `100M`, `1.5g` or `64KiB`; units are powers of 1024,
/// as with Docker's `RAMInBytes`. `-1` is no limit.
pub fn bytes(text: &str) -> Result<i64> {
    if text == "-1" {
        return Ok(-1);
    }
    let wrong = || format!("invalid size: {text:?}");
    let lower = text.trim().to_ascii_lowercase();
    let split = lower
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(lower.len());
    let (number, unit) = lower.split_at(split);
    let unit = unit.trim().trim_end_matches('b').trim_end_matches('i');
    let power = match unit {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(anyhow::anyhow!(wrong())),
    };
    let scale = 1024_i64.pow(power);
    if let Ok(whole) = number.parse::<i64>() {
        return whole.checked_mul(scale).with_context(wrong);
    }
    let value = number.parse::<f64>().ok().with_context(wrong)? * scale as f64;
    // 2^63 as f64 is exact; everything below it fits.
    if value < i64::MAX as f64 {
        Ok(value as i64)
    } else {
        Err(anyhow::anyhow!(wrong()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_docker_reads_them() {
        for (text, size) in [
            ("-1", -1),
            ("0", 0),
            ("1024", 1024),
            ("1k", 1024),
            ("2KB", 2048),
            ("3MiB", 3 << 20),
            ("100M", 100 << 20),
            ("1.5g", 3 << 29),
            ("1 g", 1 << 30),
            ("4b", 4),
        ] {
            assert_eq!(bytes(text).unwrap(), size, "{text}");
        }
        for text in [
            "",
            "x",
            "-2",
            "1x",
            "1e3",
            "9999999999999999999",
            "8388608t",
            "1.2.3",
        ] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
