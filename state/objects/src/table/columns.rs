//! The columns of each resource's table, with the descriptions that Kubernetes gives them.
//!
//! They are kept in `data/columns.jsonl` (made by `ops/generate/columns.py`); names and ages are described there once, with the default columns.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::Resource;

static DATA: &str = include_str!("../../data/columns.jsonl");

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Column {
    /// Its heading.
    pub name: String,
    /// The OpenAPI type of its cells.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it says.
    pub description: String,
    /// 0 for a column that is always shown, 1 for one of wide output.
    pub priority: i32,
}

impl Default for Column {
    fn default() -> Self {
        Column { name: String::new(), kind: "string".to_owned(), description: String::new(), priority: 0 }
    }
}

impl Column {
    /// The TableColumnDefinition.
    pub fn to_value(&self) -> Value {
        json!({
            "name": self.name, "type": self.kind, "format": if self.name == "Name" { "name" } else { "" },
            "description": self.description, "priority": self.priority,
        })
    }
}

#[derive(Deserialize)]
struct Line {
    resource: String,
    columns: Vec<Column>,
}

fn table() -> &'static HashMap<String, Vec<Column>> {
    static TABLE: OnceLock<HashMap<String, Vec<Column>>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let lines = DATA.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let mut table: HashMap<String, Vec<Column>> = lines.map(|line| (line.resource, line.columns)).collect();
        let described: Vec<String> =
            table.get("").into_iter().flatten().map(|column| column.description.clone()).collect();
        for column in table.values_mut().flatten().filter(|column| column.description.is_empty()) {
            let at = match column.name.as_str() {
                "Name" => 0,
                "Age" => 1,
                _ => continue,
            };
            column.description = described.get(at).cloned().unwrap_or_default();
        }
        table
    })
}

/// The columns of a resource's table: its own, or the default ones, name and time of creation.
pub fn columns_of(resource: &Resource) -> &'static [Column] {
    let table = table();
    table.get(resource.as_str()).or_else(|| table.get("")).map(Vec::as_slice).unwrap_or_default()
}
