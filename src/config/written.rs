//! Values written as TOML. JSON's strings, numbers, booleans and arrays are TOML's as well.

use serde_json::{Map, Value};

/// A whole document: plain keys first, then tables, then arrays of tables. What is not set is left out.
pub(super) fn document(value: &Value) -> String {
    let mut text = String::new();
    let empty = Map::new();
    let root = value.as_object().unwrap_or(&empty);
    let (tables, plain): (Vec<_>, Vec<_>) = root.iter().partition(|(_, value)| is_table(value));
    write_keys(&mut text, plain.into_iter());
    for (name, value) in tables {
        let headed = match value {
            Value::Array(items) => items
                .iter()
                .map(|item| (format!("[[{name}]]"), item))
                .collect(),
            single => vec![(format!("[{name}]"), single)],
        };
        for (header, table) in headed {
            text.push_str(&format!("\n{header}\n"));
            write_keys(&mut text, table.as_object().unwrap_or(&empty).iter());
        }
    }
    text
}

/// A value on one line, tables within braces.
pub(super) fn inline(value: &Value) -> String {
    match value {
        Value::Object(keys) => {
            let keys: Vec<_> = keys
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| format!("{key} = {}", inline(value)))
                .collect();
            format!("{{ {} }}", keys.join(", "))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        // TOML wants this one control character escaped, JSON does not.
        plain => plain.to_string().replace('\u{7f}', "\\u007f"),
    }
}

fn is_table(value: &Value) -> bool {
    match value {
        Value::Object(_) => true,
        Value::Array(items) => items.first().is_some_and(Value::is_object),
        _ => false,
    }
}

fn write_keys<'a>(text: &mut String, keys: impl Iterator<Item = (&'a String, &'a Value)>) {
    for (key, value) in keys.filter(|(_, value)| !value.is_null()) {
        text.push_str(&format!("{key} = {}\n", inline(value)));
    }
}
