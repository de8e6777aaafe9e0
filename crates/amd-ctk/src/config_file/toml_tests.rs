use toml_edit::{Array, value};

use super::*;

fn table_edit() -> Edit {
    let mut table = Table::new();
    table.insert("type", value("t"));
    let mut options = Table::new();
    options.insert("Binary", value("/b"));
    table.insert("options", Item::Table(options));
    Edit {
        tag: "runtime amd".to_owned(),
        path: ["a", "io.x", "amd"].map(str::to_owned).to_vec(),
        item: Item::Table(table),
        replaces: false,
        programs: &["Binary"],
        hint: "choose",
    }
}

fn value_edit() -> Edit {
    Edit {
        tag: "default amd".to_owned(),
        path: ["a", "io.x", "default"].map(str::to_owned).to_vec(),
        item: value("amd"),
        replaces: true,
        programs: &[],
        hint: "",
    }
}

fn cut_edit(text: &str, edit: &Edit) -> String {
    cut(text, &edit.tag, &path_of(edit)).unwrap()
}

#[test]
fn a_table_is_added_at_the_end() {
    assert_eq!(
        apply("# mine\nx = 1\n", &table_edit()).unwrap(),
        "# mine\nx = 1\n# >>> amd-ctk: runtime amd\n[a.\"io.x\".amd]\ntype = \"t\"\n\n\
         [a.\"io.x\".amd.options]\nBinary = \"/b\"\n# checksum: 8a09e21f\n# <<< amd-ctk: runtime amd\n"
    );
}

#[test]
fn a_value_is_added_below_the_header_of_its_table() {
    let text = "[a]\n  [a.\"io.x\"] # main\n    y = 2\n[b]\nz = 3\n";
    assert_eq!(
        apply(text, &value_edit()).unwrap(),
        "[a]\n  [a.\"io.x\"] # main\n# >>> amd-ctk: default amd\n  default = \"amd\"\n\
         # <<< amd-ctk: default amd\n    y = 2\n[b]\nz = 3\n"
    );
}

#[test]
fn a_value_without_a_table_brings_its_header() {
    let text = apply("x = 1", &value_edit()).unwrap();
    assert!(
        text.contains("\n[a.\"io.x\"]\ndefault = \"amd\"\n"),
        "{text}"
    );
}

#[test]
fn a_value_that_is_there_becomes_a_comment() {
    let text = "[a.\"io.x\"]\n  default = \"runc\" # why\n";
    assert_eq!(
        apply(text, &value_edit()).unwrap(),
        "[a.\"io.x\"]\n# >>> amd-ctk: default amd\n#amd-ctk#   default = \"runc\" # why\n  \
         default = \"amd\"\n# <<< amd-ctk: default amd\n"
    );
}

#[test]
fn edits_come_out_without_a_trace_in_any_order() {
    for text in [
        "",
        "x = 1",
        "[a]\n",
        "[a.\"io.x\"]",
        "[a.'io.x']\ndefault = 'runc'\n",
        "[a.\"io.x\".other]\ntype = 1\n\n# end",
        "[a.\"io.x\"]\r\n  default = 'x' # c\r\n[b]\r\n",
        "[a.\"io.x\"]\n[a.\"io.x\".runtimes]\n",
    ] {
        let (table, value) = (table_edit(), value_edit());
        for edits in [[&table, &value], [&value, &table]] {
            let one = apply(text, edits[0]).unwrap();
            let both = apply(&one, edits[1]).unwrap();
            assert_eq!(apply(&both, edits[0]).unwrap(), both);
            assert_eq!(cut_edit(&cut_edit(&both, &table), &value), text);
            assert_eq!(cut_edit(&cut_edit(&both, &value), &table), text);
        }
    }
}

#[test]
fn an_entry_of_somebody_elses_is_an_error_at_its_place() {
    let fault = apply(
        "[a.\"io.x\"]\n[a.\"io.x\".amd]\ntype = 'z'\n",
        &table_edit(),
    )
    .unwrap_err();
    assert_eq!(
        fault.to_string(),
        "line 2, column 1: \"amd\" is there already and is not ours"
    );
    assert_eq!(fault.hint.as_deref(), Some("choose"));
}

#[test]
fn an_entry_that_is_the_same_is_left_as_it_is() {
    let text = "a.'io.x'.amd = { options = { Binary = '/b' }, type = 't' }";
    assert_eq!(apply(text, &table_edit()).unwrap(), text);
}

#[test]
fn an_inline_table_around_is_an_error() {
    let fault = apply("a = { \"io.x\" = { y = 1 } }\n", &table_edit()).unwrap_err();
    assert_eq!(fault.to_string(), "\"a.io.x.amd\" cannot be added");
    assert!(fault.hint.is_some());
}

#[test]
fn a_value_of_several_on_a_line_is_not_replaced() {
    let fault = apply("a = { 'io.x' = { default = 'x', y = 1 } }", &value_edit()).unwrap_err();
    assert_eq!(fault.to_string(), "\"a.io.x.default\" cannot be added");
}

#[test]
fn wrong_types_and_bad_syntax_are_errors_at_their_place() {
    for (text, message) in [
        (
            "[a]\n\"io.x\" = []\n",
            "line 2, column 10: \"io.x\" is an array, not a table",
        ),
        (
            "a = 1\n",
            "line 1, column 5: \"a\" is an integer, not a table",
        ),
        (
            "[a]\nx = = 2\n",
            "line 2, column 5: extra `=`, expected nothing",
        ),
    ] {
        assert_eq!(apply(text, &table_edit()).unwrap_err().to_string(), message);
    }
}

#[test]
fn settings_of_others_in_our_block_are_not_removed() {
    let text = apply("", &table_edit())
        .unwrap()
        .replace("# <<<", "[other]\nx = 1\n# <<<");
    let edit = table_edit();
    let fault = cut(&text, &edit.tag, &path_of(&edit)).unwrap_err();
    assert!(fault.to_string().contains("somebody else's"), "{fault}");
}

#[test]
fn a_list_is_a_value() {
    let edit = Edit {
        item: value(Array::from_iter(["/b"])),
        ..value_edit()
    };
    let text = apply("", &edit).unwrap();
    assert!(text.contains("default = [\"/b\"]"), "{text}");
}
