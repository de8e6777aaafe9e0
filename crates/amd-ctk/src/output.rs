//! How commands write: tables for people, JSON and YAML for programs.

use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde::Serialize;

/// The shape of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people; their widths and titles may change
    Table,
    /// A JSON object with a documented, stable shape
    Json,
    /// The same object as YAML
    Yaml,
}

/// Where a command writes: results to `out`, what a person should know to `err`.
pub struct Streams<'a> {
    /// Results, and nothing else.
    pub out: &'a mut dyn Write,
    /// Warnings and hints.
    pub err: &'a mut dyn Write,
}

/// Writes `value` as JSON, indented by two blanks.
pub(crate) fn write_json(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

/// Writes `value` as YAML, which has the shape of its JSON.
pub(crate) fn write_yaml(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    let text = serde_saphyr::to_string(value).map_err(io::Error::other)?;
    out.write_all(text.as_bytes())
}

/// Writes rows below titles, in columns that two blanks or more keep apart.
pub(crate) fn write_table<const N: usize>(
    out: &mut dyn Write,
    titles: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> io::Result<()> {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(titles)
        .add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    writeln!(out, "{}", table.trim_fmt())
}

/// An amount of memory for people: `512 MiB`, `1.5 GiB`, `192 GiB`.
pub(crate) fn memory(bytes: u64) -> String {
    const MIB: f64 = (1_u64 << 20) as f64;
    let mib = bytes as f64 / MIB;
    let (amount, unit) = if mib.round() < 1024.0 {
        (mib, "MiB")
    } else {
        (mib / 1024.0, "GiB")
    };
    let amount = format!("{amount:.1}");
    format!("{} {unit}", amount.strip_suffix(".0").unwrap_or(&amount))
}

/// Without what would do something to a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_do_anything_to_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    }

    #[test]
    fn memory_is_written_in_the_larger_unit_that_fits() {
        for (bytes, text) in [
            (0, "0 MiB"),
            (512 << 20, "512 MiB"),
            ((1 << 30) - 1, "1 GiB"),
            (1 << 30, "1 GiB"),
            (3 << 29, "1.5 GiB"),
            (17_163_091_968, "16 GiB"),
            (206_141_652_992, "192 GiB"),
        ] {
            assert_eq!(memory(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_end_in_text() {
        let mut out = Vec::new();
        let rows = [["0", "a long name", "x"], ["10", "b", ""]];
        let rows = rows.map(|row| row.map(str::to_owned));
        write_table(&mut out, ["GPU", "NAME", "Z"], rows).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "GPU  NAME         Z\n0    a long name  x\n10   b\n"
        );
    }

    #[test]
    fn what_looks_like_a_number_is_quoted_in_yaml() {
        let mut out = Vec::new();
        let value = serde_json::json!({"uuid": "0x1234", "pci": "0000:05:00.0", "none": null});
        write_yaml(&mut out, &value).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "uuid: \"0x1234\"\npci: \"0000:05:00.0\"\nnone: null\n"
        );
    }
}
