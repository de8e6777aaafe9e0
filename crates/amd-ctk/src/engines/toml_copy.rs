//! Settings of one runtime for another.

use toml_edit::{Item, Table, TableLike, Value};

/// A copy of what `keep` lets through, without the notation and places of the original.
pub fn copy(table: &dyn TableLike, keep: fn(&str) -> bool) -> Table {
    let mut copy = Table::new();
    let (values, tables): (Vec<_>, Vec<_>) = table
        .iter()
        .filter(|(key, _)| keep(key))
        .partition(|(_, item)| item.is_value());
    for (key, item) in values.into_iter().chain(tables) {
        if let Item::Value(value) = item {
            copy.insert(key, Item::Value(undecorated(value)));
        } else if let Some(inner) = item.as_table_like() {
            copy.insert(key, Item::Table(self::copy(inner, |_| true)));
        }
    }
    copy
}

fn undecorated(value: &Value) -> Value {
    match value {
        Value::String(text) => text.value().as_str().into(),
        Value::Integer(number) => (*number.value()).into(),
        Value::Float(number) => (*number.value()).into(),
        Value::Boolean(flag) => (*flag.value()).into(),
        Value::Datetime(time) => (*time.value()).into(),
        Value::Array(items) => items.iter().map(undecorated).collect(),
        Value::InlineTable(table) => {
            let entries = table.iter().map(|(key, value)| (key, undecorated(value)));
            Value::InlineTable(entries.collect())
        }
    }
}
