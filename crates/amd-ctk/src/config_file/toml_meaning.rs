//! What TOML means, without its notation: two texts say the same if this is the same.

use serde_json::Value as Plain;
use toml_edit::{Item, TableLike, Value};

/// The value of `item`. Equal for tables with the same keys in another order, or written
/// inline, with dots, or with headers.
pub fn plain(item: &Item) -> Plain {
    match item {
        Item::None => Plain::Null,
        Item::Value(value) => plain_value(value),
        Item::Table(table) => plain_table(table),
        Item::ArrayOfTables(tables) => tables.iter().map(|table| plain_table(table)).collect(),
    }
}

fn plain_table(table: &dyn TableLike) -> Plain {
    let entries = table.iter().filter(|(_, item)| !item.is_none());
    Plain::Object(
        entries
            .map(|(key, item)| (key.to_owned(), plain(item)))
            .collect(),
    )
}

fn plain_value(value: &Value) -> Plain {
    match value {
        Value::String(text) => text.value().as_str().into(),
        Value::Integer(number) => (*number.value()).into(),
        // By its digits: JSON has no infinity.
        Value::Float(number) => serde_json::json!({ "float": number.value().to_string() }),
        Value::Boolean(flag) => (*flag.value()).into(),
        Value::Datetime(time) => serde_json::json!({ "datetime": time.value().to_string() }),
        Value::Array(items) => items.iter().map(plain_value).collect(),
        Value::InlineTable(table) => plain_table(table),
    }
}
