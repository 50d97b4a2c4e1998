//! The server's tables as text, in columns as kubectl prints them.

use serde_json::Value;

/// Between two columns.
const GAP: usize = 3;

/// The text of a `meta.k8s.io/v1` Table without the columns that only wide output has, with the namespaces before it if wanted; nothing if it
/// has no rows.
pub fn text(table: &Value, namespaces: bool) -> String {
    let part = |name| table.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (columns, rows) = (part("columnDefinitions"), part("rows"));
    if rows.is_empty() {
        return String::new();
    }
    let shown: Vec<(usize, &str)> = columns
        .iter()
        .enumerate()
        .filter(|(_, column)| column.get("priority").and_then(Value::as_i64).unwrap_or(0) == 0)
        .map(|(index, column)| (index, column.get("name").and_then(Value::as_str).unwrap_or_default()))
        .collect();
    let mut lines: Vec<Vec<String>> = Vec::with_capacity(rows.len() + 1);
    let first = namespaces.then(|| "NAMESPACE".to_owned());
    lines.push(first.into_iter().chain(shown.iter().map(|(_, name)| name.to_uppercase())).collect());
    for row in rows {
        let namespace = row.pointer("/object/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
        let first = namespaces.then(|| namespace.to_owned());
        let cell = |index: usize| row.get("cells").and_then(|cells| cells.get(index)).map(cell).unwrap_or_default();
        lines.push(first.into_iter().chain(shown.iter().map(|(index, _)| cell(*index))).collect());
    }
    aligned(&lines)
}

/// What a cell shows, in one line.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "<none>".to_owned(),
        Value::String(text) => text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        other => other.to_string(),
    }
}

fn aligned(lines: &[Vec<String>]) -> String {
    let count = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0) + GAP).collect();
    let mut text = String::new();
    for line in lines {
        let row: String = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let table = json!({
            "columnDefinitions": [{"name": "Name", "priority": 0}, {"name": "Ready"}, {"name": "Node", "priority": 1}, {"name": "Age"}],
            "rows": [
                {"cells": ["a", "1/1", "n", "5m"], "object": {"metadata": {"namespace": "default"}}},
                {"cells": ["long-name", null, "n", 7], "object": {"metadata": {"namespace": "kube-system"}}},
            ],
        });
        assert_eq!(text(&table, false), "NAME        READY    AGE\na           1/1      5m\nlong-name   <none>   7\n");
        assert!(text(&table, true).starts_with("NAMESPACE     NAME        READY    AGE\ndefault       a  "));
        assert_eq!(text(&json!({"columnDefinitions": [{"name": "Name"}], "rows": []}), false), "");
    }
}
